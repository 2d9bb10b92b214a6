package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/store"
)

// TestVouchersSurviveKills kills the API in the middle of a batch and of redemptions, and the worker in the middle of the expiry
// sweep. Whoever lost an answer asks again with the same key, as a station's phone does: nothing is lost, and nothing is twice.
func TestVouchersSurviveKills(t *testing.T) {
	c := &chaos{whole: &whole{dir: dataDir(t), base: portBase(t)}}
	c.start(t)
	t.Cleanup(func() { require.NoError(t, c.command(t, "down").Run()) })
	client := &apiClient{base: c.API, token: c.Token, http: http.Client{}}
	_, tills, err := openTills(t.Context(), client, 1, 4)
	require.NoError(t, err)

	// again repeats a call until it has an answer: a killed API gives none, or one that is cut off.
	again := func(call func() error) {
		require.EventuallyWithT(t, func(now *assert.CollectT) { require.NoError(now, call()) }, 2*time.Minute, 20*time.Millisecond)
	}
	batch := func(n, from int, key string) (b api.VoucherBatch) {
		file := strings.Builder{}
		file.WriteString("msisdn\n")
		for i := range n {
			fmt.Fprintf(&file, "+25078%07d\n", from+i)
		}
		query := url.Values{"amount": {"500"}, "currency": {"RWF"}, "expires_at": {time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}
		header := http.Header{"Content-Type": {"text/csv"}, "Idempotency-Key": {key}}
		again(func() error {
			_, err := client.send(t.Context(), http.MethodPost, "/vouchers/batches?"+query.Encode(), header, strings.NewReader(file.String()), &b)
			return err
		})
		return b
	}
	const guests, late = 60, 3000
	var b api.VoucherBatch
	var working sync.WaitGroup
	working.Go(func() { b = batch(guests, 0, "guests") })
	c.kill(t, "api")
	working.Wait()
	require.EqualValues(t, guests, b.Issued)

	var codes []string
	require.NoError(t, c.database(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT code FROM vouchers WHERE batch_id = $1 ORDER BY id`, b.ID)
		if err == nil {
			codes, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	}))
	require.Len(t, codes, guests, "one batch, whole")

	var done atomic.Int64
	receipts := make([]store.Redeemed, guests)
	for n, at := range tills {
		working.Go(func() {
			for i := n; i < guests; i += len(tills) {
				header := http.Header{"Idempotency-Key": {fmt.Sprint("guest-", i)}}
				again(func() error {
					return at.post(t.Context(), "/station/redemptions", header, api.NewRedemption{StationVoucher: api.StationVoucher{Code: codes[i]}}, &receipts[i])
				})
				done.Add(1)
			}
		})
	}
	for _, kills := range []int64{5, 20, 40} {
		require.Eventually(t, func() bool { return done.Load() >= kills }, 2*time.Minute, time.Millisecond)
		c.kill(t, "api")
	}
	working.Wait()
	answered := map[uuid.UUID]bool{}
	for _, r := range receipts {
		answered[r.ID] = true
	}
	require.Len(t, answered, guests)
	require.NoError(t, c.database(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT id FROM redemptions`)
		require.NoError(t, err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		require.NoError(t, err)
		there := 0
		for _, id := range ids {
			if answered[id] {
				there++
			}
		}
		require.Equal(t, guests, there, "each answer is a redemption")
		var redeemed, events, entries int
		require.NoError(t, conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE status = 'redeemed'),
				(SELECT count(*) FROM voucher_events e JOIN vouchers v ON v.id = e.voucher_id WHERE v.batch_id = $1 AND e.status = 'redeemed'),
				(SELECT count(*) FROM audit_log l JOIN vouchers v ON l.target = 'voucher/' || v.id WHERE v.batch_id = $1 AND l.action = 'voucher.redeemed')
			FROM vouchers WHERE batch_id = $1`, b.ID).Scan(&redeemed, &events, &entries))
		require.Equal(t, [3]int{guests, guests, guests}, [3]int{redeemed, events, entries})
		return nil
	}))

	// The sweep is killed as soon as it has begun, again and again; the next worker goes on where it stopped.
	b = batch(late, 1000, "late")
	expired := func() (n int) {
		require.NoError(t, c.database(func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, `SELECT count(*) FROM vouchers WHERE batch_id = $1 AND status = 'expired'`, b.ID).Scan(&n)
		}))
		return n
	}
	require.NoError(t, c.database(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `UPDATE vouchers SET issued_at = now() - interval '2 hours', expires_at = now() - interval '1 hour' WHERE batch_id = $1`, b.ID)
		return err
	}))
	for range 3 {
		c.kill(t, "worker")
	}
	require.Eventually(t, func() bool { return expired() > 0 }, 2*time.Minute, time.Millisecond)
	c.kill(t, "worker")
	require.Eventually(t, func() bool { return expired() == late }, 2*time.Minute, 20*time.Millisecond)
	require.NoError(t, c.database(func(ctx context.Context, conn *pgx.Conn) error {
		var events, told int
		require.NoError(t, conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM voucher_events e JOIN vouchers v ON v.id = e.voucher_id WHERE v.batch_id = $1 AND e.status = 'expired'),
			(SELECT sum((diff ->> 'vouchers')::int) FROM audit_log WHERE action = 'voucher.expired' AND created_at > $2)`, b.ID, b.CreatedAt).Scan(&events, &told))
		require.Equal(t, [2]int{late, late}, [2]int{events, told})
		return nil
	}))
}
