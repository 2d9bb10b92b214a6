package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"lastcall/domain"
)

// output prints results on stdout and says on stderr what goes on meanwhile.
type output struct {
	sh     *shell
	format format
}

func newOutput(sh *shell) *output { return &output{sh: sh, format: formatTable} }

// print prints v as one JSON object, or what fill makes of it as a table.
func (o *output) print(v any, fill func(t *listing)) error {
	if o.format == formatJSON {
		encoder := json.NewEncoder(o.sh.stdout)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(v)
	}
	t := &listing{table.NewWriter()}
	t.writer.SetStyle(plainStyle)
	fill(t)
	if t.writer.Length() == 0 {
		_, err := fmt.Fprintln(o.sh.stdout, "none")
		return err
	}
	for line := range strings.Lines(t.writer.Render() + "\n") {
		if _, err := fmt.Fprintln(o.sh.stdout, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// say tells something on stderr.
func (o *output) say(message string, args ...any) {
	_, _ = fmt.Fprintf(o.sh.stderr, message+"\n", args...)
}

// live reports whether stderr is a terminal, which can show bars.
func (o *output) live() bool { return isTerminal(o.sh.stderr) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// plainStyle has no lines but the one below the header.
var plainStyle = table.Style{
	Name:    "plain",
	Box:     table.BoxStyle{MiddleHorizontal: "─", MiddleSeparator: " ", MiddleVertical: " ", PaddingRight: " "},
	Format:  table.FormatOptions{Header: text.FormatLower, Row: text.FormatDefault},
	Options: table.Options{SeparateHeader: true, SeparateColumns: true},
}

// listing is a table to be printed.
type listing struct{ writer table.Writer }

func (t *listing) header(names ...any) { t.writer.AppendHeader(names) }

// right aligns columns of numbers, counted from 1.
func (t *listing) right(columns ...int) {
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		configs[i] = table.ColumnConfig{Number: c, Align: text.AlignRight}
	}
	t.writer.SetColumnConfigs(configs)
}

// row adds a row. Texts come from others: what a terminal would obey is left out.
func (t *listing) row(values ...any) {
	row := make(table.Row, len(values))
	for i, v := range values {
		row[i] = printable(fmt.Sprint(shown(v)))
	}
	t.writer.AppendRow(row)
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// shown is how a value looks in a table.
func shown(v any) any {
	switch v := v.(type) {
	case time.Time:
		if v.Year() != time.Now().Year() {
			return v.Local().Format("02 Jan 2006 15:04:05 MST")
		}
		return v.Local().Format("02 Jan 15:04:05 MST")
	case *time.Time:
		if v == nil {
			return ""
		}
		return shown(*v)
	case int64:
		return thousands(v)
	case int:
		return thousands(int64(v))
	case []string:
		return strings.Join(v, ", ")
	}
	return v
}

// thousands writes 12345 as 12,345.
func thousands(n int64) string { return domain.Thousands(n) }
