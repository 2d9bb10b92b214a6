package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"lastcall/api"
	"lastcall/store"
)

func TestImport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	var got api.Import
	status, _ := b.do("POST", path(c, "/imports?country=RW&map=msisdn:Mobile+no&map=name:Guest"), csv("\ufeffMobile no;Guest;Shoe size\n"+
		"0781234567;Amina;38\n"+ // taken
		"+250 781 234 567;Amina again;38\n"+ // the same number
		"not a number;Bob;40\n"+
		"+35699123456;\"Carmen;40\n"+ // the quote never closes
		"\n"+
		"+35699123456;Carmen;40\n"), &got)
	require.Equal(t, http.StatusCreated, status)
	require.EqualValues(t, []int64{5, 2, 1, 2}, []int64{got.Lines, got.Invalid, got.Duplicates, got.Targets})
	require.Equal(t, []string{"Shoe size"}, got.IgnoredColumns)
	require.Len(t, got.BadLines, 2)
	require.Equal(t, store.ImportLine{Line: 4, Field: "msisdn", Code: "not_a_number", Reason: "this is not a phone number"}, got.BadLines[0])
	require.EqualValues(t, 5, got.BadLines[1].Line)
	require.Equal(t, "quote_not_closed", got.BadLines[1].Code)

	status, _ = b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n"), &got)
	require.Equal(t, http.StatusCreated, status)
	require.EqualValues(t, []int64{1, 0, 1, 0}, []int64{got.Lines, got.Invalid, got.Duplicates, got.Targets})
}

func TestImportOfHostileFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	for _, tt := range []struct {
		name, query string
		body        any
		status      int
		code, field string
	}{
		{"empty", "", csv(""), 422, "empty_file", ""},
		{"blank lines only", "", csv("\n\n\n"), 422, "empty_file", ""},
		{"no header", "", csv("+250781234567\n"), 422, "no_header", "header"},
		{"no column of numbers", "", csv("name,age\nA,1\n"), 422, "no_msisdn_column", "msisdn"},
		{"two columns of one name", "", csv("msisdn,MSISDN\n"), 422, "duplicate_column", "header"},
		{"mapping to a column that is not there", "?map=msisdn:Phone", csv("msisdn\n"), 422, "unknown_column", "msisdn"},
		{"mapping of a field that is not there", "?map=nmae:msisdn", csv("msisdn\n"), 422, "unknown_field", "nmae"},
		{"mapping that is none", "?map=msisdn", csv("msisdn\n"), 422, "bad_mapping", "map"},
		{"mapping twice", "?map=msisdn:a&map=msisdn:b", csv("a,b\n"), 422, "bad_mapping", "map"},
		{"unknown country", "?country=ZZ", csv("msisdn\n"), 422, "unknown_country", "country"},
		{"binary", "", csv("\x00\x01\x02\xff\xfe"), 422, "bad_encoding", "line 1"},
		{"a form", "", `{"file":"x"}`, 415, "unsupported_media_type", "Content-Type"},
		{"header of 1 MB", "", csv(strings.Repeat("x", 1<<20)), 422, "line_too_long", "line 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p api.Problem
			status, _ := b.do("POST", path(c, "/imports"+tt.query), tt.body, &p)
			require.Equal(t, tt.status, status, "%+v", p)
			require.Equal(t, tt.code, p.Code)
			require.Equal(t, tt.field, p.Field)
		})
	}
	var after api.Campaign
	b.do("GET", path(c, ""), nil, &after)
	require.Zero(t, after.Lines)
	require.Zero(t, after.Targets)
}

func TestImportOfUTF16(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("msisdn\tname\r\n+250781234567\tŻeża\r\n")
	require.NoError(t, err)
	var got api.Import
	status, _ := b.do("POST", path(b.campaign(), "/imports"), csv(file), &got)
	require.Equal(t, http.StatusCreated, status)
	require.EqualValues(t, 1, got.Targets)
}

// A connection that is lost in the middle of a file leaves nothing of it, whether the length was told or not.
func TestImportLostInTheMiddle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, framing := range map[string]string{
		"length told": "Content-Length: 100000000\r\n\r\nmsisdn\n",
		"chunked":     "Transfer-Encoding: chunked\r\n\r\n7\r\nmsisdn\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := b.campaign()
			u, err := url.Parse(b.url)
			require.NoError(t, err)
			conn, err := net.Dial("tcp", u.Host)
			require.NoError(t, err)
			_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\n%s", path(c, "/imports"), token, framing)
			require.NoError(t, err)
			for i := range 5000 {
				line := fmt.Sprintf("+25078%07d\n", i)
				if name == "chunked" {
					line = fmt.Sprintf("%x\r\n%s\r\n", len(line), line)
				}
				_, err = io.WriteString(conn, line)
				require.NoError(t, err)
			}
			require.NoError(t, conn.Close())

			// The import's lock is free once it has been undone: then another import goes in, into nothing.
			require.Eventually(t, func() bool {
				var got api.Import
				status, _ := b.do("POST", path(c, "/imports"), csv("msisdn\n+250780000001\n"), &got)
				return status == http.StatusCreated && got.Targets == 1
			}, 10*time.Second, 20*time.Millisecond)
			var after api.Campaign
			b.do("GET", path(c, ""), nil, &after)
			require.EqualValues(t, []int64{1, 1}, []int64{after.Lines, after.Targets})
		})
	}
}

func TestImportTellsHundredBadLinesAndPagesTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	var got api.Import
	b.do("POST", path(c, "/imports"), csv("msisdn\n"+strings.Repeat("x\n", 250)), &got)
	require.EqualValues(t, 250, got.Invalid)
	require.Len(t, got.BadLines, 100)

	var all []store.ImportLine
	after := ""
	for {
		var page api.BadLinePage
		status, _ := b.do("GET", path(c, "/imports/"+got.ImportID.String()+"/lines?limit=120"+after), nil, &page)
		require.Equal(t, http.StatusOK, status)
		all = append(all, page.Lines...)
		if page.Next == "" {
			break
		}
		after = "&after=" + page.Next
	}
	require.Len(t, all, 250)
	require.EqualValues(t, 251, all[249].Line)
}

// A file is taken while it streams in: the API answers about its header before the file has ended.
func TestImportIsNotBuffered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endless, write := io.Pipe()
	go func() {
		_, _ = io.WriteString(write, "wrong,header\n")
		line := bytes.Repeat([]byte("a,b\n"), 1000)
		for {
			if _, err := write.Write(line); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = endless.Close() })
	req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+path(b.campaign(), "/imports"), endless)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "text/csv")
	var p api.Problem
	status, _ := b.send(req, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "no_msisdn_column", p.Code)
}
