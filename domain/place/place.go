// Package place says what a bar and a station are: their codes and coordinates, the money of their country, who may
// work there and how long a device or a session lasts.
package place

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// How long things last at a station.
const (
	SessionIdle  = 2 * time.Hour        // a session without a request
	SessionMax   = 12 * time.Hour       // a session from sign-in, however busy
	EnrolWithin  = 15 * time.Minute     // the link that enrols a device
	DeviceKnown  = 400 * 24 * time.Hour // a device's cookie from its last sign-in: no browser keeps one longer
	LeaseUnseen  = 24 * time.Hour       // the lease of a device that nobody hears of
	MaxOperators = 50                   // of one station that may sign in: each more makes guessing a PIN easier
)

var codeRule = regexp.MustCompile(`^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*$`)

// ParseCode reads the code of a bar or a station, like ENG-001, and returns it in capitals; domain.Invalid about
// "code" when it is none.
func ParseCode(s string) (string, error) {
	s = strings.ToUpper(strings.TrimSpace(s))
	if len(s) < 2 || len(s) > 20 || !codeRule.MatchString(s) {
		return "", domain.E(domain.Invalid, "bad_code", "must be 2 to 20 letters and digits with hyphens between, like ENG-001").About("code")
	}
	return s, nil
}

// ParseName reads the name of a bar, a station or a device; domain.Invalid about "name" when nothing is left of it or
// it is no line.
func ParseName(s string) (string, error) {
	if s = strings.TrimSpace(s); s == "" {
		return "", domain.E(domain.Invalid, "no_name", "must not be empty").About("name")
	}
	return s, line(s, "name", 100)
}

// ParseAddress reads a street address, which may be empty; domain.Invalid about "address" when it is no line.
func ParseAddress(s string) (string, error) {
	s = strings.TrimSpace(s)
	return s, line(s, "address", 300)
}

func line(s, field string, most int) error {
	if utf8.RuneCountInString(s) > most || strings.ContainsFunc(s, unicode.IsControl) {
		return domain.E(domain.Invalid, "bad_"+field, "must be one line of at most %d characters", most).About(field)
	}
	return nil
}

// CheckCoordinates says what is wrong with coordinates in degrees, WGS 84: domain.Invalid about "latitude" or
// "longitude". Both may be nil.
func CheckCoordinates(latitude, longitude *float64) error {
	switch {
	case latitude == nil && longitude == nil:
		return nil
	case latitude == nil:
		return domain.E(domain.Invalid, "half_coordinates", "give both coordinates or none").About("latitude")
	case longitude == nil:
		return domain.E(domain.Invalid, "half_coordinates", "give both coordinates or none").About("longitude")
	case !(*latitude >= -90 && *latitude <= 90): // NaN neither
		return domain.E(domain.Invalid, "bad_latitude", "must be between -90 and 90 degrees").About("latitude")
	case !(*longitude >= -180 && *longitude <= 180):
		return domain.E(domain.Invalid, "bad_longitude", "must be between -180 and 180 degrees").About("longitude")
	}
	return nil
}

// ParseCountry reads an ISO 3166-1 alpha-2 code; domain.Invalid about "country" when there is no such country.
func ParseCountry(s string) (string, error) {
	s = strings.ToUpper(strings.TrimSpace(s))
	region, err := language.ParseRegion(s)
	if err != nil || len(s) != 2 || !region.IsCountry() || region.Canonicalize() != region {
		return "", domain.E(domain.Invalid, "unknown_country", "use a country's ISO code, like RW").About("country")
	}
	return s, nil
}

// Zone is the IANA zone of a place: the one given, else the country's if it has only one. It fails with domain.Invalid
// about "zone".
func Zone(given, country string) (string, error) {
	given = strings.TrimSpace(given)
	if given == "" {
		if only := contact.CountryZones()[country]; only != "" {
			return only, nil
		}
		return "", domain.E(domain.Invalid, "zone_missing", "this country has several time zones: give one, like America/New_York").About("zone")
	}
	if !contact.ValidZone(given) {
		return "", domain.E(domain.Invalid, "unknown_zone", "use an IANA time zone, like Africa/Kigali").About("zone")
	}
	return given, nil
}

// Currency is the ISO 4217 code of a country's money; "" where nobody knows.
func Currency(country string) string {
	if newer := newerMoney[country]; newer != "" {
		return newer
	}
	region, err := language.ParseRegion(country)
	if err != nil {
		return ""
	}
	unit, ok := currency.FromRegion(region)
	if !ok {
		return ""
	}
	return unit.String()
}

// newerMoney is what changed since the library's tables were made.
var newerMoney = map[string]string{"HR": "EUR", "BG": "EUR", "SL": "SLE", "VE": "VES", "MR": "MRU", "ST": "STN", "CW": "XCG", "SX": "XCG", "ZW": "ZWG"}

const pinDigits = 6

var pinRule = regexp.MustCompile(`^[0-9]{6}$`)

// CheckPIN says what is wrong with a PIN: domain.Invalid about "pin".
func CheckPIN(pin string) error {
	if !pinRule.MatchString(pin) {
		return domain.E(domain.Invalid, "bad_pin", "must be %d digits", pinDigits).About("pin")
	}
	if weak(pin) {
		return domain.E(domain.Invalid, "weak_pin", "is the first that somebody would try").About("pin")
	}
	return nil
}

// NewPIN makes a random PIN of six digits that CheckPIN lets pass.
func NewPIN() string {
	for {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			panic(err) // rand.Reader never fails
		}
		if pin := fmt.Sprintf("%06d", n); !weak(pin) {
			return pin
		}
	}
}

// weak are PINs whose digits are all alike, or count up or down.
func weak(pin string) bool {
	step := int(pin[1]) - int(pin[0])
	if step < -1 || step > 1 {
		return false
	}
	for i := 2; i < len(pin); i++ {
		if int(pin[i])-int(pin[i-1]) != step {
			return false
		}
	}
	return true
}
