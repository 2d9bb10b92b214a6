package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/contact"
	"lastcall/domain/policy"
)

// Question asks whether a message to a number may go out.
type Question struct {
	MSISDN  string     `json:"msisdn" doc:"With + and country code, or as dialled in country"`
	Country string     `json:"country,omitempty" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
	Channel string     `json:"channel,omitempty" enum:"whatsapp" default:"whatsapp"`
	At      *time.Time `json:"at,omitempty" doc:"Absent: now"`
}

// Explanation is the decision of the engine that sends, and what it looked at.
type Explanation struct {
	policy.Decision
	Channel string `json:"channel"`
	Country string `json:"country"`
	Zone    string `json:"zone,omitempty" doc:"Absent: unknown"`
	Locale  string `json:"locale,omitempty"`
}

func (s *server) policy() {
	register(s, huma.Operation{OperationID: "explain-policy", Method: http.MethodPost, Path: "/policy/explain", Tags: []string{"Policy"},
		Summary:     "Explain whether a number may be written to",
		Description: "Nothing is sent and no permit is used. Zone and locale come from the contact with this number, else from its country."},
		func(ctx context.Context, in *struct{ Body Question }) (*struct{ Body Explanation }, error) {
			if err := plausible(in.Body.At, "at"); err != nil {
				return nil, err
			}
			number, err := contact.ParseNumber(in.Body.MSISDN, in.Body.Country)
			if err != nil {
				return nil, err
			}
			sub := policy.Subject{Channel: in.Body.Channel, Country: number.Country, Zone: number.Zone}
			known, err := s.Store.ContactOf(ctx, number.MSISDN)
			if err != nil {
				return nil, err
			}
			if known != nil {
				sub.Locale = known.Locale
				if known.Zone != "" {
					sub.Zone = known.Zone
				}
			}
			if sub.OptedOut, err = s.Store.OptedOut(ctx, number.MSISDN); err != nil {
				return nil, err
			}
			d, err := s.Store.Explain(ctx, sub, in.Body.At)
			return &struct{ Body Explanation }{Explanation{d, sub.Channel, sub.Country, sub.Zone, sub.Locale}}, err
		})
}
