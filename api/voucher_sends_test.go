package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/fixtures"
)

func TestAVoucherIsResentOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *api.Deps) { d.EffectWithin = 10 * time.Millisecond }) // nobody sends here
	_, err := fixtures.Starter(t.Context(), b.store)
	require.NoError(t, err)
	var v api.Voucher
	status, _ := b.do("POST", "/api/v1/vouchers", api.NewVoucher{MSISDN: "+250788000321", Amount: "2000", Currency: "RWF", ExpiresAt: time.Now().Add(time.Hour)}, &v)
	require.Equal(t, http.StatusCreated, status)
	path := "/api/v1/vouchers/" + v.ID.String() + "/resend"

	var p api.Problem
	status, _ = b.do("POST", path, api.VoucherResend{}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "no_template", p.Code)
	require.Equal(t, "template", p.Field)
	var one api.Send
	status, _ = b.do("POST", path, api.VoucherResend{Template: "voucher_gift", WhenAllowed: true}, &one)
	require.Equal(t, http.StatusAccepted, status, "it is on its way")
	require.Equal(t, campaign.Queued, one.State)
	require.Equal(t, v.ID, *one.VoucherID)
	status, _ = b.do("POST", path, api.VoucherResend{Template: "voucher_gift"}, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "still_sending", p.Code)
	var page api.SendPage
	status, _ = b.do("GET", "/api/v1/sends?voucher="+v.ID.String(), nil, &page)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, page.Sends, 1)

	status, _ = b.do("POST", "/api/v1/vouchers/"+v.ID.String()+"/sent", api.VoucherNote{Note: "called them"}, &v)
	require.Equal(t, http.StatusOK, status)
	status, _ = b.do("POST", "/api/v1/vouchers/"+v.ID.String()+"/sent", api.VoucherNote{Note: "again"}, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "wrong_state", p.Code)
}

// Whoever chooses among many stations asks for some.
func TestStationsByIDAndCode(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	codes := func(query string) (codes []string) {
		var page api.StationPage
		status, _ := c.do("GET", "/api/v1/stations?"+query, nil, &page)
		require.Equal(t, http.StatusOK, status)
		for _, s := range page.Stations {
			codes = append(codes, s.Code)
		}
		return codes
	}
	require.Equal(t, []string{"ENG-002"}, codes("id="+c.second.ID.String()))
	require.Equal(t, []string{"ENG-001", "ENG-002"}, codes("id="+c.second.ID.String()+"&id="+c.first.ID.String()))
	require.Equal(t, []string{"ENG-002"}, codes("code=eng-002&code=ENG-404"))
	require.Equal(t, []string{"ENG-001"}, codes("search=ENG-001"))
	var p api.Problem
	status, _ := c.do("GET", "/api/v1/stations?id=x", nil, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "id", p.Field)
}
