package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/probe"
	"lastcall/store"
)

// A fault before redemptions fails them in the words of a real failure; the same request succeeds once it is gone.
func TestAFaultKeepsStationsFromRedeeming(t *testing.T) {
	t.Parallel()
	var fault *probe.Fault
	c := openCounter(t, signing, func(d *api.Deps) { d.Struck = func(context.Context) *probe.Fault { return fault } })
	v, phone := c.issued(newVoucher()), c.at()
	injected, err := c.store.InjectFault(c.t.Context(), store.NewFault{Name: probe.Redemptions, Kind: probe.ServerError, For: 60_000_000_000, Reason: "trial"})
	require.NoError(t, err)
	fault = &probe.Fault{ID: injected.ID, Name: probe.Redemptions, Kind: probe.ServerError, Share: 1}
	key := uuid.NewString()
	status, p, _ := phone.redeem(key, api.StationVoucher{Code: v.Code}, nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, store.RedemptionsDown, p.Code)
	var page api.RedemptionRefusalPage
	status, _ = c.do("GET", "/api/v1/redemption-refusals", nil, &page)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, page.Refusals, "it is no refusal that counts")
	fault = nil
	var receipt store.Redeemed
	status, p, _ = phone.redeem(key, api.StationVoucher{Code: v.Code}, &receipt)
	require.Equal(t, http.StatusCreated, status, "%+v", p)
	require.Equal(t, v.ID, receipt.VoucherID)
}
