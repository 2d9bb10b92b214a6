package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
)

// FixturesRemoved is what became of a set that was taken out.
type FixturesRemoved struct {
	Removed map[string]int `json:"removed"`
	Kept    []FixtureKept  `json:"kept"`
}

// FixtureKept is a row of the set that stays, because rows that are not of the set need it.
type FixtureKept struct {
	What string `json:"what" example:"station ENG-001"`
	Why  string `json:"why"`
}

// RemoveFixtures takes a set out again, and nothing else, in one transaction: its rows by their ids, and what hangs on each
// and is nothing without it. A row that others refer to stays, and is told. The audit log stays as it is.
//
// Vouchers' events and refusals are append-only for everybody who serves. Only the owner of the tables may take a set out,
// and lets that rule rest for this one transaction; s must have been opened with the owner's URL, else it is
// domain.Forbidden of code not_owner. A campaign that is under way has to be stopped first (StopFixtures): domain.Conflict.
func (s *Store) RemoveFixtures(ctx context.Context, f Fixtures) (FixturesRemoved, error) {
	var r fixtureRemover
	ctx = audit.WithActor(ctx, fixtureActor)
	err := s.inTx(ctx, func(tx *Tx) error {
		r = fixtureRemover{tx: tx, set: f, FixturesRemoved: FixturesRemoved{Removed: map[string]int{}, Kept: []FixtureKept{}}}
		return r.run()
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42501" {
		err = domain.E(domain.Forbidden, "not_owner", "only the owner of the database takes fixtures out: use the URL that migrates").Because(err)
	}
	return r.FixturesRemoved, err
}

// StopFixtures stops what is under way of a set, and waits until it has ended; that takes a worker.
func (s *Store) StopFixtures(ctx context.Context, f Fixtures) error {
	ctx = audit.WithActor(ctx, fixtureActor)
	for _, c := range f.Campaigns {
		id := FixtureCampaignID(c.Name)
		now, err := s.Campaign(ctx, id)
		if domain.KindOf(err) == domain.NotFound || err == nil && now.nobodys() {
			continue
		}
		if err == nil && now.Gate != campaign.GateStopped && now.Status != campaign.Settling {
			_, err = s.Order(ctx, id, campaign.GateStopped, "the fixtures are taken out")
		}
		if err != nil && domain.CodeOf(err) != "wrong_state" { // it ended just now
			return err
		}
		if err := s.ended(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// nobodys reports whether no workflow looks after a campaign: it has ended, or the sweeper has found its workflow gone.
func (c Campaign) nobodys() bool { return !c.Status.Active() || c.NeedsHuman == workflowGone(c.ID) }

// ended waits until a campaign has ended.
func (s *Store) ended(ctx context.Context, id uuid.UUID) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := s.Campaign(ctx, id)
		if err == nil && now.nobodys() {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return domain.E(domain.Conflict, "campaign_active", "the set's campaign could not be stopped in time: does a worker run?")
		case <-tick.C:
		}
	}
}

type fixtureRemover struct {
	FixturesRemoved
	tx  *Tx
	set Fixtures
}

// appendOnly are the triggers that rest meanwhile.
var appendOnly = map[string]string{"voucher_events": "voucher_events_append_only", "redemption_refusals": "redemption_refusals_append_only",
	"settings_revisions": "settings_revisions_append_only"}

func (r *fixtureRemover) run() error {
	tx := r.tx
	if _, err := tx.pgx.Exec(tx.ctx, `SET LOCAL ROLE NONE`); err != nil { // as whoever the URL names
		return err
	}
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtext('fixtures'))`); err != nil {
		return err
	}
	if err := r.nothingUnderWay(); err != nil {
		return err
	}
	if err := r.triggers("DISABLE"); err != nil {
		return err
	}
	for _, step := range []func() error{r.campaigns, r.vouchers, r.contacts, r.places, r.accounts, r.settings} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := r.triggers("ENABLE"); err != nil {
		return err
	}
	if len(r.Removed) == 0 && len(r.Kept) == 0 {
		return nil
	}
	kept := []string{}
	for _, k := range r.Kept {
		kept = append(kept, k.What)
	}
	return tx.enter(audit.Entry{Action: "fixtures.removed", Target: "fixtures", Diff: map[string]any{"removed": r.Removed, "kept": kept}})
}

// triggers switches the rules off that keep rows from being deleted, and on again.
func (r *fixtureRemover) triggers(how string) error {
	for _, table := range []string{"redemption_refusals", "settings_revisions", "voucher_events"} {
		if _, err := r.tx.pgx.Exec(r.tx.ctx, fmt.Sprintf(`ALTER TABLE %s %s TRIGGER %s`, table, how, appendOnly[table])); err != nil {
			return err
		}
	}
	return nil
}

func (r *fixtureRemover) nothingUnderWay() error {
	for _, c := range r.set.Campaigns {
		now, err := r.tx.lockCampaign(FixtureCampaignID(c.Name))
		if domain.KindOf(err) == domain.NotFound {
			continue
		}
		if err == nil && !now.nobodys() {
			err = domain.E(domain.Conflict, "campaign_active", "the set's campaign is %s: it has to be stopped first", now.Status)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a row with what hangs on it: all of it or, where others refer to any of it, nothing, and then the row is kept.
// The last statement deletes the row itself.
func (r *fixtureRemover) remove(kind, what string, id uuid.UUID, statements ...string) (removed bool, err error) {
	tx := r.tx
	if _, err := tx.pgx.Exec(tx.ctx, `SAVEPOINT fixture`); err != nil {
		return false, err
	}
	var done pgconn.CommandTag
	for _, sql := range statements {
		if done, err = tx.pgx.Exec(tx.ctx, sql, id); err != nil {
			break
		}
	}
	pg, refused := errors.AsType[*pgconn.PgError](err)
	switch {
	case refused && pg.Code == "23503":
		_, err = tx.pgx.Exec(tx.ctx, `ROLLBACK TO SAVEPOINT fixture`)
		r.keep(what, "rows of %s refer to it", pg.TableName)
	case err == nil:
		if removed = done.RowsAffected() > 0; removed {
			r.Removed[kind]++
		}
		_, err = tx.pgx.Exec(tx.ctx, `RELEASE SAVEPOINT fixture`)
	}
	return removed, wrap(err, "take out "+what)
}

func (r *fixtureRemover) keep(what, why string, args ...any) {
	r.Kept = append(r.Kept, FixtureKept{what, fmt.Sprintf(why, args...)})
}

// voucherRows are what hangs on the vouchers that a condition names.
func voucherRows(of string) []string {
	var all []string
	for _, table := range []string{"voucher_events", "redemption_refusals", "provisional_refusals", "mock_redemptions", "redemptions"} {
		all = append(all, `DELETE FROM `+table+` WHERE voucher_id IN (SELECT id FROM vouchers WHERE `+of+`)`)
	}
	return append(all, `DELETE FROM vouchers WHERE `+of)
}

// campaigns takes out the campaigns with their audiences and their vouchers. Permits stay: the throttle counts them.
func (r *fixtureRemover) campaigns() error {
	for _, c := range r.set.Campaigns {
		statements := append([]string{`DELETE FROM lanes WHERE campaign_id = $1`}, voucherRows(`campaign_id = $1`)...)
		statements = append(statements,
			`DELETE FROM target_events WHERE target_id IN (SELECT id FROM targets WHERE campaign_id = $1)`,
			`DELETE FROM targets WHERE campaign_id = $1`,
			`DELETE FROM cohorts WHERE campaign_id = $1`,
			`DELETE FROM audience_digests WHERE campaign_id = $1`,
			`DELETE FROM import_lines WHERE import_id IN (SELECT id FROM imports WHERE campaign_id = $1)`,
			`DELETE FROM import_parts WHERE import_id IN (SELECT id FROM imports WHERE campaign_id = $1)`,
			`DELETE FROM imports WHERE campaign_id = $1`,
			`UPDATE permits SET campaign_id = NULL WHERE campaign_id = $1`,
			`DELETE FROM outbox WHERE key = 'campaign/' || $1::uuid AND delivered_at IS NULL`,
			`DELETE FROM campaigns WHERE id = $1`)
		id := FixtureCampaignID(c.Name)
		var vouchers, targets int
		if err := r.tx.pgx.QueryRow(r.tx.ctx, `SELECT (SELECT count(*) FROM vouchers WHERE campaign_id = $1), (SELECT count(*) FROM targets WHERE campaign_id = $1)`, id).
			Scan(&vouchers, &targets); err != nil {
			return err
		}
		removed, err := r.remove("campaigns", fmt.Sprintf("campaign %q", c.Name), id, statements...)
		if err != nil {
			return err
		}
		if removed && vouchers > 0 {
			r.Removed["vouchers"] += vouchers
		}
		if removed {
			r.Removed["targets"] += targets
		}
	}
	return nil
}

func (r *fixtureRemover) vouchers() error {
	for i, v := range r.set.Vouchers {
		if _, err := r.remove("vouchers", fmt.Sprintf("voucher %d", i+1), FixtureID("voucher", v.Key), voucherRows(`id = $1`)...); err != nil {
			return err
		}
	}
	return nil
}

// contacts takes out the guests. A voucher would forget whose it is.
func (r *fixtureRemover) contacts() error {
	for i, c := range r.set.Contacts {
		id, what := FixtureID("contact", string(c.MSISDN)), fmt.Sprintf("contact %d", i+1)
		var needed bool
		err := r.tx.pgx.QueryRow(r.tx.ctx, `SELECT EXISTS (SELECT FROM vouchers WHERE contact_id = $1)`, id).Scan(&needed)
		if err == nil && needed {
			r.keep(what, "it has vouchers that are not of the set")
			continue
		}
		if err == nil {
			_, err = r.remove("contacts", what, id, `DELETE FROM contacts WHERE id = $1`)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// places takes out the stations with who and what is there, and then the bars.
func (r *fixtureRemover) places() error {
	for _, p := range r.set.Places {
		id, what := FixtureID("station", p.Station), "station "+p.Station
		var named bool
		err := r.tx.pgx.QueryRow(r.tx.ctx, `SELECT EXISTS (SELECT FROM vouchers WHERE scope <> 'all' AND station_ids @> ARRAY[$1::uuid])`, id).Scan(&named)
		if err == nil && named {
			r.keep(what, "vouchers name it that are not of the set")
		} else if err == nil {
			_, err = r.remove("stations", what, id,
				`DELETE FROM redemption_refusals WHERE station_id = $1 AND voucher_id IS NULL`,
				`DELETE FROM provisional_refusals WHERE station_id = $1 AND voucher_id IS NULL`,
				`DELETE FROM station_sessions WHERE station_id = $1`,
				`DELETE FROM station_leases WHERE station_id = $1`,
				`DELETE FROM device_enrolments WHERE station_id = $1`,
				`DELETE FROM station_devices WHERE station_id = $1`,
				`DELETE FROM station_operators WHERE station_id = $1`,
				`DELETE FROM stations WHERE id = $1`)
		}
		if err != nil {
			return err
		}
		if _, err := r.remove("bars", "bar "+p.Code, FixtureID("bar", p.Code), `DELETE FROM qr_tokens WHERE bar_id = $1`, `DELETE FROM bars WHERE id = $1`); err != nil {
			return err
		}
	}
	return nil
}

// accounts takes out the accounts. Who did something that is kept stays as who did it, and may not sign in any more; the last
// admin stays.
func (r *fixtureRemover) accounts() error {
	for _, a := range r.set.Accounts {
		id, what := FixtureID("account", a.Email), "account "+a.Email
		var last bool
		err := r.tx.pgx.QueryRow(r.tx.ctx, `SELECT EXISTS (SELECT FROM accounts WHERE id = $1 AND role = 'admin' AND disabled_at IS NULL)
			AND NOT EXISTS (SELECT FROM accounts WHERE id <> $1 AND role = 'admin' AND disabled_at IS NULL)`, id).Scan(&last)
		if err == nil && last {
			r.keep(what, "it is the last admin")
			continue
		}
		removed := false
		if err == nil {
			removed, err = r.remove("accounts", what, id, `DELETE FROM sessions WHERE account_id = $1`, `DELETE FROM password_resets WHERE account_id = $1`,
				`DELETE FROM api_tokens WHERE account_id = $1`, `DELETE FROM accounts WHERE id = $1`)
		}
		if err == nil && !removed {
			err = r.shut(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shut ends what an account may that stays.
func (r *fixtureRemover) shut(id uuid.UUID) error {
	var b pgx.Batch
	b.Queue(`UPDATE accounts SET disabled_at = clock_timestamp() WHERE id = $1 AND disabled_at IS NULL`, id)
	b.Queue(`UPDATE sessions SET revoked_at = clock_timestamp() WHERE account_id = $1 AND revoked_at IS NULL`, id)
	b.Queue(`UPDATE api_tokens SET revoked_at = clock_timestamp() WHERE account_id = $1 AND revoked_at IS NULL`, id)
	return r.tx.pgx.SendBatch(r.tx.ctx, &b).Close()
}

// settings takes out what the set wrote down.
func (r *fixtureRemover) settings() error {
	done, err := r.tx.pgx.Exec(r.tx.ctx, `DELETE FROM settings_revisions WHERE actor = $1 AND reason = 'fixture'`, fixtureActor.Name)
	if n := int(done.RowsAffected()); n > 0 {
		r.Removed["settings"] = n
	}
	return wrap(err, "take out settings")
}
