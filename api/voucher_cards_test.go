package api_test

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/config"
	"lastcall/domain/voucher"
	"lastcall/gateway/sandbox"
	"lastcall/gateway/vouchercard"
	"lastcall/gateway/whatsapp"
)

// withCards gives the API the sandbox's edge function, and says where that is.
func withCards(t *testing.T) (address string, change func(*api.Deps)) {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{Dir: t.TempDir(), WhatsApp: whatsapp.Config{PhoneNumberID: "1", AccessToken: "x"}, CardSecret: "secret"})
	require.NoError(t, err)
	server := httptest.NewServer(box.Handler())
	t.Cleanup(func() { box.Close(); server.Close() })
	return server.URL, func(d *api.Deps) {
		d.VoucherCards = vouchercard.New(vouchercard.Config{BaseURL: server.URL, Secret: "secret"})
	}
}

func TestAPreviewIsASpecimenOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	address, cards := withCards(t)
	b := setup(t, cards)
	preview := func(body string) (*http.Response, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/api/v1/vouchers/preview", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, raw
	}
	expires := time.Now().AddDate(0, 0, 7).UTC().Truncate(time.Second)
	body := `{"amount":"5000","currency":"RWF","locale":"rw_RW","expires_at":"` + expires.Format(time.RFC3339) + `","bar":"Sundowner","stations":["Terrace"]}`
	res, raw := preview(body)
	require.Equal(t, http.StatusOK, res.StatusCode, string(raw))
	require.Equal(t, "image/png", res.Header.Get("Content-Type"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	_, err := png.Decode(bytes.NewReader(raw))
	require.NoError(t, err)

	fault, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address+"/faults", strings.NewReader(`{"kind":"error","scope":"voucher-card","code":404,"for":"1h"}`))
	require.NoError(t, err)
	_, _ = b.send(fault, &[]any{})
	var problem api.Problem
	status, _ := b.do(http.MethodPost, "/api/v1/vouchers/preview", body, &problem)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "voucher_card_unavailable", problem.Code)
	require.Equal(t, "The voucher-card function has no card for us: it is not deployed (HTTP 404).", problem.Detail)
	until := voucher.Card{Currency: "RWF", Expires: expires, Zone: "Africa/Kigali", Locale: "rw-RW"}.Words().Expires
	require.Equal(t, "Vocha: RWF\u00a05,000 · Kode: K7QM-42XD · Izarangira: "+until+" · Aho ikoreshwa: Sundowner, Terrace", problem.Text)

	for field, change := range map[string][2]string{
		"amount": {`"5000"`, `"5,000"`}, "currency": {"RWF", "USD"}, "locale": {"rw_RW", "??"}, "expires_at": {expires.Format("2006"), "2126"},
		"zone": {`"bar"`, `"zone":"Mars","bar"`}, "stations": {"Terrace", ""},
	} {
		problem = api.Problem{}
		status, _ := b.do(http.MethodPost, "/api/v1/vouchers/preview", strings.Replace(body, change[0], change[1], 1), &problem)
		require.Equal(t, http.StatusUnprocessableEntity, status, field)
		require.Equal(t, field, problem.Field)
		require.Empty(t, problem.Text)
	}
}

func TestStationKeysAreForEverybody(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	watched := config.OpenVoucherKeys(path)
	b := setup(t, func(d *api.Deps) { d.VoucherKeys = watched.Keys })
	ask := func(out any) (int, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/api/v1/station/keys", nil)
		require.NoError(t, err)
		return b.send(req, out)
	}
	var problem api.Problem
	status, _ := ask(&problem)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "voucher_keys_missing", problem.Code)

	require.NoError(t, config.EnsureVoucherKeys(path))
	_, err := config.RotateVoucherKeys(path, time.Now().Add(time.Hour))
	require.NoError(t, err)
	keys, err := watched.Keys()
	require.NoError(t, err)
	var got api.StationKeys
	status, header := ask(&got)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "public, max-age=300", header.Get("Cache-Control"))
	require.Len(t, got.Keys, 2, "the one that signs later, too")
	for i, key := range keys.List() {
		require.Equal(t, api.StationKey{ID: key.ID().String(), PublicKey: base64.StdEncoding.EncodeToString(key.Public()), SignsFrom: key.SignsFrom}, got.Keys[i])
	}
}
