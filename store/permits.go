package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/contact"
	"lastcall/domain/policy"
)

// StartWithin is how long a permit lets a send start, counted from its grant; StartPromptly is how long where the
// channel has a cap for the second, which is used the worse the longer this is. The ledger's windows count on it; a
// send that has not started by then goes back to the queue and its permit is lost.
const (
	StartWithin   = 500 * time.Millisecond
	StartPromptly = 250 * time.Millisecond
)

// startWithin is how long a permit of a channel lets a send start.
func startWithin(c policy.Cap) time.Duration {
	if c.PerSecond > 0 {
		return StartPromptly
	}
	return StartWithin
}

// lately and daily are how long a message counts against the limits by recipient: one second more than the limit
// says, since it may have been received so much after its permit.
const lately, daily = time.Second, 24*time.Hour + time.Second

// budget is what the ledger could grant a campaign now; with none, the campaign is noted as one that wants some. It
// does not lock the ledger, so it is only a hint. full is why only those may go who are in the channel's tier, nil
// if others may as well.
func (tx *Tx) budget(id uuid.UUID, w window) (b policy.Budget, full *policy.Budget, err error) {
	limits := w.settings.Throttle[w.channel]
	var retry, freshAt *time.Time
	var fresh *int
	err = tx.pgx.QueryRow(tx.ctx, `SELECT least(available, 1000000), coalesce(bound_by, ''), retry_after, least(fresh, 1000000), fresh_at
		FROM permit_hint($1, $2, $3, $4, $5)`, w.channel, limits.PerMinute, limits.PerSecond, limits.Tier, id).
		Scan(&b.Available, &b.Limit, &retry, &fresh, &freshAt)
	if retry != nil {
		b.RetryAfter = *retry
	}
	switch {
	case err != nil || fresh == nil:
	case *fresh == 0 && freshAt != nil:
		full = &policy.Budget{Limit: policy.Tier, RetryAfter: *freshAt}
	default:
		b.Available = min(b.Available, *fresh)
	}
	return b, full, wrap(err, "look at the ledger")
}

// throttled is what all queued targets wait for when there is no permit.
func throttled(w window, b policy.Budget, cohorts []Cohort) (all waits) {
	for _, k := range cohorts {
		all.add(w.settings.Evaluate(w.subject(k), b, w.now), k.Counts.Queued)
	}
	return all
}

// permit gets permits for the targets that are marked, and puts back those that get none; with none left, all
// queued ones wait. The rules are looked at again under the ledger's lock, which may have taken a while to get:
// a setting that is committed holds for every permit after it.
func (tx *Tx) permit(c *Claim, l Lane, w window, cohorts []Cohort) error {
	limits := w.settings.Throttle[w.channel]
	may := startWithin(limits)
	wanted := make([]int64, len(c.Targets))
	for i, t := range c.Targets {
		wanted[i] = t.ID
	}
	// The time to start begins before the grant, never later than it.
	c.Deadline = time.Now().Add(may)
	if !w.liftEnds.IsZero() && w.liftEnds.Before(c.Deadline) {
		c.Deadline = w.liftEnds // nothing starts after the override by which it may go
	}
	var revision int64
	var b policy.Budget
	var retry *time.Time
	var granted, paired []int64
	var until []time.Time
	// In one go: the channel and the cohorts' counts, which are locked by now, are what all lanes wait for.
	var all pgx.Batch
	all.Queue(lockChannel, w.channel)
	all.Queue(`SELECT coalesce(max(revision), 0) FROM settings_revisions`).QueryRow(func(row pgx.Row) error { return row.Scan(&revision) })
	all.Queue(`SELECT granted, coalesce(bound_by, ''), retry_after, paired, paired_until FROM grant_permits($1, $2, $3, $4, $5, $6, $7, $8)`,
		w.channel, limits.PerMinute, limits.PerSecond, limits.Tier, limits.Pair(), may, l.Campaign, wanted).
		QueryRow(func(row pgx.Row) error { return row.Scan(&granted, &b.Limit, &retry, &paired, &until) })
	err := tx.pgx.SendBatch(tx.ctx, &all).Close()
	if err == nil && revision != w.settings.Revision {
		return errOutdated
	}
	switch {
	case err != nil:
		return wrap(err, "grant permits")
	case len(granted) > 0:
	case len(paired) > 0:
		c.Again = true
	case b.Limit == policy.Tier:
		c.Busy = true // it was filled meanwhile: the next claim looks for those who are in it
	default:
		if retry != nil {
			b.RetryAfter = *retry
		}
		c.Waits = throttled(w, b, cohorts)
	}
	return tx.putBack(c, granted, paired, until)
}

// putBack returns what was marked beyond the permits to the queue, as if it had not been touched; those whose
// recipients got another message a moment ago wait until then.
func (tx *Tx) putBack(c *Claim, granted, paired []int64, until []time.Time) error {
	if len(granted) == len(c.Targets) {
		return nil
	}
	may := make(map[int64]bool, len(granted))
	for _, id := range granted {
		may[id] = true
	}
	var back []int64
	c.Targets = slices.DeleteFunc(c.Targets, func(t ClaimedTarget) bool {
		if !may[t.ID] {
			back = append(back, t.ID)
		}
		return !may[t.ID]
	})
	// With a time, which has come: some had one, and stand behind the cohort's queue_from.
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE targets t SET state = 'queued', owner = NULL, fence = NULL, attempt = t.attempt - 1, sending_at = NULL,
			not_before = coalesce(p.until, clock_timestamp()), reason = CASE WHEN p.until IS NOT NULL THEN $4 END
		FROM unnest($1::bigint[]) b (id) LEFT JOIN unnest($2::bigint[], $3::timestamptz[]) p (id, until) ON p.id = b.id
		WHERE t.id = b.id`, back, paired, until, string(policy.Throttled))
	return wrap(err, "put targets back")
}

// known locks up to want queued targets of the open cohorts whose recipients got a message within the tier's day.
func (tx *Tx) known(id uuid.UUID, w window, open []int16, want int) ([]candidate, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT q.id, q.msisdn_hash, EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = q.msisdn_hash),
			$4 AND NOT EXISTS (SELECT FROM contacts c WHERE c.msisdn = q.msisdn AND c.opted_in_at IS NOT NULL)
		FROM (SELECT t.id, t.msisdn, t.msisdn_hash FROM recent_recipients r JOIN targets t ON t.campaign_id = $1 AND t.msisdn = r.msisdn
			WHERE r.channel = $6 AND r.granted_at > permit_clock() - $7::interval AND t.state = 'queued' AND t.cohort = ANY ($2)
			AND (t.not_before IS NULL OR t.not_before <= $5) LIMIT $3 FOR UPDATE OF t SKIP LOCKED) q`,
		id, open, want, w.marketing && w.settings.Consent.Required, w.now, w.channel, daily)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
		return c, row.Scan(&c.id, &c.hash, &c.optedOut, &c.refused)
	})
}

// idleTier says what a campaign waits for when the tier is full and none of its targets is in it.
func (tx *Tx) idleTier(c *Claim, id uuid.UUID, w window, open []int16, full policy.Budget, cohorts []Cohort) error {
	err := tx.idle(c, id, w, open, nil) // some who are in it may have a time of their own
	c.Busy = false
	c.Waits = append(throttled(w, full, cohorts), c.Waits...)
	return err
}

// keepRecipients prepares the ledger for the limits by recipient that were just set: what was sent before them
// counts. Targets that wait for a longer interval between two messages than there is now are let go.
func (tx *Tx) keepRecipients(set policy.Throttle) error {
	for channel, limits := range set {
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE targets t SET not_before = clock_timestamp(), reason = NULL
			FROM campaigns c JOIN cohorts k ON k.campaign_id = c.id WHERE c.channel = $1 AND c.finished_at IS NULL AND k.queued > 0
			AND t.campaign_id = k.campaign_id AND t.cohort = k.id AND t.again AND t.reason = $2
			AND t.not_before > permit_clock() + $3::interval`, channel, policy.Throttled, limits.Pair()+lately); err != nil {
			return wrap(err, "release targets")
		}
		if _, err := tx.pgx.Exec(tx.ctx, `SELECT keep_recipients($1, $2, $3)`, channel, limits.Tier, limits.Pair()); err != nil {
			return wrap(err, "keep recipients")
		}
	}
	return nil
}

// rules reads what decides about a channel now: settings, what the ledger has left for a recipient (for
// somebody new, if m is ""), and the database's time.
func (s *Store) rules(ctx context.Context, channel string, m contact.MSISDN) (policy.Settings, policy.Budget, time.Time, error) {
	var now time.Time
	set, err := s.Settings(ctx)
	if err != nil {
		return set, policy.Budget{}, now, err
	}
	limits := set.Throttle[channel]
	var b policy.Budget
	var retry, freshAt, last *time.Time
	var fresh *int64
	err = s.pool.QueryRow(ctx, `SELECT t.now, b.available, coalesce(b.bound_by, ''), b.retry_after, b.fresh, b.fresh_at, r.granted_at
		FROM (SELECT permit_clock() AS now) t CROSS JOIN LATERAL permit_budget($1, $2, $3, $4, t.now) b
		LEFT JOIN recent_recipients r ON r.channel = $1 AND r.msisdn = $5`, channel, limits.PerMinute, limits.PerSecond, limits.Tier, string(m)).
		Scan(&now, &b.Available, &b.Limit, &retry, &fresh, &freshAt, &last)
	switch {
	case b.Available == 0:
	case last != nil && limits.PairSeconds > 0 && last.Add(limits.Pair()+lately).After(now):
		retry = new(last.Add(limits.Pair() + lately))
		b = policy.Budget{Limit: policy.Pair}
	case fresh != nil && *fresh == 0 && (last == nil || !last.Add(daily).After(now)):
		b, retry = policy.Budget{Limit: policy.Tier}, freshAt
	}
	if retry != nil {
		b.RetryAfter = *retry
	}
	return set, b, now, unavailable(err)
}

// SingleSend is one message to one person that wants a permit.
type SingleSend struct {
	ID        uuid.UUID // the same as long as it waits
	Channel   string
	Recipient contact.MSISDN
}

// SinglePermit is the answer to a single send.
type SinglePermit struct {
	Decision policy.Decision // permitted, or throttled, or dispatch is off; no other rule was asked
	StartBy  time.Time       // of the local clock: if permitted, it must have started by then, or ask again
}

// GrantSingle grants the next permit of a channel to a single send, before any campaign. While there is none it
// keeps a place for it: campaigns leave it as many as wait. The place is lost two seconds after the send was to ask
// again, and at once with LeaveSingle. Each call that is granted uses up a permit.
func (s *Store) GrantSingle(ctx context.Context, one SingleSend) (p SinglePermit, err error) {
	set, err := s.Settings(ctx)
	if err != nil {
		return p, err
	}
	if p.Decision = set.Channel(one.Channel, policy.Budget{Available: 1}); !p.Decision.Permitted { // stopped: campaigns have nothing to leave
		return p, s.LeaveSingle(ctx, one.ID)
	}
	if err := s.queueSingle(ctx, one); err != nil {
		return p, err
	}
	err = s.inTx(ctx, func(tx *Tx) (err error) {
		p, err = tx.grantSingle(s, one)
		return err
	})
	return p, err
}

// queueSingle lets campaigns see a single send waiting before it has the ledger's lock, for which it may wait behind them.
func (s *Store) queueSingle(ctx context.Context, one SingleSend) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO permit_singles AS w (id, channel, waits_until) VALUES ($1, $2, permit_clock() + interval '2 seconds')
		ON CONFLICT (id) DO UPDATE SET waits_until = greatest(w.waits_until, excluded.waits_until)`, one.ID, one.Channel)
	return unavailable(err)
}

// grantSingle is GrantSingle in a transaction, for a send that is queued. It locks the channel.
func (tx *Tx) grantSingle(s *Store, one SingleSend) (p SinglePermit, err error) {
	if err := tx.lockChannel(one.Channel); err != nil {
		return p, err
	}
	var revision int64
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(max(revision), 0) FROM settings_revisions`).Scan(&revision); err != nil {
		return p, err
	}
	set, err := s.settingsAt(tx.ctx, tx.pgx, revision)
	if err != nil {
		return p, err
	}
	b := policy.Budget{Available: 1}
	if set.Toggles.Dispatch {
		limits := set.Throttle[one.Channel]
		p.StartBy = time.Now().Add(startWithin(limits))
		var retry *time.Time
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT granted::int, coalesce(bound_by, ''), retry_after FROM grant_single($1, $2, $3, $4, $5, $6, $7, $8)`,
			one.Channel, limits.PerMinute, limits.PerSecond, limits.Tier, limits.Pair(), startWithin(limits), one.ID, string(one.Recipient)).
			Scan(&b.Available, &b.Limit, &retry); err != nil {
			return p, wrap(err, "grant a single permit")
		}
		if retry != nil {
			b.RetryAfter = *retry
		}
	}
	p.Decision = set.Channel(one.Channel, b)
	return p, nil
}

// LeaveSingle gives up the place of a single send that wants no permit any more.
func (s *Store) LeaveSingle(ctx context.Context, id uuid.UUID) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM permit_singles WHERE id = $1`, id)
	return unavailable(err)
}

// SetWeight changes how large a campaign's part is where it shares a channel with others, from the next grant on.
// It fails with domain.Conflict when the campaign has ended.
func (s *Store) SetWeight(ctx context.Context, id uuid.UUID, weight int, reason string) error {
	return s.ChangeCampaign(ctx, id, CampaignChange{Weight: &weight, Reason: reason})
}
