package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/rollout"
)

// Durations of items pass faster, but nothing is looked at more often than looking takes; what is none stays none.
func TestAFasterPlan(t *testing.T) {
	t.Parallel()
	plan := rollout.Plan{Signals: []rollout.Signal{{Name: "outage"}}, Phases: []rollout.PhasePlan{{Phase: rollout.Staging, Items: []rollout.Item{
		{ID: "slow", Every: 240 * time.Hour, StaleAfter: 4800 * time.Hour, Lasts: 24 * time.Hour}, {ID: "quick", Every: time.Minute, StaleAfter: time.Hour}, {ID: "word"}}}}}
	same := plan.Faster(1)
	require.Equal(t, plan, same)
	fast := plan.Faster(1440)
	require.Equal(t, 1440, fast.Factor)
	require.Equal(t, plan.Signals, fast.Signals)
	slow, quick, word := fast.Phases[0].Items[0], fast.Phases[0].Items[1], fast.Phases[0].Items[2]
	require.Equal(t, []time.Duration{10 * time.Minute, 200 * time.Minute, time.Minute}, []time.Duration{slow.Every, slow.StaleAfter, slow.Lasts})
	require.Equal(t, []time.Duration{5 * time.Second, time.Minute, 0}, []time.Duration{quick.Every, quick.StaleAfter, quick.Lasts})
	require.Zero(t, word.Every+word.StaleAfter+word.Lasts)
	require.Zero(t, plan.Factor, "the plan itself is as it was")
	require.Equal(t, 240*time.Hour, plan.Phases[0].Items[0].Every)
	require.NotEqual(t, plan.Digest(), fast.Digest())
}
