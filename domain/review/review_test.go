package review_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/review"
)

var malta = review.Hours{Zone: "Europe/Malta", At: "09:00", RemindAt: "12:00"}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return moment
}

func due(t *testing.T, h review.Hours, since, now string, factor int) ([]review.Day, review.Day) {
	t.Helper()
	days, next, err := h.Due(at(t, since), at(t, now), factor)
	require.NoError(t, err)
	return days, next
}

// The first review is of the first morning after the phase began; each is about the calendar day before.
func TestEachMorningHasItsReview(t *testing.T) {
	t.Parallel()
	kigali := review.Hours{Zone: "Africa/Kigali", At: "09:00", RemindAt: "12:00"}
	days, next := due(t, kigali, "2026-11-23T08:00:00Z", "2026-11-23T20:00:00Z", 1) // began at ten
	require.Empty(t, days)
	require.Equal(t, "2026-11-24", next.Name)
	days, next = due(t, kigali, "2026-11-23T06:59:59Z", "2026-11-25T06:59:59Z", 1) // began a second before nine
	require.Len(t, days, 2)
	require.Equal(t, "2026-11-23", days[0].Name)
	require.Equal(t, at(t, "2026-11-24T07:00:00Z"), days[1].Opens.UTC())
	require.Equal(t, at(t, "2026-11-24T10:00:00Z"), days[1].Reminds.UTC())
	require.Equal(t, at(t, "2026-11-22T22:00:00Z"), days[1].From.UTC())
	require.Equal(t, at(t, "2026-11-23T22:00:00Z"), days[1].To.UTC())
	require.Equal(t, "2026-11-25", next.Name)
	days, _ = due(t, kigali, "2026-11-23T06:59:59Z", "2026-11-25T07:00:00Z", 1)
	require.Len(t, days, 3, "to the second")
}

// In the nights in which Malta's clocks move there is one review all the same, at nine by those clocks; the day that it is about
// is an hour longer, or shorter.
func TestNightsInWhichTheClocksMove(t *testing.T) {
	t.Parallel()
	for _, night := range []struct {
		since, now string
		before     string // the opening on the day before
		opens      string // of the Sunday
		gap        time.Duration
		after      time.Duration // of the day that Monday's is about
	}{
		{"2026-10-23T12:00:00Z", "2026-10-26T23:00:00Z", "2026-10-24T07:00:00Z", "2026-10-25T08:00:00Z", 25 * time.Hour, 25 * time.Hour},
		{"2027-03-26T12:00:00Z", "2027-03-29T23:00:00Z", "2027-03-27T08:00:00Z", "2027-03-28T07:00:00Z", 23 * time.Hour, 23 * time.Hour},
	} {
		days, _ := due(t, malta, night.since, night.now, 1)
		require.Len(t, days, 3)
		require.Equal(t, at(t, night.before), days[0].Opens.UTC())
		require.Equal(t, at(t, night.opens), days[1].Opens.UTC())
		require.Equal(t, night.gap, days[1].Opens.Sub(days[0].Opens))
		require.Equal(t, night.after, days[2].To.Sub(days[2].From))
		for i, d := range days {
			require.Equal(t, 3*time.Hour, d.Reminds.Sub(d.Opens))
			if i > 0 {
				require.Equal(t, days[i-1].To, d.From, "no hour is left out, and none is looked at twice")
			}
		}
	}
	// At an hour that one of the nights does not have, and the other has twice.
	odd := review.Hours{Zone: "Europe/Malta", At: "02:30", RemindAt: "05:00"}
	for _, of := range [][2]string{{"2026-10-23T12:00:00Z", "2026-10-28T00:00:00Z"}, {"2027-03-26T12:00:00Z", "2027-03-31T00:00:00Z"}} {
		days, next := due(t, odd, of[0], of[1], 1)
		names := map[string]bool{}
		for i, d := range days {
			names[d.Name] = true
			require.True(t, i == 0 || d.Opens.After(days[i-1].Opens))
		}
		require.Len(t, names, 4)
		require.Len(t, days, 4)
		require.True(t, next.Opens.After(days[3].Opens))
	}
}

// In a rehearsal days pass faster, counted from the beginning of the phase.
func TestDaysOfARehearsal(t *testing.T) {
	t.Parallel()
	since := at(t, "2026-11-23T20:00:00Z")
	days, next, err := malta.Due(since, since.Add(59*time.Second), 1440)
	require.NoError(t, err)
	require.Empty(t, days)
	require.Equal(t, since.Add(time.Minute), next.Opens)
	days, next, err = malta.Due(since, since.Add(3*time.Minute), 1440)
	require.NoError(t, err)
	require.Len(t, days, 3)
	require.Equal(t, "day 3", days[2].Name)
	require.Equal(t, since.Add(2*time.Minute), days[2].From)
	require.Equal(t, 7500*time.Millisecond, days[2].Reminds.Sub(days[2].Opens), "three hours")
	require.Equal(t, since.Add(4*time.Minute), next.Opens)
}

func TestHoursThatNobodyKnows(t *testing.T) {
	t.Parallel()
	for _, h := range []review.Hours{{Zone: "Europe/Nowhere", At: "09:00", RemindAt: "12:00"}, {Zone: "Europe/Malta", At: "nine", RemindAt: "12:00"}, {Zone: "Europe/Malta", At: "09:00", RemindAt: ""}} {
		_, _, err := h.Due(time.Now().Add(-time.Hour), time.Now(), 1)
		require.Error(t, err, "%+v", h)
	}
}
