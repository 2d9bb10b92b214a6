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

// The kinds of runs that a rollout's gate knows.
const (
	SmokePolicy  = "policy"  // the rules
	SmokeAdmin   = "admin"   // the panel's items, 1 to 20
	SmokeStation = "station" // the station app's, 21 to 30
)

// The outcomes of an item. What cannot be proven is inconclusive, and says why; it is never passed.
const (
	SmokePassed       = "passed"
	SmokeFailed       = "failed"
	SmokeInconclusive = "inconclusive"
)

// SmokeRun is what a run of smoke tests found: the evidence that a rollout's gate looks at.
type SmokeRun struct {
	ID           uuid.UUID
	Kind         string // SmokePolicy, …
	Build        string // of what was tested
	Environment  string // its address
	StartedAt    time.Time
	FinishedAt   time.Time
	Passed       int
	Failed       int
	Inconclusive int
	Items        []SmokeItem
	By           string
	CreatedAt    time.Time
}

// SmokeItem is one scenario of a run.
type SmokeItem struct {
	ID       int             `json:"id"`
	Name     string          `json:"name"`
	Outcome  string          `json:"outcome" enum:"passed,failed,inconclusive"`
	Evidence json.RawMessage `json:"evidence" doc:"What was seen; no numbers and no texts"`
}

// Outcome is passed only if everything did; inconclusive if nothing failed, and something could not be proven.
func (r SmokeRun) Outcome() string {
	switch {
	case r.Failed == 0 && r.Inconclusive > 0:
		return SmokeInconclusive
	case r.Failed == 0 && r.Passed > 0:
		return SmokePassed
	}
	return SmokeFailed
}

// KeepSmokeRun keeps what a run found, for good. What passed and failed is counted here.
func (s *Store) KeepSmokeRun(ctx context.Context, r SmokeRun) (SmokeRun, error) {
	if r.FinishedAt.Before(r.StartedAt) {
		return r, domain.E(domain.Invalid, "bad_times", "a run ends after it has begun").About("finished_at")
	}
	r.ID, r.Passed, r.Failed, r.Inconclusive = uuid.Must(uuid.NewV7()), 0, 0, 0
	for _, item := range r.Items {
		switch item.Outcome {
		case SmokePassed:
			r.Passed++
		case SmokeInconclusive:
			r.Inconclusive++
		default:
			r.Failed++
		}
	}
	actor := audit.ActorFrom(ctx)
	r.By = actor.EntryName()
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		err := tx.pgx.QueryRow(ctx, `INSERT INTO smoke_runs (id, kind, build, environment, started_at, finished_at, outcome, passed, failed, items, actor_kind, actor_id, actor, inconclusive)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING created_at`, r.ID, r.Kind, r.Build, r.Environment, r.StartedAt, r.FinishedAt,
			r.Outcome(), r.Passed, r.Failed, r.Items, actor.Kind, cmp.Or(actor.ID, actor.Name), r.By, r.Inconclusive).Scan(&r.CreatedAt)
		return audit.Entry{Action: "smoke.recorded", Target: "smoke_run/" + r.ID.String(),
			Diff: map[string]any{"kind": r.Kind, "build": r.Build, "outcome": r.Outcome(), "passed": r.Passed, "failed": r.Failed, "inconclusive": r.Inconclusive}}, err
	})
	return r, err
}

// SmokeRuns lists the runs of a kind ("": of all), newest first, those older than `before` (uuid.Nil: from the newest on).
func (s *Store) SmokeRuns(ctx context.Context, kind string, before uuid.UUID, limit int) ([]SmokeRun, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, kind, build, environment, started_at, finished_at, passed, failed, inconclusive, items, actor, created_at FROM smoke_runs
		WHERE ($1 = '' OR kind = $1) AND ($2 = '00000000-0000-0000-0000-000000000000'::uuid OR id < $2) ORDER BY id DESC LIMIT $3`, kind, before, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r SmokeRun, err error) {
		return r, row.Scan(&r.ID, &r.Kind, &r.Build, &r.Environment, &r.StartedAt, &r.FinishedAt, &r.Passed, &r.Failed, &r.Inconclusive, &r.Items, &r.By, &r.CreatedAt)
	})
	return all, unavailable(err)
}
