package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/rollout"
	"lastcall/store"
	"lastcall/store/storetest"
)

const rehearsal = "rehearsal-1"

// A rehearsal is a rollout of its own that passes faster, is called so, and is for the sandbox alone.
func TestARehearsalIsCalledOneAndIsForTheSandbox(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	require.Equal(t, rollout.NotOne, domain.CodeOf(c.StartRehearsal(c.admin, "kigali", c.plan, 1440, "to try")))
	require.Equal(t, rollout.NotOne, domain.CodeOf(c.StartRollout(c.admin, rehearsal, c.plan, "to try")))
	for _, factor := range []int{0, 1, rollout.MostFactor + 1} {
		require.Equal(t, rollout.NotOne, domain.CodeOf(c.StartRehearsal(c.admin, rehearsal, c.plan, factor, "to try")))
	}
	earnest, err := store.Open(t.Context(), store.Config{URL: c.url, Pepper: storetest.Pepper, AppName: "earnest"})
	require.NoError(t, err)
	t.Cleanup(earnest.Close)
	err = earnest.StartRehearsal(c.admin, rehearsal, c.plan, 1440, "to try")
	require.Equal(t, rollout.NotHere, domain.CodeOf(err))
	require.Equal(t, domain.Forbidden, domain.KindOf(err))

	require.NoError(t, c.StartRehearsal(c.admin, rehearsal, c.plan, 1440, "to try"))
	require.Equal(t, rollout.Begun, domain.CodeOf(c.StartRollout(c.admin, "kigali", c.plan, "in earnest")), "it takes the one phase that there is")
	b, err := c.RolloutBoard(c.lead)
	require.NoError(t, err)
	require.Equal(t, 1440, b.Factor)
	require.Equal(t, 1440, b.Plan.Factor)
	require.Equal(t, c.plan.Faster(1440).Digest(), b.Plan.Digest())
	require.NotEqual(t, c.plan.Faster(720).Digest(), b.Plan.Digest(), "the factor is part of the digest")
	require.Equal(t, rollout.PlanSame, domain.CodeOf(c.ReviseRollout(c.lead, c.plan, "the same")), "the configured plan is the one that it follows")
}

// It ends in any phase, and every setting is then what it was before it.
func TestARehearsalLeavesTheSettingsAsTheyWere(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.set(t, "throttle", `{"whatsapp":{"per_minute":77}}`)
	values := func() map[string]string {
		t.Helper()
		all := map[string]string{}
		for _, key := range store.SettingsKeys {
			now, err := c.Setting(t.Context(), key)
			require.NoError(t, err)
			all[key] = string(now.Value)
		}
		return all
	}
	c.set(t, "toggles", `{"dispatch":true,"station_redeem":true,"mock_redemptions":false}`)
	before := values()
	require.NoError(t, c.StartRehearsal(c.admin, rehearsal, c.plan, 1440, "to try"))
	c.in(t, rollout.Pilot)
	c.set(t, "throttle", `{"whatsapp":{"per_minute":1}}`)
	c.set(t, "quiet_hours", `{"RW":{"start":"22:00","end":"06:00"}}`)
	c.set(t, "toggles", `{"dispatch":false}`)
	require.NotEqual(t, before, values())
	require.NoError(t, c.EndRollout(c.lead, "over"))
	after := values()
	for key, value := range before {
		require.JSONEq(t, value, after[key], key)
	}
	_, err := c.Rollout(t.Context())
	require.Equal(t, rollout.NotBegun, domain.CodeOf(err))

	// A rollout in earnest keeps what was saved meanwhile, and does not end in the pilot.
	c.begin(t)
	c.set(t, "throttle", `{"whatsapp":{"per_minute":5}}`)
	c.in(t, rollout.Pilot)
	require.Equal(t, rollout.UnderWay, domain.CodeOf(c.EndRollout(c.lead, "enough")))
	c.in(t, rollout.Live)
	require.NoError(t, c.EndRollout(c.lead, "done"))
	require.JSONEq(t, `{"whatsapp":{"per_minute":5}}`, values()["throttle"])
}

// What nobody ends ends by itself, in its workflow's next step.
func TestARehearsalThatNobodyEndsEndsByItself(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	require.NoError(t, c.StartRehearsal(c.admin, rehearsal, c.plan, 1440, "to try"))
	step, err := c.StepRollout(t.Context(), rehearsal)
	require.NoError(t, err)
	require.False(t, step.Over)
	require.Positive(t, step.Wait)
	require.LessOrEqual(t, step.Wait, rollout.RehearsalLasts)
	c.exec(t, `UPDATE rollouts SET started_at = started_at - $1::interval`, rollout.RehearsalLasts+time.Second)
	step, err = c.StepRollout(t.Context(), rehearsal)
	require.NoError(t, err)
	require.True(t, step.Over)
	_, err = c.Rollout(t.Context())
	require.Equal(t, rollout.NotBegun, domain.CodeOf(err))
}
