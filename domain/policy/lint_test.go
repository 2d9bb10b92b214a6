package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain/policy"
)

func TestLint(t *testing.T) {
	t.Parallel()
	const night = `{"RW":{"start":"22:00","end":"06:00"}}`
	many := policy.Masses{Ready: 9000, Waiting: 1000}
	for name, c := range map[string]struct {
		key, before, after string // "": the default
		masses             policy.Masses
		want               []string // severity and code, and field
	}{
		"a usual night":                  {"quiet_hours", "", night, policy.Masses{}, nil},
		"an hour less is open":           {"quiet_hours", "", `{"RW":{"start":"00:00","end":"23:00"}}`, policy.Masses{}, []string{"danger hardly_open RW"}},
		"23 hours but on one day":        {"quiet_hours", "", `{"RW":{"start":"00:00","end":"23:00","days":["mon"]}}`, policy.Masses{}, []string{"warning whole_day RW"}},
		"a closed Sunday":                {"quiet_hours", "", `{"RW":{"windows":[{"start":"22:00","end":"06:00","days":["mon","tue","wed","thu","fri"]},{"start":"00:00","end":"24:00","days":["sun"]}]}}`, policy.Masses{}, []string{"warning whole_day RW"}},
		"swapped":                        {"quiet_hours", "", `{"RW":{"start":"06:00","end":"22:00"}}`, policy.Masses{}, []string{"danger inverted_window RW"}},
		"a siesta":                       {"quiet_hours", "", `{"RW":{"start":"11:00","end":"16:00"}}`, policy.Masses{}, nil},
		"swapped, in an override":        {"quiet_hours", night, `{"RW":{"start":"22:00","end":"06:00","overrides":[{"locale":"en","start":"07:00","end":"21:00"}]}}`, policy.Masses{}, []string{"danger inverted_window RW.overrides[0]"}},
		"swapped since long":             {"quiet_hours", `{"MT":{"start":"06:00","end":"22:00"}}`, `{"MT":{"start":"06:00","end":"22:00"},"RW":{"start":"22:00","end":"06:00"}}`, policy.Masses{}, nil},
		"overlap":                        {"quiet_hours", "", `{"RW":{"windows":[{"start":"22:00","end":"06:00"},{"start":"05:00","end":"08:00"}]}}`, policy.Masses{}, []string{"warning overlapping_windows RW"}},
		"side by side":                   {"quiet_hours", "", `{"RW":{"windows":[{"start":"22:00","end":"06:00"},{"start":"06:00","end":"08:00"}]}}`, policy.Masses{}, nil},
		"Sunday night meets Monday":      {"quiet_hours", "", `{"RW":{"windows":[{"start":"22:00","end":"06:00","days":["sun"]},{"start":"00:00","end":"02:00","days":["mon"]}]}}`, policy.Masses{}, []string{"warning overlapping_windows RW"}},
		"removed":                        {"quiet_hours", night, `{}`, policy.Masses{}, []string{"warning hours_removed RW"}},
		"several zones":                  {"quiet_hours", "", `{"US":{"start":"22:00","end":"06:00"}}`, policy.Masses{}, []string{"warning several_zones US"}},
		"without a zone at night":        {"missing_zone", "", `{"policy":"send"}`, policy.Masses{}, nil},
		"consent off":                    {"consent", `{"required":true}`, `{"required":false}`, policy.Masses{}, []string{"danger consent_off required"}},
		"consent on":                     {"consent", `{"required":false}`, `{"required":true}`, policy.Masses{}, nil},
		"stopped":                        {"throttle", "", `{"whatsapp":{"per_minute":0}}`, policy.Masses{}, []string{"warning channel_stopped whatsapp.per_minute"}},
		"a zero too many, idle":          {"throttle", `{"whatsapp":{"per_minute":600}}`, `{"whatsapp":{"per_minute":6000}}`, policy.Masses{Ready: 999}, []string{"warning cap_jump whatsapp.per_minute"}},
		"a zero too many":                {"throttle", `{"whatsapp":{"per_minute":600}}`, `{"whatsapp":{"per_minute":6000}}`, many, []string{"danger cap_jump whatsapp.per_minute"}},
		"nine times":                     {"throttle", `{"whatsapp":{"per_minute":600}}`, `{"whatsapp":{"per_minute":5400}}`, many, nil},
		"a tenth":                        {"throttle", `{"whatsapp":{"per_minute":600}}`, `{"whatsapp":{"per_minute":60}}`, many, []string{"warning cap_drop whatsapp.per_minute"}},
		"from nothing":                   {"throttle", `{"whatsapp":{"per_minute":0}}`, `{"whatsapp":{"per_minute":6000}}`, policy.Masses{}, nil},
		"the second binds":               {"throttle", `{"whatsapp":{"per_minute":6000}}`, `{"whatsapp":{"per_minute":6000,"per_second":99}}`, policy.Masses{}, []string{"warning rates_mismatch whatsapp.per_second"}},
		"the second just fits":           {"throttle", `{"whatsapp":{"per_minute":6000}}`, `{"whatsapp":{"per_minute":6000,"per_second":100}}`, policy.Masses{}, nil},
		"tier and pause gone":            {"throttle", `{"whatsapp":{"per_minute":60,"tier":250,"pair_seconds":6}}`, `{"whatsapp":{"per_minute":60}}`, policy.Masses{}, []string{"warning cap_off whatsapp.tier", "warning cap_off whatsapp.pair_seconds"}},
		"a week shorter than a day":      {"frequency_cap", "", `{"marketing":{"per_day":3,"per_week":2}}`, policy.Masses{}, []string{"warning week_below_day marketing.per_day"}},
		"no cap any more":                {"frequency_cap", `{"marketing":{"per_day":1,"per_week":3}}`, `{"marketing":{"per_week":30}}`, policy.Masses{}, []string{"warning cap_off marketing.per_day", "warning cap_jump marketing.per_week"}},
		"blocks masses":                  {"quiet_hours", "", night, policy.Masses{Ready: 9000, Blocked: 8412}, []string{"danger blocks_masses "}},
		"blocks many of very many":       {"quiet_hours", "", night, policy.Masses{Ready: 900_000, Blocked: 8412}, nil},
		"blocks all of few":              {"quiet_hours", "", night, policy.Masses{Ready: 999, Blocked: 999}, nil},
		"releases masses":                {"missing_zone", "", `{"policy":"hold"}`, policy.Masses{Waiting: 5000, Released: 1000}, []string{"danger releases_masses "}},
		"the switch does what it is for": {"toggles", "", `{"dispatch":false}`, policy.Masses{Ready: 9000, Blocked: 9000}, []string{"warning blocks_masses "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := policy.Defaults(), policy.Defaults()
			if c.before != "" {
				set(t, &before, c.key, c.before)
			}
			set(t, &after, c.key, c.after)
			var got []string
			for _, f := range policy.Lint(c.key, before, after, c.masses) {
				got = append(got, string(f.Severity)+" "+f.Code+" "+f.Field)
				require.NotEmpty(t, f.Message)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func set(t *testing.T, s *policy.Settings, key, value string) {
	t.Helper()
	require.NoError(t, s.Apply(key, []byte(value)))
}

// Who has no known zone is a danger where quiet hours and several zones meet, whichever of the two is new.
func TestLintOfMissingZones(t *testing.T) {
	t.Parallel()
	before := policy.Defaults()
	set(t, &before, "quiet_hours", `{"US":{"start":"22:00","end":"06:00"},"RW":{"start":"22:00","end":"06:00"}}`)
	after := before
	after.MissingZone.Policy = policy.Send
	found := policy.Lint("missing_zone", before, after, policy.Masses{})
	require.Len(t, found, 1, "Rwanda has one zone")
	require.Equal(t, policy.NightWithoutZone, found[0].Code)
	require.Equal(t, policy.Danger, found[0].Severity)
	require.Contains(t, found[0].Message, "US has several time zones")
	require.Empty(t, policy.Lint("throttle", after, after, policy.Masses{}), "no news")
}

func TestChanges(t *testing.T) {
	t.Parallel()
	diff := func(before, after string) string {
		text, err := json.Marshal(policy.Changes(json.RawMessage(before), json.RawMessage(after)))
		require.NoError(t, err)
		return string(text)
	}
	require.JSONEq(t, `[]`, diff(`{"a": 1, "b":[1,2]}`, `{"b":[1, 2],"a":1.0}`))
	require.JSONEq(t, `[{"field":"MT","after":{"start":"1"}},{"field":"RW.end","before":"06:00","after":"07:00"},{"field":"ZA","before":[1]}]`,
		diff(`{"RW":{"start":"22:00","end":"06:00"},"ZA":[1]}`, `{"RW":{"start":"22:00","end":"07:00"},"MT":{"start":"1"}}`))
	require.JSONEq(t, `[{"before":1,"after":{"a":1}}]`, diff(`1`, `{"a":1}`))
}
