package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/domain/template"
	"lastcall/domain/voucher"
)

// ClaimedVoucher is the voucher that a target's message is about.
type ClaimedVoucher struct {
	ID        uuid.UUID
	Code      voucher.Code
	Status    voucher.Status
	ExpiresAt time.Time
}

// giveVouchers gives each claimed target its voucher, in the transaction that marks it as being sent: the one it has had
// since an earlier attempt, else a new one. Who has none afterwards comes too late: the offer has ended.
func (tx *Tx) giveVouchers(c *Claim, id uuid.UUID, w window) error {
	var old []int64
	given := make(map[int64]*ClaimedVoucher, len(c.Targets))
	for _, t := range c.Targets {
		if t.Attempt > 1 {
			old = append(old, t.ID)
		}
	}
	if len(old) > 0 {
		if err := tx.givenVouchers(id, given, `SELECT target_id, id, code, status, expires_at FROM vouchers WHERE campaign_id = $1 AND target_id = ANY ($2)`, id, old); err != nil {
			return err
		}
	}
	if !w.offer.Over(w.now) {
		if err := tx.makeVouchers(c, id, w, given); err != nil {
			return err
		}
	}
	for i, t := range c.Targets {
		c.Targets[i].Voucher = given[t.ID]
	}
	return nil
}

// makeVouchers makes vouchers for the claimed targets that have none, all at once; a code that is somebody's is made anew.
func (tx *Tx) makeVouchers(c *Claim, id uuid.UUID, w window, given map[int64]*ClaimedVoucher) error {
	actor, stations := audit.ActorFrom(tx.ctx), append([]uuid.UUID{}, w.offer.Stations...)
	var made []uuid.UUID
	for {
		var ids []uuid.UUID
		var targets []int64
		var codes, numbers []string
		for _, t := range c.Targets {
			if given[t.ID] == nil {
				ids, targets = append(ids, uuid.Must(uuid.NewV7())), append(targets, t.ID)
				codes, numbers = append(codes, string(voucher.NewCode())), append(numbers, string(t.MSISDN))
			}
		}
		if len(ids) == 0 {
			break
		}
		err := tx.givenVouchers(id, given, `WITH made AS (
				INSERT INTO vouchers (id, code, msisdn, contact_id, amount, currency, scope, station_ids, campaign_id, target_id, expires_at)
				SELECT n.id, n.code, n.msisdn, c.id, $5, $6, $7, $8, $9, n.target, $10
				FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS n (id, code, msisdn, target) LEFT JOIN contacts c USING (msisdn)
				ON CONFLICT (code) DO NOTHING RETURNING target_id, id, code, status, expires_at),
			told AS (INSERT INTO voucher_events (voucher_id, status, actor_kind, actor) SELECT id, 'issued', $11, $12 FROM made)
			SELECT * FROM made`, ids, codes, numbers, targets, w.offer.Amount, w.offer.Currency, voucher.ScopeOf(len(stations)), stations, id,
			w.offer.Ends(w.now), actor.Kind, actor.Name)
		if err != nil {
			return err
		}
		for i, of := range targets {
			if v := given[of]; v != nil && v.ID == ids[i] {
				made = append(made, v.ID)
			}
		}
	}
	if len(made) == 0 {
		return nil
	}
	return tx.enter(audit.Entry{Action: "voucher.issued", Target: target(id), Diff: map[string]any{"vouchers": len(made),
		"first": made[0], "last": made[len(made)-1], "amount": w.offer.Money().Plain(), "currency": w.offer.Currency}})
}

func (tx *Tx) givenVouchers(id uuid.UUID, given map[int64]*ClaimedVoucher, sql string, args ...any) error {
	rows, err := tx.pgx.Query(tx.ctx, sql, args...)
	if err != nil {
		return wrap(err, "vouchers of "+target(id))
	}
	var of int64
	var v ClaimedVoucher
	_, err = pgx.ForEachRow(rows, []any{&of, &v.ID, &v.Code, &v.Status, &v.ExpiresAt}, func() error {
		one := v
		given[of] = &one
		return nil
	})
	return wrap(err, "vouchers of "+target(id))
}

// voucherNews is what is known of messages about vouchers: of a target, whether the provider took its message, and in
// which form.
type voucherNews struct {
	campaigns []uuid.UUID
	targets   []int64
	taken     []bool
	forms     []string // "": nobody knows
}

func (n *voucherNews) add(campaign uuid.UUID, target int64, taken bool, form voucher.Form) {
	n.campaigns, n.targets = append(n.campaigns, campaign), append(n.targets, target)
	n.taken, n.forms = append(n.taken, taken), append(n.forms, string(form))
}

// tellVouchers brings vouchers up to what has become known of their targets, which the transaction has locked: what the
// provider took is sent; what it took and then could not deliver is sent and undelivered, until another message arrives.
func (tx *Tx) tellVouchers(n voucherNews) error {
	if len(n.targets) == 0 {
		return nil
	}
	actor := audit.ActorFrom(tx.ctx)
	rows, err := tx.pgx.Query(tx.ctx, `WITH news AS MATERIALIZED ( -- each is found by its key: IS TRUE and OFFSET keep the planner from going through all of a state
			SELECT v.id, v.campaign_id, t.state, bool_or(r.taken) AS taken, max(nullif(r.form, '')) AS form
			FROM unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::text[]) AS r (campaign_id, target, taken, form)
			CROSS JOIN LATERAL (SELECT state FROM targets WHERE id = r.target AND campaign_id = r.campaign_id OFFSET 0) t
			CROSS JOIN LATERAL (SELECT id, campaign_id FROM vouchers WHERE campaign_id = r.campaign_id AND target_id = r.target OFFSET 0) v
			GROUP BY v.id, v.campaign_id, t.state),
		sent AS (
			UPDATE vouchers v SET status = 'sent', sent_at = clock_timestamp(), form = coalesce(news.form, v.form),
				undelivered_at = CASE WHEN news.state = 'failed' THEN clock_timestamp() END
			FROM news WHERE v.id = news.id AND (v.status = 'issued') IS TRUE AND (news.taken OR news.state IN ('sent', 'delivered', 'read'))
			RETURNING v.id, v.campaign_id, v.form),
		told AS (INSERT INTO voucher_events (voucher_id, status, actor_kind, actor) SELECT id, 'sent', $5, $6 FROM sent),
		known AS (
			UPDATE vouchers v SET form = coalesce(news.form, v.form), undelivered_at = CASE WHEN news.state = 'failed'
				THEN coalesce(v.undelivered_at, clock_timestamp()) WHEN news.state IN ('sent', 'delivered', 'read') THEN NULL ELSE v.undelivered_at END
			FROM news WHERE v.id = news.id AND (v.status = 'sent') IS TRUE AND (news.form <> coalesce(v.form, '') OR news.state = 'failed' AND v.undelivered_at IS NULL
				OR news.state IN ('sent', 'delivered', 'read') AND v.undelivered_at IS NOT NULL))
		SELECT campaign_id, count(*), count(*) FILTER (WHERE form = 'card'), count(*) FILTER (WHERE form = 'text') FROM sent GROUP BY 1 ORDER BY 1`,
		n.campaigns, n.targets, n.taken, n.forms, actor.Kind, actor.Name)
	if err != nil {
		return wrap(err, "tell vouchers")
	}
	type told struct {
		Campaign           uuid.UUID
		Sent, Cards, Texts int64
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[told])
	if err != nil {
		return wrap(err, "tell vouchers")
	}
	for _, each := range all {
		if err := tx.enter(audit.Entry{Action: "voucher.sent", Target: target(each.Campaign),
			Diff: map[string]any{"vouchers": each.Sent, "cards": each.Cards, "texts": each.Texts}}); err != nil {
			return err
		}
	}
	return nil
}

// tellVouchersOf is tellVouchers for what receipts have told of targets.
func (tx *Tx) tellVouchersOf(receipts []Receipt) error {
	var ids []uuid.UUID
	for _, r := range receipts {
		if !slices.Contains(ids, r.Attempt.Campaign) {
			ids = append(ids, r.Attempt.Campaign)
		}
	}
	rows, err := tx.pgx.Query(tx.ctx, `SELECT id FROM campaigns WHERE id = ANY ($1) AND voucher IS NOT NULL`, ids)
	if err != nil {
		return err
	}
	ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	var news voucherNews
	for _, r := range receipts {
		if slices.Contains(ids, r.Attempt.Campaign) {
			news.add(r.Attempt.Campaign, r.Attempt.Target, false, "") // whether it was taken, its target tells by now
		}
	}
	if err != nil {
		return err
	}
	return tx.tellVouchers(news)
}

// CampaignVouchers are what became of the vouchers of a campaign. Its states are exclusive.
type CampaignVouchers struct {
	Amount   string           `json:"amount" example:"2000" doc:"Of each"`
	Currency voucher.Currency `json:"currency" enum:"RWF,EUR"`
	Made     int64            `json:"made" doc:"issued + sent + redeemed + expired + void"`
	Issued   int64            `json:"issued" doc:"Made, and not known to have come to their guests"`
	Sent     int64            `json:"sent" doc:"Taken by the provider, and not spent yet"`
	Redeemed int64            `json:"redeemed"`
	Expired  int64            `json:"expired"`
	Void     int64            `json:"void"`
	Cards    int64            `json:"cards" doc:"Of all, went with the picture of their card"`
	Texts    int64            `json:"texts" doc:"Of all, went in words alone"`
	Unsent   int64            `json:"unsent" doc:"Of issued and sent, those whose message finally failed or has no known end: for Support"`

	MadeValue     string `json:"made_value" doc:"What all are worth"`
	OpenValue     string `json:"open_value" doc:"What issued and sent are worth"`
	RedeemedValue string `json:"redeemed_value"`
}

// CampaignVouchers counts the vouchers of a campaign; nil for one that gives none.
func (s *Store) CampaignVouchers(ctx context.Context, id uuid.UUID) (*CampaignVouchers, error) {
	c, err := s.Campaign(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := campaignVouchers(ctx, s.pool, c)
	return f, unavailable(err)
}

func campaignVouchers(ctx context.Context, db querier, c Campaign) (*CampaignVouchers, error) {
	if c.Voucher == nil {
		return nil, nil
	}
	f := CampaignVouchers{Currency: c.Voucher.Currency}
	rows, err := db.Query(ctx, `SELECT status, coalesce(form, ''), count(*) FROM vouchers WHERE campaign_id = $1 GROUP BY 1, 2`, c.ID)
	if err != nil {
		return nil, err
	}
	var status voucher.Status
	var form voucher.Form
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&status, &form, &n}, func() error {
		*map[voucher.Status]*int64{voucher.Issued: &f.Issued, voucher.Sent: &f.Sent, voucher.Redeemed: &f.Redeemed, voucher.Expired: &f.Expired, voucher.Void: &f.Void}[status] += n
		f.Made += n
		switch form {
		case voucher.Carded:
			f.Cards += n
		case voucher.Texted:
			f.Texts += n
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	worth := func(n int64) string {
		return voucher.Money{Amount: c.Voucher.Amount.Mul(decimal.NewFromInt(n)), Currency: c.Voucher.Currency}.Plain()
	}
	f.Amount, f.MadeValue, f.OpenValue, f.RedeemedValue = worth(1), worth(f.Made), worth(f.Issued+f.Sent), worth(f.Redeemed)
	err = db.QueryRow(ctx, `SELECT count(*) FROM vouchers v JOIN targets t ON t.id = v.target_id WHERE `+unsent+` AND v.campaign_id = $1`, c.ID).Scan(&f.Unsent)
	return &f, err
}

// unsent are the vouchers v that have not come to their guests, with targets t that are not tried any more, nor is a single
// message about them. Those that have ended are nobody's task.
const unsent = `v.target_id IS NOT NULL AND (v.status = 'issued' OR v.status = 'sent' AND v.undelivered_at IS NOT NULL)
	AND t.ended IS NOT NULL AND v.expires_at > now() AND ` + notGone

// unsentAlone are those of no target whose single messages did not come to them.
const unsentAlone = `v.target_id IS NULL AND v.id IN (SELECT voucher_id FROM sends WHERE voucher_id IS NOT NULL)
	AND (v.status = 'issued' OR v.status = 'sent' AND v.undelivered_at IS NOT NULL) AND v.expires_at > now() AND ` + notGone

const notGone = `NOT EXISTS (SELECT FROM sends s WHERE s.voucher_id = v.id AND s.state IN ('queued', 'sending', 'sent', 'delivered', 'read'))`

// UnsentVoucher is a voucher that its guest has not got, as far as we know, and why: one of a campaign, or one that was sent
// by itself.
type UnsentVoucher struct {
	Voucher   Voucher
	State     campaign.TargetState // of the last message: FailedT, Unknown, OptedOut or Cancelled
	Reason    string
	ErrorCode int // the provider's, 0 for none
	EndedAt   time.Time
}

// Diagnosis explains it.
func (u UnsentVoucher) Diagnosis() delivery.Diagnosis {
	return delivery.Diagnose(u.Reason, u.ErrorCode)
}

// UnsentVouchers lists the vouchers that have not come to their guests although nothing more is tried, newest first, those
// before the voucher `before` (uuid.Nil: the newest) on; of one campaign, or of all (uuid.Nil).
func (s *Store) UnsentVouchers(ctx context.Context, of, before uuid.UUID, limit int) ([]UnsentVoucher, error) {
	const which = `($1 = '00000000-0000-0000-0000-000000000000'::uuid OR v.campaign_id = $1)
		AND ($2 = '00000000-0000-0000-0000-000000000000'::uuid OR v.id < $2) ORDER BY v.id DESC LIMIT $3`
	rows, err := s.pool.Query(ctx, `SELECT coalesce(l.state, f.state), coalesce(l.reason, CASE WHEN l.state IS NULL THEN f.reason END, ''),
			coalesce(l.error_code, CASE WHEN l.state IS NULL THEN f.error_code END, 0), coalesce(l.ended_at, f.ended_at, v.issued_at), `+voucherColumns+`
		FROM ((SELECT v.id, t.state, t.reason, t.error_code, t.ended_at FROM vouchers v JOIN targets t ON t.id = v.target_id WHERE `+unsent+` AND `+which+`)
			UNION ALL (SELECT v.id, NULL, NULL, NULL, NULL FROM vouchers v WHERE `+unsentAlone+` AND `+which+`)
			ORDER BY 1 DESC LIMIT $3) f
		JOIN vouchers v USING (id)
		LEFT JOIN LATERAL (SELECT state, reason, error_code, ended_at FROM sends WHERE voucher_id = v.id ORDER BY id DESC LIMIT 1) l ON true
		ORDER BY v.id DESC`, of, before, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u UnsentVoucher, err error) {
		return u, row.Scan(append([]any{&u.State, &u.Reason, &u.ErrorCode, &u.EndedAt}, u.Voucher.into()...)...)
	})
	return all, unavailable(err)
}

// OfferPlace is where the vouchers of an offer are redeemed, as their cards say it.
type OfferPlace struct {
	Bar      string   // "": several, or nobody's in particular
	Stations []string // none: every station
}

// OfferPlace names the stations of an offer, and the bar if it is one.
func (s *Store) OfferPlace(ctx context.Context, stations []uuid.UUID) (p OfferPlace, err error) {
	err = s.pool.QueryRow(ctx, `SELECT CASE WHEN count(DISTINCT b.id) = 1 THEN min(b.name) ELSE '' END, coalesce(array_agg(s.name ORDER BY s.name) FILTER (WHERE cardinality($1::uuid[]) > 0), '{}')
		FROM stations s JOIN bars b ON b.id = s.bar_id WHERE s.id = ANY ($1) OR cardinality($1::uuid[]) = 0 AND s.deleted_at IS NULL`,
		append([]uuid.UUID{}, stations...)).Scan(&p.Bar, &p.Stations)
	return p, unavailable(err)
}

// checkOffer makes sure that a campaign may give vouchers with a template, and with values for all that leave the
// vouchers' own alone: domain.Invalid about "voucher", "template" or "variables.…".
func (tx *Tx) checkOffer(o *voucher.Offer, t Template, variables map[string]string) error {
	if o == nil {
		return nil
	}
	if err := o.Check(time.Now()); err != nil {
		return err
	}
	if err := tx.checkStations(o.Stations); err != nil {
		return err
	}
	for name := range variables {
		if voucher.Fills(name) {
			return domain.E(domain.Invalid, "filled_by_voucher", "each voucher says its own %s; it has no value for all", name).About("variables." + name)
		}
	}
	return voucher.CheckTemplate(t.Domain())
}

// Asks are the variables of the campaign's template that its audience may give values to.
func (c Campaign) Asks(t Template) []template.Variable {
	if c.Voucher == nil {
		return t.Variables
	}
	return voucher.Asked(t.Variables)
}
