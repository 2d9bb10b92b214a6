package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/store"
)

func TestRelayDeliversInOrderAndAgainAfterFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var mu sync.Mutex
	var got []string
	failures := 2
	handle := func(_ context.Context, id int64, payload json.RawMessage) error {
		mu.Lock()
		defer mu.Unlock()
		var p struct{ N int }
		_ = json.Unmarshal(payload, &p)
		switch {
		case p.N == 1 && failures > 0:
			failures--
			return errors.New("not now")
		case p.N == 3:
			return domain.E(domain.Conflict, "never", "no")
		}
		got = append(got, fmt.Sprint(p.N))
		return nil
	}
	ids := map[int]int64{}
	for n := 1; n <= 4; n++ {
		ids[n] = query[int64](t, b, `INSERT INTO outbox (kind, key, payload) VALUES ('test', 'one', jsonb_build_object('n', $1::int)) RETURNING id`, n)
	}
	ids[5] = query[int64](t, b, `INSERT INTO outbox (kind, key, payload) VALUES ('nobody', 'other', '{}') RETURNING id`)

	// Two relays, as in two processes.
	ctx, cancel := context.WithCancel(t.Context())
	var relays sync.WaitGroup
	for range 2 {
		relays.Go(func() {
			(&store.Relay{Store: b.Store, Log: quiet, Handlers: map[string]store.Handler{"test": handle}}).Run(ctx)
		})
	}
	done, err := b.AwaitDelivery(within(t, 20*time.Second), ids[4])
	require.NoError(t, err)
	require.True(t, done)
	_, err = b.AwaitDelivery(within(t, time.Second), ids[3])
	require.Equal(t, "never", domain.CodeOf(err))
	_, err = b.AwaitDelivery(within(t, time.Second), ids[5])
	require.Equal(t, "unknown_kind", domain.CodeOf(err))
	require.Equal(t, []string{"1", "2", "4"}, got, "in order, each once")
	cancel()
	relays.Wait()

	late := query[int64](t, b, `INSERT INTO outbox (kind, key, payload) VALUES ('test', 'one', '{}') RETURNING id`)
	done, err = b.AwaitDelivery(within(t, 100*time.Millisecond), late)
	require.NoError(t, err)
	require.False(t, done, "nobody delivers any more")
}

// TestANoticeNeverHoldsUpAnOrder: the Ops channel may be down for hours; a pause must not wait for it.
func TestANoticeNeverHoldsUpAnOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.running(t, rw(1))
	require.NoError(t, b.Advance(t.Context(), id, campaign.Paused, "the template is retired"))
	order, err := b.Order(t.Context(), id, campaign.GateStopped, "test")
	require.NoError(t, err)
	relay := store.Relay{Store: b.Store, Log: quiet, Handlers: map[string]store.Handler{
		store.KindStartCampaign: func(context.Context, int64, json.RawMessage) error { return nil },
		store.KindOrderCampaign: func(context.Context, int64, json.RawMessage) error { return nil },
		store.KindOpsNotice:     func(context.Context, int64, json.RawMessage) error { return errors.New("the channel is down") },
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { relay.Run(ctx) })
	done, err := b.AwaitDelivery(within(t, 10*time.Second), order)
	cancel()
	running.Wait()
	require.NoError(t, err)
	require.True(t, done)
}
