package audience

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"lastcall/domain"
	"lastcall/domain/contact"
	"lastcall/domain/template"
)

// all reads to the end.
func all(t require.TestingT, r *Reader) (rows []Row, bad []BadLine) {
	for {
		row, err := r.Next()
		if err == io.EOF {
			return rows, bad
		}
		if b, ok := errors.AsType[*BadLine](err); ok {
			require.Zero(t, row)
			bad = append(bad, *b)
			continue
		}
		require.NoError(t, err)
		rows = append(rows, row)
	}
}

// read reads a whole file whose header must be good.
func read(t require.TestingT, file string, o Options) ([]Row, []BadLine) {
	r, err := NewReader(strings.NewReader(file), o)
	require.NoError(t, err)
	return all(t, r)
}

var kigali = contact.Number{MSISDN: "+250788123456", Country: "RW", Zone: "Africa/Kigali"}

var bar = []template.Variable{{Name: "bar"}}

func TestEveryField(t *testing.T) {
	t.Parallel()
	const file = "Bar,Time Zone,Locale,COUNTRY,name,WhatsApp,note\n" +
		"Repub,Europe/Malta,EN_mt,rw,Aline,0788 123 456,x\n" +
		"Hugo's,,,,,7912 3456,\n"
	r, err := NewReader(strings.NewReader(file), Options{Country: "MT", Variables: []template.Variable{
		{Name: "bar"}, {Name: "name", Default: "friend"}, {Name: "city", Default: "Kigali"}, {Name: "offer"},
	}, Fixed: map[string]string{"offer": "2 for 1"}})
	require.NoError(t, err)
	require.Equal(t, []string{"note"}, r.Ignored())
	rows, bad := all(t, r)
	require.Empty(t, bad)
	require.Equal(t, []Row{{
		Line: 2, Number: kigali, Name: "Aline", Locale: "en-MT", Zone: "Europe/Malta",
		Variables: map[string]string{"bar": "Repub", "name": "Aline", "offer": "2 for 1"},
	}, {
		Line: 3, Number: contact.Number{MSISDN: "+35679123456", Country: "MT", Zone: "Europe/Malta"},
		Variables: map[string]string{"bar": "Hugo's", "offer": "2 for 1"},
	}}, rows)
}

// The same people, however the file is written.
func TestFormats(t *testing.T) {
	t.Parallel()
	const plain = "phone,bar\n+250788123456,Repub\n+35679123456,Hugo's\n"
	utf16 := func(e unicode.Endianness) string {
		s, err := unicode.UTF16(e, unicode.UseBOM).NewEncoder().String(plain)
		require.NoError(t, err)
		return s
	}
	for name, file := range map[string]string{
		"plain":              plain,
		"no final line end":  strings.TrimSuffix(plain, "\n"),
		"CRLF":               strings.ReplaceAll(plain, "\n", "\r\n"),
		"BOM":                "\uFEFF" + plain,
		"UTF-16 LE":          utf16(unicode.LittleEndian),
		"UTF-16 BE":          utf16(unicode.BigEndian),
		"semicolons":         strings.ReplaceAll(plain, ",", ";"),
		"tabs":               strings.ReplaceAll(plain, ",", "\t"),
		"bars":               strings.ReplaceAll(plain, ",", "|"),
		"spaces":             strings.ReplaceAll(plain, ",", " , "),
		"quotes":             "\"phone\",\"bar\"\n\"+250788123456\",\"Repub\"\n\"+35679123456\" , \"Hugo's\"\n",
		"blank lines":        "\n \n" + strings.ReplaceAll(plain, "\n", "\n\n,,,\n") + "\n\t\n",
		"trailing commas":    strings.ReplaceAll(plain, "\n", ",,\n"),
		"commas in rows":     "phone,bar\n+250788123456,Repub,,\n+35679123456,Hugo's,\n",
		"quoted delimiters":  "\"a; b; c; d\",phone,bar\n,+250788123456,Repub\n,+35679123456,Hugo's\n",
		"other column order": "bar,phone\nRepub,+250788123456\nHugo's,+35679123456\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, bad := read(t, file, Options{Variables: bar})
			require.Empty(t, bad)
			require.Len(t, rows, 2)
			require.Equal(t, kigali, rows[0].Number)
			require.Equal(t, "Repub", rows[0].Variables["bar"])
			require.Equal(t, contact.MSISDN("+35679123456"), rows[1].Number.MSISDN)
			require.Equal(t, "Europe/Malta", rows[1].Number.Zone)
			require.Equal(t, "Hugo's", rows[1].Variables["bar"])
		})
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`+250788123456,Joe`:                    `Joe`,
		`+250788123456,"Joe, the barman"`:      `Joe, the barman`,
		`+250788123456,"Joe ""the barman"" X"`: `Joe "the barman" X`,
		`+250788123456,""""`:                   `"`,
		`+250788123456,Joe "the barman" X`:     `Joe "the barman" X`,
		`+250788123456,  " Joe "  `:            `Joe`,
		`+250788123456,"Joe",`:                 `Joe`,
		"+250788123456,Zoë 🍸":                  "Zoë 🍸",
		`+250788123456,`:                       ``,
		`+250788123456,""`:                     ``,
	} {
		rows, bad := read(t, "msisdn,name\n"+line, Options{})
		require.Empty(t, bad, line)
		require.Len(t, rows, 1, line)
		require.Equal(t, want, rows[0].Name, line)
		require.Nil(t, rows[0].Variables)
	}
}

func TestBadLines(t *testing.T) {
	t.Parallel()
	const header = "msisdn,bar,country,locale,zone"
	for _, c := range []struct{ line, field, code string }{
		{"+250788123456,Repub,,,", "", ""},
		{"0788123456,Repub,rw,rw-RW,Africa/Kigali", "", ""},
		{"+250788123456,Repub,Rwanda,,", "", ""}, // the country is not needed
		{",Repub,,,", "msisdn", "missing_value"},
		{"Aline,Repub,,,", "msisdn", "not_a_number"},
		{"0788123456,Repub,,,", "msisdn", "no_country_code"},
		{"0788123456,Repub,Rwanda,,", "country", "unknown_country"},
		{"+250788123,Repub,,,", "msisdn", "number_not_valid"},
		{"+250788123,Repub,Rwanda,,", "msisdn", "number_not_valid"},
		{"+250788123456,,,,", "bar", "missing_value"},
		{"+250788123456,Repub,,Kinyarwanda,", "locale", "bad_locale"},
		{"+250788123456,Repub,,,CAT", "zone", "unknown_zone"},
		{"+250788123456,Repub", "", "wrong_columns"},
		{"+250788123456,Repub,,,,x", "", "wrong_columns"},
		{"+250788123456,Repub, Kigali,,,", "", ""}, // an empty sixth
		{`+250788123456,"Repub,,,`, "", "quote_not_closed"},
		{`+250788123456,"Repub""`, "", "quote_not_closed"},
		{`+250788123456,"Repub"x,,,`, "", "bad_quote"},
		{"+250788123456,Rep\xffub,,,", "", "bad_encoding"},
		{"+250788123456,Rep\uFFFDub,,,", "", "bad_encoding"},
		{"+250788123456,Rep\x00ub,,,", "", "bad_character"},
		{"+250788123456,Rep\rub,,,", "", "bad_character"},
		{"+250788123456,Rep\x1b[31mub,,,", "", "bad_character"},
		{"+250788123456," + strings.Repeat("x", maxLine) + ",,,", "", "line_too_long"},
	} {
		t.Run(c.code+" "+c.line[:min(len(c.line), 40)], func(t *testing.T) {
			t.Parallel()
			rows, bad := read(t, header+"\n"+c.line+"\n+35679123456,Hugo's,,,\n", Options{Variables: bar})
			require.Equal(t, "Hugo's", rows[len(rows)-1].Variables["bar"], "the next line is read all the same")
			if c.code == "" {
				require.Empty(t, bad)
				require.Len(t, rows, 2)
				return
			}
			require.Len(t, rows, 1)
			require.Equal(t, 3, rows[0].Line)
			require.Len(t, bad, 1)
			require.Equal(t, BadLine{Line: 2, Field: c.field, Code: c.code, Reason: bad[0].Reason}, bad[0])
			require.NotEmpty(t, bad[0].Reason)
			require.NotContains(t, bad[0].Error(), "788123")
			require.True(t, strings.HasPrefix(bad[0].Error(), "line 2: "+c.field), bad[0].Error())
		})
	}
}

func TestLongestLine(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "\n", "\r\n"} {
		fits := "+250788123456," + strings.Repeat("x", maxLine-len("+250788123456,"))
		rows, bad := read(t, "msisdn,name\n"+fits+end, Options{})
		require.Empty(t, bad)
		require.Len(t, rows, 1)
		rows, bad = read(t, "msisdn,name\n"+fits+"x"+end, Options{})
		require.Empty(t, rows)
		require.Len(t, bad, 1)
		require.Equal(t, "line_too_long", bad[0].Code)
	}
}

func TestHeaderErrors(t *testing.T) {
	t.Parallel()
	optional := []template.Variable{{Name: "bar", Default: "our bar"}}
	for _, c := range []struct {
		name, file  string
		o           Options
		field, code string
	}{
		{name: "empty", code: "empty_file"},
		{name: "blank", file: "\n \r\n,,\n", code: "empty_file"},
		{name: "BOM only", file: "\uFEFF", code: "empty_file"},
		{name: "no header", file: "+250788123456,Aline\n", field: "header", code: "no_header"},
		{name: "no header, national number", file: "Aline,0788123456\n", o: Options{Country: "RW"}, field: "header", code: "no_header"},
		{name: "the same number twice", file: "+250788123456,+250788123456\n", field: "header", code: "no_header"},
		{name: "no header, a name twice", file: "Joe,Joe,+250788123456\n", field: "header", code: "no_header"},
		{name: "no number column", file: "name,bar\n", field: "msisdn", code: "no_msisdn_column"},
		{name: "two number columns", file: "phone,mobile\n", field: "msisdn", code: "ambiguous_column"},
		{name: "duplicate column", file: "msisdn,Bar Name,bar_name\n", field: "header", code: "duplicate_column"},
		{name: "variable without column", file: "msisdn\n", o: Options{Variables: bar}, field: "bar", code: "missing_column"},
		{name: "fixed to nothing", file: "msisdn\n", o: Options{Variables: bar, Fixed: map[string]string{"bar": ""}}, field: "bar", code: "missing_column"},
		{name: "mapped to an absent column", file: "msisdn\n", o: Options{Variables: bar, Columns: map[string]string{"bar": "Venue"}}, field: "bar", code: "unknown_column"},
		{name: "optional, mapped to an absent column", file: "msisdn\n", o: Options{Variables: optional, Columns: map[string]string{"bar": "Venue"}}, field: "bar", code: "unknown_column"},
		{name: "field and variable mapped to an absent column", file: "msisdn\n", o: Options{Variables: []template.Variable{{Name: "name"}}, Columns: map[string]string{"name": "Nick"}}, field: "name", code: "unknown_column"},
		{name: "number mapped to an absent column", file: "msisdn\n", o: Options{Columns: map[string]string{"msisdn": "Cell"}}, field: "msisdn", code: "unknown_column"},
		{name: "mapping of an unknown field", file: "msisdn\n", o: Options{Columns: map[string]string{"bar": "msisdn"}}, field: "bar", code: "unknown_field"},
		{name: "fixed unknown variable", file: "msisdn\n", o: Options{Fixed: map[string]string{"bar": "Repub"}}, field: "bar", code: "unknown_variable"},
		{name: "unknown default country", file: "msisdn\n", o: Options{Country: "rwanda"}, field: "country", code: "unknown_country"},
		{name: "UTF-16 without BOM", file: "m\x00s\x00i\x00", field: "line 1", code: "bad_character"},
		{name: "a zip file", file: "PK\x03\x04\xff\xfe", field: "line 1", code: "bad_encoding"},
		{name: "carriage returns only", file: "msisdn,name\r+250788123456,Aline\r", field: "line 1", code: "bad_character"},
		{name: "one giant line", file: strings.Repeat("x", 2*maxLine), field: "line 1", code: "line_too_long"},
		{name: "quote not closed", file: "msisdn,\"name\n", field: "line 1", code: "quote_not_closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := NewReader(strings.NewReader(c.file), c.o)
			require.Error(t, err)
			require.Nil(t, r)
			require.Equal(t, domain.Invalid, domain.KindOf(err))
			require.Equal(t, c.code, domain.CodeOf(err))
			require.NotContains(t, err.Error(), "788123")
			require.NotContains(t, err.Error(), "\n", "one thing is wrong, so one thing is said")
			e, _ := errors.AsType[*domain.Error](err)
			require.Equal(t, c.field, e.Field)
		})
	}
}

func TestHeaderErrorsComeTogether(t *testing.T) {
	t.Parallel()
	_, err := NewReader(strings.NewReader("name\n"), Options{Variables: bar, Fixed: map[string]string{"baz": "x"}})
	for _, field := range []string{"baz: ", "msisdn: ", "bar: "} {
		require.ErrorContains(t, err, field)
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	optional := []template.Variable{{Name: "bar_name", Default: "our bar"}}
	for _, c := range []struct {
		name, file string
		o          Options
		want       map[string]string
		ignored    []string
	}{
		{name: "called like the variable", file: "Bar Name,msisdn\nRepub,+250788123456", want: map[string]string{"bar_name": "Repub"}},
		{name: "mapped", file: "Venue,msisdn,bar_name\nRepub,+250788123456,Hugo's", o: Options{Columns: map[string]string{"bar_name": "venue"}},
			want: map[string]string{"bar_name": "Repub"}, ignored: []string{"bar_name"}},
		{name: "number mapped", file: "Phone,Mobile,bar_name\nnone,+250788123456,Repub", o: Options{Columns: map[string]string{"msisdn": "mobile"}},
			want: map[string]string{"bar_name": "Repub"}, ignored: []string{"Phone"}},
		{name: "fixed wins", file: "bar_name,msisdn\nRepub,+250788123456", o: Options{Fixed: map[string]string{"bar_name": "Hugo's"}},
			want: map[string]string{"bar_name": "Hugo's"}, ignored: []string{"bar_name"}},
		{name: "empty, with a default", file: "bar_name,msisdn\n,+250788123456", want: map[string]string{}},
		{name: "absent, with a default", file: "msisdn\n+250788123456", want: nil},
		{name: "msisdn before its aliases", file: "msisdn,phone,bar_name\n+250788123456,none,Repub",
			want: map[string]string{"bar_name": "Repub"}, ignored: []string{"phone"}},
		{name: "nameless columns", file: "msisdn,,bar_name,\n+250788123456,x,Repub,", want: map[string]string{"bar_name": "Repub"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.o.Variables = optional
			r, err := NewReader(strings.NewReader(c.file), c.o)
			require.NoError(t, err)
			require.Equal(t, c.ignored, r.Ignored())
			rows, bad := all(t, r)
			require.Empty(t, bad)
			require.Len(t, rows, 1)
			require.Equal(t, kigali, rows[0].Number)
			require.Equal(t, c.want, rows[0].Variables)
		})
	}
}

// An unclosed quote costs its own line, not the file.
func TestQuotesDoNotSpanLines(t *testing.T) {
	t.Parallel()
	rows, bad := read(t, "msisdn,name\n+250788123456,\"Joe\nBloggs\"\n+250788123457,Ann\n", Options{})
	require.Len(t, bad, 2)
	require.Equal(t, "quote_not_closed", bad[0].Code)
	require.Len(t, rows, 1)
	require.Equal(t, 4, rows[0].Line)
}

// Whatever is in the file, the reader ends, never invents a line, and answers for every line that is not blank.
func TestAnyFile(t *testing.T) {
	t.Parallel()
	pieces := rapid.OneOf(
		rapid.SampledFrom([]string{",", ";", "\t", "\"", "\"\"", "\n", "\r\n", "\r", "\x00", "\xff", "\xff\xfe", "\uFEFF", "+250788123456", "+35679123456", "x"}),
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		file := "msisdn,name\n" + strings.Join(rapid.SliceOf(pieces).Draw(t, "pieces"), "")
		rows, bad := read(t, file, Options{Country: "RW"})
		require.LessOrEqual(t, len(rows)+len(bad), strings.Count(file, "\n"))
		lines := strings.Split(file, "\n")
		for _, row := range rows {
			require.Contains(t, lines[row.Line-1], row.Name)
			require.True(t, strings.HasPrefix(string(row.Number.MSISDN), "+"))
		}
		for _, b := range bad {
			require.NotEmpty(t, strings.Trim(lines[b.Line-1], " \t,"))
		}
	})
}

// What a spreadsheet writes comes back as it was, in any format.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	names := rapid.StringMatching(`[a-zA-Z"',;|ëğ🍸 ]{0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		delimiter := rapid.SampledFrom([]string{",", ";", "\t", "|"}).Draw(t, "delimiter")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		want := rapid.SliceOf(names).Draw(t, "names")
		var file strings.Builder
		file.WriteString("name" + delimiter + "phone" + end)
		for _, name := range want {
			if strings.ContainsAny(name, delimiter+`"`) {
				name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
			}
			file.WriteString(name + delimiter + "+250788123456" + end)
		}
		text := file.String()
		if rapid.Bool().Draw(t, "utf16") {
			var err error
			text, err = unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String(text)
			require.NoError(t, err)
		}
		rows, bad := read(t, text, Options{})
		require.Empty(t, bad)
		require.Len(t, rows, len(want))
		for i, row := range rows {
			require.Equal(t, strings.TrimSpace(want[i]), row.Name)
			require.Equal(t, i+2, row.Line)
		}
	})
}
