package template

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain"
)

// promo is a good template.
func promo() Template {
	return Template{
		Name: "promo_generic", Version: 1, Category: Marketing, Status: Approved,
		Variables: []Variable{{Name: "name", Example: "Aline", Default: "friend"}, {Name: "bar", Example: "Repub"}},
		Texts: map[string]string{
			"en":    "Hi {{name}}, {{bar}} is open. See you, {{name}}!",
			"rw-RW": "{{bar}}: muraho {{name}}",
		},
	}
}

func TestSendable(t *testing.T) {
	t.Parallel()
	for status, want := range map[Status]bool{Draft: false, Submitted: false, Approved: true, Locked: true, Retired: false, "": false} {
		require.Equal(t, want, status.Sendable(), status)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Template)
		want   []string // "field code", in order
	}{
		{"good", func(*Template) {}, nil},
		{"no variables", func(t *Template) { t.Variables = nil; t.Texts = map[string]string{"en": "Hi"} }, nil},
		{"no name", func(t *Template) { t.Name = "" }, []string{"name bad_name"}},
		{"bad name", func(t *Template) { t.Name = "Promo 1" }, []string{"name bad_name"}},
		{"no category", func(t *Template) { t.Category = "" }, []string{"category unknown_category"}},
		{"unknown category", func(t *Template) { t.Category = "MARKETING" }, []string{"category unknown_category"}},
		{"no text", func(t *Template) { t.Texts = nil; t.Variables = nil }, []string{"texts no_text"}},
		{"empty text", func(t *Template) { t.Texts["fr"] = " \n" }, []string{"texts.fr no_text"}},
		{"bad locale", func(t *Template) { t.Texts["en_MT"] = "Hi" }, []string{"texts.en_MT bad_locale"}},
		{"undeclared", func(t *Template) { t.Texts["fr"] = "{{bar}} {{offer}}" }, []string{"texts.fr undeclared_variable"}},
		{"unused", func(t *Template) { t.Variables = append(t.Variables, Variable{Name: "offer"}) }, []string{"variables.offer unused_variable"}},
		{"declared twice", func(t *Template) { t.Variables = append(t.Variables, Variable{Name: "bar"}) }, []string{"variables.bar duplicate_variable"}},
		{"bad placeholder", func(t *Template) { t.Texts["fr"] = "{{ bar }}" }, []string{"texts.fr bad_placeholder"}},
		{"bad variable", func(t *Template) { t.Variables = append(t.Variables, Variable{Name: "1"}) }, []string{"variables.1 bad_name", "variables.1 unused_variable"}},
		{"everything", func(t *Template) { *t = Template{Variables: []Variable{{Name: "bar"}}} },
			[]string{"name bad_name", "category unknown_category", "texts no_text", "variables.bar unused_variable"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			template := promo()
			c.change(&template)
			err := template.Validate()
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			var got []string
			for _, each := range err.(interface{ Unwrap() []error }).Unwrap() {
				e := each.(*domain.Error)
				require.Equal(t, domain.Invalid, e.Kind)
				got = append(got, e.Field+" "+e.Code)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestLocale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ have, want, locale string }{
		{"en rw-RW", "rw-RW", "rw-RW"},
		{"en rw-RW", "en", "en"},
		{"en en-MT", "en-MT", "en-MT"},
		{"en rw-RW", "rw", "rw-RW"},
		{"en rw-RW", "rw-UG", "rw-RW"},
		{"en-MT en en-GB", "en-US", "en"},
		{"en-MT en-GB", "en-US", "en-GB"},
		{"fr en rw-RW", "mt-MT", "en"},
		{"fr en-MT rw-RW", "mt-MT", "en-MT"},
		{"de en-MT fr", "mt-MT", "en-MT"},
		{"rw-RW fr mt", "de", "fr"},
		{"rw-RW fr en", "", "en"},
		{"rw-RW fr", "", "fr"},
		{"enm ary", "en", "ary"}, // "enm" is not English
		{"", "en", ""},
	} {
		template := Template{Texts: map[string]string{}}
		for _, locale := range strings.Fields(c.have) {
			template.Texts[locale] = "Hi"
		}
		require.Equal(t, c.locale, template.Locale(c.want), "%q of %q", c.want, c.have)
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		"":                          nil,
		"Hi":                        nil,
		"{{bar}}":                   {"bar"},
		"{{b}} {{a_1}}, {{b}}{{c}}": {"b", "a_1", "c"},
		"{ {bar} } {x} } {":         nil,
		"{{bar}}}":                  {"bar"},
		"Zoë 🍸 {{bar}}\n\t{{city}}": {"bar", "city"},
	} {
		got, err := Placeholders(body)
		require.NoError(t, err, body)
		require.Equal(t, want, got, body)
	}
	for _, body := range []string{"{{", "}}", "{{}}", "{{bar", "{{bar}", "bar}}", "{{ bar }}", "{{Bar}}", "{{1}}", "{{a-b}}", "{{{bar}}}",
		"{{a{{b}}}}", "{{bar\n}}", "{{a}} }} {{b}}", "{{_a}}", "{{é}}"} {
		_, err := Placeholders(body)
		require.Equal(t, domain.Invalid, domain.KindOf(err), body)
		require.Equal(t, "bad_placeholder", domain.CodeOf(err), body)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, locale string
		given        map[string]string
		want         []Value
		message      string
	}{
		{"all given", "en", map[string]string{"bar": "Repub", "name": "Aline", "other": "x"},
			[]Value{{"name", "Aline"}, {"bar", "Repub"}}, "Hi Aline, Repub is open. See you, Aline!"},
		{"another order", "rw-RW", map[string]string{"bar": "Repub", "name": "Aline"},
			[]Value{{"bar", "Repub"}, {"name", "Aline"}}, "Repub: muraho Aline"},
		{"default", "rw", map[string]string{"bar": "Repub"},
			[]Value{{"bar", "Repub"}, {"name", "friend"}}, "Repub: muraho friend"},
		{"default for an empty value", "mt-MT", map[string]string{"bar": "Repub", "name": ""},
			[]Value{{"name", "friend"}, {"bar", "Repub"}}, "Hi friend, Repub is open. See you, friend!"},
		{"a value like a placeholder", "rw-RW", map[string]string{"bar": "{{name}}", "name": "{{bar}}"},
			[]Value{{"bar", "{{name}}"}, {"name", "{{bar}}"}}, "{{name}}: muraho {{bar}}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			values, err := promo().Values(c.locale, c.given)
			require.NoError(t, err)
			require.Equal(t, c.want, values)
			message, err := promo().Render(c.locale, c.given)
			require.NoError(t, err)
			require.Equal(t, c.message, message)
		})
	}
}

func TestMissingValue(t *testing.T) {
	t.Parallel()
	for _, given := range []map[string]string{nil, {"name": "Aline"}, {"bar": ""}} {
		_, err := promo().Values("en", given)
		require.Equal(t, domain.Invalid, domain.KindOf(err))
		require.Equal(t, "missing_variable", domain.CodeOf(err))
		require.ErrorContains(t, err, "bar: ")
		_, renderErr := promo().Render("en", given)
		require.Equal(t, err, renderErr)
	}
}

// Rendering fills every placeholder, and nothing else changes.
func TestRender(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var body, want strings.Builder
		given := map[string]string{}
		for range rapid.IntRange(0, 6).Draw(t, "pieces") {
			text := rapid.StringMatching(`[a-z ,.!🍸]*`).Draw(t, "text")
			name := rapid.SampledFrom([]string{"a", "b", "ab", "a_1"}).Draw(t, "name")
			if given[name] == "" {
				given[name] = rapid.StringMatching(`[a-z{} ]+`).Draw(t, "value")
			}
			body.WriteString(text + "{{" + name + "}}")
			want.WriteString(text + given[name])
		}
		got, err := Template{Texts: map[string]string{"en": body.String()}}.Render("en", given)
		require.NoError(t, err)
		require.Equal(t, want.String(), got)
	})
}
