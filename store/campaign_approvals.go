package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/domain/voucher"
)

// SubjectCampaign is the kind of a campaign as the subject of approvals.
const SubjectCampaign = "campaign"

func campaignSubject(id uuid.UUID) approval.Subject {
	return approval.Subject{Kind: SubjectCampaign, ID: id.String()}
}

// CampaignFacts are what whoever decides about a campaign is shown: as it was when it was asked about.
type CampaignFacts struct {
	Name            string           `json:"name"`
	Channel         string           `json:"channel"`
	Voucher         *voucher.Offer   `json:"voucher,omitempty" doc:"What each target gets; absent: a message, and no more"`
	TemplateID      uuid.UUID        `json:"template_id" format:"uuid"`
	Template        string           `json:"template"`
	TemplateVersion int              `json:"template_version"`
	Category        string           `json:"category"`
	Targets         int64            `json:"targets"`
	Countries       map[string]int64 `json:"countries" doc:"Targets by country"`
	SendAt          *time.Time       `json:"send_at,omitempty" doc:"Absent: when it is started"`
	PolicyRevision  int64            `json:"policy_revision"`
	Sendable        int64            `json:"sendable" doc:"Of the targets, by the forecast: neither opted out nor without a consent that is required"`
	Permitted       int64            `json:"permitted" doc:"May go at once"`
	FinishesAt      *time.Time       `json:"finishes_at,omitempty" doc:"When the last will have gone, by the forecast; absent: never, as things stood"`
}

// RequestCampaignApproval asks for the approval of a campaign as it is now, to send from sendAt on; nil: when it is
// started, and of a campaign that was started: as it was scheduled. It fails with domain.Conflict when none is needed
// or the campaign is being imported into, with domain.Invalid when the preflight finds something, and with
// domain.Forbidden when no account asks. A refusal is in the audit log.
func (s *Store) RequestCampaignApproval(ctx context.Context, id uuid.UUID, sendAt *time.Time, reason string) (r ApprovalRequest, err error) {
	forecast, err := s.Forecast(ctx, id, sendAt)
	if err != nil {
		return r, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.noImport(id); err != nil {
			return audit.Entry{}, err
		}
		c, err := tx.lockCampaign(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := c.awaitsClearance(); err != nil {
			return audit.Entry{}, err
		}
		if c.Status == campaign.Draft {
			c.SendAt = sendAt
			if err := tx.change(id, map[string]any{"send_at": sendAt}); err != nil {
				return audit.Entry{}, err
			}
		} else if sendAt != nil && (c.SendAt == nil || !c.SendAt.Equal(sendAt.Truncate(time.Microsecond))) {
			return audit.Entry{}, domain.E(domain.Conflict, "wrong_state", "the campaign was started; its time is fixed").About("send_at")
		}
		check, _, err := s.preflight(tx.ctx, tx.pgx, id)
		if err != nil {
			return audit.Entry{}, err
		}
		if len(check.Problems) > 0 {
			return audit.Entry{}, domain.E(domain.Invalid, check.Problems[0].Code, "%s", check.Problems[0].Message)
		}
		m, rules, err := s.materialOf(tx.ctx, tx.pgx, id)
		if err != nil {
			return audit.Entry{}, err
		}
		if !rules.Approval.Needed(m.Targets()) {
			return audit.Entry{}, domain.E(domain.Conflict, "no_approval_needed", "the campaign needs no approval: start it")
		}
		facts := CampaignFacts{Name: m.Name, Channel: m.Channel, Voucher: m.Voucher, TemplateID: m.Template.ID, Template: m.Template.Name, TemplateVersion: m.Template.Version,
			Category: m.Template.Category, Targets: m.Targets(), Countries: map[string]int64{}, SendAt: m.SendAt, PolicyRevision: m.Revision,
			Sendable: forecast.Sendable, Permitted: forecast.Permitted, FinishesAt: forecast.FinishesAt}
		for _, part := range m.Audience {
			facts.Countries[part.Country] += part.Targets
		}
		r, err = tx.ask(ask{subject: campaignSubject(id), digest: m.Digest(), facts: facts, reason: reason})
		return audit.Entry{Action: "approval.requested", Target: target(id), Reason: reason, Revision: m.Revision, Diff: map[string]any{
			"request_id": r.ID, "digest": hex.EncodeToString(r.Digest), "targets": facts.Targets, "send_at": m.SendAt}}, err
	})
	return r, s.Refused(ctx, campaignSubject(id), uuid.Nil, err)
}

// DecideCampaign enters the verdict of the account that acts about a campaign of this digest. An approval of a campaign
// that was started already goes to its workflow, by the returned outbox message; 0: there is none. It lasts from when the
// campaign is to begin, if that is later. It fails as decide
// does; a refusal is in the audit log.
func (s *Store) DecideCampaign(ctx context.Context, id uuid.UUID, verdict approval.Verdict, reason string, seen []byte) (a Approval, message int64, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		c, err := tx.lockCampaign(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := c.awaitsClearance(); err != nil {
			return audit.Entry{}, err
		}
		m, rules, err := s.materialOf(tx.ctx, tx.pgx, id)
		if err != nil {
			return audit.Entry{}, err
		}
		a, err = tx.decide(decision{subject: campaignSubject(id), digest: m.Digest(), seen: seen, verdict: verdict, reason: reason,
			permission: access.CampaignsApprove, lasts: time.Duration(rules.ApprovalTTL), from: m.SendAt})
		if err != nil {
			return audit.Entry{}, err
		}
		message = 0
		if verdict == approval.Approved && c.Status.Active() {
			message, err = tx.send(KindApproveCampaign, target(id), ApproveCampaign{CampaignID: id, ApprovalID: a.ID, Resend: c.Resend})
		}
		return a.entry(), err
	})
	return a, message, s.Refused(ctx, campaignSubject(id), uuid.Nil, err)
}

// awaitsClearance makes sure that an approval can still matter to a campaign: it has not begun to send.
func (c Campaign) awaitsClearance() error {
	switch {
	case c.Status.Ended() || c.Gate == campaign.GateStopped:
		return domain.E(domain.Conflict, "wrong_state", "the campaign is %s: there is nothing to approve", cmp.Or(c.Status, campaign.Stopped))
	case c.ClearedAt != nil:
		return domain.E(domain.Conflict, "wrong_state", "the campaign has begun to send: there is nothing to approve any more")
	}
	return nil
}

// Clearance asks whether a campaign that was started may send.
type Clearance struct {
	Campaign uuid.UUID
	Approval string // an approval's id, as it came to the workflow; "": none
	Try      bool   // only look: it is not about to send
}

// Clear tells whether a campaign may send now: no approval is needed, or the given one holds and it is not too late;
// what the problem is otherwise, for people. Once cleared it stays so, through pauses and resends. A refusal is in the audit log.
func (s *Store) Clear(ctx context.Context, q Clearance) (problem string, err error) {
	subject := campaignSubject(q.Campaign)
	id, parsed := uuid.Parse(q.Approval)
	err = s.inTx(ctx, func(tx *Tx) error {
		c, err := tx.lockCampaign(q.Campaign)
		if err != nil {
			return err
		}
		if c.ClearedAt != nil && !q.Try {
			return nil
		}
		m, rules, err := s.materialOf(tx.ctx, tx.pgx, q.Campaign)
		if err != nil {
			return err
		}
		columns := map[string]any{"cleared_at": databaseTime}
		if q.Try || rules.Approval.Needed(m.Targets()) {
			if parsed != nil {
				return errUnapproved
			}
			a, err := tx.verifyApproval(id, Wanted{subject, m.Digest(), access.CampaignsApprove})
			if err == nil {
				err = tx.inTime(c, a, time.Duration(rules.MaxLate))
			}
			if err != nil {
				return err
			}
			columns["approval_id"] = a.ID
		}
		if q.Try {
			return nil
		}
		if err := tx.closeRequest(subject, "over"); err != nil {
			return err
		}
		return tx.change(q.Campaign, columns)
	})
	return s.problemOf(ctx, subject, id, err)
}

// problemOf turns the refusal of an approval into what people read, once it is in the audit log.
func (s *Store) problemOf(ctx context.Context, subject approval.Subject, id uuid.UUID, err error) (string, error) {
	code := domain.CodeOf(err)
	if err = s.Refused(ctx, subject, id, err); !strings.HasPrefix(code, "approval_") {
		return "", err
	}
	if refusal, ok := err.(*domain.Error); ok {
		return "needs approval again: " + refusal.Message, nil
	}
	return "", err // it could not be entered
}

// inTime makes sure that a campaign does not begin long after it was to, or after it was approved, whichever was later.
func (tx *Tx) inTime(c Campaign, a Approval, most time.Duration) error {
	due := c.SendAt
	if due == nil {
		due = c.StartedAt
	}
	if due == nil {
		return nil // it begins when somebody starts it
	}
	if due.Before(a.CreatedAt) {
		due = &a.CreatedAt
	}
	var late bool
	err := tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp() > $1::timestamptz + $2::interval`, *due, most).Scan(&late)
	if err == nil && late {
		err = domain.E(domain.Conflict, approval.Late, "it would begin more than %s late", policy.Span(most))
	}
	return err
}

// approvalToStart is the approval with which a draft may start at this time, nil when it needs none, and writes the time
// into c. It fails with domain.Conflict of code approval_required, beside the approval that does not do, if there is one.
func (s *Store) approvalToStart(tx *Tx, c *Campaign, sendAt *time.Time) (*uuid.UUID, error) {
	m, rules, err := s.materialOf(tx.ctx, tx.pgx, c.ID)
	if err != nil {
		return nil, err
	}
	if !rules.Approval.Needed(m.Targets()) {
		c.SendAt = sendAt
		return nil, tx.closeRequest(campaignSubject(c.ID), "over")
	}
	if sendAt != nil {
		c.SendAt, m.SendAt = sendAt, sendAt
	}
	subject := campaignSubject(c.ID)
	var last []Approval
	if err := tx.orm.Where("subject_kind = ? AND subject_id = ?", subject.Kind, subject.ID).Order("id DESC").Limit(1).Find(&last).Error; err != nil {
		return nil, err
	}
	if len(last) == 0 {
		return nil, required(c.ID, errUnapproved)
	}
	a, err := tx.verifyApproval(last[0].ID, Wanted{subject, m.Digest(), access.CampaignsApprove})
	if err == nil {
		err = tx.inTime(*c, a, time.Duration(rules.MaxLate))
	}
	return &last[0].ID, required(c.ID, err)
}

// needsNoApproval makes sure that a campaign which nobody has cleared may run all the same.
func (s *Store) needsNoApproval(tx *Tx, id uuid.UUID) error {
	m, rules, err := s.materialOf(tx.ctx, tx.pgx, id)
	if err == nil && rules.Approval.Needed(m.Targets()) {
		return required(id, errUnapproved)
	}
	if err == nil {
		err = tx.closeRequest(campaignSubject(id), "over")
	}
	return err
}

var errUnapproved = domain.E(domain.Conflict, approval.Unknown, "nobody has approved it")

func required(id uuid.UUID, err error) error {
	if !strings.HasPrefix(domain.CodeOf(err), "approval_") {
		return err
	}
	return domain.E(domain.Conflict, approval.Required, "campaign %s needs approval before it starts: %s", id, err).Because(err)
}

// materialOf is what an approval of a campaign is of, as it is now, and the rules for it.
func (s *Store) materialOf(ctx context.Context, db querier, id uuid.UUID) (m campaign.Material, rules policy.Campaigns, err error) {
	all, set, err := s.materials(ctx, db, []uuid.UUID{id})
	if err == nil && len(all) == 0 {
		err = notFound(gorm.ErrRecordNotFound, "campaign", id)
	}
	if err != nil {
		return m, rules, err
	}
	return all[id], set.Campaigns, nil
}

// materials are those of several campaigns, as they all are in one instant.
func (s *Store) materials(ctx context.Context, db querier, ids []uuid.UUID) (map[uuid.UUID]campaign.Material, policy.Settings, error) {
	rows, err := db.Query(ctx, `SELECT c.id, c.name, c.channel, c.variables, c.voucher, c.send_at, t.id, t.name, t.version, t.category, t.texts, t.variables, t.header_media, t.headers, t.footers,
			(SELECT coalesce(max(revision), 0) FROM settings_revisions),
			coalesce((SELECT jsonb_agg(jsonb_build_object('country', k.country, 'zone', k.zone, 'locale', k.locale, 'targets', k.targets,
				'digest', a.digest::text)) FROM cohorts k JOIN audience_digests a ON (a.campaign_id, a.cohort) = (k.campaign_id, k.id)
				WHERE k.campaign_id = c.id AND k.targets > 0), '[]')
		FROM campaigns c JOIN templates t ON t.id = c.template_id WHERE c.id = ANY ($1)`, ids)
	if err != nil {
		return nil, policy.Settings{}, unavailable(err)
	}
	defer rows.Close()
	all := map[uuid.UUID]campaign.Material{}
	var revision int64
	for rows.Next() {
		var m campaign.Material
		var variables, texts, headers, footers, audience []byte
		t := &m.Template
		if err := rows.Scan(&m.Campaign, &m.Name, &m.Channel, &variables, &m.Voucher, &m.SendAt, &t.ID, &t.Name, &t.Version, &t.Category, &texts, &t.Variables,
			&t.HeaderMedia, &headers, &footers, &m.Revision, &audience); err != nil {
			return nil, policy.Settings{}, err
		}
		for _, part := range []struct {
			text []byte
			into any
		}{{variables, &m.Variables}, {texts, &t.Texts}, {headers, &t.Headers}, {footers, &t.Footers}, {audience, &m.Audience}} {
			if err := json.Unmarshal(part.text, part.into); err != nil {
				return nil, policy.Settings{}, err
			}
		}
		slices.SortFunc(m.Audience, func(a, b campaign.AudiencePart) int {
			return cmp.Or(cmp.Compare(a.Country, b.Country), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Locale, b.Locale))
		})
		all[m.Campaign], revision = m, m.Revision
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, policy.Settings{}, unavailable(err)
	}
	set, err := s.settingsAt(ctx, db, revision)
	return all, set, err
}
