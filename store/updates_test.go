package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/store"
)

// A target's way touches no index: claims, results and receipts stay cheap however many targets there are, and
// leave no bloat behind.
func TestDispatchUpdatesTouchNoIndex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(2000, rw)...)
	for {
		c := b.claim(t, lane, 400)
		if c.Drained {
			break
		}
		results := make([]store.Result, len(c.Targets))
		for i, target := range c.Targets {
			results[i] = store.Result{Target: target.ID, State: campaign.Sent, ProviderID: "wamid.1234567890123456789012345678901234567890"}
		}
		_, err := b.Record(t.Context(), lane, results)
		require.NoError(t, err)
	}
	require.EqualValues(t, 2000, b.counts(t, id).Sent)
	var updates, heapOnly int64
	require.Eventually(t, func() bool { // the connections that wrote tell it now and then
		require.NoError(t, b.owner.QueryRow(t.Context(), `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'targets'`).
			Scan(&updates, &heapOnly))
		return updates >= 4000
	}, 20*time.Second, 100*time.Millisecond)
	// Some find their page full: who else reads just then keeps old versions of rows alive.
	require.Greater(t, 2*heapOnly, updates, "of %d updates %d were heap-only", updates, heapOnly)
}

// Fresh targets are taken in order, and none is passed by: neither one that another claim gave back nor one that
// was held and is released.
func TestNothingIsLeftBehindTheQueuesStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(2400, rw)...)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":100000}}`)
	done := map[int64]bool{}
	for n := 0; ; n++ {
		c := b.claim(t, lane, 100)
		if c.Drained {
			break
		}
		results := make([]store.Result, len(c.Targets))
		for i, target := range c.Targets {
			results[i] = store.Result{Target: target.ID, State: campaign.Sent}
			if target.Attempt == 1 && i%2 == 0 { // it did not go, and may go again at once
				results[i].State, results[i].Reason = campaign.Queued, "permit_void"
			} else {
				require.False(t, done[target.ID])
				done[target.ID] = true
			}
		}
		_, err := b.Record(t.Context(), lane, results)
		require.NoError(t, err)
		require.Less(t, n, 100)
	}
	require.Len(t, done, 2400)
	require.EqualValues(t, 2400, b.counts(t, id).Sent)
	require.Positive(t, query[int64](t, b, `SELECT queue_from FROM cohorts WHERE campaign_id = $1`, id))
}
