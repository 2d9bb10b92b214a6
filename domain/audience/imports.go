package audience

import (
	"errors"
	"slices"
	"strings"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// Phase is where an import is.
type Phase string

// The phases, in their order.
const (
	Uploading Phase = "uploading" // its file arrives in parts
	Staging   Phase = "staging"   // its lines are read
	Merging   Phase = "merging"   // they become targets, all or none
	Done      Phase = "done"
	Failed    Phase = "failed"
	Cancelled Phase = "cancelled"
)

// Ended reports whether nothing will happen any more.
func (p Phase) Ended() bool { return p == Done || p == Failed || p == Cancelled }

// The limits of a file.
const (
	MaxLines = 10_000_000 // below the header, without blank ones
	MaxBytes = 2 << 30    // 2 GiB, as it is sent
	PartSize = 1 << 20    // of an upload, what we suggest
	MaxPart  = 8 << 20    // the most we take
	MaxParts = 10_000
)

// Limits are MaxLines and MaxBytes in words.
const Limits = "10,000,000 lines and 2 GiB a file"

// TooLarge is the error for a file of more than MaxBytes.
func TooLarge() error {
	return domain.E(domain.TooLarge, "file_too_large", "the file is too large: the limits are "+Limits)
}

// The ways in which several tags match.
const (
	MatchAny = "any" // a contact that has one of them
	MatchAll = "all" // a contact that has every one of them
)

// Filter chooses contacts. What is left empty does not matter; of what is given each must hold, and of several
// values of one kind it is enough that one does, tags apart.
type Filter struct {
	Tags      []string `json:"tags,omitempty"`
	TagsMatch string   `json:"tags_match,omitempty"` // MatchAny ("": so too) or MatchAll
	Bars      []string `json:"bars,omitempty"`       // codes
	Countries []string `json:"countries,omitempty"`  // ISO 3166-1 alpha-2
	Locales   []string `json:"locales,omitempty"`    // BCP 47
}

// Check returns the filter as it is kept: sorted, each value once, locales in canonical form. Everything that is wrong
// with it comes as domain.Invalid errors, joined: empty_filter, empty_value, unknown_match, unknown_country, bad_locale.
func (f Filter) Check() (Filter, error) {
	var problems []error
	wrong := func(field, code, message string) {
		problems = append(problems, domain.E(domain.Invalid, code, "%s", message).About(field))
	}
	if len(f.Tags)+len(f.Bars)+len(f.Countries)+len(f.Locales) == 0 {
		wrong("", "empty_filter", "say whom to write to: by tags, bars, countries or locales; for everybody, name every country")
	}
	switch {
	case f.TagsMatch != "" && f.TagsMatch != MatchAny && f.TagsMatch != MatchAll:
		wrong("tags_match", "unknown_match", "use any or all")
	case len(f.Tags) == 0:
		f.TagsMatch = ""
	case f.TagsMatch == "":
		f.TagsMatch = MatchAny
	}
	for _, list := range []struct {
		field  string
		values *[]string
	}{{"tags", &f.Tags}, {"bars", &f.Bars}, {"countries", &f.Countries}, {"locales", &f.Locales}} {
		if slices.ContainsFunc(*list.values, func(v string) bool { return strings.TrimSpace(v) == "" }) {
			wrong(list.field, "empty_value", "holds an empty value")
			continue
		}
		values := slices.Clone(*list.values)
		for i, v := range values {
			locale, isLocale := contact.ParseLocale(v)
			switch {
			case list.field == "countries" && !contact.ValidCountry(v):
				wrong(list.field, "unknown_country", "use ISO 3166-1 alpha-2 in capitals, like RW")
			case list.field == "locales" && !isLocale:
				wrong(list.field, "bad_locale", "use BCP 47, like rw-RW or en-MT")
			case list.field == "locales":
				values[i] = locale
			}
		}
		slices.Sort(values)
		*list.values = slices.Compact(values)
	}
	return f, errors.Join(problems...)
}
