package audience

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"lastcall/domain"
)

func TestFilterCheck(t *testing.T) {
	t.Parallel()
	got, err := Filter{Tags: []string{"vip", "regular", "vip"}, Locales: []string{"rw_rw", "en-MT"}, Countries: []string{"RW"}}.Check()
	require.NoError(t, err)
	require.Equal(t, Filter{Tags: []string{"regular", "vip"}, TagsMatch: MatchAny, Locales: []string{"en-MT", "rw-RW"}, Countries: []string{"RW"}}, got)

	for name, tt := range map[string]struct {
		filter Filter
		want   string
	}{
		"nobody in particular": {Filter{}, "empty_filter"},
		"only how":             {Filter{TagsMatch: MatchAll}, "empty_filter"},
		"another match":        {Filter{Tags: []string{"a"}, TagsMatch: "none"}, "unknown_match"},
		"empty tag":            {Filter{Tags: []string{" "}}, "empty_value"},
		"small country":        {Filter{Countries: []string{"rw"}}, "unknown_country"},
		"no locale":            {Filter{Locales: []string{"Kinyarwanda"}}, "bad_locale"},
	} {
		_, err := tt.filter.Check()
		require.Equal(t, domain.Invalid, domain.KindOf(err), name)
		require.Equal(t, tt.want, domain.CodeOf(err), name)
	}
}

func TestMoreLinesThanTheLimit(t *testing.T) {
	t.Parallel()
	for lines, want := range map[int]string{3: "", 4: "too_many_lines"} {
		r, err := NewReader(strings.NewReader("msisdn\n\n"+strings.Repeat("x\n", lines)), Options{MaxLines: 3})
		require.NoError(t, err)
		for err = error(nil); err == nil || errors.As(err, new(*BadLine)); {
			_, err = r.Next()
		}
		if want == "" {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.Equal(t, want, domain.CodeOf(err))
			require.ErrorContains(t, err, "3 lines")
		}
	}
	r, err := NewReader(strings.NewReader("msisdn\nx\nx\nx\nx\n"), Options{MaxLines: 3})
	require.NoError(t, err)
	require.NoError(t, r.Skip(4, 3))
	_, err = r.Next()
	require.Equal(t, "too_many_lines", domain.CodeOf(err), "what was skipped counts")
}

// Whoever begins in the middle of a file reads what he would have read from its start.
func TestSkip(t *testing.T) {
	t.Parallel()
	plain := "msisdn;name\r\n"
	for i := range 50 {
		plain += fmt.Sprintf("+25078%07d;Żeża %d\r\n", i, i)
		if i%7 == 0 {
			plain += "\r\nnonsense\r\n"
		}
	}
	wide, err := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String(plain)
	require.NoError(t, err)
	rows := func(file string, skip int) (all []Row) {
		r, err := NewReader(strings.NewReader(file), Options{})
		require.NoError(t, err)
		require.NoError(t, r.Skip(skip, 0))
		for {
			row, err := r.Next()
			if errors.Is(err, io.EOF) {
				return all
			}
			if !errors.As(err, new(*BadLine)) {
				require.NoError(t, err)
				all = append(all, row)
			}
		}
	}
	for name, file := range map[string]string{"UTF-8": plain, "mark": "\ufeff" + plain, "UTF-16": wide} {
		whole := rows(file, 0)
		require.Len(t, whole, 50, name)
		for i, row := range whole {
			require.Equal(t, whole[i+1:], append([]Row{}, rows(file, row.Line)...), name)
		}
	}
}
