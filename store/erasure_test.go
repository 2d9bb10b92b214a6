package store_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/inbound"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// traces finds everywhere in the database where one of these texts is: "table.column", in texts, arrays, JSON and bytes.
func (b bundle) traces(t *testing.T, texts ...string) (found []string) {
	t.Helper()
	rows, err := b.owner.Query(t.Context(), `SELECT format('%I.%I', c.table_name, c.column_name), c.table_name, c.column_name, c.udt_name
		FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
		WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.udt_name NOT IN ('int2', 'int4', 'int8', 'bool', 'timestamptz', 'uuid')`)
	require.NoError(t, err)
	type column struct{ Name, Table, Column, Type string }
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	require.NoError(t, err)
	require.Greater(t, len(columns), 80, "the search must see the tables")
	for _, c := range columns {
		for _, text := range texts {
			if c.Type != "bytea" && !utf8.ValidString(text) {
				continue // a hash
			}
			holds := fmt.Sprintf(`position($1::text IN %s::text) > 0`, pgx.Identifier{c.Column}.Sanitize())
			args := []any{text}
			if c.Type == "bytea" {
				holds = fmt.Sprintf(`position($1::bytea IN %s) > 0`, pgx.Identifier{c.Column}.Sanitize())
				args = []any{[]byte(text)}
			}
			if query[bool](t, b, `SELECT EXISTS (SELECT FROM `+pgx.Identifier{c.Table}.Sanitize()+` WHERE `+holds+`)`, args...) {
				found = append(found, c.Name)
				break
			}
		}
	}
	return found
}

func TestErasureLeavesNoTrace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	number := msisdn(rw(1234567))
	digits := string(number[1:])
	wamid := "wamid." + base64.StdEncoding.EncodeToString([]byte("\x1d\x02"+digits)) // as WhatsApp makes them
	traces := func() []string {
		return b.traces(t, digits, "Amina Unique", wamid, string(storetestHash(number)))
	}
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"tier":2000,"pair_seconds":6}}`) // so that the ledger keeps recipients

	c, err := b.AddContact(t.Context(), store.Contact{MSISDN: number, Name: "Amina Unique", Country: "RW"})
	require.NoError(t, err)
	_, err = b.RecordOptIn(t.Context(), c.ID, "Amina Unique's card")
	require.NoError(t, err)

	sent, lane := b.running(t, string(number), rw(2))
	claim := b.claim(t, lane, 1)
	_, err = b.Record(t.Context(), lane, []store.Result{{Target: claim.Targets[0].ID, State: campaign.Sent, ProviderID: wamid}})
	require.NoError(t, err)
	failed, lane := b.running(t, string(number))
	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"tier":2000}}`)
	claim = b.claim(t, lane, 1)
	_, err = b.Record(t.Context(), lane, []store.Result{{Target: claim.Targets[0].ID, State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026}})
	require.NoError(t, err)
	queued := b.draft(t, string(number), rw(3))
	b.exec(t, `UPDATE targets SET variables = '{"name":"Amina Unique"}' WHERE msisdn = $1`, string(number))
	_, err = b.GrantSingle(t.Context(), store.SingleSend{ID: c.ID, Channel: "whatsapp", Recipient: number})
	require.NoError(t, err)
	b.exec(t, `INSERT INTO webhook_inbox (body, error) VALUES ($1, 'not readable'), ('{}', 'another')`, []byte(`{"x":"`+digits+`"`))
	b.apply(t, store.Inbound{Commands: []store.Command{{MessageID: wamid, From: numberOf(t, number), Order: inbound.Order{Command: inbound.Stop}, At: time.Now()}}})
	require.Equal(t, "waiting", query[string](t, b, `SELECT reply FROM inbound_commands`))
	issue := store.NewVoucher{MSISDN: number, Money: rwf(2000), ExpiresAt: time.Now().Add(time.Hour), Reference: digits, IdempotencyKey: "once", RequestHash: hash(digits)}
	v, err := b.IssueVoucher(t.Context(), issue)
	require.NoError(t, err)
	for _, table := range []string{"contacts.msisdn", "contacts.name", "contacts.msisdn_hash", "targets.msisdn", "targets.variables", "targets.provider_id", "targets.msisdn_hash",
		"permits.recipient", "recent_recipients.msisdn", "webhook_inbox.body", "inbound_commands.reply_to", "opt_outs.msisdn_hash", "preferences.msisdn_hash", "vouchers.msisdn", "vouchers.reference"} {
		require.Contains(t, traces(), table, "the search must be able to find it")
	}
	before := b.counts(t, sent)
	recipients := query[int64](t, b, `SELECT count(*) FROM recent_recipients`)

	want := store.Erasure{Contact: true, Consents: 2, Targets: 3, Queued: 1, Vouchers: 1, OptedOut: true}
	impact, err := b.PreviewErasure(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, want, impact)
	done, err := b.EraseContact(t.Context(), c.ID, "asked for it")
	require.NoError(t, err)
	require.Equal(t, want, done)
	require.Equal(t, []string{"opt_outs.msisdn_hash", "preferences.msisdn_hash"}, traces(), "who opted out stays so, by a keyed hash")
	require.Equal(t, before, b.counts(t, sent))
	require.Equal(t, campaign.Counts{Targets: 2, Queued: 1, Cancelled: 1}, b.counts(t, queued))
	require.EqualValues(t, 1, b.counts(t, failed).Failed)
	require.Equal(t, recipients, query[int64](t, b, `SELECT count(*) FROM recent_recipients`))
	require.EqualValues(t, 1, query[int](t, b, `SELECT count(*) FROM webhook_inbox`), "the other one stays")
	require.Equal(t, "asked for it", query[string](t, b, `SELECT reason FROM audit_log WHERE action = 'contact.erased' AND target = $1`, "contact/"+c.ID.String()))

	kept, err := b.Voucher(t.Context(), v.ID)
	require.NoError(t, err)
	require.Empty(t, kept.MSISDN)
	require.Nil(t, kept.ContactID)
	require.Equal(t, voucher.Issued, kept.Status, "it can be redeemed still")
	require.NotEqual(t, hash(digits), query[[]byte](t, b, `SELECT request_hash FROM vouchers WHERE id = $1`, v.ID))
	_, err = b.IssueVoucher(t.Context(), issue)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err), "and it is not issued a second time")

	// What comes later brings nothing back.
	b.apply(t, store.Inbound{Receipts: []store.Receipt{{Attempt: attemptOf(t, b, sent), State: campaign.Delivered, At: time.Now(), ProviderID: wamid}}})
	require.EqualValues(t, 1, b.counts(t, sent).Delivered)
	b.apply(t, store.Inbound{Commands: []store.Command{{MessageID: wamid, From: numberOf(t, number), Order: inbound.Order{Command: inbound.Stop}, At: time.Now()}}})
	require.Equal(t, []string{"opt_outs.msisdn_hash", "preferences.msisdn_hash"}, traces())
	preview, err := b.PreviewResend(t.Context(), failed, store.ResendChoice{States: []campaign.TargetState{campaign.FailedT}})
	require.NoError(t, err)
	require.Zero(t, preview.Targets)
	file, err := b.FailedTargets(t.Context(), failed, store.FailedTarget{}, 10)
	require.NoError(t, err)
	require.Empty(t, file)
	_, err = b.Erase(t.Context(), number, "again")
	require.Equal(t, domain.NotFound, domain.KindOf(err))
	_, err = b.EraseContact(t.Context(), c.ID, "again")
	require.Equal(t, "contact_not_found", domain.CodeOf(err))
}

func TestErasureOfWhomOnlyCampaignsKnow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1), rw(2))
	done, err := b.Erase(t.Context(), msisdn(rw(1)), "asked")
	require.NoError(t, err)
	require.Equal(t, store.Erasure{Targets: 1, Queued: 1}, done)
	require.Equal(t, campaign.Counts{Targets: 2, Queued: 1, Cancelled: 1}, b.counts(t, id))
	require.Empty(t, b.traces(t, rw(1)[1:]))
}

func TestErasureOfWhomOnlyAVoucherKnows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.issue(t)
	done, err := b.Erase(t.Context(), msisdn("+250781234012"), "asked")
	require.NoError(t, err)
	require.Equal(t, store.Erasure{Vouchers: 1}, done)
	require.Empty(t, b.traces(t, "250781234012"))
}

func TestErasureWaitsForWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, rw(1))
	claim := b.claim(t, lane, 1)
	_, err := b.Erase(t.Context(), msisdn(rw(1)), "asked")
	require.Equal(t, "being_sent", domain.CodeOf(err))
	b.sent(t, lane, claim)
	_, err = b.Erase(t.Context(), msisdn(rw(1)), "asked")
	require.NoError(t, err)
	require.EqualValues(t, 1, b.counts(t, id).Sent)
}

// Who claims a target has not committed yet: erasing waits, and sees it then.
func TestErasureSeesWhoIsClaimedMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.running(t, rw(1))
	claiming, err := connect(t, b.url).Begin(t.Context())
	require.NoError(t, err)
	_, err = claiming.Exec(t.Context(), `UPDATE targets SET state = 'sending', owner = 'x', fence = 1, attempt = 1 WHERE campaign_id = $1`, id)
	require.NoError(t, err)
	erased := make(chan error, 1)
	go func() {
		_, err := b.Erase(context.WithoutCancel(t.Context()), msisdn(rw(1)), "asked")
		erased <- err
	}()
	require.Eventually(t, func() bool {
		return query[bool](t, b, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`)
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, claiming.Commit(t.Context()))
	require.Equal(t, "being_sent", domain.CodeOf(<-erased))
	require.EqualValues(t, 1, b.counts(t, id).Sending)
}

func TestErasureWaitsForFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	up, err := b.StartUpload(t.Context(), id)
	require.NoError(t, err)
	_, err = b.Erase(t.Context(), msisdn(rw(1)), "asked")
	require.Equal(t, "import_running", domain.CodeOf(err))
	_, err = b.CancelImport(t.Context(), up.ID, "")
	require.NoError(t, err)

	reading, goOn := make(chan struct{}), make(chan struct{})
	file := &pausing{text: strings.NewReader("msisdn\n" + rw(1) + "\n"), reading: reading, goOn: goOn}
	var done sync.WaitGroup
	done.Go(func() { _, _ = b.ImportContacts(t.Context(), contactReader(t, file), false) })
	<-reading
	_, err = b.Erase(t.Context(), msisdn(rw(1)), "asked")
	require.Equal(t, "import_running", domain.CodeOf(err))
	close(goOn)
	done.Wait()
	_, err = b.Erase(t.Context(), msisdn(rw(1)), "asked")
	require.NoError(t, err)
}

// Whoever erases races lanes that claim: either the message was on its way and nothing is erased, or it never goes.
func TestErasureRacesDispatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 60
	id, lane := b.running(t, many(n, rw)...)
	erased := make([]bool, n)
	claimed := map[contact.MSISDN]bool{}
	var done sync.WaitGroup
	done.Go(func() {
		for i := range n {
			_, err := b.Erase(context.WithoutCancel(t.Context()), msisdn(rw(n-1-i)), "asked")
			erased[n-1-i] = err == nil
			if err != nil {
				require.Equal(t, "being_sent", domain.CodeOf(err), "%v", err)
			}
		}
	})
	for {
		c, err := b.Claim(t.Context(), lane, 3)
		require.NoError(t, err)
		if c.Drained {
			break
		}
		for _, target := range c.Targets {
			require.Regexp(t, `^\+250`, string(target.MSISDN))
			claimed[target.MSISDN] = true
		}
	}
	done.Wait()
	both, gone := 0, 0
	for i, e := range erased {
		require.True(t, e || claimed[msisdn(rw(i))], "nobody did anything about %d", i)
		if e {
			gone++
		}
		if e && claimed[msisdn(rw(i))] {
			both++
		}
	}
	require.Zero(t, both, "erased and sent to")
	counts := b.counts(t, id)
	require.EqualValues(t, []int64{n, int64(gone), n - int64(gone)}, []int64{counts.Targets, counts.Cancelled, counts.Sending})
}
