package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// Row is a row of the audit log as it is sealed.
type Row struct {
	Seq            int64 // its place in the chain, from 1; 0: not sealed yet
	PrevHash, Hash Hash
	ID             int64 // the order of insertion, with gaps
	CreatedAt      time.Time
	ActorKind      string
	ActorID        string
	Actor          string
	Action         string
	Target         string
	Diff           json.RawMessage // nil: none
	Reason         string
	RequestID      string
	PolicyRevision *int64
}

// Sum is the hash that the row has after a row with the hash prev: SHA-256 over prev and the canonical form.
func (r *Row) Sum(prev Hash) (Hash, error) {
	form, err := r.Canonical()
	if err != nil {
		return Hash{}, err
	}
	return sha256.Sum256(append(prev[:], form...)), nil
}

// Canonical is the one way to write the row as JSON, in UTF-8: the members below, sorted by the length of their
// names and then bytewise, as in every object of Diff; ", " and ": " between; strings with no more escapes than
// JSON asks for (\b \f \n \r \t, else \u and four small hexadecimal digits); numbers in full, without exponent and
// with as many decimals as they were given; times in UTC with six decimals. That is how Postgres prints jsonb,
// found here without it. It fails on a Diff that Postgres would not keep.
func (r *Row) Canonical() ([]byte, error) {
	b := make([]byte, 0, 512)
	text := func(name, value string) { b = appendString(append(append(b, `, "`...), name+`": `...), value) }
	b = strconv.AppendInt(append(b, `{"id": `...), r.ID, 10)
	b = strconv.AppendInt(append(b, `, "seq": `...), r.Seq, 10)
	b = append(b, `, "diff": `...)
	var err error
	if b, err = AppendJSON(b, r.Diff); err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	text("actor", r.Actor)
	text("action", r.Action)
	text("reason", r.Reason)
	text("target", r.Target)
	text("actor_id", r.ActorID)
	text("actor_kind", r.ActorKind)
	text("created_at", r.CreatedAt.UTC().Format("2006-01-02T15:04:05.000000Z"))
	text("request_id", r.RequestID)
	b = append(b, `, "policy_revision": `...)
	if r.PolicyRevision == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, *r.PolicyRevision, 10)
	}
	return append(b, '}'), nil
}

// AppendJSON appends the canonical form of any JSON; "null" for none at all.
func AppendJSON(b []byte, raw []byte) ([]byte, error) {
	if len(raw) == 0 {
		return append(b, "null"...), nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return appendValue(b, v)
}

func appendValue(b []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case json.Number:
		return appendNumber(b, string(v))
	case string:
		return appendString(b, v), nil
	case []any:
		b = append(b, '[')
		for i, element := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = appendValue(b, element); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.SortFunc(names, func(x, y string) int {
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			return strings.Compare(x, y)
		})
		b = append(b, '{')
		for i, name := range names {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(appendString(b, name), ": "...)
			if b, err = appendValue(b, v[name]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return nil, fmt.Errorf("%T is no JSON", v)
}

func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c < ' ' {
				b = append(b, `\u00`...)
				c, b = hex[c&15], append(b, hex[c>>4])
			}
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// maxDigits is more digits than Postgres keeps before the point, or behind it.
const maxDigits = 131_072

// appendNumber writes a JSON number in full: 1.50e1 is 15.0, since it has two decimals and the point moves by one.
func appendNumber(b []byte, number string) ([]byte, error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	digits, negative := strings.CutPrefix(mantissa, "-")
	whole, decimals, _ := strings.Cut(digits, ".")
	var shift int
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift > maxDigits || shift < -maxDigits {
			return nil, errors.New("a number has too many digits")
		}
	}
	digits = whole + decimals
	point := len(whole) + shift
	scale := max(len(decimals)-shift, 0)
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	whole, decimals = strings.TrimLeft(digits[:point], "0"), digits[point:]
	if whole == "" {
		whole = "0"
	}
	if negative && strings.Trim(digits, "0") != "" {
		b = append(b, '-')
	}
	b = append(b, whole...)
	if scale > 0 {
		b = append(append(b, '.'), decimals...)
	}
	return b, nil
}
