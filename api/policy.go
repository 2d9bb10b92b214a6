package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
)

// Question asks whether a message to a number may go out.
type Question struct {
	MSISDN  string     `json:"msisdn" doc:"With + and country code, or as dialled in country"`
	Country string     `json:"country,omitempty" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
	Channel string     `json:"channel,omitempty" enum:"whatsapp" default:"whatsapp"`
	Kind    string     `json:"kind,omitempty" enum:"marketing,utility" default:"marketing" doc:"Of the message: marketing needs consent and has a frequency cap"`
	Locale  string     `json:"locale,omitempty" doc:"Of the recipient, BCP 47; absent: the contact's"`
	At      *time.Time `json:"at,omitempty" doc:"Absent: now"`
}

// Explanation is the decision of the engine that sends, and what it looked at.
type Explanation struct {
	policy.Decision
	Channel   string     `json:"channel"`
	Kind      string     `json:"kind" enum:"marketing,utility"`
	Country   string     `json:"country"`
	Zone      string     `json:"zone,omitempty" doc:"Absent: unknown"`
	Locale    string     `json:"locale,omitempty"`
	OptedInAt *time.Time `json:"opted_in_at,omitempty" doc:"Absent: no consent is recorded"`
}

func (s *server) policy() {
	register(s, access.ContactsRead, huma.Operation{OperationID: "explain-policy", Method: http.MethodPost, Path: "/policy/explain", Tags: []string{"Policy"},
		Summary:     "Explain whether a number may be written to",
		Description: "Nothing is sent and no permit is used. Zone, locale and consent come from the contact with this number, the zone else from its country."},
		func(ctx context.Context, in *struct{ Body Question }) (*struct{ Body Explanation }, error) {
			if err := plausible(in.Body.At, "at"); err != nil {
				return nil, err
			}
			number, err := contact.ParseNumber(in.Body.MSISDN, in.Body.Country)
			if err != nil {
				return nil, err
			}
			sub := policy.Subject{Channel: in.Body.Channel, Country: number.Country, Zone: number.Zone, Marketing: in.Body.Kind == "marketing"}
			if in.Body.Locale != "" {
				var ok bool
				if sub.Locale, ok = contact.ParseLocale(in.Body.Locale); !ok {
					return nil, domain.E(domain.Invalid, "bad_locale", "use BCP 47, like rw-RW or en-MT").About("locale")
				}
			}
			out := Explanation{Channel: sub.Channel, Kind: in.Body.Kind, Country: sub.Country}
			known, err := s.Store.ContactOf(ctx, number.MSISDN)
			if err != nil {
				return nil, err
			}
			if known != nil {
				sub.Locale = cmp.Or(sub.Locale, known.Locale)
				sub.Zone = cmp.Or(known.Zone, sub.Zone)
				sub.OptedIn, out.OptedInAt = known.OptedInAt != nil, known.OptedInAt
			}
			out.Zone, out.Locale = sub.Zone, sub.Locale
			out.Decision, err = s.Store.Explain(ctx, number.MSISDN, sub, in.Body.At)
			return &struct{ Body Explanation }{out}, err
		})
}
