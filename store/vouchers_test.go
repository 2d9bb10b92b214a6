package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// taproom is a bar with two stations; somebody works at both.
type taproom struct {
	bundle
	here, there store.StationSession
}

func openTaproom(t *testing.T) taproom {
	t.Helper()
	c := taproom{bundle: setup(t)}
	bar, err := c.AddBar(t.Context(), "ENG", store.BarFacts{Name: "Engine", Country: "RW"})
	require.NoError(t, err)
	for i, at := range []*store.StationSession{&c.here, &c.there} {
		station, err := c.AddStation(t.Context(), bar.ID, fmt.Sprintf("ENG-%03d", i+1), []string{"Counter", "Terrace"}[i])
		require.NoError(t, err)
		operator, pin, err := c.AddOperator(t.Context(), station.ID, "Jeanne Example")
		require.NoError(t, err)
		*at = c.signIn(t, station.Code, station.ID, pin)
		require.Equal(t, operator.ID, at.OperatorID)
	}
	return c
}

// signIn is a session on a new device.
func (b bundle) signIn(t *testing.T, code string, station uuid.UUID, pin string) store.StationSession {
	t.Helper()
	invitation, _, err := b.InviteDevice(t.Context(), station, "Phone")
	require.NoError(t, err)
	device, _, err := b.EnrolDevice(t.Context(), invitation, "Chrome")
	require.NoError(t, err)
	_, session, err := b.OpenStationSession(t.Context(), store.StationSignIn{Device: device, Station: code, PIN: pin})
	require.NoError(t, err)
	return session
}

func rwf(amount int64) voucher.Money {
	return voucher.Money{Amount: decimal.NewFromInt(amount), Currency: voucher.RWF}
}

// issue issues a voucher of 2,000 RWF.
func (b bundle) issue(t *testing.T, stations ...uuid.UUID) store.Voucher {
	t.Helper()
	v, err := b.IssueVoucher(t.Context(), store.NewVoucher{MSISDN: msisdn("+250781234012"), Money: rwf(2000), Stations: stations, ExpiresAt: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	return v
}

// pass lets a voucher's time pass.
func (b bundle) pass(t *testing.T, id uuid.UUID) {
	t.Helper()
	_, err := b.owner.Exec(t.Context(), `UPDATE vouchers SET issued_at = now() - interval '2 days', expires_at = now() - interval '1 second' WHERE id = $1`, id)
	require.NoError(t, err)
}

// told are a voucher's events and its audit entries, each in order.
func (b bundle) told(t *testing.T, id uuid.UUID) (events []voucher.Status, entries []string) {
	t.Helper()
	all, err := b.VoucherEvents(t.Context(), id)
	require.NoError(t, err)
	for _, e := range all {
		events = append(events, e.Status)
	}
	return events, query[[]string](t, b, `SELECT array(SELECT action FROM audit_log WHERE target = 'voucher/' || $1::text ORDER BY id)`, id.String())
}

func byCode(at store.StationSession, v store.Voucher, key string) store.Redemption {
	return store.Redemption{By: at, Code: v.Code.String(), Key: key, RequestHash: hash(v.Code.String())}
}

func hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func TestIssueVoucher(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	person, err := c.AddContact(t.Context(), store.Contact{MSISDN: "+250781234012", Country: "RW"})
	require.NoError(t, err)
	n := store.NewVoucher{MSISDN: person.MSISDN, Money: rwf(2000), Stations: []uuid.UUID{c.here.StationID}, ExpiresAt: time.Now().Add(time.Hour),
		Reference: "INV-7", IdempotencyKey: "k", RequestHash: hash("a")}
	v, err := c.IssueVoucher(t.Context(), n)
	require.NoError(t, err)
	require.Equal(t, person.ID, *v.ContactID)
	require.Equal(t, voucher.ScopeStation, v.Scope)
	require.Equal(t, "2,000 RWF", v.Money.String())
	require.Equal(t, voucher.Issued, v.Status)
	_, err = voucher.ParseCode(string(v.Code))
	require.NoError(t, err)

	again, err := c.IssueVoucher(t.Context(), n)
	require.NoError(t, err)
	require.Equal(t, v, again, "the same request, the same voucher")
	n.RequestHash = hash("b")
	_, err = c.IssueVoucher(t.Context(), n)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
	n.IdempotencyKey, n.RequestHash = "", nil
	_, err = c.IssueVoucher(t.Context(), n)
	require.Equal(t, "reference_exists", domain.CodeOf(err))
	n.Reference, n.Stations = "", []uuid.UUID{c.here.StationID, uuid.New()}
	_, err = c.IssueVoucher(t.Context(), n)
	require.Equal(t, "unknown_station", domain.CodeOf(err))
	n.Stations, n.ExpiresAt = nil, time.Now().Add(-time.Second)
	_, err = c.IssueVoucher(t.Context(), n)
	require.Equal(t, "expiry_passed", domain.CodeOf(err))
	events, entries := c.told(t, v.ID)
	require.Equal(t, []voucher.Status{voucher.Issued}, events)
	require.Equal(t, []string{"voucher.issued"}, entries)
	require.EqualValues(t, 1, query[int64](t, c.bundle, `SELECT count(*) FROM vouchers`))
}

// Whoever writes, the database has the same table of transitions as the domain.
func TestTheDatabaseKnowsEveryTransition(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	stamp := map[voucher.Status]string{voucher.Issued: ``, voucher.Sent: `, sent_at = now()`, voucher.Expired: `, expired_at = now()`,
		voucher.Redeemed: `, redeemed_at = now(), redeemed_station_id = '` + c.here.StationID.String() + `'`, voucher.Void: `, voided_at = now(), void_reason = 'x'`}
	clear := `, sent_at = NULL, redeemed_at = NULL, redeemed_station_id = NULL, expired_at = NULL, voided_at = NULL, void_reason = NULL`
	for _, from := range voucher.Statuses {
		for _, to := range voucher.Statuses {
			v := c.issue(t)
			if from != voucher.Issued {
				_, err := c.owner.Exec(t.Context(), `UPDATE vouchers SET status = $2`+stamp[from]+` WHERE id = $1`, v.ID, from)
				require.NoError(t, err, "%s", from)
			}
			var set []string
			for _, part := range strings.Split(strings.TrimPrefix(clear, ", "), ", ") {
				if column, _, _ := strings.Cut(part, " "); !strings.Contains(stamp[to], column+" =") {
					set = append(set, part)
				}
			}
			_, err := c.owner.Exec(t.Context(), `UPDATE vouchers SET status = $2`+stamp[to]+`, `+strings.Join(set, ", ")+` WHERE id = $1`, v.ID, to)
			require.Equal(t, from.MayBecome(to), err == nil, "%s to %s: %v", from, to, err)
		}
	}
}

// Whatever is done to a voucher in whatever order, it goes only where it may, and each change leaves one event and one
// entry in the audit log.
func TestAVouchersLife(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	rapid.Check(t, func(rt *rapid.T) {
		v := c.issue(t)
		status, want := voucher.Issued, []voucher.Status{voucher.Issued}
		var past bool
		for i, do := range rapid.SliceOfN(rapid.SampledFrom([]string{"send", "redeem", "void", "pass", "expire"}), 1, 6).Draw(rt, "deeds") {
			var err error
			to := voucher.Status("")
			switch do {
			case "send":
				to = voucher.Sent
				_, err = c.MarkVoucherSent(t.Context(), v.ID, "")
			case "redeem":
				to = voucher.Redeemed
				_, _, err = c.Redeem(t.Context(), store.Redemption{By: c.here, Voucher: v.ID, Key: fmt.Sprint(v.ID, i), RequestHash: hash(do)})
			case "void":
				to = voucher.Void
				_, err = c.VoidVoucher(t.Context(), v.ID, "because")
			case "pass":
				c.pass(t, v.ID)
				past = true
				continue
			case "expire":
				_, err = c.ExpireVouchers(t.Context())
				require.NoError(rt, err)
				if past && status.Live() {
					status, want = voucher.Expired, append(want, voucher.Expired)
				}
				continue
			}
			may := status.MayBecome(to) && !(to == voucher.Redeemed && past)
			require.Equal(rt, may, err == nil, "%s a voucher that is %s: %v", do, status, err)
			if may {
				status, want = to, append(want, to)
			}
		}
		now, err := c.Voucher(t.Context(), v.ID)
		require.NoError(rt, err)
		require.Equal(rt, status, now.Status)
		events, entries := c.told(t, v.ID)
		require.Equal(rt, want, events)
		for _, became := range want {
			n := 0
			for _, e := range entries {
				if e == map[voucher.Status]string{voucher.Issued: "voucher.issued", voucher.Sent: "voucher.sent", voucher.Redeemed: "voucher.redeemed", voucher.Void: "voucher.voided"}[became] {
					n++
				}
			}
			if became != voucher.Expired { // one entry a sweep, which names none
				require.Equal(rt, 1, n, "%s in %v", became, entries)
			}
		}
	})
}

func TestVoid(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	_, err := c.VoidVoucher(t.Context(), v.ID, " ")
	require.Equal(t, "no_reason", domain.CodeOf(err))
	_, err = c.VoidVoucher(t.Context(), uuid.New(), "x")
	require.Equal(t, "voucher_not_found", domain.CodeOf(err))
	v, err = c.VoidVoucher(t.Context(), v.ID, "sent to the wrong guest")
	require.NoError(t, err)
	require.Equal(t, "sent to the wrong guest", v.VoidReason)
	_, err = c.VoidVoucher(t.Context(), v.ID, "again")
	require.Equal(t, "wrong_state", domain.CodeOf(err))
	_, entries := c.told(t, v.ID)
	require.Equal(t, []string{"voucher.issued", "voucher.voided", "voucher.void_refused"}, entries)
	_, _, err = c.Redeem(t.Context(), byCode(c.here, v, "k"))
	require.Equal(t, "voucher_void", domain.CodeOf(err))
}

// Two sweeps at once take a batch each, and every voucher expires once.
func TestExpiryInBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.owner.Exec(t.Context(), `INSERT INTO vouchers (id, code, amount, currency, scope, issued_at, expires_at, status, sent_at)
		SELECT gen_random_uuid(), lpad(replace(replace(replace(replace(upper(to_hex(n)), 'I', 'J'), 'L', 'M'), 'O', 'P'), 'U', 'V'), 8, '0'), 500, 'RWF', 'all',
			now() - interval '2 days', now() + make_interval(secs => CASE WHEN n <= 2500 THEN -n ELSE 3600 END),
			CASE WHEN n % 2 = 0 THEN 'sent' ELSE 'issued' END, CASE WHEN n % 2 = 0 THEN now() END FROM generate_series(1, 2600) n`)
	require.NoError(t, err)
	type swept struct {
		n   int64
		err error
	}
	done := make(chan swept, 2)
	for range 2 {
		go func() {
			n, err := b.ExpireVouchers(context.Background())
			done <- swept{n, err}
		}()
	}
	first, second := <-done, <-done
	require.NoError(t, first.err)
	require.NoError(t, second.err)
	rest, err := b.ExpireVouchers(t.Context()) // what one skipped because the other was at it
	require.NoError(t, err)
	require.EqualValues(t, 2500, first.n+second.n+rest)
	require.EqualValues(t, 2500, query[int64](t, b, `SELECT count(*) FROM vouchers WHERE status = 'expired' AND expired_at IS NOT NULL`))
	require.EqualValues(t, 2500, query[int64](t, b, `SELECT count(*) FROM voucher_events WHERE status = 'expired' AND actor_kind = 'system'`))
	require.EqualValues(t, 2500, query[int64](t, b, `SELECT sum((diff->>'vouchers')::int) FROM audit_log WHERE action = 'voucher.expired'`))
	require.LessOrEqual(t, query[int64](t, b, `SELECT max((diff->>'vouchers')::int) FROM audit_log WHERE action = 'voucher.expired'`), int64(1000))
	require.Less(t, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'voucher.expired'`), int64(8), "an entry a batch")
}

func TestListsAndTotals(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: "account", Name: "f@example.test"})
	all := []store.Voucher{c.issue(t), c.issue(t, c.here.StationID), c.issue(t, c.here.StationID, c.there.StationID)}
	euros, err := voucher.ParseMoney("12.50", "EUR")
	require.NoError(t, err)
	v, err := c.IssueVoucher(ctx, store.NewVoucher{MSISDN: "+35679000001", Money: euros, ExpiresAt: time.Now().Add(48 * time.Hour)})
	require.NoError(t, err)
	all = append(all, v)
	_, err = c.MarkVoucherSent(ctx, all[1].ID, "")
	require.NoError(t, err)
	c.pass(t, all[0].ID)
	ids := func(f store.VoucherFilter) (found []int) {
		page, err := c.Vouchers(ctx, f, uuid.Nil, 100)
		require.NoError(t, err)
		for _, v := range page {
			for i := range all {
				if all[i].ID == v.ID {
					found = append(found, i)
				}
			}
		}
		return found
	}
	require.Equal(t, []int{3, 2, 1, 0}, ids(store.VoucherFilter{}))
	require.Equal(t, []int{1}, ids(store.VoucherFilter{Status: voucher.Sent}))
	require.Equal(t, []int{2, 1}, ids(store.VoucherFilter{Station: c.here.StationID}))
	require.Equal(t, []int{2}, ids(store.VoucherFilter{Station: c.there.StationID}))
	require.Equal(t, []int{3}, ids(store.VoucherFilter{MSISDN: "+35679000001"}))
	require.Equal(t, []int{3}, ids(store.VoucherFilter{ExpiresFrom: time.Now().Add(2 * time.Hour)}))
	require.Equal(t, []int{0}, ids(store.VoucherFilter{ExpiresBefore: time.Now()}))
	require.Equal(t, []int{3, 2, 1}, ids(store.VoucherFilter{OutstandingNow: true}))
	require.Equal(t, []int{2}, ids(store.VoucherFilter{Code: all[2].Code}))
	require.Empty(t, ids(store.VoucherFilter{Campaign: uuid.New()}))
	page, err := c.Vouchers(ctx, store.VoucherFilter{}, all[2].ID, 1)
	require.NoError(t, err)
	require.Equal(t, all[1].ID, page[0].ID)

	totals, err := c.VoucherTotals(ctx, store.VoucherFilter{})
	require.NoError(t, err)
	told := []string{}
	for _, s := range totals {
		told = append(told, fmt.Sprint(s.Currency, " ", s.Status, " ", s.Vouchers, " ", s.Amount, " due ", s.Due, " ", s.DueWorth))
	}
	require.Equal(t, []string{"EUR issued 1 12.5 due 0 0", "RWF issued 2 4000 due 1 2000", "RWF sent 1 2000 due 0 0"}, told)

	require.NoError(t, c.ExportVouchers(ctx, store.VoucherFilter{Status: voucher.Sent, MSISDN: "+35679000001"}, true))
	require.JSONEq(t, `{"codes":true,"filter":{"status":"sent"}}`, query[string](t, c.bundle, `SELECT diff::text FROM audit_log WHERE action = 'voucher.exported'`))
	_, err = c.RevealVoucher(ctx, v.ID)
	require.NoError(t, err)
	_, entries := c.told(t, v.ID)
	require.Contains(t, entries, "voucher.revealed")
	// Its owner is forgotten, the voucher is not.
	_, err = c.owner.Exec(ctx, `UPDATE vouchers SET msisdn = NULL WHERE id = $1`, v.ID)
	require.NoError(t, err)
	v, err = c.Voucher(ctx, v.ID)
	require.NoError(t, err)
	require.Empty(t, v.MSISDN)
}

func batch(t *testing.T, d store.BatchDefaults, file string) *audience.Reader {
	t.Helper()
	r, err := audience.NewReader(strings.NewReader(file), audience.Options{Variables: store.BatchColumns(d), Country: "RW", MaxLines: store.MaxBatch})
	require.NoError(t, err)
	return r
}

func TestBatchTakesTheGoodLinesAndTellsOfTheBad(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	d := store.BatchDefaults{Currency: "RWF", Stations: []string{"eng-001"}, ExpiresAt: time.Now().Add(time.Hour), IdempotencyKey: "k", Hash: func() []byte { return hash("file") }}
	file := "\ufeffmsisdn;amount;currency;stations;expires_at;reference;colour\n" +
		"+250781234001;2000;;;;;red\n" + // 2: as by default
		"0781234001;2000;;;;;\n" + // 3: the same number
		"0781234001;500;;all;;INV-1;\n" + // 4: another reference
		"+35679000001;12.50;EUR;ENG-001 ENG-002;2027-01-01;;\n" + // 5
		"\n" +
		"12;2000;;;;;\n" + // 7: no number
		"0781234002;2,5;;;;;\n" + // 8
		"0781234003;0.5;;;;;\n" + // 9
		"0781234004;2000;USD;;;;\n" + // 10
		"0781234005;2000;;ENG-009;;;\n" + // 11
		"0781234006;2000;;;tomorrow;;\n" + // 12
		"0781234007;2000;;;2020-01-01;;\n" + // 13
		"0781234008;2000\n" + // 14: columns
		"0781234009;\xff\xfe;;;;;\n" + // 15
		"0781234010;;;;;;\n" // 16
	b, err := c.IssueBatch(t.Context(), batch(t, d, file), d)
	require.NoError(t, err)
	require.EqualValues(t, [4]int64{14, 10, 1, 3}, [4]int64{b.Lines, b.Invalid, b.Duplicates, b.Issued})
	require.Equal(t, []string{"colour"}, b.IgnoredColumns)
	lines, err := c.VoucherBatchLines(t.Context(), b.ID, 0, 100)
	require.NoError(t, err)
	told := []string{}
	for _, l := range lines {
		told = append(told, fmt.Sprint(l.Line, " ", l.Field, " ", l.Code))
	}
	require.Equal(t, []string{"7 msisdn number_not_valid", "8 amount bad_amount", "9 amount too_precise", "10 currency unknown_currency", "11 stations unknown_station",
		"12 expires_at bad_expiry", "13 expires_at expiry_passed", "14  wrong_columns", "15  bad_encoding", "16 amount missing_value"}, told)
	page, err := c.Vouchers(t.Context(), store.VoucherFilter{Batch: b.ID}, uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, page, 3)
	require.Equal(t, "12.50 EUR", page[0].Money.String())
	require.Equal(t, voucher.ScopeStations, page[0].Scope)
	malta, err := time.LoadLocation("Europe/Malta")
	require.NoError(t, err)
	require.True(t, page[0].ExpiresAt.Equal(time.Date(2027, 1, 2, 0, 0, 0, 0, malta)), "to the day's end, where the guest is")
	require.Equal(t, voucher.ScopeAll, page[1].Scope)
	require.Equal(t, "INV-1", page[1].Reference)
	require.Equal(t, []uuid.UUID{c.here.StationID}, page[2].Stations)
	events, _ := c.told(t, page[2].ID)
	require.Equal(t, []voucher.Status{voucher.Issued}, events)
	require.EqualValues(t, 1, query[int64](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action = 'voucher.batch_issued'`))

	again, err := c.IssueBatch(t.Context(), batch(t, d, file), d)
	require.NoError(t, err)
	require.Equal(t, b.ID, again.ID)
	d.Hash = func() []byte { return hash("another") }
	_, err = c.IssueBatch(t.Context(), batch(t, d, file), d)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
	d.IdempotencyKey = ""
	b, err = c.IssueBatch(t.Context(), batch(t, d, "msisdn,amount,reference\n0781234001,500,INV-1\n0781234001,500,INV-2\n"), d)
	require.NoError(t, err)
	require.EqualValues(t, [2]int64{1, 1}, [2]int64{b.Duplicates, b.Issued}, "a reference is good once, in whichever file")
	batches, err := c.VoucherBatches(t.Context(), uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, batches, 2)
}

// A file that breaks off leaves nothing.
func TestABrokenBatchIsNone(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	d := store.BatchDefaults{Amount: "500", Currency: "RWF", ExpiresAt: time.Now().Add(time.Hour)}
	file := &breaking{text: "msisdn\n" + strings.Join(many(3000, rw), "\n")}
	r, err := audience.NewReader(file, audience.Options{Variables: store.BatchColumns(d)})
	require.NoError(t, err)
	_, err = c.IssueBatch(t.Context(), r, d)
	require.Equal(t, "batch_unreadable", domain.CodeOf(err))
	require.Zero(t, query[int64](t, c.bundle, `SELECT (SELECT count(*) FROM vouchers) + (SELECT count(*) FROM voucher_batches)`))
	d.Stations = []string{"NOWHERE"}
	_, err = c.IssueBatch(t.Context(), batch(t, d, "msisdn\n"+rw(1)), d)
	require.Equal(t, "unknown_station", domain.CodeOf(err))
}

// breaking is a file whose connection is lost at its end.
type breaking struct{ text string }

func (b *breaking) Read(p []byte) (int, error) {
	if b.text == "" {
		return 0, fmt.Errorf("connection reset")
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

func TestExpiryRunsByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v := b.issue(t)
	b.pass(t, v.ID)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&store.VoucherExpiry{Store: b.Store, Log: quiet, Every: 10 * time.Millisecond}).Run(ctx)
	}()
	expired := func(id uuid.UUID) func() bool {
		return func() bool {
			v, err := b.Voucher(ctx, id)
			return err == nil && v.Status == voucher.Expired
		}
	}
	require.Eventually(t, expired(v.ID), 10*time.Second, 5*time.Millisecond)
	v = b.issue(t)
	b.pass(t, v.ID)
	require.Eventually(t, expired(v.ID), 10*time.Second, 5*time.Millisecond, "and again")
	cancel()
	<-done
}
