package store

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
)

// TemplateTest is one message with which somebody looked at a version on a phone. It holds no number.
type TemplateTest struct {
	ID             uuid.UUID `gorm:"type:uuid;primaryKey"`
	TemplateID     uuid.UUID `gorm:"type:uuid"`
	Revision       int64     // of the version that was sent
	Locale         string
	MSISDNHash     []byte `gorm:"column:msisdn_hash"`
	Masked         string
	State          string // TestBlocked, or as of a target
	Decision       json.RawMessage
	Problem        string // a code: why it failed, or nobody knows
	ErrorCode      int    // the provider's
	Actor          string
	IdempotencyKey *string
	RequestHash    []byte
	CreatedAt      time.Time
	SettledAt      *time.Time
}

// TestBlocked is the state of a test that a rule did not let go.
const TestBlocked = "blocked"

// NewTemplateTest is what a test is made of.
type NewTemplateTest struct {
	ID             uuid.UUID // travels with the message, as TestKey
	Template       Template
	Locale         string
	To             contact.MSISDN
	Decision       policy.Decision
	IdempotencyKey string
	RequestHash    []byte
}

// TestKey is what travels with a test's message and comes back in its receipts.
func TestKey(id uuid.UUID) string { return "test/" + id.String() }

// AddTemplateTest enters a test that was blocked, or is about to be sent: before it goes, so that nothing goes unnoticed.
// Whoever has opted out in the meantime is not written to: domain.Conflict of code opted_out.
func (s *Store) AddTemplateTest(ctx context.Context, n NewTemplateTest) error {
	decision, err := json.Marshal(n.Decision)
	if err != nil {
		return err
	}
	hash := s.pepper.Hash(n.To)
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		state, action := string(campaign.Sending), "template.tested"
		if !n.Decision.Permitted {
			state, action = TestBlocked, "outbound_policy_check"
		} else {
			if err := tx.guardTest(s, templateSubject(n.Template.ID).String()); err != nil {
				return audit.Entry{}, err
			}
			var out bool
			if err := tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM opt_outs WHERE msisdn_hash = $1)`, hash).Scan(&out); err != nil {
				return audit.Entry{}, err
			}
			if out {
				return audit.Entry{}, domain.E(domain.Conflict, "opted_out", "the recipient has just opted out")
			}
		}
		_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO template_tests (id, template_id, revision, locale, msisdn_hash, masked, state, decision, actor, idempotency_key, request_hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, ''), CASE WHEN $10 <> '' THEN $11::bytea END)`,
			n.ID, n.Template.ID, n.Template.Revision, n.Locale, hash, n.To.Masked(), state, decision, audit.ActorFrom(tx.ctx).EntryName(), n.IdempotencyKey, n.RequestHash)
		return audit.Entry{Action: action, Target: templateSubject(n.Template.ID).String(), Revision: n.Decision.Revision, Diff: map[string]any{
			"test_id": n.ID, "locale": n.Locale, "revision": n.Template.Revision, "recipient": digests([][]byte{hash}), "permitted": n.Decision.Permitted,
			"reason": n.Decision.Reason, "also": n.Decision.Also}}, wrap(err, "enter test")
	})
}

// SettleTemplateTest writes how the send of a test ended: as sent, failed or unknown. A receipt may have been quicker.
func (s *Store) SettleTemplateTest(ctx context.Context, id uuid.UUID, state campaign.TargetState, problem string, code int) error {
	_, err := s.pool.Exec(ctx, `UPDATE template_tests SET state = $2, problem = $3, error_code = $4, settled_at = clock_timestamp()
		WHERE id = $1 AND state = 'sending'`, id, state, problem, code)
	return unavailable(err)
}

// RepeatedTest is the test that the same request made before; nil: none.
func (s *Store) RepeatedTest(ctx context.Context, template uuid.UUID, key string, request []byte) (*TemplateTest, error) {
	var found []TemplateTest
	err := s.inTx(ctx, func(tx *Tx) (err error) {
		found, err = tx.testsWhere(`template_id = ? AND idempotency_key = ? LIMIT 1`, template, key)
		return err
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if !bytes.Equal(found[0].RequestHash, request) {
		return nil, domain.E(domain.Invalid, "idempotency_key_reused", "this Idempotency-Key was used for another request").About("Idempotency-Key")
	}
	return &found[0], nil
}

// TemplateTest returns one test.
func (s *Store) TemplateTest(ctx context.Context, id uuid.UUID) (TemplateTest, error) {
	var found []TemplateTest
	err := s.inTx(ctx, func(tx *Tx) (err error) {
		found, err = tx.testsWhere(`id = ?`, id)
		return err
	})
	if err == nil && len(found) == 0 {
		err = domain.E(domain.NotFound, "test_not_found", "there is no test %s", id)
	}
	if err != nil {
		return TemplateTest{}, err
	}
	return found[0], nil
}

func (tx *Tx) templateTests(template uuid.UUID, limit int) ([]TemplateTest, error) {
	return tx.testsWhere(`template_id = ? ORDER BY id DESC LIMIT ?`, template, limit)
}

// testsWhere reads tests. Of one that was to be sent a minute ago and that nobody has settled nobody knows how it ended.
func (tx *Tx) testsWhere(where string, args ...any) (all []TemplateTest, err error) {
	err = tx.orm.Raw(`SELECT id, template_id, revision, locale, masked, decision, problem, error_code, actor, request_hash, created_at, settled_at,
		CASE WHEN state = 'sending' AND created_at < clock_timestamp() - interval '1 minute' THEN 'unknown' ELSE state END AS state
		FROM template_tests WHERE `+where, args...).Scan(&all).Error
	return all, wrap(err, "read tests")
}

// TestReceipt is what the provider tells about a test.
type TestReceipt struct {
	ID        uuid.UUID
	State     campaign.TargetState // Sent, Delivered, Read or FailedT
	At        time.Time
	ErrorCode int
}

// applyTestReceipts advances tests by rank, in whatever order their receipts come.
func (tx *Tx) applyTestReceipts(all []TestReceipt) error {
	for _, r := range all {
		_, err := tx.pgx.Exec(tx.ctx, `UPDATE template_tests SET state = $2, settled_at = $3, error_code = $4,
				problem = CASE WHEN $2 = 'failed' THEN 'provider_refused' ELSE '' END
			WHERE id = $1 AND state <> 'blocked' AND coalesce(array_position(ARRAY['sending', 'unknown', 'sent', 'failed', 'delivered', 'read'], state), 0)
				< array_position(ARRAY['sending', 'unknown', 'sent', 'failed', 'delivered', 'read'], $2)`, r.ID, string(r.State), r.At, r.ErrorCode)
		if err != nil {
			return wrap(err, "receipt of a test")
		}
	}
	return nil
}

// JudgeTest is what the rules say about a message with a version to a number now, as they would about a single send.
func (s *Store) JudgeTest(ctx context.Context, to contact.Number, t Template, locale string) (policy.Decision, error) {
	one, err := s.addressed(ctx, to, t, locale)
	if err != nil {
		return policy.Decision{}, err
	}
	d, err := s.judge(ctx, one, nil)
	return d.Decision, err
}
