package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
)

// SendTurn is what a single send may do next: it goes (Claim has its one target), it waits (Claim has the wait), a trial is
// to be made (Claim.Probe), or it has ended.
type SendTurn struct {
	Claim
	Send  Send // as it was read
	Ended bool // Send.State tells how
}

// SendHolder is who looks after a send: a workflow's run, which try of it, and which attempt at the try.
func SendHolder(id uuid.UUID, run string, try, fence int) Lane {
	return Lane{Campaign: id, Run: run, Batch: try, Fence: fence}
}

// TakeSend takes a queued send through the whole policy, and marks it as being sent in the transaction that grants its
// permit; single sends get theirs before campaigns. What somebody left in the middle of sending becomes unknown: nobody can
// tell whether it went. It fails with ErrFenced when a later attempt at the same try holds the send, and with
// domain.Conflict of code superseded when another workflow looks after it, that of a later resend.
func (s *Store) TakeSend(ctx context.Context, l Lane, run int) (SendTurn, error) {
	for {
		turn, err := s.takeSend(ctx, l, run)
		if !errors.Is(err, errOutdated) {
			return turn, err
		}
		if ctx.Err() != nil {
			return turn, ctx.Err()
		}
	}
}

func (s *Store) takeSend(ctx context.Context, l Lane, run int) (turn SendTurn, err error) {
	one, err := s.Send(ctx, l.Campaign)
	if err != nil {
		return turn, err
	}
	turn.Send = one
	switch {
	case one.Run != run:
		return turn, domain.E(domain.Conflict, "superseded", "the message was sent again: another workflow looks after it")
	case one.State == campaign.Sending:
		return s.lostSend(ctx, l, one)
	case one.State != campaign.Queued:
		turn.Ended = true
		return turn, nil
	}
	var held standing
	err = s.inTx(ctx, func(tx *Tx) error {
		w := window{channel: one.Channel}
		turn.Claim = Claim{}
		var raw []byte
		if err := tx.pgx.QueryRow(ctx, `SELECT clock_timestamp(), standing($1, $2)`, one.Channel, one.TemplateID).Scan(&w.now, &raw); err != nil {
			return err
		}
		if w.standing, err = parseStanding(raw); err != nil {
			return err
		}
		// Whoever comes when a suspension is to be tried tries it; a slowed channel is the policy's to tell.
		if _, err := tx.heldBack(&turn.Claim, l, &w, []Cohort{{Country: one.Country, Zone: one.Zone, Locale: one.Locale}}); err != nil {
			return err
		}
		turn.Now, turn.Waits, held = w.now, nil, w.standing
		return nil
	})
	if err != nil || turn.Probe != nil || turn.Busy {
		return turn, err
	}
	if one.Block == nil && one.NotBefore != nil && one.NotBefore.After(turn.Now) { // the provider asked for it
		turn.Waits = []Wait{{Reason: ProviderRetry, Targets: 1, Until: one.NotBefore, Why: "the provider asked to try again later"}}
		return turn, nil
	}
	d, err := s.judge(ctx, one, &held)
	if err != nil {
		return turn, err
	}
	turn.Now = d.now
	if !d.Permitted && d.Reason != policy.Throttled {
		return s.blockedSend(ctx, turn, d.Decision)
	}
	permit, err := s.permitSend(ctx, &turn, l, d)
	if err != nil || permit.Permitted {
		return turn, err
	}
	if d.Reason == permit.Reason {
		permit.Also = d.Also
	}
	return s.blockedSend(ctx, turn, permit)
}

// blockedSend writes what the policy said against a send, unless it passes in a moment.
func (s *Store) blockedSend(ctx context.Context, turn SendTurn, d policy.Decision) (SendTurn, error) {
	one := turn.Send
	(*waits)(&turn.Waits).add(d, 1)
	if !blocks(d, turn.Now) {
		return turn, nil
	}
	err := s.inTx(ctx, func(tx *Tx) error {
		if _, err := tx.lockSend(one.ID); err != nil {
			return err
		}
		return tx.holdSend(one, d)
	})
	if err == nil && !one.waits(d) {
		turn.Waits, turn.Ended = nil, true
		turn.Send, err = s.Send(ctx, one.ID)
	}
	return turn, err
}

// permitSend gets a permit and marks the send as being sent, or says why there is none. The rules by which it was judged
// must still be those in force, what lifts quiet hours for it must still do, and nobody may have opted out or cancelled
// meanwhile: else it fails with errOutdated.
func (s *Store) permitSend(ctx context.Context, turn *SendTurn, l Lane, d judged) (policy.Decision, error) {
	one := turn.Send
	single := SingleSend{ID: one.ID, Channel: one.Channel, Recipient: one.MSISDN}
	if err := s.queueSingle(ctx, single); err != nil {
		return policy.Decision{}, err
	}
	var p SinglePermit
	err := s.inTx(ctx, func(tx *Tx) error {
		turn.Targets = nil
		if _, err := tx.lockSend(one.ID); err != nil {
			return err
		}
		if d.lift.ID != "" {
			if err := tx.stillLifts(d.lift.ID); err != nil {
				return err
			}
		}
		if one.Marketing {
			if err := tx.stillUncapped(s, one, turn.Now); err != nil {
				return err
			}
		}
		var err error
		if p, err = tx.grantSingle(s, single); err != nil || !p.Decision.Permitted {
			return err
		}
		if p.Decision.Revision != d.Revision {
			return errOutdated
		}
		t := ClaimedTarget{Single: one.ID, MSISDN: one.MSISDN, Country: one.Country, Zone: one.Zone, Locale: one.Locale, Variables: one.Variables}
		err = tx.pgx.QueryRow(ctx, `UPDATE sends SET state = 'sending', owner = $2, attempt = attempt + 1, sending_at = clock_timestamp(),
				reason = NULL, block = NULL, not_before = NULL
			WHERE id = $1 AND state = 'queued' AND run = $3 AND NOT EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = sends.msisdn_hash)
			RETURNING attempt`, one.ID, sendOwner(l), one.Run).Scan(&t.Attempt)
		if err != nil {
			return errors.Join(errOutdated, err)
		}
		turn.Targets = []ClaimedTarget{t}
		if d.OverrideID != "" {
			if err := tx.tellLifted(one, d); err != nil {
				return err
			}
		}
		return tx.tellSend(one.ID, SendEvent{Kind: "sending", Attempt: t.Attempt})
	})
	if turn.Deadline = p.StartBy; !d.liftEnds.IsZero() && d.liftEnds.Before(turn.Deadline) {
		turn.Deadline = d.liftEnds // it does not start after the override by which it may go
	}
	return p.Decision, err
}

// tellLifted tells, on a send's timeline and in the audit log, that it goes by an override.
func (tx *Tx) tellLifted(one Send, d judged) error {
	if err := tx.tellSend(one.ID, SendEvent{Kind: "lifted", Attempt: one.Attempt, Reason: string(policy.InQuietHours), Until: &d.lift.Until}); err != nil {
		return err
	}
	return tx.enter(audit.Entry{Action: "outbound_policy_check", Target: sendTarget(one.ID), Revision: d.Revision, Diff: map[string]any{
		"override_id": d.OverrideID, "lifts": policy.InQuietHours, "until": d.lift.Until, "country": one.Country, "zone": one.Zone, "locale": one.Locale, "targets": 1}})
}

// stillUncapped makes sure that the frequency cap leaves room for one more message, and that nobody else decides about it
// until the transaction ends.
func (tx *Tx) stillUncapped(s *Store, one Send, now time.Time) error {
	set, err := s.Settings(tx.ctx)
	if err != nil || set.FrequencyCap.Marketing.Off() {
		return err
	}
	if _, err := tx.pgx.Exec(tx.ctx, lockFrequencyCap); err != nil {
		return err
	}
	until, err := s.cappedUntil(tx.ctx, tx.pgx, set, one.MSISDN, now)
	if err == nil && until.After(now) {
		err = errOutdated
	}
	return err
}

// lostSend marks a send as unknown whose holder went away between permit and record.
func (s *Store) lostSend(ctx context.Context, l Lane, one Send) (SendTurn, error) {
	turn := SendTurn{Ended: true}
	var try, fence int
	if n, _ := fmt.Sscanf(one.Owner, l.Run+"/%d/%d", &try, &fence); n == 2 && (try > l.Batch || try == l.Batch && fence > l.Fence) {
		return turn, ErrFenced
	}
	err := s.inTx(ctx, func(tx *Tx) error {
		done, err := tx.pgx.Exec(ctx, `UPDATE sends SET state = 'unknown', reason = 'worker_lost', owner = NULL, ended_at = clock_timestamp()
			WHERE id = $1 AND state = 'sending' AND owner = $2`, one.ID, one.Owner)
		if err != nil || done.RowsAffected() == 0 {
			return err
		}
		return tx.tellSend(one.ID, SendEvent{Kind: "unknown", Attempt: one.Attempt, Reason: "worker_lost"})
	})
	if err == nil {
		turn.Send, err = s.Send(ctx, one.ID)
	}
	return turn, err
}

// RecordSend writes how a send ended that l holds. One that a receipt has taken further, or that somebody else has, is left
// as it is. Of r.Target nothing is looked at.
func (s *Store) RecordSend(ctx context.Context, l Lane, r Result) error {
	return s.inTx(ctx, func(tx *Tx) error {
		var attempt int
		rows, err := tx.pgx.Query(ctx, `UPDATE sends SET state = $3, owner = NULL, provider_id = coalesce(nullif($4, ''), provider_id), error_code = nullif($5, 0),
				reason = nullif($6, ''), not_before = CASE WHEN $7::float8 > 0 THEN clock_timestamp() + make_interval(secs => $7) END,
				sent_at = CASE WHEN $3 = 'sent' THEN clock_timestamp() END,
				ended_at = CASE WHEN $3 IN ('failed', 'opted_out', 'unknown') THEN clock_timestamp() END
			WHERE id = $1 AND state = 'sending' AND owner = $2 RETURNING attempt`,
			l.Campaign, sendOwner(l), string(r.State), r.ProviderID, r.ErrorCode, r.Reason, r.After.Seconds())
		if err != nil {
			return err
		}
		found := rows.Next()
		if found {
			err = rows.Scan(&attempt)
		}
		rows.Close()
		if err = errors.Join(err, rows.Err()); err != nil || !found {
			return err
		}
		kind := string(r.State)
		if r.State == campaign.Queued {
			kind = "requeued"
		}
		if r.State == campaign.Sent {
			if err := tx.tellSentVouchers([]uuid.UUID{l.Campaign}, r.Form); err != nil {
				return err
			}
		}
		return tx.tellSend(l.Campaign, SendEvent{Kind: kind, Attempt: attempt, Reason: r.Reason, ErrorCode: r.ErrorCode})
	})
}

// FailSend ends a send that cannot go on; one that has ended, or is being sent, stays as it is.
func (s *Store) FailSend(ctx context.Context, id uuid.UUID, run int, reason string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		one, err := tx.lockSend(id)
		if err != nil || one.State != campaign.Queued || one.Run != run {
			return err
		}
		if _, err := tx.pgx.Exec(ctx, `UPDATE sends SET state = 'failed', reason = $2, not_before = NULL, ended_at = clock_timestamp() WHERE id = $1`, id, reason); err != nil {
			return err
		}
		return tx.tellSend(id, SendEvent{Kind: "failed", Attempt: one.Attempt, Reason: reason})
	})
}

// SendTries counts how often a send went back to its queue for each of these reasons since somebody last ordered it.
func (s *Store) SendTries(ctx context.Context, id uuid.UUID, reasons []string) (map[string]int, error) {
	rows, err := s.pool.Query(ctx, `SELECT reason, count(*) FROM send_events e WHERE send_id = $1 AND kind = 'requeued' AND reason = ANY ($2)
		AND NOT EXISTS (SELECT FROM send_events f WHERE f.send_id = $1 AND f.kind = 'resent' AND f.id > e.id) GROUP BY 1`, id, reasons)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var reason string
		var n int
		if err := rows.Scan(&reason, &n); err != nil {
			return nil, err
		}
		all[reason] = n
	}
	return all, unavailable(rows.Err())
}

// sweepSends marks sends as unknown that nobody who is alive can still be sending.
func (s *Store) sweepSends(ctx context.Context, than time.Duration) (lost int64, err error) {
	err = s.pool.QueryRow(ctx, `WITH lost AS (UPDATE sends SET state = 'unknown', reason = 'worker_lost', owner = NULL, ended_at = clock_timestamp()
			WHERE state = 'sending' AND sending_at < clock_timestamp() - $1::interval RETURNING id, attempt),
		told AS (INSERT INTO send_events (send_id, kind, attempt, reason) SELECT id, 'unknown', attempt, 'worker_lost' FROM lost)
		SELECT count(*) FROM lost`, than).Scan(&lost)
	return lost, unavailable(err)
}

// sendOwner is what a send carries while l sends it.
func sendOwner(l Lane) string { return fmt.Sprintf("%s/%d/%d", l.Run, l.Batch, l.Fence) }
