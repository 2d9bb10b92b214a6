package api_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain/kpi"
)

func TestDashboard(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var snap kpi.Snapshot
	status, _ := b.do(http.MethodGet, "/api/v1/dashboard?zone=Africa/Kigali", nil, &snap)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "Africa/Kigali", snap.Zone)
	require.Len(t, snap.Days, kpi.Days)
	require.Len(t, snap.Figures, len(kpi.Names))
	for _, f := range snap.Figures {
		require.NotEmpty(t, f.Formula, f.Name)
		require.Equal(t, f.Unit == kpi.Share, f.Value == nil, "%s: nothing has happened, so that no share is known", f.Name)
	}
	require.Empty(t, snap.Needs)

	// However many look within two seconds, it is read once.
	var again [8]kpi.Snapshot
	var all sync.WaitGroup
	for i := range again {
		all.Go(func() { b.do(http.MethodGet, "/api/v1/dashboard?zone=Asia/Kathmandu", nil, &again[i]) })
	}
	all.Wait()
	for _, one := range again {
		require.Equal(t, again[0].At, one.At)
		require.Equal(t, "Asia/Kathmandu", one.Zone)
	}
	for _, zone := range []string{"Nowhere/Else", "Local", "../../etc/passwd"} {
		status, _ := b.do(http.MethodGet, "/api/v1/dashboard?zone="+zone, nil, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, zone)
	}
}
