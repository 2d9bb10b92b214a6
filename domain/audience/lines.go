package audience

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxLine is the longest line that is read, in bytes of UTF-8.
const maxLine = 64 << 10

// lines reads physical lines as UTF-8, whatever the file's byte order mark says it is.
type lines struct {
	in     *bufio.Reader
	number int // of the line that next returned
}

func newLines(r io.Reader) (lines, error) {
	in := bufio.NewReaderSize(r, maxLine+len("\r\n"))
	mark, err := in.Peek(3)
	if err != nil && err != io.EOF {
		return lines{}, fmt.Errorf("read the audience: %w", err)
	}
	switch {
	case bytes.HasPrefix(mark, []byte("\xEF\xBB\xBF")):
		_, _ = in.Discard(3)
	case bytes.HasPrefix(mark, []byte("\xFF\xFE")), bytes.HasPrefix(mark, []byte("\xFE\xFF")):
		decoder := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()
		in = bufio.NewReaderSize(transform.NewReader(in, decoder), maxLine+len("\r\n"))
	}
	return lines{in: in}, nil
}

// next returns the next line without its end, valid until the call after. It returns io.EOF after the last
// one, a *BadLine for one that is not text or too long, and any other error if reading failed: then what was
// read of the line is dropped, for it may be torn.
func (l *lines) next() ([]byte, error) {
	line, err := l.in.ReadSlice('\n')
	if err == io.EOF && len(line) == 0 {
		return nil, io.EOF
	}
	l.number++
	tooLong := err == bufio.ErrBufferFull
	for err == bufio.ErrBufferFull {
		_, err = l.in.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the audience at line %d: %w", l.number, err)
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	switch {
	case tooLong || len(line) > maxLine:
		return nil, l.bad("line_too_long", "is longer than 64 KiB")
	case !utf8.Valid(line) || bytes.Contains(line, []byte("\uFFFD")): // what a UTF-16 decoder makes of nonsense
		return nil, l.bad("bad_encoding", "is not UTF-8 text")
	case hasControl(line):
		return nil, l.bad("bad_character", "holds a control character, such as a NUL or a bare carriage return")
	}
	return line, nil
}

func (l *lines) bad(code, reason string) error {
	return &BadLine{Line: l.number, Code: code, Reason: reason}
}

func hasControl(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7F {
			return true
		}
	}
	return false
}

// sniff returns the delimiter of a file with this header: the one it holds most often, outside quotes.
func sniff(header []byte) byte {
	counts := map[byte]int{}
	quoted := false
	for _, c := range header {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted {
			counts[c]++
		}
	}
	best := byte(',')
	for _, c := range []byte(";\t|") {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return best
}

// quoteReasons says what the codes of split mean.
var quoteReasons = map[string]string{
	"quote_not_closed": "quote not closed; a quoted field may not contain a line break",
	"bad_quote":        "something follows a closing quote; write a quote inside quotes twice",
}

// split appends the line's fields to fields, without the spaces around them and without quotes. The fields
// are part of the line's bytes where they can be. A quote inside an unquoted field is just a character. The
// code is "" if all went well.
func split(fields [][]byte, line []byte, delimiter byte) (_ [][]byte, code string) {
	for {
		line = bytes.TrimLeft(line, " ")
		if len(line) == 0 || line[0] != '"' {
			end := bytes.IndexByte(line, delimiter)
			if end < 0 {
				return append(fields, bytes.TrimSpace(line)), ""
			}
			fields = append(fields, bytes.TrimSpace(line[:end]))
			line = line[end+1:]
			continue
		}
		field, rest, closed := unquote(line[1:])
		if !closed {
			return fields, "quote_not_closed"
		}
		fields = append(fields, bytes.TrimSpace(field))
		rest = bytes.TrimLeft(rest, " ")
		if len(rest) == 0 {
			return fields, ""
		}
		if rest[0] != delimiter {
			return fields, "bad_quote"
		}
		line = rest[1:]
	}
}

// unquote returns the text up to the closing quote, with doubled quotes made single, and what follows it.
func unquote(s []byte) (text, rest []byte, closed bool) {
	doubled := false
	for i := 0; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			doubled = true
			i++
			continue
		}
		text = s[:i]
		if doubled {
			text = bytes.ReplaceAll(text, []byte(`""`), []byte(`"`))
		}
		return text, s[i+1:], true
	}
	return nil, nil, false
}
