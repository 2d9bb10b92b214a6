package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/domain/voucher"
)

// Progress is a campaign as people watch it: where it is, how many targets are in each state, and what
// the queued ones wait for.
type Progress struct {
	ID         uuid.UUID
	Name       string
	Template   string            // its name
	Version    int               // of the template
	Variables  map[string]string // values that hold for every target
	Voucher    *voucher.Offer    // what each target gets; nil: a message, and no more
	Channel    string
	Weight     int // its part of the channel beside others'
	Status     campaign.Status
	Gate       campaign.Gate
	NeedsHuman string
	SendAt     *time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
	StartedAt  *time.Time
	FinishedAt *time.Time
	Lines      int64 // of all its imports, with Invalid and Duplicates
	Invalid    int64
	Duplicates int64
	Counts     campaign.Counts
	Waits      []Wait
	FinishesAt *time.Time // when everything will have gone, as things stand; nil: never, not at work, or nothing is queued
	Report     json.RawMessage
	Resend     int // how often it was sent again
}

// Wait is why some targets cannot go now and until when.
type Wait struct {
	Reason  policy.Reason `json:"reason"`
	Targets int64         `json:"targets"`
	Until   *time.Time    `json:"until,omitempty"` // nil: until somebody changes something
	Why     string        `json:"why"`

	NeedsHuman bool `json:"needs_human,omitempty"` // somebody has to mend something
}

// CampaignFilter says which campaigns; what is empty does not matter.
type CampaignFilter struct {
	Statuses  []campaign.Status
	SentSince time.Time // some of its messages were sent in the quarter of an hour of then, or later
}

// Campaigns lists campaigns, newest first, those older than the campaign `before` (uuid.Nil: from the newest).
func (s *Store) Campaigns(ctx context.Context, f CampaignFilter, before uuid.UUID, limit int) ([]Progress, error) {
	where, args := `WHERE ($1 = '00000000-0000-0000-0000-000000000000'::uuid OR c.id < $1)
		AND (cardinality($2::text[]) = 0 OR c.status = ANY($2))`, []any{before, append([]campaign.Status{}, f.Statuses...), page(limit)}
	if !f.SentSince.IsZero() {
		where, args = where+` AND `+fmt.Sprintf(sentSince, "$4"), append(args, f.SentSince)
	}
	return s.progress(ctx, where+` ORDER BY c.id DESC LIMIT $3`, args...)
}

// Progress returns one campaign's progress.
func (s *Store) Progress(ctx context.Context, id uuid.UUID) (Progress, error) {
	all, err := s.progress(ctx, `WHERE c.id = $1`, id)
	if err == nil && len(all) == 0 {
		err = notFound(pgx.ErrNoRows, "campaign", id)
	}
	if err != nil {
		return Progress{}, err
	}
	return all[0], nil
}

// ActiveProgress returns the progress of the campaigns that move: the active ones, and those that ended
// since the given time.
func (s *Store) ActiveProgress(ctx context.Context, since time.Time) ([]Progress, error) {
	return s.progress(ctx, `WHERE c.status NOT IN ('draft', 'done', 'stopped', 'failed') OR c.updated_at > $1 ORDER BY c.id`, since)
}

func (s *Store) progress(ctx context.Context, where string, args ...any) ([]Progress, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.id, c.name, t.name, t.version, c.variables, c.voucher, c.channel, c.weight, c.status, c.gate, c.needs_human,
			c.send_at, c.created_at, c.updated_at, c.started_at, c.finished_at, i.lines, i.invalid, i.duplicates, c.report, c.resend, k.cohorts, standing(c.channel, t.id)
		FROM campaigns c JOIN templates t ON t.id = c.template_id
		LEFT JOIN LATERAL (SELECT coalesce(sum(lines), 0)::bigint AS lines, coalesce(sum(invalid), 0)::bigint AS invalid,
			coalesce(sum(duplicates), 0)::bigint AS duplicates FROM imports WHERE campaign_id = c.id AND phase = 'done') i ON true
		LEFT JOIN LATERAL (SELECT coalesce(jsonb_agg(to_jsonb(k)), '[]') AS cohorts FROM cohorts k WHERE campaign_id = c.id) k ON true
		`+where, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	type cohort struct {
		ID      int16  `json:"id"`
		Country string `json:"country"`
		Zone    string `json:"zone"`
		Locale  string `json:"locale"`
		campaign.Counts
	}
	var cohorts [][]cohort
	var standings []standing
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Progress, err error) {
		var ks []cohort
		var held []byte
		err = row.Scan(&p.ID, &p.Name, &p.Template, &p.Version, &p.Variables, &p.Voucher, &p.Channel, &p.Weight, &p.Status, &p.Gate, &p.NeedsHuman,
			&p.SendAt, &p.CreatedAt, &p.UpdatedAt, &p.StartedAt, &p.FinishedAt, &p.Lines, &p.Invalid, &p.Duplicates, &p.Report, &p.Resend, &ks, &held)
		for _, k := range ks {
			p.Counts.Add(k.Counts)
		}
		cohorts = append(cohorts, ks)
		if err != nil {
			return p, err
		}
		st, err := parseStanding(held)
		standings = append(standings, st)
		return p, err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	var atWork []uuid.UUID
	for _, p := range all {
		if p.Status.Active() {
			atWork = append(atWork, p.ID)
		}
	}
	lifts, err := s.liftsOf(ctx, atWork...)
	if err != nil {
		return nil, err
	}
	capped, live := map[uuid.UUID]map[int16]heldBy{}, map[string]bool{}
	for i := range all {
		if !all[i].Status.Active() || all[i].Counts.Queued == 0 {
			continue
		}
		set, budget, now, err := s.rules(ctx, all[i].Channel, "")
		if err != nil {
			return nil, err
		}
		held, err := s.held(ctx, all[i].ID, set, now)
		if err != nil {
			return nil, err
		}
		capped[all[i].ID], live[all[i].Channel] = held, true
		if at := all[i].SendAt; at != nil && at.After(now) {
			continue // it waits for its time; what holds back others now does not hold for it
		}
		w := waits{}
		for _, k := range cohorts[i] {
			if k.Queued == 0 {
				continue
			}
			sub := policy.Subject{Channel: all[i].Channel, Country: k.Country, Zone: k.Zone, Locale: k.Locale,
				Suspensions: standings[i].suspensions(k.Locale, now), Lift: lifts[all[i].ID].lift(now)}
			d := set.Evaluate(sub, budget, now)
			w.add(d, k.Queued)
			if h := held[k.ID]; d.Permitted && h.targets > 0 {
				w.add(set.Capped(h.until, now), h.targets)
			}
		}
		all[i].Waits = w
		for _, wait := range w {
			if wait.NeedsHuman && all[i].NeedsHuman == "" {
				all[i].NeedsHuman = wait.Why // for as long as it waits: no row says so
			}
		}
	}
	for channel := range live {
		ends, err := s.finishes(ctx, channel, capped)
		if err != nil {
			return nil, err
		}
		for i, p := range all {
			if end, ok := ends[p.ID]; ok {
				all[i].FinishesAt = &end
			}
		}
	}
	return all, nil
}

// Explain decides about one number as the engine would now, or at another instant, for which only the
// ledger's present state and what has been sent by now are known.
func (s *Store) Explain(ctx context.Context, m contact.MSISDN, sub policy.Subject, at *time.Time) (policy.Decision, error) {
	set, budget, now, err := s.rules(ctx, sub.Channel, m)
	if err != nil {
		return policy.Decision{}, err
	}
	if at != nil {
		now = *at
	}
	if sub.OptedOut, err = s.OptedOut(ctx, m); err != nil {
		return policy.Decision{}, err
	}
	held, err := s.standingOf(ctx, sub.Channel, nil)
	if err != nil {
		return policy.Decision{}, err
	}
	sub.Suspensions = held.suspensions(sub.Locale, now)
	if sub.CappedUntil, err = s.cappedUntil(ctx, s.pool, set, m, now); err != nil {
		return policy.Decision{}, err
	}
	return set.Evaluate(sub, budget, now), nil
}

// waits adds up blocks by reason and end, in the order they came.
type waits []Wait

func (w *waits) add(d policy.Decision, targets int64) {
	if d.Permitted {
		return
	}
	for i := range *w {
		if it := &(*w)[i]; it.Reason == d.Reason && it.Why == d.Why {
			it.Targets += targets
			if d.RetryAfter != nil && it.Until != nil && d.RetryAfter.Before(*it.Until) {
				it.Until = d.RetryAfter // each has its own time
			}
			return
		}
	}
	*w = append(*w, Wait{Reason: d.Reason, Targets: targets, Until: d.RetryAfter, Why: d.Why, NeedsHuman: d.NeedsHuman})
}

// Earliest returns the wait that ends first; one that no time ends only if there is no other.
func Earliest(w []Wait) *Wait {
	var first *Wait
	for i := range w {
		if first == nil || w[i].Until != nil && (first.Until == nil || w[i].Until.Before(*first.Until)) {
			first = &w[i]
		}
	}
	return first
}
