// Package template holds message templates: their texts per locale, the variables in them, and how a text
// and its variables become a message.
package template

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// Template is one version of a message template. A campaign keeps the version it started with.
type Template struct {
	ID          uuid.UUID
	Name        string // as the provider knows it: lower-case letters, digits and "_"
	Version     int    // 1 and up
	Category    string // Marketing or Utility
	Status      Status
	Variables   []Variable
	Texts       map[string]string // canonical locale ("rw-RW") → body with {{name}} placeholders
	Headers     map[string]string // locale → the line over the body; none where the message opens with media
	Footers     map[string]string // locale → the small line under it
	HeaderMedia string            // what the message opens with, "" for nothing
}

// Variable is something a message text leaves open.
type Variable struct {
	Name    string `json:"name"`              // lower-case letters, digits and "_", a letter first
	Example string `json:"example"`           // what previews show
	Default string `json:"default,omitempty"` // used where a recipient has no value; "" means that one is required
}

// The categories a provider tells apart.
const (
	Marketing = "marketing"
	Utility   = "utility"
)

// Status is where a template stands: draft → submitted → approved → locked → retired.
type Status string

// The statuses.
const (
	Draft     Status = "draft"
	Submitted Status = "submitted"
	Approved  Status = "approved"
	Locked    Status = "locked" // approved, and nobody may change it any more
	Retired   Status = "retired"
)

// Sendable reports whether messages may be sent with a template of this status.
func (s Status) Sendable() bool { return s == Approved || s == Locked }

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Validate reports everything that is wrong with the template, as domain.Invalid errors joined, each naming
// its field ("texts.rw-RW", "variables.bar").
func (t Template) Validate() error {
	var errs []error
	wrong := func(field, code, message string, args ...any) {
		errs = append(errs, domain.E(domain.Invalid, code, message, args...).About(field))
	}
	if !nameRule.MatchString(t.Name) {
		wrong("name", "bad_name", "use lower-case letters, digits and _, a letter first")
	}
	if t.Category != Marketing && t.Category != Utility {
		wrong("category", "unknown_category", "use %s or %s", Marketing, Utility)
	}
	if len(t.Texts) == 0 {
		wrong("texts", "no_text", "a template needs a text in at least one locale")
	}

	declared := map[string]bool{}
	for _, v := range t.Variables {
		switch {
		case !nameRule.MatchString(v.Name):
			wrong("variables."+v.Name, "bad_name", "use lower-case letters, digits and _, a letter first")
		case declared[v.Name]:
			wrong("variables."+v.Name, "duplicate_variable", "declared twice")
		}
		declared[v.Name] = true
	}

	used := map[string]bool{}
	for _, locale := range slices.Sorted(maps.Keys(t.Texts)) {
		field := "texts." + locale
		if !contact.ValidLocale(locale) {
			wrong(field, "bad_locale", "not a locale like en-MT or rw-RW")
		}
		if strings.TrimSpace(t.Texts[locale]) == "" {
			wrong(field, "no_text", "the text is empty")
		}
		names, err := Placeholders(t.Texts[locale])
		if err != nil {
			wrong(field, domain.CodeOf(err), "%s", err)
		}
		for _, name := range names {
			used[name] = true
			if !declared[name] {
				wrong(field, "undeclared_variable", "{{%s}} is not among the variables", name)
			}
		}
	}
	for _, v := range t.Variables {
		if !used[v.Name] {
			wrong("variables."+v.Name, "unused_variable", "no text uses it")
		}
	}
	return errors.Join(errs...)
}

// Locale returns the locale of the text to send to someone who reads want: that one, else one of the same
// language, else English, else the first. Ties go to the alphabet. It is "" if there is no text at all.
func (t Template) Locale(want string) string {
	if _, ok := t.Texts[want]; ok {
		return want
	}
	have := slices.Sorted(maps.Keys(t.Texts))
	for _, lang := range []string{language(want), "en"} {
		for _, locale := range have {
			if lang != "" && language(locale) == lang {
				return locale
			}
		}
	}
	if len(have) == 0 {
		return ""
	}
	return have[0]
}

// language is the first part of a locale: "rw" of "rw-RW".
func language(locale string) string {
	lang, _, _ := strings.Cut(locale, "-")
	return strings.ToLower(lang)
}
