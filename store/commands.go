package store

import (
	"cmp"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
	"lastcall/domain/contact"
	"lastcall/domain/inbound"
)

// Command is a message of a person that orders something. Its text is not kept.
type Command struct {
	MessageID string // the provider's; each is obeyed once
	From      contact.Number
	inbound.Order
	At time.Time // the provider's clock
}

// obey does what people wrote, each message once, in the order of the provider's clock. STOP enters the number into the
// registry and withdraws the contact's consent; START and JOIN take out what the person or the provider had said, never
// what staff entered, and record consent. Of a STOP and a START within one second STOP holds, and a command older than
// the person's last word changes nothing. Who is to be answered gets an outbox message, without number or text.
func (tx *Tx) obey(s *Store, all []Command) error {
	slices.SortStableFunc(all, func(a, b Command) int {
		return cmp.Or(strings.Compare(string(a.From.MSISDN), string(b.From.MSISDN)), a.At.Compare(b.At), strings.Compare(string(a.Command), string(b.Command)))
	})
	system := *tx
	system.ctx = audit.WithActor(tx.ctx, audit.System("inbound"))
	for _, c := range all {
		if err := system.obeyOne(s, c); err != nil {
			return wrap(err, "obey "+string(c.Command))
		}
	}
	return nil
}

func (tx *Tx) obeyOne(s *Store, c Command) error {
	message, person := s.pepper.HashID(c.MessageID), s.pepper.Hash(c.From.MSISDN)
	done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO inbound_commands (message_hash, msisdn_hash, command, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, message, person, c.Command, c.At)
	if err != nil || done.RowsAffected() == 0 {
		return err // it came before
	}
	var place bar
	if c.Command == inbound.Join {
		if place, err = tx.barOf(c.Token); err != nil {
			return err
		}
		if place.id == uuid.Nil {
			return tx.answer(message, person, c, inbound.NoSuch, place)
		}
	}
	last, err := tx.lastWord(person, c.Command == inbound.Stop, c.At)
	if err != nil || !last {
		return err
	}
	answer := map[inbound.Command]inbound.Answer{inbound.Stop: inbound.Stopped, inbound.Start: inbound.Started, inbound.Join: inbound.Joined}[c.Command]
	if c.Command == inbound.Stop {
		err = tx.optOutByMessage(person)
	} else {
		var staff bool
		if staff, err = tx.optInByMessage(person); staff {
			answer = inbound.StillOut
		}
	}
	if err == nil {
		err = tx.keepWord(s, c, place)
	}
	if err != nil {
		return err
	}
	return tx.answer(message, person, c, answer, place)
}

// lastWord keeps what a person said last about marketing, to the provider or to us, and reports whether this is it.
func (tx *Tx) lastWord(person []byte, stop bool, at time.Time) (bool, error) {
	done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO preferences AS p (msisdn_hash, stop, at) VALUES ($1, $2, $3)
		ON CONFLICT (msisdn_hash) DO UPDATE SET stop = excluded.stop, at = excluded.at
			WHERE excluded.at > p.at OR excluded.at = p.at AND (excluded.stop OR NOT p.stop)`, person, stop, at)
	return done.RowsAffected() > 0, err
}

const wroteStop, wroteStart = "wrote STOP", "wrote START or JOIN"

func (tx *Tx) optOutByMessage(person []byte) error {
	done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO opt_outs AS o (msisdn_hash, source, reason) VALUES ($1, 'inbound', $2)
		ON CONFLICT (msisdn_hash) DO UPDATE SET source = 'inbound', reason = $2 WHERE o.source = 'provider'`, person, wroteStop)
	if err != nil || done.RowsAffected() == 0 {
		return err
	}
	return tx.enter(audit.Entry{Action: "opt_out.added", Target: "opt_outs", Reason: wroteStop,
		Diff: map[string]any{"source": OptOutInbound, "given": 1, "added": 1, "hashes": digests([][]byte{person})}})
}

// optInByMessage takes out what a person or the provider had entered, and reports whether staff keep the person out.
func (tx *Tx) optInByMessage(person []byte) (staff bool, err error) {
	done, err := tx.pgx.Exec(tx.ctx, `DELETE FROM opt_outs WHERE msisdn_hash = $1 AND source IN ('inbound', 'provider')`, person)
	if err == nil && done.RowsAffected() > 0 {
		err = tx.enter(audit.Entry{Action: "opt_out.removed", Target: "opt_outs", Reason: wroteStart,
			Diff: map[string]any{"source": OptOutInbound, "given": 1, "removed": 1, "hashes": digests([][]byte{person})}})
	}
	if err == nil {
		err = tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM opt_outs WHERE msisdn_hash = $1)`, person).Scan(&staff)
	}
	return staff, err
}

// keepWord records what a contact said. Who joins and is no contact becomes one.
func (tx *Tx) keepWord(s *Store, c Command, place bar) error {
	word := Consent{At: c.At, Granted: c.Command != inbound.Stop, Source: ConsentMessage, Reference: "wrote " + strings.ToUpper(string(c.Command))}
	if c.Command == inbound.Join {
		word.Source, word.Reference = ConsentJoin, "QR code of "+place.code
		var id uuid.UUID
		var made bool
		err := tx.pgx.QueryRow(tx.ctx, `INSERT INTO contacts AS c (id, msisdn, msisdn_hash, country, bar_id) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (msisdn) DO UPDATE SET bar_id = excluded.bar_id, updated_at = clock_timestamp() RETURNING id, xmax = 0`,
			uuid.Must(uuid.NewV7()), string(c.From.MSISDN), s.pepper.Hash(c.From.MSISDN), c.From.Country, place.id).Scan(&id, &made)
		if err != nil {
			return err
		}
		if err := tx.enter(audit.Entry{Action: "contact.joined", Target: "contact/" + id.String(), Diff: map[string]any{"bar": place.code, "new": made}}); err != nil {
			return err
		}
		return tx.consent(id, word)
	}
	var id uuid.UUID
	var agreed bool
	err := tx.pgx.QueryRow(tx.ctx, `SELECT id, opted_in_at IS NOT NULL FROM contacts WHERE msisdn = $1 FOR UPDATE`, string(c.From.MSISDN)).Scan(&id, &agreed)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && agreed == word.Granted {
		return nil // nobody we know, or nothing new
	}
	if err != nil {
		return err
	}
	action := map[bool]string{true: "contact.opted_in", false: "contact.consent_withdrawn"}[word.Granted]
	if err := tx.enter(audit.Entry{Action: action, Target: "contact/" + id.String(), Diff: map[string]any{"source": word.Source, "at": word.At}}); err != nil {
		return err
	}
	return tx.consent(id, word)
}

// Reply is the outbox message for an answer: which message is answered, in hex.
type Reply struct {
	Message string `json:"message"`
}

// answer puts an answer on its way, unless the person got the same one a day ago or less, or wrote so long ago that
// free text is not taken any more. Its language is the word's, else the contact's.
func (tx *Tx) answer(message, person []byte, c Command, answer inbound.Answer, place bar) error {
	done, err := tx.pgx.Exec(tx.ctx, `UPDATE inbound_commands SET reply = 'waiting', reply_to = $3, answer = $4, place = $5, reply_send = $6,
			language = coalesce(nullif($7, ''), (SELECT locale FROM contacts WHERE msisdn = $3), '')
		WHERE message_hash = $1 AND at > clock_timestamp() - $8::interval AND NOT EXISTS (SELECT FROM inbound_commands o
			WHERE o.msisdn_hash = $2 AND o.answer = $4 AND o.received_at > clock_timestamp() - $9::interval)`,
		message, person, string(c.From.MSISDN), answer, place.name, uuid.New(), c.Language, inbound.AnswerWithin, inbound.AnswerAgain)
	if err != nil || done.RowsAffected() == 0 {
		return err
	}
	id := hex.EncodeToString(message)
	_, err = tx.send(KindReply, "reply/"+id, Reply{id})
	return err
}

var lookalikes = strings.NewReplacer("O", "0", "I", "1", "L", "1")

// bar is what JOIN leads to; without an id there is none.
type bar struct {
	id         uuid.UUID
	code, name string
}

// barOf is the bar whose QR code holds this token, unless it was revoked or the bar is gone. Tokens are Crockford's base 32:
// who types one may write small letters, and O, I and L for what looks like them.
func (tx *Tx) barOf(token string) (b bar, err error) {
	token = lookalikes.Replace(strings.ToUpper(token))
	err = tx.pgx.QueryRow(tx.ctx, `SELECT b.id, b.code, b.name FROM qr_tokens q JOIN bars b ON b.id = q.bar_id AND b.deleted_at IS NULL
		WHERE q.token = $1 AND q.revoked_at IS NULL`, token).Scan(&b.id, &b.code, &b.name)
	if errors.Is(err, pgx.ErrNoRows) {
		return bar{}, nil
	}
	return b, err
}
