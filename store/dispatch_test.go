package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/store"
)

func TestClaimTakesEachTargetOnceAndRecords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(10, rw)...)

	first, second := b.claim(t, lane, 6), b.claim(t, lane, 6)
	require.Len(t, first.Targets, 6)
	require.Len(t, second.Targets, 4)
	require.True(t, b.claim(t, lane, 6).Drained)
	require.EqualValues(t, 10, b.counts(t, id).Sending)

	var results []store.Result
	for i, target := range append(first.Targets, second.Targets...) {
		require.Equal(t, 1, target.Attempt)
		state := []campaign.TargetState{campaign.Sent, campaign.FailedT, campaign.Unknown, campaign.Queued}[i%4]
		results = append(results, store.Result{Target: target.ID, State: state, ErrorCode: 131026, Reason: "because"})
	}
	changed, err := b.Record(t.Context(), lane, results)
	require.NoError(t, err)
	require.EqualValues(t, 10, changed)
	require.Equal(t, campaign.Counts{Targets: 10, Sent: 3, Failed: 3, Unknown: 2, Queued: 2}, b.counts(t, id))
	require.EqualValues(t, 7, query[int64](t, b, `SELECT count(*) FROM target_events`), "each but the sent ones")
}

func TestNoSixtySecondsHoldMoreThanTheCap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.running(t, many(200, rw)...)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60}}`)

	// Eight lanes at once want more than there is.
	var mu sync.Mutex
	var taken int
	var lanes sync.WaitGroup
	for n := range 8 {
		lanes.Go(func() {
			l := store.Lane{Campaign: id, N: n, Run: "run", Batch: n + 2, Fence: 1}
			_, err := b.TakeLane(t.Context(), l)
			require.NoError(t, err)
			for {
				c := b.claim(t, l, 7)
				if len(c.Waits) > 0 {
					require.Equal(t, policy.Throttled, c.Waits[0].Reason)
					require.NotNil(t, c.Waits[0].Until)
					return
				}
				mu.Lock()
				taken += len(c.Targets)
				mu.Unlock()
			}
		})
	}
	lanes.Wait()
	require.Equal(t, 60, taken)

	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 140, p.Waits[0].Targets)
	require.Equal(t, policy.Throttled, p.Waits[0].Reason)

	// The window slides: what was granted 60 s ago still counts, because it may have been received later;
	// what was granted 61 s ago does not.
	owner := func(sql string, args ...any) {
		_, err := b.owner.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	lane := store.Lane{Campaign: id, N: 0, Run: "run", Batch: 2, Fence: 1}
	owner(`UPDATE permits SET granted_at = clock_timestamp() - interval '60.2 seconds'`)
	c := b.claim(t, lane, 7)
	require.Empty(t, c.Targets)
	require.WithinDuration(t, time.Now().Add(800*time.Millisecond), *c.Waits[0].Until, 500*time.Millisecond)
	owner(`UPDATE permits SET granted_at = clock_timestamp() - interval '61 seconds'`)
	require.Len(t, b.claim(t, lane, 100).Targets, 60)

	// A cap edited meanwhile holds from the next grant; 0 stops the channel without an end.
	b.set(t, "throttle", `{"whatsapp":{"per_minute":61}}`)
	require.Len(t, b.claim(t, lane, 100).Targets, 1)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`)
	c = b.claim(t, lane, 100)
	require.Empty(t, c.Targets)
	require.Nil(t, c.Waits[0].Until)
	require.EqualValues(t, 121, query[int64](t, b, `SELECT sum(n) FROM permits`))
}

func TestQuietHoursHoldOneCountryAndNotTheOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, append(many(5, rw), many(3, mt)...)...)
	b.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))

	c := b.claim(t, lane, 100)
	require.Len(t, c.Targets, 3)
	for _, target := range c.Targets {
		require.Contains(t, string(target.MSISDN), "+356")
	}
	c = b.claim(t, lane, 100)
	require.Len(t, c.Waits, 1)
	require.Equal(t, policy.InQuietHours, c.Waits[0].Reason)
	require.EqualValues(t, 5, c.Waits[0].Targets)
	require.True(t, c.Waits[0].Until.After(time.Now().Add(time.Hour)))
	b.claim(t, lane, 100)
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'outbound_policy_check'
		AND target = $1 AND diff->>'reason' = 'quiet_hours' AND (diff->>'targets')::int = 5`, "campaign/"+id.String()), "a block is told once")

	b.set(t, "quiet_hours", `{}`)
	require.Len(t, b.claim(t, lane, 100).Targets, 5)
}

func TestOptedOutIsNeverClaimed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(10, rw)...)
	added, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(3)), msisdn(rw(4)), msisdn(mt(1))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	require.EqualValues(t, 3, added)

	c := b.claim(t, lane, 100)
	require.Equal(t, 2, c.OptedOut)
	require.Len(t, c.Targets, 8)
	require.False(t, slices.ContainsFunc(c.Targets, func(x store.ClaimedTarget) bool {
		return x.MSISDN == msisdn(rw(3)) || x.MSISDN == msisdn(rw(4))
	}))
	require.EqualValues(t, 2, b.counts(t, id).OptedOut)
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE diff::text LIKE '%25078%' OR reason LIKE '%25078%'`))
}

func TestClosedGateGrantsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(3, rw)...)
	_, err := b.Order(t.Context(), id, campaign.GatePaused, "test")
	require.NoError(t, err)
	c := b.claim(t, lane, 100)
	require.Empty(t, c.Targets)
	require.Equal(t, campaign.GatePaused, c.Gate)
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM permits`))

	b.set(t, "toggles", `{"dispatch":false}`)
	_, err = b.Order(t.Context(), id, campaign.GateOpen, "test")
	require.NoError(t, err)
	c = b.claim(t, lane, 100)
	require.Empty(t, c.Targets)
	require.Equal(t, policy.DispatchDisabled, c.Waits[0].Reason)
}

func TestLaterAttemptFencesAndMarksUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, old := b.running(t, many(5, rw)...)
	c := b.claim(t, old, 3)

	retry := old
	retry.Fence = 2
	unknown, err := b.TakeLane(t.Context(), retry)
	require.NoError(t, err)
	require.EqualValues(t, 3, unknown)

	// The old worker comes back: it may neither claim nor record, nor take the lane again.
	_, err = b.Claim(t.Context(), old, 3)
	require.ErrorIs(t, err, store.ErrFenced)
	changed, err := b.Record(t.Context(), old, []store.Result{{Target: c.Targets[0].ID, State: campaign.Queued}})
	require.NoError(t, err)
	require.Zero(t, changed)
	_, err = b.TakeLane(t.Context(), old)
	require.ErrorIs(t, err, store.ErrFenced)

	// So is an earlier batch of the run that was held up until now.
	late := retry
	late.Batch, late.Fence = 0, 9
	_, err = b.TakeLane(t.Context(), late)
	require.ErrorIs(t, err, store.ErrFenced)

	// A new run of the workflow inherits the lane, not its rows.
	require.Len(t, b.claim(t, retry, 1).Targets, 1)
	unknown, err = b.TakeLane(t.Context(), store.Lane{Campaign: id, Run: "another run", Batch: 1, Fence: 1})
	require.NoError(t, err)
	require.EqualValues(t, 1, unknown)
	require.Equal(t, campaign.Counts{Targets: 5, Queued: 1, Unknown: 4}, b.counts(t, id))
}

func TestCancelNeedsAStoppedGate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.running(t, many(5, rw)...)
	n, err := b.CancelQueued(t.Context(), id, 100)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = b.Order(t.Context(), id, campaign.GateStopped, "test")
	require.NoError(t, err)
	for _, want := range []int64{3, 2, 0} {
		n, err = b.CancelQueued(t.Context(), id, 3)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.EqualValues(t, 5, b.counts(t, id).Cancelled)
}

// TestOptedOutAmongManyLanes: taking out those who opted out and marking the others lock the same rows as
// granting permits does; in another order, lanes would wait for each other in a circle.
func TestOptedOutAmongManyLanes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const targets = 6000
	var out []contact.MSISDN
	for i := 0; i < targets; i += 100 {
		out = append(out, msisdn(rw(i)))
	}
	_, err := b.AddOptOuts(t.Context(), out, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	id, _ := b.running(t, many(targets, rw)...)
	var lanes sync.WaitGroup
	for n := range 4 {
		lanes.Go(func() {
			l := store.Lane{Campaign: id, N: n, Run: "run", Batch: n + 2, Fence: 1}
			_, err := b.TakeLane(t.Context(), l)
			require.NoError(t, err)
			for {
				c := b.claim(t, l, 64)
				if c.Drained {
					return
				}
				results := make([]store.Result, len(c.Targets))
				for i, target := range c.Targets {
					results[i] = store.Result{Target: target.ID, State: campaign.Sent}
				}
				_, err := b.Record(t.Context(), l, results)
				require.NoError(t, err)
			}
		})
	}
	lanes.Wait()
	require.Equal(t, campaign.Counts{Targets: targets, Sent: targets - int64(len(out)), OptedOut: int64(len(out))}, b.counts(t, id))
	require.EqualValues(t, targets-len(out), query[int64](t, b, `SELECT sum(n) FROM permits`), "a retried transaction grants nothing twice")
	require.Zero(t, query[int64](t, b, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

// TestRulesHoldForThePermitsAfterThem: a claim may wait for the ledger; what was decided meanwhile counts.
func TestRulesHoldForThePermitsAfterThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(10, rw)...)
	// claim claims while somebody else holds the ledger, and lets it go on when something has been decided.
	claim := func(decide func()) store.Claim {
		hold := connect(t, b.url)
		_, err := hold.Exec(t.Context(), `BEGIN; SELECT FROM channels FOR UPDATE`)
		require.NoError(t, err)
		claimed := make(chan store.Claim)
		go func() {
			c, err := b.Claim(t.Context(), lane, 5)
			require.NoError(t, err)
			claimed <- c
		}()
		b.waiting(t, 1)
		decide()
		_, err = hold.Exec(t.Context(), `COMMIT`)
		require.NoError(t, err)
		return <-claimed
	}

	c := claim(func() { b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`) })
	require.Empty(t, c.Targets)
	require.True(t, c.Busy, "the next claim decides")
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM permits`))
	require.EqualValues(t, 10, b.counts(t, id).Queued, "nothing of the claim is left")
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000}}`)

	// An order waits for the claim under way, and holds for the next.
	ordered := make(chan error, 1)
	c = claim(func() {
		go func() {
			_, err := b.Order(t.Context(), id, campaign.GatePaused, "test")
			ordered <- err
		}()
		b.waiting(t, 2)
	})
	require.Len(t, c.Targets, 5)
	require.NoError(t, <-ordered)
	c, err := b.Claim(t.Context(), lane, 5)
	require.NoError(t, err)
	require.Equal(t, campaign.GatePaused, c.Gate)
}

// waiting waits until so many wait for locks.
func (b bundle) waiting(t *testing.T, n int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		return query[int64](t, b, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == n
	}, 10*time.Second, 5*time.Millisecond)
}

// What was marked before the ledger was asked is queued again when it grants less.
func TestTargetsWithoutAPermitAreQueuedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(10, rw)...)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6}}`)
	hold := connect(t, b.url)
	_, err := hold.Exec(t.Context(), fmt.Sprintf(`BEGIN; SELECT FROM grant_permits('whatsapp', 6, 0, 0, interval '0', interval '500 milliseconds', '%s',
		(SELECT array_agg(id) FROM (SELECT id FROM targets LIMIT 4) x))`, id))
	require.NoError(t, err)
	claimed := make(chan store.Claim)
	go func() {
		c, err := b.Claim(t.Context(), lane, 10)
		require.NoError(t, err)
		claimed <- c
	}()
	b.waiting(t, 1)
	_, err = hold.Exec(t.Context(), `COMMIT`)
	require.NoError(t, err)
	c := <-claimed
	require.Len(t, c.Targets, 2, "it saw six permits, and got what was left")
	counts := b.counts(t, id)
	require.EqualValues(t, 8, counts.Queued)
	require.EqualValues(t, 2, counts.Sending)
	require.EqualValues(t, 2, query[int64](t, b, `SELECT sum(attempt) FROM targets`), "those put back were not tried")
}

// Only a lane's owner can say that nothing is in the middle of being sent.
func TestOnlyItsOwnerLeavesALane(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(10, rw)...)
	require.Len(t, b.claim(t, lane, 4).Targets, 4)
	next := lane
	next.Batch++
	require.NoError(t, b.LeaveLane(t.Context(), next))
	unknown, err := b.TakeLane(t.Context(), next)
	require.NoError(t, err)
	require.EqualValues(t, 4, unknown, "nobody had said that they were recorded")

	require.Len(t, b.claim(t, next, 4).Targets, 4)
	require.NoError(t, b.LeaveLane(t.Context(), next))
	require.True(t, query[bool](t, b, `SELECT first_id IS NULL FROM lanes WHERE campaign_id = $1`, id), "the next owner does not look")
}
