package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/override"
	"lastcall/domain/policy"
)

// Override is a request to let something go on that a rule holds back, and what became of it.
type Override struct {
	ID             uuid.UUID `gorm:"type:uuid;primaryKey"`
	Kind           override.Kind
	CampaignID     *uuid.UUID `gorm:"type:uuid"` // of quiet_hours: this, or
	SendID         *uuid.UUID `gorm:"type:uuid"` // this
	StartsAt       time.Time
	EndsAt         time.Time
	Reason         string
	RequestedBy    uuid.UUID `gorm:"type:uuid"`
	State          override.State
	CreatedAt      time.Time
	AskUntil       time.Time  // undecided then, it expires
	ApprovalID     *uuid.UUID `gorm:"type:uuid"` // the decision, once its workflow has looked it up
	DecidedAt      *time.Time // the decision took effect
	ActiveAt       *time.Time
	EndedAt        *time.Time
	EndReason      string // of one that was cancelled, or ended early
	IdempotencyKey *string
	RequestHash    []byte
}

// SubjectOverride is the kind of an override as the subject of approvals.
const SubjectOverride = "override"

func (o Override) subject() approval.Subject {
	return approval.Subject{Kind: SubjectOverride, ID: o.ID.String()}
}

func (o Override) target() string { return o.subject().String() }

func (o Override) digest() []byte {
	return override.Material{ID: o.ID, Kind: o.Kind, CampaignID: o.CampaignID, SendID: o.SendID, StartsAt: o.StartsAt, EndsAt: o.EndsAt,
		Reason: o.Reason, Requester: o.RequestedBy}.Digest()
}

// OverrideFacts are what whoever decides about an override is shown: as it was when it was asked for.
type OverrideFacts struct {
	Kind       override.Kind `json:"kind"`
	CampaignID *uuid.UUID    `json:"campaign_id,omitempty" format:"uuid"`
	Campaign   string        `json:"campaign,omitempty" doc:"Its name"`
	SendID     *uuid.UUID    `json:"send_id,omitempty" format:"uuid"`
	Template   string        `json:"template,omitempty" doc:"Of a single message: what it says, by name"`
	StartsAt   time.Time     `json:"starts_at"`
	EndsAt     time.Time     `json:"ends_at"`
	AskUntil   time.Time     `json:"ask_until" doc:"Undecided then, it expires"`
	Queued     int64         `json:"queued" doc:"Targets of the campaign that have not been sent to; a single message is one"`
	Held       int64         `json:"held" doc:"Of them, those that quiet hours held when it last looked"`
}

// NewOverride is what somebody asks for.
type NewOverride struct {
	Kind           override.Kind
	CampaignID     *uuid.UUID
	SendID         *uuid.UUID
	StartsAt       *time.Time // nil: as soon as it is approved
	EndsAt         time.Time
	Reason         string
	IdempotencyKey string // of the request, "" for none
	RequestHash    []byte // tells a repeated request from another one with the same key
}

func (n NewOverride) target() string {
	if n.CampaignID != nil {
		return target(*n.CampaignID)
	}
	if n.SendID != nil {
		return sendTarget(*n.SendID)
	}
	return "overrides"
}

// RequestOverride files a request in the name of the account that acts, starts its workflow, and tells who may decide.
// The same idempotency key again returns the same request. It fails with domain.Invalid or domain.Conflict by the codes
// of package override, and with domain.Forbidden when no account asks; a refusal is in the audit log.
func (s *Store) RequestOverride(ctx context.Context, n NewOverride) (o Override, err error) {
	if found, err := s.requestedBefore(ctx, n, &o); found || err != nil {
		return o, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		o = Override{ID: uuid.Must(uuid.NewV7()), Kind: n.Kind, CampaignID: n.CampaignID, SendID: n.SendID, EndsAt: n.EndsAt.Truncate(time.Microsecond), Reason: n.Reason,
			RequestedBy: who.ID, State: override.Requested}
		if n.IdempotencyKey != "" {
			o.IdempotencyKey, o.RequestHash = &n.IdempotencyKey, n.RequestHash
		}
		facts, of, err := tx.overrideFacts(o)
		if err != nil {
			return audit.Entry{}, err
		}
		set, now, err := s.overrideRules(tx)
		if err != nil {
			return audit.Entry{}, err
		}
		o.CreatedAt, o.StartsAt = now, now
		if n.StartsAt != nil {
			o.StartsAt = n.StartsAt.Truncate(time.Microsecond)
		}
		if err := (override.Window{Start: o.StartsAt, End: o.EndsAt}).Check(set.Overrides, now); err != nil {
			return audit.Entry{}, err
		}
		if o.AskUntil = now.Add(time.Duration(set.Overrides.RequestTTL)); o.AskUntil.After(o.EndsAt) {
			o.AskUntil = o.EndsAt
		}
		made := tx.orm.Clauses(clause.OnConflict{DoNothing: true}).Create(&o)
		if made.Error == nil && made.RowsAffected == 0 {
			return audit.Entry{}, domain.E(domain.Conflict, override.AlreadyOne, "there is one already that is not over: only one is open at a time").About(o.scope())
		}
		if made.Error != nil {
			return audit.Entry{}, made.Error
		}
		facts.StartsAt, facts.EndsAt, facts.AskUntil = o.StartsAt, o.EndsAt, o.AskUntil
		if _, err := tx.ask(ask{subject: o.subject(), digest: o.digest(), facts: facts, reason: o.Reason}); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.send(KindStartOverride, o.target(), StartOverride{OverrideID: o.ID, Kind: string(o.Kind), CampaignID: o.CampaignID, SendID: o.SendID, Name: of.name()}); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.tellOverride(o, of, "asked for", true); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "override.requested", Target: o.target(), Reason: o.Reason, Revision: set.Revision, Diff: map[string]any{
			"kind": o.Kind, "campaign_id": o.CampaignID, "send_id": o.SendID, "starts_at": o.StartsAt, "ends_at": o.EndsAt, "ask_until": o.AskUntil}}, nil
	})
	if domain.CodeOf(err) == override.AlreadyOne { // perhaps by this very request, a moment ago
		if found, again := s.requestedBefore(ctx, n, &o); found || again != nil {
			return o, again
		}
	}
	return o, s.refuseOverride(ctx, n.target(), err)
}

// requestedBefore finds what an earlier request with the same key made.
func (s *Store) requestedBefore(ctx context.Context, n NewOverride, o *Override) (bool, error) {
	if n.IdempotencyKey == "" {
		return false, nil
	}
	var first Override
	found := s.orm.WithContext(ctx).Limit(1).Find(&first, "idempotency_key = ?", n.IdempotencyKey)
	if found.Error != nil || found.RowsAffected == 0 {
		return false, unavailable(found.Error)
	}
	if *o = first; string(first.RequestHash) != string(n.RequestHash) {
		return true, domain.E(domain.Invalid, "idempotency_key_reused", "this Idempotency-Key was used for another request").About("Idempotency-Key")
	}
	return true, nil
}

// overrideFacts locks what an override is for, makes sure that there is something to let go on, and tells what whoever
// decides should know.
func (tx *Tx) overrideFacts(o Override) (facts OverrideFacts, of overridden, err error) {
	facts = OverrideFacts{Kind: o.Kind, CampaignID: o.CampaignID, SendID: o.SendID}
	if quiet := o.Kind == override.QuietHours; quiet != (o.CampaignID != nil || o.SendID != nil) || o.CampaignID != nil && o.SendID != nil {
		return facts, of, domain.E(domain.Invalid, override.BadScope, "an override of quiet hours is for one campaign or one message, any other for none").About("campaign_id")
	}
	if of, err = tx.lockOverridden(o); err != nil {
		return facts, of, err
	}
	if code, why := of.over(); code != "" {
		return facts, of, domain.E(domain.Conflict, code, "%s", why).About(o.scope())
	}
	switch {
	case of.send != nil && of.send.State != campaign.Queued:
		err = domain.E(domain.Conflict, override.SendOver, "the message is being sent").About(o.scope())
	case of.send != nil:
		facts.Template, facts.Queued = of.send.Template, 1
		if b := of.send.Block; b != nil && (b.Reason == policy.InQuietHours || slices.Contains(b.Also, policy.InQuietHours)) {
			facts.Held = 1
		}
	case of.campaign != nil:
		facts.Campaign = of.campaign.Name
		err = tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(sum(queued), 0), coalesce(sum(queued) FILTER (WHERE blocked_reason = 'quiet_hours'), 0)
			FROM cohorts WHERE campaign_id = $1`, of.campaign.ID).Scan(&facts.Queued, &facts.Held)
	}
	return facts, of, err
}

// overridden is what an override is for; both nil: the whole installation.
type overridden struct {
	campaign *Campaign
	send     *Send
}

// over tells that there is nothing left to let go on, by its code and in words; "" if there is.
func (of overridden) over() (code, why string) {
	switch {
	case of.campaign != nil && of.campaign.sendsNoMore():
		return override.Over, "the campaign sends nothing any more"
	case of.send != nil && of.send.State != campaign.Queued && of.send.State != campaign.Sending:
		return override.SendOver, "the message is " + spoken(of.send.State) + ": only one that waits can be let go on"
	}
	return "", ""
}

// name is what it is for, for people; it tells nothing of whom a message is to.
func (of overridden) name() string {
	switch {
	case of.campaign != nil:
		return "campaign " + of.campaign.Name
	case of.send != nil:
		return "a single message (" + of.send.Template + ")"
	}
	return "a production drill"
}

func (c Campaign) sendsNoMore() bool {
	return c.Status.Ended() || c.Status == campaign.Settling || c.Gate == campaign.GateStopped
}

// scope is the field that says what an override is for.
func (o Override) scope() string {
	if o.SendID != nil {
		return "send_id"
	}
	return "campaign_id"
}

// lockOverridden locks what an override is for: whoever gives it a permit does so, too.
func (tx *Tx) lockOverridden(o Override) (of overridden, err error) {
	switch {
	case o.CampaignID != nil:
		c, err := tx.lockCampaign(*o.CampaignID)
		return overridden{campaign: &c}, err
	case o.SendID != nil:
		one, err := tx.lockSend(*o.SendID)
		return overridden{send: &one}, err
	}
	return of, nil
}

// lockOverride locks what an override is for, and then the override.
func (tx *Tx) lockOverride(id uuid.UUID) (o Override, of overridden, err error) {
	if err := tx.orm.First(&o, "id = ?", id).Error; err != nil {
		return o, of, notFound(err, "override", id)
	}
	if of, err = tx.lockOverridden(o); err != nil {
		return o, of, err
	}
	o = Override{} // what was read may be old by now
	err = tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&o, "id = ?", id).Error
	return o, of, err
}

// DecideOverride enters the verdict of the account that acts and returns the outbox message that takes it to the
// override's workflow, which looks it up before anything comes of it. It fails with domain.Conflict of code
// override_state, override_expired, campaign_ended, send_ended or approval_not_asked when there is nothing to decide (any more), and with
// domain.Forbidden for who may not; a refusal is in the audit log.
func (s *Store) DecideOverride(ctx context.Context, id uuid.UUID, verdict approval.Verdict, reason string) (message int64, err error) {
	subject := Override{ID: id}.subject()
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		o, of, err := tx.lockOverride(id)
		if err != nil {
			return audit.Entry{}, err
		}
		over, why := of.over()
		_, now, err := s.overrideRules(tx)
		if err != nil {
			return audit.Entry{}, err
		}
		switch {
		case o.State == override.Expired || o.State == override.Requested && !now.Before(o.AskUntil):
			return audit.Entry{}, domain.E(domain.Conflict, override.TooLate, "it is too late: nobody had decided in time")
		case o.State != override.Requested:
			return audit.Entry{}, domain.E(domain.Conflict, override.WrongState, "it is %s: there is nothing to decide any more", o.State)
		case over != "" && verdict == approval.Approved:
			return audit.Entry{}, domain.E(domain.Conflict, over, "%s", why)
		}
		a, err := tx.decide(decision{subject: subject, digest: o.digest(), seen: o.digest(), verdict: verdict, reason: reason,
			permission: access.OverridesDecide, lasts: o.EndsAt.Sub(laterOf(o.StartsAt, now)), from: &o.StartsAt})
		if err != nil {
			return audit.Entry{}, err
		}
		message, err = tx.send(KindDecideOverride, o.target(), DecideOverride{OverrideID: id, ApprovalID: a.ID})
		return a.entry(), err
	})
	return message, s.refuseOverride(ctx, subject.String(), err)
}

// CancelOverride ends an override that is not over, at once: no permit is granted by it from the commit on. Who asked
// for it may, and who may decide. It returns the outbox message that tells its workflow, and fails with domain.Conflict or
// domain.Forbidden; a refusal is in the audit log.
func (s *Store) CancelOverride(ctx context.Context, id uuid.UUID, reason string) (message int64, err error) {
	subject := Override{ID: id}.subject()
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		o, _, err := tx.lockOverride(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if who.Disabled || who.ID != o.RequestedBy && !access.May(who.Role, access.OverridesDecide) {
			return audit.Entry{}, domain.E(domain.Forbidden, override.NotYours, "whoever asked for it cancels it, or whoever may decide")
		}
		if !o.State.Open() {
			return audit.Entry{}, domain.E(domain.Conflict, override.WrongState, "it is %s already", o.State)
		}
		was := o.State
		if err := tx.overOverride(&o, override.Cancelled, reason); err != nil {
			return audit.Entry{}, err
		}
		message, err = tx.send(KindOverrideChanged, o.target(), OverrideChanged{OverrideID: id})
		return audit.Entry{Action: "override.cancelled", Target: o.target(), Reason: reason, Diff: map[string]any{"state": []override.State{was, o.State}}}, err
	})
	return message, s.refuseOverride(ctx, subject.String(), err)
}

// overOverride ends an override in this state, with whatever was asked or decided about it, and wakes what it is
// for if it was at work.
func (tx *Tx) overOverride(o *Override, to override.State, why string) error {
	was := o.State
	if err := tx.closeRequest(o.subject(), "over"); err != nil {
		return err
	}
	if to == override.Cancelled {
		if err := tx.void(o.subject(), "cancelled"); err != nil {
			return err
		}
	}
	if err := tx.changeOverride(o, map[string]any{"state": to, "ended_at": databaseTime, "end_reason": why}); err != nil {
		return err
	}
	if was == override.Active || was == override.Approved {
		return tx.wakeOverridden(*o)
	}
	return nil
}

// changeOverride writes columns of an override, and reads it anew.
func (tx *Tx) changeOverride(o *Override, columns map[string]any) error {
	if err := tx.orm.Model(&Override{}).Where("id = ?", o.ID).Updates(columns).Error; err != nil {
		return wrap(err, "change override")
	}
	*o = Override{ID: o.ID}
	return tx.orm.First(o).Error
}

// wakeOverridden tells the campaign, or the send, of an override to look again.
func (tx *Tx) wakeOverridden(o Override) error {
	switch {
	case o.CampaignID != nil:
		return tx.wake(`id = $2`, *o.CampaignID)
	case o.SendID != nil:
		return tx.wakeSends(`id = $2`, *o.SendID)
	}
	return nil
}

// refuseOverride enters in the audit log why somebody's wish about overrides was refused, and returns that.
func (s *Store) refuseOverride(ctx context.Context, target string, why error) error {
	switch domain.KindOf(why) {
	case domain.Invalid, domain.Conflict, domain.Forbidden:
	default:
		return why
	}
	code, action := domain.CodeOf(why), "override.refused"
	if strings.HasPrefix(code, "approval_") {
		action = "approval.refused"
	}
	if err := s.Enter(ctx, audit.Entry{Action: action, Target: target, Diff: map[string]any{"code": code}}); err != nil {
		return err
	}
	return why
}

// overrideRules are the settings in force, and the database's time.
func (s *Store) overrideRules(tx *Tx) (set policy.Settings, now time.Time, err error) {
	var revision int64
	err = tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(max(revision), 0), clock_timestamp() FROM settings_revisions`).Scan(&revision, &now)
	if err == nil {
		set, err = s.settingsAt(tx.ctx, tx.pgx, revision)
	}
	return set, now, err
}
