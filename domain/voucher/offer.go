package voucher

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"lastcall/domain"
	"lastcall/domain/template"
)

// Offer is the voucher that each target of a voucher campaign gets: all the same, but for its code. It ends at a time, or
// so long after it was made, which is when its target's turn comes.
type Offer struct {
	Amount       decimal.Decimal `json:"amount"`
	Currency     Currency        `json:"currency"`
	Stations     []uuid.UUID     `json:"stations,omitempty"`   // where it may be redeemed; none: everywhere
	ExpiresAt    *time.Time      `json:"expires_at,omitempty"` // the first moment at which it is worth nothing; or
	ValidSeconds int64           `json:"valid_seconds,omitempty"`
}

// ShortestOffer is how long the vouchers of a campaign are good at least.
const ShortestOffer = time.Minute

// Check says what is wrong with an offer at now: domain.Invalid about "expires_at" or "valid_seconds". What it is worth,
// ParseMoney has checked.
func (o Offer) Check(now time.Time) error {
	valid := o.valid()
	switch {
	case o.ExpiresAt == nil && o.ValidSeconds == 0:
		return domain.E(domain.Invalid, "no_expiry", "say until when the vouchers are good, or for how long").About("expires_at")
	case o.ExpiresAt != nil && o.ValidSeconds != 0:
		return domain.E(domain.Invalid, "two_expiries", "the vouchers are good until a time, or for so long after they are sent: not both").About("valid_seconds")
	case o.ExpiresAt != nil:
		return CheckExpiry(*o.ExpiresAt, now)
	case valid < ShortestOffer || o.ValidSeconds > int64(Longest/time.Second):
		return domain.E(domain.Invalid, "bad_validity", "the vouchers are good for a minute at least and three years at most").About("valid_seconds")
	}
	return nil
}

func (o Offer) valid() time.Duration {
	return time.Duration(min(max(o.ValidSeconds, 0), int64(Longest/time.Second)+1)) * time.Second
}

// Money is what each voucher is worth.
func (o Offer) Money() Money { return Money{o.Amount, o.Currency} }

// Ends is when a voucher that is made at a time is worth nothing any more.
func (o Offer) Ends(made time.Time) time.Time {
	if o.ExpiresAt != nil {
		return *o.ExpiresAt
	}
	return made.Add(o.valid())
}

// Over reports whether a voucher made at a time would be worth nothing.
func (o Offer) Over(made time.Time) bool { return !o.Ends(made).After(made) }

// Form is how a voucher came to its guest.
type Form string

// The forms.
const (
	Carded Form = "card" // with the picture of its card, which has the QR code
	Texted Form = "text" // in words: the template has no picture, or there was none of the card
)

// The variables of a template that a voucher fills.
const (
	VariableCode    = "code"
	VariableAmount  = "amount"
	VariableExpiry  = "expiry"
	VariablePayment = "payment" // how bars are paid, where Finance has set it; else the template's default
)

// Fills reports whether a voucher fills the variable of this name.
func Fills(variable string) bool {
	switch variable {
	case VariableCode, VariableAmount, VariableExpiry, VariablePayment:
		return true
	}
	return false
}

// Asked are the variables that no voucher fills.
func Asked(all []template.Variable) []template.Variable {
	return slices.DeleteFunc(slices.Clone(all), func(v template.Variable) bool { return Fills(v.Name) })
}

// Specimen adds to given what some voucher would say, to see whether a template then has all that it asks for.
func Specimen(given map[string]string) map[string]string {
	filled := maps.Clone(given)
	if filled == nil {
		filled = map[string]string{}
	}
	for _, name := range []string{VariableCode, VariableAmount, VariableExpiry, VariablePayment} {
		filled[name] = "0000-0000"
	}
	return filled
}

// CheckTemplate makes sure that every guest gets to read the code, with or without a picture: domain.Invalid of code
// no_code about "template" when a text does not say it.
func CheckTemplate(t template.Template) error {
	for _, locale := range slices.Sorted(maps.Keys(t.Texts)) {
		names, err := template.Placeholders(t.Texts[locale])
		if err != nil {
			return err
		}
		if !slices.Contains(names, VariableCode) {
			return domain.E(domain.Invalid, "no_code", "template %s does not say the voucher's code in %s: its text must hold {{%s}}", t.Name, locale, VariableCode).
				About("template")
		}
	}
	return nil
}
