package drill

import (
	"slices"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// Schedule says when a drill begins by itself: on these days of the week, at this time of a zone's clocks.
type Schedule struct {
	Scenario string         `json:"scenario"`
	Days     []time.Weekday `json:"days"` // one at least, each once
	At       string         `json:"at"`   // ClockFormat
	Zone     string         `json:"zone"` // IANA
	Paused   bool           `json:"paused,omitempty"`
}

// ClockFormat is of Schedule.At.
const ClockFormat = "15:04"

// Check tells what is wrong with a schedule: domain.Invalid of code bad_days, bad_time or bad_zone.
func (s Schedule) Check() error {
	if len(s.Days) == 0 || len(s.Days) > 7 || slices.ContainsFunc(s.Days, func(d time.Weekday) bool { return d < 0 || d > 6 }) {
		return domain.E(domain.Invalid, "bad_days", "name the days of the week on which it begins").About("days")
	}
	if at, err := time.Parse(ClockFormat, s.At); err != nil || at.Format(ClockFormat) != s.At {
		return domain.E(domain.Invalid, "bad_time", "use a time such as 10:00 or 17:30").About("at")
	}
	if _, err := contact.LoadZone(s.Zone); err != nil {
		return domain.E(domain.Invalid, "bad_zone", "there is no time zone %q; use one such as Africa/Kigali", s.Zone).About("zone")
	}
	return nil
}

// Next is the first time after t at which a drill is to begin, paused or not; false for a schedule that is wrong. A time that
// the clocks skip that night does not come that week; one that they show twice is the first.
func (s Schedule) Next(t time.Time) (time.Time, bool) { return s.near(t, 1) }

// Last is the latest time at or before t at which a drill was to begin.
func (s Schedule) Last(t time.Time) (time.Time, bool) { return s.near(t, -1) }

// near looks day by day, into the future or the past. Within three weeks there is one: clocks skip a time once a year.
func (s Schedule) near(t time.Time, way int) (time.Time, bool) {
	zone, err := contact.LoadZone(s.Zone)
	if err != nil || s.Check() != nil {
		return time.Time{}, false
	}
	clock, _ := time.Parse(ClockFormat, s.At) // checked
	today := t.In(zone)
	for i := range 22 {
		at := time.Date(today.Year(), today.Month(), today.Day()+way*i, clock.Hour(), clock.Minute(), 0, 0, zone)
		if first := at.Add(-time.Hour); first.Format(ClockFormat) == s.At {
			at = first
		}
		if at.After(t) != (way > 0) || at.Format(ClockFormat) != s.At || !slices.Contains(s.Days, at.Weekday()) {
			continue
		}
		return at, true
	}
	return time.Time{}, false
}

// DayName is a day of the week as people and the API write it: monday.
func DayName(d time.Weekday) string { return strings.ToLower(d.String()) }

// ParseDay reads a day's name, or its first three letters; domain.Invalid of code bad_days.
func ParseDay(name string) (time.Weekday, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name == DayName(d) || name == DayName(d)[:3] {
			return d, nil
		}
	}
	return 0, domain.E(domain.Invalid, "bad_days", "%q is no day of the week; use such as monday", name).About("days")
}
