// Package contact holds what identifies and places a recipient: the phone number, what stands for it in
// the opt-out registry, and the locale and time zone a message has to respect.
package contact

import (
	"log/slog"
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"lastcall/domain"
)

// Number is a phone number that was checked, with what it tells about its owner's whereabouts.
type Number struct {
	MSISDN  MSISDN
	Country string // ISO 3166-1 alpha-2
	Zone    string // IANA zone of the country, "" if its clocks differ from place to place
}

// maxRaw is the longest text considered a phone number, in bytes: 15 digits and plenty of punctuation.
const maxRaw = 64

// ParseNumber reads a phone number as people write it. Without a leading "+" it is read as dialled in
// defaultCountry (ISO 3166-1 alpha-2, "" if unknown). Errors are domain.Invalid about "msisdn" and never
// repeat the number; their codes are
//
//   - not_a_number: letters, two numbers, an extension, too few or too many digits
//   - no_country_code: no "+" and no default country, or a country code that does not exist
//   - number_not_valid: no such range in the numbering plan, or the number belongs to no country
func ParseNumber(raw, defaultCountry string) (Number, error) {
	if e164, country := plainMobile(raw, defaultCountry); country != "" {
		return Number{MSISDN(e164), country, countryZones[country]}, nil
	}
	raw = strings.TrimFunc(raw, invisible)
	if len(raw) > maxRaw || lettersInside(raw) {
		return Number{}, notANumber()
	}
	parsed, err := phonenumbers.Parse(raw, defaultCountry)
	switch {
	case err == phonenumbers.ErrInvalidCountryCode:
		return Number{}, invalid("no_country_code", "the phone number needs a country code that exists, like +250, or a default country")
	case err != nil, parsed.GetExtension() != "":
		return Number{}, notANumber()
	}
	country := phonenumbers.GetRegionCodeForNumber(parsed)
	if !ValidCountry(country) || !phonenumbers.IsValidNumberForRegion(parsed, country) {
		return Number{}, invalid("number_not_valid", "no phone number like this exists in its country's numbering plan")
	}
	return Number{
		MSISDN:  MSISDN(phonenumbers.Format(parsed, phonenumbers.E164)),
		Country: country,
		Zone:    countryZones[country],
	}, nil
}

// plainMobile reads the common mobile numbers of the home markets when they are written in digits alone; for all
// others its country is "". It spares a million-line import most of its time: the library takes some 20 µs each.
func plainMobile(raw, defaultCountry string) (e164, country string) {
	switch {
	case strings.HasPrefix(raw, "+"):
		e164 = raw
	case defaultCountry == "RW" && strings.HasPrefix(raw, "07"):
		e164 = "+250" + raw[1:]
	case defaultCountry == "RW" && strings.HasPrefix(raw, "2507"), defaultCountry == "MT" && strings.HasPrefix(raw, "356"):
		e164 = "+" + raw
	case defaultCountry == "MT" && len(raw) == 8:
		e164 = "+356" + raw
	}
	if len(e164) != 12 && len(e164) != 13 {
		return "", ""
	}
	for _, c := range []byte(e164[1:]) {
		if c < '0' || c > '9' {
			return "", ""
		}
	}
	switch e164[:6] {
	case "+25072", "+25073", "+25077", "+25078", "+25079":
		if len(e164) == 13 {
			return e164, "RW"
		}
	case "+35677", "+35679", "+35692", "+35699":
		if len(e164) == 12 {
			return e164, "MT"
		}
	}
	return "", ""
}

// lettersInside reports a letter after the first digit: a vanity number, or a spreadsheet's 2.5E+11. Before it
// there may be some, as in "tel:+250…".
func lettersInside(raw string) bool {
	first := strings.IndexFunc(raw, unicode.IsDigit)
	return first >= 0 && strings.ContainsFunc(raw[first:], unicode.IsLetter)
}

// invisible reports spaces and the direction marks that phones copy along with a number.
func invisible(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

func notANumber() error { return invalid("not_a_number", "this is not a phone number") }

func invalid(code, message string) error {
	return domain.E(domain.Invalid, code, "%s", message).About("msisdn")
}

// ValidCountry reports whether code is a country that has phone numbers (ISO 3166-1 alpha-2, upper case).
func ValidCountry(code string) bool { return phonenumbers.GetSupportedRegions()[code] }

// MSISDN is a phone number in E.164 with its "+". Logs get it masked.
type MSISDN string

// LogValue masks the number wherever slog prints it.
func (m MSISDN) LogValue() slog.Value { return slog.StringValue(m.Masked()) }

// Masked is the number as people may see it, "+250 78• ••• 012": the country code, two digits and as many of
// the last three as leave four hidden.
func (m MSISDN) Masked() string {
	digits := strings.TrimPrefix(string(m), "+")
	for n := 1; n <= 3 && n < len(digits); n++ {
		code, err := strconv.Atoi(digits[:n])
		if err != nil || !phonenumbers.GetSupportedCallingCodes()[code] {
			continue
		}
		national := digits[n:]
		if len(national) < 6 {
			break
		}
		tail := national[len(national)-min(3, len(national)-6):]
		return "+" + digits[:n] + " " + national[:2] + "• ••• " + strings.Repeat("•", 3-len(tail)) + tail
	}
	return "+••• ••• •••"
}
