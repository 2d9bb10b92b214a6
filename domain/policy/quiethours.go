package policy

import (
	"errors"
	"fmt"
	"time"

	"lastcall/domain/contact"
)

// Window is a stretch of the day on the recipient's wall clock, from Start until before End. It crosses
// midnight when Start is after End.
type Window struct {
	Start Clock `json:"start"`
	End   Clock `json:"end"`
}

// Clock is a time of day, in minutes since midnight; "22:00" in JSON.
type Clock int

// quietHours objects while it is quiet where sub is, and also where sub's country has quiet hours but nobody
// knows sub's zone: that holds the message until someone does.
func (s Settings) quietHours(sub Subject, now time.Time) *block {
	window, ok := s.QuietHours[sub.Country]
	if !ok || window.Start == window.End { // no hours at all
		return nil
	}
	loc, err := contact.LoadZone(sub.Zone)
	if err != nil {
		return &block{reason: InQuietHours, why: fmt.Sprintf("no known zone in %s: held", sub.Country)}
	}
	opens, quiet := window.until(now, loc)
	if !quiet {
		return nil
	}
	return &block{
		reason:     InQuietHours,
		retryAfter: &opens,
		nextWindow: &Opening{Opens: opens, Closes: window.next(opens), Zone: sub.Zone},
		why:        fmt.Sprintf("quiet hours %s until %s", sub.Country, opens.Format("15:04 MST")),
	}
}

// until reports whether it is quiet at now in loc, and until when.
//
// One night's quiet lasts from the first instant at which the wall clock reads Start or later until it has
// left the window for good. So it ends after a DST gap that swallows End, and where the clock is set back it
// stays quiet through the second pass, even while the wall clock reads a time outside the window in between.
func (w Window) until(now time.Time, loc *time.Location) (end time.Time, quiet bool) {
	end = now.In(loc)
	for again := true; again; { // a clock change can make one night's quiet run into the next
		again = false
		for day := -1; day <= 1; day++ {
			from, to := w.night(end, day)
			if !end.Before(from) && end.Before(to) {
				end, quiet, again = to, true, true
			}
		}
	}
	return end, quiet
}

// next returns the first start of quiet hours after t.
func (w Window) next(t time.Time) time.Time {
	for day := -1; ; day++ {
		if from, to := w.night(t, day); from.After(t) && from.Before(to) {
			return from
		}
	}
}

// night returns the quiet hours that start on t's local date plus day. They are empty (from equals to) if a
// DST gap swallows them.
func (w Window) night(t time.Time, day int) (from, to time.Time) {
	year, month, date := t.Date()
	midnight := time.Date(year, month, date+day, 0, 0, 0, 0, time.UTC)
	start := midnight.Add(time.Duration(w.Start) * time.Minute)
	end := midnight.Add(time.Duration(w.End) * time.Minute)
	if w.Start > w.End {
		end = end.AddDate(0, 0, 1)
	}
	from, _ = passes(start, t.Location())
	_, to = passes(end, t.Location())
	return from, to
}

// passes returns the first instant at which the wall clock in loc reads wall or later, and the instant from
// which on it never reads earlier than wall again. They are the same instant unless wall is near a time that
// the clock shows twice. The wall clock time is given as if it were UTC.
func passes(wall time.Time, loc *time.Location) (first, last time.Time) {
	const widest = 26 * time.Hour // more than any zone is away from UTC
	for t := wall.Add(-widest).In(loc); t.Before(wall.Add(widest)); {
		_, offset := t.Zone() // holds until change
		_, change := t.ZoneBounds()
		if !change.IsZero() && !change.After(t) {
			// On 31 December of leap years ZoneBounds (Go 1.26) may name a change that is past: go on in small steps.
			change = t.Add(15 * time.Minute)
		}
		at := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if at.Before(t) {
			at = t
		}
		if !change.IsZero() && at.After(change) {
			at = change
		}
		if first.IsZero() && (change.IsZero() || at.Before(change)) {
			first = at
		}
		if at.After(t) {
			last = at
		}
		if change.IsZero() {
			break
		}
		t = change
	}
	return first, last
}

// String is the time of day as "22:00".
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c/60, c%60) }

// MarshalText makes JSON of it.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads exactly "HH:MM", 00:00 to 23:59.
func (c *Clock) UnmarshalText(text []byte) error {
	t, err := time.Parse("15:04", string(text))
	if err != nil || len(text) != len("15:04") {
		return errors.New("use a time of day from 00:00 to 23:59")
	}
	*c = Clock(t.Hour()*60 + t.Minute())
	return nil
}
