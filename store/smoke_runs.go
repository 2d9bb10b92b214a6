package store

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
)

// SmokeRun is what a run of smoke tests found: the evidence that a rollout's gate looks at.
type SmokeRun struct {
	ID          uuid.UUID
	Kind        string // policy, …
	Build       string // of what was tested
	Environment string // its address
	StartedAt   time.Time
	FinishedAt  time.Time
	Passed      int
	Failed      int
	Items       []SmokeItem
	By          string
	CreatedAt   time.Time
}

// SmokeItem is one scenario of a run.
type SmokeItem struct {
	ID       int             `json:"id"`
	Name     string          `json:"name"`
	Outcome  string          `json:"outcome" enum:"passed,failed"`
	Evidence json.RawMessage `json:"evidence" doc:"What was seen; no numbers and no texts"`
}

// Outcome is passed only if everything did.
func (r SmokeRun) Outcome() string {
	if r.Failed == 0 && r.Passed > 0 {
		return "passed"
	}
	return "failed"
}

// KeepSmokeRun keeps what a run found, for good. What passed and failed is counted here.
func (s *Store) KeepSmokeRun(ctx context.Context, r SmokeRun) (SmokeRun, error) {
	if r.FinishedAt.Before(r.StartedAt) {
		return r, domain.E(domain.Invalid, "bad_times", "a run ends after it has begun").About("finished_at")
	}
	r.ID, r.Passed, r.Failed = uuid.Must(uuid.NewV7()), 0, 0
	for _, item := range r.Items {
		if item.Outcome == "passed" {
			r.Passed++
		} else {
			r.Failed++
		}
	}
	actor := audit.ActorFrom(ctx)
	r.By = actor.EntryName()
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		err := tx.pgx.QueryRow(ctx, `INSERT INTO smoke_runs (id, kind, build, environment, started_at, finished_at, outcome, passed, failed, items, actor_kind, actor_id, actor)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING created_at`, r.ID, r.Kind, r.Build, r.Environment, r.StartedAt, r.FinishedAt,
			r.Outcome(), r.Passed, r.Failed, r.Items, actor.Kind, cmp.Or(actor.ID, actor.Name), r.By).Scan(&r.CreatedAt)
		return audit.Entry{Action: "smoke.recorded", Target: "smoke_run/" + r.ID.String(),
			Diff: map[string]any{"kind": r.Kind, "build": r.Build, "outcome": r.Outcome(), "passed": r.Passed, "failed": r.Failed}}, err
	})
	return r, err
}

// SmokeRuns lists the runs of a kind ("": of all), newest first, those older than `before` (uuid.Nil: from the newest on).
func (s *Store) SmokeRuns(ctx context.Context, kind string, before uuid.UUID, limit int) ([]SmokeRun, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, kind, build, environment, started_at, finished_at, passed, failed, items, actor, created_at FROM smoke_runs
		WHERE ($1 = '' OR kind = $1) AND ($2 = '00000000-0000-0000-0000-000000000000'::uuid OR id < $2) ORDER BY id DESC LIMIT $3`, kind, before, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r SmokeRun, err error) {
		return r, row.Scan(&r.ID, &r.Kind, &r.Build, &r.Environment, &r.StartedAt, &r.FinishedAt, &r.Passed, &r.Failed, &r.Items, &r.By, &r.CreatedAt)
	})
	return all, unavailable(err)
}
