package audience

import (
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lastcall/domain"
	"lastcall/domain/contact"
	"lastcall/domain/template"
)

// ContactOptions say how to read a file of contacts.
type ContactOptions struct {
	Columns  map[string]string // field → the column that holds it; by default the one called like it
	Country  string            // where numbers without "+" are dialled, ISO 3166-1 alpha-2; "" for none
	Tags     []string          // that every line gets
	Consent  string            // where everybody in the file agreed to marketing; "" if the lines say so, or nobody did
	MaxLines int               // more is an error; 0: MaxContactLines
}

// ContactRow is one contact of a file.
type ContactRow struct {
	Row
	Tags    []string
	Bar     string     // its code, "" if the file does not say
	Agreed  string     // where they agreed to marketing; "" if they did not, as far as the file knows
	AgreeAt *time.Time // when, UTC; nil: the file does not say
}

// The limits of a file of contacts, which is read in one request.
const (
	MaxContactLines = 1_000_000
	MaxContactBytes = 256 << 20
	MaxTags         = 50 // of a contact
)

// ContactFields are what a file of contacts may hold, beside the number: those of an audience and these.
var ContactFields = []string{"tags", "bar", "opted_in_at", "opt_in_source"}

// ContactReader reads contacts. It is not safe for concurrent use.
type ContactReader struct {
	*Reader
	options ContactOptions
	now     time.Time
}

// NewContactReader reads the header, as NewReader does and with its errors.
func NewContactReader(r io.Reader, o ContactOptions) (*ContactReader, error) {
	if o.MaxLines == 0 {
		o.MaxLines = MaxContactLines
	}
	extra := make([]template.Variable, len(ContactFields))
	for i, field := range ContactFields {
		extra[i] = template.Variable{Name: field, Default: "-"} // so that a file may do without
	}
	from, err := NewReader(r, Options{Columns: o.Columns, Country: o.Country, Variables: extra, MaxLines: o.MaxLines})
	if err != nil {
		return nil, err
	}
	return &ContactReader{Reader: from, options: o, now: time.Now()}, nil
}

// Next returns the next contact, as Reader.Next does. Its codes are those and
//
//   - name_too_long: more than 200 characters
//   - bad_tags: more than 50, or one of more than 50 characters; they are written with ; or | between them
//   - bad_time, in_the_future: opted_in_at is no date or RFC 3339 time, or not over yet
//   - no_consent_source: opted_in_at without opt_in_source, and nothing said for all
func (r *ContactReader) Next() (ContactRow, error) {
	row, err := r.Reader.Next()
	c := ContactRow{Row: row, Bar: unquoted(row.Variables["bar"]), Agreed: unquoted(row.Variables["opt_in_source"])}
	if err != nil {
		return c, err
	}
	bad := func(field, code, reason string) (ContactRow, error) {
		return ContactRow{}, &BadLine{Line: row.Line, Field: field, Code: code, Reason: reason}
	}
	if c.Name = unquoted(c.Name); utf8.RuneCountInString(c.Name) > 200 {
		return bad(fieldName, "name_too_long", "has more than 200 characters")
	}
	c.Tags = slices.Clone(r.options.Tags)
	for tag := range strings.FieldsFuncSeq(row.Variables["tags"], func(c rune) bool { return c == ';' || c == '|' }) {
		if tag = unquoted(strings.TrimSpace(tag)); tag != "" {
			c.Tags = append(c.Tags, tag)
		}
	}
	slices.Sort(c.Tags)
	c.Tags = slices.Compact(c.Tags)
	if len(c.Tags) > MaxTags || slices.ContainsFunc(c.Tags, func(t string) bool { return utf8.RuneCountInString(t) > 50 }) {
		return bad("tags", "bad_tags", "a contact has at most 50 tags of at most 50 characters")
	}
	if c.Agreed == "" {
		c.Agreed = r.options.Consent
	}
	if utf8.RuneCountInString(c.Agreed) > 200 {
		return bad("opt_in_source", "too_long", "has more than 200 characters")
	}
	if text := row.Variables["opted_in_at"]; text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			at, err = time.Parse(time.DateOnly, text)
		}
		switch {
		case err != nil || at.Year() < 1990:
			return bad("opted_in_at", "bad_time", "use a date like 2026-11-23, or RFC 3339")
		case at.After(r.now.Add(time.Minute)):
			return bad("opted_in_at", "in_the_future", "nobody can have agreed yet")
		case c.Agreed == "":
			return bad("opt_in_source", "no_consent_source", "says when they agreed but not where, and nothing was said for all")
		}
		at = at.UTC()
		c.AgreeAt = &at
	}
	return c, nil
}

// unquoted is a cell without the apostrophe that our exports put before what a spreadsheet would take for a formula.
func unquoted(text string) string {
	if len(text) > 1 && text[0] == '\'' && strings.ContainsRune("=+-@\t", rune(text[1])) {
		return text[1:]
	}
	return text
}

// Check says what is wrong with the options, apart from the columns: domain.Invalid errors about "tags" and
// "consent_source".
func (o ContactOptions) Check() error {
	for _, t := range o.Tags {
		if strings.TrimSpace(t) == "" || utf8.RuneCountInString(t) > 50 || strings.ContainsFunc(t, isControl) {
			return domain.E(domain.Invalid, "bad_tags", "a tag has 1 to 50 characters, on one line").About("tags")
		}
	}
	switch {
	case len(o.Tags) > MaxTags:
		return domain.E(domain.Invalid, "bad_tags", "a contact has at most %d tags", MaxTags).About("tags")
	case utf8.RuneCountInString(o.Consent) > 200 || strings.ContainsFunc(o.Consent, isControl):
		return domain.E(domain.Invalid, "too_long", "must be one line of at most 200 characters").About("consent_source")
	case o.Country != "" && !contact.ValidCountry(o.Country):
		return domain.E(domain.Invalid, "unknown_country", "use ISO 3166-1 alpha-2 in capitals, like RW").About("country")
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7F }
