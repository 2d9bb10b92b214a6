package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/store"
)

func TestBalanceHistoryAndSettlement(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	var ids []uuid.UUID
	for i := range 3 {
		receipt, _, err := c.Redeem(t.Context(), byCode(c.here, c.issue(t), fmt.Sprint("k", i)))
		require.NoError(t, err)
		ids = append(ids, receipt.ID)
	}
	_, _, err := c.Redeem(t.Context(), byCode(c.there, c.issue(t), "there"))
	require.NoError(t, err)
	_, err = c.owner.Exec(t.Context(), `UPDATE redemptions SET created_at = created_at - interval '2 days' WHERE id = $1`, ids[0])
	require.NoError(t, err)
	_, err = c.owner.Exec(t.Context(), `UPDATE redemptions SET created_at = created_at - interval '40 days' WHERE id = $1`, ids[1])
	require.NoError(t, err)
	balance, err := c.StationBalance(t.Context(), c.here.StationID)
	require.NoError(t, err)
	require.Equal(t, "Africa/Kigali", balance.Zone)
	require.Len(t, balance.Redeemed, 1)
	require.EqualValues(t, 3, balance.Redeemed[0].Redemptions)
	require.True(t, balance.Redeemed[0].Pending.Equal(decimal.NewFromInt(6000)))
	require.Len(t, balance.Days, 2, "of the last 31")
	require.Greater(t, balance.Days[0].Day, balance.Days[1].Day)

	until := time.Now().Add(-24 * time.Hour)
	_, err = c.SettleStation(t.Context(), c.here.StationID, rwf(3000), until)
	require.Equal(t, "amount_differs", domain.CodeOf(err))
	done, err := c.SettleStation(t.Context(), c.here.StationID, rwf(4000), until)
	require.NoError(t, err)
	require.EqualValues(t, 2, done.Redemptions)
	_, err = c.SettleStation(t.Context(), c.here.StationID, rwf(4000), until)
	require.Equal(t, "nothing_pending", domain.CodeOf(err))
	balance, err = c.StationBalance(t.Context(), c.here.StationID)
	require.NoError(t, err)
	require.True(t, balance.Redeemed[0].Pending.Equal(decimal.NewFromInt(2000)))
	require.True(t, balance.Redeemed[0].Amount.Equal(decimal.NewFromInt(6000)))

	page, err := c.Redemptions(t.Context(), store.RedemptionFilter{Station: c.here.StationID}, uuid.Nil, 2)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{ids[2], ids[1]}, []uuid.UUID{page[0].ID, page[1].ID})
	page, err = c.Redemptions(t.Context(), store.RedemptionFilter{Station: c.here.StationID}, page[1].ID, 2)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "Counter", page[0].StationName)
	all, err := c.Redemptions(t.Context(), store.RedemptionFilter{}, uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, all, 4)
	// Ids follow the clock of who asks, times the database's: two of a moment may be the other way round.
	byTime := slices.SortedFunc(slices.Values(all), func(a, b store.RedemptionEntry) int { return a.RedeemedAt.Compare(b.RedeemedAt) })
	oldest, newest := byTime[0].RedeemedAt, byTime[len(all)-1].RedeemedAt
	for filter, want := range map[store.RedemptionFilter]int{
		{From: oldest}: len(all), {From: newest}: 1, {Before: newest}: len(all) - 1,
		{Before: oldest}: 0, {Station: c.here.StationID, From: newest.Add(time.Second)}: 0,
	} {
		of, err := c.Redemptions(t.Context(), filter, uuid.Nil, 10)
		require.NoError(t, err)
		require.Len(t, of, want)
	}
	none, err := c.Redemptions(t.Context(), store.RedemptionFilter{Campaign: uuid.New(), Station: c.here.StationID}, uuid.Nil, 10)
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = c.RedemptionAt(t.Context(), c.there.StationID, ids[0])
	require.Equal(t, "redemption_not_found", domain.CodeOf(err))
	_, err = c.RedemptionAt(t.Context(), c.here.StationID, ids[0])
	require.NoError(t, err)
}
