package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/domain/voucher"
)

// ProviderRetry is why targets wait that the provider did not take for now. It is no policy.
const ProviderRetry policy.Reason = "provider_retry"

// Lane is who dispatches: one batch of one lane, and which attempt at it. A later attempt, or another
// batch of the lane, fences it out.
type Lane struct {
	Campaign uuid.UUID
	N        int
	Run      string // of the workflow
	Batch    int    // grows within a run
	Fence    int    // the activity's attempt at the batch
}

// owner is what the lane's targets carry while they are being sent.
func (l Lane) owner() string { return fmt.Sprintf("%s/%d/%d", l.Run, l.N, l.Batch) }

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
	Probe   *ChannelState // suspended, and the lane has the trial: look for a sign of life, then claim again
	Trial   Trial         // what the one target in Targets is to prove
	Now     time.Time     // the database's clock, by which the waits are told; others may be off
}

// ClaimedTarget is a target marked as being sent, with the permit for it.
type ClaimedTarget struct {
	ID        int64
	Single    uuid.UUID // the single send that it is in place of a campaign's target; uuid.Nil: none
	MSISDN    contact.MSISDN
	Locale    string
	Country   string
	Zone      string
	Attempt   int
	Variables map[string]string
	Voucher   *ClaimedVoucher // of a voucher campaign; nil: the offer has ended
}

// ErrFenced says that somebody else dispatches this lane now.
var ErrFenced = errors.New("fenced out: the lane has another owner")

// TakeLane makes l the lane's owner. What its last owner left in the middle of sending becomes unknown:
// nobody can tell whether it went. It fails with ErrFenced when a later batch of the run, or a later attempt
// at this one, has the lane; another run always takes over.
func (s *Store) TakeLane(ctx context.Context, l Lane) (unknown int64, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		last := Lane{Campaign: l.Campaign, N: l.N}
		var from, to *int64
		err := tx.pgx.QueryRow(ctx, `INSERT INTO lanes AS l (campaign_id, lane, run, batch, fence) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (campaign_id, lane) DO UPDATE SET taken_at = clock_timestamp() RETURNING run, batch, fence, first_id, last_id`,
			l.Campaign, l.N, l.Run, l.Batch, l.Fence).Scan(&last.Run, &last.Batch, &last.Fence, &from, &to)
		if err != nil || last == l {
			return err
		}
		if last.Run == l.Run && (last.Batch > l.Batch || last.Batch == l.Batch && last.Fence > l.Fence) {
			return ErrFenced
		}
		if _, err := tx.pgx.Exec(ctx, `UPDATE lanes SET run = $3, batch = $4, fence = $5, first_id = NULL, last_id = NULL
			WHERE campaign_id = $1 AND lane = $2`, l.Campaign, l.N, l.Run, l.Batch, l.Fence); err != nil || from == nil {
			return err
		}
		unknown, err = tx.leftBehind(l.Campaign, `id BETWEEN $2 AND $3 AND owner = $4 AND fence = $5`, from, to, last.owner(), last.Fence)
		return err
	})
	return unknown, err
}

// LeaveLane says that its owner has nothing in the middle of sending any more, so that the next one need not look
// for it. Who does not own the lane changes nothing.
func (s *Store) LeaveLane(ctx context.Context, l Lane) error {
	_, err := s.pool.Exec(ctx, `UPDATE lanes SET first_id = NULL, last_id = NULL
		WHERE campaign_id = $1 AND lane = $2 AND run = $3 AND batch = $4 AND fence = $5`, l.Campaign, l.N, l.Run, l.Batch, l.Fence)
	return unavailable(err)
}

// leftBehind marks a campaign's targets that somebody left in the middle of sending as unknown.
func (tx *Tx) leftBehind(id uuid.UUID, whose string, args ...any) (int64, error) {
	done, err := tx.pgx.Exec(tx.ctx, `WITH left_behind AS (
			UPDATE targets SET state = 'unknown', reason = 'worker_lost', owner = NULL, fence = NULL, ended_at = clock_timestamp()
			WHERE campaign_id = $1 AND state = 'sending' AND `+whose+` RETURNING id, attempt)
		INSERT INTO target_events (target_id, kind, attempt, reason) SELECT id, 'unknown', attempt, 'worker_lost' FROM left_behind`,
		append([]any{id}, args...)...)
	return done.RowsAffected(), err
}

// Claim takes up to want targets for a lane through the whole policy, in one transaction: gate and fence,
// toggle and quiet hours by cohort, opt-outs, consent, the frequency cap; marks them as being sent; and gets
// their permits last, because the ledger is what all lanes of all campaigns share: it is held for a moment, not
// while rows are written. Rows are locked in one order everywhere (lane, targets, campaign, cohorts, channel),
// so that nobody waits in a circle.
func (s *Store) Claim(ctx context.Context, l Lane, want int) (c Claim, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		c = Claim{}
		w, err := tx.openLane(s, l)
		c.Now = w.now
		if err != nil || w.gate != campaign.GateOpen {
			c.Gate = w.gate
			return err
		}
		cohorts, err := tx.queuedCohorts(l.Campaign)
		if err != nil || len(cohorts) == 0 {
			c.Drained = true
			return err
		}
		if said, err := tx.heldBack(&c, l, &w, cohorts); err != nil || said {
			return err
		}
		if c.Trial.On() {
			want = 1
		}
		open, blocked, told, err := tx.evaluate(l.Campaign, w, cohorts)
		if err != nil || told {
			c.Busy = true // what was told has locked cohorts: permits are for the next claim
			return err
		}
		if len(open) == 0 {
			c.Waits = blocked
			return nil
		}
		budget, full, err := tx.budget(l.Campaign, w)
		if err != nil || budget.Available == 0 {
			c.Waits = throttled(w, budget, cohorts)
			return err
		}
		open = w.standing.tried(c.Trial, cohorts, open)
		first, err := tx.fresh(l.Campaign, open)
		if err != nil {
			return err
		}
		var found []candidate
		if full != nil {
			found, err = tx.known(l.Campaign, w, open, min(want, budget.Available))
		} else {
			found, err = tx.candidates(l.Campaign, w, open, first, min(want, budget.Available))
		}
		if err != nil {
			return err
		}
		if len(found) == 0 && full != nil {
			return tx.idleTier(&c, l.Campaign, w, open, *full, cohorts)
		}
		if len(found) == 0 {
			return tx.idle(&c, l.Campaign, w, open, blocked)
		}
		if err := tx.standing(l.Campaign, w); err != nil {
			return err
		}
		ready, err := tx.sift(&c, l.Campaign, w, found)
		if err != nil {
			return err
		}
		if c.Again = len(ready) == 0; !c.Again {
			if err := tx.mark(&c, l, w, ready, cohorts); err != nil {
				return err
			}
		}
		if err := tx.moveUp(l.Campaign, farBehind(cohorts, first)); err != nil || c.Again {
			return err
		}
		return tx.permit(&c, l, w, cohorts)
	})
	if errors.Is(err, errOutdated) {
		return Claim{Busy: true, Now: c.Now}, nil
	}
	return c, err
}

// errOutdated undoes a claim: an order or a setting was committed after it began, and holds for it.
var errOutdated = errors.New("an order or a setting changed meanwhile")

// window is what a claim is decided by.
type window struct {
	gate      campaign.Gate
	channel   string
	marketing bool
	now       time.Time // of the database
	settings  policy.Settings
	standing  standing       // what the provider holds back
	offer     *voucher.Offer // what each target gets; nil: a message, and no more
	lift      policy.Lift
	liftEnds  time.Time // of the local clock: what goes by the lift does not start later; zero: it lifts nothing now
}

// subject is what the policy looks at in a cohort.
func (w window) subject(k Cohort) policy.Subject {
	sub := k.subject(w.channel)
	sub.Lift = w.lift
	return sub
}

// openLane reads what decides, and keeps the lane's row so that no other attempt takes it meanwhile.
func (tx *Tx) openLane(s *Store, l Lane) (w window, err error) {
	holder := Lane{Campaign: l.Campaign, N: l.N}
	var revision int64
	var held []byte
	var provider *string
	var lift liftRow
	began := time.Now()
	err = tx.pgx.QueryRow(tx.ctx, `SELECT l.run, l.batch, l.fence, c.gate, c.channel, t.category = 'marketing', clock_timestamp(),
			(SELECT coalesce(max(revision), 0) FROM settings_revisions), standing(c.channel, t.id), c.voucher,
			(SELECT guardrails ->> 'provider' FROM rollouts WHERE ended_at IS NULL), `+liftColumns+`
		FROM lanes l JOIN campaigns c ON c.id = l.campaign_id JOIN templates t ON t.id = c.template_id`+joinLift+`
		WHERE l.campaign_id = $1 AND l.lane = $2 FOR UPDATE OF l`,
		l.Campaign, l.N).Scan(append([]any{&holder.Run, &holder.Batch, &holder.Fence, &w.gate, &w.channel, &w.marketing, &w.now, &revision, &held, &w.offer, &provider}, lift.into()...)...)
	if w.lift = lift.lift(w.now); w.lift.ID != "" && !w.lift.From.After(w.now) {
		w.liftEnds = began.Add(w.lift.Until.Sub(w.now)) // reckoned from before the question: never later than it ends
	}
	if err != nil {
		return w, err
	}
	if holder != l {
		return w, ErrFenced
	}
	if w.standing, err = parseStanding(held); err != nil {
		return w, err
	}
	w.settings, err = s.settingsAt(tx.ctx, tx.pgx, revision)
	w.settings = s.guardedToggles(w.settings, provider)
	return w, err
}

func (tx *Tx) queuedCohorts(id uuid.UUID) ([]Cohort, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT id, country, zone, locale, queued, blocked_reason, blocked_until, queue_from, override_id
		FROM cohorts WHERE campaign_id = $1 AND queued > 0 ORDER BY id`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Cohort, err error) {
		err = row.Scan(&k.ID, &k.Country, &k.Zone, &k.Locale, &k.Counts.Queued, &k.BlockedReason, &k.BlockedUntil, &k.QueueFrom, &k.OverrideID)
		return k, err
	})
}

// evaluate asks the policy about each cohort and returns those that may go now and what the others wait
// for. A block that is news is entered in the audit log, once, and so is that an override lifts one; told says that
// there was such.
func (tx *Tx) evaluate(id uuid.UUID, w window, cohorts []Cohort) (open []int16, blocked waits, told bool, err error) {
	for _, k := range cohorts {
		sub := w.subject(k)
		sub.Suspensions = w.standing.suspensions(k.Locale, w.now)
		d := w.settings.Clock(sub, w.now)
		if d.Permitted {
			open = append(open, k.ID)
		}
		blocked.add(d, k.Counts.Queued)
		if d.Reason == k.BlockedReason && d.OverrideID == k.override() && (sameTime(d.RetryAfter, k.BlockedUntil) || len(sub.Suspensions) > 0) {
			continue // a suspension is told once, however often it is tried
		}
		done, err := tx.pgx.Exec(tx.ctx, `UPDATE cohorts SET blocked_reason = $3, blocked_until = $4, override_id = nullif($5, '')::uuid
			WHERE campaign_id = $1 AND id = $2 AND (blocked_reason, blocked_until, override_id) IS DISTINCT FROM ($3, $4::timestamptz, nullif($5, '')::uuid)`,
			id, k.ID, d.Reason, d.RetryAfter, d.OverrideID)
		if err != nil {
			return nil, nil, true, err
		}
		told = true
		if d.Permitted && d.OverrideID == "" || done.RowsAffected() == 0 {
			continue
		}
		var digest string
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT `+audienceDigest, id, k.ID).Scan(&digest); err != nil {
			return nil, nil, true, err
		}
		diff := map[string]any{"country": k.Country, "zone": k.Zone, "locale": k.Locale, "targets": k.Counts.Queued, "digest": digest}
		if d.OverrideID != "" {
			diff["override_id"], diff["lifts"], diff["until"] = d.OverrideID, policy.InQuietHours, w.lift.Until
		}
		if !d.Permitted {
			diff["reason"], diff["until"], diff["why"] = d.Reason, d.RetryAfter, d.Why
		}
		if err := tx.enter(policyCheck(id, d.Revision, diff)); err != nil {
			return nil, nil, true, err
		}
	}
	return open, blocked, told, nil
}

// standing makes sure that the campaign's gate is open, that what lifts quiet hours for it still does, and that nobody
// changes either until the transaction ends: an order that is committed holds for every permit after it.
func (tx *Tx) standing(id uuid.UUID, w window) error {
	var gate campaign.Gate
	err := tx.pgx.QueryRow(tx.ctx, `SELECT gate FROM campaigns WHERE id = $1 FOR SHARE`, id).Scan(&gate)
	if err == nil && gate != w.gate {
		return errOutdated
	}
	if err != nil || w.liftEnds.IsZero() {
		return err
	}
	return tx.stillLifts(w.lift.ID) // asked anew: that statement may have waited for who cancels it
}

// stillLifts makes sure that an override is active; whoever asks has locked what it is for.
func (tx *Tx) stillLifts(id string) error {
	var lifts bool
	err := tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM overrides WHERE id = $1 AND state = 'active' AND ends_at > clock_timestamp())`, id).Scan(&lifts)
	if err == nil && !lifts {
		return errOutdated
	}
	return err
}

// mark marks targets as being sent. Somebody who opted out this very moment is found as well.
func (tx *Tx) mark(c *Claim, l Lane, w window, ready []candidate, cohorts []Cohort) error {
	ids, hashes := make([]int64, len(ready)), make([][]byte, len(ready))
	for i, r := range ready {
		ids[i], hashes[i] = r.id, r.hash
	}
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE lanes SET first_id = least(first_id, $3), last_id = greatest(last_id, $4)
		WHERE campaign_id = $1 AND lane = $2`, l.Campaign, l.N, slices.Min(ids), slices.Max(ids)); err != nil {
		return err
	}
	rows, err := tx.pgx.Query(tx.ctx, `UPDATE targets t SET not_before = NULL, reason = NULL, policy_revision = NULL,
			state = CASE WHEN o.out THEN 'opted_out' ELSE 'sending' END, ended_at = CASE WHEN o.out THEN clock_timestamp() END,
			owner = CASE WHEN NOT o.out THEN $2 END, fence = CASE WHEN NOT o.out THEN $3::integer END,
			attempt = t.attempt + CASE WHEN o.out THEN 0 ELSE 1 END, sending_at = CASE WHEN NOT o.out THEN clock_timestamp() END
		FROM (SELECT x.id, EXISTS (SELECT FROM opt_outs r WHERE r.msisdn_hash = x.hash) AS out
			FROM unnest($1::bigint[], $4::bytea[]) AS x (id, hash)) o
		WHERE t.id = o.id AND t.state = 'queued'
		RETURNING t.id, t.state, t.cohort, t.msisdn, t.attempt, t.variables`, ids, l.owner(), l.Fence, hashes)
	if err != nil {
		return err
	}
	of := make(map[int16]Cohort, len(cohorts))
	for _, k := range cohorts {
		of[k.ID] = k
	}
	var t ClaimedTarget
	var state campaign.TargetState
	var cohort int16
	var variables json.RawMessage
	var gone []int64
	_, err = pgx.ForEachRow(rows, []any{&t.ID, &state, &cohort, &t.MSISDN, &t.Attempt, &variables}, func() error {
		if state == campaign.OptedOut {
			gone = append(gone, t.ID)
			return nil
		}
		t.Locale, t.Country, t.Zone, t.Variables = of[cohort].Locale, of[cohort].Country, of[cohort].Zone, nil
		if variables != nil {
			if err := json.Unmarshal(variables, &t.Variables); err != nil {
				return err
			}
		}
		c.Targets = append(c.Targets, t)
		return nil
	})
	c.OptedOut += len(gone)
	c.Again = len(c.Targets) == 0
	if err == nil && w.offer != nil {
		err = tx.giveVouchers(c, l.Campaign, w)
	}
	if err != nil || len(gone) == 0 {
		return wrap(err, "mark targets")
	}
	return tx.enterBlock(l.Campaign, policy.OptOut, gone, w.settings.Revision, nil)
}

// Result is how one send ended.
type Result struct {
	Target     int64
	State      campaign.TargetState // Sent, FailedT, OptedOut, Unknown, or Queued: it did not go and may go again
	ProviderID string               // Sent
	ErrorCode  int                  // the provider's, 0 for none
	Reason     string               // a stable code for anything but Sent; never a provider's text
	After      time.Duration        // Queued: not again before this has passed
	Form       voucher.Form         // Sent, of a voucher campaign: how the voucher went; "" for a message
}

// Record writes how sends ended and returns how many rows it changed. A row that a receipt has taken
// further, or that another owner has, is left as it is.
func (s *Store) Record(ctx context.Context, l Lane, results []Result) (changed int64, err error) {
	slices.SortFunc(results, func(a, b Result) int { return int(a.Target - b.Target) })
	n := len(results)
	ids, states, provider := make([]int64, n), make([]string, n), make([]string, n)
	codes, reasons, after := make([]int32, n), make([]string, n), make([]float64, n)
	eventful := false
	var news voucherNews
	for i, r := range results {
		ids[i], states[i], provider[i] = r.Target, string(r.State), r.ProviderID
		codes[i], reasons[i], after[i] = int32(r.ErrorCode), r.Reason, r.After.Seconds()
		eventful = eventful || r.State != campaign.Sent
		if r.Form != "" {
			news.add(l.Campaign, r.Target, true, r.Form)
		}
	}
	const update = `UPDATE targets t SET state = r.state, owner = NULL, fence = NULL,
			provider_id = coalesce(nullif(r.provider_id, ''), t.provider_id), error_code = nullif(r.code, 0), reason = nullif(r.reason, ''),
			not_before = CASE WHEN r.after > 0 THEN clock_timestamp() + make_interval(secs => r.after) END,
			sent_at = CASE WHEN r.state = 'sent' THEN clock_timestamp() END,
			ended_at = CASE WHEN r.state IN ('failed', 'opted_out', 'unknown') THEN clock_timestamp() END
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::float8[])
			AS r (id, state, provider_id, code, reason, after)
		WHERE t.id = r.id AND t.state = 'sending' AND t.owner = $7 AND t.fence = $8`
	args := []any{ids, states, provider, codes, reasons, after, l.owner(), l.Fence}
	write := func(db querier) error {
		if !eventful {
			done, err := db.Exec(ctx, `UPDATE targets t SET state = 'sent', owner = NULL, fence = NULL, provider_id = coalesce(nullif(r.provider_id, ''), t.provider_id),
					error_code = NULL, sent_at = clock_timestamp()
				FROM unnest($1::bigint[], $2::text[]) AS r (id, provider_id)
				WHERE t.id = r.id AND t.state = 'sending' AND t.owner = $3 AND t.fence = $4`, ids, provider, l.owner(), l.Fence)
			changed = done.RowsAffected()
			return err
		}
		return db.QueryRow(ctx, `WITH done AS (`+update+` RETURNING t.id, t.state, t.attempt, t.reason, t.error_code),
			events AS (INSERT INTO target_events (target_id, kind, attempt, reason, error_code)
				SELECT id, CASE state WHEN 'queued' THEN 'requeued' ELSE state END, attempt, coalesce(reason, ''), error_code
				FROM done WHERE state <> 'sent')
			SELECT count(*) FROM done`, args...).Scan(&changed)
	}
	if len(news.targets) > 0 {
		err = s.inTx(ctx, func(tx *Tx) error {
			if err := write(tx.pgx); err != nil {
				return err
			}
			return tx.tellVouchers(news)
		})
		return changed, err
	}
	// One statement is its own transaction: the counts, which all lanes write, are locked no longer than it takes
	// to commit.
	err = again(ctx, func() error { return write(s.pool) })
	return changed, err
}

// CancelQueued cancels up to limit targets that were not sent yet and returns how many there were. Only a
// stopped campaign's targets may be cancelled.
func (s *Store) CancelQueued(ctx context.Context, id uuid.UUID, limit int) (cancelled int64, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		done, err := tx.pgx.Exec(ctx, `UPDATE targets SET state = 'cancelled', not_before = NULL, reason = NULL, policy_revision = NULL, ended_at = clock_timestamp()
			WHERE id IN (SELECT t.id FROM targets t JOIN campaigns c ON c.id = t.campaign_id AND c.gate = 'stopped'
				WHERE t.id IN (SELECT q.id FROM queued_targets q WHERE q.campaign_id = $1 LIMIT $2) AND t.state = 'queued'
				ORDER BY t.id FOR UPDATE OF t)`, id, limit)
		if err != nil {
			return err
		}
		cancelled = done.RowsAffected()
		first, err := tx.fresh(id, nil)
		if err == nil {
			err = tx.moveUp(id, first) // the next call need not walk past these
		}
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
