package store

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/domain/template"
)

// singles are the receipts for single sends.
func singles(all []Receipt) []Receipt {
	return slices.DeleteFunc(slices.Clone(all), func(r Receipt) bool { return r.Attempt.Single == uuid.Nil })
}

// applySendReceipts is applyReceipts for single sends, by the same rules. Each state that is reached is told on the
// timeline.
func (tx *Tx) applySendReceipts(all []Receipt) error {
	all = singles(all)
	n := len(all)
	if n == 0 {
		return nil
	}
	ids, attempts, states := make([]uuid.UUID, n), make([]int32, n), make([]string, n)
	at, provider, codes := make([]time.Time, n), make([]string, n), make([]int32, n)
	for i, r := range all {
		ids[i], attempts[i], states[i] = r.Attempt.Single, int32(r.Attempt.N), string(r.State)
		at[i], provider[i], codes[i] = r.At, r.ProviderID, int32(r.ErrorCode)
	}
	_, err := tx.pgx.Exec(tx.ctx, `WITH received AS (
			SELECT id, attempt, max(provider_id) AS provider_id, max(code) AS code,
				max(array_position(ARRAY['sent', 'failed', 'delivered', 'read'], state)) AS rank,
				min(at) FILTER (WHERE state = 'sent') AS sent_at, min(at) FILTER (WHERE state = 'delivered') AS delivered_at,
				min(at) FILTER (WHERE state = 'read') AS read_at, min(at) FILTER (WHERE state = 'failed') AS failed_at
			FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::timestamptz[], $5::text[], $6::integer[])
				AS r (id, attempt, state, at, provider_id, code) GROUP BY id, attempt),
		found AS (
			SELECT s.id, s.state AS old, coalesce(array_position(ARRAY['sent', 'failed', 'delivered', 'read'], s.state), 0) AS old_rank,
				r.attempt, s.attempt AS last, r.rank, r.provider_id, r.code, r.sent_at, r.delivered_at, r.read_at, r.failed_at
			FROM sends s JOIN received r ON r.id = s.id AND r.attempt <= s.attempt ORDER BY s.id FOR UPDATE OF s),
		judged AS (
			SELECT *, attempt < last OR old = 'queued' AND rank <= 2 AND EXISTS (SELECT FROM send_events e
				WHERE e.send_id = f.id AND e.attempt = f.attempt AND (e.kind = 'failed' OR e.kind = 'late_receipt' AND e.reason = 'failed'
					OR e.kind = 'resent' AND f.rank = 2)) AS late
			FROM found f),
		late AS (
			INSERT INTO send_events (send_id, kind, attempt, reason, error_code)
			SELECT id, 'late_receipt', attempt, (ARRAY['sent', 'failed', 'delivered', 'read'])[rank], CASE WHEN rank = 2 THEN nullif(code, 0) END
			FROM judged WHERE late ON CONFLICT (send_id, attempt, reason) WHERE kind = 'late_receipt' DO NOTHING),
		advanced AS (
			UPDATE sends s SET
				state = CASE WHEN f.rank > f.old_rank THEN (ARRAY['sent', 'failed', 'delivered', 'read'])[f.rank] ELSE f.old END,
				owner = NULL, not_before = NULL, block = NULL,
				reason = CASE WHEN greatest(f.rank, f.old_rank) = 2 THEN 'provider_failed' END,
				error_code = CASE WHEN greatest(f.rank, f.old_rank) = 2 THEN coalesce(nullif(f.code, 0), s.error_code) END,
				provider_id = CASE WHEN s.msisdn LIKE '+%' THEN coalesce(s.provider_id, nullif(f.provider_id, '')) END, -- an id tells the number
				sent_at = coalesce(s.sent_at, f.sent_at, CASE WHEN f.rank > 2 THEN coalesce(f.delivered_at, f.read_at) END),
				delivered_at = coalesce(s.delivered_at, f.delivered_at), read_at = coalesce(s.read_at, f.read_at),
				ended_at = CASE WHEN greatest(f.rank, f.old_rank) = 2 THEN coalesce(s.ended_at, f.failed_at) END
			FROM judged f WHERE s.id = f.id AND NOT f.late RETURNING s.id, s.attempt, s.state, s.error_code, f.old)
		INSERT INTO send_events (send_id, kind, attempt, reason, error_code)
		SELECT id, state, attempt, CASE WHEN state = 'failed' THEN 'provider_failed' ELSE 'receipt' END, error_code
		FROM advanced WHERE state <> old`,
		ids, attempts, states, at, provider, codes)
	if err != nil {
		return wrap(err, "apply receipts of single sends")
	}
	return tx.tellSentVouchers(ids, "")
}

// spreadSends is spread for what single sends tell about templates and about who wants no more. What concerns a channel is
// told by all receipts alike.
func (tx *Tx) spreadSends(all []Receipt) error {
	for _, r := range singles(all) {
		if r.State != campaign.FailedT {
			continue
		}
		if r.ErrorCode == 131050 {
			if err := tx.optOutSend(r); err != nil {
				return err
			}
		} else if _, ok := delivery.SuspendsTemplate(r.ErrorCode); ok && time.Since(r.At) < fresh {
			if err := tx.suspendSendTemplate(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx *Tx) optOutSend(r Receipt) error {
	const told = "told by the provider"
	var hash []byte
	rows, err := tx.pgx.Query(tx.ctx, `INSERT INTO opt_outs (msisdn_hash, source, reason) SELECT msisdn_hash, 'provider', $3 FROM sends
		WHERE id = $1 AND attempt = $2 AND state <> 'failed' AND msisdn LIKE '+%' ON CONFLICT DO NOTHING RETURNING msisdn_hash`,
		r.Attempt.Single, r.Attempt.N, told)
	if err != nil {
		return err
	}
	if hash, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[[]byte]); err == pgx.ErrNoRows {
		return nil
	}
	if err != nil {
		return wrap(err, "opt-out of a receipt")
	}
	return tx.enter(audit.Entry{Action: "opt_out.added", Target: "opt_outs", Reason: told,
		Diff: map[string]any{"source": OptOutProvider, "given": 1, "added": 1, "hashes": digests([][]byte{hash})}})
}

func (tx *Tx) suspendSendTemplate(r Receipt) error {
	var name, locale string
	var raw json.RawMessage
	err := tx.pgx.QueryRow(tx.ctx, `SELECT t.name, t.texts, s.locale FROM sends s JOIN templates t ON t.id = s.template_id
		WHERE s.id = $1 AND s.attempt = $2`, r.Attempt.Single, r.Attempt.N).Scan(&name, &raw, &locale)
	if err == pgx.ErrNoRows {
		return nil
	}
	texts := map[string]string{}
	if err == nil {
		err = json.Unmarshal(raw, &texts)
	}
	if err != nil {
		return wrap(err, "template of a receipt")
	}
	return tx.suspendTemplate(Lane{}, name, template.Template{Texts: texts}.Locale(locale), r.ErrorCode, r.At)
}
