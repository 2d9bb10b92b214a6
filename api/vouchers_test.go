package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// signing gives the API keys for vouchers.
func signing(d *api.Deps) {
	keys, err := voucher.NewKeys(time.Now(), voucher.NewKey(time.Now()))
	d.VoucherKeys = func() (*voucher.Keys, error) { return keys, err }
}

func newVoucher() api.NewVoucher {
	return api.NewVoucher{MSISDN: "+250781234012", Amount: "2000", Currency: "RWF", ExpiresAt: time.Now().Add(time.Hour)}
}

// issued is a new voucher with its code, and what its QR code says.
func (b *bundle) issued(n api.NewVoucher) api.RevealedVoucher {
	b.t.Helper()
	var v api.Voucher
	status, _ := b.do("POST", "/api/v1/vouchers", n, &v)
	require.Equal(b.t, http.StatusCreated, status)
	var seen api.RevealedVoucher
	status, _ = b.do("POST", "/api/v1/vouchers/"+v.ID.String()+"/reveal", nil, &seen)
	require.Equal(b.t, http.StatusOK, status)
	require.Equal(b.t, v.Code, seen.Code)
	return seen
}

// redeem redeems with a key of its own unless one is given.
func (w *browser) redeem(key string, body any, out any) (int, api.Problem, http.Header) {
	if key == "" {
		key = uuid.NewString()
	}
	w2 := *w
	w2.header = w.header.Clone()
	w2.header.Set("Idempotency-Key", key)
	return w2.do("POST", "/api/v1/station/redemptions", body, out)
}

func TestVouchers(t *testing.T) {
	t.Parallel()
	c := openCounter(t, signing)
	n := newVoucher()
	n.Stations, n.Reference = []string{"eng-001"}, "=INV"
	v := c.issued(n)
	require.Equal(t, "+250 78• ••• 012", v.MSISDN)
	require.EqualValues(t, "+250781234012", v.Number)
	require.Equal(t, "station", string(v.Scope))

	var page json.RawMessage
	c.do("GET", "/api/v1/vouchers?status=issued&station="+c.first.ID.String(), nil, &page)
	require.Contains(t, string(page), v.ID.String())
	require.NotContains(t, string(page), "781234012", "numbers are masked")
	require.NotContains(t, string(page), v.Code, "and so are codes")
	var found api.VoucherPage
	c.do("POST", "/api/v1/vouchers/find", api.VoucherSearch{Code: strings.ToLower(v.Code)}, &found)
	require.Len(t, found.Vouchers, 1)
	c.do("POST", "/api/v1/vouchers/find", api.VoucherSearch{MSISDN: "0781234012", Country: "RW"}, &found)
	require.Len(t, found.Vouchers, 1)
	var p api.Problem
	status, _ := c.do("POST", "/api/v1/vouchers/find", api.VoucherSearch{}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = c.do("POST", "/api/v1/vouchers", api.NewVoucher{MSISDN: "1", Amount: "0.5", Currency: "RWF", ExpiresAt: time.Now()}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Len(t, p.Errors, 3, "all that is wrong with it at once")

	var sent api.Voucher
	status, _ = c.do("POST", "/api/v1/vouchers/"+v.ID.String()+"/sent", nil, &sent)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, voucher.Sent, sent.Status)
	var totals api.VoucherTotals
	c.do("GET", "/api/v1/vouchers/totals", nil, &totals)
	require.Equal(t, []api.VoucherTotal{{Currency: "RWF", Status: "sent", Vouchers: 1, Amount: "2000", DueAmount: "0"}}, totals.Totals)
	status, _ = c.do("POST", "/api/v1/vouchers/"+v.ID.String()+"/void", api.VoucherReason{Reason: "wrong guest"}, nil)
	require.Equal(t, http.StatusOK, status)
	status, _ = c.do("POST", "/api/v1/vouchers/"+v.ID.String()+"/void", api.VoucherReason{Reason: "again"}, &p)
	require.Equal(t, http.StatusConflict, status)
	var events api.VoucherEvents
	c.do("GET", "/api/v1/vouchers/"+v.ID.String()+"/events", nil, &events)
	require.Equal(t, []voucher.Status{voucher.Issued, voucher.Sent, voucher.Void}, []voucher.Status{events.Events[0].Status, events.Events[1].Status, events.Events[2].Status})
	require.Equal(t, "wrong guest", events.Events[2].Reason)

	masked, codes := c.file("/api/v1/vouchers/export.csv"), c.file("/api/v1/vouchers/codes.csv?status=void")
	require.Contains(t, masked, "'=INV")
	require.NotContains(t, masked, "781234012")
	require.NotContains(t, masked, v.Code)
	require.Contains(t, codes, "+250781234012,"+v.Code)
	require.Len(t, c.audited("voucher.exported"), 2)
	require.Len(t, c.audited("voucher.revealed"), 1)
	require.NotContains(t, c.log.String(), v.Code)
}

func (b *bundle) file(path string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), "GET", b.url+path, nil)
	require.NoError(b.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusOK, res.StatusCode, "%s", raw)
	return string(raw)
}

func TestVoucherBatch(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	path := "/api/v1/vouchers/batches?country=RW&currency=RWF&map=amount:Worth&expires_at=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	post := func(key, file string, out any) int {
		req, err := http.NewRequestWithContext(t.Context(), "POST", c.url+path, strings.NewReader(file))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "text/csv")
		req.Header.Set("Idempotency-Key", key)
		status, _ := c.send(req, out)
		return status
	}
	file := "phone,Worth\n0781234001,2000\n0781234001,2000\n0781234002,nothing\n0781234003,500\n"
	var b, again api.VoucherBatch
	require.Equal(t, http.StatusCreated, post("k", file, &b))
	require.EqualValues(t, [4]int64{4, 1, 1, 2}, [4]int64{b.Lines, b.Invalid, b.Duplicates, b.Issued})
	require.Equal(t, []store.ImportLine{{Line: 4, Field: "amount", Code: "bad_amount", Reason: b.BadLines[0].Reason}}, b.BadLines)
	require.Equal(t, http.StatusCreated, post("k", file, &again))
	require.Equal(t, b.ID, again.ID)
	var p api.Problem
	require.Equal(t, http.StatusUnprocessableEntity, post("k", file+"0781234004,500\n", &p))
	require.Equal(t, "idempotency_key_reused", p.Code)
	require.Equal(t, http.StatusUnprocessableEntity, post("x", "Worth\n1\n", &p))
	require.Equal(t, "no_msisdn_column", p.Code)
	var lines api.BadLinePage
	c.do("GET", "/api/v1/vouchers/batches/"+b.ID.String()+"/lines", nil, &lines)
	require.Len(t, lines.Lines, 1)
	var all api.VoucherBatchPage
	c.do("GET", "/api/v1/vouchers/batches", nil, &all)
	require.Len(t, all.Batches, 1)
	var page api.VoucherPage
	c.do("GET", "/api/v1/vouchers?batch="+b.ID.String(), nil, &page)
	require.Len(t, page.Vouchers, 2)
}

// The goal of the whole, over HTTP: 64 devices redeem one voucher at once.
func TestSixtyFourDevicesAtOneVoucher(t *testing.T) {
	t.Parallel()
	c := openCounter(t, signing)
	v := c.issued(newVoucher())
	w := c.at()
	type answer struct {
		status int
		p      api.Problem
		r      store.Redeemed
	}
	got := make([]answer, 64)
	ready := make(chan struct{})
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			<-ready
			body := api.NewRedemption{StationVoucher: api.StationVoucher{QR: v.QR}}
			if i%2 == 0 {
				body.StationVoucher = api.StationVoucher{Code: v.Code}
			}
			got[i].status, got[i].p, _ = w.redeem(fmt.Sprint("device-", i), body, &got[i].r)
		})
	}
	close(ready)
	all.Wait()
	won := 0
	var receipt store.Redeemed
	for _, a := range got {
		if a.status == http.StatusCreated {
			won++
			receipt = a.r
		}
	}
	require.Equal(t, 1, won)
	for _, a := range got {
		if a.status == http.StatusCreated {
			continue
		}
		require.Equal(t, http.StatusConflict, a.status, "%+v", a.p)
		require.Equal(t, "already_redeemed", a.p.Code)
		require.True(t, a.p.Redeemed.At.Equal(receipt.RedeemedAt))
		require.Equal(t, "ENG-001, Counter", a.p.Redeemed.Station)
		require.Equal(t, "+250 78• ••• 012", a.p.Redeemed.MSISDN)
		require.Contains(t, a.p.Detail, "ENG-001")
	}
}

func TestRedeemOverHTTP(t *testing.T) {
	t.Parallel()
	c := openCounter(t, signing)
	w := c.at()
	v := c.issued(newVoucher())
	body := api.NewRedemption{StationVoucher: api.StationVoucher{Code: v.Code}}
	status, p, _ := w.do("POST", "/api/v1/station/redemptions", body, nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "idempotency_key_missing", p.Code)
	status, p, _ = w.redeem("", api.NewRedemption{}, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "code_or_qr", p.Code)

	var look api.StationLook
	status, _, _ = w.do("POST", "/api/v1/station/vouchers/check", api.StationVoucher{QR: v.QR}, &look)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "2000", look.Amount)
	require.Equal(t, "+250 78• ••• 012", look.MSISDN)

	var first, again store.Redeemed
	status, _, header := w.redeem("k", body, &first)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "false", header.Get("Idempotency-Replayed"))
	status, _, header = w.redeem("k", body, &again)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "true", header.Get("Idempotency-Replayed"))
	require.Equal(t, first, again)
	status, p, _ = w.redeem("k", api.NewRedemption{StationVoucher: api.StationVoucher{QR: v.QR}}, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "idempotency_key_reused", p.Code)
	status, p, _ = w.do("POST", "/api/v1/station/vouchers/check", api.StationVoucher{QR: v.QR}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.NotNil(t, p.Redeemed)

	other := newVoucher()
	other.Stations = []string{"ENG-002"}
	for want, qr := range map[string]string{"wrong_qr": strings.ToLower(v.QR), "wrong_station": c.issued(other).QR} {
		_, p, _ = w.redeem("", api.NewRedemption{StationVoucher: api.StationVoucher{QR: qr}}, nil)
		require.Equal(t, want, p.Code)
	}
	late := c.issued(newVoucher())
	c.exec(`UPDATE vouchers SET issued_at = now() - interval '2 days', expires_at = now() - interval '1 second' WHERE id = $1`, late.ID)
	_, p, _ = w.redeem("", api.NewRedemption{StationVoucher: api.StationVoucher{QR: late.QR}}, nil)
	require.Equal(t, "voucher_expired", p.Code, "the database's clock counts, not the token's")

	offline := time.Now()
	status, p, _ = w.redeem("", api.NewRedemption{StationVoucher: api.StationVoucher{QR: c.issued(newVoucher()).QR}, OfflineAt: &offline}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "offline_off", p.Code)
	var tasks api.SupportTaskPage
	c.do("GET", "/api/v1/support/tasks", nil, &tasks)
	require.Len(t, tasks.Tasks, 1)
	var task api.SupportTask
	c.do("POST", "/api/v1/support/tasks/"+tasks.Tasks[0].ID.String()+"/resolve", api.TaskNote{Note: "issued anew"}, &task)
	require.Equal(t, "issued anew", task.Note)

	for range voucher.FreeGuesses {
		status, p, _ = w.redeem("", api.NewRedemption{StationVoucher: api.StationVoucher{Code: "ABCD-EFGH"}}, nil)
		require.Equal(t, http.StatusNotFound, status)
		require.Equal(t, "wrong_code", p.Code)
	}
	status, p, header = w.redeem("", api.NewRedemption{StationVoucher: api.StationVoucher{Code: v.Code}}, nil)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "code_entry_locked", p.Code)
	require.NotEmpty(t, header.Get("Retry-After"))

	var balance api.StationBalance
	w.do("GET", "/api/v1/station/balance", nil, &balance)
	require.Equal(t, []api.Balance{{Currency: "RWF", Redemptions: 1, Amount: "2000", Pending: "2000"}}, balance.Redeemed)
	require.Len(t, balance.Days, 1)
	var history api.RedemptionPage
	w.do("GET", "/api/v1/station/history?limit=1", nil, &history)
	require.Equal(t, first.ID, history.Redemptions[0].ID)
	require.Equal(t, "Jeanne Example", history.Redemptions[0].Operator)
	status, _, _ = w.do("GET", "/api/v1/station/history/"+first.ID.String(), nil, nil)
	require.Equal(t, http.StatusOK, status)
	var all api.RedemptionPage
	c.do("GET", "/api/v1/redemptions?station="+c.first.ID.String(), nil, &all)
	require.Equal(t, history.Redemptions, all.Redemptions)

	_, err := c.store.SaveSetting(t.Context(), "toggles", json.RawMessage(`{"dispatch":true,"station_redeem":false}`), "rollback")
	require.NoError(t, err)
	status, p, _ = w.redeem("", api.NewRedemption{StationVoucher: api.StationVoucher{QR: c.issued(newVoucher()).QR}}, nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "station_redeem_off", p.Code)
	require.Contains(t, p.Detail, "switched")
	status, _, _ = w.redeem("k", body, &again)
	require.Equal(t, http.StatusCreated, status, "what was answered stays answered")
	require.NotContains(t, c.log.String(), "781234012")
	require.NotContains(t, c.log.String(), v.Code)
}

// Without keys no QR code can be told from a forged one: that is our failure, and counts as one.
func TestKeysThatAreGone(t *testing.T) {
	t.Parallel()
	c := openCounter(t, func(d *api.Deps) {
		d.VoucherKeys = func() (*voucher.Keys, error) {
			return nil, domain.E(domain.Unavailable, "voucher_keys_missing", "no keys")
		}
	})
	w := c.at()
	v := c.issued(newVoucher())
	require.Empty(t, v.QR)
	status, p, _ := w.redeem("", api.NewRedemption{StationVoucher: api.StationVoucher{QR: "X"}}, nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "voucher_keys_missing", p.Code)
	rate, err := c.store.RedemptionRate(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, store.RedemptionRate{Failed: 1}, rate)
	status, _, _ = w.redeem("", api.NewRedemption{StationVoucher: api.StationVoucher{Code: v.Code}}, nil)
	require.Equal(t, http.StatusCreated, status, "codes need no keys")
}
