package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/override"
)

// OverrideStep is where an override is, for its workflow.
type OverrideStep struct {
	State   override.State
	Wait    time.Duration // until time alone changes it, from now on; 0: it does not
	Why     string        // what it waits for, for people
	Problem string        // why a claimed decision changed nothing, for people
}

// StepOverride moves an override to the state that it is due to be in: a request that nobody decided about expires, an
// approved one becomes active at its time if the approval still holds, and ends at its time. What that changes for what
// it is for is committed with it.
func (s *Store) StepOverride(ctx context.Context, id uuid.UUID) (step OverrideStep, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		o, of, err := tx.lockOverride(id)
		if err != nil {
			return err
		}
		step, err = s.stepOverride(tx, &o, of)
		return err
	})
	return step, err
}

func (s *Store) stepOverride(tx *Tx, o *Override, of overridden) (step OverrideStep, err error) {
	_, now, err := s.overrideRules(tx)
	if err != nil {
		return step, err
	}
	due := override.Override{State: o.State, Window: override.Window{Start: o.StartsAt, End: o.EndsAt}, AskUntil: o.AskUntil}
	if o.State == override.Requested {
		if due.Decided, err = tx.isDecided(o.subject()); err != nil {
			return step, err
		}
	}
	to, wait := due.Due(now)
	if to != o.State {
		if err := s.becomeOverride(tx, o, of, to); err != nil {
			return step, err
		}
		if o.State != to {
			wait = 0 // it was not let
		}
	}
	step = OverrideStep{State: o.State, Wait: wait}
	switch at := "2 Jan 15:04:05 UTC"; {
	case due.Decided:
		step.Why = "somebody decided; the message is on its way"
	case o.State == override.Requested:
		step.Why = "a project lead who did not ask must decide by " + o.AskUntil.UTC().Format(at)
	case o.State == override.Approved:
		step.Why = "begins " + o.StartsAt.UTC().Format(at)
	case o.State == override.Active:
		step.Why = fmt.Sprintf("%s lifted until %s", strings.ReplaceAll(string(o.Kind), "_", " "), o.EndsAt.UTC().Format(at))
	}
	return step, nil
}

// isDecided reports whether somebody has decided what was asked about a subject.
func (tx *Tx) isDecided(subject approval.Subject) (decided bool, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM approval_requests WHERE subject_kind = $1 AND subject_id = $2 AND closed_why = 'decided')`,
		subject.Kind, subject.ID).Scan(&decided)
	return decided, err
}

// becomeOverride takes an override where it is due.
func (s *Store) becomeOverride(tx *Tx, o *Override, of overridden, to override.State) error {
	was := o.State
	entry := audit.Entry{Action: "override." + string(to), Target: o.target()}
	why := ""
	if to == override.Active {
		// The time from the decision to the start may be long: whoever approved may be nobody by now.
		if _, err := tx.verifyApproval(*o.ApprovalID, Wanted{o.subject(), o.digest(), access.OverridesDecide}); err != nil {
			code := domain.CodeOf(err)
			if !strings.HasPrefix(code, "approval_") {
				return err
			}
			if err := tx.enter(audit.Entry{Action: "approval.refused", Target: o.target(), Diff: map[string]any{"code": code, "approval_id": o.ApprovalID}}); err != nil {
				return err
			}
			to, why = override.Cancelled, "the approval does not hold any more"
		} else if code, over := of.over(); code != "" {
			to, why = override.Cancelled, over
		}
		entry.Action = "override." + string(to)
	}
	var err error
	if to == override.Active {
		if err = tx.changeOverride(o, map[string]any{"state": to, "active_at": databaseTime}); err == nil {
			err = tx.wakeOverridden(*o)
		}
	} else {
		err = tx.overOverride(o, to, why)
	}
	if err != nil {
		return err
	}
	if to == override.Expired || to == override.Cancelled {
		if err := tx.tellOverride(*o, of, string(to), false); err != nil {
			return err
		}
	}
	entry.Diff, entry.Reason = map[string]any{"state": []override.State{was, to}, "approval_id": o.ApprovalID}, why
	return tx.enter(entry)
}

// DecidedOverride looks up the decision that a message to an override's workflow names, and does what it says: nothing is
// believed of the message but where to look. What does not hold (there is no such decision, it is about something else,
// it came too late, whoever gave it may not) changes nothing and is in the audit log as approval.refused. An approval makes the
// override active in the same transaction, if its time has come.
func (s *Store) DecidedOverride(ctx context.Context, id uuid.UUID, claimed string) (step OverrideStep, err error) {
	subject := Override{ID: id}.subject()
	approvalID, unreadable := uuid.Parse(claimed)
	err = s.inTx(ctx, func(tx *Tx) error {
		o, of, err := tx.lockOverride(id)
		if err != nil {
			return err
		}
		if unreadable != nil {
			return domain.E(domain.Conflict, approval.Unknown, "there is no such approval")
		}
		if o.ApprovalID == nil || *o.ApprovalID != approvalID { // else the message came twice
			if err := tx.takeDecision(&o, of, approvalID); err != nil {
				return err
			}
		}
		step, err = s.stepOverride(tx, &o, of)
		return err
	})
	if !strings.HasPrefix(domain.CodeOf(err), "approval_") {
		return step, err
	}
	problem := err.Error()
	if err = s.entered(ctx, subject, approvalID, err); err != nil {
		return step, err
	}
	step, err = s.StepOverride(ctx, id)
	step.Problem = problem
	return step, err
}

// entered is Refused without the refusal: what remains is that it could not be entered.
func (s *Store) entered(ctx context.Context, subject approval.Subject, id uuid.UUID, refusal error) error {
	if err := s.Refused(ctx, subject, id, refusal); err != refusal { //nolint:errorlint // joined with another if that could not be entered
		return err
	}
	return nil
}

// takeDecision takes over a decision about an override that waits for one.
func (tx *Tx) takeDecision(o *Override, of overridden, id uuid.UUID) error {
	a, err := tx.verifyApproval(id, Wanted{o.subject(), o.digest(), access.OverridesDecide})
	if err != nil && domain.CodeOf(err) != approval.Declined {
		return err
	}
	if o.State != override.Requested {
		return domain.E(domain.Conflict, approval.Late, "it is %s: there is nothing to decide any more", o.State)
	}
	was, to := o.State, override.Approved
	columns := map[string]any{"state": to, "approval_id": a.ID, "decided_at": databaseTime}
	if err != nil {
		to = override.Rejected
		columns["state"], columns["ended_at"] = to, databaseTime
	}
	if err := tx.changeOverride(o, columns); err != nil {
		return err
	}
	if err := tx.tellOverride(*o, of, string(to), false); err != nil {
		return err
	}
	if to == override.Approved && o.StartsAt.After(*o.DecidedAt) {
		if err := tx.wakeOverridden(*o); err != nil { // it may begin before the quiet hours end: who waits asks again
			return err
		}
	}
	return tx.enter(audit.Entry{Action: "override." + string(to), Target: o.target(), Reason: a.Reason,
		Diff: map[string]any{"state": []override.State{was, to}, "approval_id": a.ID}})
}

// tellOverride posts a notice to Ops and mails those whom it concerns: who may decide, of a request, else who asked.
func (tx *Tx) tellOverride(o Override, of overridden, what string, asked bool) error {
	level := "info"
	if o.Kind == override.QuietHours && what == string(override.Approved) {
		level = "warn"
	}
	at := "2 Jan 15:04 UTC"
	text := fmt.Sprintf("%s, %s to %s.", strings.ReplaceAll(string(o.Kind), "_", " "), o.StartsAt.UTC().Format(at), o.EndsAt.UTC().Format(at))
	if _, err := tx.send(KindOpsNotice, o.target()+"/ops", OpsNotice{Title: "Override for " + of.name() + ": " + what, Text: text, Level: level}); err != nil {
		return err
	}
	roles := []string{}
	for _, r := range access.Roles {
		if access.May(r, access.OverridesDecide) {
			roles = append(roles, string(r))
		}
	}
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO outbox (kind, key, payload)
		SELECT $1, $2 || '/mail/' || a.id, jsonb_build_object('override_id', $3::uuid, 'account_id', a.id, 'what', $4::text) FROM accounts a
		WHERE a.disabled_at IS NULL AND CASE WHEN $5 THEN a.role = ANY ($6::text[]) AND a.id <> $7 ELSE a.id = $7 END`,
		KindOverrideMail, o.target(), o.ID, what, asked, roles, o.RequestedBy)
	return wrap(err, "mail about override")
}
