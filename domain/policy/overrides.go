package policy

import (
	"fmt"
	"time"
)

// Overrides bound what project leads may let go on. JSON: {"max_window":"4h","request_ttl":"24h"}.
type Overrides struct {
	MaxWindow  Span `json:"max_window"`  // the longest that one holds; up to LongestOverride
	RequestTTL Span `json:"request_ttl"` // how long a request waits for a decision
}

// LongestOverride is the longest that any setting allows; the database knows it, too.
const LongestOverride = 24 * time.Hour

// ParseOverrides reads the JSON of Overrides, in which both fields must be set. Everything wrong with it comes as
// domain.Invalid errors, joined, each naming its field; their codes are bad_json, duplicate_field, unknown_field,
// missing_field and bad_duration.
func ParseOverrides(text []byte) (Overrides, error) {
	const window, ttl = "use a duration from 1m to 24h, in quotes, such as \"4h\"", "use a duration from 1m to 720h, in quotes, such as \"24h\""
	var p problems
	var o Overrides
	if p.fields(member{value: text}, "bad_duration", "",
		target{name: "max_window", into: &o.MaxWindow, use: window}, target{name: "request_ttl", into: &o.RequestTTL, use: ttl}) {
		if d := time.Duration(o.MaxWindow); d < time.Minute || d > LongestOverride {
			p.add("max_window", "bad_duration", "%s", window)
		}
		if d := time.Duration(o.RequestTTL); d < time.Minute || d > 720*time.Hour {
			p.add("request_ttl", "bad_duration", "%s", ttl)
		}
	}
	return o, p.err()
}

// Lift is an override of the message, or of its campaign: from From until before Until quiet hours do not hold for it, nor does
// not knowing its zone hold it. Every other rule does. Zero: there is none.
type Lift struct {
	ID          string // the override's
	From, Until time.Time
}

// String is the lift for people.
func (l Lift) String() string {
	const at = "2 Jan 15:04 UTC"
	return fmt.Sprintf("quiet hours are lifted for the campaign from %s to %s, by an override", l.From.UTC().Format(at), l.Until.UTC().Format(at))
}

func (l Lift) holds(t time.Time) bool { return !t.Before(l.From) && t.Before(l.Until) }

// sooner is the earlier of a block's end (nil: nobody knows one) and the lift's beginning, if that is to come.
func (l Lift) sooner(end *time.Time, now time.Time) (at *time.Time, lifted bool) {
	if l.From.After(now) && l.Until.After(l.From) && (end == nil || l.From.Before(*end)) {
		return &l.From, true
	}
	return end, false
}
