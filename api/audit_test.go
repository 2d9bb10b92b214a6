package api_test

import (
	"bufio"
	"bytes"
	files "encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/audit"
	"lastcall/store"
)

// withKeeper lets the API sign. What goes to the file is kept in lines.
func withKeeper(t *testing.T, lines *bytes.Buffer) func(*api.Deps) {
	key, err := audit.NewKey(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	return func(d *api.Deps) {
		d.Audit = &store.AuditKeeper{Store: d.Store, RetentionDays: 365, Log: d.Log, Notary: store.Notary{Key: key, Origin: "test",
			Append: func(line []byte) error { _, err := lines.Write(line); return err }}}
	}
}

func TestAuditList(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	w := o.in()
	list := func(query string) (page api.AuditPage) {
		t.Helper()
		code, p, _ := w.do("GET", "/api/v1/audit/entries?"+query, nil, &page)
		require.Equal(t, http.StatusOK, code, "%+v", p)
		return page
	}
	for i := range 3 {
		code, p, _ := w.do("PUT", "/api/v1/settings/toggles", map[string]any{"value": map[string]bool{"dispatch": i%2 == 0}, "reason": fmt.Sprint("reason ", i)}, nil)
		require.Equal(t, http.StatusOK, code, "%+v", p)
	}
	page := list("action=settings.&target=settings/toggles&limit=2")
	require.Len(t, page.Entries, 2)
	newest := page.Entries[0]
	require.Equal(t, []string{"settings.changed", "reason 2", "account", amina}, []string{newest.Action, newest.Reason, newest.ActorKind, newest.Actor})
	require.JSONEq(t, `{"before":{"dispatch":false},"after":{"dispatch":true}}`, string(newest.Diff))
	require.NotEmpty(t, newest.ActorID)
	require.Nil(t, newest.Seq)
	rest := list("action=settings.&target=settings/toggles&limit=2&after=" + page.Next)
	require.Len(t, rest.Entries, 1)
	require.Equal(t, "reason 0", rest.Entries[0].Reason)
	require.Empty(t, rest.Next)

	all := list("limit=500")
	for i, e := range all.Entries[1:] {
		require.False(t, e.CreatedAt.After(all.Entries[i].CreatedAt), "newest first")
	}
	for query, want := range map[string]func(api.AuditEntry) bool{
		"action=settings":                                   func(e api.AuditEntry) bool { return strings.HasPrefix(e.Action, "settings") },
		"action=nothing.such":                               func(api.AuditEntry) bool { return false },
		"actor=" + amina:                                    func(e api.AuditEntry) bool { return e.Actor == amina },
		"actor=" + url.QueryEscape(newest.ActorID):          func(e api.AuditEntry) bool { return e.ActorID == newest.ActorID },
		"actor=tests":                                       func(e api.AuditEntry) bool { return e.Actor == "tests" },
		"request_id=" + newest.RequestID:                    func(e api.AuditEntry) bool { return e.RequestID == newest.RequestID },
		"action=settings.&actor=tests":                      func(api.AuditEntry) bool { return false },
		"from=" + newest.CreatedAt.Format(time.RFC3339Nano): func(e api.AuditEntry) bool { return !e.CreatedAt.Before(newest.CreatedAt) },
		"to=" + newest.CreatedAt.Format(time.RFC3339Nano):   func(e api.AuditEntry) bool { return e.CreatedAt.Before(newest.CreatedAt) },
	} {
		var ids []int64
		for _, e := range all.Entries {
			if want(e) {
				ids = append(ids, e.ID)
			}
		}
		var got []int64
		for _, e := range list(query + "&limit=500").Entries {
			got = append(got, e.ID)
		}
		require.Equal(t, ids, got, query)
	}
	var one api.AuditEntry
	w.do("GET", fmt.Sprintf("/api/v1/audit/entries/%d", newest.ID), nil, &one)
	require.Equal(t, newest, one)
	code, p, _ := w.do("GET", "/api/v1/audit/entries/999999", nil, nil)
	require.Equal(t, http.StatusNotFound, code)
	require.Equal(t, "audit_entry_not_found", p.Code)
	for _, wrong := range []string{"after=x", "after=99999999999999999999-1", "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from=yesterday"} {
		code, _, _ := w.do("GET", "/api/v1/audit/entries?"+wrong, nil, nil)
		require.Equal(t, http.StatusUnprocessableEntity, code, wrong)
	}
	var facets api.AuditFacets
	w.do("GET", "/api/v1/audit/facets", nil, &facets)
	require.Contains(t, facets.Actions, "settings.changed")
	require.Contains(t, facets.Actors, store.AuditActor{ID: newest.ActorID, Kind: "account", Name: amina})
}

func TestAuditCheckpointVerificationAndState(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	b := setup(t, withKeeper(t, &file))
	var state store.AuditState
	b.do("GET", "/api/v1/audit/state", nil, &state)
	require.Positive(t, state.Unsealed)
	require.Nil(t, state.Verified)
	var made api.AuditCheckpoint
	status, _ := b.do("POST", "/api/v1/audit/checkpoints", nil, &made)
	require.Equal(t, http.StatusCreated, status)
	kept, err := audit.ReadCheckpoints(&file)
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.Equal(t, made.Head, hex.EncodeToString(kept[0].Head[:]))
	require.True(t, kept[0].Signed(nil))
	require.NoError(t, b.store.SealAudit(t.Context()))

	var v api.AuditVerdict
	status, _ = b.do("POST", "/api/v1/audit/verifications", nil, &v)
	require.Equal(t, http.StatusOK, status)
	require.True(t, v.OK, v.Detail)
	require.Equal(t, 1, v.Checkpoints)
	require.True(t, v.KeyKnown)
	b.do("GET", "/api/v1/audit/state", nil, &state)
	require.True(t, state.Verified.OK)
	require.Equal(t, made.Size, state.Checkpoint.Seq)
	require.Equal(t, state.Sealed, state.Verified.To)
	require.NotNil(t, state.SealedAt)

	var p api.Problem
	none := setup(t)
	status, _ = none.do("POST", "/api/v1/audit/checkpoints", nil, &p)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "no_audit_key", p.Code)
}

// An export is what it takes to compute every hash again, far from the database.
func TestAuditExport(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	for _, reason := range []string{"=cmd()", "two\nlines", "ünïcode <&>"} {
		require.NoError(t, o.store.Enter(t.Context(), audit.Entry{Action: "test.done", Target: "test", Reason: reason, Diff: map[string]any{"x": []any{1.5, nil, "é<"}}}))
	}
	require.NoError(t, o.store.SealAudit(t.Context()))
	w := o.in()
	get := func(query string) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", o.url+"/api/v1/audit/export?"+query, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode, string(body))
		return body
	}
	var prev audit.Hash
	var seqs []int64
	for line := range bytes.Lines(get("")) {
		var e api.AuditEntry
		require.NoError(t, json.Unmarshal(line, &e))
		row := audit.Row{ID: e.ID, Seq: *e.Seq, CreatedAt: e.CreatedAt, ActorKind: e.ActorKind, ActorID: e.ActorID, Actor: e.Actor, Action: e.Action,
			Target: e.Target, Diff: e.Diff, Reason: e.Reason, RequestID: e.RequestID, PolicyRevision: e.PolicyRevision}
		sum, err := row.Sum(prev)
		require.NoError(t, err)
		require.Equal(t, e.PrevHash, hex.EncodeToString(prev[:]))
		require.Equal(t, e.Hash, hex.EncodeToString(sum[:]))
		prev, seqs = sum, append(seqs, *e.Seq)
	}
	require.GreaterOrEqual(t, len(seqs), 4)
	require.Equal(t, bytes.Count(get(fmt.Sprintf("after=%d", seqs[1])), []byte("\n")), len(seqs)-2, "it goes on behind a seq")
	require.Equal(t, 3, bytes.Count(get("action=test.&to=2100-01-01T00:00:00Z"), []byte("\n")))

	records, err := files.NewReader(bytes.NewReader(get("format=csv&action=test."))).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 4)
	require.Equal(t, "seq", records[0][0])
	require.Equal(t, []string{"'=cmd()", "two\nlines", "ünïcode <&>"}, []string{records[1][11], records[2][11], records[3][11]})
	require.Len(t, records[1][2], 64, "with its hash")

	require.Len(t, o.audited("audit.exported"), 4)
	var page api.AuditPage
	w.do("GET", "/api/v1/audit/entries?action=audit.exported&limit=1", nil, &page)
	require.Contains(t, string(page.Entries[0].Diff), `"csv"`)
	require.Contains(t, string(page.Entries[0].Diff), `"test."`)
}

func TestAuditTail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/api/v1/audit/events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	next := func() (moved struct{ Newest, Sealed int64 }) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				require.NoError(t, json.Unmarshal([]byte(data), &moved))
				return moved
			}
			require.NotContains(t, lines.Text(), "campaign")
		}
		t.Fatal("the stream ended", lines.Err())
		return moved
	}
	first := next()
	require.NoError(t, b.store.Enter(t.Context(), audit.Entry{Action: "test.done", Target: "test"}))
	second := next()
	require.Greater(t, second.Newest, first.Newest)
	require.NoError(t, b.store.SealAudit(t.Context()))
	require.Greater(t, next().Sealed, second.Sealed)
}
