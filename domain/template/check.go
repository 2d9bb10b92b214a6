package template

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// What WhatsApp takes at most, in characters.
const (
	MaxBody   = 1024
	MaxHeader = 60
	MaxFooter = 60
)

// What a draft may hold at most, right or wrong: it must fit into the database and on a screen.
const (
	maxDraftText = 8192 // characters of one text
	maxLocales   = 30
	maxVariables = 30
	maxValue     = 256 // characters of an example or a default
)

// Check reports everything that keeps the template from being submitted, as Validate does: all that Validate finds, and
// the provider's own rules. Lengths are of the text as written and with its examples, whichever is longer.
func (t Template) Check() error {
	var errs []error
	if err := t.Validate(); err != nil {
		errs = append(errs, err)
	}
	wrong := func(field, code, message string, args ...any) {
		errs = append(errs, domain.E(domain.Invalid, code, message, args...).About(field))
	}
	examples := map[string]string{}
	for _, v := range t.Variables {
		field := "variables." + v.Name
		examples[v.Name] = v.Example
		if strings.TrimSpace(v.Example) == "" {
			wrong(field, "no_example", "WhatsApp wants an example of it")
		}
		for what, text := range map[string]string{"example": v.Example, "default": v.Default} {
			if notAValue.MatchString(text) {
				wrong(field, "bad_value", "the %s must have no line break, no tab and no four spaces in a row", what)
			}
		}
	}
	for _, locale := range slices.Sorted(maps.Keys(t.Texts)) {
		text, field := t.Texts[locale], "texts."+locale
		names, err := Placeholders(text)
		if err != nil {
			continue // Validate says so
		}
		if n := longest(text, examples); n > MaxBody {
			wrong(field, "too_long", "the text has %d characters, and WhatsApp takes %d", n, MaxBody)
		}
		trimmed := strings.TrimSpace(text)
		if strings.HasPrefix(trimmed, "{{") || strings.HasSuffix(trimmed, "}}") {
			wrong(field, "variable_at_edge", "the text must neither begin nor end with a variable")
		}
		if adjacent.MatchString(text) {
			wrong(field, "variables_adjacent", "two variables need words between them")
		}
		for _, v := range t.Variables {
			if !slices.Contains(names, v.Name) && t.uses(v.Name) {
				wrong(field, "missing_variable", "{{%s}} is missing: another language says it", v.Name)
			}
		}
	}
	t.checkEdges("headers", t.Headers, MaxHeader, wrong)
	t.checkEdges("footers", t.Footers, MaxFooter, wrong)
	if t.HeaderMedia != "" && len(t.Headers) > 0 {
		wrong("header_media", "two_headers", "a message opens with a picture or with words, not with both")
	}
	if t.HeaderMedia != "" && !mediaRule.MatchString(t.HeaderMedia) {
		wrong("header_media", "bad_media", "use an https:// address, or the id that WhatsApp gave the file")
	}
	return errors.Join(flat(errs)...)
}

var (
	adjacent  = regexp.MustCompile(`\}\}\s*\{\{`)
	notAValue = regexp.MustCompile(`[\r\n\t]|    `)
	mediaRule = regexp.MustCompile(`^(https://[^\s]{1,500}|[0-9]{1,64})$`)
)

// checkEdges checks what stands over or under the texts: the same for everybody, so without variables.
func (t Template) checkEdges(field string, edges map[string]string, most int, wrong func(field, code, message string, args ...any)) {
	for _, locale := range slices.Sorted(maps.Keys(edges)) {
		field, text := field+"."+locale, edges[locale]
		if _, there := t.Texts[locale]; !there {
			wrong(field, "no_text", "there is no text in this language")
		}
		if n := utf8.RuneCountInString(text); n > most {
			wrong(field, "too_long", "it has %d characters, and WhatsApp takes %d", n, most)
		}
		if strings.Contains(text, "{{") || strings.Contains(text, "}}") {
			wrong(field, "variable_not_here", "variables go into the text only")
		}
		if strings.ContainsAny(text, "\r\n") {
			wrong(field, "line_break", "it is one line")
		}
	}
	if len(edges) > 0 && len(edges) < len(t.Texts) {
		for _, locale := range slices.Sorted(maps.Keys(t.Texts)) {
			if _, there := edges[locale]; !there {
				wrong(field+"."+locale, "missing", "another language has one")
			}
		}
	}
}

// Keepable reports what is too wrong even for a draft to be kept so: it can be sorted out later, but not stored.
func (t Template) Keepable() error {
	var errs []error
	wrong := func(field, code, message string, args ...any) {
		errs = append(errs, domain.E(domain.Invalid, code, message, args...).About(field))
	}
	if !nameRule.MatchString(t.Name) || len(t.Name) > 512 {
		wrong("name", "bad_name", "use lower-case letters, digits and _, a letter first")
	}
	if t.Category != Marketing && t.Category != Utility {
		wrong("category", "unknown_category", "use %s or %s", Marketing, Utility)
	}
	if len(t.Variables) > maxVariables {
		wrong("variables", "too_many", "a template has at most %d variables", maxVariables)
	}
	for _, v := range t.Variables {
		if utf8.RuneCountInString(v.Name) > 64 || utf8.RuneCountInString(v.Example) > maxValue || utf8.RuneCountInString(v.Default) > maxValue {
			wrong("variables", "too_long", "a name has at most 64 characters, an example and a default %d", maxValue)
		}
	}
	if len(t.HeaderMedia) > 512 {
		wrong("header_media", "too_long", "use at most 512 characters")
	}
	for field, texts := range map[string]map[string]string{"texts": t.Texts, "headers": t.Headers, "footers": t.Footers} {
		if len(texts) > maxLocales {
			wrong(field, "too_many", "a template has at most %d languages", maxLocales)
		}
		for _, locale := range slices.Sorted(maps.Keys(texts)) {
			if !contact.ValidLocale(locale) {
				wrong(field, "bad_locale", "one is no language like en-MT or rw-RW")
			}
			if utf8.RuneCountInString(texts[locale]) > maxDraftText {
				wrong(field+"."+locale, "too_long", "use at most %d characters", maxDraftText)
			}
		}
	}
	return errors.Join(errs...)
}

// Digest is the SHA-256 of all that a review is of: name, version, category, what is said, and what it leaves open.
func (t Template) Digest() []byte {
	text, err := json.Marshal(struct {
		Name        string            `json:"name"`
		Version     int               `json:"version"`
		Category    string            `json:"category"`
		Variables   []Variable        `json:"variables"`
		Texts       map[string]string `json:"texts"` // maps are sorted
		Headers     map[string]string `json:"headers,omitempty"`
		Footers     map[string]string `json:"footers,omitempty"`
		HeaderMedia string            `json:"header_media"`
	}{t.Name, t.Version, t.Category, slices.Concat([]Variable{}, t.Variables), t.Texts, t.Headers, t.Footers, t.HeaderMedia})
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

func (t Template) uses(variable string) bool {
	for _, text := range t.Texts {
		if strings.Contains(text, "{{"+variable+"}}") {
			return true
		}
	}
	return false
}

func longest(text string, examples map[string]string) int {
	pairs := make([]string, 0, 2*len(examples))
	for name, example := range examples {
		pairs = append(pairs, "{{"+name+"}}", example)
	}
	return max(utf8.RuneCountInString(text), utf8.RuneCountInString(strings.NewReplacer(pairs...).Replace(text)))
}

// flat takes joined errors apart, so that what is joined of them is one list.
func flat(errs []error) (all []error) {
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			all = append(all, joined.Unwrap()...)
		} else {
			all = append(all, err)
		}
	}
	return all
}
