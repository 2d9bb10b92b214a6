// Package payment says what Finance may set: where bars pay, and what they are told about it by country and currency.
package payment

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/currency"

	"lastcall/domain"
	"lastcall/domain/place"
)

// Terms are how Finance wants to be paid.
type Terms struct {
	RevolutLink  string        `json:"revolut_link" example:"https://revolut.me/lastcall" doc:"https://revolut.me/ and a name; empty: none"`
	Instructions []Instruction `json:"instructions" maxItems:"300" doc:"One a country and currency at most"`
}

// Instruction is what those who pay in a country in a currency are told.
type Instruction struct {
	Country  string `json:"country" example:"RW" doc:"ISO 3166-1 alpha-2"`
	Currency string `json:"currency" example:"RWF" doc:"ISO 4217"`
	Text     string `json:"text" maxLength:"2000"`
}

// State is how far a revision of the terms is.
type State string

// The states. The newest confirmed revision is in force.
const (
	Draft     State = "draft"
	Confirmed State = "confirmed"
)

// Line is what somebody who pays in a country in a currency is told, in one line of at most 300 characters: the
// instruction, and the link; "" when nothing is set for them.
func (t Terms) Line(country, currency string) string {
	var parts []string
	for _, i := range t.Instructions {
		if i.Country == country && i.Currency == currency {
			parts = append(parts, strings.Join(strings.Fields(i.Text), " "))
		}
	}
	if t.RevolutLink != "" && (len(parts) > 0 || len(t.Instructions) == 0) {
		parts = append(parts, t.RevolutLink)
	}
	if len(parts) == 0 {
		return ""
	}
	const room = 300
	if letters, rest := []rune(parts[0]), utf8.RuneCountInString(strings.Join(parts[1:], " ")); len(letters)+1+rest > room {
		parts[0] = string(letters[:room-rest-2]) + "…"
	}
	return strings.Join(parts, " ")
}

var revolutLink = regexp.MustCompile(`^https://revolut\.me/[A-Za-z0-9_.-]{1,64}$`)

const longest = 2000 // characters of an instruction

// Check makes of terms what is kept, or says everything that is wrong with them at once: domain.Invalid about
// "revolut_link" or "instructions[n].…".
func (t Terms) Check() (Terms, error) {
	var problems []error
	t.RevolutLink = strings.TrimSpace(t.RevolutLink)
	if t.RevolutLink != "" && !revolutLink.MatchString(t.RevolutLink) {
		problems = append(problems, domain.E(domain.Invalid, "bad_revolut_link", "must be https://revolut.me/ and a name, and nothing else").About("revolut_link"))
	}
	kept := make([]Instruction, 0, len(t.Instructions))
	seen := map[[2]string]bool{}
	for n, i := range t.Instructions {
		wrong := func(field, code, message string, args ...any) {
			problems = append(problems, domain.E(domain.Invalid, code, message, args...).About(fmt.Sprintf("instructions[%d].%s", n, field)))
		}
		country, err := place.ParseCountry(i.Country)
		if err != nil {
			wrong("country", "unknown_country", "use a country's ISO code, like RW")
		}
		i.Country = country
		unit, err := currency.ParseISO(strings.TrimSpace(i.Currency))
		if i.Currency = unit.String(); err != nil {
			wrong("currency", "unknown_currency", "use a currency's ISO code, like RWF")
		}
		i.Text = strings.TrimSpace(strings.ReplaceAll(i.Text, "\r\n", "\n"))
		switch {
		case i.Text == "":
			wrong("text", "no_text", "must not be empty")
		case utf8.RuneCountInString(i.Text) > longest:
			wrong("text", "text_too_long", "must have at most %d characters", longest)
		case strings.ContainsFunc(i.Text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }):
			wrong("text", "bad_text", "must not hold control characters")
		}
		if pair := [2]string{i.Country, i.Currency}; seen[pair] && err == nil {
			wrong("currency", "twice", "is there twice for this country")
		} else {
			seen[pair] = true
		}
		kept = append(kept, i)
	}
	t.Instructions = kept
	return t, errors.Join(problems...)
}
