package template

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

// faults are "field code" of each thing that is wrong, in order.
func faults(t *testing.T, err error) (all []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	for _, each := range err.(interface{ Unwrap() []error }).Unwrap() {
		e, ok := each.(*domain.Error)
		require.True(t, ok, "%T", each)
		require.Equal(t, domain.Invalid, e.Kind)
		all = append(all, e.Field+" "+e.Code)
	}
	return all
}

// whole is a template that may be submitted.
func whole() Template {
	w := promo()
	w.Texts = map[string]string{"en": "Hi {{name}}, {{bar}} is open.", "rw-RW": "Muraho {{name}}, {{bar}} irafunguye."}
	return w
}

func TestCheck(t *testing.T) {
	t.Parallel()
	fill := func(n int) string { return strings.Repeat("é", n) }
	for _, c := range []struct {
		name   string
		change func(*Template)
		want   []string
	}{
		{"good", func(*Template) {}, nil},
		{"what Validate finds", func(t *Template) { t.Category = "" }, []string{"category unknown_category"}},
		{"as long as it may be", func(t *Template) { t.Variables = nil; t.Texts = map[string]string{"en": fill(MaxBody)} }, nil},
		{"too long", func(t *Template) { t.Variables = nil; t.Texts = map[string]string{"en": fill(MaxBody + 1)} }, []string{"texts.en too_long"}},
		{"too long with its examples", func(t *Template) {
			t.Variables = []Variable{{Name: "b", Example: "a long example"}}
			t.Texts = map[string]string{"en": fill(MaxBody-6) + "{{b}}."}
		}, []string{"texts.en too_long"}},
		{"begins with a variable", func(t *Template) { t.Texts["en"] = " {{name}}, {{bar}} is open." }, []string{"texts.en variable_at_edge"}},
		{"ends with a variable", func(t *Template) { t.Texts["en"] = "Hi {{name}}, come to {{bar}}\n" }, []string{"texts.en variable_at_edge"}},
		{"ends with a stop", func(t *Template) { t.Texts["en"] = "Hi {{name}}, come to {{bar}}." }, nil},
		{"adjacent", func(t *Template) { t.Texts["en"] = "Hi {{name}} {{bar}} is open." }, []string{"texts.en variables_adjacent"}},
		{"one language says less", func(t *Template) { t.Texts["rw-RW"] = "Muraho {{name}}." }, []string{"texts.rw-RW missing_variable"}},
		{"no language says it", func(t *Template) { t.Variables = append(t.Variables, Variable{Name: "city", Example: "Kigali"}) },
			[]string{"variables.city unused_variable"}},
		{"unknown", func(t *Template) { t.Texts["en"] += " {{offer}}!" }, []string{"texts.en undeclared_variable"}},
		{"no example", func(t *Template) { t.Variables[1].Example = " " }, []string{"variables.bar no_example"}},
		{"a line break in a default", func(t *Template) { t.Variables[0].Default = "my\nfriend" }, []string{"variables.name bad_value"}},
		{"four spaces in an example", func(t *Template) { t.Variables[0].Example = "A    B" }, []string{"variables.name bad_value"}},
		{"header and footer", func(t *Template) {
			t.Headers = map[string]string{"en": fill(MaxHeader), "rw-RW": "Uyu munsi"}
			t.Footers = map[string]string{"en": fill(MaxFooter), "rw-RW": "STOP"}
		}, nil},
		{"too long a header", func(t *Template) { t.Headers = map[string]string{"en": fill(MaxHeader + 1), "rw-RW": "a"} }, []string{"headers.en too_long"}},
		{"too long a footer", func(t *Template) { t.Footers = map[string]string{"en": fill(MaxFooter + 1), "rw-RW": "a"} }, []string{"footers.en too_long"}},
		{"a variable in a footer", func(t *Template) { t.Footers = map[string]string{"en": "{{bar}}", "rw-RW": "a"} }, []string{"footers.en variable_not_here"}},
		{"two lines", func(t *Template) { t.Headers = map[string]string{"en": "a\nb", "rw-RW": "a"} }, []string{"headers.en line_break"}},
		{"a footer in one language", func(t *Template) { t.Footers = map[string]string{"en": "STOP"} }, []string{"footers.rw-RW missing"}},
		{"a footer without a text", func(t *Template) { t.Footers = map[string]string{"en": "a", "rw-RW": "b", "fr": "c"} }, []string{"footers.fr no_text"}},
		{"media", func(t *Template) { t.HeaderMedia = "https://cards.example.test/a.png" }, nil},
		{"media's id", func(t *Template) { t.HeaderMedia = "1234567890" }, nil},
		{"media of this machine", func(t *Template) { t.HeaderMedia = "file:///etc/passwd" }, []string{"header_media bad_media"}},
		{"media and a header", func(t *Template) {
			t.HeaderMedia = "1"
			t.Headers = map[string]string{"en": "a", "rw-RW": "b"}
		}, []string{"header_media two_headers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := whole()
			c.change(&w)
			require.Equal(t, c.want, faults(t, w.Check()))
		})
	}
}

func TestKeepable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Template)
		want   []string
	}{
		{"half done", func(t *Template) { t.Texts = map[string]string{"en": "{{ half"}; t.Variables = nil }, nil},
		{"nothing yet", func(t *Template) { t.Texts = nil; t.Variables = nil }, nil},
		{"bad name", func(t *Template) { t.Name = "Promo!" }, []string{"name bad_name"}},
		{"no category", func(t *Template) { t.Category = "x" }, []string{"category unknown_category"}},
		{"no language", func(t *Template) { t.Texts = map[string]string{"English": "Hi"} }, []string{"texts bad_locale"}},
		{"a novel", func(t *Template) { t.Texts = map[string]string{"en": strings.Repeat("x", maxDraftText+1)} }, []string{"texts.en too_long"}},
		{"too many variables", func(t *Template) { t.Variables = make([]Variable, maxVariables+1) }, []string{"variables too_many"}},
		{"a long example", func(t *Template) { t.Variables = []Variable{{Name: "a", Example: strings.Repeat("x", maxValue+1)}} }, []string{"variables too_long"}},
	} {
		w := whole()
		c.change(&w)
		require.Equal(t, c.want, faults(t, w.Keepable()), c.name)
	}
}

// Whatever of a version is changed, its digest is another; its status is no part of it.
func TestDigest(t *testing.T) {
	t.Parallel()
	before := whole().Digest()
	seen := map[string]string{string(before): "as it was"}
	for name, change := range map[string]func(*Template){
		"name": func(t *Template) { t.Name = "other" }, "version": func(t *Template) { t.Version++ }, "category": func(t *Template) { t.Category = Utility },
		"text":       func(t *Template) { t.Texts["en"] += "!" },
		"language":   func(t *Template) { t.Texts = maps.Clone(t.Texts); delete(t.Texts, "en") },
		"example":    func(t *Template) { t.Variables[0].Example = "x" },
		"default":    func(t *Template) { t.Variables[0].Default = "x" },
		"no default": func(t *Template) { t.Variables[0].Default = "" },
		"header":     func(t *Template) { t.Headers = map[string]string{"en": "x"} }, "footer": func(t *Template) { t.Footers = map[string]string{"en": "x"} },
		"media": func(t *Template) { t.HeaderMedia = "1" },
	} {
		w := whole()
		change(&w)
		digest := string(w.Digest())
		require.NotContains(t, seen, digest, "%s is like %s", name, seen[digest])
		seen[digest] = name
	}
	w := whole()
	w.Status, w.Headers = Draft, map[string]string{}
	require.Equal(t, before, w.Digest())
}
