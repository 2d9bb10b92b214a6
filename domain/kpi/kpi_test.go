package kpi_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/kpi"
	"lastcall/domain/policy"
	"lastcall/domain/probe"
)

var now = time.Date(2026, 11, 23, 15, 37, 12, 0, time.UTC)

func TestAShareOfNothingIsUnknown(t *testing.T) {
	t.Parallel()
	require.Nil(t, kpi.Rate(kpi.Delivery, kpi.LastDay(now), 0, 0).Value, "neither 0 nor 1")
	require.Zero(t, *kpi.Rate(kpi.Delivery, kpi.LastDay(now), 0, 4).Value)
	require.InDelta(t, 0.75, *kpi.Rate(kpi.Delivery, kpi.LastDay(now), 3, 4).Value, 1e-9)
	require.Zero(t, *kpi.Count(kpi.Sent, kpi.LastDay(now), 0).Value, "no message is a number of messages")
	failed := kpi.Failed(kpi.Sent, kpi.LastDay(now), "too_slow")
	require.Nil(t, failed.Value)
	require.Equal(t, "too_slow", failed.Problem)
}

func TestEveryFigureSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, name := range kpi.Names {
		f := kpi.Failed(name, kpi.LastDay(now), "x")
		require.NotEmpty(t, f.Title, name)
		require.NotEmpty(t, f.Formula, name)
		require.NotEmpty(t, f.Unit, name)
	}
	for _, reason := range policy.Precedence {
		require.NotEqual(t, string(reason), kpi.ReasonTitle(string(reason)))
	}
	require.Equal(t, "something new", kpi.ReasonTitle("something_new"))
}

func TestPercentIsNeverRoundedToAnEnd(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64]string{0: "0 %", 0.0004: "< 0.1 %", 0.001: "0.1 %", 0.05: "5.0 %", 0.976: "97.6 %", 0.99999: "99.9 %", 1: "100 %"} {
		require.Equal(t, want, kpi.Percent(share), share)
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	require.Equal(t, kpi.Window{From: time.Date(2026, 11, 22, 15, 30, 0, 0, time.UTC), To: now}, kpi.LastDay(now))
	require.Equal(t, kpi.Window{From: now.Add(-15 * time.Minute), To: now}, kpi.LastTime(now, kpi.Quarter))
}

// The days are those of the calendar of the zone, also where a clock is changed and where midnight is between two hours.
func TestDays(t *testing.T) {
	t.Parallel()
	for zone, begins := range map[string]string{"Africa/Kigali": "2026-10-24T22:00:00Z", "Europe/Malta": "2026-10-24T22:00:00Z", "Asia/Kathmandu": "2026-10-24T18:15:00Z"} {
		in, err := time.LoadLocation(zone)
		require.NoError(t, err)
		days, from := kpi.DaysOf(now, in)
		require.Len(t, days, kpi.Days)
		require.Equal(t, "2026-10-25", days[0].Day, zone)
		require.Equal(t, "2026-11-23", days[kpi.Days-1].Day, zone)
		require.Equal(t, begins, from.UTC().Format(time.RFC3339), zone)
		seen := map[string]bool{}
		for _, d := range days {
			require.False(t, seen[d.Day], "each once")
			seen[d.Day] = true
		}
		require.Equal(t, from.UTC(), from.UTC().Truncate(kpi.Quarter), "a day begins with a quarter of an hour")
	}
}

func TestAvailabilityIsThatOfTheWorstCriticalFunction(t *testing.T) {
	t.Parallel()
	w := kpi.LastDay(now)
	all := func(change func(p *kpi.FigurePart)) []kpi.FigurePart {
		var parts []kpi.FigurePart
		for _, f := range probe.Functions {
			p := kpi.FigurePart{Name: string(f.Name), N: 1000, Among: 1000, State: probe.Green}
			change(&p)
			parts = append(parts, p)
		}
		return parts
	}
	require.InDelta(t, 1, *kpi.Worst(w, all(func(*kpi.FigurePart) {})).Value, 1e-9)
	f := kpi.Worst(w, all(func(p *kpi.FigurePart) {
		switch probe.Name(p.Name) {
		case probe.Database:
			p.N = 900
		case probe.Messaging:
			p.N, p.Among = 50, 100
		case probe.Mail:
			p.N = 0 // not critical
		}
	}))
	require.InDelta(t, 0.5, *f.Value, 1e-9)
	require.Equal(t, []int64{50, 100}, []int64{f.Of, f.Among})
	require.Len(t, f.Parts, len(probe.Functions))
	require.Nil(t, kpi.Worst(w, all(func(p *kpi.FigurePart) {
		if p.Name == string(probe.Dispatcher) {
			p.N, p.Among = 0, 0
		}
	})).Value, "one of them is unknown")
	require.Nil(t, kpi.Worst(w, nil).Value)
}
