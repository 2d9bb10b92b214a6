// Package audience reads the people a campaign goes to from a CSV file, one row at a time: its memory does not
// grow with the file. A line that cannot be used is reported with its number and the reason, and the rest goes on.
package audience

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"lastcall/domain"
	"lastcall/domain/contact"
	"lastcall/domain/template"
)

// Options say how to read a file.
type Options struct {
	Columns   map[string]string   // field or variable → the column that holds it; by default the one called like it
	Country   string              // where numbers without "+" are dialled, ISO 3166-1 alpha-2; "" for none
	Variables []template.Variable // of the template to be sent
	Fixed     map[string]string   // variable → its value in every row, whatever the file says
	MaxLines  int                 // more is an error; 0: MaxLines
}

// Row is one recipient.
type Row struct {
	Line      int // in the file; the first is 1
	Number    contact.Number
	Name      string
	Locale    string            // canonical BCP 47, "" if the file does not say
	Zone      string            // IANA, "" if the file does not say
	Variables map[string]string // the declared variables that have a value
}

// BadLine is the error for a line that cannot be used. The lines after it can still be read.
type BadLine struct {
	Line   int    // in the file; the first is 1
	Field  string // the field or variable it is about, "" for the line as a whole
	Code   string // stable and snake_case
	Reason string // for people, without personal data
}

func (b *BadLine) Error() string {
	if b.Field == "" {
		return fmt.Sprintf("line %d: %s", b.Line, b.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", b.Line, b.Field, b.Reason)
}

// Reader reads rows. It is not safe for concurrent use.
type Reader struct {
	lines     lines
	delimiter byte
	columns   columns
	country   string
	fixed     map[string]string // variables that have one value for all
	fields    [][]byte          // of the current line, into the line's own bytes
	locales   map[string]string // as written → canonical
	left      int               // how many lines there may still be
	most      int               // how many there might have been
}

// Fields a file may have, beside the template's variables.
const (
	fieldMSISDN  = "msisdn"  // the phone number; the only one that must be there
	fieldName    = "name"    // what to call the recipient
	fieldCountry = "country" // where a number without "+" is dialled, for this row
	fieldLocale  = "locale"  // what the recipient reads
	fieldZone    = "zone"    // where the recipient's clock is
)

// Next returns the next row, skipping blank lines. It returns io.EOF after the last one, a *BadLine for a line
// that cannot be used, after which Next goes on with the line after it, and any other error if reading failed.
// The codes of a BadLine are those of contact.ParseNumber and
//
//   - line_too_long: more than 64 KiB
//   - bad_encoding: neither UTF-8 nor, after a byte order mark, UTF-16
//   - bad_character: a NUL or another control character
//   - quote_not_closed, bad_quote: a quoted field may not span lines, and its delimiter must follow
//   - wrong_columns: more or fewer fields than the header has
//   - missing_value: no number, or no value for a variable without default
//   - unknown_country, bad_locale, unknown_zone
//
// A file of too many lines is domain.Invalid of code too_many_lines.
func (r *Reader) Next() (Row, error) {
	for {
		line, err := r.lines.next()
		_, bad := err.(*BadLine)
		switch {
		case err != nil && !bad:
			return Row{}, err
		case !bad && r.blank(line):
			continue
		case r.left == 0:
			return Row{}, domain.E(domain.Invalid, "too_many_lines", "the file has more than %d lines", r.most)
		}
		r.left--
		if bad {
			return Row{}, err
		}
		return r.row(line)
	}
}

// Line is the number of the line that was read last; the first of the file is 1.
func (r *Reader) Line() int { return r.lines.number }

// Skip passes over all lines up to this one, which were read before: so many of them, without blank ones. What was
// said of them once is not said again.
func (r *Reader) Skip(line, lines int) error {
	r.left = max(0, r.left-lines)
	for r.lines.number < line {
		if _, err := r.lines.next(); err != nil {
			if _, bad := err.(*BadLine); !bad {
				return err
			}
		}
	}
	return nil
}

// Ignored returns the names of the columns that nothing uses, in the file's order.
func (r *Reader) Ignored() []string { return r.columns.ignored }

// blank reports whether the line is empty, or holds but the delimiters a spreadsheet writes below its data.
func (r *Reader) blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != r.delimiter {
			return false
		}
	}
	return true
}

func (r *Reader) row(line []byte) (Row, error) {
	row := Row{Line: r.lines.number}
	bad := func(field, code, reason string) (Row, error) {
		return Row{}, &BadLine{Line: row.Line, Field: field, Code: code, Reason: reason}
	}
	var code string
	r.fields, code = split(r.fields[:0], line, r.delimiter)
	if code != "" {
		return bad("", code, quoteReasons[code])
	}
	if have, want := r.width(), r.columns.width; have != want {
		return bad("", "wrong_columns", fmt.Sprintf("has %d fields, the header has %d", have, want))
	}

	country := r.country
	if own := r.text(r.columns.country); own != "" {
		country = strings.ToUpper(own)
	}
	number := r.text(r.columns.msisdn)
	if number == "" {
		return bad(fieldMSISDN, "missing_value", "is empty")
	}
	var err error
	row.Number, err = contact.ParseNumber(number, country)
	if e, ok := errors.AsType[*domain.Error](err); ok {
		if e.Code == "no_country_code" && country != "" && !contact.ValidCountry(country) {
			return bad(fieldCountry, "unknown_country", "use ISO 3166-1 alpha-2, like RW")
		}
		return bad(fieldMSISDN, e.Code, e.Message)
	}

	row.Name = r.text(r.columns.name)
	if locale := r.text(r.columns.locale); locale != "" {
		if row.Locale = r.canonical(locale); row.Locale == "" {
			return bad(fieldLocale, "bad_locale", "use BCP 47, like rw-RW or en-MT")
		}
	}
	if zone := r.text(r.columns.zone); zone != "" {
		if row.Zone = zone; !contact.ValidZone(zone) {
			return bad(fieldZone, "unknown_zone", "use an IANA time zone, like Africa/Kigali")
		}
	}

	if len(r.columns.variables)+len(r.fixed) > 0 {
		row.Variables = make(map[string]string, len(r.columns.variables)+len(r.fixed))
	}
	for name, text := range r.fixed {
		row.Variables[name] = text
	}
	for _, v := range r.columns.variables {
		text := r.text(v.index)
		switch {
		case text != "":
			row.Variables[v.name] = text
		case v.required:
			return bad(v.name, "missing_value", "is empty and the template has no default")
		}
	}
	return row, nil
}

// text is a copy of the current line's field at index i, "" if the file has no such column (i < 0). A copy, so
// that a row that is kept does not keep its whole line.
func (r *Reader) text(i int) string {
	if i < 0 {
		return ""
	}
	return string(r.fields[i])
}

// width counts the current line's fields without empty ones beyond the header's.
func (r *Reader) width() int {
	n := len(r.fields)
	for n > r.columns.width && len(r.fields[n-1]) == 0 {
		n--
	}
	return n
}

// canonical is the locale that raw stands for, "" if it is none. It is remembered: a file has few locales and
// many rows.
func (r *Reader) canonical(raw string) string {
	locale, known := r.locales[raw]
	if !known {
		if locale, known = contact.ParseLocale(raw); known {
			r.locales[raw] = locale
		}
	}
	return locale
}

// NewReader reads the header and returns a Reader for the rows. What is wrong with the header or the options
// comes as domain.Invalid errors, joined, that name the field: empty_file, no_header, no_msisdn_column,
// missing_column, unknown_column, unknown_field, unknown_variable, duplicate_column, ambiguous_column,
// unknown_country, or a code of Next for a header line that cannot be read. Errors of r are returned wrapped.
func NewReader(r io.Reader, o Options) (*Reader, error) {
	reader := &Reader{country: o.Country, locales: map[string]string{}, most: o.MaxLines}
	if reader.most == 0 {
		reader.most = MaxLines
	}
	reader.left = reader.most
	var err error
	if reader.lines, err = newLines(r); err != nil {
		return nil, err
	}
	var header []byte
	for header == nil || reader.blank(header) {
		if header, err = reader.lines.next(); err != nil {
			return nil, headerError(err)
		}
		reader.delimiter = sniff(header)
	}
	names, code := split(nil, header, reader.delimiter)
	if code != "" {
		return nil, headerError(&BadLine{Line: reader.lines.number, Code: code, Reason: quoteReasons[code]})
	}
	if reader.columns, reader.fixed, err = resolve(names, o); err != nil {
		return nil, err
	}
	return reader, nil
}

// headerError makes an error for people of one that kept NewReader from reading the header.
func headerError(err error) error {
	if err == io.EOF {
		return domain.E(domain.Invalid, "empty_file", "the file is empty; its first line must name the columns")
	}
	if bad, ok := err.(*BadLine); ok {
		return domain.E(domain.Invalid, bad.Code, "the header cannot be read: %s", bad.Reason).About(fmt.Sprintf("line %d", bad.Line))
	}
	return err
}
