package store

import (
	"context"
	"errors"
	"maps"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/voucher"
)

// VoucherOrder orders a message to a voucher's guest that brings them this very voucher.
type VoucherOrder struct {
	Voucher         uuid.UUID
	TemplateID      uuid.UUID         // uuid.Nil: that of the voucher's campaign
	Variables       map[string]string // what the template asks for besides; over those of the campaign and its target
	Locale          string            // BCP 47; "": the target's, else the contact's
	Reason          string            // for the audit log, "" for none
	AcceptDuplicate bool              // it may arrive twice, and that is known
	WhenAllowed     bool              // it waits until the rules let it go, instead of failing
	IdempotencyKey  string            // of the request, "" for none
	RequestHash     []byte
}

// SendVoucher sends a voucher to its guest, once more or for the first time: the same voucher, with the same code, in a
// single message that obeys every rule (CreateSend). It fails with domain.Conflict: wrong_state for a voucher that cannot be
// redeemed any more, still_sending while another message about it is on its way, may_be_duplicate when one may have arrived
// and nobody accepts two, erased when nobody knows whose it is. It fails with domain.Invalid about "template" when there is
// none that says the code. The same idempotency key again sends nothing again.
func (s *Store) SendVoucher(ctx context.Context, o VoucherOrder) (Send, error) {
	v, err := s.Voucher(ctx, o.Voucher)
	if err != nil {
		return Send{}, err
	}
	if v.MSISDN == "" {
		return Send{}, domain.E(domain.Conflict, "erased", "cannot send: whose voucher it was is forgotten")
	}
	n := NewSend{TemplateID: o.TemplateID, Variables: map[string]string{}, Locale: o.Locale, WhenAllowed: o.WhenAllowed,
		IdempotencyKey: o.IdempotencyKey, RequestHash: o.RequestHash, voucher: &o}
	if n.Number, err = contact.ParseNumber(string(v.MSISDN), ""); err != nil {
		return Send{}, err
	}
	if v.TargetID != nil {
		if err := s.asCampaign(ctx, *v.TargetID, &n); err != nil {
			return Send{}, err
		}
	}
	if n.TemplateID == uuid.Nil {
		return Send{}, domain.E(domain.Invalid, "no_template", "the voucher is no campaign's: name a template").About("template")
	}
	t, err := s.Template(ctx, n.TemplateID)
	if err == nil {
		err = voucher.CheckTemplate(t.Domain())
	}
	if err != nil {
		return Send{}, err
	}
	maps.DeleteFunc(n.Variables, func(name, _ string) bool { return !t.has(name) }) // another template's
	maps.Copy(n.Variables, o.Variables)
	for name := range n.Variables {
		if voucher.Fills(name) {
			return Send{}, domain.E(domain.Invalid, "filled_by_voucher", "the voucher says its own %s", name).About("variables." + name)
		}
	}
	return s.CreateSend(ctx, n)
}

// asCampaign completes an order with what the voucher's campaign would have sent to its target.
func (s *Store) asCampaign(ctx context.Context, target int64, n *NewSend) error {
	var of, its map[string]string
	var id uuid.UUID
	var locale string
	err := s.pool.QueryRow(ctx, `SELECT c.template_id, c.variables, coalesce(t.variables, '{}'), coalesce(h.locale, '')
		FROM targets t JOIN campaigns c ON c.id = t.campaign_id JOIN cohorts h ON h.campaign_id = t.campaign_id AND h.id = t.cohort WHERE t.id = $1`, target).Scan(&id, &of, &its, &locale)
	if err != nil {
		return notFound(err, "target", target)
	}
	if n.TemplateID == uuid.Nil {
		n.TemplateID = id
	}
	if n.Locale == "" {
		n.Locale = locale
	}
	for name, text := range its {
		if !voucher.Fills(name) {
			n.Variables[name] = text
		}
	}
	for name, text := range of { // they hold for everybody, whatever the audience said
		if text != "" {
			n.Variables[name] = text
		}
	}
	return nil
}

// maySendVoucher locks a voucher and says whether a message about it may be ordered now.
func (tx *Tx) maySendVoucher(id uuid.UUID, acceptDuplicate bool) error {
	var status voucher.Status
	var over, undelivered, busy bool
	var target campaign.TargetState
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT FROM vouchers WHERE id = $1 FOR UPDATE`, id); err != nil {
		return err
	}
	err := tx.pgx.QueryRow(tx.ctx, `SELECT v.status, v.expires_at <= clock_timestamp(), v.undelivered_at IS NOT NULL, coalesce(t.state, ''),
			EXISTS (SELECT FROM sends WHERE voucher_id = v.id AND state IN ('queued', 'sending'))
		FROM vouchers v LEFT JOIN targets t ON t.id = v.target_id WHERE v.id = $1`, id).Scan(&status, &over, &undelivered, &target, &busy)
	switch {
	case err != nil:
		return notFound(err, "voucher", id)
	case !status.Live():
		return domain.E(domain.Conflict, "wrong_state", "cannot send: the voucher is %s", status)
	case over:
		return domain.E(domain.Conflict, "wrong_state", "cannot send: the voucher has expired")
	case busy, target == campaign.Queued, target == campaign.Sending:
		return domain.E(domain.Conflict, "still_sending", "a message about this voucher is on its way already")
	case acceptDuplicate:
		return nil
	case status == voucher.Sent && !undelivered, target == campaign.Unknown:
		return domain.E(domain.Conflict, "may_be_duplicate", "the guest may have it already: sent again it may arrive twice, which somebody has to accept").About("accept_duplicate")
	}
	return nil
}

// tellSentVouchers brings vouchers up to what has become known of single messages about them, which the transaction has
// locked, as tellVouchers does for those of campaigns. Form is how they went, "" if nobody knows.
func (tx *Tx) tellSentVouchers(sends []uuid.UUID, form voucher.Form) error {
	actor := audit.ActorFrom(tx.ctx)
	rows, err := tx.pgx.Query(tx.ctx, `WITH news AS MATERIALIZED (
			SELECT s.voucher_id AS id, bool_or(s.state IN ('sent', 'delivered', 'read')) AS came, bool_or(s.state = 'failed' AND s.sent_at IS NOT NULL) AS failed
			FROM sends s WHERE s.id = ANY ($1) AND s.voucher_id IS NOT NULL AND NOT EXISTS (SELECT FROM sends l WHERE l.voucher_id = s.voucher_id AND l.id > s.id)
			GROUP BY 1),
		sent AS (
			UPDATE vouchers v SET status = 'sent', sent_at = clock_timestamp(), form = coalesce(nullif($2, ''), v.form),
				undelivered_at = CASE WHEN NOT news.came THEN clock_timestamp() END
			FROM news WHERE v.id = news.id AND v.status = 'issued' AND (news.came OR news.failed) RETURNING v.id),
		told AS (INSERT INTO voucher_events (voucher_id, status, actor_kind, actor) SELECT id, 'sent', $3, $4 FROM sent),
		known AS (
			UPDATE vouchers v SET form = coalesce(nullif($2, ''), v.form), undelivered_at = CASE WHEN NOT news.came THEN coalesce(v.undelivered_at, clock_timestamp()) END
			FROM news WHERE v.id = news.id AND v.status = 'sent' AND (news.came OR news.failed)
				AND (news.came = (v.undelivered_at IS NOT NULL) OR $2 <> '' AND $2 IS DISTINCT FROM v.form))
		SELECT id FROM sent ORDER BY id`, sends, string(form), actor.Kind, actor.Name)
	if err != nil {
		return wrap(err, "tell vouchers")
	}
	sent, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	for _, id := range sent {
		err = errors.Join(err, tx.enter(audit.Entry{Action: "voucher.sent", Target: voucherTarget(id), Diff: map[string]any{"form": form}}))
	}
	return wrap(err, "tell vouchers")
}
