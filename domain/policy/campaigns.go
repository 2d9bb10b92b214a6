package policy

import (
	"encoding/json"
	"fmt"
	"time"

	"lastcall/domain"
)

// Campaigns says which campaigns a second person has to approve. JSON: {"approval":"always","max_late":"2h",
// "approval_ttl":"24h"}; approval is "never", "always" or {"above":10000}.
type Campaigns struct {
	Approval    ApprovalRule `json:"approval"`
	MaxLate     Span         `json:"max_late"`     // an approved campaign that would begin later than this after its time is asked about again
	ApprovalTTL Span         `json:"approval_ttl"` // how long an approval lets a campaign begin, from when it was given or from the time it is for
}

// ApprovalRule is when approval is needed.
type ApprovalRule struct {
	Rule  string // ApprovalNever, ApprovalAlways or ApprovalAbove
	Above int64  // of ApprovalAbove: with more targets than this
}

// The rules.
const (
	ApprovalNever  = "never"
	ApprovalAlways = "always"
	ApprovalAbove  = "above"
)

// Needed reports whether a campaign of so many targets needs approval.
func (r ApprovalRule) Needed(targets int64) bool {
	return r.Rule == ApprovalAlways || r.Rule == ApprovalAbove && targets > r.Above
}

// MarshalJSON is json.Marshaler.
func (r ApprovalRule) MarshalJSON() ([]byte, error) {
	if r.Rule == ApprovalAbove {
		return json.Marshal(map[string]int64{"above": r.Above})
	}
	return json.Marshal(r.Rule)
}

// UnmarshalJSON is json.Unmarshaler.
func (r *ApprovalRule) UnmarshalJSON(text []byte) error {
	var name string
	if json.Unmarshal(text, &name) == nil && (name == ApprovalNever || name == ApprovalAlways) {
		*r = ApprovalRule{Rule: name}
		return nil
	}
	var p problems
	above := int64(-1)
	if !p.fields(member{value: text}, "", "", target{name: "above", into: &above}) || above < 0 {
		return domain.E(domain.Invalid, "bad_approval", "is no rule")
	}
	*r = ApprovalRule{Rule: ApprovalAbove, Above: above}
	return nil
}

// Span is a duration as people write it: "90m", "24h".
type Span time.Duration

// String is the span in hours or minutes, if it is whole ones.
func (s Span) String() string {
	d := time.Duration(s)
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// MarshalText is encoding.TextMarshaler.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is encoding.TextUnmarshaler.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// ParseCampaigns reads the JSON of Campaigns, in which every field must be set. Everything wrong with it comes as
// domain.Invalid errors, joined, each naming its field; their codes are bad_json, duplicate_field, unknown_field,
// missing_field, bad_approval and bad_duration.
func ParseCampaigns(text []byte) (Campaigns, error) {
	const use = "use a duration from 1m to 720h, in quotes, such as \"2h\""
	least, most := Span(time.Minute), Span(720*time.Hour)
	var p problems
	var c Campaigns
	if p.fields(member{value: text}, "bad_duration", use,
		target{name: "approval", into: &c.Approval, code: "bad_approval", use: "use \"never\", \"always\" or {\"above\":N}, N being a whole number of targets"},
		target{name: "max_late", into: &c.MaxLate}, target{name: "approval_ttl", into: &c.ApprovalTTL}) {
		for _, s := range []struct {
			name string
			span Span
		}{{"max_late", c.MaxLate}, {"approval_ttl", c.ApprovalTTL}} {
			if s.span < least || s.span > most {
				p.add(s.name, "bad_duration", "%s", use)
			}
		}
	}
	return c, p.err()
}
