package whatsapp

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMessageHeader(t *testing.T) {
	t.Parallel()
	for media, want := range map[string]string{
		"https://x.test/a.png":                               `{"type":"image","image":{"link":"https://x.test/a.png"}}`,
		"https://x.test/a.MP4?k=1":                           `{"type":"video","video":{"link":"https://x.test/a.MP4?k=1"}}`,
		"https://x.test/menu.pdf":                            `{"type":"document","document":{"link":"https://x.test/menu.pdf"}}`,
		"https://x.test/cards/7.png?exp=1795438800&sig=a_-B": `{"type":"image","image":{"link":"https://x.test/cards/7.png?exp=1795438800&sig=a_-B"}}`,
		"1234567": `{"type":"image","image":{"id":"1234567"}}`,
	} {
		got := string(appendMessage(nil, TemplateMessage{To: "+1", HeaderMedia: media}))
		require.Contains(t, got, `"components":[{"type":"header","parameters":[`+want+`]}]`)
		require.True(t, json.Valid([]byte(got)), got)
		both := appendMessage(nil, TemplateMessage{To: "+1", HeaderMedia: media, Parameters: []Parameter{{"a", "b"}, {"c", "d"}}})
		require.True(t, json.Valid(both), string(both))
	}
}

func TestMessageWithoutParameters(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		`{"messaging_product":"whatsapp","recipient_type":"individual","to":"+1","type":"template","template":{"name":"a","language":{"code":"en"}}}`,
		string(appendMessage(nil, TemplateMessage{To: "+1", Template: "a", Language: "en"})))
}

// Whatever a guest is called, the provider reads the same text.
func TestMessageStrings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		encoded := appendString(nil, text)
		var got string
		if err := json.Unmarshal(encoded, &got); err != nil {
			t.Fatal(err)
		}
		want := ""
		for _, r := range text { // a bad byte ranges as U+FFFD
			want += string(r)
		}
		if got != want || !utf8.Valid(encoded) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
