package policy

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain/contact"
)

func TestOverrideThatWins(t *testing.T) {
	t.Parallel()
	hours, err := ParseQuietHours([]byte(`{"MT":{"start":"22:00","end":"06:00","overrides":[
		{"channel":"whatsapp","start":"01:00","end":"02:00"},
		{"locale":"en","start":"03:00","end":"04:00"},
		{"locale":"en","channel":"whatsapp","start":"05:00","end":"06:00"},
		{"locale":"en-MT","start":"07:00","end":"08:00"},
		{"locale":"fr","windows":[]}]}}`))
	require.NoError(t, err)
	for _, c := range []struct{ name, locale, channel, start string }{
		{"none fits", "mt-MT", "sms", "22:00"},
		{"nothing known", "", "sms", "22:00"},
		{"the channel", "mt-MT", ChannelWhatsApp, "01:00"},
		{"the channel, no locale", "", ChannelWhatsApp, "01:00"},
		{"the language", "en-GB", "sms", "03:00"},
		{"the language itself", "en", "sms", "03:00"},
		{"no language that begins alike", "enm", "sms", "22:00"},
		{"language and channel before each alone", "en-GB", ChannelWhatsApp, "05:00"},
		{"the longer locale before a shorter one with channel", "en-MT", ChannelWhatsApp, "07:00"},
		{"lifted, before the channel", "fr-FR", ChannelWhatsApp, ""},
	} {
		got := hours["MT"].For(c.locale, c.channel)
		if c.start == "" {
			require.Empty(t, got, c.name)
			continue
		}
		require.Len(t, got, 1, c.name)
		require.Equal(t, c.start, got[0].Start.String(), c.name)
	}
}

// 2026-11-27 is a Friday; Kigali is UTC+2 all year.
func TestWeekdays(t *testing.T) {
	t.Parallel()
	hours, err := ParseQuietHours([]byte(`{"RW":{"windows":[
		{"start":"22:00","end":"06:00","days":["mon","tue","wed","thu"]},
		{"start":"23:30","end":"08:00","days":["fri","sat"]},
		{"start":"00:00","end":"24:00","days":["sun"]}]}}`))
	require.NoError(t, err)
	s := Defaults()
	s.QuietHours = hours
	for _, c := range []struct{ name, now, opens, closes string }{
		{"thursday night", "2026-11-26T22:00:00+02:00", "2026-11-27T06:00:00+02:00", "2026-11-27T23:30:00+02:00"},
		{"friday evening", "2026-11-27T23:29:59+02:00", "", ""},
		{"friday night", "2026-11-27T23:30:00+02:00", "2026-11-28T08:00:00+02:00", "2026-11-28T23:30:00+02:00"},
		{"friday's, on saturday", "2026-11-28T07:59:59+02:00", "2026-11-28T08:00:00+02:00", "2026-11-28T23:30:00+02:00"},
		{"saturday night runs into sunday", "2026-11-28T23:45:00+02:00", "2026-11-30T00:00:00+02:00", "2026-11-30T22:00:00+02:00"},
		{"sunday noon", "2026-11-29T12:00:00+02:00", "2026-11-30T00:00:00+02:00", "2026-11-30T22:00:00+02:00"},
		{"sunday has no night of its own", "2026-11-30T00:00:00+02:00", "", ""},
		{"monday night", "2026-11-30T23:00:00+02:00", "2026-12-01T06:00:00+02:00", "2026-12-01T22:00:00+02:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := s.Clock(Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali"}, at(t, c.now))
			require.Equal(t, c.opens == "", d.Permitted)
			if !d.Permitted {
				require.Equal(t, c.opens, d.NextWindow.Opens.Format(time.RFC3339))
				require.Equal(t, c.closes, d.NextWindow.Closes.Format(time.RFC3339))
			}
		})
	}
}

func TestWhyNamesTheDateWhenItIsFar(t *testing.T) {
	t.Parallel()
	s := Defaults()
	s.QuietHours = QuietHours{"RW": {Windows: []Window{{0, endOfDay, DaysOf(time.Saturday)}, {0, endOfDay, DaysOf(time.Sunday)}}}}
	sub := Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali"}
	require.Equal(t, "quiet hours RW until Mon 30 Nov 00:00 CAT", s.Clock(sub, at(t, "2026-11-28T09:00:00+02:00")).Why)
	require.Equal(t, "quiet hours RW until 00:00 CAT", s.Clock(sub, at(t, "2026-11-29T09:00:00+02:00")).Why)
}

// Hours without an end, which the parser refuses, must not hang whoever asks.
func TestHoursThatNeverEnd(t *testing.T) {
	t.Parallel()
	s := Defaults()
	s.QuietHours = QuietHours{"RW": daily(0, endOfDay)}
	d := s.Clock(Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali"}, at(t, "2026-11-28T09:00:00+02:00"))
	require.Equal(t, InQuietHours, d.Reason)
}

func TestQuietHoursFormsPrintBack(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`,
		`{"RW":{"start":"22:00","end":"06:00"}}`,
		`{"RW":{"start":"22:00","end":"24:00","days":["mon","sun"]}}`,
		`{"MT":{"windows":[{"start":"22:00","end":"06:00"},{"start":"13:00","end":"15:00","days":["sat"]}]},"RW":{"start":"22:00","end":"06:00"}}`,
		`{"RW":{"windows":[],"overrides":[{"channel":"whatsapp","start":"22:00","end":"06:00"}]}}`,
		`{"RW":{"start":"22:00","end":"06:00","days":["tue"],"overrides":[{"locale":"en-MT","windows":[]},{"locale":"en","channel":"whatsapp","start":"01:00","end":"02:00"}]}}`,
	} {
		hours, err := ParseQuietHours([]byte(text))
		require.NoError(t, err, text)
		back, err := json.Marshal(hours)
		require.NoError(t, err)
		require.Equal(t, text, string(back))
	}
	all, err := ParseQuietHours([]byte(`{"RW":{"start":"22:00","end":"06:00","days":["sun","mon","tue","wed","thu","fri","sat"]}}`))
	require.NoError(t, err)
	require.Equal(t, QuietHours{"RW": daily(22*60, 6*60)}, all)
}

// genWindows draws none to three windows of a week.
var genWindows = rapid.Custom(func(t *rapid.T) []Window {
	var all []Window
	for range rapid.IntRange(0, 3).Draw(t, "windows") {
		w := Window{Start: Clock(rapid.IntRange(0, 24*60-1).Draw(t, "start")), End: Clock(rapid.IntRange(0, 24*60).Draw(t, "end"))}
		if w.Start == w.End {
			w.End++
		}
		w.Days = DaysOf(rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 6), func(d int) time.Weekday { return time.Weekday(d) }), 0, 7).Draw(t, "days")...)
		all = append(all, w)
	}
	return all
})

// TestNothingGoesInQuietHours asks the whole engine, over zones, windows, weekdays, overrides, locales,
// channels and instants, most of them near a clock change. The oracle knows wall clocks only.
func TestNothingGoesInQuietHours(t *testing.T) {
	t.Parallel()
	locales := []string{"", "en", "en-MT", "en-GB", "mt-MT"}
	rapid.Check(t, func(t *rapid.T) {
		h := Hours{Windows: genWindows.Draw(t, "country")}
		for _, locale := range locales[:3] {
			for _, channel := range []string{"", ChannelWhatsApp} {
				if (locale != "" || channel != "") && rapid.IntRange(0, 3).Draw(t, "override") == 0 {
					h.Overrides = append(h.Overrides, Override{locale, channel, genWindows.Draw(t, "windows")})
				}
			}
		}
		text, err := json.Marshal(QuietHours{"MT": h})
		require.NoError(t, err)
		s := Defaults()
		if s.QuietHours, err = ParseQuietHours(text); err != nil {
			require.ErrorContains(t, err, "no minute of the week")
			t.Skip("never open")
		}

		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		loc, err := contact.LoadZone(zone)
		require.NoError(t, err)
		now := time.Unix(rapid.Int64Range(0, 2_500_000_000).Draw(t, "now"), 0).In(loc) // until 2049
		if _, change := now.ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
			now = change.Add(time.Duration(rapid.IntRange(-30*3600, 30*3600).Draw(t, "seconds")) * time.Second)
		}
		sub := Subject{Channel: ChannelWhatsApp, Country: "MT", Zone: zone, Locale: rapid.SampledFrom(locales).Draw(t, "locale")}
		d := s.Evaluate(sub, Budget{Available: 1}, now)
		holds := expected(h, sub)
		if d.Permitted {
			require.False(t, insideAny(holds, now), "sent at %s in quiet hours %v", now, holds)
			return
		}
		require.Equal(t, InQuietHours, d.Reason)
		if !insideAny(holds, now) {
			require.True(t, changesWithin(now, 50*time.Hour), "held, though no window holds and no clock was changed")
		}
		require.True(t, d.RetryAfter.After(now))
		require.True(t, s.Evaluate(sub, Budget{Available: 1}, *d.RetryAfter).Permitted, "it may go when it was told it may")
		require.False(t, s.Evaluate(sub, Budget{Available: 1}, d.RetryAfter.Add(-time.Second)).Permitted, "and not earlier")
		require.False(t, s.Evaluate(sub, Budget{Available: 1}, d.NextWindow.Closes).Permitted)
		require.True(t, s.Evaluate(sub, Budget{Available: 1}, d.NextWindow.Closes.Add(-time.Second)).Permitted, "open until it closes")
	})
}

// expected says which windows hold, by going through the places in the order of precedence.
func expected(h Hours, sub Subject) []Window {
	locales := []string{sub.Locale}
	if len(sub.Locale) > 2 {
		locales = append(locales, sub.Locale[:2])
	}
	for _, locale := range append(locales, "") {
		for _, channel := range []string{sub.Channel, ""} {
			if i := slices.IndexFunc(h.Overrides, func(o Override) bool { return o.Locale == locale && o.Channel == channel }); i >= 0 {
				return h.Overrides[i].Windows
			}
		}
	}
	return h.Windows
}

// insideAny reports whether wall clock and calendar read a time inside a window.
func insideAny(all []Window, t time.Time) bool {
	clock := Clock(t.Hour()*60 + t.Minute())
	return slices.ContainsFunc(all, func(w Window) bool {
		today, yesterday := w.Days.Has(t.Weekday()), w.Days.Has((t.Weekday()+6)%7)
		if w.Start < w.End {
			return today && w.Start <= clock && clock < w.End
		}
		return today && clock >= w.Start || yesterday && clock < w.End
	})
}

// changesWithin reports whether the clock is changed less than d before or after t.
func changesWithin(t time.Time, d time.Duration) bool {
	_, before := t.Add(-d).Zone()
	for at := t.Add(-d); at.Before(t.Add(d)); at = at.Add(time.Minute) {
		if _, offset := at.Zone(); offset != before {
			return true
		}
	}
	return false
}
