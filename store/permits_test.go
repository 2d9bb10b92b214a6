package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/store"
)

// clock is the ledger's clock, in the hands of a test. It stands still.
type clock struct {
	b   bundle
	now time.Time
}

func (b bundle) stopClock(t *testing.T) *clock {
	t.Helper()
	c := &clock{b, time.Now().UTC().Truncate(time.Microsecond)}
	b.exec(t, `CREATE TABLE stopped_clock (now timestamptz)`)
	b.exec(t, `GRANT SELECT ON stopped_clock TO lastcall_app`)
	b.exec(t, `INSERT INTO stopped_clock VALUES ($1)`, c.now)
	b.exec(t, `CREATE OR REPLACE FUNCTION permit_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT now FROM public.stopped_clock'`)
	return c
}

func (c *clock) advance(t *testing.T, d time.Duration) {
	t.Helper()
	c.now = c.now.Add(d.Truncate(time.Microsecond))
	c.b.exec(t, `UPDATE stopped_clock SET now = $1`, c.now)
}

func numbersOf(c store.Claim) (all []string) {
	for _, t := range c.Targets {
		all = append(all, string(t.MSISDN))
	}
	return all
}

func (b bundle) throttled(t *testing.T, l store.Lane, why string, until time.Time) {
	t.Helper()
	c := b.claim(t, l, 10)
	require.Empty(t, c.Targets)
	require.Len(t, c.Waits, 1)
	require.Equal(t, policy.Throttled, c.Waits[0].Reason)
	require.Equal(t, why, c.Waits[0].Why)
	require.NotNil(t, c.Waits[0].Until)
	require.WithinDuration(t, until, *c.Waits[0].Until, 0)
}

func TestNoSecondHoldsMoreThanItsCap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lane := b.running(t, many(100, rw)...)
	now := b.stopClock(t)
	require.Len(t, b.claim(t, lane, 4).Targets, 4) // these may start for half a second
	b.set(t, "throttle", `{"whatsapp":{"per_minute":30,"per_second":10}}`)
	now.advance(t, 100*time.Millisecond)
	c := b.claim(t, lane, 7)
	require.Len(t, c.Targets, 6)
	require.WithinDuration(t, time.Now(), c.Deadline, store.StartPromptly)
	const second = "whatsapp is throttled to 10 a second"
	b.throttled(t, lane, second, now.now.Add(1900*time.Millisecond))

	// What was granted before the cap was there leaves the window after 2 s, the rest after 1.75 s: of the two, the
	// earlier grant leaves later here.
	now.advance(t, 1899999*time.Microsecond)
	require.Empty(t, b.claim(t, lane, 7).Targets)
	now.advance(t, time.Microsecond)
	require.Len(t, b.claim(t, lane, 20).Targets, 10)
	b.throttled(t, lane, second, now.now.Add(1750*time.Millisecond))
	now.advance(t, 1750*time.Millisecond)
	require.Len(t, b.claim(t, lane, 20).Targets, 10)

	// Now both are used up, and the minute is the longer wait: the first four leave it 61 s after they came.
	now.advance(t, 100*time.Millisecond)
	b.throttled(t, lane, "whatsapp is throttled to 30 a minute", now.now.Add(61*time.Second-3850*time.Millisecond))
	d, err := b.Explain(t.Context(), msisdn(mt(1)), policy.Subject{Channel: policy.ChannelWhatsApp}, nil)
	require.NoError(t, err)
	require.Equal(t, "whatsapp is throttled to 30 a minute", d.Why)

	b.set(t, "throttle", `{"whatsapp":{"per_minute":0,"per_second":10,"tier":5}}`)
	c = b.claim(t, lane, 5)
	require.Contains(t, c.Waits[0].Why, "stopped")
	require.Nil(t, c.Waits[0].Until)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":31}}`)
	require.Len(t, b.claim(t, lane, 5).Targets, 1, "an edit holds from the next grant")
}

func TestTierHoldsNoMoreRecipients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := b.stopClock(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"tier":3}}`)
	const full = "whatsapp may write to 3 recipients in 24 hours"
	_, first := b.running(t, many(6, rw)...)
	require.Equal(t, many(3, rw), numbersOf(b.claim(t, first, 10)))
	began := now.now
	b.throttled(t, first, full, began.Add(24*time.Hour+time.Second))

	// Those who are in it cost nothing, wherever they stand in another queue.
	now.advance(t, time.Hour)
	_, second := b.running(t, rw(4), rw(9), rw(8), rw(2), rw(7), rw(0))
	require.ElementsMatch(t, []string{rw(0), rw(2)}, numbersOf(b.claim(t, second, 2)))
	b.throttled(t, second, full, began.Add(24*time.Hour+time.Second))
	sub := policy.Subject{Channel: policy.ChannelWhatsApp}
	for number, want := range map[string]bool{rw(1): true, rw(9): false} {
		d, err := b.Explain(t.Context(), msisdn(number), sub, nil)
		require.NoError(t, err)
		require.Equal(t, want, d.Permitted, number)
		if !want {
			require.Equal(t, full, d.Why)
			require.WithinDuration(t, began.Add(24*time.Hour+time.Second), *d.RetryAfter, 0)
		}
	}

	// The window moves: 1 leaves it a day after its message, 0 and 2 an hour later, because they had a second one.
	now.advance(t, 23*time.Hour+time.Second-time.Microsecond)
	require.Empty(t, b.claim(t, first, 10).Targets)
	now.advance(t, time.Microsecond)
	require.Equal(t, []string{rw(3)}, numbersOf(b.claim(t, first, 10)))
	require.Empty(t, b.claim(t, second, 10).Targets)
	now.advance(t, time.Hour)
	require.Equal(t, []string{rw(4), rw(5)}, numbersOf(b.claim(t, first, 10)))
	require.Equal(t, []string{rw(4)}, numbersOf(b.claim(t, second, 10)), "in it by now")
	require.EqualValues(t, 3, query[int64](t, b, `SELECT recipients FROM channels`))

	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000}}`)
	require.Len(t, b.claim(t, second, 10).Targets, 3)
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM recent_recipients`), "nobody is remembered without need")
}

func TestTierCountsWhatWasSentBeforeIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lane := b.running(t, many(10, rw)...)
	b.sent(t, lane, b.claim(t, lane, 4)) // 0 to 3
	p, err := b.GrantSingle(t.Context(), store.SingleSend{ID: uuid.New(), Channel: policy.ChannelWhatsApp, Recipient: msisdn(mt(1))})
	require.NoError(t, err)
	require.True(t, p.Decision.Permitted)
	b.exec(t, `UPDATE targets SET sending_at = sending_at - interval '24 hours 2 seconds' WHERE msisdn = $1`, rw(0)) // long ago

	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"tier":3}}`) // 1 to 3 and mt(1) are four
	require.Empty(t, b.claim(t, lane, 1).Targets)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"tier":6}}`)
	require.Len(t, b.claim(t, lane, 10).Targets, 2)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"tier":5}}`)
	require.Empty(t, b.claim(t, lane, 1).Targets)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"tier":7}}`)
	require.Len(t, b.claim(t, lane, 10).Targets, 1)
	require.EqualValues(t, 7, query[int64](t, b, `SELECT recipients FROM channels`))
}

// Lanes of two campaigns fill a tier together.
func TestTierUnderContention(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"tier":50}}`)
	var lanes sync.WaitGroup
	for range 2 {
		id, first := b.running(t, many(120, rw)...)
		for n := range 3 {
			lanes.Go(func() {
				l := first
				if n > 0 {
					l = store.Lane{Campaign: id, N: n, Run: "run", Batch: n + 1, Fence: 1}
					_, err := b.TakeLane(t.Context(), l)
					require.NoError(t, err)
				}
				for len(b.claim(t, l, 7).Waits) == 0 {
				}
			})
		}
	}
	lanes.Wait()
	require.Equal(t, "50 100", query[string](t, b, `SELECT count(DISTINCT msisdn) || ' ' || count(*) FROM targets WHERE state = 'sending'`),
		"fifty people, each with a message of both campaigns")
	require.Zero(t, query[int64](t, b, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

func TestNobodyGetsTwoMessagesWithinThePairInterval(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := b.stopClock(t) // the ledger's; targets have another
	_, first := b.running(t, rw(1))
	b.sent(t, first, b.claim(t, first, 1))
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"pair_seconds":6}}`) // what was sent before counts
	id, second := b.running(t, rw(1), rw(2))
	c := b.claim(t, second, 10)
	require.Equal(t, []string{rw(2)}, numbersOf(c))
	b.sent(t, second, c)
	_, third := b.running(t, rw(2))
	require.True(t, b.claim(t, third, 10).Again, "the next claim may find others")

	c = b.claim(t, second, 10)
	const why = "whatsapp may write to one recipient every 6 seconds"
	require.Len(t, c.Waits, 1)
	require.Equal(t, policy.Throttled, c.Waits[0].Reason)
	require.Equal(t, why, c.Waits[0].Why)
	require.EqualValues(t, 1, c.Waits[0].Targets)
	first0 := query[time.Time](t, b, `SELECT sending_at FROM targets WHERE campaign_id = $1`, first.Campaign)
	require.WithinDuration(t, first0.Add(8*time.Second), *c.Waits[0].Until, time.Millisecond)
	d, err := b.Explain(t.Context(), msisdn(rw(1)), policy.Subject{Channel: policy.ChannelWhatsApp}, nil)
	require.NoError(t, err)
	require.Equal(t, why, d.Why)
	require.WithinDuration(t, first0.Add(8*time.Second), *d.RetryAfter, time.Millisecond)
	story, err := b.Timeline(t.Context(), id, query[int64](t, b, `SELECT id FROM targets WHERE campaign_id = $1 AND state = 'queued'`, id))
	require.NoError(t, err)
	require.Equal(t, "throttled", story.Now.WaitsFor)
	require.Empty(t, story.Now.Also)

	now.advance(t, 6900*time.Millisecond)
	b.exec(t, `UPDATE targets SET not_before = clock_timestamp() WHERE state = 'queued'`)
	require.Empty(t, b.claim(t, second, 10).Targets, "the first may have been received a second after its permit")
	now.advance(t, time.Minute)
	b.exec(t, `UPDATE targets SET not_before = clock_timestamp() WHERE campaign_id = $1 AND state = 'queued'`, id)
	require.Equal(t, []string{rw(1)}, numbersOf(b.claim(t, second, 10)))

	// The interval switched off releases at once who waits for it.
	b.exec(t, `UPDATE targets SET not_before = permit_clock() + interval '5 seconds' WHERE state = 'queued'`)
	require.Empty(t, b.claim(t, third, 10).Targets)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000}}`)
	require.Equal(t, []string{rw(2)}, numbersOf(b.claim(t, third, 10)))
}

func single(n int) store.SingleSend {
	return store.SingleSend{ID: uuid.New(), Channel: policy.ChannelWhatsApp, Recipient: msisdn(mt(n))}
}

func TestSingleSendsGoBeforeCampaigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(300, rw)...)
	now := b.stopClock(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60}}`)
	require.Len(t, b.claim(t, lane, 1).Targets, 1)
	now.advance(t, 10*time.Second)
	require.Len(t, b.claim(t, lane, 100).Targets, 59)

	// One waits, and asks again when it was told to; the permit that comes free then is its own.
	one := single(1)
	p, err := b.GrantSingle(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, policy.Throttled, p.Decision.Reason)
	require.WithinDuration(t, now.now.Add(51*time.Second), *p.Decision.RetryAfter, 0)
	now.advance(t, 51*time.Second)
	c := b.claim(t, lane, 10)
	require.Empty(t, c.Targets)
	require.Equal(t, "whatsapp is throttled to 60 a minute, and single sends go first", c.Waits[0].Why)
	p, err = b.GrantSingle(t.Context(), one)
	require.NoError(t, err)
	require.True(t, p.Decision.Permitted)
	require.WithinDuration(t, time.Now(), p.StartBy, store.StartWithin)

	// With many lanes and many singles at the gate, each single gets its permit and the lanes what is left.
	waiting := []store.SingleSend{single(2), single(3), single(4), single(5), single(6)}
	for _, w := range waiting {
		p, err := b.GrantSingle(t.Context(), w)
		require.NoError(t, err)
		require.False(t, p.Decision.Permitted)
	}
	now.advance(t, 10*time.Second)
	var all sync.WaitGroup
	var mu sync.Mutex
	var lanes int
	for n := range 8 {
		all.Go(func() {
			l := store.Lane{Campaign: id, N: n, Run: "run", Batch: n + 2, Fence: 1}
			_, err := b.TakeLane(t.Context(), l)
			require.NoError(t, err)
			for {
				c := b.claim(t, l, 9)
				if len(c.Waits) > 0 {
					return
				}
				mu.Lock()
				lanes += len(c.Targets)
				mu.Unlock()
			}
		})
	}
	all.Wait() // all that campaigns may have is gone; the singles come late
	require.Equal(t, 54, lanes)
	for _, w := range waiting {
		p, err := b.GrantSingle(t.Context(), w)
		require.NoError(t, err)
		require.True(t, p.Decision.Permitted)
	}
	require.EqualValues(t, 120, query[int64](t, b, `SELECT sum(n) FROM permits`))
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM permit_singles`))

	// Who does not come back loses the place, or gives it up.
	gone, left := single(7), single(8)
	now.advance(t, 60*time.Second)
	lane = store.Lane{Campaign: id, N: 0, Run: "run", Batch: 2, Fence: 1}
	require.Len(t, b.claim(t, lane, 1).Targets, 1)
	for _, w := range []store.SingleSend{gone, left} {
		p, err = b.GrantSingle(t.Context(), w)
		require.NoError(t, err)
		require.False(t, p.Decision.Permitted)
	}
	now.advance(t, time.Second)
	require.NoError(t, b.LeaveSingle(t.Context(), left.ID))
	require.Len(t, b.claim(t, lane, 100).Targets, 58, "one place is kept")
	now.advance(t, 2*time.Second)
	require.Len(t, b.claim(t, lane, 100).Targets, 1)
}

func TestSingleSendsObeyTheLimits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := b.stopClock(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60,"tier":1,"pair_seconds":6}}`)
	ask := func(n int) policy.Decision {
		p, err := b.GrantSingle(t.Context(), single(n))
		require.NoError(t, err)
		return p.Decision
	}
	began := now.now
	require.True(t, ask(1).Permitted)
	require.Equal(t, "whatsapp may write to one recipient every 6 seconds", ask(1).Why)
	d := ask(2)
	require.Equal(t, "whatsapp may write to 1 recipients in 24 hours", d.Why)
	require.WithinDuration(t, began.Add(24*time.Hour+time.Second), *d.RetryAfter, 0)
	now.advance(t, 7*time.Second)
	require.True(t, ask(1).Permitted)

	_, lane := b.running(t, rw(1), mt(1))
	now.advance(t, 7*time.Second)
	require.Equal(t, []string{mt(1)}, numbersOf(b.claim(t, lane, 10)), "singles that wait for no permit keep none from others")
	b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`)
	require.Contains(t, ask(1).Why, "stopped")
	b.set(t, "toggles", `{"dispatch":false}`)
	require.Equal(t, policy.DispatchDisabled, ask(1).Reason)
}

func TestWeightIsSetAndEditedLive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	template, err := b.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	_, err = b.CreateCampaign(t.Context(), store.NewCampaign{Name: "heavy", TemplateID: template.ID, Weight: 101})
	require.Equal(t, "bad_weight", domain.CodeOf(err))
	c, err := b.CreateCampaign(t.Context(), store.NewCampaign{Name: "heavy", TemplateID: template.ID, Weight: 7})
	require.NoError(t, err)
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: "token", Name: "ops"})
	require.NoError(t, b.SetWeight(ctx, c.ID, 100, "late"))
	require.Equal(t, `ops late {"weight": [7, 100]}`, query[string](t, b,
		`SELECT actor || ' ' || reason || ' ' || diff FROM audit_log WHERE action = 'campaign.weight_changed'`))
	p, err := b.Progress(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, 100, p.Weight)
	for _, weight := range []int{0, -1, 101} {
		require.Equal(t, "bad_weight", domain.CodeOf(b.SetWeight(ctx, c.ID, weight, "")))
	}
	require.Equal(t, domain.NotFound, domain.KindOf(b.SetWeight(ctx, uuid.New(), 2, "")))

	id, _ := b.running(t, rw(1))
	require.Equal(t, 1, query[int](t, b, `SELECT weight FROM campaigns WHERE id = $1`, id))
	_, err = b.Order(t.Context(), id, campaign.GateStopped, "")
	require.NoError(t, err)
	_, err = b.CancelQueued(t.Context(), id, 10)
	require.NoError(t, err)
	require.NoError(t, b.Advance(t.Context(), id, campaign.Settling, ""))
	require.NoError(t, b.Finish(t.Context(), id, campaign.Stopped, ""))
	require.Equal(t, domain.Conflict, domain.KindOf(b.SetWeight(ctx, id, 2, "")))
}
