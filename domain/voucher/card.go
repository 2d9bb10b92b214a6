package voucher

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// Card is what a voucher's card shows, as a picture or, when there is none, as text.
type Card struct {
	Amount   decimal.Decimal
	Currency string    // RWF or EUR
	Code     string    // the short code as people read it: K7QM-42XD
	Token    string    // what the QR code says
	Expires  time.Time // the first moment at which it is worth nothing
	Zone     string    // IANA; Expires is shown in it
	Locale   string    // of the words; one of the template's
	Bar      string    // who gives it
	Stations []string  // where it is redeemed; none: at every station of the bar
	Payment  string    // how one pays there, in one line; "" for nothing
	Specimen bool      // worth nothing, and says so
}

// The most that a card has room for.
const (
	maxCardName     = 100 // characters of a bar's or station's name
	maxCardStations = 50
	maxCardAmount   = 12 // digits
	maxCardPayment  = 300
)

// cardDecimals are the currencies, each with the digits after its point.
var cardDecimals = map[string]int32{"RWF": 0, "EUR": 2}

// Check says what no card can show: domain.Invalid about the field.
func (c Card) Check() error {
	wrong := func(field, code, message string, args ...any) error {
		return domain.E(domain.Invalid, code, message, args...).About(field)
	}
	decimals, known := cardDecimals[c.Currency]
	switch {
	case !known:
		return wrong("currency", "unknown_currency", "use RWF or EUR")
	case c.Amount.Sign() <= 0:
		return wrong("amount", "bad_amount", "must be more than 0")
	case c.Amount.NumDigits()+int(c.Amount.Exponent()) > maxCardAmount || c.Amount.Exponent() < -maxCardAmount:
		return wrong("amount", "bad_amount", "has more digits than a card has room for")
	case c.Amount.Exponent() < -decimals && !c.Amount.Equal(c.Amount.Truncate(decimals)):
		return wrong("amount", "bad_amount", "%s has %d digits after the point", c.Currency, decimals)
	case c.Code == "" || len(c.Code) > 16:
		return wrong("code", "bad_code", "must have 1 to 16 characters")
	case c.Token == "":
		return wrong("token", "no_token", "must not be empty")
	case c.Expires.IsZero():
		return wrong("expires_at", "no_expiry", "must not be empty")
	case !contact.ValidZone(c.Zone):
		return wrong("zone", "bad_zone", "must be a time zone such as Africa/Kigali")
	case !contact.ValidLocale(c.Locale):
		return wrong("locale", "bad_locale", "not a locale like en-MT or rw-RW")
	case !isCardName(c.Bar):
		return wrong("bar", "bad_name", "must be one line of 1 to %d characters", maxCardName)
	case utf8.RuneCountInString(c.Payment) > maxCardPayment || strings.ContainsFunc(c.Payment, unicode.IsControl):
		return wrong("payment", "bad_payment", "must be one line of at most %d characters", maxCardPayment)
	case len(c.Stations) > maxCardStations:
		return wrong("stations", "too_many", "at most %d stations", maxCardStations)
	}
	for _, name := range c.Stations {
		if !isCardName(name) {
			return wrong("stations", "bad_name", "each must be one line of 1 to %d characters", maxCardName)
		}
	}
	return nil
}

// CardName is as much of a name as a card has room for.
func CardName(name string) string {
	if letters := []rune(name); len(letters) > maxCardName {
		return string(letters[:maxCardName-1]) + "…"
	}
	return name
}

// CardStations are as many stations as a card has room for; an ellipsis stands for the others.
func CardStations(names []string) []string {
	fit := make([]string, min(len(names), maxCardStations))
	for i := range fit {
		fit[i] = CardName(names[i])
	}
	if len(names) > maxCardStations {
		fit[maxCardStations-1] = "…"
	}
	return fit
}

func isCardName(s string) bool {
	return strings.TrimSpace(s) != "" && utf8.RuneCountInString(s) <= maxCardName && !strings.ContainsFunc(s, unicode.IsControl)
}

// CardWords are the texts of a card, in its language.
type CardWords struct {
	Title   string // Voucher
	Amount  string // 5,000
	Money   string // RWF 5,000
	Code    string // the label of the code
	Until   string // the label of Expires
	Expires string // 30 November 2026, 18:00 CAT
	Where   string // the label of Place
	Place   string // the stations, or "every station" in its language
}

// Words are the card's texts. A language without texts of its own gets English, as templates do; months, too, are
// words, and a zone is told by the abbreviation that is used there, else by its distance from UTC.
func (c Card) Words() CardWords {
	lang, _, _ := strings.Cut(c.Locale, "-")
	l, ok := cardLanguages[lang]
	if !ok {
		lang, l = "en", cardLanguages["en"]
	}
	w := CardWords{Title: l.title, Code: l.code, Until: l.until, Where: l.where, Place: strings.Join(c.Stations, ", ")}
	if len(c.Stations) == 0 {
		w.Place = l.everywhere
	}
	w.Amount = grouped(c.Amount.StringFixed(cardDecimals[c.Currency]), l.group, l.point)
	w.Money = c.Currency + noBreak + w.Amount
	if lang == "fr" {
		w.Money = w.Amount + noBreak + c.Currency
	}
	zone, err := contact.LoadZone(c.Zone)
	if err != nil {
		zone = time.UTC
	}
	at := c.Expires.In(zone)
	w.Expires = at.Format("2 ") + l.of + l.months[at.Month()-1] + at.Format(" 2006, 15:04 ") + zoneName(at)
	return w
}

// CardText says in one line what the picture would show: what a message says while there are no pictures. It has no line
// breaks, because WhatsApp refuses values with any.
func CardText(c Card) string {
	w := c.Words()
	parts := []string{w.Title + ": " + w.Money, w.Code + ": " + c.Code, w.Until + ": " + w.Expires, w.Where + ": " + c.Bar + ", " + w.Place}
	if c.Payment != "" {
		parts = append(parts, c.Payment)
	}
	return strings.Join(parts, " · ")
}

const noBreak = "\u00a0"

type cardLanguage struct {
	title, code, until, where, everywhere string
	of                                    string // between day and month
	group, point                          string // in numbers
	months                                [12]string
}

var cardLanguages = map[string]cardLanguage{
	"en": {"Voucher", "Code", "Valid until", "Where", "every station", "", ",", ".", [12]string{"January", "February", "March", "April",
		"May", "June", "July", "August", "September", "October", "November", "December"}},
	"rw": {"Vocha", "Kode", "Izarangira", "Aho ikoreshwa", "ahantu hose", "", ",", ".", [12]string{"Mutarama", "Gashyantare", "Werurwe", "Mata",
		"Gicurasi", "Kamena", "Nyakanga", "Kanama", "Nzeri", "Ukwakira", "Ugushyingo", "Ukuboza"}},
	"fr": {"Bon", "Code", "Valable jusqu’au", "Où", "tous les points de vente", "", noBreak, ",", [12]string{"janvier", "février", "mars", "avril",
		"mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"}},
	"mt": {"Vawċer", "Kodiċi", "Validu sa", "Fejn", "kull post", "ta’ ", ",", ".", [12]string{"Jannar", "Frar", "Marzu", "April",
		"Mejju", "Ġunju", "Lulju", "Awwissu", "Settembru", "Ottubru", "Novembru", "Diċembru"}},
}

// grouped puts group between each three digits before the point.
func grouped(number, group, point string) string {
	whole, fraction, hasPoint := strings.Cut(number, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + group + whole[i:]
	}
	if hasPoint {
		whole += point + fraction
	}
	return whole
}

// zoneName is CAT or CET; UTC+3 where nobody has a name for it.
func zoneName(at time.Time) string {
	name, seconds := at.Zone()
	if name != "" && name[0] != '+' && name[0] != '-' {
		return name
	}
	sign, minutes := "+", seconds/60
	if minutes < 0 {
		sign, minutes = "−", -minutes
	}
	if minutes%60 == 0 {
		return "UTC" + sign + time.Time{}.Add(time.Duration(minutes)*time.Minute).Format("15")
	}
	return "UTC" + sign + time.Time{}.Add(time.Duration(minutes)*time.Minute).Format("15:04")
}
