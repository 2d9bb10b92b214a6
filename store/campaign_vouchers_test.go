package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/voucher"
	"lastcall/store"
)

func week() *voucher.Offer {
	return &voucher.Offer{Amount: decimal.NewFromInt(2000), Currency: voucher.RWF, ValidSeconds: 7 * 24 * 3600}
}

// gift makes a draft that gives everybody with these numbers a voucher.
func (b bundle) gift(t *testing.T, offer *voucher.Offer, numbers ...string) uuid.UUID {
	t.Helper()
	gift, err := b.NewestTemplate(t.Context(), "voucher_gift")
	require.NoError(t, err)
	c, err := b.CreateCampaign(t.Context(), store.NewCampaign{Name: t.Name(), TemplateID: gift.ID, Voucher: offer})
	require.NoError(t, err)
	csv := "msisdn\n"
	for _, number := range numbers {
		csv += number + "\n"
	}
	b.load(t, c.ID, csv)
	return c.ID
}

// giving is gift, at work, with its lane 0.
func (b bundle) giving(t *testing.T, offer *voucher.Offer, numbers ...string) (uuid.UUID, store.Lane) {
	t.Helper()
	id := b.gift(t, offer, numbers...)
	_, err := b.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		require.NoError(t, b.Advance(t.Context(), id, to, ""))
	}
	lane := store.Lane{Campaign: id, Run: "run", Batch: 1, Fence: 1}
	_, err = b.TakeLane(t.Context(), lane)
	require.NoError(t, err)
	return id, lane
}

func (b bundle) figures(t *testing.T, id uuid.UUID) store.CampaignVouchers {
	t.Helper()
	f, err := b.CampaignVouchers(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, f.Made, f.Issued+f.Sent+f.Redeemed+f.Expired+f.Void)
	return *f
}

// A target has one voucher, made with the permit for its message, however often it is tried.
func TestATargetHasOneVoucher(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.giving(t, week(), many(6, rw)...)
	first := b.claim(t, lane, 6)
	require.Len(t, first.Targets, 6)
	codes := map[int64]voucher.Code{}
	for _, each := range first.Targets {
		require.NotNil(t, each.Voucher)
		require.Equal(t, "RW", each.Country)
		require.Equal(t, voucher.Issued, each.Voucher.Status)
		require.WithinDuration(t, time.Now().Add(7*24*time.Hour), each.Voucher.ExpiresAt, time.Minute)
		codes[each.ID] = each.Voucher.Code
	}
	require.Equal(t, store.CampaignVouchers{Amount: "2000", Currency: "RWF", Made: 6, Issued: 6, MadeValue: "12000", OpenValue: "12000", RedeemedValue: "0"}, b.figures(t, id))
	require.EqualValues(t, 6, query[int64](t, b, `SELECT count(*) FROM voucher_events WHERE status = 'issued'`))
	require.JSONEq(t, `6`, query[string](t, b, `SELECT diff ->> 'vouchers' FROM audit_log WHERE action = 'voucher.issued'`))

	results := make([]store.Result, 6) // two go, two wait, one fails, of one nobody knows
	for i, each := range first.Targets {
		results[i] = store.Result{Target: each.ID, State: campaign.Sent, ProviderID: "p" + string(codes[each.ID]), Form: voucher.Carded}
	}
	results[1].Form = voucher.Texted
	results[2] = store.Result{Target: results[2].Target, State: campaign.Queued, Reason: "rate_limited"}
	results[3] = store.Result{Target: results[3].Target, State: campaign.Queued, Reason: "rate_limited"}
	results[4] = store.Result{Target: results[4].Target, State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026}
	results[5] = store.Result{Target: results[5].Target, State: campaign.Unknown, Reason: "no_answer"}
	changed, err := b.Record(t.Context(), lane, results)
	require.NoError(t, err)
	require.EqualValues(t, 6, changed)
	f := b.figures(t, id)
	require.Equal(t, []int64{4, 2, 1, 1, 2}, []int64{f.Issued, f.Sent, f.Cards, f.Texts, f.Unsent})
	require.Equal(t, `{"cards": 1, "texts": 1, "vouchers": 2}`, query[string](t, b, `SELECT diff::text FROM audit_log WHERE action = 'voucher.sent'`))

	again := b.claim(t, lane, 6)
	require.Len(t, again.Targets, 2)
	for _, each := range again.Targets {
		require.Equal(t, codes[each.ID], each.Voucher.Code, "the same voucher")
	}
	require.EqualValues(t, 6, b.figures(t, id).Made)

	left, err := b.UnsentVouchers(t.Context(), id, uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, left, 2)
	states := map[campaign.TargetState]store.UnsentVoucher{left[0].State: left[0], left[1].State: left[1]}
	require.Equal(t, 131026, states[campaign.FailedT].ErrorCode)
	require.Equal(t, codes[results[4].Target], states[campaign.FailedT].Voucher.Code)
	require.Equal(t, codes[results[5].Target], states[campaign.Unknown].Voucher.Code)
	second, err := b.UnsentVouchers(t.Context(), uuid.Nil, left[0].Voucher.ID, 10)
	require.NoError(t, err)
	require.Equal(t, left[1:], second)

	// Withdrawn, it is nobody's task any more.
	_, err = b.VoidVoucher(t.Context(), left[0].Voucher.ID, "wrong guest")
	require.NoError(t, err)
	require.EqualValues(t, 1, b.figures(t, id).Unsent)
}

// A code that is somebody's is made anew, for that voucher alone.
func TestATakenCodeIsMadeAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.owner.Exec(t.Context(), `CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('collisions') <= 3 THEN NEW.code := '00000000'; END IF; RETURN NEW; END $$;
		CREATE SEQUENCE collisions; GRANT USAGE ON SEQUENCE collisions TO lastcall_app;
		CREATE TRIGGER collide BEFORE INSERT ON vouchers FOR EACH ROW EXECUTE FUNCTION collide()`)
	require.NoError(t, err)
	id, lane := b.giving(t, week(), many(5, rw)...)
	claim := b.claim(t, lane, 5)
	codes := map[voucher.Code]bool{}
	for _, each := range claim.Targets {
		codes[each.Voucher.Code] = true
	}
	require.Len(t, codes, 5)
	require.EqualValues(t, 5, b.figures(t, id).Made)
	require.EqualValues(t, 5, query[int64](t, b, `SELECT count(*) FROM voucher_events`))
	require.Equal(t, `5`, query[string](t, b, `SELECT diff ->> 'vouchers' FROM audit_log WHERE action = 'voucher.issued'`))
}

// What the provider tells later holds for the voucher as for its target.
func TestReceiptsOfVouchers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.giving(t, week(), many(3, rw)...)
	claim := b.claim(t, lane, 3)
	results := make([]store.Result, 3)
	for i, each := range claim.Targets {
		results[i] = store.Result{Target: each.ID, State: campaign.Sent, ProviderID: "x", Form: voucher.Carded}
	}
	results[0] = store.Result{Target: results[0].Target, State: campaign.Unknown, Reason: "no_answer"}
	// The failure of the last one comes before anybody here knows that it was taken.
	b.receive(t, store.Receipt{Attempt: campaign.Attempt{Campaign: id, Target: results[2].Target, N: 1}, State: campaign.FailedT, At: time.Now(), ErrorCode: 131026})
	_, err := b.Record(t.Context(), lane, results)
	require.NoError(t, err)
	f := b.figures(t, id)
	require.Equal(t, []int64{1, 2, 2}, []int64{f.Issued, f.Sent, f.Unsent}, "unknown, and taken in vain")

	b.receive(t, store.Receipt{Attempt: campaign.Attempt{Campaign: id, Target: results[0].Target, N: 1}, State: campaign.Delivered, At: time.Now()})
	f = b.figures(t, id)
	require.Equal(t, []int64{0, 3, 1}, []int64{f.Issued, f.Sent, f.Unsent}, "the unknown one has arrived")
	b.receive(t, store.Receipt{Attempt: campaign.Attempt{Campaign: id, Target: results[1].Target, N: 1}, State: campaign.FailedT, At: time.Now(), ErrorCode: 131026})
	f = b.figures(t, id)
	require.Equal(t, []int64{0, 3, 2}, []int64{f.Issued, f.Sent, f.Unsent}, "taken, and then not delivered")
	b.receive(t, store.Receipt{Attempt: campaign.Attempt{Campaign: id, Target: results[1].Target, N: 1}, State: campaign.Read, At: time.Now()})
	require.EqualValues(t, 1, b.figures(t, id).Unsent, "it was read after all")
	require.EqualValues(t, 3, query[int64](t, b, `SELECT count(*) FROM voucher_events WHERE status = 'sent'`), "each once")
}

// Nobody is sent what is worth nothing.
func TestAnOfferThatHasEnded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	soon := time.Now().Add(time.Hour)
	offer := &voucher.Offer{Amount: decimal.NewFromInt(2000), Currency: voucher.RWF, ExpiresAt: &soon}
	id, lane := b.giving(t, offer, many(2, rw)...)
	_, err := b.owner.Exec(t.Context(), `UPDATE campaigns SET voucher = voucher || '{"expires_at": "2026-01-01T00:00:00Z"}' WHERE id = $1`, id)
	require.NoError(t, err)
	claim := b.claim(t, lane, 2)
	require.Len(t, claim.Targets, 2)
	require.Nil(t, claim.Targets[0].Voucher)
	require.Zero(t, b.figures(t, id).Made)
	check, err := b.Ready(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "vouchers_over", check.Problems[0].Code)
}

func TestWhatAnOfferMayBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gift, err := b.NewestTemplate(t.Context(), "voucher_gift")
	require.NoError(t, err)
	promo, err := b.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	past := time.Now().Add(-time.Hour)
	for code, n := range map[string]store.NewCampaign{
		"no_code":           {Name: "x", TemplateID: promo.ID, Voucher: week()},
		"filled_by_voucher": {Name: "x", TemplateID: gift.ID, Voucher: week(), Variables: map[string]string{"code": "K7QM-42XD"}},
		"unknown_station":   {Name: "x", TemplateID: gift.ID, Voucher: &voucher.Offer{Amount: decimal.NewFromInt(1), Currency: voucher.RWF, ValidSeconds: 60, Stations: []uuid.UUID{uuid.New()}}},
		"no_expiry":         {Name: "x", TemplateID: gift.ID, Voucher: &voucher.Offer{Amount: decimal.NewFromInt(1), Currency: voucher.RWF}},
		"bad_validity":      {Name: "x", TemplateID: gift.ID, Voucher: &voucher.Offer{Amount: decimal.NewFromInt(1), Currency: voucher.RWF, ValidSeconds: 59}},
		"expiry_passed":     {Name: "x", TemplateID: gift.ID, Voucher: &voucher.Offer{Amount: decimal.NewFromInt(1), Currency: voucher.RWF, ExpiresAt: &past}},
		"two_expiries":      {Name: "x", TemplateID: gift.ID, Voucher: &voucher.Offer{Amount: decimal.NewFromInt(1), Currency: voucher.RWF, ExpiresAt: &past, ValidSeconds: 60}},
	} {
		_, err := b.CreateCampaign(t.Context(), n)
		require.Equal(t, code, domain.CodeOf(err))
		require.Equal(t, domain.Invalid, domain.KindOf(err), code)
	}

	// With an audience it stays a campaign with vouchers; what they are worth may change, and an approval does not hold then.
	id := b.gift(t, week(), rw(1))
	err = b.ChangeCampaign(t.Context(), id, store.CampaignChange{NoVoucher: true})
	require.Equal(t, "has_audience", domain.CodeOf(err))
	more := week()
	more.Amount = decimal.NewFromInt(3000)
	require.NoError(t, b.ChangeCampaign(t.Context(), id, store.CampaignChange{Voucher: more}))
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "3000", p.Voucher.Money().Plain())
	require.NotEqual(t, campaign.Material{Campaign: id, Voucher: week()}.Digest(), campaign.Material{Campaign: id, Voucher: more}.Digest())

	// A draft becomes what it is asked to be.
	plain := b.draft(t)
	require.Equal(t, "no_code", domain.CodeOf(b.ChangeCampaign(t.Context(), plain, store.CampaignChange{Voucher: week()})))
	require.NoError(t, b.ChangeCampaign(t.Context(), plain, store.CampaignChange{Voucher: week(), TemplateID: &gift.ID}))
	require.NoError(t, b.ChangeCampaign(t.Context(), plain, store.CampaignChange{NoVoucher: true}))
	p, err = b.Progress(t.Context(), plain)
	require.NoError(t, err)
	require.Nil(t, p.Voucher)
	f, err := b.CampaignVouchers(t.Context(), plain)
	require.NoError(t, err)
	require.Nil(t, f)
}
