package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"lastcall/api"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

func TestContactsOverTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var c api.Contact
	status, header := b.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: "+250781234567", Name: "Amina", Tags: []string{"vip"}, OptInSource: "card"}, &c)
	require.Equal(t, http.StatusCreated, status)
	require.NotNil(t, c.OptedInAt)
	tag := header.Get("ETag")
	at := "/api/v1/contacts/" + c.ID.String()

	var page api.ContactPage
	for body, n := range map[string]int{`{"name":"am"}`: 1, `{"name":"min"}`: 0, `{"msisdn":"0781234567","dialled_in":"RW"}`: 1, `{"consent":"agreed","opted_out":"no","tag":"vip"}`: 1,
		`{"opted_out":"yes"}`: 0, `{}`: 1} {
		status, _ = b.do("POST", "/api/v1/contacts/search", body, &page)
		require.Equal(t, http.StatusOK, status, body)
		require.Len(t, page.Contacts, n, body)
	}
	for _, bad := range []string{`{"msisdn":"soon"}`, `{"consent":"maybe"}`, `{"country":"rw"}`, `{"limit":0}`} {
		status, _ = b.do("POST", "/api/v1/contacts/search", bad, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, bad)
	}
	status, _ = b.do("GET", "/api/v1/contacts?consent=withdrawn&locale=rw-RW&bar=X&opted_out=no", nil, &page)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, page.Contacts)

	change := func(match, body string, out any) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, b.url+at, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("If-Match", match)
		status, _ := b.send(req, out)
		return status
	}
	require.Equal(t, http.StatusOK, change(tag, `{"name":"Amina K","locale":"rw_rw","zone":"","tags":[]}`, &c))
	require.Equal(t, []any{"Amina K", "rw-RW", 0}, []any{c.Name, c.Locale, len(c.Tags)})
	var p api.Problem
	require.Equal(t, http.StatusPreconditionFailed, change(tag, `{"name":"B"}`, &p))
	require.Equal(t, "contact_changed", p.Code)
	require.Equal(t, http.StatusUnprocessableEntity, change("", `{"locale":"english","zone":"Kigali"}`, &p))
	require.Len(t, p.Errors, 2)

	c = api.Contact{}
	status, _ = b.do("POST", at+"/consents", api.NewConsent{Reference: "told the barman"}, &c)
	require.Equal(t, http.StatusCreated, status)
	require.Nil(t, c.OptedInAt)
	var history api.ConsentPage
	b.do("GET", at+"/consents?limit=1", nil, &history)
	require.Equal(t, []any{false, "told the barman", "api", "tests"}, []any{history.Consents[0].Granted, history.Consents[0].Reference, history.Consents[0].Source, history.Consents[0].By})
	var last api.ConsentPage
	b.do("GET", at+"/consents?after="+history.Next, nil, &last)
	require.Equal(t, "card", last.Consents[0].Reference)
	require.Empty(t, last.Next)
	status, _ = b.do("POST", at+"/consents", `{"granted":true,"reference":"  "}`, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = b.do("GET", at+"/consents?after=x", nil, &p)
	require.Equal(t, "bad_cursor", p.Code)
	require.Equal(t, http.StatusUnprocessableEntity, status)

	var impact store.Erasure
	b.do("GET", at+"/erasure", nil, &impact)
	require.Equal(t, store.Erasure{Contact: true, Consents: 2}, impact)
	status, _ = b.do("POST", at+"/erase", `{"reason":"is +250 781 234 567"}`, &p)
	require.Equal(t, "number_in_reason", p.Code)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = b.do("POST", "/api/v1/contacts/erase", `{"msisdn":"+250781234567","reason":"asked on 2026-11-23"}`, &impact)
	require.Equal(t, http.StatusOK, status)
	status, _ = b.do("POST", at+"/erase", `{"reason":"again"}`, nil)
	require.Equal(t, http.StatusNotFound, status)
}

func TestContactFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var done store.ContactImport
	const file = "Mobile;name;tags;opt_in_source\n0781234567;=cmd();vip|jazz;card\n+35699123456;Pawlu;;\nnobody;X;;\n"
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(file)
	require.NoError(t, err)
	for i, body := range []string{"\ufeff" + file, utf16} {
		status, _ := b.do("POST", "/api/v1/contacts/imports?country=RW&map=msisdn:Mobile&tag=club", csv(body), &done)
		require.Equal(t, http.StatusCreated, status)
		require.EqualValues(t, []int64{3, 1, 2 * (1 - int64(i)), 2 * int64(i)}, []int64{done.Lines, done.Invalid, done.Added, done.Same})
		require.Equal(t, []store.ImportLine{{Line: 4, Field: "msisdn", Code: "not_a_number", Reason: "this is not a phone number"}}, done.BadLines)
	}
	status, _ := b.do("POST", "/api/v1/contacts/imports", csv("msisdn\n+250781234568\n"), &done)
	require.Equal(t, http.StatusCreated, status, "one column is enough")
	require.EqualValues(t, 1, done.Added)
	for body, code := range map[string]string{"": "empty_file", "+250781234567\n": "no_header", "name\nA\n": "no_msisdn_column", "msisdn,MSISDN\n": "duplicate_column"} {
		var p api.Problem
		status, _ = b.do("POST", "/api/v1/contacts/imports", csv(body), &p)
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Equal(t, code, p.Code)
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/api/v1/contacts.csv?tag=club", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	rows := strings.Split(string(out), "\n")
	require.Len(t, rows, 4)
	require.Contains(t, rows[1], "+250781234567,'=cmd(),RW,,,club;jazz;vip,,20")
	require.Equal(t, "+35699123456,Pawlu,MT,,,club,,,,", rows[2])
	status, _ = b.do("POST", "/api/v1/contacts/imports", csv(out), &done)
	require.Equal(t, http.StatusCreated, status)
	require.EqualValues(t, []int64{2, 2}, []int64{done.Lines, done.Same}, "what was exported changes nothing")
	var audited int
	require.NoError(t, b.query("SELECT count(*) FROM audit_log WHERE action IN ('contacts.exported', 'contacts.imported')", &audited))
	require.Equal(t, 5, audited)
	require.NotContains(t, b.log.String(), "781234567")
}

// A signed webhook with STOP in it, once, twice and as a novel.
func TestStopByWebhook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, stop := context.WithCancel(context.Background())
	applied := make(chan struct{})
	applier := store.Applier{Store: b.store, Parse: api.Inbound, Log: discard()}
	go func() { defer close(applied); applier.Run(ctx) }()
	defer func() { stop(); <-applied }()
	post := func(id, text, secret string) int {
		body := []byte(fmt.Sprintf(`{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":%q,"from":"250781234567","type":"text","timestamp":"%d","text":{"body":%q}}]}}]}]}`,
			id, time.Now().Unix(), text))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/webhooks/whatsapp", bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(secret, body))
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	count := func(sql string) (n int) {
		require.NoError(t, b.query(sql, &n))
		return n
	}
	settled := func() bool { return count("SELECT count(*) FROM webhook_inbox WHERE error IS NULL") == 0 }
	require.Equal(t, http.StatusUnauthorized, post("wamid.1", "STOP", "forged"))
	for _, text := range []string{"stop by tonight?", "STOP" + strings.Repeat(" ", 3<<20-1000), strings.Repeat("STOP ", 500_000)} {
		require.Equal(t, http.StatusOK, post("wamid.2", text, "app secret"))
		require.Eventually(t, settled, 10*time.Second, 10*time.Millisecond)
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, post("wamid.2", "STOP"+strings.Repeat(" ", 3<<20), "app secret"))
	require.Zero(t, count("SELECT count(*) FROM inbound_commands"))
	for range 2 {
		require.Equal(t, http.StatusOK, post("wamid.3", " Ieqaf. ", "app secret"))
		require.Eventually(t, settled, 10*time.Second, 10*time.Millisecond)
	}
	var found api.OptOut
	status, _ := b.do("POST", "/api/v1/opt-outs/find", `{"msisdn":"0781234567","country":"RW"}`, &found)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "inbound", found.Source)
	status, _ = b.do("POST", "/api/v1/opt-outs/find", `{"msisdn":"+250781234568"}`, nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, 1, count("SELECT count(*) FROM outbox WHERE kind = 'inbound.reply'"))
	require.Equal(t, 1, count("SELECT count(*) FROM audit_log WHERE action = 'opt_out.added'"))
	require.Zero(t, count("SELECT count(*) FROM outbox WHERE payload::text LIKE '%781234567%' OR payload::text ILIKE '%ieqaf%'"))
	require.NotContains(t, b.log.String(), "Ieqaf")
}

// query reads one value as the database's owner.
func (b *bundle) query(sql string, out any) error {
	conn, err := pgx.Connect(b.t.Context(), b.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	return conn.QueryRow(b.t.Context(), sql).Scan(out)
}
