package drill

import (
	"fmt"
	"strings"
	"time"

	"lastcall/domain/policy"
)

// Cap is the most that a drill scores when a key expectation was missed, whatever else went well.
const Cap = 50

// Verdict is how a drill went.
type Verdict struct {
	Score  int         `json:"score" minimum:"0" maximum:"100"`
	Parts  []ScorePart `json:"score_parts"`
	Capped string      `json:"capped,omitempty" doc:"Why the score is not higher, whatever the parts add up to"`
}

// ScorePart is what one expectation was worth.
type ScorePart struct {
	Event  Event    `json:"event"`
	Weight int      `json:"weight" doc:"The most it is worth"`
	Points int      `json:"points"`
	Within float64  `json:"within" doc:"Seconds that it had"`
	After  *float64 `json:"after" doc:"Seconds that it took; null: it was not measured"`
	Met    bool     `json:"met"`
	Key    bool     `json:"key,omitempty" doc:"Missed, it caps the score"`
	Why    string   `json:"why" doc:"In words"`
}

// Judge scores a drill from 0 to 100: each expectation that was met in time is worth its weight, one that was met late, or
// an alert that did not come alone, half of it, and what was not measured nothing at all. A key expectation that was not
// met in time caps the score, and a drill that never put its fault in the way scores 0.
func (r Record) Judge() Verdict {
	v := Verdict{Parts: []ScorePart{}}
	for _, e := range r.Scenario.Expect {
		p := ScorePart{Event: e.Event, Weight: e.Weight, Within: time.Duration(e.Within).Seconds(), After: r.after(e.Event), Key: e.Key}
		alone := e.Event != Alerted || len(r.Others) == 0
		switch {
		case p.After == nil && r.InjectedAt == nil:
			p.Why = "never run"
		case p.After == nil:
			p.Why = "not seen"
		case *p.After > p.Within:
			p.Points, p.Why = e.Weight/2, fmt.Sprintf("late by %s", span(*p.After-p.Within))
		case !alone:
			p.Points, p.Why = e.Weight/2, "other alerts came too: "+strings.Join(r.Others, ", ")
		default:
			p.Points, p.Met, p.Why = e.Weight, true, "in time"
		}
		v.Score += p.Points
		v.Parts = append(v.Parts, p)
	}
	for _, p := range v.Parts {
		if p.Key && !p.Met && v.Score > Cap {
			v.Score, v.Capped = Cap, fmt.Sprintf("%s is a key expectation: %s", p.Event, p.Why)
		}
	}
	return v
}

// deviates reports whether an expectation was missed.
func (v Verdict) deviates() bool {
	for _, p := range v.Parts {
		if !p.Met {
			return true
		}
	}
	return false
}

func span(s float64) policy.Span {
	return policy.Span(time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond))
}
