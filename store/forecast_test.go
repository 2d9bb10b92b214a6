package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/forecast"
	"lastcall/domain/policy"
	"lastcall/store"
)

func (b bundle) forecast(t *testing.T, id uuid.UUID, at *time.Time) store.Forecast {
	t.Helper()
	f, err := b.Forecast(t.Context(), id, at)
	require.NoError(t, err)
	return f
}

// blocked are the counts by reason, with permitted under "".
func blocked(f store.Forecast) map[policy.Reason]int64 {
	all := map[policy.Reason]int64{"": f.Permitted}
	for _, b := range f.Blocked {
		all[b.Reason] = b.Targets
	}
	return all
}

func TestForecastCountsByReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.running(t, rw(1), rw(2))
	b.sent(t, first, b.claim(t, first, 2))
	for i := range 6 {
		b.optIn(t, rw(i))
	}
	b.set(t, "consent", `{"required":true}`)
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	b.set(t, "quiet_hours", aroundNow("MT", "Europe/Malta"))
	id := b.draft(t, append(many(8, rw), mt(1), mt(2))...) // 0 to 5 agreed; 1 and 2 had enough
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(5)), msisdn(rw(7))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)

	f := b.forecast(t, id, nil)
	require.EqualValues(t, 10, f.Targets)
	require.EqualValues(t, 5, f.Sendable)
	require.Equal(t, map[policy.Reason]int64{"": 3, policy.OptOut: 2, policy.NoConsent: 3, policy.FrequencyCapped: 2}, withoutNone(blocked(f)))
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *f.FinishesAt, 6*time.Minute, "when the two may have another")
	require.Len(t, f.Assumes, 1)

	// Under settings that nobody has saved.
	set, err := b.Settings(t.Context())
	require.NoError(t, err)
	set.Consent.Required, set.FrequencyCap = false, policy.FrequencyCap{}
	f, err = b.ForecastUnder(t.Context(), set, id, nil)
	require.NoError(t, err)
	require.Equal(t, map[policy.Reason]int64{"": 6, policy.OptOut: 2, policy.InQuietHours: 2}, blocked(f))
	require.Len(t, f.Waves, 2)
	require.WithinDuration(t, time.Now().Add(2*time.Hour), f.Waves[1].From, 2*time.Minute)

	tomorrow := time.Now().Add(25 * time.Hour)
	f = b.forecast(t, id, &tomorrow)
	require.EqualValues(t, 5, f.Permitted, "by then they may have another")
	_, err = b.Forecast(t.Context(), uuid.New(), nil)
	require.ErrorContains(t, err, "there is no campaign")
}

// withoutNone leaves out the reasons that are nobody's first.
func withoutNone(counts map[policy.Reason]int64) map[policy.Reason]int64 {
	for reason, n := range counts {
		if n == 0 {
			delete(counts, reason)
		}
	}
	return counts
}

func TestForecastSeesLedgerAndCompetition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60}}`)
	_, first := b.running(t, many(1000, mt)...)
	b.sent(t, first, b.claim(t, first, 45))
	id := b.draft(t, many(30, rw)...)
	f := b.forecast(t, id, nil)
	require.EqualValues(t, 15, f.Permitted)
	require.EqualValues(t, 15, blocked(f)[policy.Throttled])
	require.WithinDuration(t, time.Now().Add(61*time.Second), *f.FinishesAt, 5*time.Second, "half of 15 now, the others of the 45 that come back")

	_, err := b.Order(t.Context(), first.Campaign, campaign.GatePaused, "test")
	require.NoError(t, err)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":75}}`)
	require.WithinDuration(t, time.Now(), *b.forecast(t, id, nil).FinishesAt, 5*time.Second, "who is paused wants nothing")
}

func TestProgressTellsWhenItWillHaveFinished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	draft := b.draft(t, rw(1))
	finishes := func(id uuid.UUID) *time.Time {
		p, err := b.Progress(t.Context(), id)
		require.NoError(t, err)
		return p.FinishesAt
	}
	require.Nil(t, finishes(draft))
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60}}`)
	id, lane := b.running(t, many(180, rw)...)
	require.WithinDuration(t, time.Now().Add(123*time.Second), *finishes(id), 13*time.Second)
	other, _ := b.running(t, many(180, mt)...)
	for _, end := range []*time.Time{finishes(id), finishes(other)} {
		require.WithinDuration(t, time.Now().Add(306*time.Second), *end, 14*time.Second, "they share")
	}
	b.sent(t, lane, b.claim(t, lane, 60))
	b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`)
	require.Nil(t, finishes(id))
	b.set(t, "throttle", `{"whatsapp":{"per_minute":1000}}`)
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	third, again := b.running(t, many(2, rw)...)
	b.claim(t, again, 2)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *finishes(third), 2*time.Minute, "both had one")
}

// The forecast against what the engine does: claims, with the ledger and quiet hours moved as time would.
func TestForecastAgreesWithTheEngine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60}}`)
	id, lane := b.running(t, append(many(250, rw), many(150, mt)...)...)
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(3)), msisdn(mt(4))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	f := b.forecast(t, id, nil)
	forecasted := f.FinishesAt.Sub(f.At)

	var passed time.Duration // that the rows were moved by
	began := time.Now()
	for {
		c := b.claim(t, lane, 25)
		if c.Drained {
			break
		}
		b.sent(t, lane, c)
		if len(c.Waits) > 0 {
			skip := time.Until(*c.Waits[0].Until)
			b.exec(t, `UPDATE permits SET granted_at = granted_at - make_interval(secs => $1)`, skip.Seconds())
			b.exec(t, `UPDATE channels SET granted_at = granted_at - make_interval(secs => $1)`, skip.Seconds())
			passed += skip
		}
	}
	took := passed + time.Since(began)
	require.InEpsilon(t, took.Seconds(), forecasted.Seconds(), 0.1, "forecast %s, took %s", forecasted, took)
	require.EqualValues(t, f.Sendable, b.counts(t, id).Sent)
	require.InDelta(t, forecast.Window.Seconds()*6, took.Seconds(), 10, "398 in windows of 60")
	t.Logf("forecast %s, took %s", forecasted, took)
}

func TestForecastOfAStartedCampaign(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1), rw(2))
	later := time.Now().Add(3 * time.Hour)
	_, err := b.StartCampaign(t.Context(), id, &later)
	require.NoError(t, err)
	f := b.forecast(t, id, nil)
	require.WithinDuration(t, later, f.At, time.Second)
	require.Empty(t, f.Assumes)
	require.Len(t, f.Steps, 2)

	b.set(t, "toggles", `{"dispatch":false}`)
	f = b.forecast(t, id, nil)
	require.Nil(t, f.FinishesAt)
	require.Equal(t, policy.DispatchDisabled, f.Never.Reason, fmt.Sprint(f.Never))
}
