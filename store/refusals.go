package store

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
	"lastcall/domain/template"
)

// fresh is how old a receipt may be whose error suspends a channel or a template: it may come days late.
const fresh = 10 * time.Minute

// spread does what the errors in receipts ask for besides the targets that failed: the provider may accept a
// message and tell only afterwards that our account, or the template, is suspended, or that the guest has opted out.
func (tx *Tx) spread(all []Receipt) error {
	var out, templates []Receipt
	worst := map[delivery.Cause]Receipt{}
	for _, r := range all {
		if r.State != campaign.FailedT {
			continue
		}
		young := time.Since(r.At) < fresh
		if r.ErrorCode == 131050 {
			out = append(out, r)
		} else if _, ok := delivery.SuspendsTemplate(r.ErrorCode); ok && young {
			templates = append(templates, r)
		} else if cause, ok := delivery.SuspendsChannel(r.ErrorCode); ok && young && r.ErrorCode != 0 && r.At.After(worst[cause].At) {
			worst[cause] = r
		}
	}
	for _, cause := range slices.Sorted(maps.Keys(worst)) {
		r := worst[cause]
		trip := Trip{Cause: cause, Code: r.ErrorCode, Since: r.At}
		if _, err := tx.suspendChannel(Lane{}, policy.ChannelWhatsApp, trip, delivery.DefaultLadders); err != nil {
			return err
		}
	}
	if err := tx.spreadTemplates(templates); err != nil {
		return err
	}
	return tx.spreadOptOuts(out)
}

// spreadTemplates suspends the templates of these attempts, each in the language that its target got.
func (tx *Tx) spreadTemplates(all []Receipt) error {
	if len(all) == 0 {
		return nil
	}
	type language struct{ name, language string }
	found := map[language]Receipt{}
	campaigns, ids, attempts := attemptsOf(all)
	rows, err := tx.pgx.Query(tx.ctx, `SELECT r.n - 1, x.name, x.texts, k.locale
		FROM unnest($1::uuid[], $2::bigint[], $3::integer[]) WITH ORDINALITY AS r (campaign_id, id, attempt, n)
		JOIN targets t ON t.id = r.id AND t.campaign_id = r.campaign_id AND t.attempt = r.attempt
		JOIN cohorts k ON k.campaign_id = t.campaign_id AND k.id = t.cohort
		JOIN campaigns c ON c.id = t.campaign_id JOIN templates x ON x.id = c.template_id`, campaigns, ids, attempts)
	if err != nil {
		return err
	}
	var n int
	var name, locale string
	var raw json.RawMessage
	_, err = pgx.ForEachRow(rows, []any{&n, &name, &raw, &locale}, func() error {
		texts := map[string]string{}
		if err := json.Unmarshal(raw, &texts); err != nil {
			return err
		}
		key := language{name, template.Template{Texts: texts}.Locale(locale)}
		if all[n].At.After(found[key].At) {
			found[key] = all[n]
		}
		return nil
	})
	if err != nil {
		return wrap(err, "templates of receipts")
	}
	for key, r := range found {
		if err := tx.suspendTemplate(Lane{}, key.name, key.language, r.ErrorCode, r.At); err != nil {
			return err
		}
	}
	return nil
}

// spreadOptOuts enters those into the registry who the provider says have opted out.
func (tx *Tx) spreadOptOuts(all []Receipt) error {
	if len(all) == 0 {
		return nil
	}
	campaigns, ids, attempts := attemptsOf(all)
	const told = "told by the provider"
	rows, err := tx.pgx.Query(tx.ctx, `INSERT INTO opt_outs (msisdn_hash, source, reason)
		SELECT DISTINCT t.msisdn_hash, 'provider', $4 FROM unnest($1::uuid[], $2::bigint[], $3::integer[]) AS r (campaign_id, id, attempt)
		JOIN targets t ON t.id = r.id AND t.campaign_id = r.campaign_id AND t.attempt = r.attempt AND t.state <> 'failed' AND t.msisdn LIKE '+%'
		ON CONFLICT DO NOTHING RETURNING msisdn_hash`, campaigns, ids, attempts, told)
	if err != nil {
		return err
	}
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil || len(hashes) == 0 {
		return wrap(err, "opt-outs of receipts")
	}
	return tx.enter(audit.Entry{Action: "opt_out.added", Target: "opt_outs", Reason: told,
		Diff: map[string]any{"source": OptOutProvider, "given": len(all), "added": len(hashes), "hashes": digests(hashes)}})
}

func attemptsOf(all []Receipt) (campaigns []uuid.UUID, ids []int64, attempts []int32) {
	for _, r := range all {
		campaigns, ids, attempts = append(campaigns, r.Attempt.Campaign), append(ids, r.Attempt.Target), append(attempts, int32(r.Attempt.N))
	}
	return campaigns, ids, attempts
}
