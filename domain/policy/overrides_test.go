package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func lift(t *testing.T, from, until string) Lift {
	t.Helper()
	return Lift{ID: "o", From: at(t, from), Until: at(t, until)}
}

// TestAnOverrideLiftsQuietHours: night() is quiet in Rwanda from 22:00 to 06:00.
func TestAnOverrideLiftsQuietHours(t *testing.T) {
	t.Parallel()
	s, enough := night(), Budget{Available: 1}
	s.Consent.Required = false
	sub := Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali", Lift: lift(t, "2026-11-23T23:00:00+02:00", "2026-11-24T01:00:00+02:00")}
	for _, c := range []struct {
		now, retry, why string
		permitted       bool
		override        string
	}{
		{now: "2026-11-23T21:00:00+02:00", permitted: true},
		{now: "2026-11-23T22:30:00+02:00", retry: "2026-11-23T23:00:00+02:00", why: "quiet hours RW until an override, 23:00 CAT"},
		{now: "2026-11-23T23:00:00+02:00", permitted: true, override: "o"},
		{now: "2026-11-24T00:59:59.999999999+02:00", permitted: true, override: "o"},
		{now: "2026-11-24T01:00:00+02:00", retry: "2026-11-24T06:00:00+02:00", why: "quiet hours RW until 06:00 CAT"},
		{now: "2026-11-24T06:00:00+02:00", permitted: true},
	} {
		d := s.Evaluate(sub, enough, at(t, c.now))
		require.Equal(t, c.permitted, d.Permitted, "%s: %+v", c.now, d)
		require.Equal(t, c.override, d.OverrideID, c.now)
		if !c.permitted {
			require.Equal(t, InQuietHours, d.Reason)
			require.True(t, d.RetryAfter.Equal(at(t, c.retry)), "%s: %s", c.now, d.RetryAfter)
			require.True(t, d.NextWindow.Opens.Equal(*d.RetryAfter))
			require.Equal(t, c.why, d.Why)
		}
	}
	d := s.Clock(sub, at(t, "2026-11-23T22:30:00+02:00"))
	require.True(t, d.NextWindow.Closes.Equal(sub.Lift.Until), "the window that the override opens closes with it")
	_, next := s.Until(sub, at(t, "2026-11-23T23:30:00+02:00"))
	require.True(t, next.Equal(sub.Lift.Until), "%s", next)
	evening := sub
	evening.Lift = lift(t, "2026-11-23T21:00:00+02:00", "2026-11-23T23:00:00+02:00")
	_, next = s.Until(evening, at(t, "2026-11-23T21:30:00+02:00"))
	require.True(t, next.Equal(evening.Lift.Until), "quiet hours begin meanwhile, and do not hold: %s", next)
	morning := sub
	morning.Lift = lift(t, "2026-11-24T05:00:00+02:00", "2026-11-24T07:00:00+02:00")
	_, next = s.Until(morning, at(t, "2026-11-24T05:30:00+02:00"))
	require.True(t, next.Equal(at(t, "2026-11-24T22:00:00+02:00")), "quiet hours end meanwhile: %s", next)

	nowhere := sub
	nowhere.Zone = ""
	d, next = s.Until(nowhere, at(t, "2026-11-23T22:30:00+02:00"))
	require.Equal(t, "no known zone in RW: held until an override, 21:00 UTC", d.Why)
	require.True(t, next.Equal(sub.Lift.From))
	d, next = s.Until(nowhere, at(t, "2026-11-23T23:30:00+02:00"))
	require.True(t, d.Permitted && d.OverrideID == "o" && next.Equal(sub.Lift.Until), "%+v %s", d, next)
	d, next = s.Until(nowhere, at(t, "2026-11-24T01:30:00+02:00"))
	require.True(t, !d.Permitted && next.IsZero())
}

// TestAnOverrideLiftsNothingElse: whatever else blocks, blocks under an override, and first.
func TestAnOverrideLiftsNothingElse(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-11-23T23:30:00+02:00")
	sub := Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali", Lift: lift(t, "2026-11-23T23:00:00+02:00", "2026-11-24T01:00:00+02:00"),
		Marketing: true, OptedIn: true}
	for reason, change := range map[Reason]func(*Settings, *Subject, *Budget){
		DispatchDisabled: func(s *Settings, _ *Subject, _ *Budget) { s.Toggles.Dispatch = false },
		ChannelSuspended: func(_ *Settings, sub *Subject, _ *Budget) { sub.Suspensions = []Suspension{{Reason: ChannelSuspended}} },
		TemplateSuspended: func(_ *Settings, sub *Subject, _ *Budget) {
			sub.Suspensions = []Suspension{{Reason: TemplateSuspended}}
		},
		OptOut:    func(_ *Settings, sub *Subject, _ *Budget) { sub.OptedOut = true },
		NoConsent: func(s *Settings, sub *Subject, _ *Budget) { s.Consent.Required, sub.OptedIn = true, false },
		Throttled: func(_ *Settings, _ *Subject, b *Budget) { b.Available = 0 },
		FrequencyCapped: func(s *Settings, sub *Subject, _ *Budget) {
			s.FrequencyCap.Marketing.PerDay, sub.CappedUntil = 1, now.Add(time.Hour)
		},
	} {
		s, changed, b := night(), sub, Budget{Available: 1}
		require.True(t, s.Evaluate(changed, b, now).Permitted)
		change(&s, &changed, &b)
		d := s.Evaluate(changed, b, now)
		require.Equal(t, reason, d.Reason)
		require.Empty(t, d.Also, "quiet hours are lifted")
		require.Equal(t, "o", d.OverrideID)
	}
}

// TestNothingGoesInQuietHoursButByAnOverride asks for the rule itself: a message goes when it would without the override,
// or within the override; and what is said about the next change is so.
func TestNothingGoesInQuietHoursButByAnOverride(t *testing.T) {
	t.Parallel()
	zones := []string{"Africa/Kigali", "Europe/Malta", "America/New_York", "Pacific/Chatham", "", "UTC"}
	rapid.Check(t, func(t *rapid.T) {
		s := Defaults()
		s.Consent.Required = false
		s.MissingZone.Policy = rapid.SampledFrom([]ZonePolicy{Hold, Send}).Draw(t, "missing")
		text, err := json.Marshal(QuietHours{"RW": {Windows: genWindows.Draw(t, "windows")}})
		require.NoError(t, err)
		if s.QuietHours, err = ParseQuietHours(text); err != nil {
			t.Skip("never open")
		}
		now := time.Unix(rapid.Int64Range(1_760_000_000, 1_800_000_000).Draw(t, "now"), 0)
		from := now.Add(time.Duration(rapid.IntRange(-6*3600, 30*3600).Draw(t, "from")) * time.Second)
		bare := Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: rapid.SampledFrom(zones).Draw(t, "zone")}
		sub := bare
		sub.Lift = Lift{ID: "o", From: from, Until: from.Add(time.Duration(rapid.IntRange(1, 24*3600).Draw(t, "long")) * time.Second)}
		rule := func(at time.Time) {
			without, with := s.Evaluate(bare, Budget{Available: 1}, at), s.Evaluate(sub, Budget{Available: 1}, at)
			within := !at.Before(sub.Lift.From) && at.Before(sub.Lift.Until)
			require.Equal(t, without.Permitted || within, with.Permitted, "%s", at)
			require.Equal(t, within && !without.Permitted, with.OverrideID != "", "%s", at)
		}
		for _, at := range []time.Time{now, from.Add(-1), from, sub.Lift.Until.Add(-1), sub.Lift.Until} {
			rule(at)
		}
		d, next := s.Until(sub, now)
		if next.IsZero() {
			return
		}
		require.True(t, next.After(now))
		require.NotEqual(t, d.Permitted, s.Clock(sub, next).Permitted, "it changes at %s", next)
		for _, share := range []int64{1, 3, 7, 9} {
			between := now.Add(next.Sub(now) / 10 * time.Duration(share))
			require.Equal(t, d.Permitted, s.Clock(sub, between).Permitted, "and not before, at %s", between)
		}
	})
}

func TestParseOverrides(t *testing.T) {
	t.Parallel()
	o, err := ParseOverrides([]byte(`{"max_window":"90m","request_ttl":"48h"}`))
	require.NoError(t, err)
	require.Equal(t, Overrides{Span(90 * time.Minute), Span(48 * time.Hour)}, o)
	for _, bad := range []string{`{}`, `7`, `{"max_window":"25h","request_ttl":"1h"}`, `{"max_window":"1s","request_ttl":"1h"}`, `{"max_window":"1h","request_ttl":"721h"}`,
		`{"max_window":"1h","request_ttl":"1h","x":1}`, `{"max_window":4,"request_ttl":"1h"}`} {
		_, err := ParseOverrides([]byte(bad))
		require.Error(t, err, bad)
	}
}
