package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/drill"
	"lastcall/domain/probe"
	"lastcall/store"
	"lastcall/workflows"
)

// DrillHead is a drill without its journal.
type DrillHead struct {
	DrillID    uuid.UUID   `json:"drill_id" format:"uuid"`
	Scenario   string      `json:"scenario"`
	Title      string      `json:"title"`
	Reason     string      `json:"reason"`
	By         string      `json:"by" doc:"Who began it"`
	Status     drill.State `json:"status" enum:"preflight,injected,recovering,completed,failed,aborted,interrupted" doc:"completed: the loop was seen to its end, however it went; failed: something was not steady, so it did not begin"`
	Why        string      `json:"why,omitempty" doc:"It failed, was aborted or interrupted"`
	Fast       bool        `json:"fast"`
	Score      *int        `json:"score" doc:"0 to 100; null: it is not over"`
	Deviated   *bool       `json:"deviated" doc:"Something was not as expected; null: it is not over"`
	Start      time.Time   `json:"start"`
	InjectedAt *time.Time  `json:"injected_at,omitempty"`
	End        *time.Time  `json:"end,omitempty"`
}

// Drill is a drill with its journal: as it was written when it ended, or as of now.
type Drill struct {
	DrillID     uuid.UUID  `json:"drill_id" format:"uuid"`
	Scenario    string     `json:"scenario"`
	Reason      string     `json:"reason"`
	By          string     `json:"by" doc:"Who began it"`
	StoppedBy   string     `json:"stopped_by,omitempty"`
	OverrideID  *uuid.UUID `json:"override_id,omitempty" format:"uuid" doc:"That let it run in production"`
	CampaignID  *uuid.UUID `json:"campaign_id,omitempty" format:"uuid" doc:"Its own, without targets, that a rule is to pause"`
	InjectedAt  *time.Time `json:"injected_at,omitempty" doc:"The fault was there"`
	RevertedAt  *time.Time `json:"reverted_at,omitempty" doc:"The fault was gone"`
	Now         time.Time  `json:"now" doc:"The server's time"`
	TemporalWeb string     `json:"temporal_web,omitempty" doc:"Its workflow in Temporal Web"`
	drill.Journal
}

// DrillPage is one page of drills, newest first.
type DrillPage struct {
	Drills []DrillHead `json:"drills"`
	Next   string      `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// DrillScenarios are what can be drilled.
type DrillScenarios struct {
	Scenarios []DrillScenario `json:"scenarios"`
}

// DrillScenario is a scenario with what a drill of it takes away meanwhile.
type DrillScenario struct {
	drill.Scenario
	Impact string `json:"impact" doc:"What does not work while the fault is there"`
}

// NewDrill begins a drill.
type NewDrill struct {
	Scenario string `json:"scenario" maxLength:"40" example:"messaging-outage"`
	Fast     bool   `json:"fast,omitempty" doc:"With thresholds of seconds; the drill acknowledges its alert by its own script"`
	Reason   string `json:"reason" minLength:"1" maxLength:"500" doc:"For the audit log"`
}

// DrillAbort says why a drill is stopped.
type DrillAbort struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"For the audit log"`
}

// DrillPath is the part of an address that names a drill.
type DrillPath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type drillOutput struct {
	Body Drill
}

func (s *server) drills() {
	tags := []string{"Drills"}
	register(s, access.DrillsRead, huma.Operation{OperationID: "list-drill-scenarios", Method: http.MethodGet, Path: "/drill-scenarios", Tags: tags,
		Summary: "List what can be drilled"},
		func(context.Context, *struct{}) (*struct{ Body DrillScenarios }, error) {
			out := DrillScenarios{Scenarios: make([]DrillScenario, len(s.Drills))}
			for i, sc := range s.Drills {
				out.Scenarios[i].Scenario = sc
				for _, f := range probe.Functions {
					if f.Name == sc.Fault.EdgeFunction {
						out.Scenarios[i].Impact = f.Impact
					}
				}
			}
			return &struct{ Body DrillScenarios }{out}, nil
		})
	register(s, access.DrillsRead, huma.Operation{OperationID: "list-drills", Method: http.MethodGet, Path: "/drills", Tags: tags,
		Summary: "List drills, newest first"},
		func(ctx context.Context, in *struct {
			Scenario string    `query:"scenario" maxLength:"40" doc:"Only those of this scenario"`
			After    uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body DrillPage }, error) {
			all, err := s.Store.Drills(ctx, store.DrillFilter{Scenario: in.Scenario, Before: in.After, Limit: in.fetch()})
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(d store.Drill) string { return d.ID.String() })
			page := DrillPage{Drills: make([]DrillHead, len(all)), Next: next}
			for i, d := range all {
				page.Drills[i] = DrillHead{DrillID: d.ID, Scenario: d.Scenario, Title: d.Experiment.Title, Reason: d.Reason, By: d.Actor, Status: d.State,
					Why: d.Why, Fast: d.Fast, Score: d.Score, Deviated: d.Deviated, Start: d.CreatedAt, InjectedAt: d.InjectedAt, End: d.EndedAt}
			}
			return &struct{ Body DrillPage }{page}, nil
		})
	register(s, access.DrillsRead, huma.Operation{OperationID: "get-drill", Method: http.MethodGet, Path: "/drills/{id}", Tags: tags,
		Summary: "Get a drill with its journal", Description: "While it runs, as of now; what is not measured yet is null and scores nothing."},
		func(ctx context.Context, in *DrillPath) (*drillOutput, error) { return s.drill(ctx, in.ID) })
	register(s, access.DrillsRun, huma.Operation{OperationID: "start-drill", Method: http.MethodPost, Path: "/drills", Tags: tags,
		Summary: "Begin a drill", DefaultStatus: http.StatusCreated, Errors: append([]int{http.StatusForbidden, http.StatusNotFound}, refusals...),
		Description: "Its workflow looks whether all is steady, puts the fault in the way, watches what the system makes of it, takes the fault away whatever " +
			"happens, and scores what was measured. One that is not steady before ends as `failed`, without a fault. Fails as `unknown_scenario`, status 404; `drill_open`, " +
			"status 409, while another one runs; and `drill_needs_override`, status 403, where messages go to people and no override of kind production_drill is active."},
		func(ctx context.Context, in *struct {
			IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again returns the same drill"`
			Body           NewDrill
		}) (*drillOutput, error) {
			if err := checkKey(in.IdempotencyKey); err != nil {
				return nil, err
			}
			if in.Body.Reason = strings.TrimSpace(in.Body.Reason); in.Body.Reason == "" {
				return nil, domain.E(domain.Invalid, "no_reason", "say what it is for").About("reason")
			}
			scenario, err := drill.Find(s.Drills, in.Body.Scenario)
			if err != nil {
				return nil, err
			}
			hash, err := hashOf(in.Body)
			if err != nil {
				return nil, err
			}
			d, err := s.Store.StartDrill(ctx, store.NewDrill{Scenario: scenario, Fast: in.Body.Fast, Reason: in.Body.Reason,
				IdempotencyKey: in.IdempotencyKey, RequestHash: hash})
			if err != nil {
				return nil, err
			}
			return s.drill(ctx, d.ID)
		})
	register(s, access.DrillsRun, huma.Operation{OperationID: "abort-drill", Method: http.MethodPost, Path: "/drills/{id}/abort", Tags: tags,
		Summary: "Stop a drill", Errors: append([]int{http.StatusNotFound}, refusals...),
		Description: "Its fault is gone with the answer. The drill then sees that all is steady again and ends as `aborted`. Fails as `drill_over`, status 409, " +
			"when there is nothing to stop any more."},
		func(ctx context.Context, in *struct {
			DrillPath
			Body DrillAbort
		}) (*drillOutput, error) {
			if _, err := s.Store.StopDrill(ctx, in.ID, strings.TrimSpace(in.Body.Reason)); err != nil {
				return nil, err
			}
			return s.drill(ctx, in.ID)
		})
	s.drillSchedules()
}

func (s *server) drill(ctx context.Context, id uuid.UUID) (*drillOutput, error) {
	d, j, err := s.Store.DrillOf(ctx, id)
	if err != nil {
		return nil, err
	}
	out := Drill{DrillID: d.ID, Scenario: d.Scenario, Reason: d.Reason, By: d.Actor, StoppedBy: d.StoppedBy, OverrideID: d.OverrideID, CampaignID: d.CampaignID,
		InjectedAt: d.InjectedAt, RevertedAt: d.RevertedAt, Now: time.Now(), Journal: j}
	if s.TemporalWebURL != "" {
		out.TemporalWeb = strings.TrimRight(s.TemporalWebURL, "/") + "/namespaces/" + url.PathEscape(s.TemporalNamespace) +
			"/workflows/" + url.PathEscape(workflows.DrillID(d.ID))
	}
	return &drillOutput{out}, nil
}
