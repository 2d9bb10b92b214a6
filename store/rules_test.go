package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/store"
	"lastcall/store/storetest"
)

func (b bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.owner.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (b bundle) optIn(t *testing.T, number string) store.Contact {
	t.Helper()
	now := time.Now()
	c, err := b.AddContact(t.Context(), store.Contact{MSISDN: msisdn(number), Country: "RW", OptedInAt: &now, OptInSource: "card"})
	require.NoError(t, err)
	return c
}

func (b bundle) waits(t *testing.T, id uuid.UUID) []store.Wait {
	t.Helper()
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	return p.Waits
}

func (b bundle) sent(t *testing.T, l store.Lane, c store.Claim) {
	t.Helper()
	var results []store.Result
	for _, target := range c.Targets {
		results = append(results, store.Result{Target: target.ID, State: campaign.Sent})
	}
	_, err := b.Record(t.Context(), l, results)
	require.NoError(t, err)
}

// makeUtility turns every template into a utility template.
func (b bundle) makeUtility(t *testing.T) {
	t.Helper()
	b.exec(t, `ALTER TABLE templates DISABLE TRIGGER templates_guarded`)
	b.exec(t, `UPDATE templates SET category = $1`, "utility")
}

func TestConsentIsRequiredUnlessOnTheSandbox(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	outside, err := store.Open(t.Context(), store.Config{URL: url, Pepper: storetest.Pepper})
	require.NoError(t, err)
	t.Cleanup(outside.Close)
	for _, c := range []struct {
		store *store.Store
		want  string
	}{{outside, `{"required":true}`}, {storetest.Open(t, url), `{"required":false}`}} {
		rev, err := c.store.Setting(t.Context(), "consent")
		require.NoError(t, err)
		require.JSONEq(t, c.want, string(rev.Value))
		set, err := c.store.Settings(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.want == `{"required":true}`, set.Consent.Required)
	}
}

func TestNoMarketingWithoutConsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.optIn(t, rw(1))
	known, err := b.AddContact(t.Context(), store.Contact{MSISDN: msisdn(rw(2)), Country: "RW"})
	require.NoError(t, err)
	_, err = b.AddContact(t.Context(), store.Contact{MSISDN: msisdn(rw(0)), Country: "RW"}) // known, but never asked
	require.NoError(t, err)
	id, lane := b.running(t, many(4, rw)...) // 0 to 3
	_, err = b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(3))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)

	check, err := b.Preflight(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 3, check.NoConsent)
	require.Equal(t, "no_consent", check.Warnings[0].Code)
	require.Contains(t, check.Warnings[0].Message, "written to all the same")
	require.Empty(t, check.Problems)

	b.set(t, "consent", `{"required":true}`)
	check, err = b.Preflight(t.Context(), id)
	require.NoError(t, err)
	require.Contains(t, check.Warnings[0].Message, "will not be written to")

	_, err = b.RecordOptIn(t.Context(), known.ID, "asked at the door")
	require.NoError(t, err)
	c := b.claim(t, lane, 100)
	require.Equal(t, 1, c.OptedOut, "an opt-out goes before a missing consent")
	require.Equal(t, 1, c.Refused)
	require.Len(t, c.Targets, 2)
	require.Equal(t, campaign.Counts{Targets: 4, Sending: 2, Failed: 1, OptedOut: 1}, b.counts(t, id))
	require.Equal(t, "no_consent", query[string](t, b, `SELECT reason FROM targets WHERE state = 'failed'`))
	require.Equal(t, "no_consent", query[string](t, b, `SELECT reason FROM target_events`))
	require.EqualValues(t, 1, query[int](t, b, `SELECT (diff->>'targets')::int FROM audit_log WHERE diff->>'reason' = 'no_consent'`))
	require.True(t, b.claim(t, lane, 100).Drained)
}

func TestNobodyHasConsented(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "consent", `{"required":true}`)
	id, lane := b.running(t, many(3, rw)...)
	c := b.claim(t, lane, 2)
	require.True(t, c.Again)
	require.False(t, c.Busy)
	require.Equal(t, 2, c.Refused)
	b.claim(t, lane, 2)
	require.True(t, b.claim(t, lane, 2).Drained)
	require.EqualValues(t, 3, b.counts(t, id).Failed)
}

func TestUtilityNeedsNoConsentAndHasNoCap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.makeUtility(t)
	b.set(t, "consent", `{"required":true}`)
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1,"per_week":1}}`)
	for range 2 {
		id, lane := b.running(t, many(3, rw)...)
		check, err := b.Preflight(t.Context(), id)
		require.NoError(t, err)
		require.Zero(t, check.NoConsent)
		require.Len(t, b.claim(t, lane, 10).Targets, 3)
	}
}

func TestUtilityDoesNotUseUpTheCap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.makeUtility(t)
	_, utility := b.running(t, rw(1))
	b.sent(t, utility, b.claim(t, utility, 1))
	b.exec(t, `ALTER TABLE templates DISABLE TRIGGER templates_begin_as_drafts`)
	b.exec(t, `INSERT INTO templates (id, name, version, category, status, texts, variables)
		SELECT gen_random_uuid(), name, version + 1, 'marketing', status, texts, variables FROM templates WHERE name = 'promo_generic'`)
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	for want := range 2 {
		_, marketing := b.running(t, rw(1))
		require.Len(t, b.claim(t, marketing, 1).Targets, 1-want)
	}
}

func TestFrequencyCapHoldsOverAllCampaigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.running(t, many(5, rw)...)
	b.sent(t, first, b.claim(t, first, 3)) // 0 to 2, before there was a cap
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1,"per_week":2}}`)
	require.Len(t, b.claim(t, first, 1).Targets, 1) // 3 is under way

	id, second := b.running(t, many(5, rw)...)
	c := b.claim(t, second, 100)
	require.Equal(t, []contact.MSISDN{msisdn(rw(4))}, []contact.MSISDN{c.Targets[0].MSISDN})
	require.Len(t, c.Targets, 1)
	b.sent(t, second, c)

	c = b.claim(t, second, 100)
	require.Len(t, c.Waits, 1)
	require.Equal(t, policy.FrequencyCapped, c.Waits[0].Reason)
	require.EqualValues(t, 4, c.Waits[0].Targets)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *c.Waits[0].Until, time.Minute)
	require.Equal(t, "frequency cap: 1 marketing a day, 2 a week", c.Waits[0].Why)
	require.Equal(t, c.Waits, b.waits(t, id), "people see what the engine waits for")
	require.EqualValues(t, 4, query[int](t, b, `SELECT (diff->>'targets')::int FROM audit_log WHERE diff->>'reason' = 'frequency_cap'`))

	// A day later there is room again, but not for who had two within the week.
	b.exec(t, `UPDATE targets SET sending_at = sending_at - interval '24 hours 1 second', not_before = not_before - interval '24 hours 1 second'`)
	b.exec(t, `INSERT INTO targets (campaign_id, cohort, msisdn, msisdn_hash, state, sending_at)
		SELECT $1, 1, msisdn, msisdn_hash, 'delivered', clock_timestamp() - interval '6 days' FROM targets WHERE msisdn = $2 AND state = 'sent'`,
		b.other(t), rw(0))
	c = b.claim(t, second, 100)
	require.Len(t, c.Targets, 3)
	require.False(t, slices.ContainsFunc(c.Targets, func(x store.ClaimedTarget) bool { return x.MSISDN == msisdn(rw(0)) }))
	b.sent(t, second, c)
	c = b.claim(t, second, 100)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *c.Waits[0].Until, time.Minute, "the older of the two leaves the week in a day")
}

// other makes another campaign that was dispatched a moment ago, with one cohort.
func (b bundle) other(t *testing.T) uuid.UUID {
	t.Helper()
	id, _ := b.running(t, rw(4242))
	return id
}

func TestFrequencyCapCountsWhatMayHaveBeenReceived(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.running(t, many(7, rw)...)
	c := b.claim(t, first, 100)
	states := []campaign.TargetState{campaign.Sent, campaign.FailedT, campaign.Unknown, campaign.Queued, campaign.Sent, campaign.Sent, campaign.Sent}
	var results []store.Result
	for i, target := range c.Targets {
		results = append(results, store.Result{Target: target.ID, State: states[i], Reason: "because"})
	}
	_, err := b.Record(t.Context(), first, results)
	require.NoError(t, err)
	b.exec(t, `UPDATE targets SET sending_at = clock_timestamp() - interval '24 hours' WHERE msisdn = $1`, rw(4))          // perhaps received 1 s later
	b.exec(t, `UPDATE targets SET sending_at = clock_timestamp() - interval '24 hours 1 second' WHERE msisdn = $1`, rw(5)) // not within the day
	b.exec(t, `UPDATE targets SET state = 'delivered', sent_at = sending_at WHERE msisdn = $1`, rw(6))

	b.set(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	_, second := b.running(t, many(7, rw)...)
	var got []string
	for _, target := range b.claim(t, second, 100).Targets {
		got = append(got, string(target.MSISDN))
	}
	require.ElementsMatch(t, []string{rw(1), rw(3), rw(5)}, got)
}

func TestChangedCapReleasesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.running(t, many(3, rw)...)
	b.sent(t, first, b.claim(t, first, 100))
	id, second := b.running(t, many(3, rw)...)
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	require.True(t, b.claim(t, second, 100).Again)
	require.Equal(t, policy.FrequencyCapped, b.claim(t, second, 100).Waits[0].Reason)

	b.set(t, "toggles", `{"dispatch":true}`) // another key changes nothing
	require.Equal(t, policy.FrequencyCapped, b.claim(t, second, 100).Waits[0].Reason)
	b.set(t, "frequency_cap", `{"marketing":{"per_week":1}}`)
	require.Empty(t, b.waits(t, id), "what an older cap held is decided anew")
	require.True(t, b.claim(t, second, 100).Again)
	require.WithinDuration(t, time.Now().Add(7*24*time.Hour), *b.claim(t, second, 100).Waits[0].Until, time.Minute)

	b.set(t, "frequency_cap", `{"marketing":{"per_day":0,"per_week":0}}`)
	require.Empty(t, b.waits(t, id))
	c := b.claim(t, second, 100)
	require.Len(t, c.Targets, 3)
	require.Zero(t, query[int](t, b, `SELECT count(*) FROM targets WHERE policy_revision IS NOT NULL`))
}

// Many campaigns want to write to the same people at the same time.
func TestFrequencyCapUnderContention(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "frequency_cap", `{"marketing":{"per_day":2}}`)
	b.set(t, "consent", `{"required":true}`) // half the people, so that claims also write what they refuse
	for i := range 20 {
		b.optIn(t, rw(2*i))
	}
	var lanes []store.Lane
	for range 4 {
		id, lane := b.running(t, many(40, rw)...)
		other := lane
		other.N, other.Batch = 1, 2
		_, err := b.TakeLane(t.Context(), other)
		require.NoError(t, err)
		lanes = append(lanes, lane, other)
		_ = id
	}
	var wait sync.WaitGroup
	for _, lane := range lanes {
		wait.Go(func() {
			for {
				c := b.claim(t, lane, 7)
				if c.Drained || len(c.Waits) > 0 {
					return
				}
			}
		})
	}
	wait.Wait()
	require.Equal(t, "20 2", query[string](t, b, `SELECT count(*) || ' ' || max(n) FROM
		(SELECT count(*) AS n FROM targets WHERE state = 'sending' GROUP BY msisdn) x`), "20 people, two messages each")
	require.EqualValues(t, 40, query[int](t, b, `SELECT count(*) FROM targets WHERE policy_revision IS NOT NULL AND reason = 'frequency_cap'`))
}

func TestExplainSeesWhatTheEngineSees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lane := b.running(t, rw(1))
	b.sent(t, lane, b.claim(t, lane, 1))
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	b.set(t, "consent", `{"required":true}`)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`)
	sub := policy.Subject{Channel: policy.ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali", Marketing: true}
	d, err := b.Explain(t.Context(), msisdn(rw(1)), sub, nil)
	require.NoError(t, err)
	require.Equal(t, policy.NoConsent, d.Reason)
	require.Equal(t, []policy.Reason{policy.Throttled, policy.FrequencyCapped}, d.Also)
	set, err := b.Settings(t.Context())
	require.NoError(t, err)
	require.Equal(t, set.Revision, d.Revision)

	b.set(t, "throttle", `{"whatsapp":{"per_minute":10}}`)
	sub.OptedIn = true
	d, err = b.Explain(t.Context(), msisdn(rw(1)), sub, nil)
	require.NoError(t, err)
	require.Equal(t, policy.FrequencyCapped, d.Reason)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *d.RetryAfter, time.Minute)
	tomorrow := d.RetryAfter.Add(time.Second)
	d, err = b.Explain(t.Context(), msisdn(rw(1)), sub, &tomorrow)
	require.NoError(t, err)
	require.True(t, d.Permitted)
	d, err = b.Explain(t.Context(), msisdn(rw(2)), sub, nil)
	require.NoError(t, err)
	require.True(t, d.Permitted)
}

func TestMissingZoneIsHeldOrSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t)
	us := func(i int) string { return fmt.Sprintf("+1212555%04d", 100+i) }
	b.load(t, id, "msisdn\n"+us(1)+"\n"+us(2)+"\n")
	_, err := b.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	lane := store.Lane{Campaign: id, Run: "run", Batch: 1, Fence: 1}
	_, err = b.TakeLane(t.Context(), lane)
	require.NoError(t, err)
	b.set(t, "quiet_hours", `{"US":{"start":"22:00","end":"06:00"}}`)
	c := b.claim(t, lane, 10)
	require.Equal(t, policy.InQuietHours, c.Waits[0].Reason)
	require.Nil(t, c.Waits[0].Until)
	b.set(t, "missing_zone", `{"policy":"send"}`)
	require.Len(t, b.claim(t, lane, 10).Targets, 2)
}
