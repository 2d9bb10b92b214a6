package store

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
)

// Erasure is what forgetting a person does, or would do.
type Erasure struct {
	Contact  bool  `json:"contact" doc:"There is a contact with this number; else only campaigns know it"`
	Consents int64 `json:"consents" doc:"Words about marketing that go with it"`
	Targets  int64 `json:"targets" doc:"Messages of campaigns in which the number becomes a pseudonym; they stay counted"`
	Sends    int64 `json:"sends" doc:"Single messages in which the number becomes a pseudonym"`
	Queued   int64 `json:"queued" doc:"Of all these still queued: they are cancelled"`
	Sending  int64 `json:"sending" doc:"Of all these on their way this very moment: nothing is erased until they have gone"`
	Vouchers int64 `json:"vouchers" doc:"Vouchers that no longer say whose they are; whoever has the code of one can redeem it still"`
	OptedOut bool  `json:"opted_out" doc:"In the opt-out registry, where the keyed hash stays: it must be honoured for as long as somebody could import the number again"`
}

// Erased is the reason of a target that was cancelled because its person was erased.
const Erased = "erased"

// PreviewErasure says what erasing a contact would do.
func (s *Store) PreviewErasure(ctx context.Context, id uuid.UUID) (e Erasure, err error) {
	c, err := s.Contact(ctx, id)
	if err != nil {
		return e, err
	}
	return e, unavailable(s.impact(ctx, s.pool, c.MSISDN, &e))
}

func (s *Store) impact(ctx context.Context, db querier, m contact.MSISDN, e *Erasure) error {
	return db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM contacts WHERE msisdn = $1),
			(SELECT count(*) FROM contact_consents h JOIN contacts p ON p.id = h.contact_id WHERE p.msisdn = $1),
			count(t.id), (SELECT count(*) FROM sends WHERE msisdn = $1),
			count(*) FILTER (WHERE t.state = 'queued') + (SELECT count(*) FROM sends WHERE msisdn = $1 AND state = 'queued'),
			count(*) FILTER (WHERE t.state = 'sending') + (SELECT count(*) FROM sends WHERE msisdn = $1 AND state = 'sending')
				+ (SELECT count(*) FROM inbound_commands WHERE reply_to = $1 AND reply = 'sending'),
			(SELECT count(*) FROM vouchers WHERE msisdn = $1), EXISTS (SELECT FROM opt_outs WHERE msisdn_hash = $2)
		FROM campaigns c JOIN targets t ON t.campaign_id = c.id AND t.msisdn = $1`, string(m), s.pepper.Hash(m)).
		Scan(&e.Contact, &e.Consents, &e.Targets, &e.Sends, &e.Queued, &e.Sending, &e.Vouchers, &e.OptedOut)
}

// Erase forgets the person with this number, all of it or nothing. The contact goes, with its consents. Where campaigns
// have the number it becomes a pseudonym that leads nowhere, and name and provider's id go: counts stay true, queued
// targets are cancelled, and nothing is sent to it any more. Vouchers stay, as nobody's. What stays is the keyed hash of who
// opted out.
//
// It fails with domain.Conflict of code being_sent while a message is on its way, import_running while a file is read
// that may hold the number, and domain.NotFound when nobody knows it.
func (s *Store) Erase(ctx context.Context, m contact.MSISDN, reason string) (e Erasure, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		e = Erasure{}
		if err := tx.noFileIsRead(); err != nil {
			return audit.Entry{}, err
		}
		// Locked in the order of their ids, as everywhere; whoever claims one meanwhile is waited for, and seen.
		if _, err := tx.pgx.Exec(ctx, `SELECT FROM targets WHERE id = ANY (ARRAY (SELECT t.id FROM campaigns c
			JOIN targets t ON t.campaign_id = c.id AND t.msisdn = $1)) ORDER BY id FOR UPDATE`, string(m)); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(ctx, `SELECT FROM sends WHERE msisdn = $1 ORDER BY id FOR UPDATE`, string(m)); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(ctx, `SELECT FROM inbound_commands WHERE reply_to = $1 FOR UPDATE`, string(m)); err != nil {
			return audit.Entry{}, err
		}
		if err := s.impact(ctx, tx.pgx, m, &e); err != nil {
			return audit.Entry{}, err
		}
		switch {
		case e.Sending > 0:
			return audit.Entry{}, domain.E(domain.Conflict, "being_sent", "a message to this number is on its way right now; try again in a moment").After(2 * time.Second)
		case !e.Contact && e.Targets == 0 && e.Sends == 0 && e.Vouchers == 0:
			return audit.Entry{}, domain.E(domain.NotFound, "contact_not_found", "nobody knows this number")
		}
		entry := audit.Entry{Action: "contact.erased", Target: "contacts", Reason: reason, Diff: e}
		var id uuid.UUID
		if e.Contact {
			if err := tx.pgx.QueryRow(ctx, `SELECT id FROM contacts WHERE msisdn = $1`, string(m)).Scan(&id); err != nil {
				return audit.Entry{}, err
			}
			entry.Target = "contact/" + id.String()
		}
		return entry, tx.forget(s, m)
	})
	return e, err
}

// EraseContact is Erase for a contact that is known by its id.
func (s *Store) EraseContact(ctx context.Context, id uuid.UUID, reason string) (Erasure, error) {
	c, err := s.Contact(ctx, id)
	if err != nil {
		return Erasure{}, err
	}
	return s.Erase(ctx, c.MSISDN, reason)
}

// forget takes a number out of every table that has it. A table that gets a number one day gets a line here; a test
// looks through the whole database for one that was forgotten. WhatsApp's ids of messages go, too: the number is in them.
func (tx *Tx) forget(s *Store, m contact.MSISDN) error {
	hash := s.pepper.Hash(m)
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{`UPDATE targets SET msisdn = 'erased-' || id, msisdn_hash = sha256(convert_to('erased-' || id, 'UTF8')), variables = NULL, provider_id = NULL,
			not_before = NULL, policy_revision = NULL, reason = CASE WHEN state = 'queued' THEN '` + Erased + `' ELSE reason END,
			ended_at = CASE WHEN state = 'queued' THEN clock_timestamp() ELSE ended_at END,
			state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END
		WHERE id = ANY (ARRAY (SELECT t.id FROM campaigns c JOIN targets t ON t.campaign_id = c.id AND t.msisdn = $1))`, []any{string(m)}},
		{`INSERT INTO outbox (kind, key, payload) SELECT '` + KindWakeSend + `', 'send/' || id, jsonb_build_object('send_id', id, 'run', run)
		FROM sends WHERE msisdn = $1 AND state = 'queued'`, []any{string(m)}},
		{`INSERT INTO send_events (send_id, kind, attempt, reason) SELECT id, 'cancelled', attempt, '` + Erased + `'
		FROM sends WHERE msisdn = $1 AND state = 'queued'`, []any{string(m)}},
		{`UPDATE sends SET msisdn = 'erased-' || id, msisdn_hash = sha256(convert_to('erased-' || id, 'UTF8')), variables = NULL, provider_id = NULL,
			not_before = NULL, reason = CASE WHEN state = 'queued' THEN '` + Erased + `' ELSE reason END,
			request_hash = CASE WHEN request_hash IS NOT NULL THEN sha256(convert_to('erased-' || id, 'UTF8')) END, -- it was of the number, too
			ended_at = CASE WHEN state = 'queued' THEN clock_timestamp() ELSE ended_at END,
			state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END WHERE msisdn = $1`, []any{string(m)}},
		{`DELETE FROM contacts WHERE msisdn = $1`, []any{string(m)}}, // and by it, its consents
		// After the contact: one that was being issued to it is waited for, and seen. The request's hash was of the number, too.
		{`UPDATE vouchers SET msisdn = NULL, reference = NULL, request_hash = CASE WHEN request_hash IS NOT NULL THEN sha256(convert_to('erased-' || id, 'UTF8')) END
		WHERE msisdn = $1`, []any{string(m)}},
		{`UPDATE inbound_commands SET reply = 'dropped', reply_to = NULL WHERE reply_to = $1`, []any{string(m)}},
		{`UPDATE inbound_commands SET msisdn_hash = NULL, place = '' WHERE msisdn_hash = $1`, []any{hash}},
		// What could not be read is kept for us to look at, but not at this price. What waits to be applied goes by itself.
		{`DELETE FROM webhook_inbox WHERE error IS NOT NULL AND position($1::bytea IN body) > 0`, []any{[]byte(strings.TrimPrefix(string(m), "+"))}},
		{`SELECT forget_recipient($1)`, []any{string(m)}},
	} {
		if _, err := tx.pgx.Exec(tx.ctx, step.sql, step.args...); err != nil {
			return wrap(err, "forget a person")
		}
	}
	return nil
}

// readingFiles is the lock that whoever reads numbers from a file shares, and who erases one has alone.
const readingFiles = "reading numbers"

// readFile says that numbers are read from a file until the transaction ends.
func (tx *Tx) readFile() error {
	_, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))`, readingFiles)
	return err
}

// noFileIsRead makes sure that no file is read until the transaction ends, or fails with domain.Conflict. Those of one
// request hold the lock; what takes longer has a row.
func (tx *Tx) noFileIsRead() error {
	var free, uploads bool
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`, readingFiles).Scan(&free); err != nil {
		return err
	}
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM imports WHERE phase IN ('uploading', 'staging', 'merging'))`).Scan(&uploads); err != nil {
		return err
	}
	if !free || uploads {
		return domain.E(domain.Conflict, "import_running", "a file is being imported that may hold the number: wait for its end, or cancel it").After(5 * time.Second)
	}
	return nil
}
