package worker_test

import (
	"encoding/json"
	"image/png"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"lastcall/domain/audience"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// gift makes a campaign that gives each of these numbers a voucher.
func (b *bundle) gift(t *testing.T, numbers ...string) uuid.UUID {
	t.Helper()
	template, err := b.NewestTemplate(t.Context(), "voucher_gift")
	require.NoError(t, err)
	c, err := b.CreateCampaign(t.Context(), store.NewCampaign{Name: "Jazz night", TemplateID: template.ID,
		Voucher: &voucher.Offer{Amount: decimal.NewFromInt(2000), Currency: voucher.RWF, ValidSeconds: 7 * 24 * 3600}})
	require.NoError(t, err)
	r, err := audience.NewReader(strings.NewReader("msisdn\n"+strings.Join(numbers, "\n")), audience.Options{Variables: c.Asks(template)})
	require.NoError(t, err)
	_, err = b.Import(t.Context(), c.ID, r)
	require.NoError(t, err)
	return c.ID
}

// told is a message as its guest reads it.
type told struct {
	To         contact.MSISDN
	Picture    string `json:"header_media"`
	Parameters []struct{ Name, Text string }
}

func (m told) says(name string) string {
	for _, p := range m.Parameters {
		if p.Name == name {
			return p.Text
		}
	}
	return ""
}

func (b *bundle) told(t *testing.T) (all []told) {
	t.Helper()
	res, err := http.Get(b.provider.URL + "/inbox.json")
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&all))
	return all
}

// vouchers are those of a campaign, by number.
func (b *bundle) vouchers(t *testing.T, id uuid.UUID) map[contact.MSISDN]store.Voucher {
	t.Helper()
	all, err := b.Vouchers(t.Context(), store.VoucherFilter{Campaign: id}, uuid.Nil, 1000)
	require.NoError(t, err)
	by := map[contact.MSISDN]store.Voucher{}
	for _, v := range all {
		require.NotContains(t, by, v.MSISDN, "one each")
		by[v.MSISDN] = v
	}
	return by
}

func (b *bundle) figures(t *testing.T, id uuid.UUID) store.CampaignVouchers {
	t.Helper()
	f, err := b.CampaignVouchers(t.Context(), id)
	require.NoError(t, err)
	return *f
}

// TestAVoucherForEach: everybody gets one, with its card; and where nobody draws cards, in words.
func TestAVoucherForEach(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.gift(t, many(60, rw)...)
	b.start(t, id)
	p := b.until(t, id, time.Minute, ended)
	require.EqualValues(t, 60, p.Counts.Accepted(), p.NeedsHuman)
	f := b.figures(t, id)
	require.Equal(t, []int64{60, 60, 60, 0}, []int64{f.Made, f.Sent, f.Cards + f.Texts, f.Unsent})
	require.Greater(t, f.Cards, f.Texts, "a slow machine may have no time for some")
	of := b.vouchers(t, id)
	carded := int64(0)
	for _, m := range b.told(t) {
		v := of[m.To]
		require.Equal(t, v.Code.String(), m.says("code"))
		require.Equal(t, "RWF\u00a02,000", m.says("amount"))
		require.Contains(t, m.says("expiry"), "CAT")
		require.Equal(t, "Show it before you pay.", m.says("payment"))
		require.NotNil(t, v.SentAt)
		if !strings.Contains(m.Picture, "/cards/") {
			continue
		}
		if carded++; carded > 1 {
			continue // one picture is enough
		}
		res, err := http.Get(m.Picture)
		require.NoError(t, err)
		size, err := png.DecodeConfig(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Greater(t, size.Height, size.Width)
	}
	require.Equal(t, f.Cards, carded)
	var report store.Report
	require.NoError(t, json.Unmarshal(p.Report, &report))
	require.Equal(t, "120000", report.Vouchers.MadeValue)

	b.fault(t, http.MethodPut, `{"kind":"error","scope":"voucher-card","code":500,"for":"10m"}`)
	second := b.gift(t, many(20, mt)...)
	b.start(t, second)
	p = b.until(t, second, time.Minute, ended)
	require.EqualValues(t, 20, p.Counts.Accepted())
	f = b.figures(t, second)
	require.Equal(t, []int64{20, 20, 0, 20}, []int64{f.Made, f.Sent, f.Cards, f.Texts})
	for _, m := range b.told(t)[60:] {
		require.Equal(t, "voucher_gift", m.Picture)
		require.Len(t, m.says("code"), 9)
	}
}

// TestAVoucherThatDoesNotArrive is nobody's loss: it waits for Support, and sending again is about the same one.
func TestAVoucherThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings(t, `{"sent_delay_ms":3600000,"delivered_delay_ms":3600000,"read_delay_ms":3600000}`) // no receipts for now
	b.fault(t, http.MethodPut, `{"kind":"error","code":131026,"share":0.3,"for":"10m"}`)
	b.fault(t, http.MethodPut, `{"kind":"accept_then_timeout","share":0.2,"for":"10m"}`)
	id := b.gift(t, many(80, rw)...)
	b.start(t, id)
	p := b.until(t, id, 2*time.Minute, ended)
	require.Positive(t, p.Counts.Failed)
	require.Positive(t, p.Counts.Unknown)
	f := b.figures(t, id)
	require.EqualValues(t, 80, f.Made)
	require.Equal(t, p.Counts.Accepted(), f.Sent)
	require.Equal(t, p.Counts.Failed+p.Counts.Unknown, f.Issued, "unknown stays unknown")
	require.Equal(t, f.Issued, f.Unsent)
	left, err := b.UnsentVouchers(t.Context(), id, uuid.Nil, 100)
	require.NoError(t, err)
	require.EqualValues(t, f.Unsent, len(left))
	states := map[campaign.TargetState]int64{}
	for _, u := range left {
		states[u.State]++
	}
	require.Equal(t, map[campaign.TargetState]int64{campaign.FailedT: p.Counts.Failed, campaign.Unknown: p.Counts.Unknown}, states)

	before := b.vouchers(t, id)
	b.fault(t, http.MethodDelete, ``)
	gone := left[0].Voucher // withdrawn, it is not sent again
	_, err = b.VoidVoucher(t.Context(), gone.ID, "wrong guest")
	require.NoError(t, err)
	b.resend(t, id, campaign.FailedT, campaign.Unknown)
	p = b.until(t, id, 2*time.Minute, ended)
	require.EqualValues(t, 79, p.Counts.Accepted())
	require.EqualValues(t, 1, p.Counts.Failed)
	after := b.vouchers(t, id)
	require.Len(t, after, 80)
	for number, v := range after {
		require.Equal(t, before[number].Code, v.Code, "the same voucher")
		if v.ID != gone.ID {
			require.Equal(t, voucher.Sent, v.Status)
		}
	}
	f = b.figures(t, id)
	require.Equal(t, []int64{80, 79, 1, 0}, []int64{f.Made, f.Sent, f.Void, f.Unsent})
	for _, m := range b.told(t) {
		require.Equal(t, after[m.To].Code.String(), m.says("code"))
	}
	events := map[voucher.Status]int{}
	for _, v := range after {
		all, err := b.VoucherEvents(t.Context(), v.ID)
		require.NoError(t, err)
		for _, e := range all {
			events[e.Status]++
		}
	}
	require.Equal(t, map[voucher.Status]int{voucher.Issued: 80, voucher.Sent: 79, voucher.Void: 1}, events)
}
