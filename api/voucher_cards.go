package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/contact"
	"lastcall/domain/voucher"
)

// VoucherCards draws the pictures of vouchers.
type VoucherCards interface {
	// Picture returns a card as a PNG; domain.Unavailable when there is none now.
	Picture(ctx context.Context, card voucher.Card) ([]byte, error)
}

// StationKeys are the public halves of the keys that sign vouchers.
type StationKeys struct {
	Keys []StationKey `json:"keys" doc:"Oldest first. A voucher signed with any of them is ours; with another one, not or no longer"`
}

// StationKey is one of them.
type StationKey struct {
	ID        string    `json:"id" example:"9f4c21ab" doc:"The four bytes after the version in a voucher's token, in hexadecimal"`
	PublicKey string    `json:"public_key" doc:"Ed25519, 32 bytes in base 64"`
	SignsFrom time.Time `json:"signs_from" doc:"It verifies before that too"`
}

// CardPreview is a card that somebody wants to see.
type CardPreview struct {
	Amount    string    `json:"amount" maxLength:"30" example:"5000" doc:"Decimal"`
	Currency  string    `json:"currency" maxLength:"3" example:"RWF" doc:"RWF or EUR"`
	ExpiresAt time.Time `json:"expires_at" doc:"The first moment at which it is worth nothing"`
	Locale    string    `json:"locale" maxLength:"35" example:"rw-RW" doc:"Of the words on it"`
	Zone      string    `json:"zone,omitempty" maxLength:"64" example:"Africa/Kigali" doc:"In which the expiry is shown; default the locale's country's, else UTC"`
	Bar       string    `json:"bar,omitempty" maxLength:"400" doc:"Who gives it; default an example"`
	Stations  []string  `json:"stations,omitempty" maxItems:"50" doc:"Where it is redeemed; none: at every station"`
}

// keysFor is how long a station may keep the keys without asking again; a new key waits longer until it signs.
const keysFor = 5 * time.Minute

func (s *server) voucherCards() {
	register(s, access.Everyone, huma.Operation{OperationID: "list-station-keys", Method: http.MethodGet, Path: "/station/keys", Tags: []string{"Vouchers"},
		Summary:     "List the keys that vouchers are verified by",
		Description: "They are public: with them a station tells offline whether a voucher's QR code is ours. They may be kept for five minutes."},
		func(context.Context, *struct{}) (*stationKeysOutput, error) {
			keys, err := s.VoucherKeys()
			if err != nil {
				return nil, err
			}
			out := &stationKeysOutput{CacheControl: fmt.Sprintf("public, max-age=%.0f", keysFor.Seconds())}
			for _, key := range keys.List() {
				out.Body.Keys = append(out.Body.Keys, StationKey{key.ID().String(), base64.StdEncoding.EncodeToString(key.Public()), key.SignsFrom})
			}
			return out, nil
		})
	register(s, access.VouchersRead, huma.Operation{OperationID: "preview-voucher-card", Method: http.MethodPost, Path: "/vouchers/preview", Tags: []string{"Vouchers"},
		Summary: "Preview a voucher's card",
		Description: "A specimen, marked as one: its code and its QR code are worth nothing. Without the edge function that draws cards it is a 503 " +
			"`voucher_card_unavailable` that says why, with the card as `text`, which is what messages say meanwhile.",
		Errors: []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{"200": {Description: "The card", Content: map[string]*huma.MediaType{
			"image/png": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}},
		func(ctx context.Context, in *struct{ Body CardPreview }) (*cardOutput, error) {
			card, err := in.Body.specimen()
			if err != nil {
				return nil, err
			}
			picture, err := s.VoucherCards.Picture(ctx, card)
			if err != nil {
				p := s.problem(ctx, err)
				p.Text = voucher.CardText(card)
				return nil, p
			}
			return &cardOutput{ContentType: "image/png", CacheControl: "no-store", Body: picture}, nil
		})
}

type stationKeysOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         StationKeys
}

type cardOutput struct {
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	Body         []byte
}

// specimen is the card to preview; domain.Invalid about what no card can show. It is signed with a key of its own, which
// nobody knows: no station takes it.
func (p CardPreview) specimen() (voucher.Card, error) {
	if err := plausible(&p.ExpiresAt, "expires_at"); err != nil {
		return voucher.Card{}, err
	}
	amount, err := decimal.NewFromString(p.Amount)
	if err != nil {
		return voucher.Card{}, domain.E(domain.Invalid, "bad_amount", "must be a decimal number such as 5000 or 25.50").About("amount")
	}
	locale, ok := contact.ParseLocale(p.Locale)
	if !ok {
		return voucher.Card{}, domain.E(domain.Invalid, "bad_locale", "not a locale like en-MT or rw-RW").About("locale")
	}
	keys, err := voucher.NewKeys(time.Now(), voucher.NewKey(time.Now()))
	if err != nil {
		return voucher.Card{}, err
	}
	card := voucher.Card{Amount: amount, Currency: p.Currency, Code: "K7QM-42XD", Expires: p.ExpiresAt, Zone: p.Zone, Locale: locale,
		Token: keys.Sign(voucher.Claims{Scope: voucher.TokenAll, Expires: p.ExpiresAt}), Bar: p.Bar, Stations: p.Stations, Specimen: true}
	if card.Bar == "" {
		card.Bar = "Sundowner"
	}
	if card.Zone == "" {
		card.Zone = "UTC"
		if _, country, ok := strings.Cut(locale, "-"); ok && contact.CountryZones()[country] != "" {
			card.Zone = contact.CountryZones()[country]
		}
	}
	return card, card.Check()
}
