package store

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
)

// Party is the account of who asked or decided.
type Party struct {
	ID       uuid.UUID
	Email    string
	Name     string
	Role     access.Role // now
	Disabled bool
}

func (p Party) person() approval.Person {
	return approval.Person{ID: p.ID, Role: p.Role, Disabled: p.Disabled}
}

// Asked is a request with who asked, as whoever looks sees it.
type Asked struct {
	ApprovalRequest
	Requester Party
	Editor    *Party // who edited the subject last; nil: no account
	Changed   bool   // the subject is not what was asked about any more
	Refusal   error  // why whoever looks may not decide; nil: they may
}

// Decided is a decision with who took it.
type Decided struct {
	Approval
	Actor Party
}

// The states of a campaign's approval.
const (
	ApprovalNotNeeded = "not_needed"
	ApprovalNeeded    = "needed"   // nobody has asked
	ApprovalWaiting   = "waiting"  // somebody has
	ApprovalChanged   = "changed"  // what was asked about is not what there is: somebody must ask again
	ApprovalApproved  = "approved" // it may start
	ApprovalRejected  = "rejected"
	ApprovalVoid      = "void"    // it was approved, which does not hold any more
	ApprovalCleared   = "cleared" // it has begun to send
)

// CampaignApproval is how it stands about the approval of a campaign.
type CampaignApproval struct {
	State     string
	Problem   string // void: why
	Rules     policy.Campaigns
	Targets   int64
	Digest    []byte // of the campaign as it is now
	SendAt    *time.Time
	Request   *Asked    // the open one
	Decisions []Decided // newest first, 50 at most
}

// CampaignApproval reads how it stands now, as whoever acts in ctx sees it.
func (s *Store) CampaignApproval(ctx context.Context, id uuid.UUID) (c CampaignApproval, err error) {
	subject := campaignSubject(id)
	row, err := s.Campaign(ctx, id)
	if err != nil {
		return c, err
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		m, rules, err := s.materialOf(tx.ctx, tx.pgx, id)
		if err != nil {
			return err
		}
		c = CampaignApproval{State: ApprovalNeeded, Rules: rules, Targets: m.Targets(), Digest: m.Digest(), SendAt: m.SendAt}
		if c.Decisions, err = tx.decisions(subject); err != nil {
			return err
		}
		asked, err := tx.asked(`r.subject_kind = $1 AND r.subject_id = $2`, subject.Kind, subject.ID)
		if err != nil {
			return err
		}
		switch {
		case row.ClearedAt != nil:
			c.State = ApprovalCleared
		case !rules.Approval.Needed(c.Targets):
			c.State = ApprovalNotNeeded
		case len(asked) > 0:
			c.State, c.Request = ApprovalWaiting, &asked[0]
			if c.Request.Changed = !bytes.Equal(c.Request.Digest, c.Digest); c.Request.Changed {
				c.State = ApprovalChanged
			}
		case len(c.Decisions) > 0 && c.Decisions[0].Verdict == approval.Rejected:
			c.State = ApprovalRejected
		case len(c.Decisions) > 0:
			last := c.Decisions[0]
			problem := tx.holds(last.Approval, last.Actor.person(), Wanted{subject, c.Digest, access.CampaignsApprove})
			if problem == nil {
				problem = tx.inTime(row, last.Approval, time.Duration(rules.MaxLate))
			}
			if domain.KindOf(problem) == domain.Internal && problem != nil {
				return problem
			}
			if c.State = ApprovalApproved; problem != nil {
				c.State, c.Problem = ApprovalVoid, problem.Error()
			}
		}
		return nil
	})
	return c, err
}

// ApprovalsAsked lists what waits for a decision, newest first, those older than the request `before` (uuid.Nil: from the
// newest), as whoever acts in ctx sees it.
func (s *Store) ApprovalsAsked(ctx context.Context, before uuid.UUID, limit int) (all []Asked, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		if all, err = tx.asked(`($1 = '00000000-0000-0000-0000-000000000000'::uuid OR r.id < $1) ORDER BY r.id DESC LIMIT $2`, before, page(limit)); err != nil {
			return err
		}
		var ids []uuid.UUID
		for _, a := range all {
			if id, err := uuid.Parse(a.SubjectID); err == nil && a.SubjectKind == SubjectCampaign {
				ids = append(ids, id)
			}
		}
		materials, _, err := s.materials(tx.ctx, tx.pgx, ids)
		for i, a := range all {
			if id, err := uuid.Parse(a.SubjectID); err == nil && a.SubjectKind == SubjectCampaign {
				all[i].Changed = !bytes.Equal(a.Digest, materials[id].Digest())
			}
		}
		if err == nil {
			err = tx.templatesAsked(all)
		}
		return err
	})
	return all, err
}

// permissions are what deciding about each kind of subject takes.
var permissions = map[string]access.Permission{SubjectCampaign: access.CampaignsApprove, SubjectTemplate: access.TemplatesReview,
	SubjectOverride: access.OverridesDecide, SubjectRollback: access.RolloutRecover}

// asked reads the open requests that fit, with what keeps whoever acts from deciding.
func (tx *Tx) asked(where string, args ...any) ([]Asked, error) {
	var me *approval.Person
	if who, err := tx.actingAccount(false); err == nil {
		me = &who
	}
	rows, err := tx.pgx.Query(tx.ctx, `SELECT r.id, r.subject_kind, r.subject_id, r.digest, r.facts, r.reason, r.requester_id, r.created_at,
			q.email, q.name, q.role, q.disabled_at IS NOT NULL, e.id, e.email, e.name, e.role
		FROM approval_requests r JOIN accounts q ON q.id = r.requester_id
		LEFT JOIN LATERAL (SELECT a.* FROM edits e JOIN accounts a ON a.id = e.account_id
			WHERE (e.subject_kind, e.subject_id) = (r.subject_kind, r.subject_id) ORDER BY e.id DESC LIMIT 1) e ON true
		WHERE r.closed_at IS NULL AND `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Asked
	for rows.Next() {
		var a Asked
		var facts []byte
		var editor struct {
			id                *uuid.UUID
			email, name, role *string
		}
		q := &a.Requester
		if err := rows.Scan(&a.ID, &a.SubjectKind, &a.SubjectID, &a.Digest, &facts, &a.Reason, &a.RequesterID, &a.CreatedAt,
			&q.Email, &q.Name, &q.Role, &q.Disabled, &editor.id, &editor.email, &editor.name, &editor.role); err != nil {
			return nil, err
		}
		a.Facts, q.ID = json.RawMessage(facts), a.RequesterID
		if editor.id != nil {
			a.Editor = &Party{ID: *editor.id, Email: *editor.email, Name: *editor.name, Role: access.Role(*editor.role)}
		}
		if me == nil || audit.ActorFrom(tx.ctx).Token != "" {
			a.Refusal = errToken
		} else {
			a.Refusal = me.MayDecide(permissions[a.SubjectKind], &a.RequesterID, editor.id)
		}
		all = append(all, a)
	}
	return all, wrap(rows.Err(), "read requests")
}

// decisions are the last fifty about a subject, newest first.
func (tx *Tx) decisions(subject approval.Subject) (all []Decided, err error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT d.id, d.subject_kind, d.subject_id, d.digest, d.verdict, d.reason, d.actor_id, d.actor_role, d.request_id,
			d.requester_id, d.editor_id, d.created_at, d.expires_at, d.voided_at, d.void_reason, a.email, a.name, a.role, a.disabled_at IS NOT NULL
		FROM approvals d JOIN accounts a ON a.id = d.actor_id
		WHERE d.subject_kind = $1 AND d.subject_id = $2 ORDER BY d.id DESC LIMIT 50`, subject.Kind, subject.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Decided
		a := &d.Actor
		if err := rows.Scan(&d.ID, &d.SubjectKind, &d.SubjectID, &d.Digest, &d.Verdict, &d.Reason, &d.ActorID, &d.ActorRole, &d.RequestID,
			&d.RequesterID, &d.EditorID, &d.CreatedAt, &d.ExpiresAt, &d.VoidedAt, &d.VoidReason, &a.Email, &a.Name, &a.Role, &a.Disabled); err != nil {
			return nil, err
		}
		a.ID = d.ActorID
		all = append(all, d)
	}
	return all, wrap(rows.Err(), "read decisions")
}
