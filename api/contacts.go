package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
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
	Bar         *BarName       `json:"bar,omitempty"`
	OptedInAt   *time.Time     `json:"opted_in_at,omitempty" doc:"When they last agreed to marketing; absent: never, or withdrawn since"`
	OptInSource string         `json:"opt_in_source,omitempty"`
	OptedOut    bool           `json:"opted_out" doc:"In the opt-out registry: nothing is sent, whatever they agreed to"`
	CreatedAt   time.Time      `json:"created_at"`
	UpdatedAt   time.Time      `json:"updated_at"`
	Revision    string         `json:"revision" doc:"Its ETag, without the quotes"`
}

// BarName is a bar as people know it.
type BarName struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

// contactOutput answers with a contact, and the ETag by which its next writer can say what they knew.
type contactOutput struct {
	ETag string `header:"ETag"`
	Body Contact
}

func answerContact(c store.Contact, err error) (*contactOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &contactOutput{Body: contactOf(c)}
	out.ETag = strconv.Quote(out.Body.Revision)
	return out, nil
}

// ContactPath is the part of an address that names a contact.
type ContactPath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

// ContactChoice says which contacts. What is left out does not matter; all that is given must hold.
type ContactChoice struct {
	Country  string `query:"country" json:"country,omitempty" pattern:"^[A-Z]{2}$" patternDescription:"ISO 3166-1 alpha-2" doc:"Only those of this country"`
	Tag      string `query:"tag" json:"tag,omitempty" maxLength:"50" doc:"Only those with this tag"`
	Bar      string `query:"bar" json:"bar,omitempty" maxLength:"100" doc:"Only those of this bar: its code"`
	Locale   string `query:"locale" json:"locale,omitempty" maxLength:"35" doc:"Only those with this language: BCP 47"`
	Consent  string `query:"consent" json:"consent,omitempty" enum:"agreed,withdrawn,none" doc:"Only those who agreed to marketing, withdrew it, or never said anything"`
	OptedOut string `query:"opted_out" json:"opted_out,omitempty" enum:"yes,no" doc:"Only those in the opt-out registry, or not in it"`
}

func (f ContactChoice) filter() store.ContactFilter {
	out := store.ContactFilter{Country: f.Country, Tag: f.Tag, Bar: f.Bar, Locale: f.Locale, Consent: f.Consent}
	if f.OptedOut != "" {
		yes := f.OptedOut == "yes"
		out.OptedOut = &yes
	}
	return out
}

// ContactSearch looks for contacts by name or number, which stand in no address, and as a filter does.
type ContactSearch struct {
	ContactChoice
	Name      string    `json:"name,omitempty" maxLength:"200" doc:"It begins like this, whatever the case"`
	MSISDN    string    `json:"msisdn,omitempty" maxLength:"100" doc:"The whole number, with + and country code, or as dialled in dialled_in"`
	DialledIn string    `json:"dialled_in,omitempty" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
	After     uuid.UUID `json:"after,omitempty" format:"uuid" doc:"The next of the page before"`
	Limit     int       `json:"limit,omitempty" minimum:"1" default:"100" doc:"At most this many; never more than 500"`
}

// ContactChange is what becomes different of a contact. What is left out stays as it is.
type ContactChange struct {
	Name   *string   `json:"name,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text"`
	Locale *string   `json:"locale,omitempty" doc:"BCP 47, like rw-RW; empty for none"`
	Zone   *string   `json:"zone,omitempty" doc:"IANA, like Africa/Kigali; empty: the country's only one"`
	Tags   *[]string `json:"tags,omitempty" nullable:"false" maxItems:"50" minLength:"1" maxLength:"50" doc:"All of them"`
	Bar    *string   `json:"bar,omitempty" maxLength:"100" doc:"Its code; empty for none"`
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
			ContactChoice
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Reveal
			Limit
		}) (*struct{ Body ContactPage }, error) {
			return s.contactPage(ctx, in.filter(), in.After, in.Limit, in.Reveal)
		})

	register(s, access.ContactsRead, huma.Operation{OperationID: "search-contacts", Method: http.MethodPost, Path: "/contacts/search", Tags: tags,
		Summary: "Search contacts by name or number", Description: "A POST, because addresses hold neither. It changes nothing."},
		func(ctx context.Context, in *struct{ Body ContactSearch }) (*struct{ Body ContactPage }, error) {
			f := in.Body.filter()
			f.Name = strings.TrimSpace(in.Body.Name)
			if in.Body.MSISDN != "" {
				number, err := contact.ParseNumber(in.Body.MSISDN, in.Body.DialledIn)
				if err != nil {
					return nil, err
				}
				f.MSISDN = number.MSISDN
			}
			return s.contactPage(ctx, f, in.Body.After, Limit{in.Body.Limit}, Reveal{})
		})

	register(s, access.ContactsWrite, huma.Operation{OperationID: "add-contact", Method: http.MethodPost, Path: "/contacts", Tags: tags,
		Summary: "Add a contact", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body NewContact }) (*contactOutput, error) {
			c, err := in.Body.check()
			if err != nil {
				return nil, err
			}
			return answerContact(s.Store.AddContact(ctx, c))
		})

	register(s, access.ContactsRead, huma.Operation{OperationID: "contact-facets", Method: http.MethodGet, Path: "/contacts/facets", Tags: tags,
		Summary: "Count contacts by tag, bar, country and locale", Description: "What an audience can be chosen by: of each kind the 500 most frequent values."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body store.Facets }, error) {
			facets, err := s.Store.Facets(ctx)
			return &struct{ Body store.Facets }{facets}, err
		})

	register(s, access.ContactsRead, huma.Operation{OperationID: "find-contact", Method: http.MethodPost, Path: "/contacts/find", Tags: tags,
		Summary: "Find the contact with a number", Description: "A POST, because addresses hold no numbers. It changes nothing."},
		func(ctx context.Context, in *struct{ Body ContactNumber }) (*contactOutput, error) {
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
			return answerContact(*c, nil)
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
			ContactPath
			Body OptIn
		}) (*contactOutput, error) {
			return answerContact(s.Store.RecordOptIn(ctx, in.ID, in.Body.Source))
		})
	register(s, access.ContactsRead, huma.Operation{OperationID: "get-contact", Method: http.MethodGet, Path: "/contacts/{id}", Tags: tags,
		Summary: "Get a contact", Description: "Its ETag is for the If-Match of who changes it."},
		func(ctx context.Context, in *ContactPath) (*contactOutput, error) {
			return answerContact(s.Store.Contact(ctx, in.ID))
		})

	register(s, access.ContactsWrite, huma.Operation{OperationID: "change-contact", Method: http.MethodPatch, Path: "/contacts/{id}", Tags: tags,
		Summary: "Change a contact", Description: "Its number stays: another number is another contact. With If-Match it fails as `contact_changed`, " +
			"status 412, when the contact is not any more what its caller knew."},
		func(ctx context.Context, in *struct {
			ContactPath
			Match string `header:"If-Match" doc:"The ETag of the contact that is to be changed; absent: however it is"`
			Body  ContactChange
		}) (*contactOutput, error) {
			change, err := in.Body.check()
			if err != nil {
				return nil, err
			}
			if in.Match != "" && in.Match != "*" {
				micros, err := strconv.ParseInt(strings.Trim(in.Match, `"`), 36, 64)
				if err != nil {
					return nil, domain.E(domain.Invalid, "bad_etag", "pass the contact's ETag, unchanged").About("If-Match")
				}
				change.Known = new(time.UnixMicro(micros))
			}
			return answerContact(s.Store.ChangeContact(ctx, in.ID, change))
		})
}

// contactPage is a page of contacts. Their order is by number, the cursor an id: addresses hold no numbers.
func (s *server) contactPage(ctx context.Context, f store.ContactFilter, cursor uuid.UUID, limit Limit, reveal Reveal) (*struct{ Body ContactPage }, error) {
	var after contact.MSISDN
	if cursor != uuid.Nil {
		last, err := s.Store.Contact(ctx, cursor)
		if err != nil {
			return nil, err
		}
		after = last.MSISDN
	}
	all, err := s.Store.Contacts(ctx, f, after, limit.fetch())
	if err == nil {
		err = s.revealing(ctx, &reveal, "contacts", len(all))
	}
	if err != nil {
		return nil, err
	}
	all, next := cut(all, limit, func(c store.Contact) string { return c.ID.String() })
	page := ContactPage{Contacts: make([]Contact, len(all)), Next: next}
	for i, c := range all {
		page.Contacts[i] = contactOf(c)
		if reveal.Wanted {
			page.Contacts[i].MSISDN = c.MSISDN
		}
	}
	return &struct{ Body ContactPage }{page}, nil
}

// check makes a change of what was given, or says everything that is wrong with it.
func (c ContactChange) check() (store.ContactChange, error) {
	var problems []error
	if c.Locale != nil && *c.Locale != "" {
		canonical, ok := contact.ParseLocale(*c.Locale)
		if c.Locale = &canonical; !ok {
			problems = append(problems, badLocale())
		}
	}
	if c.Zone != nil && *c.Zone != "" && !contact.ValidZone(*c.Zone) {
		problems = append(problems, unknownZone())
	}
	return store.ContactChange{Name: c.Name, Locale: c.Locale, Zone: c.Zone, Tags: c.Tags, Bar: c.Bar}, errors.Join(problems...)
}

func badLocale() error {
	return domain.E(domain.Invalid, "bad_locale", "use BCP 47, like rw-RW or en-MT").About("locale")
}

func unknownZone() error {
	return domain.E(domain.Invalid, "unknown_zone", "use an IANA time zone, like Africa/Kigali").About("zone")
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
			problems = append(problems, badLocale())
		}
	}
	if n.Zone != "" && !contact.ValidZone(n.Zone) {
		problems = append(problems, unknownZone())
	}
	if n.OptInSource != "" {
		now := time.Now()
		c.OptedInAt = &now
	}
	return c, errors.Join(problems...)
}

func contactOf(c store.Contact) Contact {
	out := Contact{ID: c.ID, Masked: c.MSISDN.Masked(), Name: c.Name, Country: c.Country, Locale: c.Locale, Zone: c.Zone,
		Tags: append([]string{}, c.Tags...), OptedInAt: c.OptedInAt, OptInSource: c.OptInSource, OptedOut: c.OptedOut,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, Revision: strconv.FormatInt(c.UpdatedAt.UnixMicro(), 36)}
	if c.BarCode != "" {
		out.Bar = &BarName{c.BarCode, c.BarName}
	}
	return out
}
