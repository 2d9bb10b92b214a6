package voucher

import (
	"regexp"
	"strings"

	"github.com/shopspring/decimal"

	"lastcall/domain"
)

// Currency is an ISO 4217 code of a currency that vouchers are in.
type Currency string

// The currencies.
const (
	RWF Currency = "RWF" // whole francs
	EUR Currency = "EUR" // with cents
)

// limits are, of each currency, its decimals and the most that one voucher may be worth.
var limits = map[Currency]struct {
	decimals int32
	most     decimal.Decimal
}{
	RWF: {0, decimal.New(1_000_000, 0)},
	EUR: {2, decimal.New(1_000, 0)},
}

// Money is an amount in its currency: more than nothing, with no more decimals than there are coins.
type Money struct {
	Amount   decimal.Decimal
	Currency Currency
}

var plainAmount = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,4})?$`)

// ParseMoney reads what a voucher is worth: an amount, in digits with a point before its decimals, and a currency, in
// capitals or not. It fails with domain.Invalid about "currency" (unknown_currency) or "amount" (bad_amount, too_precise,
// amount_too_large).
func ParseMoney(amount, currency string) (Money, error) {
	m, err := ParsePayment(amount, currency)
	if most := limits[m.Currency].most; err == nil && m.Amount.GreaterThan(most) {
		err = domain.E(domain.Invalid, "amount_too_large", "a voucher is worth %s %s at most", grouped(most.String(), ",", "."), m.Currency).About("amount")
	}
	if err != nil {
		return Money{}, err
	}
	return m, nil
}

// ParsePayment is ParseMoney for what may be worth more than a voucher.
func ParsePayment(amount, currency string) (Money, error) {
	m := Money{Currency: Currency(strings.ToUpper(strings.TrimSpace(currency)))}
	limit, known := limits[m.Currency]
	if !known {
		return Money{}, domain.E(domain.Invalid, "unknown_currency", "use RWF or EUR").About("currency")
	}
	amount = strings.TrimSpace(amount)
	if !plainAmount.MatchString(amount) {
		return Money{}, domain.E(domain.Invalid, "bad_amount", "use digits, with a point before decimals, like 2000 or 12.50").About("amount")
	}
	m.Amount = decimal.RequireFromString(amount)
	switch {
	case !m.Amount.IsPositive():
		return Money{}, domain.E(domain.Invalid, "bad_amount", "must be more than nothing").About("amount")
	case !m.Amount.Equal(m.Amount.Truncate(limit.decimals)):
		return Money{}, domain.E(domain.Invalid, "too_precise", "%s has %d decimals", m.Currency, limit.decimals).About("amount")
	}
	return m, nil
}

// Plain is the amount in digits with all the decimals of its currency and nothing else: 2000, 12.50.
func (m Money) Plain() string { return m.Amount.StringFixed(limits[m.Currency].decimals) }

// String is the money as people see it: 2,000 RWF, 12.50 EUR.
func (m Money) String() string { return grouped(m.Plain(), ",", ".") + " " + string(m.Currency) }
