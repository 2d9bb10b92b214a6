package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/campaign"
	"lastcall/domain/template"
	"lastcall/domain/voucher"
)

// FixturesFresh is how long ago the set's redemptions may be.
const FixturesFresh = 48 * time.Hour

// FixtureVerdict is whether a set is there as it should be.
type FixtureVerdict struct {
	OK         bool               `json:"ok"`
	Counts     map[string]int     `json:"counts" doc:"Of the set, what is there"`
	Deviations []FixtureDeviation `json:"deviations"`
}

// FixtureDeviation is one thing that is not as it should be. It names no number and nobody.
type FixtureDeviation struct {
	Check  string `json:"check" enum:"counts,relations,hygiene"`
	What   string `json:"what" example:"voucher 7"`
	Detail string `json:"detail"`
}

// VerifyFixtures looks at each row of a set: is it there, does it hang together with the others, is nobody real in it.
func (s *Store) VerifyFixtures(ctx context.Context, f Fixtures) (FixtureVerdict, error) {
	v := fixtureVerifier{ctx: ctx, db: s.pool, set: f, FixtureVerdict: FixtureVerdict{Counts: map[string]int{}, Deviations: []FixtureDeviation{}}}
	for _, step := range []func() error{v.accounts, v.places, v.contacts, v.templates, v.campaigns, v.vouchers, v.settings, v.hygiene} {
		if err := step(); err != nil {
			return v.FixtureVerdict, unavailable(err)
		}
	}
	v.OK = len(v.Deviations) == 0
	return v.FixtureVerdict, nil
}

// gone reports whether nothing of the set is left but people and templates, which a teardown lets be.
func (v FixtureVerdict) gone() bool {
	return v.Counts["bars"]+v.Counts["stations"]+v.Counts["contacts"]+v.Counts["campaigns"]+v.Counts["targets"]+v.Counts["vouchers"] == 0
}

type fixtureVerifier struct {
	FixtureVerdict
	ctx context.Context
	db  querier
	set Fixtures
}

// The checks.
const (
	fixtureCounts    = "counts"
	fixtureRelations = "relations"
	fixtureHygiene   = "hygiene"
)

func (v *fixtureVerifier) deviates(check, what, format string, args ...any) {
	v.Deviations = append(v.Deviations, FixtureDeviation{check, what, fmt.Sprintf(format, args...)})
}

// rows reads rows of T by what the first column says.
func fixtureRows[T any](v *fixtureVerifier, key func(T) string, sql string, args ...any) (map[string]T, error) {
	rows, err := v.db.Query(v.ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	found := map[string]T{}
	for _, each := range all {
		found[key(each)] = each
	}
	return found, err
}

func (v *fixtureVerifier) accounts() error {
	type account struct{ Role string }
	roles, err := fixtureRows(v, func(a account) string { return a.Role }, `SELECT DISTINCT role FROM accounts WHERE disabled_at IS NULL`)
	for _, a := range v.set.Accounts {
		if _, there := roles[a.Role]; there {
			v.Counts["accounts"]++
		} else {
			v.deviates(fixtureCounts, "account "+a.Role, "nobody of this role may sign in")
		}
	}
	return err
}

func (v *fixtureVerifier) places() error {
	type row struct {
		Bar, Station, Operator                   string
		BarDeleted, StationDeleted, OperatorGone bool
	}
	all, err := fixtureRows(v, func(r row) string { return r.Bar + "/" + r.Station + "/" + r.Operator }, `
		SELECT b.code, coalesce(t.code, ''), coalesce(o.name, ''), b.deleted_at IS NOT NULL, t.deleted_at IS NOT NULL, o.disabled_at IS NOT NULL
		FROM bars b LEFT JOIN stations t ON t.bar_id = b.id LEFT JOIN station_operators o ON o.station_id = t.id WHERE b.code = ANY ($1)`, v.barCodes())
	find := func(has func(row) bool) (r row, there bool) {
		for _, r := range all {
			if has(r) {
				return r, true
			}
		}
		return r, false
	}
	for _, p := range v.set.Places {
		bar, there := find(func(r row) bool { return r.Bar == p.Code })
		switch {
		case !there:
			v.deviates(fixtureCounts, "bar "+p.Code, "is missing")
		case bar.BarDeleted:
			v.deviates(fixtureCounts, "bar "+p.Code, "was deleted")
		default:
			v.Counts["bars"]++
		}
		station, there := find(func(r row) bool { return r.Bar == p.Code && r.Station == p.Station })
		switch {
		case !there:
			v.deviates(fixtureCounts, "station "+p.Station, "is missing, or in another bar than %s", p.Code)
			continue
		case station.StationDeleted:
			v.deviates(fixtureCounts, "station "+p.Station, "was deleted")
			continue
		}
		v.Counts["stations"]++
		if o, there := find(func(r row) bool { return r.Station == p.Station && r.Operator == p.Operator }); !there || o.OperatorGone {
			v.deviates(fixtureRelations, "station "+p.Station, "its operator is missing or disabled")
		} else {
			v.Counts["operators"]++
		}
	}
	return err
}

func (v *fixtureVerifier) barCodes() (codes []string) {
	for _, p := range v.set.Places {
		codes = append(codes, p.Code)
	}
	return codes
}

func (v *fixtureVerifier) numbers() (all []string) {
	for _, c := range v.set.Contacts {
		all = append(all, string(c.MSISDN))
	}
	return all
}

func (v *fixtureVerifier) contacts() error {
	type row struct {
		MSISDN, Name, Locale, Bar string
		Agreed, OptedOut          bool
	}
	all, err := fixtureRows(v, func(r row) string { return r.MSISDN }, `SELECT c.msisdn, c.name, c.locale, coalesce(b.code, ''), c.opted_in_at IS NOT NULL,
			EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = c.msisdn_hash)
		FROM contacts c LEFT JOIN bars b ON b.id = c.bar_id WHERE c.msisdn = ANY ($1)`, v.numbers())
	for i, c := range v.set.Contacts {
		what := fmt.Sprintf("contact %d", i+1)
		r, there := all[string(c.MSISDN)]
		if !there {
			v.deviates(fixtureCounts, what, "is missing")
			continue
		}
		v.Counts["contacts"]++
		if r.Locale != c.Locale {
			v.deviates(fixtureRelations, what, "its language is not %s", c.Locale)
		}
		if r.Bar != c.Bar {
			v.deviates(fixtureRelations, what, "it did not come by the bar %s", c.Bar)
		}
		if !r.Agreed || r.OptedOut {
			v.deviates(fixtureRelations, what, "it does not agree to marketing any more")
		}
		if !strings.HasSuffix(r.Name, " Example") {
			v.deviates(fixtureHygiene, what, "its name is not one of the set's made-up ones")
		}
	}
	return err
}

func (v *fixtureVerifier) templates() error {
	type row struct {
		Name   string
		Status template.Status
	}
	all, err := fixtureRows(v, func(r row) string { return r.Name }, `SELECT DISTINCT ON (name) name, status FROM templates WHERE name = ANY ($1)
		ORDER BY name, status IN ('approved', 'locked') DESC, version DESC`, v.set.Templates)
	for _, name := range v.set.Templates {
		if r, there := all[name]; !there || !r.Status.Sendable() {
			v.deviates(fixtureRelations, "template "+name, "no version of it may be sent")
		} else {
			v.Counts["templates"]++
		}
	}
	return err
}

func (v *fixtureVerifier) campaigns() error {
	type row struct {
		ID      string
		Status  campaign.Status
		Gate    campaign.Gate
		Human   bool
		Amount  string
		Targets int
		States  int
	}
	var ids []uuid.UUID
	for _, c := range v.set.Campaigns {
		ids = append(ids, FixtureCampaignID(c.Name))
	}
	all, err := fixtureRows(v, func(r row) string { return r.ID }, `SELECT c.id::text, c.status, c.gate, c.needs_human <> '', coalesce(c.voucher ->> 'amount', ''),
			count(t.id)::int, count(DISTINCT t.state)::int
		FROM campaigns c LEFT JOIN targets t ON t.campaign_id = c.id WHERE c.id = ANY ($1) GROUP BY c.id`, ids)
	for i, c := range v.set.Campaigns {
		what := fmt.Sprintf("campaign %q", c.Name)
		r, there := all[ids[i].String()]
		if !there {
			v.deviates(fixtureCounts, what, "is missing")
			continue
		}
		v.Counts["campaigns"]++
		v.Counts["targets"] += r.Targets
		if r.Targets != len(c.Targets) {
			v.deviates(fixtureCounts, what, "has %d targets, not %d", r.Targets, len(c.Targets))
		}
		underway := []campaign.Status{campaign.Scheduled, campaign.Preflight, campaign.Running} // the first two until a worker comes
		if c.Draft && r.Status != campaign.Draft {
			v.deviates(fixtureRelations, what, "is %s, not a draft", r.Status)
		} else if !c.Draft && (!slices.Contains(underway, r.Status) || r.Gate != campaign.GateOpen || r.Human) {
			why := ""
			switch {
			case r.Human:
				why = ", and needs a human"
			case r.Gate != campaign.GateOpen && !r.Status.Ended():
				why = ": its gate is " + string(r.Gate)
			}
			v.deviates(fixtureRelations, what, "is %s, not under way%s", r.Status, why)
		}
		if c.Offer != nil && r.Amount != c.Offer.Amount.String() {
			v.deviates(fixtureRelations, what, "its vouchers are worth %q, not %s", r.Amount, c.Offer.Amount)
		}
		if c.Offer != nil && r.States < 4 {
			v.deviates(fixtureRelations, what, "its targets are in %d states only", r.States)
		}
	}
	return err
}

// vouchers looks at each voucher and at what hangs on it; no key of the database keeps what is in arrays and counts.
func (v *fixtureVerifier) vouchers() error {
	type row struct {
		Key, Status, Amount, Campaign  string
		Owner, Targeted, Stations      bool
		Said, Redeemed, Fresh, Audited bool
	}
	all, err := fixtureRows(v, func(r row) string { return r.Key }, `SELECT v.idempotency_key, v.status, v.amount::text, coalesce(c.name, ''),
			EXISTS (SELECT FROM contacts p WHERE p.id = v.contact_id AND p.msisdn = v.msisdn),
			EXISTS (SELECT FROM targets t WHERE t.id = v.target_id AND t.campaign_id = v.campaign_id AND t.msisdn = v.msisdn),
			(SELECT count(*) FROM stations s WHERE s.id = ANY (v.station_ids)) = cardinality(v.station_ids)
				AND (v.redeemed_station_id IS NULL OR EXISTS (SELECT FROM stations s WHERE s.id = v.redeemed_station_id)),
			coalesce((SELECT e.status FROM voucher_events e WHERE e.voucher_id = v.id ORDER BY e.id DESC LIMIT 1) = v.status, false),
			EXISTS (SELECT FROM redemptions r WHERE r.voucher_id = v.id AND r.station_id = v.redeemed_station_id),
			coalesce(v.redeemed_at > clock_timestamp() - $2::interval, false),
			EXISTS (SELECT FROM audit_log l WHERE l.target = 'voucher/' || v.id)
		FROM vouchers v LEFT JOIN campaigns c ON c.id = v.campaign_id WHERE v.idempotency_key = ANY ($1)`, v.set.keys(), FixturesFresh)
	for i, f := range v.set.Vouchers {
		what := fmt.Sprintf("voucher %d", i+1)
		r, there := all[f.Key]
		if !there {
			v.deviates(fixtureCounts, what, "is missing")
			continue
		}
		v.Counts["vouchers"]++
		v.Counts["vouchers "+r.Status]++
		for _, check := range []struct {
			right  bool
			detail string
		}{
			{r.Status == string(f.Status), fmt.Sprintf("is %s, not %s", r.Status, f.Status)},
			{r.Owner, "belongs to no contact"},
			{r.Campaign == f.Campaign, fmt.Sprintf("is not of the campaign %q", f.Campaign)},
			{f.Campaign == "" || r.Targeted, "has no target in its campaign"},
			{r.Stations, "names a station that is not there"},
			{r.Said, "its last event tells another state"},
			{r.Audited, "the audit log does not know it"},
			{r.Redeemed == (r.Status == string(voucher.Redeemed)), "its redemption and its state differ"},
			{f.Status != voucher.Redeemed || r.Status != string(voucher.Redeemed) || r.Fresh,
				fmt.Sprintf("was redeemed more than %.0f h ago: load the set afresh", FixturesFresh.Hours())},
		} {
			if !check.right {
				v.deviates(fixtureRelations, what, "%s", check.detail)
			}
		}
	}
	return err
}

func (v *fixtureVerifier) settings() error {
	type row struct{ Key string }
	all, err := fixtureRows(v, func(r row) string { return r.Key }, `SELECT DISTINCT key FROM settings_revisions`)
	for _, set := range v.set.Settings {
		if _, there := all[set.Key]; there {
			v.Counts["settings"]++
		} else {
			v.deviates(fixtureCounts, "setting "+set.Key, "nobody ever set it")
		}
	}
	return err
}

// hygiene looks for numbers in the set, and in what was added to it since, that somebody might have; and for names of
// operators that are not made up.
func (v *fixtureVerifier) hygiene() error {
	ranges := make([]string, len(v.set.Ranges))
	for i, prefix := range v.set.Ranges {
		ranges[i] = prefix + "%"
	}
	var campaigns []uuid.UUID
	for _, c := range v.set.Campaigns {
		campaigns = append(campaigns, FixtureCampaignID(c.Name))
	}
	for _, where := range []struct{ what, sql string }{
		{"targets of the campaigns", `SELECT count(*) FROM targets WHERE campaign_id = ANY ($2) AND msisdn LIKE '+%' AND NOT msisdn LIKE ANY ($1)`},
		{"vouchers of the campaigns", `SELECT count(*) FROM vouchers WHERE campaign_id = ANY ($2) AND NOT msisdn LIKE ANY ($1)`},
		{"contacts of the bars", `SELECT count(*) FROM contacts c JOIN bars b ON b.id = c.bar_id AND b.code = ANY ($3) WHERE c.msisdn NOT LIKE ALL ($1) AND $2::uuid[] IS NOT NULL`},
	} {
		args := []any{ranges, campaigns}
		if strings.Contains(where.sql, "$3") {
			args = append(args, v.barCodes())
		}
		var n int
		if err := v.db.QueryRow(v.ctx, where.sql, args...).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			v.deviates(fixtureHygiene, where.what, "%d of their numbers are of no test range", n)
		}
	}
	var strangers int
	err := v.db.QueryRow(v.ctx, `SELECT count(*) FROM station_operators o JOIN stations t ON t.id = o.station_id JOIN bars b ON b.id = t.bar_id
		WHERE b.code = ANY ($1) AND o.disabled_at IS NULL AND o.name NOT LIKE '% Example'`, v.barCodes()).Scan(&strangers)
	if strangers > 0 {
		v.deviates(fixtureHygiene, "operators of the stations", "%d of their names are not made-up ones", strangers)
	}
	return err
}
