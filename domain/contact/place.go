package contact

import (
	_ "embed"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones must not depend on the machine

	"golang.org/x/text/language"
)

// LoadZone returns the IANA zone of this name ("Europe/Malta", "UTC"). It keeps what it loaded, so it is
// cheap to call for every recipient. Names that depend on the machine ("", "Local", "posix/…", "right/…",
// "localtime") are refused.
func LoadZone(name string) (*time.Location, error) {
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location), nil
	}
	if name == "" || name[0] < 'A' || name[0] > 'Z' || name == "Local" {
		return nil, fmt.Errorf("no time zone is called %.40q", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("no time zone is called %.40q", name)
	}
	zones.Store(name, loc)
	return loc, nil
}

// zones holds what LoadZone found. There are some 600 names, and only names that exist get in.
var zones sync.Map

// ValidZone reports whether name is an IANA time zone.
func ValidZone(name string) bool {
	_, err := LoadZone(name)
	return err == nil
}

// ParseLocale returns the canonical form (BCP 47: language, optional script, optional region) of a locale as
// people write it: "rw_rw" is "rw-RW". It reports false for what is no locale.
func ParseLocale(raw string) (string, bool) {
	const longest = 35 // RFC 5646, 4.4.1
	if len(raw) > longest {
		return "", false
	}
	tag, err := language.Raw.Parse(raw)
	if err != nil || tag.IsRoot() || len(tag.Variants()) > 0 || len(tag.Extensions()) > 0 {
		return "", false
	}
	return tag.String(), true
}

// ValidLocale reports whether s is a locale in canonical form: "rw-RW", "en-MT", "en".
func ValidLocale(s string) bool {
	canonical, ok := ParseLocale(s)
	return ok && canonical == s
}

// CountryZones are the countries that have one clock, each with its zone.
func CountryZones() map[string]string { return maps.Clone(countryZones) }

//go:embed zones.txt
var zonesFile string

// countryZones maps each country that has one clock to its zone.
var countryZones = func() map[string]string {
	m := make(map[string]string, 256)
	for line := range strings.Lines(zonesFile) {
		if country, zone, ok := strings.Cut(strings.TrimSpace(line), " "); ok && country != "#" {
			m[country] = zone
		}
	}
	return m
}()
