package place_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/place"
)

func TestCodes(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{" eng-001 ": "ENG-001", "VAL": "VAL", "A1-B2-C3": "A1-B2-C3"} {
		got, err := place.ParseCode(typed)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, typed := range []string{"", "A", "-A", "A-", "A--B", "1A", "É1", "A B", "A_B", "ABCDEFGHIJKLMNOPQRSTU"} {
		_, err := place.ParseCode(typed)
		require.Equal(t, "bad_code", domain.CodeOf(err), typed)
	}
}

func TestCountriesHaveMoneyAndClocks(t *testing.T) {
	t.Parallel()
	for country, want := range map[string]string{"RW": "RWF", "MT": "EUR", "UG": "UGX", "HR": "EUR", "US": "USD", "BG": "EUR"} {
		require.Equal(t, want, place.Currency(country), country)
	}
	require.Empty(t, place.Currency("nonsense"))
	for _, country := range []string{"XX", "Rwanda", "R", "UK", "EU", "001", ""} {
		_, err := place.ParseCountry(country)
		require.Equal(t, "unknown_country", domain.CodeOf(err), country)
	}
	zone, err := place.Zone("", "RW")
	require.NoError(t, err)
	require.Equal(t, "Africa/Kigali", zone)
	_, err = place.Zone("", "US")
	require.Equal(t, "zone_missing", domain.CodeOf(err))
	_, err = place.Zone("Mars/Base", "US")
	require.Equal(t, "unknown_zone", domain.CodeOf(err))
}

func TestCoordinates(t *testing.T) {
	t.Parallel()
	at := func(v float64) *float64 { return &v }
	require.NoError(t, place.CheckCoordinates(nil, nil))
	require.NoError(t, place.CheckCoordinates(at(-90), at(180)))
	for _, tt := range [][2]*float64{{at(1), nil}, {nil, at(1)}, {at(90.1), at(0)}, {at(0), at(-180.1)}, {at(math.NaN()), at(0)}, {at(0), at(math.Inf(1))}} {
		require.Error(t, place.CheckCoordinates(tt[0], tt[1]))
	}
}

func TestPINs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		pin := place.NewPIN()
		require.NoError(t, place.CheckPIN(pin))
		seen[pin] = true
	}
	require.Greater(t, len(seen), 990)
	for _, pin := range []string{"000000", "123456", "987654", "012345"} {
		require.Equal(t, "weak_pin", domain.CodeOf(place.CheckPIN(pin)), pin)
	}
	for _, pin := range []string{"", "12345", "1234567", "12 456", "12345a"} {
		require.Equal(t, "bad_pin", domain.CodeOf(place.CheckPIN(pin)), pin)
	}
}
