package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain/contact"
)

func window(t require.TestingT, start, end string) (w Window) {
	require.NoError(t, w.Start.UnmarshalText([]byte(start)))
	require.NoError(t, w.End.UnmarshalText([]byte(end)))
	return w
}

// On 2026-03-29 at 01:00 UTC clocks in Malta go from 02:00 CET to 03:00 CEST; on 2026-10-25 at 01:00 UTC they go
// from 03:00 CEST back to 02:00 CET.
func TestQuietHoursInMalta(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, start, end, now, until string }{
		{"evening before", "22:00", "06:00", "2026-07-01T19:59:59Z", ""},
		{"start", "22:00", "06:00", "2026-07-01T20:00:00Z", "2026-07-02T04:00:00Z"},
		{"before midnight", "22:00", "06:00", "2026-07-01T21:59:59Z", "2026-07-02T04:00:00Z"},
		{"midnight", "22:00", "06:00", "2026-07-01T22:00:00Z", "2026-07-02T04:00:00Z"},
		{"last second", "22:00", "06:00", "2026-07-02T03:59:59Z", "2026-07-02T04:00:00Z"},
		{"end", "22:00", "06:00", "2026-07-02T04:00:00Z", ""},
		{"afternoon", "13:00", "15:00", "2026-01-01T13:59:59Z", "2026-01-01T14:00:00Z"},
		{"after the afternoon", "13:00", "15:00", "2026-01-01T14:00:00Z", ""},
		{"until midnight", "22:00", "00:00", "2026-01-01T22:59:59Z", "2026-01-01T23:00:00Z"},
		{"at midnight", "22:00", "00:00", "2026-01-01T23:00:00Z", ""},
		{"from midnight", "00:00", "06:00", "2025-12-31T23:00:00Z", "2026-01-01T05:00:00Z"},
		{"all but a minute", "06:00", "05:59", "2026-01-01T05:00:00Z", "2026-01-02T04:59:00Z"},
		{"that minute", "06:00", "05:59", "2026-01-01T04:59:30Z", ""},

		{"spring, before", "22:00", "06:00", "2026-03-28T20:59:59Z", ""},
		{"spring", "22:00", "06:00", "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z"},
		{"spring, last second", "22:00", "06:00", "2026-03-29T03:59:59Z", "2026-03-29T04:00:00Z"},
		{"spring, end", "22:00", "06:00", "2026-03-29T04:00:00Z", ""},
		{"end in the gap", "22:00", "02:30", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"},
		{"end in the gap, last second", "22:00", "02:30", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"},
		{"end in the gap, over", "22:00", "02:30", "2026-03-29T01:00:00Z", ""},
		{"end where the gap starts", "22:00", "02:00", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"},
		{"end where the gap ends", "22:00", "03:00", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"},
		{"end where the gap ends, over", "22:00", "03:00", "2026-03-29T01:00:00Z", ""},
		{"start in the gap, before", "02:30", "06:00", "2026-03-29T00:59:59Z", ""},
		{"start in the gap", "02:30", "06:00", "2026-03-29T01:00:00Z", "2026-03-29T04:00:00Z"},
		{"start where the gap starts", "02:00", "06:00", "2026-03-29T01:00:00Z", "2026-03-29T04:00:00Z"},
		{"start where the gap starts, before", "02:00", "06:00", "2026-03-29T00:59:59Z", ""},
		{"all in the gap, before", "02:15", "02:45", "2026-03-29T00:59:59Z", ""},
		{"all in the gap, after", "02:15", "02:45", "2026-03-29T01:00:00Z", ""},
		{"just the gap", "02:00", "03:00", "2026-03-29T01:00:00Z", ""},
		{"only the gap is open", "03:00", "02:00", "2026-03-28T12:00:00Z", "2026-03-30T00:00:00Z"},

		{"autumn, before", "22:00", "06:00", "2026-10-24T19:59:59Z", ""},
		{"autumn", "22:00", "06:00", "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z"},
		{"autumn, last second", "22:00", "06:00", "2026-10-25T04:59:59Z", "2026-10-25T05:00:00Z"},
		{"autumn, end", "22:00", "06:00", "2026-10-25T05:00:00Z", ""},
		{"end in the overlap", "22:00", "02:30", "2026-10-24T22:00:00Z", "2026-10-25T01:30:00Z"},
		{"end in the overlap, first pass", "22:00", "02:30", "2026-10-25T00:29:59Z", "2026-10-25T01:30:00Z"},
		{"end in the overlap, between", "22:00", "02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"end in the overlap, second pass", "22:00", "02:30", "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z"},
		{"end in the overlap, over", "22:00", "02:30", "2026-10-25T01:30:00Z", ""},
		{"end where the overlap starts", "22:00", "02:00", "2026-10-24T23:59:59Z", "2026-10-25T00:00:00Z"},
		{"end where the overlap starts, first pass", "22:00", "02:00", "2026-10-25T00:00:00Z", ""},
		{"end where the overlap starts, second pass", "22:00", "02:00", "2026-10-25T01:00:00Z", ""},
		{"end where the overlap ends", "22:00", "03:00", "2026-10-25T00:59:59Z", "2026-10-25T02:00:00Z"},
		{"end where the overlap ends, over", "22:00", "03:00", "2026-10-25T02:00:00Z", ""},
		{"start in the overlap, before", "02:30", "06:00", "2026-10-25T00:29:59Z", ""},
		{"start in the overlap", "02:30", "06:00", "2026-10-25T00:30:00Z", "2026-10-25T05:00:00Z"},
		{"start in the overlap, second pass", "02:30", "06:00", "2026-10-25T01:15:00Z", "2026-10-25T05:00:00Z"},
		{"start where the overlap ends", "03:00", "06:00", "2026-10-25T00:59:59Z", ""},
		{"start where the overlap ends, second pass", "03:00", "06:00", "2026-10-25T01:59:59Z", ""},
		{"start where the overlap ends, over", "03:00", "06:00", "2026-10-25T02:00:00Z", "2026-10-25T05:00:00Z"},
		{"all in the overlap, before", "02:15", "02:45", "2026-10-25T00:14:59Z", ""},
		{"all in the overlap", "02:15", "02:45", "2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z"},
		{"all in the overlap, between", "02:15", "02:45", "2026-10-25T01:00:00Z", "2026-10-25T01:45:00Z"},
		{"all in the overlap, over", "02:15", "02:45", "2026-10-25T01:45:00Z", ""},
		{"last day of a leap year", "22:00", "06:00", "2040-12-31T22:30:00Z", "2041-01-01T05:00:00Z"},
		{"last day of a leap year, open", "22:00", "06:00", "2040-12-31T12:00:00Z", ""},
		{"one night runs into the next", "02:40", "02:20", "2026-10-24T12:00:00Z", "2026-10-26T01:20:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			loc, err := contact.LoadZone("Europe/Malta")
			require.NoError(t, err)
			until, quiet := windows{window(t, c.start, c.end)}.until(at(t, c.now), loc)
			require.Equal(t, c.until != "", quiet)
			if quiet {
				require.Equal(t, c.until, until.UTC().Format(time.RFC3339))
			}
		})
	}
}

func TestNextWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, start, end, zone, now, opens, closes string }{
		{"plain", "22:00", "06:00", "Africa/Kigali", "2026-11-23T21:00:00Z", "2026-11-24T06:00:00+02:00", "2026-11-24T22:00:00+02:00"},
		{"afternoon", "13:00", "15:00", "Africa/Kigali", "2026-11-23T12:00:00Z", "2026-11-23T15:00:00+02:00", "2026-11-24T13:00:00+02:00"},
		{"spring", "22:00", "06:00", "Europe/Malta", "2026-03-28T23:00:00Z", "2026-03-29T06:00:00+02:00", "2026-03-29T22:00:00+02:00"},
		{"end in the gap", "22:00", "02:30", "Europe/Malta", "2026-03-28T23:00:00Z", "2026-03-29T03:00:00+02:00", "2026-03-29T22:00:00+02:00"},
		{"the next night is in the gap", "02:15", "02:45", "Europe/Malta", "2026-03-28T01:20:00Z", "2026-03-28T02:45:00+01:00", "2026-03-30T02:15:00+02:00"},
		{"the next start is in the gap", "02:15", "04:00", "Europe/Malta", "2026-03-28T02:00:00Z", "2026-03-28T04:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"the next start is in the overlap", "02:15", "04:00", "Europe/Malta", "2026-10-24T01:00:00Z", "2026-10-24T04:00:00+02:00", "2026-10-25T02:15:00+02:00"},
		{"end in the overlap", "22:00", "02:30", "Europe/Malta", "2026-10-25T00:40:00Z", "2026-10-25T02:30:00+01:00", "2026-10-25T22:00:00+01:00"},
		{"a midnight that does not exist", "22:00", "00:00", "America/Santiago", "2026-09-06T03:30:00Z", "2026-09-06T01:00:00-03:00", "2026-09-06T22:00:00-03:00"},
		{"a clock set back over midnight", "00:00", "06:00", "America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-07T06:00:00-03:30", "2010-11-08T00:00:00-03:30"},
		{"a day that does not exist", "22:00", "06:00", "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-31T06:00:00+14:00", "2011-12-31T22:00:00+14:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := Defaults()
			s.QuietHours["RW"] = Hours{Windows: []Window{window(t, c.start, c.end)}}
			d := s.Clock(Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: c.zone}, at(t, c.now))
			require.NotNil(t, d.NextWindow)
			require.Equal(t, c.opens, d.NextWindow.Opens.Format(time.RFC3339))
			require.Equal(t, c.closes, d.NextWindow.Closes.Format(time.RFC3339))
		})
	}
}

// zones change their clocks at all hours, by one hour, half an hour or a whole day; some never do.
var zones = []string{"Africa/Kigali", "Europe/Malta", "America/New_York", "America/Santiago", "America/Asuncion",
	"America/St_Johns", "Asia/Beirut", "Asia/Kathmandu", "Asia/Tehran", "Africa/Cairo", "Africa/Casablanca",
	"Africa/Monrovia", "Atlantic/Azores", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham",
	"Pacific/Kwajalein", "Pacific/Kiritimati", "Antarctica/Troll", "UTC"}

func TestQuietHoursHoldEverywhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		loc, err := contact.LoadZone(rapid.SampledFrom(zones).Draw(t, "zone"))
		require.NoError(t, err)
		clock := rapid.OneOf(rapid.IntRange(0, 24*60-1), rapid.IntRange(0, 4*60))
		w := Window{Start: Clock(clock.Draw(t, "start")), End: Clock(clock.Draw(t, "end"))}
		if w.Start == w.End {
			t.Skip("no window")
		}
		now := time.Unix(rapid.Int64Range(0, 2_500_000_000).Draw(t, "now"), 0).In(loc) // until 2049
		if _, change := now.ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
			now = change.Add(time.Duration(rapid.IntRange(-30*3600, 30*3600).Draw(t, "seconds")) * time.Second)
		}
		quiet := func(instant time.Time) bool { _, q := windows{w}.until(instant, loc); return q }

		end, isQuiet := windows{w}.until(now, loc)
		if !isQuiet {
			require.False(t, inside(w, now), "permitted, though the wall clock is inside")
			return
		}
		if !inside(w, now) {
			require.True(t, setBackWithin(now, 26*time.Hour), "blocked, though the wall clock is outside and no clock was set back")
		}
		require.True(t, end.After(now))
		require.False(t, quiet(end))
		require.True(t, quiet(end.Add(-time.Second)))
		require.True(t, inside(w, end.Add(-time.Second)), "the quiet ends when the wall clock leaves the window")
		for i := range 20 {
			require.True(t, quiet(now.Add(end.Sub(now)*time.Duration(i)/20)), "quiet until the end")
		}

		next := windows{w}.next(end)
		require.True(t, next.After(end))
		require.True(t, quiet(next))
		require.True(t, inside(w, next))
		require.False(t, quiet(next.Add(-time.Second)))
		for i := range 20 {
			require.False(t, quiet(end.Add(next.Sub(end)*time.Duration(i)/20)), "open until the next start")
		}
	})
}

// inside reports whether the wall clock reads a time inside the window.
func inside(w Window, t time.Time) bool {
	c := Clock(t.Hour()*60 + t.Minute())
	if w.Start < w.End {
		return w.Start <= c && c < w.End
	}
	return c >= w.Start || c < w.End
}

// setBackWithin reports whether the clock is set back less than d before or after t.
func setBackWithin(t time.Time, d time.Duration) bool {
	_, before := t.Add(-d).Zone()
	for at := t.Add(-d); at.Before(t.Add(d)); at = at.Add(time.Minute) {
		_, after := at.Zone()
		if after < before {
			return true
		}
		before = after
	}
	return false
}
