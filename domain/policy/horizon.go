package policy

import (
	"time"

	"lastcall/domain/contact"
)

// Until is Clock, and when its answer next changes by time alone; zero if it never does. Who reckons ahead goes
// from one such instant to the next.
func (s Settings) Until(sub Subject, now time.Time) (d Decision, next time.Time) {
	d = s.Clock(sub, now)
	if !d.Permitted {
		if d.RetryAfter != nil {
			next = *d.RetryAfter
		}
		return d, next
	}
	hours := s.QuietHours[sub.Country].For(sub.Locale, sub.Channel)
	loc, err := contact.LoadZone(sub.Zone)
	if len(hours) == 0 {
		return d, next
	}
	if err != nil {
		if d.OverrideID != "" { // after it nobody knows again whether it is night
			next = sub.Lift.Until
		}
		return d, next
	}
	return d, windows(hours).closes(now.In(loc), loc, sub.Lift)
}
