package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
	"lastcall/domain/throttle"
)

// ThrottleAdvice is what a pilot's figures say about the caps of a channel.
type ThrottleAdvice struct {
	Channel   string              `json:"channel"`
	From      time.Time           `json:"from" doc:"What went since then is reckoned with"`
	To        time.Time           `json:"to"`
	Rollout   string              `json:"rollout,omitempty" doc:"From is when its pilot began; absent: no pilot has begun, and it is of 30 days"`
	Revision  int64               `json:"revision" doc:"Of the setting throttle"`
	Caps      policy.Cap          `json:"caps" doc:"In force"`
	Enough    int64               `json:"enough" doc:"Messages from which a share says anything"`
	Figures   []throttle.Measure  `json:"figures"`
	Proposals []throttle.Proposal `json:"proposals"`
	Proposed  policy.Throttle     `json:"proposed" doc:"The setting throttle with all that is proposed"`
	Digest    string              `json:"digest" doc:"Of the proposals, the caps and the pilot: whoever reviews sends it back"`
	Review    *ThrottleReview     `json:"review,omitempty" doc:"The last one since From"`

	figures throttle.Figures
	set     policy.Throttle
}

// ThrottleReview is that somebody looked at the caps with the advice at hand.
type ThrottleReview struct {
	ID        uuid.UUID          `json:"id" format:"uuid"`
	Verdict   string             `json:"verdict" enum:"kept,changed"`
	Caps      policy.Throttle    `json:"caps" doc:"The setting throttle as it was kept, or became"`
	Revision  int64              `json:"revision" doc:"Of that"`
	Advice    ThrottleAttached   `json:"advice" doc:"As it was then"`
	Tightens  []throttle.Setting `json:"tightens" doc:"The caps that the same figures would still tighten"`
	Actor     string             `json:"actor"`
	Reason    string             `json:"reason"`
	CreatedAt time.Time          `json:"created_at"`
}

// ThrottleAttached is the advice that a review was by.
type ThrottleAttached struct {
	From      time.Time           `json:"from"`
	To        time.Time           `json:"to"`
	Caps      policy.Cap          `json:"caps"`
	Figures   []throttle.Measure  `json:"figures"`
	Proposals []throttle.Proposal `json:"proposals"`
}

// adviceDays is how far the advice looks back where no pilot has begun, and how long minutes of the ledger are kept for it.
const adviceDays, minutesDays = 30, 90

// ThrottleAdvice tells what the figures since the pilot began say about WhatsApp's caps; without a pilot, those of 30 days.
func (s *Store) ThrottleAdvice(ctx context.Context) (a ThrottleAdvice, err error) {
	set, err := s.Settings(ctx)
	if err != nil {
		return a, err
	}
	a = ThrottleAdvice{Channel: policy.ChannelWhatsApp, Revision: set.Revisions["throttle"], set: set.Throttle, Caps: set.Throttle[policy.ChannelWhatsApp], Enough: throttle.Enough}
	var began *time.Time
	if err := s.pool.QueryRow(ctx, `SELECT clock_timestamp(), coalesce((SELECT name FROM rollouts WHERE ended_at IS NULL), ''), (SELECT `+pilotBegan+` FROM rollouts r WHERE r.ended_at IS NULL)`).
		Scan(&a.To, &a.Rollout, &began); err != nil {
		return a, unavailable(err)
	}
	if a.From = a.To.AddDate(0, 0, -adviceDays); began != nil {
		a.From = *began
	} else {
		a.Rollout = ""
	}
	if a.figures, err = s.throttleFigures(ctx, a); err != nil {
		return a, unavailable(err)
	}
	a.Figures, a.Proposals = a.figures.Told(), throttle.Advise(a.figures)
	a.Proposed = policy.Throttle{}
	for channel, limits := range a.set {
		a.Proposed[channel] = limits
	}
	a.Proposed[a.Channel] = throttle.Apply(a.Caps, a.Proposals)
	a.Digest = hex.EncodeToString(a.digest())
	a.Review, err = reviewSince(ctx, s.pool, a.From)
	return a, err
}

// pilotBegan is SQL: when the pilot of the rollout r began; null: it has not.
const pilotBegan = `coalesce((SELECT decided_at FROM rollout_gates g WHERE g.rollout = r.name AND g.to_phase = 'pilot' AND g.opened), CASE r.phase WHEN 'pilot' THEN r.phase_since END)`

// digest is of one pilot; where there is none, From moves with the clock and says nothing.
func (a ThrottleAdvice) digest() []byte {
	from := a.From
	if a.Rollout == "" {
		from = time.Time{}
	}
	return throttle.Digest(from, a.Caps, a.Proposals)
}

func (a ThrottleAdvice) attached() ThrottleAttached {
	return ThrottleAttached{a.From, a.To, a.Caps, a.Figures, a.Proposals}
}

// throttleFigures reads counts that are kept and indexes that hold little else: messages by the campaigns that began since,
// refusals by those that the provider gives for a rate, opt-outs by person, permits by the minute.
func (s *Store) throttleFigures(ctx context.Context, a ThrottleAdvice) (throttle.Figures, error) {
	f := throttle.Figures{From: a.From, To: a.To, Caps: a.Caps}
	err := s.pool.QueryRow(ctx, `WITH bulk AS (SELECT coalesce(sum(sent), 0)::bigint AS sent, coalesce(sum(delivered), 0)::bigint AS delivered FROM tallied
			WHERE quarter >= date_bin('15 minutes', $2, 'epoch') AND campaign_id IN (SELECT id FROM campaigns WHERE channel = $1 AND started_at >= $2 AND NOT is_drill)),
		single AS (SELECT count(*) AS sent, count(*) FILTER (WHERE state IN ('delivered', 'read')) AS delivered FROM sends
			WHERE channel = $1 AND sent_at >= $2 AND NOT is_drill),
		refused AS (SELECT error_code AS code, count(*) AS n FROM (
			SELECT error_code FROM target_events WHERE at >= $2 AND error_code IN (4, 80007, 130429, 131048, 131056)
			UNION ALL SELECT e.error_code FROM send_events e JOIN sends o ON o.id = e.send_id
				WHERE e.at >= $2 AND e.error_code IN (4, 80007, 130429, 131048, 131056) AND NOT o.is_drill) r GROUP BY 1)
		SELECT bulk.sent + single.sent, bulk.delivered + single.delivered,
			coalesce((SELECT sum(n) FROM refused WHERE code IN (4, 80007, 130429)), 0)::bigint, coalesce((SELECT n FROM refused WHERE code = 131056), 0),
			coalesce((SELECT n FROM refused WHERE code = 131048), 0),
			(SELECT count(*) FROM opt_outs o WHERE o.created_at >= $2 AND (
				EXISTS (SELECT FROM targets t WHERE t.msisdn_hash = o.msisdn_hash AND t.sent_at >= $2 AND t.sent_at BETWEEN o.created_at - $3::interval AND o.created_at)
				OR EXISTS (SELECT FROM sends t WHERE t.msisdn_hash = o.msisdn_hash AND NOT t.is_drill AND t.sent_at >= $2 AND t.sent_at BETWEEN o.created_at - $3::interval AND o.created_at))),
			(SELECT count(*) FROM audit_log WHERE action = 'outbound_policy_check' AND diff ->> 'reason' = $4 AND created_at >= $2)
		FROM bulk, single`, a.Channel, a.From, throttle.Left, policy.Throttled).
		Scan(&f.Sent, &f.Delivered, &f.RateErrors, &f.PairErrors, &f.SpamErrors, &f.OptOuts, &f.Waits)
	if err != nil {
		return f, err
	}
	err = s.pool.QueryRow(ctx, `SELECT coalesce(max(granted), 0), coalesce(max(busiest_second), 0), coalesce(max(day), 0)::bigint, count(*) FILTER (WHERE granted >= $3::float8 * $4 AND $4 > 0)
		FROM (SELECT granted, busiest_second, sum(granted) OVER (ORDER BY minute RANGE interval '24 hours' PRECEDING) AS day
			FROM permit_use WHERE channel = $1 AND minute > $2::timestamptz - interval '1 minute') u`, a.Channel, a.From, throttle.FullAt, a.Caps.PerMinute).
		Scan(&f.BusiestMinute, &f.BusiestSecond, &f.BusiestDay, &f.FullMinutes)
	return f, err
}

// foldPermits keeps of permits how many each minute had, before they are forgotten.
func (s *Store) foldPermits(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO permit_minutes (channel, minute, granted, busiest_second) SELECT channel, minute, granted, busiest_second FROM unfolded_permits
		WHERE minute < date_bin('1 minute', now() - interval '1 hour', 'epoch') ON CONFLICT DO NOTHING`)
	if err == nil {
		_, err = s.pool.Exec(ctx, `DELETE FROM permit_minutes WHERE minute < now() - make_interval(days => $1)`, minutesDays)
	}
	return err
}

// KeepThrottle enters that whoever acts looked at the caps with the advice of this digest at hand and keeps them as they are.
// It fails with domain.Stale of code advice_changed when the advice is another by now.
func (s *Store) KeepThrottle(ctx context.Context, seen []byte, reason string) (ThrottleReview, error) {
	var r ThrottleReview
	a, err := s.advised(ctx, seen)
	if err == nil {
		err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
			if _, err := tx.guard("SHARE"); err != nil {
				return audit.Entry{}, err
			}
			if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtext('settings_revisions'))`); err != nil {
				return audit.Entry{}, err
			}
			var revision int64
			if err := tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(max(revision), 0) FROM settings_revisions WHERE key = 'throttle'`).Scan(&revision); err != nil {
				return audit.Entry{}, err
			}
			if revision != a.Revision {
				return audit.Entry{}, errAdvice()
			}
			r = ThrottleReview{Verdict: "kept", Caps: a.set, Revision: revision, Reason: reason}
			return tx.review(&r, a)
		})
	}
	return r, s.refuseSetting(ctx, SettingEdit{Key: "throttle", Reason: reason}, err)
}

func errAdvice() error {
	return domain.E(domain.Stale, "advice_changed", "the advice, or the caps, changed in the meantime; look at it again").About("advice")
}

// advised is the advice, if it is what somebody has seen.
func (s *Store) advised(ctx context.Context, seen []byte) (*ThrottleAdvice, error) {
	a, err := s.ThrottleAdvice(ctx)
	if err == nil && !bytes.Equal(seen, a.digest()) {
		err = errAdvice()
	}
	return &a, err
}

// review keeps a review with its advice, and has the rollout look at what is proved by it.
func (tx *Tx) review(r *ThrottleReview, a *ThrottleAdvice) (audit.Entry, error) {
	after := a.figures
	after.Caps = r.Caps[a.Channel]
	id, err := uuid.NewV7()
	if err != nil {
		return audit.Entry{}, err
	}
	actor := audit.ActorFrom(tx.ctx)
	r.ID, r.Advice, r.Tightens, r.Actor = id, a.attached(), throttle.Tightens(throttle.Advise(after)), actor.EntryName()
	if err := tx.pgx.QueryRow(tx.ctx, `INSERT INTO throttle_reviews (id, rollout, verdict, caps, revision, advice, digest, tightens, actor_kind, actor_id, actor, reason)
		VALUES ($1, nullif($2, ''), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING created_at`, r.ID, a.Rollout, r.Verdict, r.Caps, r.Revision, r.Advice, a.digest(), r.Tightens,
		actor.Kind, actor.ID, r.Actor, r.Reason).Scan(&r.CreatedAt); err != nil {
		return audit.Entry{}, wrap(err, "keep the review")
	}
	told := map[string]int64{}
	for _, f := range a.Figures {
		told[f.Name] = f.N
	}
	return audit.Entry{Action: "throttle.reviewed", Target: "settings/throttle", Reason: r.Reason, Revision: r.Revision, Diff: map[string]any{"review_id": r.ID, "verdict": r.Verdict,
		"advice": approval.Short(a.digest()), "figures": told, "still_tightens": r.Tightens}}, tx.throttleChanged()
}

// reviewed keeps the review that a change of the caps was, if it was one.
func (tx *Tx) reviewed(e SettingEdit, revision int64, caps policy.Throttle) error {
	if e.advice == nil {
		return tx.throttleChanged()
	}
	entry, err := tx.review(&ThrottleReview{Verdict: "changed", Caps: caps, Revision: revision, Reason: e.Reason}, e.advice)
	if err != nil {
		return err
	}
	return tx.enter(entry)
}

// throttleChanged has the rollout that is under way look anew at the items that are about the caps.
func (tx *Tx) throttleChanged() error {
	r, err := readRollout(tx.ctx, tx.pgx, `r.ended_at IS NULL`)
	if domain.KindOf(err) == domain.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	for _, item := range r.Plan.Of(r.Phase).Items {
		if item.Check != throttleReview {
			continue
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollout_items SET due_at = clock_timestamp() WHERE rollout = $1 AND item = $2`, r.Name, item.ID); err != nil {
			return err
		}
		if _, err := tx.send(KindRolloutChanged, r.target(), RolloutChanged{Name: r.Name}); err != nil {
			return err
		}
	}
	return nil
}

// reviewSince is the newest review since then; nil: there is none.
func reviewSince(ctx context.Context, db querier, since time.Time) (*ThrottleReview, error) {
	var r ThrottleReview
	var caps, advice []byte
	err := db.QueryRow(ctx, `SELECT id, verdict, caps, revision, advice, tightens, actor, reason, created_at FROM throttle_reviews
		WHERE created_at >= $1 ORDER BY created_at DESC LIMIT 1`, since).Scan(&r.ID, &r.Verdict, &caps, &r.Revision, &advice, &r.Tightens, &r.Actor, &r.Reason, &r.CreatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = errors.Join(json.Unmarshal(caps, &r.Caps), json.Unmarshal(advice, &r.Advice))
	}
	return &r, unavailable(err)
}
