package voucher

import (
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func someCard(change func(c *Card)) Card {
	c := Card{Amount: decimal.RequireFromString("5000"), Currency: "RWF", Code: "K7QM-42XD", Token: "AAAA",
		Expires: time.Date(2026, 11, 30, 16, 0, 0, 0, time.UTC), Zone: "Africa/Kigali", Locale: "en-RW",
		Bar: "Sundowner", Stations: []string{"Terrace", "Garden"}}
	change(&c)
	return c
}

func TestACardAsText(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(c *Card){
		"Voucher: RWF\u00a05,000 · Code: K7QM-42XD · Valid until: 30 November 2026, 18:00 CAT · Where: Sundowner, Terrace, Garden": func(*Card) {},
		"Vocha: RWF\u00a01,500,000 · Kode: K7QM-42XD · Izarangira: 30 Ugushyingo 2026, 18:00 CAT · Aho ikoreshwa: Sundowner, ahantu hose": func(c *Card) {
			c.Locale, c.Stations, c.Amount = "rw-RW", nil, decimal.NewFromInt(1_500_000)
		},
		"Bon: 1\u00a0250,50\u00a0EUR · Code: K7QM-42XD · Valable jusqu’au: 30 novembre 2026, 17:00 CET · Où: Sundowner, Terrace": func(c *Card) {
			c.Locale, c.Stations, c.Amount, c.Currency, c.Zone = "fr", c.Stations[:1], decimal.RequireFromString("1250.5"), "EUR", "Europe/Paris"
		},
		"Vawċer: EUR\u00a025.00 · Kodiċi: K7QM-42XD · Validu sa: 1 ta’ Lulju 2026, 18:00 CEST · Fejn: Sundowner, kull post": func(c *Card) {
			c.Locale, c.Stations, c.Amount, c.Currency, c.Zone = "mt-MT", nil, decimal.RequireFromString("25.000"), "EUR", "Europe/Malta"
			c.Expires = time.Date(2026, 7, 1, 16, 0, 0, 0, time.UTC)
		},
		"Voucher: RWF\u00a0999 · Code: K7QM-42XD · Valid until: 30 November 2026, 20:00 UTC+04 · Where: Sundowner, every station": func(c *Card) {
			c.Locale, c.Stations, c.Amount, c.Zone = "de-DE", nil, decimal.NewFromInt(999), "Asia/Dubai"
		},
	} {
		c := someCard(change)
		require.NoError(t, c.Check())
		require.Equal(t, want, CardText(c))
		require.NotContains(t, CardText(c), "\n")
	}
}

func TestZonesWithoutANameAreTold(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]string{"UTC": "UTC", "Asia/Kathmandu": "UTC+05:45", "America/Sao_Paulo": "UTC−03", "Europe/Malta": "CET"} {
		w := someCard(func(c *Card) { c.Zone = zone }).Words()
		require.True(t, strings.HasSuffix(w.Expires, " "+want), w.Expires)
	}
}

func TestWhatNoCardCanShow(t *testing.T) {
	t.Parallel()
	for field, changes := range map[string][]func(c *Card){
		"currency": {func(c *Card) { c.Currency = "USD" }, func(c *Card) { c.Currency = "" }},
		"amount": {func(c *Card) { c.Amount = decimal.Zero }, func(c *Card) { c.Amount = decimal.NewFromInt(-1) },
			func(c *Card) { c.Amount = decimal.RequireFromString("0.5") }, func(c *Card) { c.Amount = decimal.RequireFromString("1e13") },
			func(c *Card) { c.Amount = decimal.New(1, 999_999_999) }, func(c *Card) { c.Amount = decimal.New(1, -999_999_999) },
			func(c *Card) { c.Currency, c.Amount = "EUR", decimal.RequireFromString("1.005") }},
		"code":       {func(c *Card) { c.Code = "" }, func(c *Card) { c.Code = strings.Repeat("K", 17) }},
		"token":      {func(c *Card) { c.Token = "" }},
		"expires_at": {func(c *Card) { c.Expires = time.Time{} }},
		"zone":       {func(c *Card) { c.Zone = "Local" }, func(c *Card) { c.Zone = "" }},
		"locale":     {func(c *Card) { c.Locale = "rw_RW" }},
		"bar":        {func(c *Card) { c.Bar = " " }, func(c *Card) { c.Bar = "a\nb" }, func(c *Card) { c.Bar = strings.Repeat("é", 101) }},
		"stations":   {func(c *Card) { c.Stations = []string{""} }, func(c *Card) { c.Stations = make([]string, 51) }},
	} {
		for i, change := range changes {
			err := someCard(change).Check()
			require.Equal(t, domain.Invalid, domain.KindOf(err), "%s %d", field, i)
			require.Equal(t, field, err.(*domain.Error).Field)
		}
	}
	require.NoError(t, someCard(func(c *Card) { c.Amount = decimal.RequireFromString("5000.00") }).Check())
}
