package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// ledger asks for permits as claims do, at its own pace, for the targets of campaigns on a channel of its own.
type ledger struct {
	t       *testing.T
	b       bundle
	clock   *clock
	channel string
	caps    caps
}

type caps struct {
	minute, second, tier, pair int // pair in seconds
}

type grant struct {
	targets []int64
	bound   string
	retry   *time.Time
}

func (l *ledger) mayStart() time.Duration {
	if l.caps.second > 0 {
		return 250 * time.Millisecond
	}
	return 500 * time.Millisecond
}

func (l *ledger) ask(id uuid.UUID, targets []int64) (g grant) {
	l.t.Helper()
	require.NoError(l.t, l.b.owner.QueryRow(l.t.Context(), `SELECT granted, coalesce(bound_by, ''), retry_after
		FROM grant_permits($1, $2, $3, $4, make_interval(secs => $5), $6, $7, $8)`, l.channel, l.caps.minute, l.caps.second, l.caps.tier,
		l.caps.pair, l.mayStart(), id, targets).Scan(&g.targets, &g.bound, &g.retry))
	return g
}

// newLedger opens a channel's ledger.
func newLedger(t *testing.T, b bundle, now *clock, name string, c caps) *ledger {
	t.Helper()
	b.exec(t, `INSERT INTO channels (name) VALUES ($1)`, name)
	return &ledger{t: t, b: b, clock: now, channel: name, caps: c}
}

// audience makes a running campaign of this weight, and tells its targets in the order of people.
func (b bundle) audience(t *testing.T, people, weight int) (uuid.UUID, []int64) {
	t.Helper()
	id, _ := b.running(t, many(people, rw)...)
	require.NoError(t, b.SetWeight(t.Context(), id, weight, ""))
	return id, query[[]int64](t, b, `SELECT array_agg(id ORDER BY id) FROM targets WHERE campaign_id = $1`, id)
}

type received struct {
	at     time.Time
	person int
	grant  int
}

// TestNoWindowEverHoldsMoreThanItsCap: whatever the caps, whoever asks when, however long a send takes to start
// and to arrive, and whatever is lost on the way.
func TestNoWindowEverHoldsMoreThanItsCap(t *testing.T) {
	t.Parallel()
	const people, campaigns, seeds, requests = 40, 3, 12, 100
	b := setup(t)
	now := b.stopClock(t)
	var ids [campaigns]uuid.UUID
	var targets [campaigns][]int64
	person := map[int64]int{}
	for i := range ids {
		ids[i], targets[i] = b.audience(t, people, 1+2*i)
		for n, target := range targets[i] {
			person[target] = n
		}
	}
	bound := map[string]int{}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		or := func(n int) int { return n * r.IntN(2) } // often off
		all := caps{minute: 10 + r.IntN(60), second: or(2 + r.IntN(20)), tier: or(5 + r.IntN(30)), pair: or(1 + r.IntN(8))}
		l := newLedger(t, b, now, fmt.Sprint("channel-", seed), all)
		var sends []received
		capped := map[int]bool{} // grants while the second had its cap, which comes and goes, with permits of either kind on their way
		var retry *time.Time
		for i := range requests {
			if l.caps.second = all.second; i/5%2 == 0 {
				l.caps.second = 0
			}
			capped[i] = l.caps.second > 0
			switch r.IntN(20) {
			case 0:
				now.advance(t, time.Duration(r.Int64N(int64(70*time.Second))))
			case 1:
				now.advance(t, time.Duration(r.Int64N(int64(9*time.Hour))))
			case 2:
				b.exec(t, `DELETE FROM permit_wants`) // Postgres was killed
			case 3, 4, 5, 6:
			case 7, 8, 9:
				now.advance(t, time.Duration(r.Int64N(int64(2*time.Second))))
			default: // the moment it was told
				if retry != nil && retry.After(now.now) {
					now.advance(t, retry.Sub(now.now))
				}
			}
			c := r.IntN(campaigns)
			queue := slices.Clone(targets[c])
			r.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
			g := l.ask(ids[c], queue[:1+r.IntN(people)])
			bound[g.bound]++
			retry = g.retry
			if len(g.targets) == 0 && g.retry != nil {
				require.True(t, g.retry.After(now.now), "seed %d: %s: to ask again at once helps nobody", seed, g.bound)
			}
			if r.IntN(12) == 0 {
				continue // the worker was killed
			}
			slow := r.IntN(3) // all at once, all as late as can be, or each as it comes
			for _, target := range g.targets {
				if r.IntN(30) == 0 {
					continue // it found no connection in time
				}
				upTo := func(d time.Duration) time.Duration {
					return []time.Duration{0, d, time.Duration(r.Int64N(int64(d)))}[slow]
				}
				at := now.now.Add(upTo(l.mayStart()) + upTo(500*time.Millisecond))
				sends = append(sends, received{at, person[target], i})
			}
		}
		slices.SortFunc(sends, func(a, b received) int { return a.at.Compare(b.at) })
		require.NotEmpty(t, sends)
		say := fmt.Sprintf("seed %d: %+v", seed, all)
		require.LessOrEqual(t, fullest(sends, time.Minute, nil), all.minute, say)
		if all.second > 0 {
			for i := range requests { // no later grant is its fault
				if capped[i] {
					until := slices.DeleteFunc(slices.Clone(sends), func(s received) bool { return s.grant > i })
					require.LessOrEqual(t, fullest(until, time.Second, &i), all.second, say)
				}
			}
		}
		if all.tier > 0 {
			require.LessOrEqual(t, mostPeople(sends, 24*time.Hour), all.tier, say)
		}
		if all.pair > 0 {
			last := map[int]time.Time{}
			for _, s := range sends {
				if before, ok := last[s.person]; ok {
					require.GreaterOrEqual(t, s.at.Sub(before), time.Duration(all.pair)*time.Second, say)
				}
				last[s.person] = s.at
			}
		}
	}
	for _, limit := range []string{"", "per_minute", "per_second", "tier", "pair", "share"} {
		require.Positive(t, bound[limit], "no request met the limit %q", limit)
	}
}

// fullest is how many sends the fullest window holds, wherever it begins; of the windows that hold one of this
// grant, if one is given.
func fullest(sends []received, window time.Duration, grant *int) (most int) {
	for from := range sends {
		n, counts := 0, grant == nil
		for _, s := range sends[from:] {
			if s.at.Sub(sends[from].at) >= window {
				break
			}
			n++
			counts = counts || s.grant == *grant
		}
		if counts {
			most = max(most, n)
		}
	}
	return most
}

// mostPeople is how many different people the fullest window holds.
func mostPeople(sends []received, window time.Duration) (most int) {
	for from := range sends {
		people := map[int]bool{}
		for _, s := range sends[from:] {
			if s.at.Sub(sends[from].at) >= window {
				break
			}
			people[s.person] = true
		}
		most = max(most, len(people))
	}
	return most
}

// TestCampaignsShareByWeight: campaigns that all want more than there is get it by their weights, within 10 % over
// five minutes from the very start, whoever is quicker to ask; a campaign alone gets all.
func TestCampaignsShareByWeight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := b.stopClock(t)
	light, lightTargets := b.audience(t, 100, 1)
	heavy, heavyTargets := b.audience(t, 100, 3)
	third, thirdTargets := b.audience(t, 100, 4)
	for _, c := range []caps{{minute: 60}, {minute: 3000, second: 5}} {
		name := fmt.Sprint(c)
		l := newLedger(t, b, now, name, c)
		// The light one asks for larger chunks and first; each comes back when it was told to.
		light := &competitor{id: light, targets: lightTargets, chunk: 40}
		heavy := &competitor{id: heavy, targets: heavyTargets, chunk: 7}
		third := &competitor{id: third, targets: thirdTargets, chunk: 16}
		l.compete(5*time.Minute, light, heavy)
		require.InEpsilon(t, 3, float64(heavy.got)/float64(light.got), 0.1, "%s: %d to %d", name, heavy.got, light.got)

		// Another one comes: it gets its part from then on, and nothing for the time when it was not there.
		light.got, heavy.got = 0, 0
		l.compete(5*time.Minute, light, heavy, third)
		all := float64(light.got + heavy.got + third.got)
		for _, x := range []struct {
			got  int
			part float64
		}{{light.got, 1. / 8}, {heavy.got, 3. / 8}, {third.got, 4. / 8}} {
			require.InEpsilon(t, x.part, float64(x.got)/all, 0.1, name)
		}

		// The heavy one becomes the lightest, live.
		require.NoError(t, b.SetWeight(t.Context(), heavy.id, 1, ""))
		light.got, heavy.got = 0, 0
		l.compete(5*time.Minute, light, heavy)
		require.InEpsilon(t, 1, float64(heavy.got)/float64(light.got), 0.1, name)
		require.NoError(t, b.SetWeight(t.Context(), heavy.id, 3, ""))

		// Alone, it gets all there is.
		both := light.got + heavy.got
		light.got = 0
		l.compete(5*time.Minute, light)
		require.InEpsilon(t, both, light.got, 0.05, name)
	}

	// A pause gives the others its part at once.
	l := newLedger(t, b, now, "paused", caps{minute: 60})
	x, y := &competitor{id: light, targets: lightTargets, chunk: 10}, &competitor{id: heavy, targets: heavyTargets, chunk: 10}
	l.compete(30*time.Second, x, y)
	_, err := b.Order(t.Context(), heavy, "paused", "")
	require.NoError(t, err)
	now.advance(t, time.Minute)
	require.Len(t, l.ask(light, lightTargets).targets, 60)
}

// TestClaimsShareByWeight: claims themselves tell what they want, and heed what others do.
func TestClaimsShareByWeight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, light := b.running(t, many(50, rw)...)
	_, heavy := b.running(t, many(50, rw)...)
	require.NoError(t, b.SetWeight(t.Context(), heavy.Campaign, 3, ""))
	now := b.stopClock(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":8}}`)
	require.Len(t, b.claim(t, light, 100).Targets, 8)
	b.throttled(t, heavy, "whatsapp is throttled to 8 a minute", now.now.Add(61*time.Second))
	b.throttled(t, light, "whatsapp is throttled to 8 a minute", now.now.Add(61*time.Second))
	now.advance(t, 61*time.Second)
	// The light one had a whole window to itself: these are the other's.
	b.throttled(t, light, "whatsapp is throttled to 8 a minute, shared with other campaigns", now.now.Add(250*time.Millisecond))
	require.Len(t, b.claim(t, heavy, 5).Targets, 5)
	now.advance(t, 2*time.Second) // the heavy one wants no more
	require.Len(t, b.claim(t, light, 100).Targets, 3)
}

type competitor struct {
	id      uuid.UUID
	targets []int64
	chunk   int
	got     int
	next    time.Time
}

// compete lets campaigns ask for so long: each again at once when it got something, else when it was told to.
func (l *ledger) compete(d time.Duration, all ...*competitor) {
	l.t.Helper()
	const step = 40 * time.Millisecond // what a chunk takes
	for end := l.clock.now.Add(d); ; {
		next := slices.MinFunc(all, func(a, b *competitor) int { return a.next.Compare(b.next) })
		if wait := next.next.Sub(l.clock.now); wait > 0 {
			if next.next.After(end) {
				l.clock.advance(l.t, end.Sub(l.clock.now))
				return
			}
			l.clock.advance(l.t, wait)
		}
		g := l.ask(next.id, next.targets[:next.chunk])
		next.got += len(g.targets)
		next.next = l.clock.now.Add(step)
		if len(g.targets) == 0 {
			next.next = *g.retry
		}
	}
}
