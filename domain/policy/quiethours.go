package policy

import (
	"fmt"
	"time"

	"lastcall/domain/contact"
)

// quietHours objects while it is quiet where sub is and no override lifts that.
func (s Settings) quietHours(sub Subject, now time.Time) *block {
	if sub.Lift.holds(now) {
		return nil
	}
	return s.quiet(sub, now)
}

// lifted is the override but for which quietHours would object; "" if there is none.
func (s Settings) lifted(sub Subject, now time.Time) string {
	if sub.Lift.holds(now) && s.quiet(sub, now) != nil {
		return sub.Lift.ID
	}
	return ""
}

// quiet objects while it is quiet where sub is, and also where there are quiet hours but nobody knows sub's zone,
// unless such recipients are not held.
func (s Settings) quiet(sub Subject, now time.Time) *block {
	hours := s.QuietHours[sub.Country].For(sub.Locale, sub.Channel)
	if len(hours) == 0 {
		return nil
	}
	loc, err := contact.LoadZone(sub.Zone)
	if err != nil {
		if s.MissingZone.Policy == Send {
			return nil
		}
		b := &block{reason: InQuietHours, why: fmt.Sprintf("no known zone in %s: held", sub.Country)}
		if at, lifted := sub.Lift.sooner(nil, now); lifted {
			b.retryAfter, b.why = at, fmt.Sprintf("%s until an override, %s", b.why, opensAt(at.UTC(), now))
		}
		return b
	}
	opens, quiet := windows(hours).until(now, loc)
	if !quiet {
		return nil
	}
	b := &block{reason: InQuietHours, retryAfter: &opens, why: fmt.Sprintf("quiet hours %s until %s", sub.Country, opensAt(opens, now))}
	if at, lifted := sub.Lift.sooner(&opens, now); lifted {
		opens = at.In(loc)
		b.why = fmt.Sprintf("quiet hours %s until an override, %s", sub.Country, opensAt(opens, now))
	}
	b.nextWindow = &Opening{Opens: opens, Closes: windows(hours).closes(opens, loc, sub.Lift), Zone: sub.Zone}
	return b
}

// closes returns when quiet hours next hold, after t, at which they do not; zero: never.
func (all windows) closes(t time.Time, loc *time.Location, l Lift) time.Time {
	for {
		if !l.holds(t) {
			if t = all.next(t.In(loc)); t.IsZero() || !l.holds(t) {
				return t
			}
		}
		if t = l.Until.In(loc); all.quietAt(t, loc) {
			return t
		}
	}
}

func (all windows) quietAt(t time.Time, loc *time.Location) bool {
	_, quiet := all.until(t, loc)
	return quiet
}

// opensAt is when quiet hours end, for people: the time of day, and the date where it is more than a day away.
func opensAt(opens, now time.Time) string {
	if opens.Sub(now) > 24*time.Hour {
		return opens.Format("Mon 2 Jan 15:04 MST")
	}
	return opens.Format("15:04 MST")
}

// windows are all that make quiet.
type windows []Window

// longestQuiet bounds the search for the end of quiet hours that, whatever the parser refuses, have none.
const longestQuiet = 30 * 24 * time.Hour

// until reports whether it is quiet at now in loc, and until when.
//
// One night's quiet lasts from the first instant at which the wall clock reads Start or later until it has
// left the window for good. So it ends after a DST gap that swallows End, and where the clock is set back it
// stays quiet through the second pass, even while the wall clock reads a time outside the window in between.
func (all windows) until(now time.Time, loc *time.Location) (end time.Time, quiet bool) {
	end = now.In(loc)
	for again := true; again && end.Sub(now) < longestQuiet; { // one night's quiet may run into the next
		again = false
		for _, w := range all {
			for day := -1; day <= 1; day++ {
				from, to := w.night(end, day)
				if !end.Before(from) && end.Before(to) {
					end, quiet, again = to, true, true
				}
			}
		}
	}
	return end, quiet
}

// next returns the first start of quiet hours after t, at which it is not quiet.
func (all windows) next(t time.Time) (first time.Time) {
	for _, w := range all {
		for day := -1; ; day++ {
			if from, to := w.night(t, day); from.After(t) && from.Before(to) {
				if first.IsZero() || from.Before(first) {
					first = from
				}
				break
			}
		}
	}
	return first
}

// night returns the quiet hours that start on t's local date plus day. They are empty (from equals to) if a
// DST gap swallows them or none start on that weekday.
func (w Window) night(t time.Time, day int) (from, to time.Time) {
	year, month, date := t.Date()
	midnight := time.Date(year, month, date+day, 0, 0, 0, 0, time.UTC)
	if w.Start == w.End || !w.Days.Has(midnight.Weekday()) {
		return t, t
	}
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
