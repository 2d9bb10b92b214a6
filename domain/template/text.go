package template

import (
	"slices"
	"strings"

	"lastcall/domain"
)

// Value is what a variable says in one message.
type Value struct {
	Name string
	Text string
}

// Values returns what the text that Locale picks for locale leaves open, in order of first appearance. What
// given lacks or leaves empty gets its default. A variable without either is a domain.Invalid error
// (missing_variable) about it.
func (t Template) Values(locale string, given map[string]string) ([]Value, error) {
	names, err := Placeholders(t.Texts[t.Locale(locale)])
	if err != nil {
		return nil, err
	}
	values := make([]Value, 0, len(names))
	for _, name := range names {
		text := given[name]
		if text == "" {
			text = t.defaultOf(name)
		}
		if text == "" {
			return nil, domain.E(domain.Invalid, "missing_variable", "has no value and no default").About(name)
		}
		values = append(values, Value{name, text})
	}
	return values, nil
}

// Render returns the message: the text that Locale picks for locale with its placeholders filled as by
// Values, whose errors it returns. A value is never read as a placeholder itself.
func (t Template) Render(locale string, given map[string]string) (string, error) {
	values, err := t.Values(locale, given)
	if err != nil {
		return "", err
	}
	pairs := make([]string, 0, 2*len(values))
	for _, v := range values {
		pairs = append(pairs, "{{"+v.Name+"}}", v.Text)
	}
	return strings.NewReplacer(pairs...).Replace(t.Texts[t.Locale(locale)]), nil
}

func (t Template) defaultOf(name string) string {
	for _, v := range t.Variables {
		if v.Name == name {
			return v.Default
		}
	}
	return ""
}

// Placeholders returns the names of the {{name}} placeholders in body, each once, in order of first
// appearance. Anything else with "{{" or "}}" in it is a domain.Invalid error (bad_placeholder) that quotes it.
func Placeholders(body string) ([]string, error) {
	var names []string
	for {
		text, rest, found := strings.Cut(body, "{{")
		if strings.Contains(text, "}}") {
			return nil, domain.E(domain.Invalid, "bad_placeholder", "a }} has no {{ before it")
		}
		if !found {
			return names, nil
		}
		name, rest, found := strings.Cut(rest, "}}")
		if !found {
			return nil, domain.E(domain.Invalid, "bad_placeholder", "{{%.20s is not closed with }}", name)
		}
		if !nameRule.MatchString(name) {
			return nil, domain.E(domain.Invalid, "bad_placeholder",
				"{{%.20s}} is no placeholder: write {{name}} with lower-case letters, digits and _, a letter first", name)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		body = rest
	}
}
