package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/store"
)

// NewSmokeRun is what a run of smoke tests found.
type NewSmokeRun struct {
	Kind        string            `json:"kind" pattern:"^[a-z][a-z_]{0,39}$" patternDescription:"lower-case letters and _" example:"policy"`
	Build       string            `json:"build" maxLength:"200" doc:"Of what was tested"`
	Environment string            `json:"environment" maxLength:"200" doc:"Where it runs"`
	StartedAt   time.Time         `json:"started_at"`
	FinishedAt  time.Time         `json:"finished_at"`
	Items       []store.SmokeItem `json:"items" minItems:"1" maxItems:"200"`
}

// SmokeRun is a run of smoke tests that is kept.
type SmokeRun struct {
	SmokeRunID uuid.UUID `json:"smoke_run_id" format:"uuid"`
	NewSmokeRun
	Outcome      string    `json:"outcome" enum:"passed,failed,inconclusive" doc:"inconclusive: nothing failed, and something could not be proven"`
	Passed       int       `json:"passed"`
	Failed       int       `json:"failed"`
	Inconclusive int       `json:"inconclusive" doc:"What could not be proven"`
	By           string    `json:"by" doc:"Who ran it"`
	CreatedAt    time.Time `json:"created_at"`
}

// SmokeRunPage is one page of runs, newest first.
type SmokeRunPage struct {
	SmokeRuns []SmokeRun `json:"smoke_runs"`
	Next      string     `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

func (s *server) smokeRuns() {
	tags := []string{"Smoke tests"}
	register(s, access.SmokeWrite, huma.Operation{OperationID: "record-smoke-run", Method: http.MethodPost, Path: "/smoke-runs", Tags: tags,
		Summary: "Record what a run of smoke tests found", Description: "For the rollout's gate. It stays as it is.", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body NewSmokeRun }) (*struct{ Body SmokeRun }, error) {
			r, err := s.Store.KeepSmokeRun(ctx, store.SmokeRun{Kind: in.Body.Kind, Build: in.Body.Build, Environment: in.Body.Environment,
				StartedAt: in.Body.StartedAt, FinishedAt: in.Body.FinishedAt, Items: in.Body.Items})
			return &struct{ Body SmokeRun }{smokeRunOf(r)}, err
		})
	register(s, access.SmokeRead, huma.Operation{OperationID: "list-smoke-runs", Method: http.MethodGet, Path: "/smoke-runs", Tags: tags,
		Summary: "List runs of smoke tests, newest first"},
		func(ctx context.Context, in *struct {
			Kind  string    `query:"kind" maxLength:"40" doc:"Only of this kind" example:"policy"`
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body SmokeRunPage }, error) {
			all, err := s.Store.SmokeRuns(ctx, in.Kind, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(r store.SmokeRun) string { return r.ID.String() })
			page := SmokeRunPage{SmokeRuns: make([]SmokeRun, len(all)), Next: next}
			for i, r := range all {
				page.SmokeRuns[i] = smokeRunOf(r)
			}
			return &struct{ Body SmokeRunPage }{page}, nil
		})
}

func smokeRunOf(r store.SmokeRun) SmokeRun {
	return SmokeRun{SmokeRunID: r.ID, NewSmokeRun: NewSmokeRun{Kind: r.Kind, Build: r.Build, Environment: r.Environment, StartedAt: r.StartedAt,
		FinishedAt: r.FinishedAt, Items: r.Items}, Outcome: r.Outcome(), Passed: r.Passed, Failed: r.Failed, Inconclusive: r.Inconclusive, By: r.By, CreatedAt: r.CreatedAt}
}
