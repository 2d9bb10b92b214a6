package drill

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestSchedulesGoByTheZonesClocks(t *testing.T) {
	t.Parallel()
	malta, err := time.LoadLocation("Europe/Malta")
	require.NoError(t, err)
	local := func(text string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", text, malta)
		require.NoError(t, err)
		return at
	}
	weekly := Schedule{Scenario: "x", Days: []time.Weekday{time.Monday}, At: "10:00", Zone: "Europe/Malta"}
	daily := Schedule{Scenario: "x", Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}, At: "02:30", Zone: "Europe/Malta"}
	for _, c := range []struct {
		s          Schedule
		now        string
		last, next string
	}{
		{weekly, "2026-11-23 09:59:59", "2026-11-16 10:00:00", "2026-11-23 10:00:00"},
		{weekly, "2026-11-23 10:00:00", "2026-11-23 10:00:00", "2026-11-30 10:00:00"},
		{weekly, "2026-10-20 12:00:00", "2026-10-19 10:00:00", "2026-10-26 10:00:00"}, // clocks go back between: 10:00 all the same
		{daily, "2027-03-27 12:00:00", "2027-03-27 02:30:00", "2027-03-29 02:30:00"},  // 02:30 is skipped on the 28th
		{daily, "2027-03-29 02:00:00", "2027-03-27 02:30:00", "2027-03-29 02:30:00"},
	} {
		last, ok := c.s.Last(local(c.now))
		require.True(t, ok)
		require.Equal(t, c.last, last.Format("2006-01-02 15:04:05"), c.now)
		next, ok := c.s.Next(local(c.now))
		require.True(t, ok)
		require.Equal(t, c.next, next.Format("2006-01-02 15:04:05"), c.now)
	}
	twice, ok := daily.Next(local("2026-10-24 12:00:00")) // 02:30 comes twice on the 25th
	require.True(t, ok)
	require.Equal(t, "2026-10-25 02:30 +0200", twice.Format("2006-01-02 15:04 -0700"))
	again, _ := daily.Next(twice)
	require.Equal(t, "2026-10-26 02:30 +0100", again.Format("2006-01-02 15:04 -0700"), "and counts once")
}

func TestSchedulesAreChecked(t *testing.T) {
	t.Parallel()
	good := Schedule{Days: []time.Weekday{1}, At: "10:00", Zone: "Africa/Kigali"}
	require.NoError(t, good.Check())
	for code, spoil := range map[string]func(*Schedule){
		"bad_days": func(s *Schedule) { s.Days = nil }, "bad_time": func(s *Schedule) { s.At = "9:00" }, "bad_zone": func(s *Schedule) { s.Zone = "Kigali" }} {
		s := good
		spoil(&s)
		require.Equal(t, code, domain.CodeOf(s.Check()))
		_, ok := s.Next(time.Now())
		require.False(t, ok)
	}
	d, err := ParseDay("Mon")
	require.NoError(t, err)
	require.Equal(t, time.Monday, d)
	_, err = ParseDay("someday")
	require.Equal(t, "bad_days", domain.CodeOf(err))
}
