// Package inbound reads what people write to us. Of all messages only a few mean something: that they want no more,
// that they want some again, that they join a bar. A message is a command as a whole or not at all, so that "stop by
// tonight?" opts nobody out.
package inbound

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Command is what a message orders.
type Command string

// The commands.
const (
	Stop  Command = "stop"  // no messages any more
	Start Command = "start" // messages again
	Join  Command = "join"  // messages from a bar, whose token is written behind it
)

// Order is a command as it was written.
type Order struct {
	Command  Command
	Language string // of the word: en, fr, rw or mt; "" for one that several languages share
	Token    string // of Join: as it was written, case and all
}

// longest is the most bytes of a message that can be a command.
const longest = 200

// Parse reads a message; false for one that is no command. Case, accents, punctuation, spaces and pictures do not
// count in words; a digit does, and so does any other letter.
func Parse(text string) (Order, bool) {
	if len(text) > longest {
		return Order{}, false
	}
	if token := joinRule.FindStringSubmatch(strings.TrimSpace(text)); token != nil {
		return Order{Command: Join, Token: token[1]}, true
	}
	found, ok := words[Normal(text)]
	return found, ok
}

// joinRule is "JOIN <token>".
var joinRule = regexp.MustCompile(`(?i)^join[\s:]+([A-Za-z0-9_-]{4,128})\.?$`)

// Normal is the form in which words are compared: letters and digits alone, small and without accents.
func Normal(text string) string {
	return strings.Map(func(r rune) rune {
		switch r = unicode.ToLower(r); {
		case r == 'ħ': // the one letter of these languages that does not come apart
			return 'h'
		case unicode.IsLetter(r), unicode.IsDigit(r):
			return r
		}
		return -1
	}, norm.NFD.String(text))
}

// lists are the words of each command by language; "" holds those that are the same everywhere. OUTBOUND_POLICIES.md
// has them too, and a test holds them together.
var lists = map[Command]map[string][]string{
	Stop: {
		"":   {"STOP"},
		"en": {"stop all", "stop messages", "unsubscribe", "opt out", "remove me"},
		"fr": {"arrêt", "arrêter", "arrêtez", "désabonner", "me désabonner", "désinscrire", "désinscription"},
		"rw": {"hagarika", "guhagarika", "hagarika ubutumwa", "reka kunyandikira"},
		"mt": {"ieqaf", "waqqaf", "waqqfu", "tibgħatlix", "neħħini"},
	},
	Start: {
		"":   {"START"},
		"en": {"unstop", "subscribe", "opt in", "resume"},
		"fr": {"commencer", "reprendre", "m'abonner", "réabonner"},
		"rw": {"tangira", "gutangira", "ongera unyandikire"},
		"mt": {"ibda", "erġa' ibda", "erġa' ibgħatli"},
	},
}

// Words are the words of a command by language, as they are told to people.
func Words(c Command) map[string][]string { return maps.Clone(lists[c]) }

// words has every word in its normal form.
var words = func() map[string]Order {
	all := map[string]Order{}
	for command, languages := range lists {
		for _, language := range slices.Sorted(maps.Keys(languages)) {
			for _, word := range languages[language] {
				if _, twice := all[Normal(word)]; twice {
					panic("inbound: two commands are written " + word)
				}
				all[Normal(word)] = Order{Command: command, Language: language}
			}
		}
	}
	return all
}()
