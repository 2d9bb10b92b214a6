package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func at(t require.TestingT, rfc3339 string) time.Time {
	instant, err := time.Parse(time.RFC3339, rfc3339)
	require.NoError(t, err)
	return instant
}

// daily is one window, every day.
func daily(start, end Clock) Hours { return Hours{Windows: []Window{{Start: start, End: end}}} }

// night has quiet hours in Rwanda, 22:00 to 06:00 CAT, which is UTC+2 all year.
func night() Settings {
	s := Defaults()
	s.Revision = 7
	s.QuietHours = QuietHours{"RW": daily(22*60, 6*60)}
	s.Throttle = Throttle{ChannelWhatsApp: {PerMinute: 60}}
	return s
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	const day, midnight = "2026-11-23T12:00:00Z", "2026-11-23T22:00:00Z"
	rw := Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali"}
	with := func(change func(*Subject)) Subject { s := rw; change(&s); return s }
	some := Budget{Available: 1}
	retry := at(t, "2026-11-23T22:00:30Z")
	none := Budget{RetryAfter: retry}
	off := func(s *Settings) { s.Toggles.Dispatch = false }
	provider := func(s *Settings) {
		s.Throttle[ChannelWhatsApp] = Cap{PerMinute: 60, PerSecond: 80, Tier: 2000, PairSeconds: 6}
	}
	capped := func(s *Settings) { s.FrequencyCap.Marketing.PerDay = 1 }

	for _, c := range []struct {
		name   string
		change func(*Settings)
		sub    Subject
		budget Budget
		now    string
		want   Decision
		opens  string
	}{
		{name: "nothing blocks", sub: rw, budget: some, now: day, want: Decision{Permitted: true}},
		{name: "opted out", sub: with(func(s *Subject) { s.OptedOut = true }), budget: some, now: day,
			want: Decision{Reason: OptOut, Why: "opted out"}},
		{name: "quiet hours", sub: rw, budget: some, now: midnight, opens: "2026-11-24T06:00:00+02:00",
			want: Decision{Reason: InQuietHours, Why: "quiet hours RW until 06:00 CAT"}},
		{name: "no quiet hours in this country", sub: with(func(s *Subject) { s.Country = "MT" }), budget: some, now: midnight,
			want: Decision{Permitted: true}},
		{name: "quiet hours without hours", change: func(s *Settings) { s.QuietHours["RW"] = daily(0, 0) },
			sub: with(func(s *Subject) { s.Zone = "America/St_Johns" }), budget: some, now: "2010-11-07T03:00:00Z", // between two midnights
			want: Decision{Permitted: true}},
		{name: "the zone counts, not the country", sub: with(func(s *Subject) { s.Zone = "America/New_York" }), budget: some, now: midnight,
			want: Decision{Permitted: true}},
		{name: "no zone", sub: with(func(s *Subject) { s.Zone = "" }), budget: some, now: day,
			want: Decision{Reason: InQuietHours, Why: "no known zone in RW: held"}},
		{name: "no such zone", sub: with(func(s *Subject) { s.Zone = "Africa/Atlantis" }), budget: some, now: day,
			want: Decision{Reason: InQuietHours, Why: "no known zone in RW: held"}},
		{name: "no zone where none is needed", sub: Subject{Channel: ChannelWhatsApp, Country: "US"}, budget: some, now: midnight,
			want: Decision{Permitted: true}},
		{name: "throttled", sub: rw, budget: none, now: day,
			want: Decision{Reason: Throttled, RetryAfter: &retry, Why: "whatsapp is throttled to 60 a minute"}},
		{name: "throttled, nobody knows how long", sub: rw, now: day,
			want: Decision{Reason: Throttled, Why: "whatsapp is throttled to 60 a minute"}},
		{name: "throttled by the second", change: provider, sub: rw, budget: Budget{RetryAfter: retry, Limit: PerSecond}, now: day,
			want: Decision{Reason: Throttled, RetryAfter: &retry, Why: "whatsapp is throttled to 80 a second"}},
		{name: "throttled by the tier", change: provider, sub: rw, budget: Budget{RetryAfter: retry, Limit: Tier}, now: day,
			want: Decision{Reason: Throttled, RetryAfter: &retry, Why: "whatsapp may write to 2000 recipients in 24 hours"}},
		{name: "throttled by the pair", change: provider, sub: rw, budget: Budget{RetryAfter: retry, Limit: Pair}, now: day,
			want: Decision{Reason: Throttled, RetryAfter: &retry, Why: "whatsapp may write to one recipient every 6 seconds"}},
		{name: "throttled by others", change: provider, sub: rw, budget: Budget{RetryAfter: retry, Limit: Share}, now: day,
			want: Decision{Reason: Throttled, RetryAfter: &retry, Why: "whatsapp is throttled to 60 a minute and 80 a second, shared with other campaigns"}},
		{name: "throttled by single sends", sub: rw, budget: Budget{RetryAfter: retry, Limit: SingleSend}, now: day,
			want: Decision{Reason: Throttled, RetryAfter: &retry, Why: "whatsapp is throttled to 60 a minute, and single sends go first"}},
		{name: "stopped", change: func(s *Settings) { s.Throttle[ChannelWhatsApp] = Cap{} }, sub: rw, budget: Budget{Available: 5, RetryAfter: retry}, now: day,
			want: Decision{Reason: Throttled, Why: "whatsapp is stopped: its throttle is 0 a minute"}},
		{name: "a channel without a cap", sub: with(func(s *Subject) { s.Channel = "sms" }), budget: some, now: day,
			want: Decision{Reason: Throttled, Why: "sms is stopped: its throttle is 0 a minute"}},
		{name: "template suspended", sub: with(func(s *Subject) {
			s.Suspensions = []Suspension{{Reason: TemplateSuspended, Why: "template promo is paused", NeedsHuman: true}}
		}), budget: some, now: day, want: Decision{Reason: TemplateSuspended, Why: "template promo is paused", NeedsHuman: true}},
		{name: "the channel before the template, both before the rest", sub: with(func(s *Subject) {
			s.OptedOut = true
			s.Suspensions = []Suspension{{Reason: TemplateSuspended, NeedsHuman: true}, {Reason: ChannelSuspended, Why: "down", Until: retry}}
		}), budget: none, now: midnight, want: Decision{Reason: ChannelSuspended, Why: "down", RetryAfter: &retry,
			Also: []Reason{TemplateSuspended, OptOut, InQuietHours, Throttled}}},
		{name: "slowed", sub: with(func(s *Subject) {
			s.Suspensions = []Suspension{{Reason: ChannelSlowed, Why: "too fast", Until: retry}}
		}), budget: none, now: day, want: Decision{Reason: ChannelSlowed, Why: "too fast", RetryAfter: &retry, Also: []Reason{Throttled}}},
		{name: "dispatch off", change: off, sub: rw, budget: some, now: day,
			want: Decision{Reason: DispatchDisabled, Why: "dispatch is switched off"}},

		{name: "no zone, sent", change: func(s *Settings) { s.MissingZone.Policy = Send }, sub: with(func(s *Subject) { s.Zone = "" }), budget: some, now: midnight,
			want: Decision{Permitted: true}},
		{name: "a known zone holds all the same", change: func(s *Settings) { s.MissingZone.Policy = Send }, sub: rw, budget: some, now: midnight,
			opens: "2026-11-24T06:00:00+02:00", want: Decision{Reason: InQuietHours, Why: "quiet hours RW until 06:00 CAT"}},
		{name: "no consent", sub: with(func(s *Subject) { s.Marketing = true }), budget: some, now: day,
			want: Decision{Reason: NoConsent, Why: "no recorded consent to marketing"}},
		{name: "consent not required", change: func(s *Settings) { s.Consent.Required = false }, sub: with(func(s *Subject) { s.Marketing = true }), budget: some, now: day,
			want: Decision{Permitted: true}},
		{name: "consent", sub: with(func(s *Subject) { s.Marketing, s.OptedIn = true, true }), budget: some, now: day, want: Decision{Permitted: true}},
		{name: "capped", change: capped, sub: with(func(s *Subject) { s.Marketing, s.OptedIn, s.CappedUntil = true, true, retry }), budget: some, now: day,
			want: Decision{Reason: FrequencyCapped, RetryAfter: &retry, Why: "frequency cap: 1 marketing a day"}},
		{name: "the cap has passed", change: capped, sub: with(func(s *Subject) { s.Marketing, s.OptedIn, s.CappedUntil = true, true, at(t, day) }), budget: some, now: day,
			want: Decision{Permitted: true}},
		{name: "no cap is set", sub: with(func(s *Subject) { s.Marketing, s.OptedIn, s.CappedUntil = true, true, retry }), budget: some, now: day,
			want: Decision{Permitted: true}},
		{name: "utility is not capped", change: capped, sub: with(func(s *Subject) { s.CappedUntil = retry }), budget: some, now: day,
			want: Decision{Permitted: true}},
		{name: "consent before quiet hours, throttle and cap", change: capped, sub: with(func(s *Subject) { s.Marketing, s.CappedUntil = true, retry }), budget: none, now: midnight,
			want: Decision{Reason: NoConsent, Also: []Reason{InQuietHours, Throttled, FrequencyCapped}, Why: "no recorded consent to marketing"}},
		{name: "opt-out before consent", sub: with(func(s *Subject) { s.Marketing, s.OptedOut = true, true }), budget: some, now: day,
			want: Decision{Reason: OptOut, Also: []Reason{NoConsent}, Why: "opted out"}},
		{name: "throttle before cap", change: capped, sub: with(func(s *Subject) { s.Marketing, s.OptedIn, s.CappedUntil = true, true, retry }), budget: none, now: day,
			want: Decision{Reason: Throttled, Also: []Reason{FrequencyCapped}, RetryAfter: &retry, Why: "whatsapp is throttled to 60 a minute"}},

		{name: "everything blocks", change: off, sub: with(func(s *Subject) { s.OptedOut = true }), budget: none, now: midnight,
			want: Decision{Reason: DispatchDisabled, Also: []Reason{OptOut, InQuietHours, Throttled}, Why: "dispatch is switched off"}},
		{name: "opt-out before quiet hours and throttle", sub: with(func(s *Subject) { s.OptedOut = true }), budget: none, now: midnight,
			want: Decision{Reason: OptOut, Also: []Reason{InQuietHours, Throttled}, Why: "opted out"}},
		{name: "quiet hours before throttle", sub: rw, budget: none, now: midnight, opens: "2026-11-24T06:00:00+02:00",
			want: Decision{Reason: InQuietHours, Also: []Reason{Throttled}, Why: "quiet hours RW until 06:00 CAT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := night()
			if c.change != nil {
				c.change(&s)
			}
			got := s.Evaluate(c.sub, c.budget, at(t, c.now))
			if c.opens != "" {
				require.NotNil(t, got.NextWindow)
				require.Equal(t, c.opens, got.NextWindow.Opens.Format(time.RFC3339))
				require.Equal(t, got.NextWindow.Opens, *got.RetryAfter)
				require.Equal(t, c.sub.Zone, got.NextWindow.Zone)
				got.NextWindow, got.RetryAfter = nil, nil
			}
			c.want.Revision = 7
			require.Equal(t, c.want, got)
		})
	}
}

func TestClockKnowsNeitherOptOutNorThrottle(t *testing.T) {
	t.Parallel()
	sub := Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali", OptedOut: true}
	s := night()
	s.Throttle = nil
	require.Equal(t, Decision{Permitted: true, Revision: 7}, s.Clock(sub, at(t, "2026-11-23T12:00:00Z")))

	quiet := s.Clock(sub, at(t, "2026-11-23T22:00:00Z"))
	require.Equal(t, InQuietHours, quiet.Reason)
	require.Empty(t, quiet.Also)

	s.Toggles.Dispatch = false
	off := s.Clock(sub, at(t, "2026-11-23T22:00:00Z"))
	require.Equal(t, DispatchDisabled, off.Reason)
	require.Equal(t, []Reason{InQuietHours}, off.Also)
}

func TestDecisionJSON(t *testing.T) {
	t.Parallel()
	sub := Subject{Channel: ChannelWhatsApp, Country: "RW", Zone: "Africa/Kigali"}
	for now, want := range map[string]string{
		"2026-11-23T12:00:00Z": `{"permitted":true,"policy_revision":7}`,
		"2026-11-23T22:00:00Z": `{"permitted":false,"reason":"quiet_hours","also":["throttled"],
			"retry_after":"2026-11-24T06:00:00+02:00",
			"next_window":{"opens":"2026-11-24T06:00:00+02:00","closes":"2026-11-24T22:00:00+02:00","zone":"Africa/Kigali"},
			"policy_revision":7,"why":"quiet hours RW until 06:00 CAT"}`,
	} {
		budget := Budget{}
		if now == "2026-11-23T12:00:00Z" {
			budget.Available = 1
		}
		got, err := json.Marshal(night().Evaluate(sub, budget, at(t, now)))
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
}

func TestDefaultsPermit(t *testing.T) {
	t.Parallel()
	require.True(t, Defaults().Evaluate(Subject{Channel: ChannelWhatsApp, Country: "RW"}, Budget{Available: 1}, time.Now()).Permitted)
	require.Equal(t, 6_000_000, Defaults().Throttle[ChannelWhatsApp].PerMinute)
}
