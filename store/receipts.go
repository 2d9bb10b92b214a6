package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/campaign"
)

// Webhook is a signed webhook as it came, until it is applied.
type Webhook struct {
	ID         int64 `gorm:"primaryKey;autoIncrement"`
	ReceivedAt time.Time
	Body       []byte
	Error      *string
}

// TableName tells GORM the table.
func (Webhook) TableName() string { return "webhook_inbox" }

// Receipt is what the provider tells about one attempt.
type Receipt struct {
	Attempt    campaign.Attempt
	State      campaign.TargetState // Sent, Delivered, Read or FailedT
	At         time.Time            // the provider's clock
	ProviderID string
	ErrorCode  int // FailedT: the provider's
}

// Inbound is what one webhook tells us.
type Inbound struct {
	Receipts    []Receipt
	Templates   []TemplateChange
	Preferences []Preference
	Tests       []TestReceipt // of messages that look at templates
	Commands    []Command
}

// KeepWebhook stores a webhook whose signature was good. It is safe from here on.
func (s *Store) KeepWebhook(ctx context.Context, body []byte) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO webhook_inbox (body) VALUES ($1)`, body)
	return unavailable(err)
}

// Applier applies kept webhooks, oldest first, and removes them. Any number may run; one works at a time.
type Applier struct {
	Store *Store
	Parse func(body []byte) (Inbound, error) // an error sets the webhook aside with it
	Log   *slog.Logger
}

// Run applies until ctx is over.
func (a *Applier) Run(ctx context.Context) {
	wake := make(chan struct{}, 1)
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { a.Store.listen(ctx, "webhook_inbox", wake) })
	sweep := time.NewTicker(time.Second)
	defer sweep.Stop()
	for {
		more, err := a.apply(ctx)
		if err != nil && ctx.Err() == nil {
			a.Log.Warn("webhooks cannot be applied now", "error", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-sweep.C:
		}
	}
}

// apply takes a handful of webhooks, applies them as one set and removes them, in one transaction.
func (a *Applier) apply(ctx context.Context) (more bool, err error) {
	const handful = 20
	err = a.Store.inTx(ctx, func(tx *Tx) error {
		rows, err := tx.pgx.Query(ctx, `SELECT id, body FROM webhook_inbox WHERE error IS NULL
			ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED`, handful)
		if err != nil {
			return err
		}
		hooks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Webhook, err error) {
			return w, row.Scan(&w.ID, &w.Body)
		})
		if err != nil || len(hooks) == 0 {
			return err
		}
		more = len(hooks) == handful
		var all Inbound
		var done []int64
		for _, w := range hooks {
			told, err := a.Parse(w.Body)
			if err == nil {
				all.Receipts = append(all.Receipts, told.Receipts...)
				all.Templates = append(all.Templates, told.Templates...)
				all.Preferences = append(all.Preferences, told.Preferences...)
				all.Tests = append(all.Tests, told.Tests...)
				all.Commands = append(all.Commands, told.Commands...)
				done = append(done, w.ID)
				continue
			}
			a.Log.Warn("webhook set aside", "id", w.ID, "error", err)
			if _, err := tx.pgx.Exec(ctx, `UPDATE webhook_inbox SET error = $2 WHERE id = $1`, w.ID, err.Error()); err != nil {
				return err
			}
		}
		if err := tx.applyTemplates(all.Templates); err != nil {
			return err
		}
		if err := tx.applyPreferences(a.Store, all.Preferences); err != nil {
			return err
		}
		if err := tx.obey(a.Store, all.Commands); err != nil {
			return err
		}
		if err := tx.spread(all.Receipts); err != nil {
			return err
		}
		if err := tx.spreadSends(all.Receipts); err != nil {
			return err
		}
		if err := tx.applyReceipts(all.Receipts); err != nil {
			return err
		}
		if err := tx.tellVouchersOf(all.Receipts); err != nil {
			return err
		}
		if err := tx.applyTestReceipts(all.Tests); err != nil {
			return err
		}
		if err := tx.applySendReceipts(all.Receipts); err != nil {
			return err
		}
		_, err = tx.pgx.Exec(ctx, `DELETE FROM webhook_inbox WHERE id = ANY ($1)`, done)
		return err
	})
	return more && err == nil, err
}

// applyReceipts advances targets by rank: sent < failed < delivered < read. It is idempotent and does not
// mind the order. A receipt counts for the attempt it names only; one for an attempt that was thought not
// to have left, or not to be known, settles it. One for an attempt that is no longer the last is told on the
// timeline and changes nothing; so is one that tells of a target which is to be sent to again what its resend
// began with: that the attempt failed, or how it went before it did.
func (tx *Tx) applyReceipts(all []Receipt) error {
	n := len(all)
	if n == 0 {
		return nil
	}
	campaigns, ids, attempts, states := make([]uuid.UUID, n), make([]int64, n), make([]int32, n), make([]string, n)
	at, provider, codes := make([]time.Time, n), make([]string, n), make([]int32, n)
	for i, r := range all {
		campaigns[i], ids[i], attempts[i], states[i] = r.Attempt.Campaign, r.Attempt.Target, int32(r.Attempt.N), string(r.State)
		at[i], provider[i], codes[i] = r.At, r.ProviderID, int32(r.ErrorCode)
	}
	_, err := tx.pgx.Exec(tx.ctx, `WITH received AS (
			SELECT id, campaign_id, attempt, max(provider_id) AS provider_id, max(code) AS code,
				max(array_position(ARRAY['sent', 'failed', 'delivered', 'read'], state)) AS rank,
				min(at) FILTER (WHERE state = 'sent') AS sent_at, min(at) FILTER (WHERE state = 'delivered') AS delivered_at,
				min(at) FILTER (WHERE state = 'read') AS read_at, min(at) FILTER (WHERE state = 'failed') AS failed_at
			FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[], $5::timestamptz[], $6::text[], $7::integer[])
				AS r (campaign_id, id, attempt, state, at, provider_id, code) GROUP BY id, campaign_id, attempt),
		found AS (
			SELECT t.id, t.state AS old, coalesce(array_position(ARRAY['sent', 'failed', 'delivered', 'read'], t.state), 0) AS old_rank,
				r.attempt, t.attempt AS last, r.rank, r.provider_id, r.code, r.sent_at, r.delivered_at, r.read_at, r.failed_at
			FROM targets t JOIN received r ON r.id = t.id AND r.campaign_id = t.campaign_id AND r.attempt <= t.attempt
			ORDER BY t.id FOR UPDATE OF t),
		judged AS (
			SELECT *, attempt < last OR old = 'queued' AND rank <= 2 AND EXISTS (SELECT FROM target_events e
				WHERE e.target_id = f.id AND e.attempt = f.attempt AND (e.kind = 'failed' OR e.kind = 'late_receipt' AND e.reason = 'failed'
					OR e.kind = 'requeued' AND e.reason = 'resend' AND f.rank = 2)) AS late
			FROM found f),
		late AS (
			INSERT INTO target_events (target_id, kind, attempt, reason, error_code)
			SELECT id, 'late_receipt', attempt, (ARRAY['sent', 'failed', 'delivered', 'read'])[rank], CASE WHEN rank = 2 THEN nullif(code, 0) END
			FROM judged WHERE late ON CONFLICT (target_id, attempt, reason) WHERE kind = 'late_receipt' DO NOTHING),
		advanced AS (
			UPDATE targets t SET
				state = CASE WHEN f.rank > f.old_rank THEN (ARRAY['sent', 'failed', 'delivered', 'read'])[f.rank] ELSE f.old END, -- not t's: that may be from before the lock
				owner = NULL, fence = NULL, not_before = NULL,
				reason = CASE WHEN greatest(f.rank, f.old_rank) = 2 THEN 'provider_failed' END,
				error_code = CASE WHEN greatest(f.rank, f.old_rank) = 2 THEN coalesce(nullif(f.code, 0), t.error_code) END,
				provider_id = CASE WHEN t.msisdn LIKE '+%' THEN coalesce(t.provider_id, nullif(f.provider_id, '')) END, -- an id tells the number
				sent_at = coalesce(t.sent_at, f.sent_at, CASE WHEN f.rank > 2 THEN coalesce(f.delivered_at, f.read_at) END),
				delivered_at = coalesce(t.delivered_at, f.delivered_at), read_at = coalesce(t.read_at, f.read_at),
				ended_at = CASE WHEN greatest(f.rank, f.old_rank) = 2 THEN coalesce(t.ended_at, f.failed_at) END
			FROM judged f WHERE t.id = f.id AND NOT f.late RETURNING t.id, t.attempt, t.state, t.error_code, f.old)
		INSERT INTO target_events (target_id, kind, attempt, reason, error_code)
		SELECT id, CASE state WHEN 'failed' THEN 'failed' ELSE 'settled' END, attempt,
			CASE state WHEN 'failed' THEN 'provider_failed' ELSE 'receipt' END, error_code
		FROM advanced WHERE (state = 'failed' AND old <> 'failed') OR (old IN ('unknown', 'queued', 'cancelled', 'opted_out') AND state <> old)`,
		campaigns, ids, attempts, states, at, provider, codes)
	return wrap(err, "apply receipts")
}

// Unsettled counts the targets of a campaign whose outcome may still become known: accepted without a
// receipt of delivery, and unknown.
func (s *Store) Unsettled(ctx context.Context, id uuid.UUID) (n int64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT coalesce(sum(sent + unknown), 0) FROM cohorts WHERE campaign_id = $1`, id).Scan(&n)
	return n, unavailable(err)
}
