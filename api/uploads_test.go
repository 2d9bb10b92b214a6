package api_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"lastcall/api"
	"lastcall/domain/audience"
	"lastcall/store"
)

// put sends a part with its digest.
func (b *bundle) put(up api.Upload, n int, part string, digest ...string) (int, api.Problem) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), "PUT", fmt.Sprintf("%s/api/v1/uploads/%s/parts/%d", b.url, up.ImportID, n), strings.NewReader(part))
	require.NoError(b.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/octet-stream")
	sum := sha256.Sum256([]byte(part))
	req.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	for _, d := range digest {
		req.Header.Set("Content-Digest", d)
	}
	var p api.Problem
	status, _ := b.send(req, &p)
	return status, p
}

func (b *bundle) upload(c api.Campaign) (up api.Upload) {
	b.t.Helper()
	status, _ := b.do("POST", path(c, "/uploads"), nil, &up)
	require.Equal(b.t, http.StatusCreated, status)
	require.Equal(b.t, audience.Uploading, up.Phase)
	return up
}

func uploads(up api.Upload, rest string) string {
	return "/api/v1/uploads/" + up.ImportID.String() + rest
}

// plays imports as their workflow does.
func (b *bundle) plays() {
	b.relayOf(map[string]store.Handler{store.KindStartImport: func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var p store.StartImport
		if err := json.Unmarshal(payload, &p); err != nil {
			return err
		}
		if _, err := b.store.StageImport(ctx, p.ImportID, func() bool { return true }); err != nil {
			return err
		}
		if _, err := b.store.MergeImport(ctx, p.ImportID); err != nil {
			return err
		}
		return b.store.CleanImport(ctx, p.ImportID)
	}})
}

func TestUploadInParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	up := b.upload(c)
	require.Equal(t, 1<<20, up.PartSize)
	file, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("Phone;name\r\n0781234567;Żeża\r\nnobody;Bob\r\n")
	require.NoError(t, err)
	status, _ := b.put(up, 2, file[21:])
	require.Equal(t, http.StatusOK, status, "out of order")
	var p api.Problem
	status, _ = b.do("POST", uploads(up, "/complete"), api.CompleteUpload{Parts: 2, Country: "RW"}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "part_missing", p.Code)
	require.Equal(t, "part 1 of 2 has not arrived", p.Detail)
	for range 2 {
		status, _ = b.put(up, 1, file[:21])
		require.Equal(t, http.StatusOK, status, "and again")
	}
	var seen api.Upload
	status, _ = b.do("GET", uploads(up, ""), nil, &seen)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, seen.Received, 2)
	require.EqualValues(t, len(file), seen.Bytes)
	require.Equal(t, 21, seen.Received[0].Size)

	status, _ = b.do("POST", uploads(up, "/complete"), api.CompleteUpload{Parts: 2, Country: "RW", Columns: map[string]string{"msisdn": "nope"}}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "unknown_column", p.Code)
	status, _ = b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n"), &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "import_running", p.Code)
	b.do("POST", path(c, "/start"), nil, &p)
	require.Equal(t, "import_running", p.Code)

	var got api.Import
	status, _ = b.do("POST", uploads(up, "/complete"), api.CompleteUpload{Parts: 2, Country: "RW"}, &got)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, audience.Staging, got.Phase)
	b.plays()
	require.Eventually(t, func() bool {
		status, _ := b.do("GET", path(c, "/imports/"+up.ImportID.String()), nil, &got)
		return status == http.StatusOK && got.Phase.Ended()
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, audience.Done, got.Phase)
	require.EqualValues(t, []int64{2, 1, 0, 1}, []int64{got.Lines, got.Invalid, got.Duplicates, got.Targets})
	require.Len(t, got.BadLines, 1)
	require.NotNil(t, got.FinishedAt)

	b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234568\n"), nil)
	var page api.ImportPage
	b.do("GET", path(c, "/imports?limit=1"), nil, &page)
	require.Len(t, page.Imports, 1)
	require.NotEqual(t, up.ImportID, page.Imports[0].ImportID, "the newest first")
	b.do("GET", path(c, "/imports?after="+page.Next), nil, &page)
	require.Equal(t, up.ImportID, page.Imports[0].ImportID)
	require.NotContains(t, b.log.String(), "781234567")
}

func TestPartsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	up := b.upload(b.campaign())
	sum := sha256.Sum256([]byte("another"))
	for name, tt := range map[string]struct {
		n      int
		part   string
		digest string
		status int
		code   string
	}{
		"damaged on the way":   {1, "msisdn\n", "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":", 422, "digest_mismatch"},
		"no base64":            {1, "msisdn\n", "sha-256=:x:", 422, "bad_digest"},
		"another digest":       {1, "msisdn\n", "md5=:AAAA:", 422, "bad_digest"},
		"no such number":       {0, "msisdn\n", "", 422, "invalid"},
		"too high a number":    {10_001, "msisdn\n", "", 422, "invalid"},
		"too large":            {1, strings.Repeat("x", audience.MaxPart+1), "", 413, "too_large"},
		"of nothing":           {1, "", "", 400, "invalid"},
		"digest after another": {2, "msisdn\n", "md5=:AAAA:, sha-256=:x:", 422, "bad_digest"},
	} {
		var digest []string
		if tt.digest != "" {
			digest = append(digest, tt.digest)
		}
		status, p := b.put(up, tt.n, tt.part, digest...)
		require.Equal(t, tt.status, status, name)
		require.Equal(t, tt.code, p.Code, name)
	}
	var seen api.Upload
	b.do("GET", uploads(up, ""), nil, &seen)
	require.Empty(t, seen.Received)
	status, _ := b.put(up, 1, strings.Repeat("x", audience.MaxPart))
	require.Equal(t, http.StatusOK, status)
	status, p := b.put(up, 1, "another")
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "part_differs", p.Code)
	up.ImportID = uuid.New()
	status, p = b.put(up, 1, "x")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "import_not_found", p.Code)
}

// An API that goes away in the middle of an upload loses nothing that it has acknowledged: another one goes on.
func TestUploadGoesOnWithAnotherAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	up := b.upload(c)
	status, _ := b.put(up, 1, "msisdn\n")
	require.Equal(t, http.StatusOK, status)
	other := setupOn(t, b.store)
	other.plays()
	status, _ = other.put(up, 2, "+250781234567\n")
	require.Equal(t, http.StatusOK, status)
	other.do("POST", uploads(up, "/complete"), api.CompleteUpload{Parts: 2}, nil)
	require.Eventually(t, func() bool {
		var got api.Import
		other.do("GET", path(c, "/imports/"+up.ImportID.String()), nil, &got)
		return got.Targets == 1
	}, 20*time.Second, 20*time.Millisecond)
}

func TestCancelOfAnImport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	up := b.upload(c)
	b.put(up, 1, "msisdn\n")
	var p api.Problem
	status, _ := b.do("POST", path(b.campaign(), "/imports/"+up.ImportID.String()+"/cancel"), nil, &p)
	require.Equal(t, http.StatusNotFound, status, "another campaign's")
	var got api.Import
	status, _ = b.do("POST", path(c, "/imports/"+up.ImportID.String()+"/cancel"), api.Order{Reason: "wrong file"}, &got)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, audience.Cancelled, got.Phase)
	status, p = b.put(up, 2, "x")
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "upload_over", p.Code)
	b.do("POST", uploads(up, "/complete"), api.CompleteUpload{Parts: 1}, &p)
	require.Equal(t, "upload_over", p.Code)
	status, _ = b.do("POST", path(c, "/imports/"+up.ImportID.String()+"/cancel"), nil, &p)
	require.Equal(t, http.StatusConflict, status)
}

func TestEventsTellOfImports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, other := b.campaign(), b.campaign()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", b.url+"/api/v1/events?campaign="+c.CampaignID.String(), nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	told := make(chan api.Import, 100)
	go func() {
		defer close(told)
		lines, kind := bufio.NewScanner(res.Body), ""
		for lines.Scan() {
			if k, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = k
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && kind == "import" {
				var i api.Import
				if json.Unmarshal([]byte(data), &i) == nil {
					told <- i
				}
			}
		}
	}()
	b.upload(other)
	up := b.upload(c)
	tells := func(as func(api.Import) bool) {
		t.Helper()
		deadline := time.After(10 * time.Second)
		for {
			select {
			case i := <-told:
				require.Equal(t, c.CampaignID, i.CampaignID)
				if as(i) {
					return
				}
			case <-deadline:
				require.FailNow(t, "nothing was told in time")
			}
		}
	}
	tells(func(i api.Import) bool { return i.Phase == audience.Uploading })
	b.put(up, 1, "msisdn\n+250781234567\n")
	tells(func(i api.Import) bool { return i.Bytes == 21 })
	b.plays()
	b.do("POST", uploads(up, "/complete"), api.CompleteUpload{Parts: 1}, nil)
	tells(func(i api.Import) bool { return i.Phase == audience.Done && i.Targets == 1 })
}

func TestAudienceOfContacts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n, tags := range map[string][]string{"+250781234567": {"regular", "vip"}, "+250781234568": {"regular"}, "+35679123456": {"regular"}} {
		status, _ := b.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: n, Name: "Guest", Locale: "en", Tags: tags}, nil)
		require.Equal(t, http.StatusCreated, status)
	}
	var facets store.Facets
	status, _ := b.do("GET", "/api/v1/contacts/facets", nil, &facets)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 3, facets.Contacts)
	require.Equal(t, []store.Facet{{Value: "regular", Contacts: 3}, {Value: "vip", Contacts: 1}}, facets.Tags)

	c := b.campaign()
	rwanda := api.ContactFilter{Tags: []string{"regular"}, Countries: []string{"RW"}}
	var n store.AudienceCount
	status, _ = b.do("POST", path(c, "/audience/count"), rwanda, &n)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, store.AudienceCount{Contacts: 2, Targets: 2, NoConsent: 2}, n)
	var got api.Import
	status, _ = b.do("POST", path(c, "/audience"), rwanda, &got)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "contacts", got.Source)
	require.Equal(t, &audience.Filter{Tags: []string{"regular"}, TagsMatch: "any", Countries: []string{"RW"}}, got.Filter)
	require.EqualValues(t, []int64{2, 0, 0, 2}, []int64{got.Lines, got.Invalid, got.Duplicates, got.Targets})
	b.do("POST", path(c, "/audience"), api.ContactFilter{Tags: []string{"regular"}}, &got)
	require.EqualValues(t, []int64{3, 0, 2, 1}, []int64{got.Lines, got.Invalid, got.Duplicates, got.Targets})

	for body, code := range map[string]string{`{}`: "empty_filter", `{"countries":["rw"]}`: "unknown_country", `{"bars":["X"]}`: "unknown_bar",
		`{"tags":["a"],"tags_match":"none"}`: "invalid", `{"locales":["x y"]}`: "bad_locale", `{"tag":["a"]}`: "invalid", `{"tags":[""]}`: "empty_value"} {
		var p api.Problem
		status, _ := b.do("POST", path(c, "/audience"), body, &p)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
		require.Equal(t, code, p.Code, body)
	}
}
