package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
	"lastcall/domain/rollout"
)

// The kinds of a rollback as the subject of approvals: the recovery from it, and that the legacy tooling answers.
const (
	SubjectRollback = "rollback"
	SubjectLegacy   = "legacy"
)

func rollbackSubject(id uuid.UUID) approval.Subject {
	return approval.Subject{Kind: SubjectRollback, ID: id.String()}
}

// RollbackFacts are what whoever signs a recovery is shown.
type RollbackFacts struct {
	Rollout   string          `json:"rollout"`
	Reason    string          `json:"reason" doc:"Of the rollback"`
	Rehearsal bool            `json:"rehearsal"`
	Toggles   json.RawMessage `json:"toggles" doc:"As they are to be again"`
}

// RecoveryDigest is SHA-256 of what a recovery's signature is of.
func (r Rollback) RecoveryDigest() []byte {
	text, err := json.Marshal([]any{r.ID, r.Rollout, r.Reason, r.Toggles, r.RecoveryReason, r.RecoveryAt})
	if err != nil {
		panic(err) // names and texts
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// lockRollback reads a rollback and keeps every other writer off it until the transaction ends.
func (tx *Tx) lockRollback(id uuid.UUID) (b Rollback, err error) {
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT FROM rollbacks WHERE id = $1 FOR UPDATE`, id); err != nil {
		return b, err
	}
	all, err := rollbacks(tx.ctx, tx.pgx, `b.id = $1`, id)
	if err == nil && len(all) == 0 {
		err = notFound(pgx.ErrNoRows, "rollback", id)
	}
	if err != nil {
		return b, err
	}
	return all[0], nil
}

// RecoverRollback asks to recover from a rollback, in the name of the account that acts: the toggles are as they were before it from then on,
// campaigns stay paused. What follows are smoke tests, and another person's signature. It fails with domain.Conflict of code
// rollout_rollback_state unless everything was read back, and rollout_rollback_signal while a signal holds; a refusal is in the
// audit log.
func (s *Store) RecoverRollback(ctx context.Context, id uuid.UUID, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" {
		return domain.E(domain.Invalid, "no_reason", "say why it may").About("reason")
	}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		r, err := tx.lockRollout()
		if err != nil {
			return audit.Entry{}, err
		}
		b, err := tx.lockRollback(id)
		if err != nil {
			return audit.Entry{}, err
		}
		switch {
		case b.State == rollout.RollbackRunning:
			return audit.Entry{}, domain.E(domain.Conflict, rollout.RollbackNotDone, "it is not safe yet: %s", b.waits())
		case b.State != rollout.RollbackDone:
			return audit.Entry{}, domain.E(domain.Conflict, rollout.RollbackNotDone, "the rollback is %s: there is nothing to ask for", b.State)
		}
		if err := s.calm(tx, r); err != nil {
			return audit.Entry{}, err
		}
		was, err := policy.ParseToggles(b.Toggles)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.pgx.QueryRow(tx.ctx, `UPDATE rollbacks SET state = 'recovering', recovery_by = $2, recovery_reason = $3, recovery_at = clock_timestamp() WHERE id = $1
			RETURNING recovery_at`, id, who.ID, reason).Scan(&b.RecoveryAt); err != nil {
			return audit.Entry{}, err
		}
		b.RecoveryReason = reason
		if err := tx.addSteps(id, len(b.Steps)+1, rollout.RecoverySteps); err != nil {
			return audit.Entry{}, err
		}
		switched, err := tx.setToggles(s, "recovery: "+reason, func(t *policy.Toggles) {
			t.Dispatch = was.Dispatch
			if b.RedemptionsOff {
				t.StationRedeem = was.StationRedeem
			}
		})
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.peopleDid(id, rollout.RestoreToggles, map[bool]string{true: "as they were", false: "nothing was to be switched"}[switched]); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.ask(ask{subject: rollbackSubject(id), digest: b.RecoveryDigest(), reason: reason,
			facts: RollbackFacts{b.Rollout, b.Reason, b.Rehearsal, b.Toggles}}); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "rollout.recovery_asked", Target: b.target(), Reason: reason, Diff: map[string]any{"toggles": b.Toggles}}, nil
	})
	return s.refuseRollout(ctx, Rollback{ID: id}.target(), err)
}

// waits is what a rollback that is not done waits for.
func (r Rollback) waits() string {
	for _, s := range r.Steps {
		if s.DoneAt == nil {
			return strings.TrimSuffix(fmt.Sprintf("%s: %s", rollout.StepTitles[s.Step], s.Detail), ": ")
		}
	}
	return "its last step is being noted"
}

// calm makes sure that no signal holds.
func (s *Store) calm(tx *Tx, r Rollout) error {
	all, err := s.signals(tx.ctx, tx.pgx, r)
	if err != nil {
		return err
	}
	for _, v := range all {
		if v.open() {
			return domain.E(domain.Conflict, rollout.RollbackBurns, "the signal %s still holds: %s", v.Name, v.Worst.Detail)
		}
	}
	return nil
}

// peopleDid notes that a step which people have the word about is done.
func (tx *Tx) peopleDid(id uuid.UUID, step rollout.RollbackStep, detail string) error {
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE rollback_steps SET started_at = coalesce(started_at, clock_timestamp()), done_at = clock_timestamp(), due_at = NULL, tries = tries + 1, detail = $3
		WHERE rollback_id = $1 AND step = $2`, id, step, short(detail))
	return err
}

// SignRecovery enters what another person than who asked says about a recovery. Approved, the legacy tooling is switched off and
// everybody told. Rejected, what the rollback switched off is off again, and somebody may ask anew. It fails with domain.Conflict of code
// rollout_rollback_state when nobody asks, rollout_rollback_signal while a signal holds, and rollout_rollback_smoke unless smoke tests
// have passed on this build since the toggles are as they were; a refusal is in the audit log.
func (s *Store) SignRecovery(ctx context.Context, id uuid.UUID, verdict approval.Verdict, note string, seen []byte) error {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.actingAccount(true); err != nil {
			return audit.Entry{}, err
		}
		r, err := tx.lockRollout()
		if err != nil {
			return audit.Entry{}, err
		}
		b, err := tx.lockRollback(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if b.State != rollout.RollbackRecovering || b.Step(rollout.SignedOff).DoneAt != nil {
			return audit.Entry{}, domain.E(domain.Conflict, rollout.RollbackNotDone, "nobody asks to recover: the rollback is %s", b.State)
		}
		proved := ""
		if verdict == approval.Approved {
			if err := s.calm(tx, r); err != nil {
				return audit.Entry{}, err
			}
			if proved, err = tx.smoked(s, *b.RecoveryAt); err != nil {
				return audit.Entry{}, err
			}
		}
		a, err := tx.decide(decision{subject: rollbackSubject(id), digest: b.RecoveryDigest(), seen: seen, verdict: verdict, reason: strings.TrimSpace(note), permission: access.RolloutRecover})
		if err != nil {
			return audit.Entry{}, err
		}
		if verdict == approval.Approved {
			err = tx.signed(b, proved)
		} else {
			err = tx.backAgain(s, b, a.Reason)
		}
		return a.entry(), err
	})
	return s.refuseRollout(ctx, Rollback{ID: id}.target(), err)
}

func (tx *Tx) signed(b Rollback, proved string) error {
	if err := tx.peopleDid(b.ID, rollout.SmokePassed, proved); err != nil {
		return err
	}
	if err := tx.peopleDid(b.ID, rollout.SignedOff, "by "+audit.ActorFrom(tx.ctx).EntryName()); err != nil {
		return err
	}
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollback_steps SET due_at = clock_timestamp() WHERE rollback_id = $1 AND step = ANY ($2)`, b.ID,
		[]rollout.RollbackStep{rollout.LegacyOff, rollout.Announced}); err != nil {
		return err
	}
	_, err := tx.send(KindRollbackChanged, b.target(), RollbackChanged{RollbackID: b.ID})
	return err
}

// backAgain switches off again what a recovery that was rejected had switched on.
func (tx *Tx) backAgain(s *Store, b Rollback, why string) error {
	if _, err := tx.setToggles(s, "recovery rejected: "+why, func(t *policy.Toggles) {
		t.Dispatch = false
		t.StationRedeem = t.StationRedeem && !b.RedemptionsOff
	}); err != nil {
		return err
	}
	if _, err := tx.pgx.Exec(tx.ctx, `DELETE FROM rollback_steps WHERE rollback_id = $1 AND step = ANY ($2)`, b.ID, rollout.RecoverySteps); err != nil {
		return err
	}
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE rollbacks SET state = 'done' WHERE id = $1`, b.ID)
	return err
}

// smoked makes sure that of each kind of smoke tests the newest run since then was on this build, and that the items of the subset
// passed. It says by which runs.
func (tx *Tx) smoked(s *Store, since time.Time) (string, error) {
	var runs []string
	for _, kind := range []string{SmokeAdmin, SmokeStation} {
		refuse := func(why string, args ...any) error {
			return domain.E(domain.Conflict, rollout.RollbackSmoke, "the %s smoke tests must pass first: "+why, append([]any{kind}, args...)...)
		}
		var build, text string
		var finished time.Time
		err := tx.pgx.QueryRow(tx.ctx, `SELECT build, finished_at, items FROM smoke_runs WHERE kind = $1 AND created_at > $2 ORDER BY id DESC LIMIT 1`, kind, since).Scan(&build, &finished, &text)
		if errors.Is(err, pgx.ErrNoRows) {
			return "", refuse("no run since the toggles are as they were; lastcall smoke records one")
		}
		if err != nil {
			return "", err
		}
		var items []SmokeItem
		if err := json.Unmarshal([]byte(text), &items); err != nil {
			return "", err
		}
		if s.build == "" || s.build == "unknown" || build != s.build {
			return "", refuse("the newest run was on another build than this one")
		}
		for _, n := range rollout.RecoverySmoke[kind] {
			i := slices.IndexFunc(items, func(item SmokeItem) bool { return item.ID == n })
			switch {
			case i < 0:
				return "", refuse("the newest run has no item %d", n)
			case items[i].Outcome != SmokePassed:
				return "", refuse("item %d of the newest run was %s", n, items[i].Outcome)
			}
		}
		runs = append(runs, fmt.Sprintf("%s tests of %s", kind, finished.UTC().Format("2 Jan 15:04 UTC")))
	}
	return strings.Join(runs, ", "), nil
}

// SignLegacy enters the word of Ops that the legacy tooling answers, or is off again: where no webhook says so. It fails with
// domain.Forbidden for another role, and with domain.Conflict of code rollout_rollback_legacy when nobody is asked.
func (s *Store) SignLegacy(ctx context.Context, id uuid.UUID, note string) error {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		b, err := tx.lockRollback(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if who.Role != access.Ops {
			return audit.Entry{}, domain.E(domain.Forbidden, approval.WrongRole, "ops signs that, and you are %s", rollout.Names([]access.Role{who.Role}))
		}
		step := b.legacyAsked()
		if step == "" {
			return audit.Entry{}, domain.E(domain.Conflict, rollout.RollbackLegacy, "nobody is asked to sign about the legacy tooling now")
		}
		sum := sha256.Sum256([]byte(id.String() + string(step)))
		a, err := tx.decide(decision{subject: approval.Subject{Kind: SubjectLegacy, ID: id.String() + "/" + string(step)}, digest: sum[:], seen: sum[:], verdict: approval.Approved,
			reason: strings.TrimSpace(note), permission: access.RolloutSign, unasked: true})
		if err != nil {
			return audit.Entry{}, err
		}
		locked, err := tx.lockStep(id, step)
		if err != nil || locked == nil {
			return a.entry(), err
		}
		if err := tx.stepCame(locked, step, true, "signed by "+audit.ActorFrom(tx.ctx).EntryName()); err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindRollbackChanged, b.target(), RollbackChanged{RollbackID: id})
		return a.entry(), err
	})
	return s.refuseRollout(ctx, Rollback{ID: id}.target(), err)
}

// legacyAsked is the step about the legacy tooling that Ops are to sign; "": none is.
func (r Rollback) legacyAsked() rollout.RollbackStep {
	for _, name := range []rollout.RollbackStep{rollout.LegacyOn, rollout.LegacyOff} {
		if step := r.Step(name); r.Open() && step.Step != "" && step.DoneAt == nil && step.DueAt == nil && step.StartedAt != nil {
			return name
		}
	}
	return ""
}

// LegacyAsked reports whether Ops are to sign about the legacy tooling now.
func (r Rollback) LegacyAsked() bool { return r.legacyAsked() != "" }
