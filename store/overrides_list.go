package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/override"
	"lastcall/domain/policy"
)

// OverrideView is an override with who asked and who decided, as whoever looks sees it.
type OverrideView struct {
	Override
	Requester      Party
	Campaign       string // its name
	CampaignStatus campaign.Status
	Send           *OverriddenSend // nil: it is not for a send
	Decision       *Decided        // nil: nobody has decided
	Refusal        error           // why whoever looks may not decide; nil: they may
	MayCancel      bool            // whoever looks
	Now            time.Time
}

// OverriddenSend is the message that an override is for.
type OverriddenSend struct {
	MSISDN   contact.MSISDN
	Template string // its name
	State    campaign.TargetState
}

// OverrideMoment is an entry of the audit log about one override.
type OverrideMoment struct {
	At     time.Time
	Kind   string // account, token or system
	Actor  string
	Action string
	Reason string
	Code   string // of a refusal
}

// OverrideFilter says which overrides somebody wants to see.
type OverrideFilter struct {
	Campaign uuid.UUID        // uuid.Nil: of all
	Send     uuid.UUID        // uuid.Nil: of all
	States   []override.State // none: in any
	Before   uuid.UUID        // those older than this one; uuid.Nil: from the newest
	Limit    int
}

// Overrides lists overrides, newest first, as whoever acts in ctx sees them.
func (s *Store) Overrides(ctx context.Context, f OverrideFilter) (all []OverrideView, err error) {
	where, args := []string{"true"}, []any{} // of what is asked for only: one plan for all would read every row
	add := func(sql string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(sql, len(args)))
	}
	if f.Campaign != uuid.Nil {
		add("o.campaign_id = $%d", f.Campaign)
	}
	if f.Send != uuid.Nil {
		add("o.send_id = $%d", f.Send)
	}
	if len(f.States) > 0 {
		add("o.state = ANY ($%d)", f.States)
	}
	if f.Before != uuid.Nil {
		add("o.id < $%d", f.Before)
	}
	args = append(args, page(f.Limit))
	err = s.inTx(ctx, func(tx *Tx) error {
		all, err = tx.overrides(strings.Join(where, " AND ")+fmt.Sprintf(` ORDER BY o.id DESC LIMIT $%d`, len(args)), args...)
		return err
	})
	return all, err
}

// OverrideOf returns one override, with its history from the audit log, oldest first, 200 entries at most.
func (s *Store) OverrideOf(ctx context.Context, id uuid.UUID) (v OverrideView, history []OverrideMoment, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		found, err := tx.overrides(`o.id = $1`, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return notFound(pgx.ErrNoRows, "override", id)
		}
		v = found[0]
		rows, err := tx.pgx.Query(tx.ctx, `SELECT created_at, actor_kind, actor, action, reason, coalesce(diff->>'code', '') FROM audit_log
			WHERE target = $1 ORDER BY id LIMIT 200`, v.target())
		if err != nil {
			return err
		}
		history, err = pgx.CollectRows(rows, pgx.RowToStructByPos[OverrideMoment])
		return err
	})
	return v, history, err
}

func (tx *Tx) overrides(where string, args ...any) ([]OverrideView, error) {
	var me *approval.Person
	who, err := tx.actingAccount(false)
	if err == nil {
		me = &who
	}
	rows, err := tx.pgx.Query(tx.ctx, `SELECT o.id, o.kind, o.campaign_id, o.send_id, o.starts_at, o.ends_at, o.reason, o.requested_by, o.state, o.created_at, o.ask_until,
			o.approval_id, o.decided_at, o.active_at, o.ended_at, o.end_reason, clock_timestamp(), q.id, q.email, q.name, q.role, q.disabled_at IS NOT NULL,
			coalesce(c.name, ''), coalesce(c.status, ''), d.id, d.verdict, d.reason, d.created_at, d.expires_at, d.actor_role, d.actor_id, d.email, d.name,
			m.msisdn, t.name, m.state
		FROM overrides o JOIN accounts q ON q.id = o.requested_by LEFT JOIN campaigns c ON c.id = o.campaign_id
		LEFT JOIN sends m ON m.id = o.send_id LEFT JOIN templates t ON t.id = m.template_id
		LEFT JOIN LATERAL (SELECT p.id, p.verdict, p.reason, p.created_at, p.expires_at, p.actor_role, p.actor_id, a.email, a.name
			FROM approvals p JOIN accounts a ON a.id = p.actor_id
			WHERE p.subject_kind = '`+SubjectOverride+`' AND p.subject_id = o.id::text ORDER BY p.id DESC LIMIT 1) d ON true WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []OverrideView{}
	for rows.Next() {
		var v OverrideView
		var d struct {
			id, actor            *uuid.UUID
			verdict, reason      *string
			at, expires          *time.Time
			role, email, nameOff *string
		}
		var to, template, state *string
		q := &v.Requester
		if err := rows.Scan(&v.ID, &v.Kind, &v.CampaignID, &v.SendID, &v.StartsAt, &v.EndsAt, &v.Reason, &v.RequestedBy, &v.State, &v.CreatedAt, &v.AskUntil,
			&v.ApprovalID, &v.DecidedAt, &v.ActiveAt, &v.EndedAt, &v.EndReason, &v.Now, &q.ID, &q.Email, &q.Name, &q.Role, &q.Disabled,
			&v.Campaign, &v.CampaignStatus, &d.id, &d.verdict, &d.reason, &d.at, &d.expires, &d.role, &d.actor, &d.email, &d.nameOff,
			&to, &template, &state); err != nil {
			return nil, err
		}
		if d.id != nil {
			v.Decision = &Decided{Approval: Approval{ID: *d.id, Verdict: approval.Verdict(*d.verdict), Reason: *d.reason, CreatedAt: *d.at, ExpiresAt: d.expires,
				ActorRole: access.Role(*d.role)}, Actor: Party{ID: *d.actor, Email: *d.email, Name: *d.nameOff}}
		}
		if v.SendID != nil {
			v.Send = &OverriddenSend{MSISDN: contact.MSISDN(*to), Template: *template, State: campaign.TargetState(*state)}
		}
		v.decidable(me, audit.ActorFrom(tx.ctx).Token != "")
		all = append(all, v)
	}
	return all, wrap(rows.Err(), "read overrides")
}

// decidable tells what whoever looks may do.
func (v *OverrideView) decidable(me *approval.Person, token bool) {
	switch {
	case v.State != override.Requested || v.Decision != nil:
		v.Refusal = domain.E(domain.Conflict, override.WrongState, "there is nothing to decide any more")
	case me == nil || token:
		v.Refusal = errToken
	default:
		v.Refusal = me.MayDecide(access.OverridesDecide, &v.RequestedBy, nil)
	}
	v.MayCancel = me != nil && !me.Disabled && v.State.Open() && (me.ID == v.RequestedBy || access.May(me.Role, access.OverridesDecide))
}

// AwaitOverride waits until an override is not in this state any more or ctx is over, and reports which.
func (s *Store) AwaitOverride(ctx context.Context, id uuid.UUID, from override.State) (bool, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		var state override.State
		err := s.pool.QueryRow(ctx, `SELECT state FROM overrides WHERE id = $1`, id).Scan(&state)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case err != nil:
			return false, notFound(err, "override", id)
		case state != from:
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(pause):
		}
	}
}

// OverrideLetter is what a mail about an override says, and to whom.
type OverrideLetter struct {
	To       Party
	What     string
	Override OverrideView
}

// OverrideLetter looks up what a mail is to say; domain.NotFound when its reader may not sign in any more.
func (s *Store) OverrideLetter(ctx context.Context, m MailOverride) (l OverrideLetter, err error) {
	l.What = m.What
	if l.Override, _, err = s.OverrideOf(ctx, m.OverrideID); err != nil {
		return l, err
	}
	var a Account
	err = s.orm.WithContext(ctx).First(&a, "id = ? AND disabled_at IS NULL", m.AccountID).Error
	l.To = Party{ID: a.ID, Email: a.Email, Name: a.Name, Role: a.Role}
	return l, notFound(err, "account", m.AccountID)
}

// joinLift joins what lifts quiet hours for campaigns c, joinSendLift for the send $3, in liftColumns.
const (
	liftHolds    = ` lift.kind = 'quiet_hours' AND lift.state IN ('approved', 'active') `
	joinLift     = ` LEFT JOIN overrides lift ON lift.campaign_id = c.id AND` + liftHolds
	joinSendLift = ` LEFT JOIN overrides lift ON lift.send_id = $3 AND` + liftHolds
	liftColumns  = ` lift.id, lift.state, lift.starts_at, lift.ends_at `
)

// liftRow is what joinLift finds; all nil: nothing.
type liftRow struct {
	id         *uuid.UUID
	state      *override.State
	start, end *time.Time
}

func (r *liftRow) into() []any { return []any{&r.id, &r.state, &r.start, &r.end} }

// lift is what the policy is told. An override that has been approved lifts nothing before its workflow has made it
// active, which it does when its time has come: until then its start is only when to ask again.
func (r liftRow) lift(now time.Time) policy.Lift {
	if r.id == nil || *r.state != override.Active && !r.start.After(now) {
		return policy.Lift{}
	}
	return policy.Lift{ID: r.id.String(), From: *r.start, Until: *r.end}
}

// liftsOf are what lifts quiet hours for campaigns; one that is not in it has nothing.
func (s *Store) liftsOf(ctx context.Context, ids ...uuid.UUID) (map[uuid.UUID]liftRow, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.id, `+liftColumns+` FROM campaigns c`+joinLift+`WHERE c.id = ANY ($1) AND lift.id IS NOT NULL`, ids)
	if err != nil {
		return nil, unavailable(err)
	}
	all := map[uuid.UUID]liftRow{}
	var id uuid.UUID
	var r liftRow
	_, err = pgx.ForEachRow(rows, append([]any{&id}, r.into()...), func() error {
		all[id] = r
		return nil
	})
	return all, unavailable(err)
}
