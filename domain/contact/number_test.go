package contact

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain"
)

func TestParseNumber(t *testing.T) {
	t.Parallel()
	rw := Number{"+250788123456", "RW", "Africa/Kigali"}
	mt := Number{"+35679123456", "MT", "Europe/Malta"}
	for _, c := range []struct {
		raw, country string
		want         Number
		code         string
	}{
		{raw: "+250788123456", want: rw},
		{raw: " +250 788-123-456 ", want: rw},
		{raw: "tel:+250788123456", want: rw},
		{raw: "'+250788123456", want: rw},
		{raw: "\u202a+250\u00a0788\u00a0123\u00a0456\u202c", want: rw}, // as phones copy it
		{raw: "+250 (0) 788 123 456", want: rw},
		{raw: "+٢٥٠٧٨٨١٢٣٤٥٦", want: rw},
		{raw: "00250788123456", country: "RW", want: rw},
		{raw: "250788123456", country: "RW", want: rw},
		{raw: "0788 123 456", country: "RW", want: rw},
		{raw: "+35679123456", want: mt},
		{raw: "7912 3456", country: "MT", want: mt},
		{raw: "+250788123456", country: "MT", want: rw},
		{raw: "+356 2123 4567", want: Number{"+35621234567", "MT", "Europe/Malta"}},
		{raw: "+12125550100", want: Number{"+12125550100", "US", ""}},
		{raw: "+447400123456", want: Number{"+447400123456", "GB", "Europe/London"}},
		{raw: "+447911123456", want: Number{"+447911123456", "GG", "Europe/Guernsey"}},
		{raw: "+4915123456789", want: Number{"+4915123456789", "DE", "Europe/Berlin"}},
		{raw: "+38344123456", want: Number{"+38344123456", "XK", "Europe/Belgrade"}},

		{raw: "", code: "not_a_number"},
		{raw: "none", code: "not_a_number"},
		{raw: "+", code: "not_a_number"},
		{raw: "7", country: "RW", code: "not_a_number"},
		{raw: "2.50788E+11", country: "RW", code: "not_a_number"},
		{raw: "+1-800-FLOWERS", code: "not_a_number"},
		{raw: "+250788123456 ext 5", code: "not_a_number"},
		{raw: "+250788123456;ext=5", code: "not_a_number"},
		{raw: "+250788123456~5", code: "not_a_number"},
		{raw: "+250788123456,,5#", code: "not_a_number"},
		{raw: "+250788123456 ｘ5", code: "not_a_number"},
		{raw: "+٢٥٠٧٨٨١٢٣٤٥٦ ext 5", code: "not_a_number"},
		{raw: "+250788123456#5", code: "not_a_number"},
		{raw: "+250788123456/+250788123457", code: "not_a_number"},
		{raw: "+250788123456\x00", code: "not_a_number"},
		{raw: strings.Repeat("0", maxRaw) + "+250788123456", code: "not_a_number"},
		{raw: "+250 " + strings.Repeat("-", maxRaw) + "788123456", code: "not_a_number"},

		{raw: "0788123456", code: "no_country_code"},
		{raw: "250788123456", code: "no_country_code"},
		{raw: "0788123456", country: "ZZ", code: "no_country_code"},
		{raw: "+999123456789", code: "no_country_code"},

		{raw: "+25078812345", code: "number_not_valid"},
		{raw: "+25078 123456", code: "number_not_valid"},
		{raw: "+2507881234567", code: "number_not_valid"},
		{raw: "+250708123456", code: "number_not_valid"},
		{raw: "250788123456.0", country: "RW", code: "number_not_valid"},
		{raw: "911", country: "US", code: "number_not_valid"},
		{raw: "+800 1234 5678", code: "number_not_valid"}, // a number, but of no country
	} {
		t.Run(fmt.Sprintf("%q in %q", c.raw, c.country), func(t *testing.T) {
			t.Parallel()
			got, err := ParseNumber(c.raw, c.country)
			if c.code == "" {
				require.NoError(t, err)
				require.Equal(t, c.want, got)
				return
			}
			require.Error(t, err)
			require.Equal(t, domain.Invalid, domain.KindOf(err))
			require.Equal(t, c.code, domain.CodeOf(err))
			require.True(t, strings.HasPrefix(err.Error(), "msisdn: "), err)
			require.NotContains(t, err.Error(), "788")
			require.Zero(t, got)
		})
	}
}

// The shortcut for plain numbers must agree with the library on every range it knows and, by chance, beyond.
func TestPlainMobileAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	check := func(t require.TestingT, raw, defaultCountry string) (plain bool) {
		e164, country := plainMobile(raw, defaultCountry)
		if country == "" {
			return false
		}
		parsed, err := phonenumbers.Parse(raw, defaultCountry)
		require.NoError(t, err, raw)
		require.True(t, phonenumbers.IsValidNumber(parsed), raw)
		require.Equal(t, phonenumbers.Format(parsed, phonenumbers.E164), e164, raw)
		require.Equal(t, phonenumbers.GetRegionCodeForNumber(parsed), country, raw)
		return true
	}
	taken := 0
	for prefix := range 10_000 {
		rw, mt := fmt.Sprintf("%04d%05d", prefix, prefix*7), fmt.Sprintf("%04d%04d", prefix, prefix)
		for _, c := range [][2]string{
			{"+250" + rw, ""}, {"+250" + rw, "MT"}, {"250" + rw, "RW"}, {"0" + rw, "RW"},
			{"+356" + mt, ""}, {"+356" + mt, "RW"}, {"356" + mt, "MT"}, {mt, "MT"},
		} {
			if check(t, c[0], c[1]) {
				taken++
			}
		}
	}
	require.Equal(t, 4*(5+4)*100, taken) // nine ranges of two digits, each written in four ways
	rapid.Check(t, func(t *rapid.T) {
		country := rapid.SampledFrom([]string{"", "RW", "MT", "US"}).Draw(t, "country")
		check(t, rapid.StringMatching(`(\+|00?)?(250|356)?[0-9 ]{7,10}`).Draw(t, "raw"), country)
		check(t, rapid.StringMatching(`(\+?2507|07)[23789]\d{6,7}|(\+?356)?[79][279]\d{5,6}`).Draw(t, "likely"), country)
	})
}

// Whatever comes in, what comes out is E.164, its own reading, and of a country.
func TestParseNumberIsStable(t *testing.T) {
	t.Parallel()
	raws := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[+(]?[0-9 .()/x;-]{0,20}`),
		rapid.StringMatching(`\+(1|250|356|44|7|39)[0-9]{6,11}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		got, err := ParseNumber(raws.Draw(t, "raw"), rapid.SampledFrom([]string{"", "RW", "MT", "IT"}).Draw(t, "country"))
		if err != nil {
			require.Equal(t, domain.Invalid, domain.KindOf(err))
			return
		}
		require.Regexp(t, `^\+[1-9]\d{3,14}$`, got.MSISDN)
		require.True(t, ValidCountry(got.Country))
		again, err := ParseNumber(string(got.MSISDN), "")
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for number, want := range map[MSISDN]string{
		"+250788123012": "+250 78• ••• 012",
		"+35679123456":  "+356 79• ••• •56",
		"+12125550100":  "+1 21• ••• 100",
		"+447911123456": "+44 79• ••• 456",
		"+24740123":     "+••• ••• •••", // five digits would be too easily guessed
		"+290123456":    "+290 12• ••• •••",
		"+999123456789": "+••• ••• •••",
		"":              "+••• ••• •••",
		"Joe":           "+••• ••• •••",
	} {
		require.Equal(t, want, number.Masked(), string(number))
	}
}

func TestLogsMaskNumbers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("sent", "to", MSISDN("+250788123012"))
	require.NotContains(t, out.String(), "788123012")
	require.Contains(t, out.String(), "+250 78• ••• 012")
}

func TestPepper(t *testing.T) {
	t.Parallel()
	pepper, other := Pepper("a pepper of at least 32 characters"), Pepper("another one, also of 32 characters")
	number := MSISDN("+250788123456")
	require.Len(t, pepper.Hash(number), 32)
	require.Equal(t, pepper.Hash(number), pepper.Hash(number))
	require.NotEqual(t, pepper.Hash(number), pepper.Hash("+250788123457"))
	require.NotEqual(t, pepper.Hash(number), other.Hash(number))
	require.Len(t, pepper.Fingerprint(), 32)
	require.Equal(t, pepper.Fingerprint(), pepper.Fingerprint())
	require.NotEqual(t, pepper.Fingerprint(), other.Fingerprint())
	require.False(t, bytes.Contains(pepper.Fingerprint(), pepper[:4]))
	// A known answer, so that nobody changes what the registry of an installation already holds.
	require.Equal(t, "435089f04adb34d0ea7f24fe3a530b1dd579cdaed3310313460b048e2441a5d9", fmt.Sprintf("%x", pepper.Hash(number)))
}

func BenchmarkParseNumber(b *testing.B) {
	for _, raw := range []string{"+250788123456", "0788123456", "+250 788 123 456"} {
		b.Run(raw, func(b *testing.B) {
			for b.Loop() {
				if _, err := ParseNumber(raw, "RW"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
