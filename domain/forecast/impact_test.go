package forecast_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/forecast"
	"lastcall/domain/policy"
)

func crowd(country, zone string, n int64) forecast.Crowd {
	return forecast.Crowd{Targets: n, Subject: policy.Subject{Channel: policy.ChannelWhatsApp, Country: country, Zone: zone, Marketing: true, OptedIn: true}}
}

func hoursOf(t *testing.T, text string) policy.Settings {
	t.Helper()
	set := policy.Defaults()
	var err error
	set.QuietHours, err = policy.ParseQuietHours([]byte(text))
	require.NoError(t, err)
	return set
}

// 21 UTC is 23:00 in Kigali and 22:00 in Valletta, in winter.
var evening = time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC)

func TestImpactInSentences(t *testing.T) {
	t.Parallel()
	none, night, longer := policy.Defaults(), hoursOf(t, `{"RW":{"start":"22:00","end":"06:00"}}`), hoursOf(t, `{"RW":{"start":"22:00","end":"08:00"}}`)
	consent, off, stopped := policy.Defaults(), policy.Defaults(), policy.Defaults()
	consent.Consent.Required, off.Toggles.Dispatch, stopped.Throttle = false, false, policy.Throttle{policy.ChannelWhatsApp: {}}
	out := crowd("RW", "Africa/Kigali", 588)
	out.Subject.OptedOut = true
	never := crowd("RW", "Africa/Kigali", 10)
	never.Subject.OptedIn = false
	crowds := []forecast.Crowd{crowd("RW", "Africa/Kigali", 8412), out, crowd("MT", "Europe/Malta", 500)}
	for name, c := range map[string]struct {
		before, after policy.Settings
		crowds        []forecast.Crowd
		blocked       int64
		freed         int64
		want          []string
	}{
		"quiet hours":        {none, night, crowds, 8412, 0, []string{"8,412 of 9,000 targets in RW would wait until Tue 24 Nov 06:00 CAT"}},
		"no quiet hours":     {night, none, crowds, 0, 8412, []string{"8,412 of 9,000 targets in RW would go at once instead of waiting until Tue 24 Nov 06:00 CAT"}},
		"longer quiet hours": {night, longer, crowds, 0, 0, []string{"8,412 of 9,000 targets in RW would wait until Tue 24 Nov 08:00 CAT instead of Tue 24 Nov 06:00 CAT"}},
		"nothing":            {night, night, crowds, 0, 0, nil},
		"consent":            {consent, none, []forecast.Crowd{never}, 10, 0, []string{"10 of 10 targets in RW would not be written to: no recorded consent to marketing"}},
		"no consent":         {none, consent, []forecast.Crowd{never}, 0, 10, []string{"10 of 10 targets in RW would go at once instead of not at all"}},
		"off":                {none, off, crowds[:1], 8412, 0, []string{"8,412 of 8,412 targets in RW would wait until somebody changes it: dispatch is switched off"}},
		"stopped":            {none, stopped, crowds[2:], 500, 0, []string{"500 of 500 targets in MT would wait until somebody changes it: whatsapp is stopped: its throttle is 0 a minute"}},
		"on":                 {off, none, crowds[:1], 0, 8412, []string{"8,412 of 8,412 targets in RW would go at once instead of waiting for somebody to change it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := forecast.Compare(c.before, c.after, c.crowds, evening)
			require.Equal(t, c.want, e.Sentences("targets", ""))
			require.Equal(t, []int64{c.blocked, c.freed}, []int64{e.Blocked, e.Freed})
			require.Equal(t, e.Before-e.Blocked+e.Freed, e.After)
		})
	}
}

func TestImpactOfCapsAndZones(t *testing.T) {
	t.Parallel()
	held, sent := hoursOf(t, `{"US":{"start":"22:00","end":"06:00"}}`), hoursOf(t, `{"US":{"start":"22:00","end":"06:00"}}`)
	sent.MissingZone.Policy = policy.Send
	e := forecast.Compare(held, sent, []forecast.Crowd{crowd("US", "", 7), crowd("US", "America/New_York", 3)}, evening)
	require.EqualValues(t, 7, e.Freed)

	capped := policy.Defaults()
	capped.FrequencyCap.Marketing.PerDay = 1
	tired := crowd("RW", "Africa/Kigali", 20)
	tired.CappedAfter = evening.Add(5 * time.Hour)
	later := crowd("RW", "Africa/Kigali", 30)
	later.CappedAfter, later.From = evening.Add(5*time.Hour), evening.Add(6*time.Hour)
	e = forecast.Compare(policy.Defaults(), capped, []forecast.Crowd{tired, later}, evening)
	require.EqualValues(t, 20, e.Blocked, "by the time that the others may go they may have another")
	require.True(t, e.Moves[0].Until.Equal(tired.CappedAfter))
}

// On the nights on which clocks change the impact is what the wall clock says.
func TestImpactOnNightsOfClockChanges(t *testing.T) {
	t.Parallel()
	before, after := hoursOf(t, `{"MT":{"start":"22:00","end":"02:30"}}`), hoursOf(t, `{"MT":{"start":"22:00","end":"06:00"}}`)
	malta := []forecast.Crowd{crowd("MT", "Europe/Malta", 5)}
	for _, c := range []struct{ at, was, is string }{
		{"2026-10-24T23:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T05:00:00Z"}, // 02:30 comes twice: the second time counts
		{"2027-03-27T23:00:00Z", "2027-03-28T01:00:00Z", "2027-03-28T04:00:00Z"}, // 02:30 never comes: at 03:00
		{"2026-11-23T23:00:00Z", "2026-11-24T01:30:00Z", "2026-11-24T05:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		require.NoError(t, err)
		e := forecast.Compare(before, after, malta, at)
		require.Len(t, e.Moves, 1, c.at)
		require.Equal(t, []string{c.was, c.is}, []string{e.Moves[0].WasUntil.UTC().Format(time.RFC3339), e.Moves[0].Until.UTC().Format(time.RFC3339)}, c.at)
	}
	// In the afternoon before, the first difference comes when the shorter night would have ended, or begins.
	at := time.Date(2026, 10, 24, 13, 0, 0, 0, time.UTC)
	require.Equal(t, "2026-10-24T20:00:00Z", forecast.Differs(before, after, malta, at).UTC().Format(time.RFC3339))
	require.True(t, forecast.Differs(after, after, malta, at).IsZero())
}

func TestDiffersLooksAWeekAhead(t *testing.T) {
	t.Parallel()
	after := hoursOf(t, `{"RW":{"start":"22:00","end":"06:00","days":["sun"]}}`)
	rwanda := []forecast.Crowd{crowd("MT", "Europe/Malta", 1), crowd("RW", "Africa/Kigali", 5)}
	require.Equal(t, "2026-11-29T20:00:00Z", forecast.Differs(policy.Defaults(), after, rwanda, evening).UTC().Format(time.RFC3339), "a Sunday")
	require.True(t, forecast.Differs(policy.Defaults(), after, rwanda[:1], evening).IsZero())
}
