package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/contact"
	"lastcall/store"
)

// Contact is a person who may be written to.
type Contact struct {
	ID          uuid.UUID      `json:"id" format:"uuid"`
	Masked      string         `json:"masked" doc:"The number, without the digits that tell whose it is; reveal-contact shows it"`
	MSISDN      contact.MSISDN `json:"msisdn,omitempty" doc:"Only where reveal asked for it"`
	Name        string         `json:"name"`
	Country     string         `json:"country"`
	Locale      string         `json:"locale,omitempty"`
	Zone        string         `json:"zone,omitempty" doc:"IANA; absent: the country's only one"`
	Tags        []string       `json:"tags"`
	OptedInAt   *time.Time     `json:"opted_in_at,omitempty"`
	OptInSource string         `json:"opt_in_source,omitempty"`
	CreatedAt   time.Time      `json:"created_at"`
	UpdatedAt   time.Time      `json:"updated_at"`
}

// NewContact is what a contact is made of.
type NewContact struct {
	MSISDN      string   `json:"msisdn" doc:"With + and country code, or as dialled in country"`
	Country     string   `json:"country,omitempty" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
	Name        string   `json:"name,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text"`
	Locale      string   `json:"locale,omitempty" doc:"BCP 47, like rw-RW"`
	Zone        string   `json:"zone,omitempty" doc:"IANA, like Africa/Kigali; absent: the country's only one"`
	Tags        []string `json:"tags,omitempty" maxItems:"50" minLength:"1" maxLength:"50"`
	OptInSource string   `json:"opt_in_source,omitempty" maxLength:"200" doc:"Where the person agreed to messages, just now"`
}

// ContactNumber is a phone number to look for.
type ContactNumber struct {
	MSISDN  string `json:"msisdn" maxLength:"100" doc:"With + and country code, or as dialled in country"`
	Country string `json:"country,omitempty" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
}

// OptIn is where a person agreed to marketing.
type OptIn struct {
	Source string `json:"source" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text" doc:"Where the person agreed to messages"`
}

// ContactPage is one page of contacts, by number.
type ContactPage struct {
	Contacts []Contact `json:"contacts"`
	Next     string    `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

func (s *server) contacts() {
	tags := []string{"Contacts"}
	register(s, access.ContactsRead, huma.Operation{OperationID: "list-contacts", Method: http.MethodGet, Path: "/contacts", Tags: tags,
		Summary: "List contacts"},
		func(ctx context.Context, in *struct {
			Country string    `query:"country" pattern:"^[A-Z]{2}$" patternDescription:"ISO 3166-1 alpha-2" doc:"Only those of this country"`
			Tag     string    `query:"tag" maxLength:"50" doc:"Only those with this tag"`
			After   uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Reveal
			Limit
		}) (*struct{ Body ContactPage }, error) {
			var after contact.MSISDN // the order is by number, the cursor an id: addresses hold no numbers
			if in.After != uuid.Nil {
				last, err := s.Store.Contact(ctx, in.After)
				if err != nil {
					return nil, err
				}
				after = last.MSISDN
			}
			all, err := s.Store.Contacts(ctx, store.ContactFilter{Country: in.Country, Tag: in.Tag}, after, in.fetch())
			if err == nil {
				err = s.revealing(ctx, &in.Reveal, "contacts", len(all))
			}
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(c store.Contact) string { return c.ID.String() })
			page := ContactPage{Contacts: make([]Contact, len(all)), Next: next}
			for i, c := range all {
				page.Contacts[i] = contactOf(c)
				if in.Wanted {
					page.Contacts[i].MSISDN = c.MSISDN
				}
			}
			return &struct{ Body ContactPage }{page}, nil
		})

	register(s, access.ContactsWrite, huma.Operation{OperationID: "add-contact", Method: http.MethodPost, Path: "/contacts", Tags: tags,
		Summary: "Add a contact", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body NewContact }) (*struct{ Body Contact }, error) {
			c, err := in.Body.check()
			if err != nil {
				return nil, err
			}
			c, err = s.Store.AddContact(ctx, c)
			return &struct{ Body Contact }{contactOf(c)}, err
		})

	register(s, access.ContactsRead, huma.Operation{OperationID: "contact-facets", Method: http.MethodGet, Path: "/contacts/facets", Tags: tags,
		Summary: "Count contacts by tag, bar, country and locale", Description: "What an audience can be chosen by: of each kind the 500 most frequent values."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body store.Facets }, error) {
			facets, err := s.Store.Facets(ctx)
			return &struct{ Body store.Facets }{facets}, err
		})

	register(s, access.ContactsRead, huma.Operation{OperationID: "find-contact", Method: http.MethodPost, Path: "/contacts/find", Tags: tags,
		Summary: "Find the contact with a number", Description: "A POST, because addresses hold no numbers. It changes nothing."},
		func(ctx context.Context, in *struct{ Body ContactNumber }) (*struct{ Body Contact }, error) {
			number, err := contact.ParseNumber(in.Body.MSISDN, in.Body.Country)
			if err != nil {
				return nil, err
			}
			c, err := s.Store.ContactOf(ctx, number.MSISDN)
			if err == nil && c == nil {
				err = domain.E(domain.NotFound, "contact_not_found", "no contact has this number")
			}
			if err != nil {
				return nil, err
			}
			return &struct{ Body Contact }{contactOf(*c)}, nil
		})

	register(s, access.ContactsReveal, huma.Operation{OperationID: "reveal-contact", Method: http.MethodPost, Path: "/contacts/{id}/reveal", Tags: tags,
		Summary: "See a contact's number", Description: "That it was seen is in the audit log."},
		func(ctx context.Context, in *struct {
			ID uuid.UUID `path:"id" format:"uuid"`
		}) (*struct{ Body Revealed }, error) {
			c, err := s.Store.Contact(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return s.reveal(ctx, c.MSISDN, "contact/"+in.ID.String())
		})

	register(s, access.ContactsWrite, huma.Operation{OperationID: "opt-in-contact", Method: http.MethodPut, Path: "/contacts/{id}/opt-in", Tags: tags,
		Summary: "Record that a contact agreed to marketing, just now", Description: "Takes nobody off the list of those who opted out."},
		func(ctx context.Context, in *struct {
			ID   uuid.UUID `path:"id" format:"uuid"`
			Body OptIn
		}) (*struct{ Body Contact }, error) {
			c, err := s.Store.RecordOptIn(ctx, in.ID, in.Body.Source)
			return &struct{ Body Contact }{contactOf(c)}, err
		})
	register(s, access.ContactsRead, huma.Operation{OperationID: "get-contact", Method: http.MethodGet, Path: "/contacts/{id}", Tags: tags,
		Summary: "Get a contact"},
		func(ctx context.Context, in *struct {
			ID uuid.UUID `path:"id" format:"uuid"`
		}) (*struct{ Body Contact }, error) {
			c, err := s.Store.Contact(ctx, in.ID)
			return &struct{ Body Contact }{contactOf(c)}, err
		})
}

// check makes a contact of what was given, or says everything that is wrong with it.
func (n NewContact) check() (store.Contact, error) {
	var problems []error
	number, err := contact.ParseNumber(n.MSISDN, n.Country)
	problems = append(problems, err)
	if n.Country != "" && !contact.ValidCountry(n.Country) {
		problems = append(problems, domain.E(domain.Invalid, "unknown_country", "use ISO 3166-1 alpha-2 in capitals, like RW").About("country"))
	}
	c := store.Contact{MSISDN: number.MSISDN, Name: n.Name, Country: number.Country, Zone: n.Zone, Tags: append([]string{}, n.Tags...),
		OptInSource: n.OptInSource}
	if n.Locale != "" {
		canonical, ok := contact.ParseLocale(n.Locale)
		if c.Locale = canonical; !ok {
			problems = append(problems, domain.E(domain.Invalid, "bad_locale", "use BCP 47, like rw-RW or en-MT").About("locale"))
		}
	}
	if n.Zone != "" && !contact.ValidZone(n.Zone) {
		problems = append(problems, domain.E(domain.Invalid, "unknown_zone", "use an IANA time zone, like Africa/Kigali").About("zone"))
	}
	if n.OptInSource != "" {
		now := time.Now()
		c.OptedInAt = &now
	}
	return c, errors.Join(problems...)
}

func contactOf(c store.Contact) Contact {
	return Contact{ID: c.ID, Masked: c.MSISDN.Masked(), Name: c.Name, Country: c.Country, Locale: c.Locale, Zone: c.Zone,
		Tags: append([]string{}, c.Tags...), OptedInAt: c.OptedInAt, OptInSource: c.OptInSource, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}
