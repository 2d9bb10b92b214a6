package store_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/store"
)

func (b bundle) impact(t *testing.T, key, value string) store.Impact {
	t.Helper()
	imp, err := b.Impact(t.Context(), key, json.RawMessage(value))
	require.NoError(t, err)
	return imp
}

func (b bundle) edit(t *testing.T, e store.SettingEdit) (store.SettingsRevision, error) {
	t.Helper()
	return b.EditSetting(t.Context(), e)
}

// What the impact foretells of quiet hours is what the engine then does, number for number.
func TestImpactIsWhatTheEngineThenDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, append(many(30, rw), many(12, mt)...)...)
	other, _ := b.running(t, many(7, rw)...)
	hours := aroundNow("RW", "Africa/Kigali")

	imp := b.impact(t, "quiet_hours", hours)
	require.EqualValues(t, []int64{49, 49, 12, 37}, []int64{imp.Targets.Targets, imp.Targets.Before, imp.Targets.After, imp.Targets.Blocked})
	require.Len(t, imp.Campaigns, 2)
	require.EqualValues(t, 30, imp.Campaigns[0].Effect.Blocked)
	require.Regexp(t, `^with this change 37 of 37 targets in RW of 2 running campaigns would wait until \w{3} \d+ \w{3} \d\d:\d\d CAT$`, imp.Summary[0])
	c := imp.Campaigns[0]
	require.Equal(t, id, c.ID)
	require.WithinDuration(t, time.Now(), *c.FinishesBefore, 10*time.Second)
	require.WithinDuration(t, time.Now().Add(2*time.Hour), *c.FinishesAfter, 2*time.Minute)
	require.Equal(t, "RW", imp.Changes[0].Field)

	b.set(t, "quiet_hours", hours)
	claimed := b.claim(t, lane, 100)
	require.Len(t, claimed.Targets, 12)
	waits := b.waits(t, id)
	require.Len(t, waits, 1)
	require.EqualValues(t, c.Effect.Blocked, waits[0].Targets)
	require.True(t, imp.Targets.Moves[0].Until.Equal(*waits[0].Until), "and until the same minute")
	require.EqualValues(t, imp.Campaigns[1].Effect.Blocked, b.waits(t, other)[0].Targets)

	// Back again: what waited goes.
	imp = b.impact(t, "quiet_hours", `{}`)
	require.EqualValues(t, 37, imp.Targets.Freed)
	require.Equal(t, policy.HoursRemoved, imp.Findings[0].Code)
	b.set(t, "quiet_hours", `{}`)
	require.Len(t, b.claim(t, lane, 100).Targets, 30)
}

func TestImpactOfConsentAndTheFrequencyCapLooksAtEveryTarget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.running(t, rw(1), rw(2), rw(3))
	b.sent(t, first, b.claim(t, first, 3))
	for i := range 6 {
		b.optIn(t, rw(i))
	}
	id, lane := b.running(t, many(10, rw)...) // 0 to 5 agreed; 1 to 3 had one
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(9))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)

	imp := b.impact(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	require.EqualValues(t, 3, imp.Targets.Blocked)
	require.Equal(t, policy.FrequencyCapped, imp.Targets.Moves[0].Reason)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *imp.Targets.Moves[0].Until, 6*time.Minute)
	imp = b.impact(t, "consent", `{"required":true}`)
	require.EqualValues(t, 3, imp.Targets.Blocked, "6, 7 and 8: 9 has opted out anyhow")
	require.EqualValues(t, 6, imp.Contacts.Targets)
	require.Zero(t, imp.Contacts.Blocked)

	b.set(t, "consent", `{"required":true}`)
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	imp = b.impact(t, "frequency_cap", `{"marketing":{"per_day":2}}`)
	require.EqualValues(t, 3, imp.Targets.Freed)
	imp = b.impact(t, "consent", `{"required":false}`)
	require.EqualValues(t, 3, imp.Targets.Freed)
	claimed := b.claim(t, lane, 100)
	require.Len(t, claimed.Targets, 3, "0, 4 and 5")
	require.Equal(t, 3, claimed.Refused)
	require.EqualValues(t, 3, b.waits(t, id)[0].Targets)
}

func TestImpactOnContactsNowAndLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 4 {
		b.optIn(t, rw(i))
	}
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(3))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	imp := b.impact(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	require.EqualValues(t, 4, imp.Contacts.Targets)
	require.EqualValues(t, 3, imp.Contacts.Blocked)
	require.Nil(t, imp.Next)

	kigali, err := time.LoadLocation("Africa/Kigali")
	require.NoError(t, err)
	begins := time.Now().In(kigali).Add(3 * time.Hour).Truncate(time.Minute)
	imp = b.impact(t, "quiet_hours", `{"RW":{"start":"`+begins.Format("15:04")+`","end":"`+begins.Add(time.Hour).Format("15:04")+`"}}`)
	require.Empty(t, imp.Contacts.Moves)
	require.True(t, imp.Next.At.Equal(begins))
	require.EqualValues(t, 3, imp.Next.Blocked)
	require.Contains(t, imp.Summary[0], "with this change from "+begins.Format("Mon 2 Jan 15:04 MST")+" on 3 of 4 contacts in RW would wait until")

	imp = b.impact(t, "quiet_hours", `{}`)
	require.Empty(t, imp.Changes)
	require.Len(t, imp.Summary, 1)
	_, err = b.Impact(t.Context(), "quiet_hours", json.RawMessage(`{"RW":{"start":"25:00","end":"06:00"}}`))
	require.Equal(t, "bad_clock", domain.CodeOf(err))
}

func TestImpactOnWhoIsScheduledOrPaused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	later := time.Now().Add(30 * time.Minute)
	id := b.draft(t, many(5, rw)...)
	_, err := b.StartCampaign(t.Context(), id, &later)
	require.NoError(t, err)
	imp := b.impact(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	require.Zero(t, imp.Targets.Targets, "it has not begun")
	require.EqualValues(t, 5, imp.Campaigns[0].Effect.Blocked)
	require.WithinDuration(t, later, imp.Campaigns[0].Effect.At, time.Millisecond)
	require.Contains(t, imp.Summary[0], "scheduled for")

	paused, _ := b.running(t, many(2, mt)...)
	_, err = b.Order(t.Context(), paused, "paused", "test")
	require.NoError(t, err)
	imp = b.impact(t, "throttle", `{"whatsapp":{"per_minute":0}}`)
	require.Zero(t, imp.Targets.Targets, "it sends nothing")
	require.EqualValues(t, 2, imp.Campaigns[1].Effect.Blocked)
	require.Nil(t, imp.Campaigns[1].FinishesBefore)
	require.NotNil(t, imp.Campaigns[0].FinishesBefore)
	require.Nil(t, imp.Campaigns[0].FinishesAfter)
}

func TestDangersMustBeAcknowledged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	swapped := store.SettingEdit{Key: "quiet_hours", Value: json.RawMessage(`{"RW":{"start":"06:00","end":"22:00"}}`), Reason: "neighbours"}
	_, err := b.edit(t, swapped)
	require.Equal(t, "settings_danger", domain.CodeOf(err))
	require.ErrorContains(t, err, "swapped?")
	var told *domain.Error
	require.ErrorAs(t, err, &told)
	require.Equal(t, policy.InvertedWindow, told.Facts.(store.SettingDanger).Findings[0].Code)
	require.Equal(t, "RW", told.Field)
	require.Equal(t, `["inverted_window"]`, query[string](t, b, `SELECT (diff->'findings')::text FROM audit_log WHERE action = 'settings.refused'`))
	require.Zero(t, query[int](t, b, `SELECT count(*) FROM settings_revisions`))

	swapped.Acknowledged = []string{policy.CapJump}
	_, err = b.edit(t, swapped)
	require.Equal(t, "settings_danger", domain.CodeOf(err), "another danger than this")
	swapped.Acknowledged = []string{policy.InvertedWindow}
	_, err = b.edit(t, swapped)
	require.NoError(t, err)
	require.Equal(t, `["inverted_window"]`, query[string](t, b, `SELECT (diff->'findings')::text FROM audit_log WHERE action = 'settings.changed'`))
	_, err = b.edit(t, store.SettingEdit{Key: "throttle", Value: json.RawMessage(`{"whatsapp":{"per_minute":60}}`)})
	require.NoError(t, err, "a warning is only told, and what was swapped before is no news")
}

func TestMassesAreADanger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.running(t, many(1000, rw)...)
	hours := json.RawMessage(aroundNow("RW", "Africa/Kigali"))
	_, err := b.edit(t, store.SettingEdit{Key: "quiet_hours", Value: hours})
	require.ErrorContains(t, err, "1,000 of the 1,000 targets that may go now would not")
	_, err = b.edit(t, store.SettingEdit{Key: "quiet_hours", Value: hours, Acknowledged: []string{policy.BlocksMasses}})
	require.NoError(t, err)
	_, err = b.edit(t, store.SettingEdit{Key: "quiet_hours", Value: json.RawMessage(`{}`)})
	require.ErrorContains(t, err, "would go at once")
	_, err = b.edit(t, store.SettingEdit{Key: "toggles", Value: json.RawMessage(`{"dispatch":false}`)})
	require.NoError(t, err, "who stops everything is not asked twice")
}

func TestAnOutdatedEditIsToldWhatChanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, err := b.edit(t, store.SettingEdit{Key: "quiet_hours", Value: json.RawMessage(`{"RW":{"start":"22:00","end":"06:00"}}`)})
	require.NoError(t, err)
	theirs, err := b.edit(t, store.SettingEdit{Key: "quiet_hours", Known: &first.Revision, Value: json.RawMessage(`{"RW":{"windows":[{"start":"22:00","end":"07:00"}]}}`)})
	require.NoError(t, err)
	_, err = b.edit(t, store.SettingEdit{Key: "quiet_hours", Known: &first.Revision, Value: json.RawMessage(`{"RW":{"windows":[{"start":"22:00","end":"05:00"}]}}`)})
	require.Equal(t, domain.Stale, domain.KindOf(err))
	var told *domain.Error
	require.ErrorAs(t, err, &told)
	c := told.Facts.(store.SettingConflict)
	require.Equal(t, theirs.Revision, c.Theirs.Revision)
	require.Equal(t, []policy.SettingChange{{Field: "RW.end", Before: json.RawMessage(`"07:00"`), After: json.RawMessage(`"05:00"`)}}, c.Changes,
		"however the two are written")
	require.Equal(t, "setting_changed", query[string](t, b, `SELECT diff->>'code' FROM audit_log WHERE action = 'settings.refused'`))
}

func TestASettingIsReverted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var revs []store.SettingsRevision
	for _, end := range []string{"06:00", "07:00"} {
		rev, err := b.edit(t, store.SettingEdit{Key: "quiet_hours", Value: json.RawMessage(`{"RW":{"start":"22:00","end":"` + end + `"}}`)})
		require.NoError(t, err)
		revs = append(revs, rev)
	}
	back := store.SettingEdit{Key: "quiet_hours", Reason: "too long"}
	rev, err := b.RevertSetting(t.Context(), back, revs[0].Revision)
	require.NoError(t, err)
	require.Greater(t, rev.Revision, revs[1].Revision)
	require.JSONEq(t, string(revs[0].Value), string(rev.Value))
	require.Equal(t, revs[0].Revision, query[int64](t, b, `SELECT (diff->>'reverts')::bigint FROM audit_log WHERE diff ? 'reverts'`))
	_, err = b.RevertSetting(t.Context(), back, revs[0].Revision)
	require.Equal(t, "setting_in_force", domain.CodeOf(err))
	_, err = b.RevertSetting(t.Context(), back, 9999)
	require.Equal(t, domain.NotFound, domain.KindOf(err))
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60}}`)
	_, err = b.RevertSetting(t.Context(), back, rev.Revision+1)
	require.Equal(t, domain.NotFound, domain.KindOf(err), "another key's")
	_, err = b.RevertSetting(t.Context(), store.SettingEdit{Key: "quiet_hours", Known: &revs[0].Revision}, revs[1].Revision)
	require.Equal(t, domain.Stale, domain.KindOf(err))
	rev, err = b.RevertSetting(t.Context(), back, 0)
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(rev.Value), "the default")

	history, err := b.SettingHistory(t.Context(), "quiet_hours", 0, 10)
	require.NoError(t, err)
	var fields []string
	for _, h := range history {
		require.Len(t, h.Changes, 1)
		fields = append(fields, h.Changes[0].Field)
	}
	require.Equal(t, "RW RW.end RW.end RW", strings.Join(fields, " "))
	page, err := b.SettingHistory(t.Context(), "quiet_hours", 0, 2)
	require.NoError(t, err)
	require.Equal(t, history[:2], page, "the last of a page knows what was before it")
}

// Each save names the settings it was reckoned with: of two at once the second is reckoned anew.
func TestEditsAtOnceAreEachReckonedWithWhatTheyReplace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 4
	failed := make(chan error, n)
	for range n {
		go func() {
			_, err := b.EditSetting(t.Context(), store.SettingEdit{Key: "throttle", Value: json.RawMessage(`{"whatsapp":{"per_minute":60}}`)})
			failed <- err
		}()
	}
	for range n {
		require.NoError(t, <-failed)
	}
	require.Equal(t, n, query[int](t, b, `SELECT count(*) FROM settings_revisions`))
	require.Equal(t, 1, query[int](t, b, `SELECT count(*) FROM audit_log WHERE diff->'findings' ? 'cap_drop'`), "for the others it was 60 already")
}

// Of very many targets a sample is looked at, and the answer says so.
func TestImpactOfConsentOnVeryManyIsAnEstimate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.running(t, rw(1))
	const n = 120_000
	b.exec(t, `INSERT INTO targets (campaign_id, cohort, msisdn, msisdn_hash) SELECT $1, 1, '+2507' || (10000000 + i), sha256(i::text::bytea)
		FROM generate_series(1, $2) i`, id, n-1)
	b.exec(t, `INSERT INTO contacts (id, msisdn, country, opted_in_at, opt_in_source)
		SELECT gen_random_uuid(), '+2507' || (10000000 + i), 'RW', now(), 'card' FROM generate_series(1, $1) i WHERE i % 4 = 0`, n)
	imp := b.impact(t, "consent", `{"required":true}`)
	require.True(t, imp.Estimated)
	require.EqualValues(t, n, imp.Targets.Targets, "how many there are is known")
	require.InEpsilon(t, 0.75*n, float64(imp.Targets.Blocked), 0.05)
	require.Equal(t, "the targets are estimated from a sample of 20,000", imp.Summary[len(imp.Summary)-1])
}
