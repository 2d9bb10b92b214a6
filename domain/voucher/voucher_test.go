package voucher_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/voucher"
)

func TestEveryChangeOfStateThereIs(t *testing.T) {
	t.Parallel()
	may := map[[2]voucher.Status]bool{
		{"issued", "sent"}: true, {"issued", "redeemed"}: true, {"issued", "expired"}: true, {"issued", "void"}: true,
		{"sent", "redeemed"}: true, {"sent", "expired"}: true, {"sent", "void"}: true,
	}
	for _, from := range voucher.Statuses {
		for _, to := range voucher.Statuses {
			require.Equal(t, may[[2]voucher.Status{from, to}], from.MayBecome(to), "%s to %s", from, to)
		}
		require.Equal(t, from.MayBecome(voucher.Redeemed), from.Live())
	}
	_, err := voucher.ParseStatus("lost")
	require.Equal(t, "unknown_status", domain.CodeOf(err))
	s, err := voucher.ParseStatus("sent")
	require.NoError(t, err)
	require.Equal(t, voucher.Sent, s)
}

func TestScope(t *testing.T) {
	t.Parallel()
	require.Equal(t, voucher.ScopeAll, voucher.ScopeOf(0))
	require.Equal(t, voucher.ScopeStation, voucher.ScopeOf(1))
	require.Equal(t, voucher.ScopeStations, voucher.ScopeOf(2))
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.NoError(t, voucher.CheckExpiry(now.Add(time.Second), now))
	require.Equal(t, "expiry_passed", domain.CodeOf(voucher.CheckExpiry(now, now)))
	require.Equal(t, "expiry_too_far", domain.CodeOf(voucher.CheckExpiry(now.Add(voucher.Longest+time.Second), now)))
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ amount, currency, plain, shown, code string }{
		{"2000", "RWF", "2000", "2,000 RWF", ""},
		{" 2000 ", "rwf", "2000", "2,000 RWF", ""},
		{"500.00", "RWF", "500", "500 RWF", ""},
		{"12.5", "EUR", "12.50", "12.50 EUR", ""},
		{"0.01", "EUR", "0.01", "0.01 EUR", ""},
		{"1000000", "RWF", "1000000", "1,000,000 RWF", ""},
		{"1000001", "RWF", "", "", "amount_too_large"},
		{"1000.01", "EUR", "", "", "amount_too_large"},
		{"0.5", "RWF", "", "", "too_precise"},
		{"0.001", "EUR", "", "", "too_precise"},
		{"0", "RWF", "", "", "bad_amount"},
		{"-5", "RWF", "", "", "bad_amount"},
		{"1e3", "RWF", "", "", "bad_amount"},
		{"2,000", "RWF", "", "", "bad_amount"},
		{"", "RWF", "", "", "bad_amount"},
		{"NaN", "EUR", "", "", "bad_amount"},
		{"5", "USD", "", "", "unknown_currency"},
	} {
		m, err := voucher.ParseMoney(tt.amount, tt.currency)
		if tt.code != "" {
			require.Equal(t, tt.code, domain.CodeOf(err), "%+v", tt)
			continue
		}
		require.NoError(t, err, "%+v", tt)
		require.Equal(t, tt.plain, m.Plain())
		require.Equal(t, tt.shown, m.String())
	}
}

func TestCodeEntryIsLockedAfterFiveWrongCodes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	ago := func(minutes ...int) (times []time.Time) {
		for _, m := range minutes {
			times = append(times, now.Add(-time.Duration(m)*time.Minute))
		}
		return times
	}
	for _, tt := range []struct {
		name  string
		wrong []time.Time
		want  time.Duration
	}{
		{"none", nil, 0},
		{"four", ago(0, 1, 2, 3), 0},
		{"five at once", ago(0, 0, 0, 0, 0), 15 * time.Minute},
		{"five in 15 minutes", ago(0, 1, 2, 3, 15), 15 * time.Minute},
		{"five in 16 minutes", ago(0, 1, 2, 3, 16), 0},
		{"the last some time ago", ago(10, 11, 12, 13, 25), 5 * time.Minute},
		{"over", ago(15, 16, 17, 18, 19), 0},
		{"one more after it was over", ago(0, 15, 16, 17, 18, 19), 0},
	} {
		require.Equal(t, tt.want, voucher.Locked(tt.wrong, now), tt.name)
	}
}
