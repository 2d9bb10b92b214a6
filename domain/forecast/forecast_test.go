package forecast

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain/policy"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// settings are the defaults with a cap and quiet hours, both as people write them.
func settings(t require.TestingT, perMinute int, quiet string) policy.Settings {
	set := policy.Defaults()
	set.Throttle = policy.Throttle{policy.ChannelWhatsApp: {PerMinute: perMinute}}
	if quiet != "" {
		var err error
		set.QuietHours, err = policy.ParseQuietHours([]byte(quiet))
		require.NoError(t, err)
	}
	return set
}

func input(set policy.Settings, now string, cohorts ...Cohort) Input {
	return Input{Settings: set, Channel: policy.ChannelWhatsApp, Now: at(now), Limits: LimitsOf(set, policy.ChannelWhatsApp), Rate: 80,
		Own: Load{Marketing: true, Cohorts: cohorts}}
}

func rwanda(groups ...Group) Cohort {
	return Cohort{Country: "RW", Zone: "Africa/Kigali", Locale: "rw-RW", Groups: groups}
}

func malta(groups ...Group) Cohort {
	return Cohort{Country: "MT", Zone: "Europe/Malta", Locale: "en-MT", Groups: groups}
}

// agreed are targets that no rule for one recipient keeps from going.
func agreed(n int64) Group { return Group{Targets: n, OptedIn: true} }

const nights = `{"RW":{"start":"22:00","end":"06:00"},"MT":{"start":"22:00","end":"06:00"}}`

func TestThrottledInWindows(t *testing.T) {
	t.Parallel()
	f := Make(input(settings(t, 60, ""), "2026-11-23T10:00:00Z", rwanda(agreed(130))))
	require.EqualValues(t, 60, f.Permitted)
	require.Len(t, f.Blocked, 1)
	require.Equal(t, policy.Throttled, f.Blocked[0].Reason)
	require.EqualValues(t, 70, f.Blocked[0].Targets)
	require.Equal(t, at("2026-11-23T10:01:01Z"), *f.Blocked[0].Until)
	require.WithinDuration(t, at("2026-11-23T10:02:02Z"), *f.FinishesAt, time.Second, "60 at once, 60 after 61 s, 10 after 122 s")
	require.EqualValues(t, 60, f.PeakPerMinute)
	require.Len(t, f.Waves, 1)
}

func TestWhatTheLedgerHoldsIsNotThereToGive(t *testing.T) {
	t.Parallel()
	in := input(settings(t, 60, ""), "2026-11-23T10:00:00Z", rwanda(agreed(60)))
	in.Ledger = []Use{{at("2026-11-23T09:58:00Z"), 500}, {at("2026-11-23T09:59:30Z"), 50}}
	f := Make(in)
	require.EqualValues(t, 10, f.Permitted)
	require.WithinDuration(t, at("2026-11-23T10:00:31Z"), *f.FinishesAt, time.Second)

	in.Ledger = []Use{{at("2026-11-23T09:59:30Z"), 50}, {at("2026-11-23T09:59:50Z"), 50}} // under a higher cap than now
	f = Make(in)
	require.Zero(t, f.Permitted)
	require.WithinDuration(t, at("2026-11-23T10:00:51Z"), *f.FinishesAt, time.Second, "10 when the first 50 come back, 50 with the others")

	in.Ledger, in.Start = []Use{{in.Now, 60}}, at("2026-11-23T11:00:00Z")
	f = Make(in)
	require.EqualValues(t, 60, f.Permitted, "in an hour they are back")
}

// Over the nights in which Malta changes its clocks: on 25 October 2026 the night lasts an hour longer, on 28 March
// 2027 one shorter.
func TestNightsOfMalta(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ now, last, opens string }{
		{"2026-10-24T18:00:00Z", "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z"},
		{"2027-03-27T18:00:00Z", "2027-03-27T21:00:00Z", "2027-03-28T04:00:00Z"},
		{"2026-07-01T18:00:00Z", "2026-07-01T20:00:00Z", "2026-07-02T04:00:00Z"},
	} {
		f := Make(input(settings(t, 60, nights), c.now, malta(agreed(12_000))))
		require.Len(t, f.Waves, 2)
		first, second := f.Waves[0], f.Waves[1]
		require.False(t, first.To.After(at(c.last)))
		require.WithinDuration(t, at(c.last), first.To, time.Minute+time.Second)
		require.Equal(t, at(c.opens), second.From)
		require.Equal(t, policy.InQuietHours, second.Waited)
		night := 0
		for i, step := range f.Steps[1:] {
			if step.SentTotal == first.Targets && f.Steps[i].SentTotal == first.Targets {
				night++
				require.WithinDuration(t, at(c.opens), step.At, time.Second)
			}
		}
		require.Equal(t, 1, night, "the picture is flat at night")
		span := at(c.last).Sub(at(c.now))
		require.InDelta(t, span.Minutes()*60*60/61, first.Targets, 61)
		require.WithinDuration(t, second.From.Add(time.Duration(second.Targets)*61*time.Second/60), *f.FinishesAt, 62*time.Second)
	}
}

func TestAMillionAtSixtyAMinute(t *testing.T) {
	t.Parallel()
	in := input(settings(t, 60, ""), "2026-11-23T10:00:00Z", rwanda(agreed(600_000)), malta(agreed(400_000)))
	f := Make(in)
	require.WithinDuration(t, in.Now.Add(1_000_000*61*time.Second/60), *f.FinishesAt, time.Minute+time.Second)
	in.Settings = settings(t, 60, nights)
	f = Make(in)
	// Rwanda goes first, 16 hours a day, and leaves Malta an hour a day; then Malta has its 16 hours alone.
	require.InDelta(t, 17, f.FinishesAt.Sub(in.Now).Hours()/24, 0.1)
	require.Less(t, len(f.Waves), 60)
	require.EqualValues(t, 60, f.PeakPerMinute)

	took := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			Make(in)
		}
	})
	require.Less(t, time.Duration(took.NsPerOp()), 50*time.Millisecond)
	t.Log(took)
}

func TestReasonsAddUp(t *testing.T) {
	t.Parallel()
	set := settings(t, 100, nights)
	set.FrequencyCap.Marketing.PerDay = 1
	until := at("2026-11-24T09:00:00Z")
	in := input(set, "2026-11-23T20:30:00Z", // 22:30 in Kigali, 21:30 on Malta
		rwanda(agreed(40), Group{Targets: 3, OptedOut: true}, Group{Targets: 2, OptedOut: true, OptedIn: true}),
		malta(agreed(130), Group{Targets: 5}, Group{Targets: 7, OptedIn: true, CappedUntil: until}, Group{Targets: 4, OptedIn: true, NotBefore: at("2026-11-23T20:31:00Z")}))
	f := Make(in)
	type line struct {
		reason        policy.Reason
		targets, also int64
	}
	lines := func(f Forecast) (all []line) {
		for _, b := range f.Blocked {
			all = append(all, line{b.Reason, b.Targets, b.Also})
		}
		return all
	}
	require.EqualValues(t, 191, f.Targets)
	require.EqualValues(t, 181, f.Sendable)
	require.EqualValues(t, 100, f.Permitted)
	require.Equal(t, []line{{policy.OptOut, 5, 0}, {policy.NoConsent, 5, 3}, {policy.InQuietHours, 40, 5}, {policy.Throttled, 30, 0},
		{policy.FrequencyCapped, 7, 0}, {ProviderRetry, 4, 0}}, lines(f))
	require.Equal(t, at("2026-11-24T04:00:00Z"), f.Blocked[2].Until.UTC())
	require.Equal(t, until, *f.Blocked[4].Until)
	require.Equal(t, until, f.FinishesAt.Truncate(time.Second))
	require.Equal(t, []policy.Reason{"", policy.InQuietHours, policy.FrequencyCapped},
		[]policy.Reason{f.Waves[0].Waited, f.Waves[1].Waited, f.Waves[2].Waited})

	in.Settings.Toggles.Dispatch = false
	f = Make(in)
	require.Equal(t, line{policy.DispatchDisabled, 191, 0}, lines(f)[0])
	require.Equal(t, line{policy.OptOut, 0, 5}, lines(f)[1])
	require.Zero(t, f.Permitted)
}

func TestNeverFinishes(t *testing.T) {
	t.Parallel()
	now := "2026-11-23T10:00:00Z"
	nowhere := Cohort{Country: "RW", Groups: []Group{agreed(5)}}
	off := settings(t, 60, "")
	off.Toggles.Dispatch = false
	for reason, in := range map[policy.Reason]Input{
		policy.Throttled:        input(settings(t, 0, nights), now, rwanda(agreed(5))),
		policy.DispatchDisabled: input(off, now, rwanda(agreed(5))),
		policy.InQuietHours:     input(settings(t, 60, nights), now, rwanda(agreed(10)), nowhere),
		TooLong:                 input(settings(t, 1, ""), now, rwanda(agreed(10_000_000))),
	} {
		f := Make(in)
		require.Nil(t, f.FinishesAt, reason)
		require.Equal(t, reason, f.Never.Reason)
		require.NotEmpty(t, f.Never.Why)
		if reason != TooLong {
			require.EqualValues(t, 5, f.Never.Targets, reason)
		}
		require.Equal(t, f.Sendable, f.Never.Targets+sum(f.Waves), reason)
	}
	f := Make(input(settings(t, 0, nights), "2026-11-23T21:00:00Z", rwanda(agreed(5))))
	require.Equal(t, policy.Throttled, f.Never.Reason, "the night is not why")
	f = Make(input(settings(t, 60, ""), now, rwanda(Group{Targets: 5, OptedOut: true})))
	require.Nil(t, f.FinishesAt)
	require.Nil(t, f.Never, "there is nobody to send to")
}

func TestCampaignsShareByWeight(t *testing.T) {
	t.Parallel()
	in := input(settings(t, 600, ""), "2026-11-23T10:00:00Z", rwanda(agreed(6000)))
	alone := Make(in).FinishesAt.Sub(in.Now)
	in.Others = []Load{{Weight: 1, Cohorts: []Cohort{malta(agreed(1_000_000))}}}
	require.InDelta(t, 2*alone.Seconds(), Make(in).FinishesAt.Sub(in.Now).Seconds(), 130)
	in.Own.Weight = 3
	require.InDelta(t, 4./3*alone.Seconds(), Make(in).FinishesAt.Sub(in.Now).Seconds(), 130)
	in.Others[0].From = in.Now.Add(time.Hour)
	require.InDelta(t, alone.Seconds(), Make(in).FinishesAt.Sub(in.Now).Seconds(), 1, "it begins when this one is through")
	in.Own.Weight, in.Others = 1, []Load{{Cohorts: []Cohort{malta(agreed(3000))}}}
	ends := Finish(in)
	require.Equal(t, *Make(in).FinishesAt, ends[0])
	require.InDelta(t, 1.5*alone.Seconds(), ends[0].Sub(in.Now).Seconds(), 130)
	require.InDelta(t, alone.Seconds(), ends[1].Sub(in.Now).Seconds(), 130)
}

func TestTierAndRateASecond(t *testing.T) {
	t.Parallel()
	in := input(settings(t, 600, ""), "2026-11-23T10:00:00Z", rwanda(agreed(2500)))
	in.Limits.Tier, in.TierUse = 1000, []Use{{at("2026-11-23T08:00:00Z"), 200}}
	f := Make(in)
	require.EqualValues(t, 600, f.Permitted)
	// 800 now, 200 at 08:00, 800 at 10:00, 200 at 08:00, and 500 at 10:00 of the day after.
	require.Len(t, f.Waves, 5)
	require.Equal(t, policy.Throttled, f.Waves[1].Waited)
	require.EqualValues(t, 200, f.Waves[1].Targets)
	require.WithinDuration(t, at("2026-11-25T10:00:10Z"), *f.FinishesAt, Window)

	in = input(settings(t, 600_000, ""), "2026-11-23T10:00:00Z", rwanda(agreed(2500)))
	in.Rate, in.Limits.PerSecond = 1000, 50
	f = Make(in)
	require.WithinDuration(t, in.Now.Add(50*secondWindow), *f.FinishesAt, time.Second)
}

func sum(waves []Wave) (n int64) {
	for _, w := range waves {
		for _, p := range w.Cohorts {
			n += p.Targets
		}
	}
	return n
}

// draw makes an input of any kind.
func draw(t *rapid.T) Input {
	clock := func(name string) string {
		return fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 23).Draw(t, name), rapid.SampledFrom([]int{0, 30}).Draw(t, name))
	}
	set := settings(t, rapid.IntRange(6, 400).Draw(t, "cap"), "") // with less, half an hour a day is not enough for a year
	quiet := ""
	for _, country := range []string{"RW", "MT"} {
		if from, to := clock("from"), clock("to"); from != to {
			quiet += fmt.Sprintf(`,"%s":{"start":"%s","end":"%s"}`, country, from, to)
		}
	}
	if quiet != "" {
		set.QuietHours, _ = policy.ParseQuietHours([]byte("{" + quiet[1:] + "}"))
	}
	set.FrequencyCap.Marketing.PerDay = rapid.IntRange(0, 1).Draw(t, "frequency cap")
	now := rapid.SampledFrom([]string{"2026-03-28T18:00:00Z", "2026-10-24T18:00:00Z", "2026-11-23T10:00:00Z"}).Draw(t, "now")
	groups := func(name string) []Group {
		all := []Group{agreed(rapid.Int64Range(0, 30_000).Draw(t, name))}
		if rapid.Bool().Draw(t, "more") {
			all = append(all, Group{Targets: rapid.Int64Range(1, 500).Draw(t, "capped"), OptedIn: true,
				CappedUntil: at(now).Add(time.Duration(rapid.IntRange(0, 36*60).Draw(t, "until")) * time.Minute)},
				Group{Targets: rapid.Int64Range(1, 50).Draw(t, "out"), OptedOut: true})
		}
		return all
	}
	in := input(set, now, rwanda(groups("rwanda")...), malta(groups("malta")...))
	in.Start = in.Now.Add(time.Duration(rapid.IntRange(-1, 20).Draw(t, "hours")) * time.Hour)
	in.Rate = rapid.SampledFrom([]float64{0.7, 10, 80, 1500}).Draw(t, "rate")
	for n := range rapid.IntRange(0, 3).Draw(t, "used") {
		in.Ledger = append(in.Ledger, Use{in.Now.Add(time.Duration(n-3) * 20 * time.Second), rapid.Int64Range(1, 400).Draw(t, "n")})
	}
	if rapid.Bool().Draw(t, "tier") {
		in.Limits.Tier = rapid.IntRange(2000, 20_000).Draw(t, "tier")
	}
	return in
}

func TestForecastsKeepTheRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		if rapid.Bool().Draw(t, "others") {
			in.Others = []Load{{Marketing: true, Weight: 2, Cohorts: []Cohort{malta(agreed(rapid.Int64Range(0, 20_000).Draw(t, "theirs")))}}}
		}
		f := Make(in)
		blocked := f.Permitted
		for _, b := range f.Blocked {
			blocked += b.Targets
		}
		require.Equal(t, f.Targets, blocked, "each target has one reason")
		require.Nil(t, f.Never)
		require.Equal(t, f.Sendable, sum(f.Waves), "each that may goes once")
		require.LessOrEqual(t, len(f.Waves), mostWaves)
		require.LessOrEqual(t, len(f.Steps), mostSteps)
		require.LessOrEqual(t, f.PeakPerMinute, int64(in.Limits.PerMinute))
		if f.Sendable == 0 {
			require.Nil(t, f.FinishesAt)
			return
		}
		require.Equal(t, f.Sendable, f.Steps[len(f.Steps)-1].SentTotal)
		last := f.At
		for _, w := range f.Waves {
			require.False(t, w.From.Before(f.At))
			for _, p := range w.Cohorts {
				last = later(last, p.To)
				if w.Merged == 0 {
					open(t, in, p)
				}
			}
		}
		require.WithinDuration(t, *f.FinishesAt, last, time.Minute+time.Second, "the last wave ends it")
	})
}

// open makes sure that a part lies between quiet hours.
func open(t *rapid.T, in Input, p Part) {
	d, next := in.Settings.Until(policy.Subject{Channel: in.Channel, Country: p.Country, Zone: p.Zone, Locale: p.Locale}, p.From)
	require.True(t, d.Permitted, "%v", p)
	require.True(t, next.IsZero() || !p.To.After(next), "%v %v", p, next)
}

// The ledger's own rule, looked at as closely as the simulation goes: no window holds more than the cap, and none
// holds less while somebody could go.
func TestNoWindowHoldsMoreThanTheCap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		in.oneByOne = true
		s := simulate(in, func(s *simulation) bool { return s.left(own) < crumb })
		for _, p := range s.sent.points {
			held := 0.
			for _, u := range in.Ledger {
				if age := p.t - u.At.Sub(in.Now).Seconds(); age < Window.Seconds() {
					held += float64(u.N)
				}
			}
			before := s.sent.at(p.t - Window.Seconds())
			if p.n-before > crumb {
				require.LessOrEqual(t, p.n-before+held, math.Max(float64(in.Limits.PerMinute), held)+2*crumb)
			}
			if in.Limits.Tier > 0 {
				require.LessOrEqual(t, p.n-s.sent.at(p.t-24*3600), float64(in.Limits.Tier)+2*crumb)
			}
		}
	})
}

func TestManyWindowsAtOnceAreAsManyOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		f := Make(in)
		in.oneByOne = true
		g := Make(in)
		require.Equal(t, g.FinishesAt == nil, f.FinishesAt == nil)
		if in.Limits.Tier > 0 { // a day's tier comes back by the minute or evenly, not in bursts
			if f.FinishesAt != nil {
				days := g.FinishesAt.Sub(in.Now)/(24*time.Hour) + 2
				require.WithinDuration(t, *g.FinishesAt, *f.FinishesAt, days*Window)
			}
			return
		}
		if f.FinishesAt != nil {
			require.WithinDuration(t, *g.FinishesAt, *f.FinishesAt, 10*time.Millisecond)
		}
		require.Len(t, f.Waves, len(g.Waves))
		for i := range f.Waves {
			require.InDelta(t, g.Waves[i].Targets, f.Waves[i].Targets, 1)
		}
	})
}

// Give or take a window, for when in it quiet hours end is another matter; and without a tier: who is through with a
// day's tier earlier may find quiet hours where the last one would go.
func TestMoreTakesLongerAndAHigherCapDoesNot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		in.Limits.Tier = 0
		more := in
		more.Own.Cohorts = []Cohort{in.Own.Cohorts[0], malta(append([]Group{agreed(rapid.Int64Range(1, 5000).Draw(t, "more targets"))}, in.Own.Cohorts[1].Groups...)...)}
		faster := in
		faster.Settings.Throttle = policy.Throttle{policy.ChannelWhatsApp: {PerMinute: in.Limits.PerMinute + rapid.IntRange(1, 100).Draw(t, "more permits")}}
		faster.Limits.PerMinute = faster.Settings.Throttle[policy.ChannelWhatsApp].PerMinute
		f := Make(in)
		if f.FinishesAt == nil {
			return
		}
		require.False(t, Make(more).FinishesAt.Before(f.FinishesAt.Add(-Window)))
		require.False(t, Make(faster).FinishesAt.After(f.FinishesAt.Add(Window)), "%v %v", *f.FinishesAt, *Make(faster).FinishesAt)
	})
}

func TestTheRateIsMeasuredWhileNothingHoldsItBack(t *testing.T) {
	t.Parallel()
	now := at("2026-11-23T10:00:00Z")
	uses := func(n int64, ages ...int) (all []Use) {
		for _, age := range ages {
			all = append(all, Use{now.Add(-time.Duration(age) * time.Second), n})
		}
		return all
	}
	wide := Limits{PerMinute: 6_000_000}
	rate, ok := Measure(append(uses(7, 50), uses(100, 5, 4, 3, 2, 1)...), wide, now)
	require.True(t, ok)
	require.InDelta(t, 100, rate, 1e-9, "since the last pause")
	for name, ledger := range map[string][]Use{"nothing": nil, "long ago": uses(100, 20, 19, 18, 17), "has just begun": uses(100, 1)} {
		_, ok := Measure(ledger, wide, now)
		require.False(t, ok, name)
	}
	_, ok = Measure(uses(100, 5, 4, 3, 2, 1), Limits{PerMinute: 500}, now)
	require.False(t, ok, "the ledger is full: that is the throttle's rate")
}
