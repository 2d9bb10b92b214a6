package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
)

// TargetTimeline is a target with all that is known about why it was or was not sent.
type TargetTimeline struct {
	Target Target
	Cohort Cohort
	delivery.Timeline
}

// FindTarget returns a campaign's target with this number; domain.NotFound when there is none.
func (s *Store) FindTarget(ctx context.Context, id uuid.UUID, m contact.MSISDN) (Target, error) {
	if _, err := s.Campaign(ctx, id); err != nil {
		return Target{}, err
	}
	var found []Target
	err := s.orm.WithContext(ctx).Where("campaign_id = ? AND msisdn = ?", id, m).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return Target{}, noTarget(err, "the campaign has no target with this number: it is in none of its files, or its line was refused")
	}
	return found[0], nil
}

// Timeline tells the story of one target and how it stands, the latter by the policy that sends. Nothing is
// written for it: it is read from the target's row and events, and, for what it shares with others, from the
// audit log.
func (s *Store) Timeline(ctx context.Context, id uuid.UUID, target int64) (TargetTimeline, error) {
	c, err := s.Campaign(ctx, id)
	if err != nil {
		return TargetTimeline{}, err
	}
	var t TargetTimeline
	var found []Target
	err = s.orm.WithContext(ctx).Where("campaign_id = ? AND id = ?", id, target).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return t, noTarget(err, "the campaign has no target with this id")
	}
	t.Target = found[0]
	if err := s.orm.WithContext(ctx).First(&t.Cohort, "campaign_id = ? AND id = ?", id, t.Target.Cohort).Error; err != nil {
		return t, unavailable(err)
	}
	f := t.Target.facts()
	f.Campaign = delivery.Campaign{Status: c.Status, Gate: c.Gate, SendAt: c.SendAt, NeedsHuman: c.NeedsHuman}
	if f.Events, err = s.targetEvents(ctx, target); err != nil {
		return t, err
	}
	if f.Shared, err = s.sharedMoments(ctx, id, t.Cohort); err != nil {
		return t, err
	}
	if f.OptOut, err = s.optOutOf(ctx, t.Target.MSISDNHash); err != nil {
		return t, err
	}
	if t.Target.State == campaign.Queued {
		set, budget, now, err := s.rules(ctx, c.Channel, t.Target.MSISDN)
		if err != nil {
			return t, err
		}
		sub := t.Cohort.subject(c.Channel)
		sub.OptedOut = f.OptOut != nil
		lifts, err := s.liftsOf(ctx, id)
		if err != nil {
			return t, err
		}
		sub.Lift = lifts[id].lift(now)
		held, err := s.standingOf(ctx, c.Channel, &c.TemplateID)
		if err != nil {
			return t, err
		}
		sub.Suspensions = held.suspensions(t.Cohort.Locale, now)
		f.Live = delivery.Live{At: now, Decision: set.Evaluate(sub, budget, now)}
	}
	t.Timeline = delivery.Tell(f)
	return t, nil
}

func noTarget(err error, why string) error {
	if err != nil {
		return unavailable(err)
	}
	return domain.E(domain.NotFound, "target_not_found", "%s", why)
}

func (t Target) facts() delivery.Facts {
	f := delivery.Facts{State: t.State, Attempt: t.Attempt, NotBefore: t.NotBefore, SendingAt: t.SendingAt, SentAt: t.SentAt,
		DeliveredAt: t.DeliveredAt, ReadAt: t.ReadAt, EndedAt: t.EndedAt}
	if t.Reason != nil {
		f.Reason = *t.Reason
	}
	if t.ErrorCode != nil {
		f.ErrorCode = *t.ErrorCode
	}
	return f
}

func (s *Store) targetEvents(ctx context.Context, target int64) ([]delivery.Event, error) {
	rows, err := s.pool.Query(ctx, `SELECT at, kind, attempt, reason, coalesce(error_code, 0) FROM target_events
		WHERE target_id = $1 ORDER BY id`, target)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e delivery.Event, err error) {
		return e, row.Scan(&e.At, &e.Kind, &e.Attempt, &e.Reason, &e.ErrorCode)
	})
	return all, unavailable(err)
}

func (s *Store) optOutOf(ctx context.Context, hash []byte) (*delivery.OptOut, error) {
	var found []OptOut
	err := s.orm.WithContext(ctx).Where("msisdn_hash = ?", hash).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, unavailable(err)
	}
	return &delivery.OptOut{At: found[0].CreatedAt, Source: found[0].Source, Reason: found[0].Reason}, nil
}

// sharedMoments are what the audit log tells about a campaign and about one of its cohorts.
func (s *Store) sharedMoments(ctx context.Context, id uuid.UUID, k Cohort) ([]delivery.Moment, error) {
	rows, err := s.pool.Query(ctx, `SELECT created_at, actor_kind, actor, action, coalesce(diff, '{}'), reason, coalesce(policy_revision, 0)
		FROM audit_log WHERE target = $1 AND (action LIKE 'campaign.%' OR action = 'outbound_policy_check'
			AND diff->>'country' = $2 AND diff->>'zone' = $3 AND coalesce(diff->>'locale', $4) = $4)
		ORDER BY created_at, id`, "campaign/"+id.String(), k.Country, k.Zone, k.Locale)
	if err != nil {
		return nil, unavailable(err)
	}
	var all []delivery.Moment
	var e AuditEntry
	var revision int64
	_, err = pgx.ForEachRow(rows, []any{&e.CreatedAt, &e.ActorKind, &e.Actor, &e.Action, &e.Diff, &e.Reason, &revision}, func() error {
		if m := shared(e, revision); m.Kind != "" {
			all = append(all, m)
		}
		return nil
	})
	return all, unavailable(err)
}

// shared is what an entry tells to all targets that it concerns; a moment of no kind if nothing.
func shared(e AuditEntry, revision int64) delivery.Moment {
	var diff struct {
		Status     json.RawMessage `json:"status"` // campaign.advanced: from and to
		NeedsHuman string          `json:"needs_human"`
		Again      bool            `json:"again"`
		Reason     string          `json:"reason"`
		Why        string          `json:"why"`
		Until      *time.Time      `json:"until"`
		Override   string          `json:"override_id"`
	}
	_ = json.Unmarshal(e.Diff, &diff) // our own; what an older release wrote differently is left out
	m := delivery.Moment{At: e.CreatedAt, Note: e.Reason}
	if e.ActorKind != "system" {
		m.By = e.Actor
	}
	switch e.Action {
	case "campaign.started":
		m.Kind, m.What = delivery.CampaignStarted, "the campaign was started"
	case "campaign.pause_ordered":
		m.Kind, m.What = delivery.CampaignPaused, "the campaign was paused"
	case "campaign.resume_ordered":
		m.Kind, m.What = delivery.CampaignResumed, "the campaign was resumed"
	case "campaign.stop_ordered":
		m.Kind, m.What = delivery.CampaignStopped, "the campaign was stopped for good"
	case "campaign.ended":
		if !diff.Again {
			m.Kind, m.What = delivery.CampaignEnded, "the campaign ended"
		}
	case "campaign.resent":
		m.Kind, m.What = delivery.CampaignResent, "sending again was ordered"
	case "campaign.advanced":
		var step [2]campaign.Status
		_ = json.Unmarshal(diff.Status, &step)
		switch from, to := step[0], step[1]; {
		case from == to:
		case to == campaign.Paused && diff.NeedsHuman != "":
			m.Kind, m.What = delivery.CampaignPaused, "the campaign paused itself: "+diff.NeedsHuman
		case from == campaign.Paused && to != campaign.Settling:
			m.Kind, m.What = delivery.CampaignResumed, "the campaign went on"
		}
	case "outbound_policy_check":
		if diff.Override != "" && diff.Reason == "" {
			m.Kind, m.What, m.Until, m.PolicyRevision = delivery.Lifted, "quiet hours were lifted by override "+diff.Override, diff.Until, revision
			break
		}
		if diff.Why == "" {
			diff.Why = strings.ReplaceAll(diff.Reason, "_", " ")
		}
		m.Kind, m.What, m.Reason, m.Until, m.PolicyRevision = delivery.Held, "held: "+diff.Why, diff.Reason, diff.Until, revision
	}
	return m
}
