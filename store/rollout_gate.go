package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

// refusal is why somebody may not do something, for who looks.
func refusal(code, why string, args ...any) error {
	return domain.E(domain.Conflict, code, why, args...)
}

// GateFacts tell programs why a gate stays shut.
type GateFacts struct {
	Phase rollout.Phase  `json:"phase"`
	To    rollout.Phase  `json:"to"`
	Open  []rollout.Open `json:"open"`
}

// shut is the error of a gate that something keeps shut; nil: nothing does.
func (r Rollout) shut(open []rollout.Open) error {
	if len(open) == 0 {
		return nil
	}
	told := make([]string, len(open))
	for i, o := range open {
		told[i] = o.Item + " (" + o.Why + ")"
	}
	return domain.E(domain.Conflict, rollout.GateShut, "%s does not open yet; still missing: %s", r.Phase.Next(), strings.Join(told, "; ")).
		With(GateFacts{r.Phase, r.Phase.Next(), open})
}

// AdvanceRollout orders to open the phase after `from`, in the name of the account that acts, and returns the outbox message
// that tells the workflow: it looks at every item anew and opens the phase if all of them are passed or waived. What can be
// seen at once is refused at once: domain.Conflict of code rollout_gate with everything that is missing, rollout_phase when
// the rollout is not in `from` (any more), rollout_gate_asked while an order waits, and phase_guardrail while something is
// under way that the next phase forbids. A refusal is in the audit log.
func (s *Store) AdvanceRollout(ctx context.Context, from rollout.Phase, reason string) (gate uuid.UUID, message int64, err error) {
	target := "rollout"
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		if audit.ActorFrom(tx.ctx).Token != "" {
			return audit.Entry{}, errToken
		}
		r, err := tx.lockRollout()
		if err != nil {
			return audit.Entry{}, err
		}
		target = r.target()
		to := r.Phase.Next()
		if from != r.Phase || to == "" {
			return audit.Entry{}, domain.E(domain.Conflict, rollout.WrongPhase, "the rollout is in %s, not before the gate that you looked at", r.Phase)
		}
		all, err := s.standings(tx.ctx, tx.pgx, r)
		if err != nil {
			return audit.Entry{}, err
		}
		open, err := s.missing(tx.ctx, tx.pgx, r, all)
		if err != nil {
			return audit.Entry{}, err
		}
		burning, err := s.burning(tx.ctx, tx.pgx, r)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := r.shut(append(open, burning...)); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.hindered(s, guard{r.Name, to, r.Plan.Of(to).Guardrails}, r.movesHouse(to)); err != nil {
			return audit.Entry{}, err
		}
		gate = uuid.Must(uuid.NewV7())
		_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO rollout_gates (id, rollout, from_phase, to_phase, asked_by, reason) VALUES ($1, $2, $3, $4, $5, $6)`,
			gate, r.Name, r.Phase, to, who.ID, reason)
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "rollout_gates_open" {
			err = domain.E(domain.Conflict, rollout.GateAsked, "somebody has ordered it: every item is being looked at anew")
		}
		if err != nil {
			return audit.Entry{}, err
		}
		message, err = tx.send(KindRolloutChanged, r.target(), RolloutChanged{Name: r.Name})
		return audit.Entry{Action: "rollout.advance_ordered", Target: r.target(), Reason: reason, Diff: map[string]any{"gate_id": gate, "to": to}}, err
	})
	return gate, message, s.refuseRollout(ctx, target, err)
}

// movesHouse reports whether messages go elsewhere from the next phase on than up to now. Those of a rehearsal never do.
func (r Rollout) movesHouse(to rollout.Phase) bool {
	return r.Factor == 1 && r.Plan.Of(r.Phase).Guardrails.Provider != r.Plan.Of(to).Guardrails.Provider
}

// OpenGate carries out an order to open a phase: in one transaction the items are judged, the phase and its guardrails
// become the next one's, and its items begin. Where something is open by now the order is refused, for good, with what it
// is. An order that is none, or was carried out, changes nothing; opened tells whether this call opened it.
func (s *Store) OpenGate(ctx context.Context, name, claimed string) (opened bool, err error) {
	id, unreadable := uuid.Parse(claimed)
	if unreadable != nil {
		return false, nil
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		opened = false
		r, err := readRollout(tx.ctx, tx.pgx, `r.name = $1 FOR UPDATE OF r`, name)
		if err != nil || r.EndedAt != nil {
			return err
		}
		var by uuid.UUID
		var reason string
		found := tx.pgx.QueryRow(tx.ctx, `SELECT asked_by, reason FROM rollout_gates WHERE id = $1 AND rollout = $2 AND from_phase = $3 AND decided_at IS NULL FOR UPDATE`, id, name, r.Phase)
		if err := found.Scan(&by, &reason); err != nil {
			return ignoreNone(err)
		}
		open, err := s.openForGood(tx, r, by)
		if err != nil {
			return err
		}
		to := r.Phase.Next()
		missing, err := json.Marshal(open)
		if err != nil {
			return err
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollout_gates SET decided_at = clock_timestamp(), opened = $2, missing = $3 WHERE id = $1`, id, len(open) == 0, missing); err != nil {
			return err
		}
		if len(open) > 0 {
			if _, err := tx.send(KindOpsNotice, r.target()+"/ops", OpsNotice{Title: fmt.Sprintf("Rollout %s: %s did not open", name, to), Level: "warn", Text: r.shut(open).Error()}); err != nil {
				return err
			}
			return tx.enter(audit.Entry{Action: "rollout.refused", Target: r.target(), Diff: map[string]any{"code": rollout.GateShut, "gate_id": id, "to": to, "open": open}})
		}
		opened = true
		from := r.Phase
		r.Phase = to
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollouts SET phase = $2, phase_since = clock_timestamp(), opened_by = $3, guardrails = $4 WHERE name = $1`,
			name, to, by, r.Plan.Of(to).Guardrails); err != nil {
			return err
		}
		if err := tx.enterPhase(s, r, by); err != nil {
			return err
		}
		if _, err := tx.send(KindOpsNotice, r.target()+"/ops", OpsNotice{Title: fmt.Sprintf("Rollout %s: %s is open", name, to), Level: "info", Text: reason}); err != nil {
			return err
		}
		return tx.enter(audit.Entry{Action: "rollout.advanced", Target: r.target(), Reason: reason, Diff: map[string]any{"phase": []rollout.Phase{from, to}, "gate_id": id, "ordered_by": by}})
	})
	return opened, err
}

// openForGood is what keeps a gate shut at the moment of opening it: items, guardrails of the next phase, and that whoever
// ordered it may not any more.
func (s *Store) openForGood(tx *Tx, r Rollout, by uuid.UUID) ([]rollout.Open, error) {
	all, err := s.standings(tx.ctx, tx.pgx, r)
	if err != nil {
		return nil, err
	}
	open, err := s.missing(tx.ctx, tx.pgx, r, all)
	if err != nil {
		return nil, err
	}
	burning, err := s.burning(tx.ctx, tx.pgx, r)
	if err != nil {
		return nil, err
	}
	open = append(open, burning...)
	who, err := tx.party(by)
	if err != nil {
		return nil, err
	}
	if who.Disabled || !access.May(who.Role, access.RolloutRun) {
		open = append(open, rollout.Open{Item: "order", Code: "order", Why: "whoever ordered it may not any more"})
	}
	to := r.Phase.Next()
	err = tx.hindered(s, guard{r.Name, to, r.Plan.Of(to).Guardrails}, r.movesHouse(to))
	if refused, ok := errors.AsType[*domain.Error](err); ok && refused.Code == rollout.Guardrail {
		return append(open, rollout.Open{Item: "guardrail", Code: rollout.Guardrail, Why: refused.Message}), nil
	}
	return open, err
}

// RolloutDecisionTaken reports whether the workflow has let the decision that an outbox message is about count. Of one that
// it refused it fails with why: domain.Conflict of code approval_void.
func (s *Store) RolloutDecisionTaken(ctx context.Context, message int64) (taken bool, err error) {
	var refused bool
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM rollout_signatures g WHERE g.approval_id = (o.payload ->> 'approval_id')::uuid),
			EXISTS (SELECT FROM audit_log l WHERE l.action = 'approval.refused' AND l.target = a.subject_kind || '/' || a.subject_id AND l.diff ->> 'approval_id' = a.id::text)
		FROM outbox o JOIN approvals a ON a.id = (o.payload ->> 'approval_id')::uuid WHERE o.id = $1`, message).Scan(&taken, &refused)
	if err == nil && refused && !taken {
		err = domain.E(domain.Conflict, approval.Void, "it did not count: what was signed has changed since, or whoever signed may not any more")
	}
	return taken, unavailable(err)
}

// GateDecided reports whether an order to open a phase was carried out or refused; refused with what was missing.
func (s *Store) GateDecided(ctx context.Context, id uuid.UUID) (decided bool, err error) {
	var r Rollout
	var opened *bool
	var missing []rollout.Open
	if err := s.pool.QueryRow(ctx, `SELECT from_phase, opened, missing FROM rollout_gates WHERE id = $1`, id).Scan(&r.Phase, &opened, &missing); err != nil {
		return false, notFound(err, "gate", id)
	}
	if opened != nil && !*opened {
		return true, r.shut(missing)
	}
	return opened != nil, nil
}
