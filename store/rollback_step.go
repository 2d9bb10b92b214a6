package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
	"lastcall/domain/rollout"
)

// RollbackNext is what is to be done about a rollback now.
type RollbackNext struct {
	State rollout.RollbackState
	Step  rollout.RollbackStep // due now; "": none is
	Wait  time.Duration        // until the next is; 0: people have the word
	Over  bool                 // nothing will ever be due again
}

// NextRollbackStep tells what is to be done about a rollback now, by the rows of its steps.
func (s *Store) NextRollbackStep(ctx context.Context, id uuid.UUID) (next RollbackNext, err error) {
	err = s.pool.QueryRow(ctx, `SELECT state FROM rollbacks WHERE id = $1`, id).Scan(&next.State)
	if err != nil {
		return next, notFound(err, "rollback", id)
	}
	if next.State == rollout.RollbackRecovered || next.State == rollout.RollbackAbandoned {
		next.Over = true
		return next, nil
	}
	var wait time.Duration
	err = s.pool.QueryRow(ctx, `SELECT step, greatest(due_at - clock_timestamp(), '0') FROM rollback_steps WHERE rollback_id = $1 AND done_at IS NULL AND due_at IS NOT NULL
		ORDER BY due_at > clock_timestamp(), CASE WHEN due_at > clock_timestamp() THEN due_at END, position LIMIT 1`, id).Scan(&next.Step, &wait)
	if errors.Is(err, pgx.ErrNoRows) {
		return next, nil
	}
	if wait > 0 {
		next.Step, next.Wait = "", wait
	}
	return next, unavailable(err)
}

// TakeRollbackStep takes a step that Lastcall takes by itself, once: one that is done, or is none of the rollback's, changes nothing.
// What is not so yet is tried again a little later. The legacy tooling's steps are the caller's: see LegacyTold.
func (s *Store) TakeRollbackStep(ctx context.Context, id uuid.UUID, step rollout.RollbackStep) error {
	return s.inTx(ctx, func(tx *Tx) error {
		b, err := tx.lockStep(id, step)
		if err != nil || b == nil {
			return err
		}
		detail, done := "", true
		switch step {
		case rollout.PauseCampaigns:
			var paused Paused
			paused, err = tx.pauseAll("rollback: "+b.Reason, pauseScope{Both: true})
			detail = paused.String()
		case rollout.DispatchOff:
			detail, err = tx.switchOff(s, b, func(t *policy.Toggles) { t.Dispatch = false })
		case rollout.RedemptionsOff:
			detail, err = tx.switchOff(s, b, func(t *policy.Toggles) { t.StationRedeem = false })
		case rollout.OpenIncident:
			detail, err = tx.rollbackIncident(b)
		case rollout.NotifyOps:
			what := map[bool]string{true: "by itself", false: "by " + b.Actor}[b.Automatic()]
			err = tx.notify(b.target(), b.title("rolled back"), fmt.Sprintf("Ordered %s: %s. Campaigns are paused and dispatch is off; the legacy tooling is to serve.", what, b.Reason), "critical")
			detail = "told"
		case rollout.Readback:
			detail, done, err = tx.readBack(s, b)
		case rollout.Announced:
			err = tx.notify(b.target(), b.title("recovered"), fmt.Sprintf("Toggles are as they were: %s. Campaigns stay paused until somebody resumes each.", b.RecoveryReason), "info")
			detail = "told"
		default:
			return domain.E(domain.Invalid, "rollback_step", "Lastcall does not take the step %s by itself", step)
		}
		if err != nil {
			return err
		}
		return tx.stepCame(b, step, done, detail)
	})
}

// LegacyTold notes what became of switching the legacy tooling: done when it was read back; else it is tried again.
func (s *Store) LegacyTold(ctx context.Context, id uuid.UUID, step rollout.RollbackStep, done bool, detail string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		b, err := tx.lockStep(id, step)
		if err != nil || b == nil {
			return err
		}
		return tx.stepCame(b, step, done, detail)
	})
}

// LegacyByHand leaves a step about the legacy tooling to people: there is no webhook.
func (s *Store) LegacyByHand(ctx context.Context, id uuid.UUID, step rollout.RollbackStep) error {
	return s.inTx(ctx, func(tx *Tx) error {
		b, err := tx.lockStep(id, step)
		if err != nil || b == nil {
			return err
		}
		what := map[bool]string{true: "answers", false: "is off again"}[step == rollout.LegacyOn]
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollback_steps SET due_at = NULL, detail = $3 WHERE rollback_id = $1 AND step = $2`, id, step,
			"no webhook is configured: Ops sign that it "+what); err != nil {
			return err
		}
		return tx.notify(b.target(), b.title("Ops are to sign"), "Switch the legacy tooling by hand, and sign on the rollout's page that it "+what+".", "warn")
	})
}

// lockStep locks a rollback about whose step something is to be done; nil: nothing is, any more.
func (tx *Tx) lockStep(id uuid.UUID, step rollout.RollbackStep) (*Rollback, error) {
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT FROM rollbacks WHERE id = $1 FOR UPDATE`, id); err != nil {
		return nil, err
	}
	all, err := rollbacks(tx.ctx, tx.pgx, `b.id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, notFound(pgx.ErrNoRows, "rollback", id)
	}
	b := &all[0]
	if at := b.Step(step); !b.Open() || at.Step == "" || at.DoneAt != nil {
		return nil, nil
	}
	_, err = tx.pgx.Exec(tx.ctx, `UPDATE rollback_steps SET tries = tries + 1, started_at = coalesce(started_at, clock_timestamp()) WHERE rollback_id = $1 AND step = $2`, id, step)
	return b, err
}

// stepCame notes what a step came to, and moves the rollback on when that was the last one.
func (tx *Tx) stepCame(b *Rollback, step rollout.RollbackStep, done bool, detail string) error {
	tries := b.Step(step).Tries
	again := min(250*time.Millisecond<<min(tries, 3), 2*time.Second)
	if step == rollout.LegacyOn || step == rollout.LegacyOff {
		again = min(time.Second<<min(tries, 5), 30*time.Second)
	}
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollback_steps SET detail = $3, done_at = CASE WHEN $4 THEN clock_timestamp() END,
			due_at = CASE WHEN NOT $4 THEN clock_timestamp() + $5::interval END WHERE rollback_id = $1 AND step = $2`, b.ID, step, short(detail), done, again); err != nil {
		return err
	}
	if !done {
		return nil
	}
	if err := tx.enter(audit.Entry{Action: "rollout.rollback_step", Target: b.target(), Diff: map[string]any{"step": step, "tries": tries + 1}}); err != nil {
		return err
	}
	if step == rollout.Readback {
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollbacks SET safe_at = clock_timestamp() WHERE id = $1 AND safe_at IS NULL`, b.ID); err != nil {
			return err
		}
	}
	var left int
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FROM rollback_steps WHERE rollback_id = $1 AND done_at IS NULL`, b.ID).Scan(&left); err != nil || left > 0 {
		return err
	}
	if b.State == rollout.RollbackRunning {
		var safe time.Duration
		if err := tx.pgx.QueryRow(tx.ctx, `UPDATE rollbacks SET state = 'done', done_at = clock_timestamp() WHERE id = $1 RETURNING safe_at - started_at`, b.ID).Scan(&safe); err != nil {
			return err
		}
		if err := tx.notify(b.target(), b.title("safe"), fmt.Sprintf("Everything was read back; nothing went any more after %s.", policy.Span(safe.Round(100*time.Millisecond))), "warn"); err != nil {
			return err
		}
		return tx.enter(audit.Entry{Action: "rollout.rolled_back", Target: b.target(), Diff: map[string]any{"rollout": b.Rollout, "time_to_safe": safe.String(), "rehearsal": b.Rehearsal}})
	}
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollbacks SET state = 'recovered', recovered_at = clock_timestamp() WHERE id = $1`, b.ID); err != nil {
		return err
	}
	// What was found before may not be so any more.
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollout_items SET due_at = clock_timestamp() WHERE rollout = $1`, b.Rollout); err != nil {
		return err
	}
	if _, err := tx.send(KindRolloutChanged, "rollout/"+b.Rollout, RolloutChanged{Name: b.Rollout}); err != nil {
		return err
	}
	return tx.enter(audit.Entry{Action: "rollout.recovered", Target: b.target(), Reason: b.RecoveryReason, Diff: map[string]any{"rollout": b.Rollout, "rehearsal": b.Rehearsal}})
}

func (b Rollback) title(what string) string {
	return map[bool]string{true: "Rehearsal: ", false: ""}[b.Rehearsal] + "Rollout " + b.Rollout + ": " + what
}

func (tx *Tx) switchOff(s *Store, b *Rollback, change func(*policy.Toggles)) (string, error) {
	switched, err := tx.setToggles(s, "rollback: "+b.Reason, change)
	return map[bool]string{true: "switched off", false: "it was off"}[switched], err
}

// rollbackIncident notes the rollback in the incident of the signal that tripped, or opens one.
func (tx *Tx) rollbackIncident(b *Rollback) (string, error) {
	if b.IncidentID == nil {
		id, err := tx.incidentFor(&Alert{Title: b.title("rolled back"), Severity: alert.Critical, IsDrill: b.Rehearsal})
		if err != nil {
			return "", err
		}
		b.IncidentID = &id
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollbacks SET incident_id = $2 WHERE id = $1`, b.ID, id); err != nil {
			return "", err
		}
	}
	var number int
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT number FROM incidents WHERE id = $1`, *b.IncidentID).Scan(&number); err != nil {
		return "", err
	}
	return fmt.Sprintf("INC-%d", number), tx.incidentEvent(*b.IncidentID, "note", 0, b.title("rolled back")+". "+b.Reason)
}

// readBack looks whether toggles are what they should be, and nothing is being sent any more.
func (tx *Tx) readBack(s *Store, b *Rollback) (detail string, safe bool, err error) {
	var newest, targets, sends int64
	err = tx.pgx.QueryRow(tx.ctx, `SELECT coalesce((SELECT max(revision) FROM settings_revisions), 0), (SELECT coalesce(sum(sending), 0)::bigint FROM cohorts WHERE sending > 0),
			(SELECT count(*) FROM sends WHERE state = 'sending')`).Scan(&newest, &targets, &sends)
	if err != nil {
		return "", false, err
	}
	set, err := s.settingsAt(tx.ctx, tx.pgx, newest)
	switch {
	case err != nil:
		return "", false, err
	case set.Toggles.Dispatch:
		return "dispatch is still on", false, nil
	case b.RedemptionsOff && set.Toggles.StationRedeem:
		return "stations still redeem", false, nil
	case targets+sends > 0:
		return fmt.Sprintf("%d messages are in flight", targets+sends), false, nil
	}
	return "toggles are effective, and nothing is in flight", true, nil
}

// rollbackLate is how long a step may be due until somebody looks whether the rollback's workflow is gone.
const rollbackLate = 30 * time.Second

// sweepRollbacks tells the workflows of rollbacks whose step has been due for so long to look again: one that is gone is begun anew.
func (s *Store) sweepRollbacks(ctx context.Context, late time.Duration) (lost int64, err error) {
	took, err := s.pool.Exec(ctx, `INSERT INTO outbox (kind, key, payload) SELECT $1, 'rollback/' || b.id, jsonb_build_object('rollback_id', b.id) FROM rollbacks b
		WHERE b.state IN ('running', 'done', 'recovering')
			AND EXISTS (SELECT FROM rollback_steps s WHERE s.rollback_id = b.id AND s.done_at IS NULL AND s.due_at < clock_timestamp() - $2::interval)
			AND NOT EXISTS (SELECT FROM outbox o WHERE o.key = 'rollback/' || b.id AND o.kind = $1 AND o.delivered_at IS NULL)`, KindRollbackChanged, late)
	return took.RowsAffected(), unavailable(err)
}
