package contact

import (
	"maps"
	"slices"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestValidZone(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Africa/Kigali", "Europe/Malta", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"} {
		require.True(t, ValidZone(zone), zone)
	}
	for _, zone := range []string{"", "Local", "localtime", "posix/Europe/Malta", "right/Europe/Malta", "Europe/Atlantis",
		"europe/malta", "CAT", "+02:00", "../etc/passwd", "/etc/localtime", "Europe/Malta\x00", "Europe/../Europe/Malta"} {
		require.False(t, ValidZone(zone), zone)
	}
}

func TestParseLocale(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"rw-RW": "rw-RW", "rw_rw": "rw-RW", "EN-mt": "en-MT", "en": "en", "sr-latn-rs": "sr-Latn-RS", "es-419": "es-419",
	} {
		got, ok := ParseLocale(raw)
		require.True(t, ok, raw)
		require.Equal(t, want, got)
		require.True(t, ValidLocale(got))
		require.Equal(t, raw == want, ValidLocale(raw))
	}
	for _, raw := range []string{"", "und", "english", "xx-RW", "en-", "en-MT-u-ca-buddhist", "x-bar", "e", "Kinyarwanda", "rw RW"} {
		_, ok := ParseLocale(raw)
		require.False(t, ok, raw)
	}
}

func TestParseLocaleIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		if locale, ok := ParseLocale(rapid.StringMatching(`[a-zA-Z]{2,3}([_-][a-zA-Z]{4})?([_-][a-zA-Z]{2})?`).Draw(t, "raw")); ok {
			require.True(t, ValidLocale(locale), locale)
		}
	})
}

func TestCountryZones(t *testing.T) {
	t.Parallel()
	for country, zone := range countryZones {
		require.True(t, ValidCountry(country), country)
		require.True(t, ValidZone(zone), zone)
	}
	// Every other country that has phone numbers has several clocks.
	several := slices.DeleteFunc(slices.Sorted(maps.Keys(phonenumbers.GetSupportedRegions())), func(c string) bool {
		return countryZones[c] != ""
	})
	require.Equal(t, []string{"AU", "BR", "CA", "CD", "CL", "CN", "EC", "ES", "FM", "GL", "ID", "KI", "KZ", "MN", "MX",
		"NZ", "PF", "PG", "PT", "RU", "UA", "US"}, several)
}

func TestValidCountry(t *testing.T) {
	t.Parallel()
	for _, country := range []string{"", "rw", "RWA", "ZZ", "001", "UK", "EU"} {
		require.False(t, ValidCountry(country), country)
	}
	require.True(t, ValidCountry("RW"))
}
