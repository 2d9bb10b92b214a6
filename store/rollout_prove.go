package store

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

// checking is what a check looks with.
type checking struct {
	db    querier
	store *Store
	Rollout
	item rollout.Item
}

// checks are the registry: what proves an item, or shows what is attested, by the name that plans use. Each is in a file of
// its own, check_<name>.go, and enters itself here; another one is one more file.
var checks = map[string]func(ctx context.Context, c checking) (rollout.Evidence, error){}

// KnownCheck reports whether a plan may name this check.
func KnownCheck(name string) bool { return checks[name] != nil }

// look has the check of an item look. A check that cannot look proves nothing; domain.Unavailable is for trying again.
func (c checking) look(ctx context.Context) (rollout.Evidence, error) {
	find := checks[c.item.Check]
	if find == nil {
		return rollout.Missing("this Lastcall has no check " + c.item.Check), nil // the plan is of another one
	}
	e, err := find(ctx, c)
	if err != nil {
		return e, err
	}
	if e.Figures == nil {
		e.Figures = []rollout.Exhibit{}
	}
	return e, nil
}

// ProveItem looks anew whether an item of the rollout's phase is so, and keeps what was found: another finding as another
// row, with its entry in the audit log. Signatures that were given to something else are void from then on, and said to be.
// Of a rollout that is over, or an item that is not the phase's, it does nothing.
func (s *Store) ProveItem(ctx context.Context, name, id string) (outcome rollout.Outcome, err error) {
	r, err := readRollout(ctx, s.pool, `r.name = $1`, name)
	if err != nil {
		return "", err
	}
	item, phase, ok := r.Plan.Item(id)
	if !ok || r.EndedAt != nil || phase != r.Phase || item.Check == "" {
		return "", nil
	}
	e, err := checking{s.pool, s, r, item}.look(ctx)
	if domain.KindOf(err) == domain.Unavailable {
		return "", err
	}
	if err != nil {
		e = rollout.Missing("it could not be looked at: " + domain.CodeOf(err))
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		now, err := tx.lockRollout()
		if err != nil || now.Name != r.Name || now.Phase != r.Phase || now.PlanVersion != r.PlanVersion {
			return err // it went on meanwhile; it is looked at again
		}
		return tx.found(s, now, item, e)
	})
	if domain.CodeOf(err) == rollout.NotBegun {
		return "", nil
	}
	return e.Outcome, err
}

// found keeps what was found about an item.
func (tx *Tx) found(s *Store, r Rollout, item rollout.Item, e rollout.Evidence) error {
	digest := e.Digest(r.PlanVersion, item)
	figures, err := json.Marshal(e.Figures)
	if err != nil {
		return err
	}
	var id int64
	var was rollout.Outcome
	var known []byte
	err = tx.pgx.QueryRow(tx.ctx, `SELECT e.id, e.outcome, e.digest FROM rollout_items i JOIN rollout_evidence e ON e.id = i.evidence_id
		WHERE i.rollout = $1 AND i.item = $2`, r.Name, item.ID).Scan(&id, &was, &known)
	if err != nil && err != pgx.ErrNoRows { //nolint:errorlint // pgx returns it as it is
		return err
	}
	if id != 0 && was == e.Outcome && bytes.Equal(known, digest) {
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollout_evidence SET last_at = clock_timestamp(), summary = $2, figures = $3, build = $4 WHERE id = $1`,
			id, short(e.Summary), figures, s.build); err != nil {
			return err
		}
	} else {
		if err := tx.pgx.QueryRow(tx.ctx, `INSERT INTO rollout_evidence (rollout, item, phase, plan_version, outcome, summary, figures, digest, build)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`, r.Name, item.ID, r.Phase, r.PlanVersion, e.Outcome, short(e.Summary), figures, digest, s.build).Scan(&id); err != nil {
			return err
		}
		if was != e.Outcome {
			if err := tx.enter(audit.Entry{Action: "rollout.proved", Target: r.target(), Diff: map[string]any{"item": item.ID,
				"outcome": []rollout.Outcome{was, e.Outcome}, "evidence_id": id}}); err != nil {
				return err
			}
		}
		if _, err := tx.voidSignatures(r, `g.item = $2 AND g.seat <> '' AND a.digest <> $3`, item.ID, digest); err != nil {
			return err
		}
	}
	_, err = tx.pgx.Exec(tx.ctx, `UPDATE rollout_items SET evidence_id = $3, due_at = clock_timestamp() + $4::interval WHERE rollout = $1 AND item = $2`,
		r.Name, item.ID, id, item.Every)
	return err
}

// short keeps a sentence as long as the database takes.
func short(s string) string {
	if letters := []rune(s); len(letters) > 500 {
		return string(letters[:499]) + "…"
	}
	return s
}

// RolloutStep is where a rollout is, for its workflow.
type RolloutStep struct {
	Phase rollout.Phase
	Over  bool          // it has ended
	Due   []string      // the items to be looked at now
	Gate  string        // the order to open the next phase that waits, once nothing is due; "": none
	Wait  time.Duration // until the next item is due; 0: none will be
	Open  int           // what keeps the gate of the phase shut
	Why   string        // what it waits for, for people
}

// StepRollout tells what is to be done about a rollout now. Before a gate is opened every item is looked at anew.
func (s *Store) StepRollout(ctx context.Context, name string) (step RolloutStep, err error) {
	r, err := readRollout(ctx, s.pool, `r.name = $1`, name)
	if err != nil {
		return step, err
	}
	if step.Phase, step.Over = r.Phase, r.EndedAt != nil; step.Over {
		return step, nil
	}
	if left := r.StartedAt.Add(rollout.RehearsalLasts).Sub(r.Now); r.Factor > 1 {
		if step.Wait = left; left <= 0 {
			step.Over = true
			return step, s.expireRehearsal(ctx, name)
		}
	}
	var asked *time.Time
	if err := s.pool.QueryRow(ctx, `SELECT (SELECT id::text FROM rollout_gates WHERE rollout = $1 AND decided_at IS NULL), (SELECT asked_at FROM rollout_gates WHERE rollout = $1 AND decided_at IS NULL)`,
		name).Scan(textOrNone{&step.Gate}, &asked); err != nil {
		return step, unavailable(err)
	}
	rows, err := s.pool.Query(ctx, `SELECT i.item, i.due_at <= clock_timestamp() OR $2::timestamptz IS NOT NULL AND (e.last_at IS NULL OR e.last_at < $2),
			greatest(i.due_at - clock_timestamp(), '0') FROM rollout_items i LEFT JOIN rollout_evidence e ON e.id = i.evidence_id WHERE i.rollout = $1 ORDER BY i.item`, name, asked)
	if err != nil {
		return step, unavailable(err)
	}
	var item string
	var due bool
	var wait time.Duration
	if _, err := pgx.ForEachRow(rows, []any{&item, &due, &wait}, func() error {
		of, phase, ok := r.Plan.Item(item)
		switch {
		case !ok || phase != r.Phase || of.Check == "":
		case due:
			step.Due = append(step.Due, item)
		case step.Wait == 0 || wait < step.Wait:
			step.Wait = wait
		}
		return nil
	}); err != nil {
		return step, unavailable(err)
	}
	if len(step.Due) > 1 { // what looks at the others comes after them
		step.Due = slices.DeleteFunc(step.Due, func(id string) bool { item, _, _ := r.Plan.Item(id); return item.Check == everythingElse })
	}
	standing, err := s.standings(ctx, s.pool, r)
	if err != nil {
		return step, err
	}
	open, err := s.missing(ctx, s.pool, r, standing)
	if err != nil {
		return step, err
	}
	if step.Open = len(open); step.Open > 0 {
		step.Why = open[0].Item + ": " + open[0].Why
	} else if r.Phase != rollout.Live {
		step.Why = "somebody may open " + string(r.Phase.Next())
	}
	return step, nil
}

// textOrNone scans a text that may be null.
type textOrNone struct{ into *string }

// Scan is sql.Scanner.
func (t textOrNone) Scan(v any) error {
	*t.into, _ = v.(string)
	return nil
}

// ProveNow has an item looked at now, by the word of whoever acts; "" for all of the phase.
func (s *Store) ProveNow(ctx context.Context, id string) error {
	var r Rollout
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var err error
		if r, err = tx.lockRollout(); err != nil {
			return audit.Entry{}, err
		}
		if id != "" {
			if _, err := r.itemOfPhase(id); err != nil {
				return audit.Entry{}, err
			}
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollout_items SET due_at = clock_timestamp() WHERE rollout = $1 AND ($2 = '' OR item = $2)`, r.Name, id); err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindRolloutChanged, r.target(), RolloutChanged{Name: r.Name})
		return audit.Entry{Action: "rollout.prove_ordered", Target: r.target(), Diff: map[string]any{"item": id}}, err
	})
	return s.refuseRollout(ctx, r.target(), err)
}

// itemOfPhase finds an item that can be worked on now. It fails with domain.NotFound, and with domain.Conflict of code
// rollout_phase when it belongs to another phase.
func (r Rollout) itemOfPhase(id string) (rollout.Item, error) {
	item, phase, ok := r.Plan.Item(id)
	if !ok {
		return item, domain.E(domain.NotFound, rollout.NoItem, "the plan has no item %s", id)
	}
	if phase != r.Phase {
		return item, domain.E(domain.Conflict, rollout.WrongPhase, "it belongs to %s, and the rollout is in %s", phase, r.Phase)
	}
	return item, nil
}
