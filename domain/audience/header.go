package audience

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// columns says where in a line everything is.
type columns struct {
	width                               int // how many fields a line has
	msisdn, name, country, locale, zone int // their index, -1 if the file has none
	variables                           []variable
	ignored                             []string
}

// variable is a column that fills a template variable.
type variable struct {
	name     string
	index    int
	required bool // the template has no default for it
}

// aliases are other names that a field's column goes by, as normal writes them.
var aliases = map[string][]string{
	fieldMSISDN:  {"phone", "phonenumber", "number", "mobile", "telephone", "tel", "whatsapp", "recipient"},
	fieldName:    nil,
	fieldCountry: nil,
	fieldLocale:  nil,
	fieldZone:    {"timezone", "tz"},
}

// normal is the form in which column names are compared: case, spaces and underscores do not count.
func normal(name string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "_", "").Replace(name))
}

// resolve finds every field and variable among the header's names. Its second result are the variables that
// have one value for all rows.
func resolve(header [][]byte, o Options) (columns, map[string]string, error) {
	h := headerOf(header, o.Country)
	c := columns{width: len(h.names)}
	if len(h.errs) > 0 {
		return c, nil, errors.Join(h.errs...) // no header, or one of which nothing can be said for sure
	}
	if o.Country != "" && !contact.ValidCountry(o.Country) {
		h.wrong("country", "unknown_country", "no country has this code; use ISO 3166-1 alpha-2 in capitals, like RW")
	}

	declared := map[string]bool{}
	for _, v := range o.Variables {
		declared[v.Name] = true
	}
	for _, field := range slices.Sorted(maps.Keys(o.Columns)) {
		if _, known := aliases[field]; !known && !declared[field] {
			h.wrong(field, "unknown_field", "is neither a field nor a variable of the template")
		}
	}
	fixed := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(o.Fixed)) {
		if !declared[name] {
			h.wrong(name, "unknown_variable", "the template has no such variable")
		}
		if o.Fixed[name] != "" {
			fixed[name] = o.Fixed[name]
		}
	}

	at := map[string]int{}
	for _, field := range slices.Sorted(maps.Keys(aliases)) {
		at[field] = h.find(field, o)
	}
	c.msisdn, c.name, c.country, c.locale, c.zone = at[fieldMSISDN], at[fieldName], at[fieldCountry], at[fieldLocale], at[fieldZone]
	if _, mapped := o.Columns[fieldMSISDN]; c.msisdn < 0 && !mapped {
		h.wrong(fieldMSISDN, "no_msisdn_column", "no column is called msisdn, phone, number or mobile: say which one holds the phone numbers")
	}
	for _, v := range o.Variables {
		if fixed[v.Name] != "" {
			continue
		}
		i, isField := at[v.Name] // a column may be both
		if !isField {
			i = h.find(v.Name, o)
		}
		_, mapped := o.Columns[v.Name]
		switch {
		case i >= 0:
			c.variables = append(c.variables, variable{name: v.Name, index: i, required: v.Default == ""})
		case v.Default == "" && !mapped:
			h.wrong(v.Name, "missing_column", "no column is called like this variable, which has no default")
		}
	}
	for i, name := range h.names {
		if name != "" && !h.used[i] {
			c.ignored = append(c.ignored, name)
		}
	}
	return c, fixed, errors.Join(h.errs...)
}

// header is the file's first line.
type header struct {
	names []string       // as written
	index map[string]int // normal name → where
	used  map[int]bool   // found by find
	errs  []error
}

func (h *header) wrong(field, code, message string, args ...any) {
	h.errs = append(h.errs, domain.E(domain.Invalid, code, message, args...).About(field))
}

// headerOf reads the names, without the empty ones at the end. They must be names, and each another one.
func headerOf(names [][]byte, country string) *header {
	h := &header{index: map[string]int{}, used: map[int]bool{}}
	for len(names) > 0 && len(names[len(names)-1]) == 0 {
		names = names[:len(names)-1]
	}
	for i, raw := range names {
		name := string(raw)
		if _, err := contact.ParseNumber(name, country); err == nil {
			h.errs = nil // whatever else is wrong with it follows from this, and would quote it
			h.wrong("header", "no_header", "the first line holds a phone number; it must name the columns")
			return h
		}
		h.names = append(h.names, name)
		if name == "" {
			continue
		}
		if _, twice := h.index[normal(name)]; twice {
			h.wrong("header", "duplicate_column", "two columns are called %.40q", name)
		}
		h.index[normal(name)] = i
	}
	return h
}

// find returns the index of the column for a field or variable: the one the options say, else the one called
// like it, else the only one called by an alias; -1 if there is none.
func (h *header) find(field string, o Options) int {
	found := -1
	if column, mapped := o.Columns[field]; mapped {
		i, ok := h.index[normal(column)]
		if !ok {
			h.wrong(field, "unknown_column", "the file has no column called %.40q", column)
			return -1
		}
		found = i
	} else if i, ok := h.index[normal(field)]; ok {
		found = i
	} else {
		for _, alias := range aliases[field] {
			i, ok := h.index[alias]
			if ok && found >= 0 {
				h.wrong(field, "ambiguous_column", "could be %.40q or %.40q: say which", h.names[found], h.names[i])
			}
			if ok {
				found = i
			}
		}
	}
	if found >= 0 {
		h.used[found] = true
	}
	return found
}
