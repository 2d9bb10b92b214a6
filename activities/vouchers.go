package activities

import (
	"cmp"
	"context"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"lastcall/domain/contact"
	"lastcall/domain/payment"
	"lastcall/domain/voucher"
	"lastcall/gateway/vouchercard"
	"lastcall/store"
)

// cardLives is how long the provider can fetch a card. It does so as it takes the message; who has the link sees the card.
const cardLives = 24 * time.Hour

// voucherOver is why a target fails whose voucher was worth nothing when its turn came.
const voucherOver = "voucher_over"

// offered is what the vouchers of a batch have in common.
type offered struct {
	voucher.Offer
	place store.OfferPlace
	from  string // who gives it
	terms payment.Terms
}

// offer is what a campaign's vouchers have in common.
func (b *dispatchBatch) offer(ctx context.Context, c store.Campaign) (*offered, error) {
	return b.offered(ctx, *c.Voucher, c.Name)
}

// offerOf is the same for one voucher, whose message is sent by itself.
func (b *dispatchBatch) offerOf(ctx context.Context, id uuid.UUID) (*offered, *store.ClaimedVoucher, error) {
	v, err := b.Store.Voucher(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	giver := "Lastcall"
	if v.CampaignID != nil {
		c, err := b.Store.Campaign(ctx, *v.CampaignID)
		if err != nil {
			return nil, nil, err
		}
		giver = c.Name
	}
	o, err := b.offered(ctx, voucher.Offer{Amount: v.Money.Amount, Currency: v.Money.Currency, Stations: v.Stations, ExpiresAt: &v.ExpiresAt}, giver)
	return o, &store.ClaimedVoucher{ID: v.ID, Code: v.Code, Status: v.Status, ExpiresAt: v.ExpiresAt}, err
}

// offered is an offer with what its cards say; giver is who gives it where it is no one bar's.
func (b *dispatchBatch) offered(ctx context.Context, offer voucher.Offer, giver string) (*offered, error) {
	o := &offered{Offer: offer}
	place, err := b.Store.OfferPlace(ctx, o.Stations)
	if err != nil {
		return nil, err
	}
	inForce, _, err := b.Store.Payments(ctx)
	if err != nil {
		return nil, err
	}
	if inForce != nil {
		o.terms = inForce.Value
	}
	o.place, o.from = place, voucher.CardName(cmp.Or(place.Bar, giver))
	return o, nil
}

// redeemable reports whether a voucher is worth sending at a time of the database.
func redeemable(v *store.ClaimedVoucher, at time.Time) bool {
	return v != nil && v.Status.Live() && v.ExpiresAt.After(at)
}

// card is what a target's card shows; its token is not signed yet.
func (o *offered) card(t store.ClaimedTarget, locale string) voucher.Card {
	card := voucher.Card{Amount: o.Amount, Currency: string(o.Currency), Code: t.Voucher.Code.String(), Expires: t.Voucher.ExpiresAt,
		Zone: cmp.Or(t.Zone, contact.CountryZones()[t.Country], "UTC"), Locale: locale, Bar: o.from, Stations: voucher.CardStations(o.place.Stations),
		Payment: o.terms.Line(t.Country, string(o.Currency))}
	if !contact.ValidZone(card.Zone) {
		card.Zone = "UTC"
	}
	return card
}

// fill adds what a voucher says to what its template leaves open. Nobody else's values for these count.
func (o *offered) fill(given map[string]string, card voucher.Card) map[string]string {
	given = maps.Clone(given)
	if given == nil {
		given = map[string]string{}
	}
	words := card.Words()
	given[voucher.VariableCode], given[voucher.VariableAmount], given[voucher.VariableExpiry] = card.Code, words.Money, words.Expires
	given[voucher.VariablePayment] = card.Payment // "": the template's default
	return given
}

// cardLink is where the provider finds the card of a target's voucher, "" when the voucher goes in words: its template has
// no picture, or nobody draws cards just now. It takes half of the time at most that the target's permit leaves.
func (b *dispatchBatch) cardLink(ctx context.Context, c *chunk, t store.ClaimedTarget, card voucher.Card) string {
	if b.template.HeaderMedia == "" || b.Cards == nil || !b.cards.open(time.Now()) {
		return ""
	}
	keys, err := b.VoucherKeys()
	if err == nil {
		card.Token = keys.Sign(voucher.ClaimsOf(t.Voucher.ID, b.vouchers.Stations, t.Voucher.ExpiresAt))
		var link vouchercard.Link
		ctx, cancel := context.WithTimeout(ctx, time.Until(c.claim.Deadline)/2)
		defer cancel()
		if link, err = b.Cards.Link(ctx, card, cardLives); err == nil {
			b.cards.drawn()
			return link.URL
		}
	}
	if b.cards.missed(time.Now()) {
		b.Log.Warn("vouchers go in words: their cards are not drawn", "campaign", b.lane.Campaign, "error", err)
	}
	return ""
}

// cardLine is what all lanes of this worker know of the function that draws cards: after a few misses in a row nobody waits
// for it, until a while later one tries again. A permit lasts half a second, so what is slow is as good as gone. Its zero
// value is ready.
type cardLine struct {
	mu     sync.Mutex
	misses int       // in a row
	until  time.Time // nobody asks before then
}

const (
	missesToClose = 3
	cardsClosed   = 15 * time.Second
)

// open says whether to ask for a card now. The first that asks after a while tries for all.
func (l *cardLine) open(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.misses < missesToClose {
		return true
	}
	if now.Before(l.until) {
		return false
	}
	l.until = now.Add(cardsClosed)
	return true
}

func (l *cardLine) drawn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.misses = 0
}

// missed notes that there was no card, and says whether it is the miss with which nobody asks any more.
func (l *cardLine) missed(now time.Time) (closes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.misses, l.until = l.misses+1, now.Add(cardsClosed)
	return l.misses == missesToClose
}
