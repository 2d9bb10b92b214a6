package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

// The kinds of an item as the subject of approvals: a seat of those who sign it, and its waiver.
const (
	SubjectSignOff = "sign_off"
	SubjectWaiver  = "waiver"
)

func signSubject(name, item string, seat access.Role) approval.Subject {
	return approval.Subject{Kind: SubjectSignOff, ID: name + "/" + item + "/" + string(seat)}
}

func waiverSubject(name, item string) approval.Subject {
	return approval.Subject{Kind: SubjectWaiver, ID: name + "/" + item}
}

// SignOff is what somebody says about an item, in the seat of their role.
type SignOff struct {
	Item    string
	Seen    []byte // the digest of the evidence that they looked at
	Verdict approval.Verdict
	Note    string // what they attest by: a sentence, or a link
}

// SignItem enters what the account that acts says about an item, in the seat of its role, and returns the outbox message
// that takes it to the workflow, which looks it up before it counts. What is attested is looked at anew in the same
// transaction: it fails with domain.Stale of code approval_changed when it is not what was seen. It fails with
// domain.Forbidden for another role and for whoever opened the phase, and with domain.Conflict of code rollout_phase,
// rollout_kind, rollout_signed or rollout_unproven; a refusal is in the audit log.
func (s *Store) SignItem(ctx context.Context, in SignOff) (message int64, err error) {
	target := "rollout"
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		r, err := tx.lockRollout()
		if err != nil {
			return audit.Entry{}, err
		}
		target = r.target()
		item, err := r.itemOfPhase(in.Item)
		if err != nil {
			return audit.Entry{}, err
		}
		if item.Kind != rollout.SignOff {
			return audit.Entry{}, domain.E(domain.Conflict, rollout.NoSignature, "nobody signs this item: Lastcall proves it")
		}
		if !slices.Contains(item.Quorum, who.Role) {
			return audit.Entry{}, domain.E(domain.Forbidden, approval.WrongRole, "%s signs this item, and you are %s", rollout.Names(item.Quorum), rollout.Names([]access.Role{who.Role}))
		}
		subject := signSubject(r.Name, item.ID, who.Role)
		target = subject.String()
		digest, err := tx.attested(s, r, item)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.seatFree(r, item, who, digest, in.Verdict); err != nil {
			return audit.Entry{}, err
		}
		a, err := tx.decide(decision{subject: subject, digest: digest, seen: in.Seen, verdict: in.Verdict, reason: in.Note,
			permission: access.RolloutSign, lasts: item.Lasts, unasked: true})
		if domain.CodeOf(err) == approval.Own {
			err = domain.E(domain.Forbidden, approval.Own, "whoever opened the phase signs nothing in it: somebody else must")
		}
		if err != nil {
			return audit.Entry{}, err
		}
		message, err = tx.send(KindRolloutDecided, r.target(), RolloutDecided{Name: r.Name, ApprovalID: a.ID})
		return a.entry(), err
	})
	return message, s.refuseRollout(ctx, target, err)
}

// attested is the digest of what an item's signatures are of, as it is now; what is found is kept. It fails with
// domain.Conflict of code rollout_unproven when there is nothing that could be attested.
func (tx *Tx) attested(s *Store, r Rollout, item rollout.Item) ([]byte, error) {
	if item.Check == "" {
		return rollout.Evidence{Values: "their word"}.Digest(r.PlanVersion, item), nil
	}
	e, err := checking{tx.pgx, s, r, item}.look(tx.ctx)
	if err != nil {
		return nil, err
	}
	if e.Outcome != rollout.Passed {
		return nil, domain.E(domain.Conflict, rollout.Unproven, "there is nothing to sign yet: %s", e.Summary)
	}
	return e.Digest(r.PlanVersion, item), tx.found(s, r, item, e)
}

// seatFree makes sure that the seat of whoever signs is not taken by a signature that holds, nor another seat by
// themselves: a quorum is of several people.
func (tx *Tx) seatFree(r Rollout, item rollout.Item, who approval.Person, digest []byte, verdict approval.Verdict) error {
	for _, seat := range item.Quorum {
		all, err := tx.decisions(signSubject(r.Name, item.ID, seat))
		if err != nil {
			return err
		}
		if len(all) == 0 || all[0].VoidedAt != nil || !bytes.Equal(all[0].Digest, digest) || all[0].ExpiresAt != nil && !r.Now.Before(*all[0].ExpiresAt) {
			continue
		}
		last := all[0]
		switch {
		case seat != who.Role && last.ActorID == who.ID && last.Verdict == approval.Approved:
			return domain.E(domain.Conflict, rollout.SignedTwice, "you have signed it as %s: another seat is somebody else's", rollout.Names([]access.Role{seat}))
		case seat == who.Role && last.Verdict == verdict && last.Actor.Role == seat && !last.Actor.Disabled:
			return domain.E(domain.Conflict, rollout.SignedTwice, "%s has said so already", rollout.Names([]access.Role{seat}))
		}
	}
	return nil
}

// WaiveItem lets the account that acts waive an item, for good and for everybody to see, and returns the outbox message
// that takes it to the workflow. It fails with domain.Conflict of code rollout_phase or rollout_not_waivable.
func (s *Store) WaiveItem(ctx context.Context, id, reason string) (message int64, err error) {
	target := "rollout"
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.actingAccount(true); err != nil {
			return audit.Entry{}, err
		}
		r, err := tx.lockRollout()
		if err != nil {
			return audit.Entry{}, err
		}
		item, err := r.itemOfPhase(id)
		target = waiverSubject(r.Name, id).String()
		if err != nil {
			return audit.Entry{}, err
		}
		if item.Unwaived {
			return audit.Entry{}, domain.E(domain.Conflict, rollout.NotWaivable, "nobody waives this item")
		}
		if strings.TrimSpace(reason) == "" {
			return audit.Entry{}, domain.E(domain.Invalid, "no_reason", "say why it is waived").About("reason")
		}
		digest := rollout.WaiverDigest(r.PlanVersion, item)
		a, err := tx.decide(decision{subject: waiverSubject(r.Name, id), digest: digest, seen: digest, verdict: approval.Approved, reason: reason,
			permission: access.RolloutLead, unasked: true})
		if err != nil {
			return audit.Entry{}, err
		}
		message, err = tx.send(KindRolloutDecided, r.target(), RolloutDecided{Name: r.Name, ApprovalID: a.ID})
		return a.entry(), err
	})
	return message, s.refuseRollout(ctx, target, err)
}

// DecidedRollout looks up the decision that a message to a rollout's workflow names, and lets it count if it holds: nothing
// is believed of the message but where to look. What does not hold changes nothing and is in the audit log as
// approval.refused; why is returned, for people.
func (s *Store) DecidedRollout(ctx context.Context, name, claimed string) (problem string, err error) {
	id, unreadable := uuid.Parse(claimed)
	subject := approval.Subject{Kind: "rollout", ID: name}
	err = s.inTx(ctx, func(tx *Tx) error {
		r, err := readRollout(tx.ctx, tx.pgx, `r.name = $1 FOR UPDATE OF r`, name)
		if err != nil {
			return err
		}
		if unreadable != nil {
			return domain.E(domain.Conflict, approval.Unknown, "there is no such approval")
		}
		var a Approval
		if found := tx.orm.Limit(1).Find(&a, "id = ?", id); found.Error != nil || found.RowsAffected == 0 {
			return wrapOr(found.Error, domain.E(domain.Conflict, approval.Unknown, "there is no such approval"))
		}
		w, item, seat, err := r.wanted(a.Subject())
		if err != nil {
			return err
		}
		subject = a.Subject()
		if seat != "" {
			if w.Digest, err = tx.attestedLast(r, item); err != nil {
				return err
			}
		}
		if _, err := tx.verifyApproval(id, w); err != nil && domain.CodeOf(err) != approval.Declined {
			return err
		}
		if seat != "" && a.ActorRole != seat {
			return domain.E(domain.Forbidden, approval.WrongRole, "the seat is another role's")
		}
		took, err := tx.pgx.Exec(tx.ctx, `INSERT INTO rollout_signatures (approval_id, rollout, item, seat) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, id, name, item.ID, seat)
		if err != nil || took.RowsAffected() == 0 { // else the message came twice
			return err
		}
		said := map[bool]string{true: "signed", false: "refused"}[a.Verdict == approval.Approved]
		if seat == "" {
			said = "waived"
		}
		return tx.enter(audit.Entry{Action: "rollout." + said, Target: r.target(), Reason: a.Reason, Diff: map[string]any{"item": item.ID, "seat": seat, "approval_id": id}})
	})
	if !strings.HasPrefix(domain.CodeOf(err), "approval_") {
		return "", err
	}
	return err.Error(), s.entered(ctx, subject, id, err)
}

func wrapOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// wanted is what an approval of this subject has to be of, to count for a rollout. The digest of a seat is looked up apart.
func (r Rollout) wanted(subject approval.Subject) (w Wanted, item rollout.Item, seat access.Role, err error) {
	foreign := domain.E(domain.Conflict, approval.Foreign, "the approval is of something else")
	parts := strings.Split(subject.ID, "/")
	if len(parts) < 2 || parts[0] != r.Name {
		return w, item, "", foreign
	}
	item, phase, ok := r.Plan.Item(parts[1])
	if !ok {
		return w, item, "", foreign
	}
	switch {
	case subject.Kind == SubjectWaiver && subject == waiverSubject(r.Name, item.ID):
		w = Wanted{subject, rollout.WaiverDigest(r.PlanVersion, item), access.RolloutLead}
	case subject.Kind == SubjectSignOff && len(parts) == 3 && slices.Contains(item.Quorum, access.Role(parts[2])):
		seat = access.Role(parts[2])
		w = Wanted{Subject: subject, Permission: access.RolloutSign}
	default:
		return w, item, "", foreign
	}
	if phase != r.Phase || r.EndedAt != nil {
		return w, item, seat, domain.E(domain.Conflict, approval.Late, "the phase %s is not under way", phase)
	}
	return w, item, seat, nil
}

// attestedLast is the digest of what was last found about an item.
func (tx *Tx) attestedLast(r Rollout, item rollout.Item) (digest []byte, err error) {
	if item.Check == "" {
		return rollout.Evidence{Values: "their word"}.Digest(r.PlanVersion, item), nil
	}
	err = tx.pgx.QueryRow(tx.ctx, `SELECT e.digest FROM rollout_items i JOIN rollout_evidence e ON e.id = i.evidence_id WHERE i.rollout = $1 AND i.item = $2`,
		r.Name, item.ID).Scan(&digest)
	if err == pgx.ErrNoRows { //nolint:errorlint // pgx returns it as it is
		return nil, nil
	}
	return digest, err
}

// voidSignatures makes void what was signed or waived and does not hold any more, and tells it: in the audit log each,
// and Ops how many. `which` speaks of the signature g and its approval a; $1 is the rollout.
func (tx *Tx) voidSignatures(r Rollout, which string, args ...any) (int, error) {
	rows, err := tx.pgx.Query(tx.ctx, `UPDATE approvals a SET voided_at = clock_timestamp(), void_reason = 'changed' FROM rollout_signatures g
		WHERE g.approval_id = a.id AND g.rollout = $1 AND a.verdict = 'approved' AND a.voided_at IS NULL AND `+which+`
		RETURNING g.item, g.seat, a.id`, append([]any{r.Name}, args...)...)
	if err != nil {
		return 0, wrap(err, "void signatures")
	}
	type voided struct {
		Item, Seat string
		ID         uuid.UUID
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[voided])
	if err != nil || len(all) == 0 {
		return 0, err
	}
	var items []string
	for _, v := range all {
		if !slices.Contains(items, v.Item) {
			items = append(items, v.Item)
		}
		if err := tx.enter(audit.Entry{Action: "rollout.signature_voided", Target: r.target(),
			Diff: map[string]any{"item": v.Item, "seat": v.Seat, "approval_id": v.ID, "code": approval.Changed}}); err != nil {
			return 0, err
		}
	}
	_, err = tx.send(KindOpsNotice, r.target()+"/ops", OpsNotice{Title: "Rollout " + r.Name + ": signatures are void", Level: "warn",
		Text: fmt.Sprintf("What was signed has changed since: %s. It must be signed anew.", strings.Join(items, ", "))})
	return len(all), err
}
