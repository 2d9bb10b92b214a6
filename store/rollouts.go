package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
	"lastcall/domain/rollout"
)

// Rollout is one rollout: its phase is the installation's until it ends.
type Rollout struct {
	Name        string
	Phase       rollout.Phase
	PhaseSince  time.Time
	OpenedBy    uuid.UUID // who opened the phase: they sign nothing in it
	PlanVersion int
	Plan        rollout.Plan // of that version
	Reason      string
	StartedBy   uuid.UUID
	StartedAt   time.Time
	EndedAt     *time.Time
	EndReason   string
	Factor      int       // how many times as fast its durations pass; 1: it is no rehearsal
	Now         time.Time // the database's time when it was read
}

func (r Rollout) target() string { return "rollout/" + r.Name }

const rolloutColumns = `r.name, r.phase, r.phase_since, r.opened_by, r.plan_version, p.plan, r.reason, r.started_by, r.started_at, r.ended_at, r.end_reason, r.factor, clock_timestamp()
	FROM rollouts r JOIN rollout_plans p ON (p.rollout, p.version) = (r.name, r.plan_version)`

// readRollout reads the rollout that fits; domain.NotFound of code rollout_not_begun when there is none.
func readRollout(ctx context.Context, db querier, where string, args ...any) (r Rollout, err error) {
	err = db.QueryRow(ctx, `SELECT `+rolloutColumns+` WHERE `+where, args...).Scan(&r.Name, &r.Phase, &r.PhaseSince, &r.OpenedBy, &r.PlanVersion, &r.Plan,
		&r.Reason, &r.StartedBy, &r.StartedAt, &r.EndedAt, &r.EndReason, &r.Factor, &r.Now)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, domain.E(domain.NotFound, rollout.NotBegun, "no rollout has begun")
	}
	return r, unavailable(err)
}

// Rollout returns the rollout that is under way; domain.NotFound of code rollout_not_begun when there is none.
func (s *Store) Rollout(ctx context.Context) (Rollout, error) {
	return readRollout(ctx, s.pool, `r.ended_at IS NULL`)
}

// lockRollout reads the rollout that is under way and keeps every other writer off it until the transaction ends.
func (tx *Tx) lockRollout() (Rollout, error) {
	return readRollout(tx.ctx, tx.pgx, `r.ended_at IS NULL FOR UPDATE OF r`)
}

// StartRollout begins a rollout in staging, by this plan and in the name of the account that acts: its guardrails hold
// from the commit on. It fails with domain.Conflict of code rollout_begun while another one is under way, of code
// rollout_name when one ever had this name, and of code phase_guardrail while something is being sent for real.
func (s *Store) StartRollout(ctx context.Context, name string, plan rollout.Plan, reason string) error {
	return s.startRollout(ctx, name, plan, reason)
}

// startRollout begins a rollout; one whose plan has a factor is a rehearsal.
func (s *Store) startRollout(ctx context.Context, name string, plan rollout.Plan, reason string) error {
	if err := rollout.CheckName(name); err != nil {
		return err
	}
	r := Rollout{Name: name, Phase: rollout.Staging, PlanVersion: 1, Plan: plan, Factor: max(plan.Factor, 1)}
	if err := r.rehearsed(s); err != nil {
		return s.refuseRollout(ctx, r.target(), err)
	}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		rails := plan.Of(rollout.Staging).Guardrails
		_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO rollouts (name, opened_by, started_by, guardrails, reason, factor, settings_before)
			VALUES ($1, $2, $2, $3, $4, $5, CASE WHEN $5 > 1 THEN (SELECT coalesce(max(revision), 0) FROM settings_revisions) END)`, name, who.ID, rails, reason, r.Factor)
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" {
			if pg.ConstraintName == "rollouts_one" {
				return audit.Entry{}, domain.E(domain.Conflict, rollout.Begun, "a rollout is under way: only one is, at a time")
			}
			return audit.Entry{}, domain.E(domain.Conflict, rollout.Taken, "there was a rollout of this name; use another one").About("name")
		}
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.putPlan(r, who.ID, reason); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.hindered(s, guard{r.Name, r.Phase, rails}, !s.sandbox); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.enterPhase(s, r, who.ID); err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindRolloutChanged, r.target(), RolloutChanged{Name: name})
		return audit.Entry{Action: "rollout.started", Target: r.target(), Reason: reason,
			Diff: map[string]any{"phase": r.Phase, "plan_version": 1, "plan_digest": approval.Short(plan.Digest()), "factor": r.Factor}}, err
	})
	return s.refuseRollout(ctx, r.target(), err)
}

// putPlan keeps a version of a plan.
func (tx *Tx) putPlan(r Rollout, author uuid.UUID, reason string) error {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO rollout_plans (rollout, version, plan, digest, author_id, reason) VALUES ($1, $2, $3, $4, $5, $6)`,
		r.Name, r.PlanVersion, r.Plan, r.Plan.Digest(), author, reason)
	return wrap(err, "keep plan")
}

// enterPhase begins the items of a rollout's phase, of which whoever opened it signs none, and switches mocked redemptions
// as the phase wants them.
func (tx *Tx) enterPhase(s *Store, r Rollout, by uuid.UUID) error {
	of := r.Plan.Of(r.Phase)
	for _, item := range of.Items {
		if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO rollout_items (rollout, item) VALUES ($1, $2) ON CONFLICT DO NOTHING`, r.Name, item.ID); err != nil {
			return err
		}
		for _, seat := range item.Quorum {
			subject := signSubject(r.Name, item.ID, seat)
			if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO edits (subject_kind, subject_id, account_id) VALUES ($1, $2, $3)`, subject.Kind, subject.ID, by); err != nil {
				return err
			}
		}
	}
	if err := tx.watchReviews(r); err != nil {
		return err
	}
	return tx.mockRedemptions(s, of.Guardrails.Redemptions == rollout.Mocked)
}

// mockRedemptions makes a revision of the toggles in which redemptions are mocked, or real.
func (tx *Tx) mockRedemptions(s *Store, mocked bool) error {
	_, err := tx.setToggles(s, "by the phase of the rollout", func(t *policy.Toggles) { t.MockRedemptions = mocked })
	return err
}

// hindered makes sure that nothing is under way that the guardrails of a phase would not have let begin. sending says that
// nothing may be on its way at all, since it would go elsewhere from now on.
func (tx *Tx) hindered(s *Store, g guard, sending bool) error {
	target := "rollout/" + g.rollout
	var campaigns, sends, large, unlocked, support int64
	err := tx.pgx.QueryRow(tx.ctx, `SELECT count(*), count(*) FILTER (WHERE t.status <> 'locked'),
			count(*) FILTER (WHERE $1 > 0 AND (SELECT coalesce(sum(k.targets), 0) FROM cohorts k WHERE k.campaign_id = c.id) > $1),
			(SELECT count(*) FROM sends WHERE state IN ('queued', 'sending')),
			(SELECT count(*) FROM accounts WHERE role = 'support' AND disabled_at IS NULL)
		FROM campaigns c JOIN templates t ON t.id = c.template_id WHERE c.status NOT IN ('draft', 'done', 'stopped', 'failed')`, g.Targets).
		Scan(&campaigns, &unlocked, &large, &sends, &support)
	switch {
	case err != nil:
		return err
	case sending && campaigns+sends > 0:
		return g.refuse(GuardrailFacts{Guardrail: "provider", Would: campaigns + sends, Target: target},
			"%d campaigns and %d single messages are on their way, and would go to another place from then on: let them end first", campaigns, sends)
	case large > 0:
		return g.refuse(GuardrailFacts{Guardrail: "targets", Limit: g.Targets, Would: large, Target: target}, "%d campaigns with more than %d targets are under way", large, g.Targets)
	case g.Templates == rollout.Locked && unlocked > 0:
		return g.refuse(GuardrailFacts{Guardrail: "templates", Would: unlocked, Target: target}, "%d campaigns are under way with a template that is not locked", unlocked)
	case g.Support > 0 && support > int64(g.Support):
		return g.refuse(GuardrailFacts{Guardrail: "support", Limit: g.Support, Would: support, Target: target},
			"%d people of support may sign in, and %d take part at most: disable the others", support, g.Support)
	}
	return nil
}

// ReviseRollout makes another plan the one that is followed, in the name of the account that acts. Of the phases that have
// begun it changes nothing, else it fails with domain.Conflict of code rollout_plan_phase. Signatures and waivers are of one
// version of the plan: they are void, and said to be.
func (s *Store) ReviseRollout(ctx context.Context, plan rollout.Plan, reason string) error {
	var r Rollout
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		if r, err = tx.lockRollout(); err != nil {
			return audit.Entry{}, err
		}
		plan = plan.Faster(r.Factor)
		if err := r.Plan.MayBecome(plan, r.Phase); err != nil {
			return audit.Entry{}, err
		}
		r.Plan, r.PlanVersion = plan, r.PlanVersion+1
		if err := tx.putPlan(r, who.ID, reason); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollouts SET plan_version = $2 WHERE name = $1`, r.Name, r.PlanVersion); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollout_items SET due_at = clock_timestamp() WHERE rollout = $1`, r.Name); err != nil {
			return audit.Entry{}, err
		}
		voided, err := tx.voidSignatures(r, `true`)
		if err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindRolloutChanged, r.target(), RolloutChanged{Name: r.Name})
		return audit.Entry{Action: "rollout.revised", Target: r.target(), Reason: reason,
			Diff: map[string]any{"plan_version": r.PlanVersion, "plan_digest": approval.Short(plan.Digest()), "voided": voided}}, err
	})
	return s.refuseRollout(ctx, r.target(), err)
}

// EndRollout ends the rollout: its guardrails do not hold any more. It is ended in staging, where nothing was risked, when it is
// live, or when it was rolled back, which leaves off what is off; else it fails with domain.Conflict of code rollout_under_way.
// A rehearsal is ended at any time, and leaves the settings as it found them.
func (s *Store) EndRollout(ctx context.Context, reason string) error {
	var r Rollout
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.actingAccount(true); err != nil {
			return audit.Entry{}, err
		}
		var err error
		if r, err = tx.lockRollout(); err != nil {
			return audit.Entry{}, err
		}
		back, err := openRollback(tx.ctx, tx.pgx)
		if err != nil {
			return audit.Entry{}, err
		}
		switch {
		case back != nil && back.State == rollout.RollbackRunning && r.Factor == 1:
			return audit.Entry{}, domain.E(domain.Conflict, rollout.RollbackOpen, "it is being rolled back: wait until that is done")
		case back != nil:
			if err := tx.abandonRollback(*back, "the rollout has ended"); err != nil {
				return audit.Entry{}, err
			}
		case r.Phase != rollout.Staging && r.Phase != rollout.Live && r.Factor == 1:
			return audit.Entry{}, domain.E(domain.Conflict, rollout.UnderWay, "it is in %s: a rollout ends in staging, when it is live, or rolled back", r.Phase)
		}
		return tx.endRollout(s, r, reason)
	})
	return s.refuseRollout(ctx, r.target(), err)
}

// endRollout ends a rollout that is locked.
func (tx *Tx) endRollout(s *Store, r Rollout, reason string) (audit.Entry, error) {
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollouts SET ended_at = clock_timestamp(), end_reason = $2 WHERE name = $1`, r.Name, reason); err != nil {
		return audit.Entry{}, err
	}
	var err error
	switch {
	case r.Factor > 1:
		err = tx.restoreSettings(s, r)
	case r.Plan.Of(r.Phase).Guardrails.Redemptions == rollout.Mocked:
		err = tx.mockRedemptions(s, false)
	}
	if err == nil {
		_, err = tx.send(KindRolloutChanged, r.target(), RolloutChanged{Name: r.Name})
	}
	return audit.Entry{Action: "rollout.ended", Target: r.target(), Reason: reason, Diff: map[string]any{"phase": r.Phase}}, err
}

// refuseRollout enters in the audit log why somebody's wish about the rollout was refused, and returns that.
func (s *Store) refuseRollout(ctx context.Context, target string, why error) error {
	code := domain.CodeOf(why)
	action := "rollout.refused"
	switch {
	case code == rollout.Guardrail: // entered with the transaction
		return why
	case strings.HasPrefix(code, "approval_"):
		action = "approval.refused"
	case !strings.HasPrefix(code, "rollout_"):
		return why
	}
	diff := map[string]any{"code": code}
	if told, ok := errors.AsType[*domain.Error](why); ok {
		if gate, ok := told.Facts.(GateFacts); ok {
			diff["to"], diff["open"] = gate.To, gate.Open
		}
	}
	if err := s.Enter(ctx, audit.Entry{Action: action, Target: target, Diff: diff}); err != nil {
		return err
	}
	return why
}
