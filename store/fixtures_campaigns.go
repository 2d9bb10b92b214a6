package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/voucher"
)

// The set's past is made up, and told backwards from when it is loaded.
const (
	fixtureStarted  = 10 * time.Hour // ago: the campaign was started, and its messages went
	fixtureIssued   = 3 * 24 * time.Hour
	fixtureExpired  = 24 * time.Hour
	fixtureAttempts = 1
)

// FixtureCampaignID is the id of the set's campaign of this name.
func FixtureCampaignID(name string) uuid.UUID { return FixtureID("campaign", name) }

// campaigns makes the campaigns with their audiences. What was sent was sent in the made-up past; the campaign that is under
// way gets its workflow by a message in the outbox, so that what it says is so. It is the message that starts a workflow anew,
// because a set that is loaded again has the ids of the one before.
func (l *fixtureLoader) campaigns() error {
	for _, c := range l.set.Campaigns {
		template, err := l.live(`SELECT id FROM templates WHERE name = $1 ORDER BY status IN ('approved', 'locked') DESC, version DESC LIMIT 1`, c.Template)
		if err == nil && template == uuid.Nil {
			err = errNoTemplate(c.Template)
		}
		if err != nil {
			return err
		}
		id := FixtureCampaignID(c.Name)
		status, started := campaign.Draft, (*time.Time)(nil)
		if !c.Draft {
			at := l.now.Add(-fixtureStarted)
			status, started = campaign.Scheduled, &at
		}
		made, err := l.add("campaigns", audit.Entry{Action: "campaign.created", Target: target(id)},
			`INSERT INTO campaigns (id, name, channel, template_id, voucher, status, created_at, started_at)
			VALUES ($1, $2, 'whatsapp', $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
			id, c.Name, template, c.Offer, status, l.now.Add(-fixtureStarted-time.Hour), started)
		if err != nil || !made {
			if err != nil {
				return err
			}
			continue
		}
		if err := l.audience(id, c); err != nil {
			return err
		}
		if c.Draft {
			continue
		}
		queued := int64(0)
		for _, t := range c.Targets {
			if t.State == campaign.Queued {
				queued++
			}
		}
		if _, err := l.tx.send(KindRecoverCampaign, target(id), RecoverCampaign{StartCampaign: StartCampaign{CampaignID: id, Name: c.Name, Targets: queued}}); err != nil {
			return err
		}
		if err := l.tx.enter(audit.Entry{Action: "campaign.started", Target: target(id), Reason: "fixture", Diff: map[string]any{"targets": len(c.Targets)}}); err != nil {
			return err
		}
	}
	return nil
}

// audience makes a campaign's targets, in cohorts by country and language, and the import that they came by.
func (l *fixtureLoader) audience(id uuid.UUID, c FixtureCampaign) error {
	tx, n := l.tx, len(c.Targets)
	var cohorts []string
	for _, t := range c.Targets {
		key := t.To.Country + "/" + t.To.Zone + "/" + t.Locale
		if !slices.Contains(cohorts, key) {
			cohorts = append(cohorts, key)
			if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO cohorts (campaign_id, id, country, zone, locale) VALUES ($1, $2, $3, $4, $5)`,
				id, len(cohorts), t.To.Country, t.To.Zone, t.Locale); err != nil {
				return wrap(err, "fixture cohort")
			}
		}
		if err := l.target(id, slices.Index(cohorts, key)+1, t); err != nil {
			return wrap(err, "fixture target")
		}
	}
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO imports (id, campaign_id, lines, targets, invalid, duplicates, phase, created_at, updated_at, finished_at)
		VALUES ($1, $2, $3, $3, 0, 0, 'done', $4, $4, $4)`, FixtureID("import", c.Name), id, n, l.now.Add(-fixtureStarted-30*time.Minute))
	l.added["targets"] += n
	return wrap(err, "fixture import")
}

// target makes one target with the times that its state takes, and the event that tells it where the times do not.
func (l *fixtureLoader) target(id uuid.UUID, cohort int, t FixtureTarget) error {
	at := func(after time.Duration, states ...campaign.TargetState) *time.Time {
		if !slices.Contains(states, t.State) {
			return nil
		}
		when := l.now.Add(after)
		return &when
	}
	came := []campaign.TargetState{campaign.Sent, campaign.Delivered, campaign.Read}
	ended := []campaign.TargetState{campaign.FailedT, campaign.OptedOut, campaign.Unknown}
	attempt, provider := 0, ""
	if t.Reason != "" || slices.Contains(came, t.State) {
		attempt = fixtureAttempts
	}
	if slices.Contains(came, t.State) {
		provider = "fixture." + hex.EncodeToString(l.store.pepper.Hash(t.To.MSISDN)[:8])
	}
	tried := append(append([]campaign.TargetState{}, came...), ended...)
	var row int64
	err := l.tx.pgx.QueryRow(l.tx.ctx, `INSERT INTO targets (campaign_id, cohort, msisdn, msisdn_hash, state, reason, error_code, attempt, provider_id,
			not_before, sending_at, sent_at, delivered_at, read_at, ended_at)
		VALUES ($1, $2, $3, $4, $5, nullif($6, ''), nullif($7, 0), $8, nullif($9, ''), $10, $11, $12, $13, $14, $15) RETURNING id`,
		id, cohort, string(t.To.MSISDN), l.store.pepper.Hash(t.To.MSISDN), t.State, t.Reason, t.ErrorCode, attempt, provider,
		at(FixturesWait, l.waits(t)...), at(-fixtureStarted+time.Minute, tried...), at(-fixtureStarted+time.Minute, came...),
		at(-fixtureStarted+2*time.Minute, campaign.Delivered, campaign.Read), at(-fixtureStarted+7*time.Minute, campaign.Read),
		at(-fixtureStarted+2*time.Minute, ended...)).Scan(&row)
	if err != nil || t.Reason == "" {
		return err
	}
	kind := string(t.State)
	if t.State == campaign.Queued {
		kind = "requeued"
	}
	_, err = l.tx.pgx.Exec(l.tx.ctx, `INSERT INTO target_events (target_id, at, kind, attempt, reason, error_code) VALUES ($1, $2, $3, $4, $5, nullif($6, 0))`,
		row, l.now.Add(-fixtureStarted+2*time.Minute), kind, attempt, t.Reason, t.ErrorCode)
	return err
}

// waits are the states in which the target waits for a time of its own.
func (l *fixtureLoader) waits(t FixtureTarget) []campaign.TargetState {
	if t.Reason == "" {
		return nil
	}
	return []campaign.TargetState{campaign.Queued}
}

// vouchers makes the vouchers with all that became of them. Those of which a station was deleted are left out.
func (l *fixtureLoader) vouchers() error {
	for _, v := range l.set.Vouchers {
		var stations []uuid.UUID
		for _, code := range v.At {
			if t, there := l.stations[code]; there {
				stations = append(stations, t.id)
			}
		}
		if _, there := l.stations[v.RedeemedAt]; len(stations) < len(v.At) || v.RedeemedAt != "" && !there {
			continue
		}
		if err := l.voucher(v, stations); err != nil {
			return wrap(err, "fixture "+v.Key)
		}
	}
	return nil
}

// moment is a state of a voucher and when it came to it.
type moment struct {
	status voucher.Status
	at     time.Time
}

// past is what became of a voucher, oldest first; it ends with what it is.
func (l *fixtureLoader) past(v FixtureVoucher) []moment {
	issued := l.now.Add(-fixtureIssued)
	switch {
	case v.Campaign != "":
		issued = l.now.Add(-fixtureStarted)
	case v.Status == voucher.Expired:
		issued = l.now.Add(-fixtureExpired - v.For)
	}
	all := []moment{{voucher.Issued, issued}}
	if v.Status != voucher.Issued {
		all = append(all, moment{voucher.Sent, issued.Add(time.Minute)})
	}
	switch v.Status {
	case voucher.Redeemed:
		all = append(all, moment{voucher.Redeemed, l.now.Add(-v.Ago)})
	case voucher.Expired:
		all = append(all, moment{voucher.Expired, l.now.Add(-fixtureExpired + 30*time.Second)})
	case voucher.Void:
		all = append(all, moment{voucher.Void, issued.Add(time.Hour)})
	}
	return all
}

func (l *fixtureLoader) voucher(v FixtureVoucher, stations []uuid.UUID) error {
	id, past := FixtureID("voucher", v.Key), l.past(v)
	when := func(s voucher.Status) *time.Time {
		for _, m := range past {
			if m.status == s {
				return &m.at
			}
		}
		return nil
	}
	var of *uuid.UUID
	var form string
	if v.Campaign != "" {
		c := FixtureCampaignID(v.Campaign)
		of = &c
		if v.Status != voucher.Issued {
			form = string(voucher.Carded)
		}
	}
	var where *uuid.UUID
	if v.Status == voucher.Redeemed {
		at := l.stations[v.RedeemedAt].id
		where = &at
	}
	expires := past[0].at.Add(v.For)
	hash := hashOf(v.Key)
	made, err := l.add("vouchers", audit.Entry{Action: "voucher.issued", Target: voucherTarget(id), Diff: map[string]any{"amount": v.Money.Plain(),
		"currency": v.Money.Currency, "scope": voucher.ScopeOf(len(stations)), "stations": stations, "campaign_id": of, "expires_at": expires.UTC()}},
		`INSERT INTO vouchers (id, code, msisdn, contact_id, amount, currency, scope, station_ids, campaign_id, target_id, form, status, expires_at, issued_at,
			sent_at, redeemed_at, redeemed_station_id, expired_at, voided_at, void_reason, idempotency_key, request_hash)
		VALUES ($1, $2, $3, (SELECT id FROM contacts WHERE msisdn = $3), $4, $5, $6, $7, $8, (SELECT id FROM targets WHERE campaign_id = $8 AND msisdn = $3),
			nullif($9, ''), $10, $11, $12, $13, $14, $15, $16, $17, nullif($18, ''), $19, $20)
		ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING`,
		id, voucher.NewCode(), string(v.To), v.Money.Amount, v.Money.Currency, voucher.ScopeOf(len(stations)), append([]uuid.UUID{}, stations...), of, form,
		v.Status, expires, past[0].at, when(voucher.Sent), when(voucher.Redeemed), where, when(voucher.Expired), when(voucher.Void), v.Reason, v.Key, hash)
	if err != nil || !made {
		return err
	}
	for _, m := range past {
		if err := l.event(id, v, m, where); err != nil {
			return err
		}
	}
	if v.Status == voucher.Redeemed {
		return l.redemption(id, v, l.stations[v.RedeemedAt], past[len(past)-1].at, hash)
	}
	return nil
}

// event tells that a voucher came to a state, to itself and to the audit log.
func (l *fixtureLoader) event(id uuid.UUID, v FixtureVoucher, m moment, where *uuid.UUID) error {
	reason := ""
	if m.status == voucher.Void {
		reason = v.Reason
	}
	if m.status != voucher.Redeemed {
		where = nil
	}
	if _, err := l.tx.pgx.Exec(l.tx.ctx, `INSERT INTO voucher_events (voucher_id, at, status, actor_kind, actor, station_id, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id, m.at, m.status, fixtureActor.Kind, fixtureActor.Name, where, reason); err != nil {
		return err
	}
	if m.status == voucher.Issued {
		return nil // entered with the voucher itself
	}
	return l.tx.enter(audit.Entry{Action: fmt.Sprintf("voucher.%s", m.status), Target: voucherTarget(id), Reason: "fixture"})
}

// redemption is the receipt of a redeemed voucher, as its station has it.
func (l *fixtureLoader) redemption(id uuid.UUID, v FixtureVoucher, at fixtureStation, when time.Time, hash []byte) error {
	receipt := FixtureID("redemption", v.Key)
	answer, err := json.Marshal(Redeemed{ID: receipt, VoucherID: id, Amount: v.Money.Plain(), Currency: v.Money.Currency, MSISDN: v.To.Masked(),
		StationCode: v.RedeemedAt, StationName: at.name, RedeemedAt: when.UTC()})
	if err != nil {
		return err
	}
	_, err = l.tx.pgx.Exec(l.tx.ctx, `INSERT INTO redemptions (id, voucher_id, idempotency_key, request_hash, response, station_id, device_id, operator_id, operator,
			amount, currency, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		receipt, id, v.Key, hash, answer, at.id, FixtureID("device", v.RedeemedAt), at.operatorID, at.operator, v.Money.Amount, v.Money.Currency, when)
	return err
}
