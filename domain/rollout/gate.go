package rollout

import (
	"fmt"
	"strings"
	"time"

	"lastcall/domain/access"
)

// Standing is all that is known of an item now.
type Standing struct {
	Item     Item
	Evidence *Evidence // the newest; nil: never looked
	ProvedAt time.Time // when it was last found so
	Signed   []access.Role
	Refused  []access.Role // seats whose holder last said no to what there is
	Waived   bool
}

// The codes of what keeps an item from being passed.
const (
	IsFailed       = "failed"
	IsInconclusive = "inconclusive"
	IsStale        = "stale"
	IsUnsigned     = "unsigned"
	IsRefused      = "refused"
)

// Open is something that a gate still waits for.
type Open struct {
	Item string `json:"item"`
	Code string `json:"code" doc:"failed, inconclusive, stale, unsigned or refused; of what is no item: announcement_missing, or a guardrail"`
	Why  string `json:"why"`
}

// Judge is what an item came to by now. What is open about it is nil when it is passed or waived.
func (s Standing) Judge(now time.Time) (Outcome, *Open) {
	open := func(code, why string, args ...any) *Open {
		return &Open{Item: s.Item.ID, Code: code, Why: fmt.Sprintf(why, args...)}
	}
	switch {
	case s.Waived:
		return Waived, nil
	case s.Evidence == nil && s.Item.Check != "":
		return Inconclusive, open(IsInconclusive, "nobody has looked yet")
	case s.Evidence != nil && s.Evidence.Outcome != Passed:
		return s.Evidence.Outcome, open(string(s.Evidence.Outcome), "%s", s.Evidence.Summary)
	case s.Stale(now):
		return Inconclusive, open(IsStale, "what was found is older than %s", Span(s.Item.StaleAfter))
	case len(s.Refused) > 0:
		return Failed, open(IsRefused, "%s said no", Names(s.Refused))
	}
	var missing []access.Role
	for _, seat := range s.Item.Quorum {
		if !has(s.Signed, seat) {
			missing = append(missing, seat)
		}
	}
	if len(missing) > 0 {
		return Inconclusive, open(IsUnsigned, "%s has not signed", Names(missing))
	}
	return Passed, nil
}

// Stale reports whether the evidence is too old to count.
func (s Standing) Stale(now time.Time) bool {
	return s.Evidence != nil && s.Item.StaleAfter > 0 && now.Sub(s.ProvedAt) > s.Item.StaleAfter
}

func has(all []access.Role, one access.Role) bool {
	for _, r := range all {
		if r == one {
			return true
		}
	}
	return false
}

// Names are roles as people say them: "project lead and ops".
func Names(roles []access.Role) string {
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = strings.ReplaceAll(string(r), "_", " ")
	}
	return strings.Join(words, " and ")
}

// Span is a length of time as people say it: "24 h", "90 min", "7 days".
func Span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return d.String()
}
