package inbound_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain/inbound"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]inbound.Order{
		"STOP":               {Command: inbound.Stop},
		" stop. ":            {Command: inbound.Stop},
		"S T O P":            {Command: inbound.Stop},
		"\"Stop!!\" 🙏\n":     {Command: inbound.Stop},
		"stop\u00a0ALL":      {Command: inbound.Stop, Language: "en"},
		"Opt-out":            {Command: inbound.Stop, Language: "en"},
		"arrêt":              {Command: inbound.Stop, Language: "fr"},
		"ARRET":              {Command: inbound.Stop, Language: "fr"},
		"arre\u0302t":        {Command: inbound.Stop, Language: "fr"},
		"Hagarika.":          {Command: inbound.Stop, Language: "rw"},
		"HAGARIKA  ubutumwa": {Command: inbound.Stop, Language: "rw"},
		"Ieqaf":              {Command: inbound.Stop, Language: "mt"},
		"NEĦĦINI":            {Command: inbound.Stop, Language: "mt"},
		"start":              {Command: inbound.Start},
		"M’ABONNER":          {Command: inbound.Start, Language: "fr"},
		"Tangira":            {Command: inbound.Start, Language: "rw"},
		"erga ibda":          {Command: inbound.Start, Language: "mt"},
		"JOIN Ab3-x_9Z":      {Command: inbound.Join, Token: "Ab3-x_9Z"},
		"  join: Ab3-x_9Z. ": {Command: inbound.Join, Token: "Ab3-x_9Z"},
	} {
		got, ok := inbound.Parse(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
}

func TestOnlyWholeMessagesAreCommands(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "stop by tonight?", "don't stop", "Stop2", "2 stop", "non stop", "STOP START", "start at 8?",
		"can we join you", "join", "JOIN us tonight", "JOIN abc", "arrêt de bus", "Ieqaf hawn", "сtop", "unstoppable", "stop " + strings.Repeat(" ", 300),
		strings.Repeat("stop", 3<<18), "\x00\xff"} {
		got, ok := inbound.Parse(text)
		require.False(t, ok, "%.40q is %v", text, got)
	}
}

func TestEveryWordIsFoundHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for _, command := range []inbound.Command{inbound.Stop, inbound.Start} {
		for language, words := range inbound.Words(command) {
			for _, word := range words {
				rapid.Check(t, func(t *rapid.T) {
					noise := rapid.StringMatching(`[ .!?,;:"'*_()\t\n-]{0,5}`)
					text := noise.Draw(t, "before") + word + noise.Draw(t, "after")
					if rapid.Bool().Draw(t, "capitals") {
						text = strings.ToUpper(text)
					}
					got, ok := inbound.Parse(text)
					require.True(t, ok, text)
					require.Equal(t, inbound.Order{Command: command, Language: language}, got)
				})
			}
		}
	}
}

// What people are told in an answer works.
func TestAnswers(t *testing.T) {
	t.Parallel()
	capitals := regexp.MustCompile(`\p{Lu}{4,}`)
	for answer, undo := range map[inbound.Answer]inbound.Command{inbound.Stopped: inbound.Start, inbound.Started: inbound.Stop,
		inbound.Joined: inbound.Stop, inbound.StillOut: "", inbound.NoSuch: ""} {
		texts := map[string]bool{}
		for _, locale := range []string{"en-MT", "fr-RW", "rw-RW", "mt-MT"} {
			text := answer.Text(locale, "The Blue Door")
			texts[text] = true
			require.NotContains(t, text, "{{")
			require.Equal(t, answer == inbound.Joined, strings.Contains(text, "The Blue Door"))
			if undo != "" {
				order, ok := inbound.Parse(capitals.FindString(text))
				require.True(t, ok, text)
				require.Equal(t, undo, order.Command)
			}
			_, command := inbound.Parse(text)
			require.False(t, command, "an answer that comes back must be no command")
		}
		require.Len(t, texts, 4)
		require.Equal(t, answer.Text("en", "x"), answer.Text("", "x"))
		require.Equal(t, answer.Text("en", "x"), answer.Text("sw-KE", "x"))
	}
}

func TestTheDocumentHasTheWords(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/OUTBOUND_POLICIES.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| (STOP|START) \\| ([a-z]+|any) \\| (.+) \\|$")
	told := map[inbound.Command]map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(raw), -1) {
		command, language := inbound.Command(strings.ToLower(m[1])), strings.TrimPrefix(m[2], "any")
		if told[command] == nil {
			told[command] = map[string][]string{}
		}
		for word := range strings.SplitSeq(m[3], ", ") {
			told[command][language] = append(told[command][language], strings.Trim(word, "`"))
		}
	}
	require.Equal(t, []inbound.Command{inbound.Start, inbound.Stop}, slices.Sorted(maps.Keys(told)))
	for command, languages := range told {
		require.Equal(t, inbound.Words(command), languages)
	}
}
