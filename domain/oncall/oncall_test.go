package oncall

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	malta, err := time.LoadLocation("Europe/Malta")
	require.NoError(t, err)
	local := func(text string) time.Time {
		at, err := time.ParseInLocation(StartFormat, text, malta)
		require.NoError(t, err)
		return at
	}
	// Clocks go back on 25 October 2026 and forward on 28 March 2027: those weeks have 169 and 167 hours.
	r := Rota{Zone: "Europe/Malta", Starts: "2026-10-19T09:00", Members: []string{"a", "b", "c"}, Swaps: []Swap{{Week: "2026-11-04", Member: "a"}}}
	for at, want := range map[string]string{
		"2026-10-19T09:00": "a", "2026-10-26T08:59": "a", "2026-10-26T09:00": "b", "2026-11-02T08:59": "b",
		"2026-11-02T09:00": "a", // instead of c
		"2026-11-09T09:00": "a", "2027-03-29T08:59": "b", "2027-03-29T09:00": "c",
	} {
		turn, ok := r.At(local(at))
		require.True(t, ok, at)
		require.Equal(t, want, turn.Member, at)
		require.Equal(t, "09:00", turn.From.In(malta).Format("15:04"))
		require.Equal(t, "09:00", turn.Until.In(malta).Format("15:04"))
		require.False(t, local(at).Before(turn.From))
		require.True(t, local(at).Before(turn.Until))
	}
	longer, _ := r.At(local("2026-10-20T12:00"))
	require.Equal(t, 169*time.Hour, longer.Until.Sub(longer.From))
	shorter, _ := r.At(local("2027-03-24T12:00"))
	require.Equal(t, 167*time.Hour, shorter.Until.Sub(shorter.From))
	swapped, _ := r.At(local("2026-11-03T12:00"))
	require.True(t, swapped.Swapped)

	_, ok := r.At(local("2026-10-19T08:59"))
	require.False(t, ok, "it has not begun")
	_, ok = Rota{Zone: "Europe/Malta", Starts: "2026-10-19T09:00"}.At(local("2027-01-01T00:00"))
	require.False(t, ok, "nobody is on it")

	next := r.Next(local("2026-10-01T00:00"), 4)
	require.Len(t, next, 4)
	for i, want := range []string{"a", "b", "a", "a"} {
		require.Equal(t, want, next[i].Member)
		if i > 0 {
			require.Equal(t, next[i-1].Until, next[i].From, "nobody is between two turns")
		}
	}
}
