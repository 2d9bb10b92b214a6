package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain"
)

func TestParseQuietHours(t *testing.T) {
	t.Parallel()
	got, err := ParseQuietHours([]byte(` {"RW":{"start":"22:00","end":"06:00"}, "MT":{"end":"00:00","start":"13:05"}} `))
	require.NoError(t, err)
	require.Equal(t, QuietHours{"RW": daily(22*60, 6*60), "MT": daily(13*60+5, 0)}, got)

	got, err = ParseQuietHours([]byte(`{}`))
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestParseThrottle(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 60, 6_000_000} {
		want := Throttle{ChannelWhatsApp: {PerMinute: perMinute}}
		text, err := json.Marshal(want)
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"whatsapp":{"per_minute":%d}}`, perMinute), string(text), "what is off is not said")
		got, err := ParseThrottle(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, err := ParseThrottle([]byte(`{"whatsapp":{"per_minute":6000,"per_second":80,"tier":2000,"pair_seconds":6}}`))
	require.NoError(t, err)
	require.Equal(t, Throttle{ChannelWhatsApp: {PerMinute: 6000, PerSecond: 80, Tier: 2000, PairSeconds: 6}}, got)
	require.Equal(t, 6*time.Second, got[ChannelWhatsApp].Pair())
}

func TestParseToggles(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{`{"dispatch":true}`: true, `{"dispatch":false}`: false} {
		got, err := ParseToggles([]byte(text))
		require.NoError(t, err)
		require.Equal(t, Toggles{Dispatch: want, StationRedeem: true}, got)
	}
}

func TestParseSmallOnes(t *testing.T) {
	t.Parallel()
	zone, err := ParseMissingZone([]byte(`{"policy":"send"}`))
	require.NoError(t, err)
	require.Equal(t, MissingZone{Policy: Send}, zone)
	consent, err := ParseConsent([]byte(`{"required":true}`))
	require.NoError(t, err)
	require.Equal(t, Consent{Required: true}, consent)
	for text, want := range map[string]Frequency{
		`{"marketing":{"per_day":1,"per_week":3}}`: {PerDay: 1, PerWeek: 3},
		`{"marketing":{"per_week":3}}`:             {PerWeek: 3},
		`{"marketing":{"per_day":0,"per_week":0}}`: {},
	} {
		limit, err := ParseFrequencyCap([]byte(text))
		require.NoError(t, err)
		require.Equal(t, FrequencyCap{Marketing: want}, limit)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	quietHours := func(text []byte) error { _, err := ParseQuietHours(text); return err }
	throttle := func(text []byte) error { _, err := ParseThrottle(text); return err }
	toggles := func(text []byte) error { _, err := ParseToggles(text); return err }
	offline := func(text []byte) error { _, err := ParseOfflineRedemptions(text); return err }
	missingZone := func(text []byte) error { _, err := ParseMissingZone(text); return err }
	consent := func(text []byte) error { _, err := ParseConsent(text); return err }
	frequencyCap := func(text []byte) error { _, err := ParseFrequencyCap(text); return err }
	for _, c := range []struct {
		parse func([]byte) error
		text  string
		want  []string // "field code", in order
	}{
		{quietHours, ``, []string{" bad_json"}},
		{quietHours, `null`, []string{" bad_json"}},
		{quietHours, `[]`, []string{" bad_json"}},
		{quietHours, `{"RW":`, []string{" bad_json"}},
		{quietHours, `{} {}`, []string{" bad_json"}},
		{quietHours, `{"RW":null}`, []string{"RW bad_json"}},
		{quietHours, `{"RW":"22:00-06:00"}`, []string{"RW bad_json"}},
		{quietHours, `{"rw":{"start":"22:00","end":"06:00"}}`, []string{"rw unknown_country"}},
		{quietHours, `{"UK":{"start":"22:00","end":"06:00"}}`, []string{"UK unknown_country"}},
		{quietHours, `{"":{"start":"22:00","end":"06:00"}}`, []string{" unknown_country"}},
		{quietHours, `{"RW":{}}`, []string{"RW.start missing_field", "RW.end missing_field"}},
		{quietHours, `{"RW":{"start":"22:00"}}`, []string{"RW.end missing_field"}},
		{quietHours, `{"RW":{"start":"22:00","end":"06:00","day":[]}}`, []string{"RW.day unknown_field"}},
		{quietHours, `{"RW":{"Start":"22:00","end":"06:00"}}`, []string{"RW.Start unknown_field", "RW.start missing_field"}},
		{quietHours, `{"RW":{"start":"22:00","start":"23:00","end":"06:00"}}`, []string{"RW.start duplicate_field"}},
		{quietHours, `{"RW":{"start":"22:00","end":"06:00"},"RW":{}}`, []string{"RW duplicate_field"}},
		{quietHours, `{"RW":{"start":"24:00","end":"6:00"}}`, []string{"RW.start bad_clock", "RW.end bad_clock"}},
		{quietHours, `{"RW":{"start":"22:60","end":"06:00:00"}}`, []string{"RW.start bad_clock", "RW.end bad_clock"}},
		{quietHours, `{"RW":{"start":1320,"end":null}}`, []string{"RW.start bad_clock", "RW.end bad_clock"}},
		{quietHours, `{"RW":{"start":"","end":" 6:00"}}`, []string{"RW.start bad_clock", "RW.end bad_clock"}},
		{quietHours, `{"RW":{"start":"22:00","end":"22:00"}}`, []string{"RW empty_window"}},
		{quietHours, `{"RW":{"start":"x","end":"06:00"},"ZZ":{},"MT":{"start":"01:00","end":"01:00"}}`,
			[]string{"RW.start bad_clock", "ZZ unknown_country", "MT empty_window"}},

		{quietHours, `{"RW":{"start":"22:00","end":"06:00","days":[]}}`, []string{"RW.days bad_days"}},
		{quietHours, `{"RW":{"start":"22:00","end":"06:00","days":["mon","mon"]}}`, []string{"RW.days bad_days"}},
		{quietHours, `{"RW":{"start":"22:00","end":"06:00","days":["Mon"]}}`, []string{"RW.days bad_days"}},
		{quietHours, `{"RW":{"start":"22:00","end":"06:00","days":null}}`, []string{"RW.days bad_days"}},
		{quietHours, `{"RW":{"start":"00:00","end":"24:00"}}`, []string{"RW never_open"}},
		{quietHours, `{"RW":{"windows":[{"start":"06:00","end":"18:00"},{"start":"18:00","end":"06:00"}]}}`, []string{"RW never_open"}},
		{quietHours, `{"RW":{"windows":{}}}`, []string{"RW.windows bad_json"}},
		{quietHours, `{"RW":{"windows":[7]}}`, []string{"RW.windows[0] bad_json"}},
		{quietHours, `{"RW":{"windows":[],"start":"22:00"}}`, []string{"RW.start unknown_field"}},
		{quietHours, `{"RW":{"windows":[{"start":"22:00","end":"06:00"},{"start":"x","end":"06:00"}]}}`, []string{"RW.windows[1].start bad_clock"}},
		{quietHours, `{"RW":{"windows":[],"overrides":7}}`, []string{"RW.overrides bad_json"}},
		{quietHours, `{"RW":{"windows":[],"overrides":[{"windows":[]}]}}`, []string{"RW.overrides[0] no_scope"}},
		{quietHours, `{"RW":{"windows":[],"overrides":[{"locale":"en"}]}}`, []string{"RW.overrides[0].start missing_field", "RW.overrides[0].end missing_field"}},
		{quietHours, `{"RW":{"windows":[],"overrides":[{"locale":"en_mt","windows":[]},{"channel":"sms","windows":[]},{"locale":7,"windows":[]}]}}`,
			[]string{"RW.overrides[0].locale bad_locale", "RW.overrides[1].channel unknown_channel", "RW.overrides[2].locale bad_locale"}},
		{quietHours, `{"RW":{"windows":[],"overrides":[{"locale":"en","windows":[]},{"locale":"en","windows":[]}]}}`, []string{"RW.overrides[1] duplicate_override"}},
		{quietHours, `{"RW":{"windows":[],"overrides":[{"locale":"en","start":"12:00","end":"12:00"}]}}`, []string{"RW.overrides[0] empty_window"}},

		{missingZone, `{}`, []string{"policy missing_field"}},
		{missingZone, `{"policy":"drop"}`, []string{"policy bad_policy"}},
		{missingZone, `{"policy":1}`, []string{"policy bad_policy"}},
		{consent, `{}`, []string{"required missing_field"}},
		{consent, `{"required":"no"}`, []string{"required bad_toggle"}},
		{frequencyCap, `{}`, []string{"marketing missing_field"}},
		{frequencyCap, `{"marketing":1}`, []string{"marketing bad_json"}},
		{frequencyCap, `{"marketing":{"per_day":-1,"per_week":1.5}}`, []string{"marketing.per_week bad_cap"}},
		{frequencyCap, `{"marketing":{"per_day":-1,"per_week":10001}}`, []string{"marketing.per_day bad_cap", "marketing.per_week bad_cap"}},
		{frequencyCap, `{"marketing":{"per_month":1}}`, []string{"marketing.per_month unknown_field"}},

		{throttle, `7`, []string{" bad_json"}},
		{throttle, `{}`, []string{"whatsapp missing_field"}},
		{throttle, `{"whatsapp":60}`, []string{"whatsapp bad_json"}},
		{throttle, `{"whatsapp":{}}`, []string{"whatsapp.per_minute missing_field"}},
		{throttle, `{"whatsapp":{"per_minute":-1}}`, []string{"whatsapp.per_minute bad_cap"}},
		{throttle, `{"whatsapp":{"per_minute":1.5}}`, []string{"whatsapp.per_minute bad_cap"}},
		{throttle, `{"whatsapp":{"per_minute":"60"}}`, []string{"whatsapp.per_minute bad_cap"}},
		{throttle, `{"whatsapp":{"per_minute":null}}`, []string{"whatsapp.per_minute bad_cap"}},
		{throttle, `{"whatsapp":{"per_minute":1e30}}`, []string{"whatsapp.per_minute bad_cap"}},
		{throttle, `{"whatsapp":{"per_minute":60,"per_hour":1}}`, []string{"whatsapp.per_hour unknown_field"}},
		{throttle, `{"whatsapp":{"per_minute":60},"sms":{"per_minute":60}}`, []string{"sms unknown_channel"}},

		{throttle, `{"whatsapp":{"per_minute":1,"per_second":-1,"tier":-1,"pair_seconds":3601}}`,
			[]string{"whatsapp.per_second bad_cap", "whatsapp.tier bad_cap", "whatsapp.pair_seconds bad_cap"}},
		{throttle, `{"whatsapp":{"per_minute":1,"per_second":1.5,"tier":null,"pairs":6}}`,
			[]string{"whatsapp.per_second bad_cap", "whatsapp.tier bad_cap", "whatsapp.pairs unknown_field"}},
		{throttle, `{"whatsapp":{"per_second":80}}`, []string{"whatsapp.per_minute missing_field"}},

		{toggles, `true`, []string{" bad_json"}},
		{toggles, `{}`, []string{"dispatch missing_field"}},
		{toggles, `{"dispatch":"yes"}`, []string{"dispatch bad_toggle"}},
		{toggles, `{"dispatch":null}`, []string{"dispatch bad_toggle"}},
		{toggles, `{"dispatch":true,"marketing":true}`, []string{"marketing unknown_field"}},
		{toggles, `{"dispatch":true,"station_redeem":0,"mock_redemptions":null}`, []string{"station_redeem bad_toggle", "mock_redemptions bad_toggle"}},

		{offline, `{}`, []string{"mode missing_field"}},
		{offline, `{"mode":"sometimes"}`, []string{"mode bad_mode"}},
		{offline, `{"mode":true}`, []string{"mode bad_mode"}},
		{offline, `{"mode":"on"}`, []string{"max_age_minutes bad_age"}},
		{offline, `{"mode":"on","max_age_minutes":0}`, []string{"max_age_minutes bad_age"}},
		{offline, `{"mode":"on","max_age_minutes":10081}`, []string{"max_age_minutes bad_age"}},
		{offline, `{"mode":"off","max_age_minutes":-1}`, []string{"max_age_minutes bad_age"}},
		{offline, `{"mode":"on","max_age_minutes":1.5}`, []string{"max_age_minutes bad_age"}},
		{offline, `{"mode":"on","max_age_hours":1}`, []string{"max_age_hours unknown_field"}},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			err := c.parse([]byte(c.text))
			require.Error(t, err)
			var got []string
			for _, each := range err.(interface{ Unwrap() []error }).Unwrap() {
				e := each.(*domain.Error)
				require.Equal(t, domain.Invalid, e.Kind)
				require.True(t, strings.HasPrefix(e.Error(), e.Field))
				got = append(got, e.Field+" "+e.Code)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestQuietHoursRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minutes := rapid.IntRange(0, 24*60-1)
		want := QuietHours{}
		for _, country := range rapid.SliceOf(rapid.SampledFrom([]string{"RW", "MT", "US", "XK"})).Draw(t, "countries") {
			start := minutes.Draw(t, "start")
			length := 1 + minutes.Draw(t, "length")%(24*60-1)
			want[country] = daily(Clock(start), Clock((start+length)%(24*60)))
		}
		text, err := json.Marshal(want)
		require.NoError(t, err)
		got, err := ParseQuietHours(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestParseNeverPanics(t *testing.T) {
	t.Parallel()
	text := rapid.Map(rapid.SliceOf(rapid.SampledFrom([]string{`{`, `}`, `"RW"`, `"start"`, `"end"`, `"22:00"`, `:`, `,`, `null`, `1`, `[`, `]`, `"`, `\`, ` `})),
		func(s []string) string { return strings.Join(s, "") })
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(text.Draw(t, "text"))
		if hours, err := ParseQuietHours(text); err == nil {
			for _, h := range hours {
				for _, w := range h.Windows {
					require.NotEqual(t, w.Start, w.End)
				}
			}
		}
		_, _ = ParseThrottle(text)
		_, _ = ParseToggles(text)
	})
}

func TestParseOfTheStations(t *testing.T) {
	t.Parallel()
	toggles, err := ParseToggles([]byte(`{"dispatch":false}`))
	require.NoError(t, err)
	require.Equal(t, Toggles{StationRedeem: true}, toggles, "a setting older than a toggle switches nothing off")
	toggles, err = ParseToggles([]byte(`{"dispatch":true,"station_redeem":false,"mock_redemptions":true}`))
	require.NoError(t, err)
	require.Equal(t, Toggles{Dispatch: true, MockRedemptions: true}, toggles)

	offline, err := ParseOfflineRedemptions([]byte(`{"mode":"off","max_age_minutes":720}`))
	require.NoError(t, err)
	require.Zero(t, offline.MaxAge())
	offline, err = ParseOfflineRedemptions([]byte(`{"mode":"on","max_age_minutes":720}`))
	require.NoError(t, err)
	require.Equal(t, 12*time.Hour, offline.MaxAge())
}
