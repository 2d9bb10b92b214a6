package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
)

// StartWithin is how long a permit lets a send start, counted from its grant. The ledger's window counts
// on it; a send that has not started by then goes back to the queue and its permit is lost.
const StartWithin = 500 * time.Millisecond

// ProviderRetry is why targets wait that the provider did not take for now. It is no policy.
const ProviderRetry policy.Reason = "provider_retry"

// Lane is who dispatches: one batch of one lane, and which attempt at it. A later attempt, or another
// batch of the lane, fences it out.
type Lane struct {
	Campaign uuid.UUID
	N        int
	Owner    string // "<run>/<lane>/<batch>"
	Fence    int    // the activity's attempt
}

// Claim is what a lane may do next. Exactly one of its parts says something: targets to send, a gate
// that is not open, a wait, or that nothing is queued any more.
type Claim struct {
	Targets  []ClaimedTarget
	Deadline time.Time // of the local clock: no send of Targets starts later
	OptedOut int       // taken out on the way
	Refused  int       // failed on the way, for lack of consent

	Gate    campaign.Gate // not open: do nothing
	Drained bool          // nothing is queued
	Busy    bool          // what is ready is in other lanes' hands: ask again in a moment
	Again   bool          // what was looked at may not go, there may be more: ask again at once
	Waits   []Wait        // nothing may go now
}

// ClaimedTarget is a target marked as being sent, with the permit for it.
type ClaimedTarget struct {
	ID        int64
	MSISDN    contact.MSISDN
	Locale    string
	Attempt   int
	Variables map[string]string
}

// ErrFenced says that somebody else dispatches this lane now.
var ErrFenced = errors.New("fenced out: the lane has another owner")

// TakeLane makes l the lane's owner. What its last owner left in the middle of sending becomes unknown:
// nobody can tell whether it went. It fails with ErrFenced when a later attempt at the batch has the lane.
func (s *Store) TakeLane(ctx context.Context, l Lane) (unknown int64, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		var owner string
		var fence int
		err := tx.pgx.QueryRow(ctx, `INSERT INTO lanes AS l (campaign_id, lane, owner, fence) VALUES ($1, $2, $3, $4)
			ON CONFLICT (campaign_id, lane) DO UPDATE SET taken_at = clock_timestamp() RETURNING owner, fence`,
			l.Campaign, l.N, l.Owner, l.Fence).Scan(&owner, &fence)
		if err != nil {
			return err
		}
		if owner == l.Owner && fence > l.Fence {
			return ErrFenced
		}
		if owner == l.Owner && fence == l.Fence {
			return nil
		}
		if _, err := tx.pgx.Exec(ctx, `UPDATE lanes SET owner = $3, fence = $4 WHERE campaign_id = $1 AND lane = $2`,
			l.Campaign, l.N, l.Owner, l.Fence); err != nil {
			return err
		}
		done, err := tx.pgx.Exec(ctx, `WITH left_behind AS (
				UPDATE targets SET state = 'unknown', reason = 'worker_lost', owner = NULL, fence = NULL, ended_at = clock_timestamp()
				WHERE campaign_id = $1 AND state = 'sending' AND owner = $2 AND fence = $3 RETURNING id, attempt)
			INSERT INTO target_events (target_id, kind, attempt, reason) SELECT id, 'unknown', attempt, 'worker_lost' FROM left_behind`,
			l.Campaign, owner, fence)
		unknown = done.RowsAffected()
		return err
	})
	return unknown, err
}

// Claim takes up to want targets for a lane through the whole policy, in one transaction: gate and fence,
// toggle and quiet hours by cohort, opt-outs, consent, the frequency cap, permits; then marks them as being sent.
func (s *Store) Claim(ctx context.Context, l Lane, want int) (c Claim, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		c = Claim{}
		w, err := tx.openLane(s, l)
		if err != nil || w.gate != campaign.GateOpen {
			c.Gate = w.gate
			return err
		}
		cohorts, err := tx.queuedCohorts(l.Campaign)
		if err != nil || len(cohorts) == 0 {
			c.Drained = true
			return err
		}
		open, blocked, err := tx.evaluate(l.Campaign, w, cohorts)
		if err != nil || len(open) == 0 {
			c.Waits = blocked
			return err
		}
		found, err := tx.candidates(l.Campaign, w, open, want)
		if err != nil {
			return err
		}
		ready, err := tx.sift(&c, l.Campaign, w, found)
		if err != nil {
			return err
		}
		switch {
		case len(ready) > 0:
			return tx.permit(&c, l, w, ready, cohorts)
		case len(found) == 0:
			return tx.idle(&c, l.Campaign, w, open, blocked)
		}
		c.Again = true
		return nil
	})
	return c, err
}

// window is what a claim is decided by.
type window struct {
	gate      campaign.Gate
	channel   string
	marketing bool
	now       time.Time // of the database
	settings  policy.Settings
}

// openLane reads what decides, and keeps the lane's row so that no other attempt takes it meanwhile.
func (tx *Tx) openLane(s *Store, l Lane) (w window, err error) {
	var owner string
	var fence int
	var revision int64
	err = tx.pgx.QueryRow(tx.ctx, `SELECT l.owner, l.fence, c.gate, c.channel, t.category = 'marketing', clock_timestamp(),
			(SELECT coalesce(max(revision), 0) FROM settings_revisions)
		FROM lanes l JOIN campaigns c ON c.id = l.campaign_id JOIN templates t ON t.id = c.template_id WHERE l.campaign_id = $1 AND l.lane = $2 FOR UPDATE OF l`,
		l.Campaign, l.N).Scan(&owner, &fence, &w.gate, &w.channel, &w.marketing, &w.now, &revision)
	if err != nil {
		return w, err
	}
	if owner != l.Owner || fence != l.Fence {
		return w, ErrFenced
	}
	w.settings, err = s.settingsAt(tx.ctx, tx.pgx, revision)
	return w, err
}

func (tx *Tx) queuedCohorts(id uuid.UUID) ([]Cohort, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT id, country, zone, locale, queued, blocked_reason, blocked_until
		FROM cohorts WHERE campaign_id = $1 AND queued > 0 ORDER BY id`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Cohort, err error) {
		err = row.Scan(&k.ID, &k.Country, &k.Zone, &k.Locale, &k.Counts.Queued, &k.BlockedReason, &k.BlockedUntil)
		return k, err
	})
}

// evaluate asks the policy about each cohort and returns those that may go now and what the others wait
// for. A block that is news is entered in the audit log, once.
func (tx *Tx) evaluate(id uuid.UUID, w window, cohorts []Cohort) (open []int16, blocked waits, err error) {
	for _, k := range cohorts {
		d := w.settings.Clock(k.subject(w.channel), w.now)
		if d.Permitted {
			open = append(open, k.ID)
		}
		blocked.add(d, k.Counts.Queued)
		if d.Reason == k.BlockedReason && sameTime(d.RetryAfter, k.BlockedUntil) {
			continue
		}
		done, err := tx.pgx.Exec(tx.ctx, `UPDATE cohorts SET blocked_reason = $3, blocked_until = $4
			WHERE campaign_id = $1 AND id = $2 AND (blocked_reason, blocked_until) IS DISTINCT FROM ($3, $4::timestamptz)`,
			id, k.ID, d.Reason, d.RetryAfter)
		if err != nil {
			return nil, nil, err
		}
		if d.Permitted || done.RowsAffected() == 0 {
			continue
		}
		if err := tx.enter(policyCheck(id, d.Revision, map[string]any{"reason": d.Reason, "until": d.RetryAfter,
			"country": k.Country, "zone": k.Zone, "targets": k.Counts.Queued})); err != nil {
			return nil, nil, err
		}
	}
	return open, blocked, nil
}

// permit gets permits for the ready targets and marks those that got one. Without any, all wait.
func (tx *Tx) permit(c *Claim, l Lane, w window, ready []int64, cohorts []Cohort) error {
	limit := w.settings.Throttle[w.channel].PerMinute
	// The time to start begins after the wait for the ledger and before the grant: never later than it.
	if err := tx.lockChannel(w.channel); err != nil {
		return err
	}
	c.Deadline = time.Now().Add(StartWithin)
	var granted int
	var retry *time.Time
	err := tx.pgx.QueryRow(tx.ctx, `SELECT granted, retry_after FROM grant_permits($1, $2, $3, $4)`,
		w.channel, limit, len(ready), l.Campaign).Scan(&granted, &retry)
	if err != nil {
		return wrap(err, "grant permits")
	}
	if granted == 0 {
		b := policy.Budget{}
		if retry != nil {
			b.RetryAfter = *retry
		}
		var w2 waits
		for _, k := range cohorts {
			w2.add(w.settings.Evaluate(k.subject(w.channel), b, w.now), k.Counts.Queued)
		}
		c.Waits = w2
		return nil
	}
	rows, err := tx.pgx.Query(tx.ctx, `UPDATE targets t SET state = 'sending', owner = $2, fence = $3, attempt = attempt + 1,
			sending_at = clock_timestamp(), not_before = NULL, reason = NULL, policy_revision = NULL
		WHERE id = ANY ($1) AND state = 'queued' AND NOT EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = t.msisdn_hash)
		RETURNING id, cohort, msisdn, attempt, variables`, ready[:granted], l.Owner, l.Fence)
	if err != nil {
		return err
	}
	locale := make(map[int16]string, len(cohorts))
	for _, k := range cohorts {
		locale[k.ID] = k.Locale
	}
	c.Targets, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t ClaimedTarget, err error) {
		var cohort int16
		var variables json.RawMessage
		err = row.Scan(&t.ID, &cohort, &t.MSISDN, &t.Attempt, &variables)
		t.Locale = locale[cohort]
		if err == nil && variables != nil {
			err = json.Unmarshal(variables, &t.Variables)
		}
		return t, err
	})
	c.Busy = len(c.Targets) == 0 // all opted out this very moment
	return err
}

// Result is how one send ended.
type Result struct {
	Target     int64
	State      campaign.TargetState // Sent, FailedT, Unknown, or Queued: it did not go and may go again
	ProviderID string               // Sent
	ErrorCode  int                  // the provider's, 0 for none
	Reason     string               // a stable code for anything but Sent; never a provider's text
	After      time.Duration        // Queued: not again before this has passed
}

// Record writes how sends ended and returns how many rows it changed. A row that a receipt has taken
// further, or that another owner has, is left as it is.
func (s *Store) Record(ctx context.Context, l Lane, results []Result) (changed int64, err error) {
	slices.SortFunc(results, func(a, b Result) int { return int(a.Target - b.Target) })
	n := len(results)
	ids, states, provider := make([]int64, n), make([]string, n), make([]string, n)
	codes, reasons, after := make([]int32, n), make([]string, n), make([]float64, n)
	eventful := false
	for i, r := range results {
		ids[i], states[i], provider[i] = r.Target, string(r.State), r.ProviderID
		codes[i], reasons[i], after[i] = int32(r.ErrorCode), r.Reason, r.After.Seconds()
		eventful = eventful || r.State != campaign.Sent
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		const update = `UPDATE targets t SET state = r.state, owner = NULL, fence = NULL,
				provider_id = coalesce(nullif(r.provider_id, ''), t.provider_id), error_code = nullif(r.code, 0), reason = nullif(r.reason, ''),
				not_before = CASE WHEN r.after > 0 THEN clock_timestamp() + make_interval(secs => r.after) END,
				sent_at = CASE WHEN r.state = 'sent' THEN clock_timestamp() END,
				ended_at = CASE WHEN r.state IN ('failed', 'unknown') THEN clock_timestamp() END
			FROM unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::float8[])
				AS r (id, state, provider_id, code, reason, after)
			WHERE t.id = r.id AND t.state = 'sending' AND t.owner = $7 AND t.fence = $8`
		args := []any{ids, states, provider, codes, reasons, after, l.Owner, l.Fence}
		if !eventful {
			done, err := tx.pgx.Exec(ctx, update, args...)
			changed = done.RowsAffected()
			return err
		}
		return tx.pgx.QueryRow(ctx, `WITH done AS (`+update+` RETURNING t.id, t.state, t.attempt, t.reason, t.error_code),
			events AS (INSERT INTO target_events (target_id, kind, attempt, reason, error_code)
				SELECT id, CASE state WHEN 'queued' THEN 'requeued' ELSE state END, attempt, coalesce(reason, ''), error_code
				FROM done WHERE state <> 'sent')
			SELECT count(*) FROM done`, args...).Scan(&changed)
	})
	return changed, err
}

// CancelQueued cancels up to limit targets that were not sent yet and returns how many there were. Only a
// stopped campaign's targets may be cancelled.
func (s *Store) CancelQueued(ctx context.Context, id uuid.UUID, limit int) (cancelled int64, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		done, err := tx.pgx.Exec(ctx, `UPDATE targets SET state = 'cancelled', not_before = NULL, reason = NULL, policy_revision = NULL, ended_at = clock_timestamp()
			WHERE id IN (SELECT t.id FROM targets t JOIN campaigns c ON c.id = t.campaign_id AND c.gate = 'stopped'
				WHERE t.campaign_id = $1 AND t.state = 'queued' ORDER BY t.id LIMIT $2 FOR UPDATE OF t)`, id, limit)
		cancelled = done.RowsAffected()
		return err
	})
	return cancelled, err
}

func policyCheck(id uuid.UUID, revision int64, diff map[string]any) audit.Entry {
	return audit.Entry{Action: "outbound_policy_check", Target: target(id), Revision: revision, Diff: diff}
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}
