// Package review says when somebody looks at how a day went: once a day, at a local time, and when they are reminded.
package review

import (
	"fmt"
	"time"
)

// Hours are when reviews open and when those that nobody has signed are reminded of, by the venue's clocks. JSON:
// {"zone":"Africa/Kigali","at":"09:00","remind_at":"12:00"}.
type Hours struct {
	Zone     string `json:"zone"` // IANA
	At       string `json:"at"`
	RemindAt string `json:"remind_at"` // of the same day, later
}

// HourFormat is the format of Hours.At and RemindAt.
const HourFormat = "15:04"

// Day is a day whose review is due.
type Day struct {
	Name     string // "2026-11-24", of the zone's calendar; in a rehearsal "day 3"
	Opens    time.Time
	Reminds  time.Time
	From, To time.Time // what it is about: the day before
}

// Most is how many days of a phase are looked at.
const Most = 1000

// Due are the days of a phase whose reviews have opened by now, oldest first, and the one that opens next. A phase that began
// at `since` has one each calendar day from then on: at the local time, whatever the clocks do that night. With a factor other
// than 1 a day takes 24 h divided by it, counted from the beginning of the phase, and the calendar does not matter.
func (h Hours) Due(since, now time.Time, factor int) (due []Day, next Day, err error) {
	if factor > 1 {
		due, next = rehearsed(since, now, factor)
		return due, next, nil
	}
	zone, at, remind, err := h.parse()
	if err != nil {
		return nil, next, err
	}
	first := since.In(zone)
	on := func(day, hour, minute int) time.Time {
		return time.Date(first.Year(), first.Month(), first.Day()+day, hour, minute, 0, 0, zone)
	}
	for n := 0; n <= Most; n++ {
		d := Day{Name: on(n, 12, 0).Format("2006-01-02"), Opens: on(n, at.Hour(), at.Minute()), Reminds: on(n, remind.Hour(), remind.Minute()), From: on(n-1, 0, 0), To: on(n, 0, 0)}
		switch {
		case !d.Opens.After(since):
		case d.Opens.After(now):
			return due, d, nil
		default:
			due = append(due, d)
		}
	}
	return due, next, nil
}

func rehearsed(since, now time.Time, factor int) (due []Day, next Day) {
	day, morning := 24*time.Hour/time.Duration(factor), 3*time.Hour/time.Duration(factor)
	for n := 1; n <= Most; n++ {
		d := Day{Name: fmt.Sprintf("day %d", n), From: since.Add(time.Duration(n-1) * day), To: since.Add(time.Duration(n) * day)}
		d.Opens, d.Reminds = d.To, d.To.Add(morning)
		if d.Opens.After(now) {
			return due, d
		}
		due = append(due, d)
	}
	return due, next
}

func (h Hours) parse() (zone *time.Location, at, remind time.Time, err error) {
	if zone, err = time.LoadLocation(h.Zone); err != nil {
		return nil, at, remind, err
	}
	if at, err = time.Parse(HourFormat, h.At); err == nil {
		remind, err = time.Parse(HourFormat, h.RemindAt)
	}
	return zone, at, remind, err
}

// Location is the zone whose clocks count; UTC when nobody knows it.
func (h Hours) Location() *time.Location {
	if zone, err := time.LoadLocation(h.Zone); err == nil {
		return zone
	}
	return time.UTC
}

// The codes of refusals about reviews.
const (
	NotFound = "review_not_found"
	Signed   = "review_signed" // somebody has
)
