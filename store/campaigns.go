package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/domain/voucher"
)

// Campaign is one message to many.
type Campaign struct {
	ID             uuid.UUID         `gorm:"type:uuid;primaryKey"`
	Name           string            // 1 to 200 characters
	Channel        string            // policy.ChannelWhatsApp
	Weight         int               // its part of the channel beside others', 1 to 100
	TemplateID     uuid.UUID         `gorm:"type:uuid"`
	Variables      map[string]string `gorm:"serializer:json;type:jsonb"` // values that hold for every target
	Voucher        *voucher.Offer    `gorm:"serializer:json;type:jsonb"` // what each target gets; nil: a message, and no more
	Status         campaign.Status
	Gate           campaign.Gate
	NeedsHuman     string     // what somebody must mend before it goes on
	SendAt         *time.Time // not before then
	IdempotencyKey *string
	RequestHash    []byte
	CreatedAt      time.Time
	UpdatedAt      time.Time
	StartedAt      *time.Time
	FinishedAt     *time.Time
	Report         json.RawMessage `gorm:"type:jsonb"`
	Resend         int             // how often it was sent again: which of its workflows looks after it
	ApprovalID     *uuid.UUID      `gorm:"type:uuid"` // with which it was started, if it needed one
	IsDrill        bool            // of a drill: in no figure and no signal
	ClearedAt      *time.Time      // when it was found that it may send: nobody has to approve it, or somebody had
}

// NewCampaign is what a campaign is made of.
type NewCampaign struct {
	Name           string
	TemplateID     uuid.UUID
	Variables      map[string]string
	Voucher        *voucher.Offer // what each target gets; nil: a message, and no more
	Weight         int            // its part of the channel beside others', 1 to 100; 0: 1
	IdempotencyKey string         // of the request, "" for none
	RequestHash    []byte         // tells a repeated request from another one with the same key
}

// CreateCampaign makes a draft. The same idempotency key again returns the same draft; with another
// request it is a domain.Invalid of code idempotency_key_reused. One that gives vouchers needs a template that says their
// code, else it fails with domain.Invalid about "template".
func (s *Store) CreateCampaign(ctx context.Context, n NewCampaign) (Campaign, error) {
	t, err := s.Template(ctx, n.TemplateID)
	if err != nil {
		return Campaign{}, err
	}
	for name := range n.Variables {
		if !t.has(name) {
			return Campaign{}, unknownVariable(t, name)
		}
	}
	c := Campaign{ID: uuid.Must(uuid.NewV7()), Name: n.Name, Channel: policy.ChannelWhatsApp, TemplateID: n.TemplateID,
		Variables: n.Variables, Voucher: n.Voucher, Weight: cmp.Or(n.Weight, 1), Status: campaign.Draft, Gate: campaign.GateOpen}
	if err := campaign.CheckWeight(c.Status, c.Weight); err != nil {
		return c, err
	}
	if c.Variables == nil {
		c.Variables = map[string]string{}
	}
	if n.IdempotencyKey != "" {
		c.IdempotencyKey, c.RequestHash = &n.IdempotencyKey, n.RequestHash
	}
	var repeated bool
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.checkOffer(c.Voucher, t, c.Variables); err != nil {
			return audit.Entry{}, err
		}
		made := tx.orm.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "idempotency_key"}}, DoNothing: true}).Create(&c)
		if repeated = made.Error == nil && made.RowsAffected == 0; repeated {
			return audit.Entry{}, domain.E(domain.Conflict, "repeated", "repeated")
		}
		if made.Error != nil {
			return audit.Entry{}, made.Error
		}
		return audit.Entry{Action: "campaign.created", Target: target(c.ID)}, tx.edited(campaignSubject(c.ID))
	})
	if !repeated {
		return c, err
	}
	var first Campaign
	if err := s.orm.WithContext(ctx).First(&first, "idempotency_key = ?", n.IdempotencyKey).Error; err != nil {
		return first, unavailable(err)
	}
	if string(first.RequestHash) != string(n.RequestHash) {
		return first, domain.E(domain.Invalid, "idempotency_key_reused", "this Idempotency-Key was used for another request").About("Idempotency-Key")
	}
	return first, nil
}

// Campaign returns one campaign.
func (s *Store) Campaign(ctx context.Context, id uuid.UUID) (Campaign, error) {
	var c Campaign
	err := s.orm.WithContext(ctx).First(&c, "id = ?", id).Error
	return c, notFound(err, "campaign", id)
}

// StartCampaign turns a draft over to its workflow, to send from sendAt on (nil: now), and returns the
// outbox message that starts it. It fails with domain.Conflict when the campaign is no draft or is being
// imported into, with domain.Invalid when the preflight finds something. What has to be approved starts with an approval
// of it as it is, at the time that was approved (which sendAt nil stands for), else it fails with domain.Conflict of code
// approval_required, which is in the audit log.
func (s *Store) StartCampaign(ctx context.Context, id uuid.UUID, sendAt *time.Time) (message int64, err error) {
	var approved *uuid.UUID
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.noImport(id); err != nil {
			return audit.Entry{}, err
		}
		c, err := tx.lockCampaign(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if c.Status != campaign.Draft {
			return audit.Entry{}, domain.E(domain.Conflict, "wrong_state", "the campaign was started already: it is %s", c.Status)
		}
		if err := tx.keepTemplate(c.TemplateID); err != nil {
			return audit.Entry{}, err
		}
		check, _, err := s.preflight(tx.ctx, tx.pgx, id)
		if err != nil {
			return audit.Entry{}, err
		}
		if len(check.Problems) > 0 {
			return audit.Entry{}, domain.E(domain.Invalid, check.Problems[0].Code, "%s", check.Problems[0].Message)
		}
		if err := tx.guardSending(s, target(id), c.TemplateID, check.Targets); err != nil {
			return audit.Entry{}, err
		}
		if approved, err = s.approvalToStart(tx, &c, sendAt); err != nil {
			return audit.Entry{}, err
		}
		diff := map[string]any{"send_at": c.SendAt, "targets": check.Targets}
		if approved != nil {
			diff["approval_id"] = approved
		}
		if err := tx.change(id, map[string]any{"status": campaign.Scheduled, "send_at": c.SendAt, "started_at": databaseTime, "approval_id": approved}); err != nil {
			return audit.Entry{}, err
		}
		message, err = tx.send(KindStartCampaign, target(id), StartCampaign{CampaignID: id, Name: c.Name, SendAt: c.SendAt, Targets: check.Targets, ApprovalID: approved})
		return audit.Entry{Action: "campaign.started", Target: target(id), Diff: diff}, err
	})
	if err != nil && domain.CodeOf(err) == approval.Required {
		var refused uuid.UUID
		if approved != nil {
			refused = *approved
		}
		return 0, s.refusedAs(ctx, campaignSubject(id), refused, err, errors.Unwrap(err))
	}
	return message, err
}

// Order turns the gate of a campaign: no permit is granted from the commit on until it is open again. It
// returns the outbox message that carries the order to the workflow.
func (s *Store) Order(ctx context.Context, id uuid.UUID, gate campaign.Gate, reason string) (message int64, err error) {
	order := map[campaign.Gate]string{campaign.GateOpen: "resume", campaign.GatePaused: "pause", campaign.GateStopped: "stop"}[gate]
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		c, err := tx.lockCampaign(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := campaign.CheckOrder(c.Status, c.Gate, gate); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.change(id, map[string]any{"gate": gate}); err != nil {
			return audit.Entry{}, err
		}
		if gate == campaign.GateStopped {
			if err := tx.closeRequest(campaignSubject(id), "over"); err != nil {
				return audit.Entry{}, err
			}
		}
		message, err = tx.send(KindOrderCampaign, target(id), OrderCampaign{CampaignID: id, Order: order, Resend: c.Resend})
		return audit.Entry{Action: "campaign." + order + "_ordered", Target: target(id), Reason: reason,
			Diff: map[string]any{"gate": []campaign.Gate{c.Gate, gate}}}, err
	})
	return message, err
}

// Advance writes the status a campaign's workflow has reached, short of its end, with what a human must
// mend, if anything. One that needs approval does not run before it was cleared. Writing the same status again changes nothing; a status that may not follow is a domain.Conflict.
func (s *Store) Advance(ctx context.Context, id uuid.UUID, to campaign.Status, needsHuman string) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		c, err := tx.lockCampaign(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if !c.Status.May(to) {
			return audit.Entry{}, wrongState(c.Status, to)
		}
		if to == campaign.Settling {
			if err := tx.nothingLeft(c); err != nil {
				return audit.Entry{}, err
			}
		}
		columns := map[string]any{"status": to, "needs_human": needsHuman}
		if to == campaign.Running && c.ClearedAt == nil {
			if err := s.needsNoApproval(tx, id); err != nil {
				return audit.Entry{}, err
			}
			columns["cleared_at"] = databaseTime
		}
		if err := tx.change(id, columns); err != nil {
			return audit.Entry{}, err
		}
		if needsHuman != "" && needsHuman != c.NeedsHuman {
			if _, err := tx.send(KindOpsNotice, target(id)+"/ops", OpsNotice{Title: "Campaign needs a human: " + c.Name, Text: needsHuman, Level: "warn"}); err != nil {
				return audit.Entry{}, err
			}
		}
		return audit.Entry{Action: "campaign.advanced", Target: target(id),
			Diff: map[string]any{"status": []campaign.Status{c.Status, to}, "needs_human": needsHuman}}, nil
	})
}

// nothingLeft makes sure that a campaign which stops dispatching has nothing left to dispatch, unless it was
// stopped: domain.Conflict of code not_drained. No lane works any more, so what is still being sent was left
// behind by a run that is gone.
func (tx *Tx) nothingLeft(c Campaign) error {
	var queued, sending int64
	err := tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(sum(queued), 0), coalesce(sum(sending), 0) FROM cohorts WHERE campaign_id = $1`, c.ID).
		Scan(&queued, &sending)
	if err == nil && sending > 0 {
		_, err = tx.leftBehind(c.ID, `true`)
	}
	if err == nil && queued > 0 && c.Gate != campaign.GateStopped {
		return domain.E(domain.Conflict, "not_drained", "%d targets are still queued", queued)
	}
	return err
}

// databaseTime is now by the database's clock: that of a worker or an API may be minutes off.
var databaseTime = gorm.Expr("clock_timestamp()")

// change writes columns of a campaign. It leaves what was read of it as it was, to be compared with.
func (tx *Tx) change(id uuid.UUID, columns map[string]any) error {
	columns["updated_at"] = databaseTime
	return tx.orm.Model(&Campaign{}).Where("id = ?", id).Updates(columns).Error
}

func wrongState(from, to campaign.Status) error {
	return domain.E(domain.Conflict, "wrong_state", "a campaign that is %s cannot become %s", from, to)
}

// lockCampaign reads a campaign and keeps every other writer off it until the transaction ends.
func (tx *Tx) lockCampaign(id uuid.UUID) (Campaign, error) {
	var c Campaign
	err := tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&c, "id = ?", id).Error
	return c, notFound(err, "campaign", id)
}

// onlyOne takes a named lock until the transaction ends, or fails at once with domain.Conflict.
func (tx *Tx) onlyOne(name string) error {
	var got bool
	err := tx.pgx.QueryRow(tx.ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`, name).Scan(&got)
	if err == nil && !got {
		return domain.E(domain.Conflict, "import_running", "an import into this campaign is running")
	}
	return err
}

// target names a campaign in audit entries and outbox keys; it is its workflow's id too.
func target(id uuid.UUID) string { return fmt.Sprintf("campaign/%s", id) }
