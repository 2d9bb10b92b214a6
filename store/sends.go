package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/domain/template"
	"lastcall/domain/voucher"
)

// Send is one message to one person, ordered by somebody for them alone.
type Send struct {
	ID          uuid.UUID
	Channel     string
	MSISDN      contact.MSISDN // of an erased person a name that leads nowhere
	Country     string         // ISO 3166-1 alpha-2
	Zone        string         // IANA, "" if unknown
	Locale      string         // BCP 47, "" if unknown
	TemplateID  uuid.UUID
	Marketing   bool // what the template was when it was ordered
	Variables   map[string]string
	WhenAllowed bool // it waits until the rules let it go, instead of failing
	State       campaign.TargetState
	Reason      string           // queued and waiting, failed, unknown, cancelled: why; stable
	Block       *policy.Decision // what the policy last said against it; nil: nothing
	NotBefore   *time.Time
	Owner       string // sending: who holds it
	Attempt     int    // tries at the provider
	Run         int    // how often it was ordered again
	ProviderID  string
	ErrorCode   int
	RequestedBy string
	CreatedAt   time.Time
	SendingAt   *time.Time
	SentAt      *time.Time
	DeliveredAt *time.Time
	ReadAt      *time.Time
	EndedAt     *time.Time // failed, opted_out, unknown, cancelled

	VoucherID *uuid.UUID // what it brings; nil: words, and no more

	Template  string // its name
	Version   int
	ContactID *uuid.UUID // of the contact with the number; nil: there is none
	Contact   string     // their name
}

// SendEvent is one thing that happened to a send.
type SendEvent struct {
	At        time.Time
	Kind      string // requested, held, blocked, sending, sent, …
	Attempt   int
	Reason    string // a code
	Why       string // the same for people, or a person's words
	Until     *time.Time
	ErrorCode int
	By        string // the person who did it; "": Lastcall itself
}

// NewSend is what somebody orders.
type NewSend struct {
	Number         contact.Number
	TemplateID     uuid.UUID
	Variables      map[string]string
	Locale         string // BCP 47; "": the contact's
	WhenAllowed    bool
	IdempotencyKey string // of the request, "" for none
	RequestHash    []byte

	voucher *VoucherOrder // of SendVoucher
}

// CreateSend orders a message to one person. The policy is asked at once. What it lets go, or what waits until it may, is
// queued and its workflow started; what is blocked and may not wait has failed, with the block, or is opted out, and every
// block is in the audit log. The same idempotency key again returns the same send; with another request it is a
// domain.Invalid of code idempotency_key_reused.
func (s *Store) CreateSend(ctx context.Context, n NewSend) (Send, error) {
	one, t, err := s.draftSend(ctx, n)
	if err != nil {
		return one, err
	}
	if n.IdempotencyKey != "" {
		if first, found, err := s.repeatedSend(ctx, n); err != nil || found {
			return first, err
		}
	}
	d, err := s.judge(ctx, one, nil)
	if err != nil {
		return one, err
	}
	actor := audit.ActorFrom(ctx)
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.guardSending(s, "sends", one.TemplateID, 0); err != nil {
			return audit.Entry{}, err
		}
		diff := map[string]any{"template": t.Name, "version": t.Version, "when_allowed": one.WhenAllowed}
		entry := audit.Entry{Action: "send.requested", Target: sendTarget(one.ID), Revision: d.Revision, Diff: diff}
		if o := n.voucher; o != nil {
			if err := tx.maySendVoucher(o.Voucher, o.AcceptDuplicate); err != nil {
				if repeated, failure := tx.keyed(n); repeated || failure != nil { // by this very request, a moment ago
					err = errors.Join(errRepeated, failure)
				}
				return entry, err
			}
			diff["send_id"], diff["accept_duplicate"] = one.ID, o.AcceptDuplicate
			entry.Action, entry.Target, entry.Reason = "voucher.resent", voucherTarget(o.Voucher), o.Reason
		}
		made, err := tx.pgx.Exec(ctx, `INSERT INTO sends (id, channel, msisdn, msisdn_hash, country, zone, locale, template_id, marketing, variables,
				when_allowed, actor_kind, actor_id, actor, idempotency_key, request_hash, voucher_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, nullif($15, ''), $16, $17) ON CONFLICT (idempotency_key) DO NOTHING`,
			one.ID, one.Channel, string(one.MSISDN), s.pepper.Hash(one.MSISDN), one.Country, one.Zone, one.Locale, one.TemplateID, one.Marketing, one.Variables,
			one.WhenAllowed, actor.Kind, cmp.Or(actor.ID, actor.Name), actor.EntryName(), n.IdempotencyKey, requestHash(n), one.VoucherID)
		if err == nil && made.RowsAffected() == 0 {
			return audit.Entry{}, errRepeated
		}
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.tellSend(one.ID, SendEvent{Kind: "requested", By: actor.EntryName()}); err != nil {
			return audit.Entry{}, err
		}
		if blocks(d.Decision, d.now) {
			if err := tx.holdSend(one, d.Decision); err != nil || !one.waits(d.Decision) {
				return entry, err
			}
		}
		_, err = tx.send(KindStartSend, sendTarget(one.ID), StartSend{SendID: one.ID, Template: t.Name})
		return entry, err
	})
	if errors.Is(err, errRepeated) {
		first, _, err := s.repeatedSend(ctx, n)
		return first, err
	}
	if err != nil {
		return one, err
	}
	return s.Send(ctx, one.ID)
}

// PreviewSend says what the policy would answer to a send now. It writes nothing and uses no permit. The errors are those
// of CreateSend.
func (s *Store) PreviewSend(ctx context.Context, n NewSend) (policy.Decision, Send, error) {
	one, t, err := s.draftSend(ctx, n)
	if err != nil {
		return policy.Decision{}, one, err
	}
	one.Template, one.Version = t.Name, t.Version
	d, err := s.judge(ctx, one, nil)
	return d.Decision, one, err
}

// draftSend is the send that n would become, checked: its template may be sent and has all its values.
func (s *Store) draftSend(ctx context.Context, n NewSend) (Send, Template, error) {
	t, err := s.Template(ctx, n.TemplateID)
	if err != nil {
		return Send{}, t, err
	}
	if !t.Status.Sendable() {
		return Send{}, t, domain.E(domain.Invalid, "template_not_approved", "template %s is %s: it may not be sent", t.Name, t.Status).About("template")
	}
	for name := range n.Variables {
		if !t.has(name) {
			return Send{}, t, unknownVariable(t, name)
		}
	}
	one, err := s.addressed(ctx, n.Number, t, n.Locale)
	if err != nil {
		return one, t, err
	}
	one.WhenAllowed = n.WhenAllowed
	if one.Variables = n.Variables; one.Variables == nil {
		one.Variables = map[string]string{}
	}
	values := one.Variables
	if n.voucher != nil {
		one.VoucherID, values = &n.voucher.Voucher, voucher.Specimen(one.Variables)
	}
	if _, err := t.Domain().Values(t.Domain().Locale(one.Locale), values); err != nil {
		if e, ok := errors.AsType[*domain.Error](err); ok {
			err = domain.E(domain.Invalid, e.Code, "%s", e.Message).About("variables." + e.Field)
		}
		return one, t, err
	}
	return one, t, nil
}

// addressed is a message of a template to a number, with what its contact's zone and language (unless one is given) say
// of the recipient.
func (s *Store) addressed(ctx context.Context, to contact.Number, t Template, locale string) (Send, error) {
	one := Send{ID: uuid.Must(uuid.NewV7()), Channel: policy.ChannelWhatsApp, MSISDN: to.MSISDN, Country: to.Country, Zone: to.Zone, Locale: locale,
		TemplateID: t.ID, Marketing: t.Category == template.Marketing, State: campaign.Queued}
	known, err := s.ContactOf(ctx, to.MSISDN)
	if err == nil && known != nil {
		one.Zone, one.Locale = cmp.Or(known.Zone, to.Zone), cmp.Or(locale, known.Locale)
	}
	return one, err
}

// judge asks all rules about a send now; of what the provider holds back, what held says if it is not nil.
func (s *Store) judge(ctx context.Context, one Send, held *standing) (d judged, err error) {
	began := time.Now()
	set, budget, now, err := s.rules(ctx, one.Channel, one.MSISDN)
	if d.now = now; err != nil {
		return d, err
	}
	var lift liftRow
	sub := policy.Subject{Channel: one.Channel, Country: one.Country, Zone: one.Zone, Locale: one.Locale, Marketing: one.Marketing}
	if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM opt_outs WHERE msisdn_hash = $1),
			EXISTS (SELECT FROM contacts WHERE msisdn = $2 AND opted_in_at IS NOT NULL), `+liftColumns+`FROM (SELECT) one`+joinSendLift,
		s.pepper.Hash(one.MSISDN), string(one.MSISDN), one.ID).Scan(append([]any{&sub.OptedOut, &sub.OptedIn}, lift.into()...)...); err != nil {
		return d, unavailable(err)
	}
	if sub.Lift = lift.lift(now); sub.Lift.ID != "" && !sub.Lift.From.After(now) {
		d.lift, d.liftEnds = sub.Lift, began.Add(sub.Lift.Until.Sub(now)) // reckoned from before the question: never later than it ends
	}
	if held == nil {
		found, err := s.standingOf(ctx, one.Channel, &one.TemplateID)
		if err != nil {
			return d, err
		}
		held = &found
	}
	sub.Suspensions = held.suspensions(one.Locale, now)
	if one.Marketing {
		if sub.CappedUntil, err = s.cappedUntil(ctx, s.pool, set, one.MSISDN, now); err != nil {
			return d, err
		}
	}
	d.Decision = set.Evaluate(sub, budget, now)
	return d, nil
}

// judged is what the rules say about a send.
type judged struct {
	policy.Decision
	now      time.Time   // of the database
	lift     policy.Lift // that holds now
	liftEnds time.Time   // of the local clock: what goes by the lift does not start later; zero: there is none
}

// Shortly is the longest wait that a send sits out without anybody being told.
const Shortly = 5 * time.Second

// blocks reports whether a decision is an answer, and not just a moment's wait. A suspension that is to be tried now
// is a moment's.
func blocks(d policy.Decision, now time.Time) bool {
	if d.Permitted {
		return false
	}
	return d.RetryAfter == nil || d.RetryAfter.Sub(now) > Shortly
}

// waits reports whether the send waits out a block. Nobody waits for consent, nor for somebody to change their mind.
func (one Send) waits(d policy.Decision) bool {
	return one.WhenAllowed && d.Reason != policy.OptOut && d.Reason != policy.NoConsent
}

// holdSend writes that a queued send may not go, which ends it unless it waits. What is news is told on its timeline and in
// the audit log, once.
func (tx *Tx) holdSend(one Send, d policy.Decision) error {
	state, kind := campaign.Queued, "held"
	switch {
	case d.Reason == policy.OptOut:
		state, kind = campaign.OptedOut, "opted_out"
	case !one.waits(d):
		state, kind = campaign.FailedT, "blocked"
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	done, err := tx.pgx.Exec(tx.ctx, `UPDATE sends SET state = $2, reason = $3, block = $4, not_before = CASE WHEN $2 = 'queued' THEN $5::timestamptz END,
			ended_at = CASE WHEN $2 <> 'queued' THEN clock_timestamp() END
		WHERE id = $1 AND state = 'queued' AND run = $6`, one.ID, state, d.Reason, raw, d.RetryAfter, one.Run)
	if err != nil || done.RowsAffected() == 0 {
		return wrap(err, "hold a send")
	}
	if state != campaign.Queued {
		if _, err := tx.pgx.Exec(tx.ctx, `DELETE FROM permit_singles WHERE id = $1`, one.ID); err != nil {
			return err
		}
	}
	if b := one.Block; state == campaign.Queued && b != nil && b.Reason == d.Reason && sameTime(b.RetryAfter, d.RetryAfter) {
		return nil
	}
	if err := tx.tellSend(one.ID, SendEvent{Kind: kind, Attempt: one.Attempt, Reason: string(d.Reason), Why: d.Why, Until: d.RetryAfter}); err != nil {
		return err
	}
	return tx.enter(audit.Entry{Action: "outbound_policy_check", Target: sendTarget(one.ID), Revision: d.Revision, Diff: map[string]any{
		"reason": d.Reason, "also": d.Also, "until": d.RetryAfter, "country": one.Country, "zone": one.Zone, "locale": one.Locale,
		"why": d.Why, "targets": 1, "state": state}})
}

// tellSend puts an event on a send's timeline.
func (tx *Tx) tellSend(id uuid.UUID, e SendEvent) error {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO send_events (send_id, kind, attempt, reason, why, until, error_code, actor)
		VALUES ($1, $2, $3, $4, $5, $6, nullif($7, 0), $8)`, id, e.Kind, e.Attempt, e.Reason, e.Why, e.Until, e.ErrorCode, e.By)
	return wrap(err, "tell of a send")
}

// SendOrder is what somebody orders about a send that there is.
type SendOrder struct {
	Reason          string
	AcceptDuplicate bool // it may arrive twice, and that is known
	WhenAllowed     *bool
}

// CancelSend ends a send that is queued. It fails with domain.Conflict of code wrong_state for one that is not.
func (s *Store) CancelSend(ctx context.Context, id uuid.UUID, o SendOrder) (Send, error) {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		one, err := tx.lockSend(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if one.State != campaign.Queued {
			return audit.Entry{}, domain.E(domain.Conflict, "wrong_state", "cannot cancel: the message is %s", spoken(one.State))
		}
		by := audit.ActorFrom(ctx).EntryName()
		if _, err := tx.pgx.Exec(ctx, `UPDATE sends SET state = 'cancelled', reason = 'by_hand', not_before = NULL, ended_at = clock_timestamp() WHERE id = $1`, id); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(ctx, `DELETE FROM permit_singles WHERE id = $1`, id); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.tellSend(id, SendEvent{Kind: "cancelled", Attempt: one.Attempt, Reason: "by_hand", Why: o.Reason, By: by}); err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindWakeSend, sendTarget(id), WakeSend{SendID: id, Run: one.Run})
		return audit.Entry{Action: "send.cancelled", Target: sendTarget(id), Reason: o.Reason}, err
	})
	if err != nil {
		return Send{}, err
	}
	return s.Send(ctx, id)
}

// ResendSend queues a failed send again, as a new attempt through all rules; an unknown one too, if that it may arrive twice
// is accepted (else domain.Conflict, may_be_duplicate). What is in another state is a domain.Conflict of code wrong_state.
func (s *Store) ResendSend(ctx context.Context, id uuid.UUID, o SendOrder) (Send, error) {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		one, err := tx.lockSend(id)
		if err != nil {
			return audit.Entry{}, err
		}
		switch {
		case one.State != campaign.FailedT && one.State != campaign.Unknown:
			return audit.Entry{}, domain.E(domain.Conflict, "wrong_state", "cannot send again: the message is %s", spoken(one.State))
		case !strings.HasPrefix(string(one.MSISDN), "+"):
			return audit.Entry{}, domain.E(domain.Conflict, "erased", "cannot send again: the person was erased")
		case one.State == campaign.Unknown && !o.AcceptDuplicate:
			return audit.Entry{}, domain.E(domain.Conflict, "may_be_duplicate", "nobody knows whether it arrived: sent again it may arrive twice, which somebody has to accept").About("accept_duplicate")
		}
		if one.VoucherID != nil {
			if err := tx.maySendVoucher(*one.VoucherID, o.AcceptDuplicate); err != nil {
				return audit.Entry{}, err
			}
		}
		t, err := s.Template(ctx, one.TemplateID)
		if err == nil && !t.Status.Sendable() {
			err = domain.E(domain.Conflict, "template_not_approved", "template %s is %s: it may not be sent", t.Name, t.Status)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.guardSending(s, sendTarget(id), one.TemplateID, 0); err != nil {
			return audit.Entry{}, err
		}
		if o.WhenAllowed != nil {
			one.WhenAllowed = *o.WhenAllowed
		}
		if _, err := tx.pgx.Exec(ctx, `UPDATE sends SET state = 'queued', run = run + 1, when_allowed = $2, reason = NULL, block = NULL, not_before = NULL,
				provider_id = NULL, error_code = NULL, sending_at = NULL, sent_at = NULL, delivered_at = NULL, read_at = NULL, ended_at = NULL
			WHERE id = $1`, id, one.WhenAllowed); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.tellSend(id, SendEvent{Kind: "resent", Attempt: one.Attempt, Why: o.Reason, By: audit.ActorFrom(ctx).EntryName()}); err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindStartSend, sendTarget(id), StartSend{SendID: id, Run: one.Run + 1, Template: t.Name})
		return audit.Entry{Action: "send.resent", Target: sendTarget(id), Reason: o.Reason, Diff: map[string]any{"was": one.State,
			"code": one.ErrorCode, "accept_duplicate": o.AcceptDuplicate, "when_allowed": one.WhenAllowed}}, err
	})
	if err != nil {
		return Send{}, err
	}
	return s.Send(ctx, id)
}

// lockSend reads a send and keeps others off it until the transaction ends.
func (tx *Tx) lockSend(id uuid.UUID) (Send, error) {
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT FROM sends WHERE id = $1 FOR UPDATE`, id); err != nil {
		return Send{}, err
	}
	return sendBy(tx.ctx, tx.pgx, id)
}

// wakeSends tells the sends that wait to look again: what they wait for may have passed, or changed.
func (tx *Tx) wakeSends(which string, args ...any) error {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO outbox (kind, key, payload)
		SELECT $1, 'send/' || id, jsonb_build_object('send_id', id, 'run', run) FROM sends WHERE state = 'queued' AND `+which,
		append([]any{KindWakeSend}, args...)...)
	return wrap(err, "wake sends")
}

// repeatedSend finds the send that a request with the same key made before.
func (s *Store) repeatedSend(ctx context.Context, n NewSend) (one Send, found bool, err error) {
	var id uuid.UUID
	var hash []byte
	err = s.pool.QueryRow(ctx, `SELECT id, request_hash FROM sends WHERE idempotency_key = $1`, n.IdempotencyKey).Scan(&id, &hash)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return one, false, nil
	case err != nil:
		return one, false, unavailable(err)
	case string(hash) != string(n.RequestHash):
		return one, false, domain.E(domain.Invalid, "idempotency_key_reused", "this Idempotency-Key was used for another request").About("Idempotency-Key")
	}
	one, err = s.Send(ctx, id)
	return one, true, err
}

// keyed reports whether the key of a request was used, by this one or another.
func (tx *Tx) keyed(n NewSend) (used bool, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM sends WHERE idempotency_key = nullif($1, ''))`, n.IdempotencyKey).Scan(&used)
	return used, err
}

// requestHash is kept beside a key only.
func requestHash(n NewSend) []byte {
	if n.IdempotencyKey == "" {
		return nil
	}
	return n.RequestHash
}

func sendTarget(id uuid.UUID) string { return "send/" + id.String() }

// spoken is a state as people say it.
func spoken(s campaign.TargetState) string { return strings.ReplaceAll(string(s), "_", " ") }
