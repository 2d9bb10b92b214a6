package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/delivery"
	"lastcall/store"
)

// Consent is one word of a contact about marketing.
type Consent struct {
	At         time.Time `json:"at" doc:"When they said it"`
	Granted    bool      `json:"granted" doc:"Else withdrawn"`
	Source     string    `json:"source" enum:"panel,api,import,join,message,earlier" doc:"How it came to us; earlier: before there was a history"`
	Reference  string    `json:"reference" doc:"What they saw or said, and where"`
	By         string    `json:"by" doc:"Who recorded it"`
	RecordedAt time.Time `json:"recorded_at"`
}

// ConsentPage is one page of what a contact said, the word that holds first.
type ConsentPage struct {
	Consents []Consent `json:"consents"`
	Next     string    `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewConsent is a word to record.
type NewConsent struct {
	Granted   bool       `json:"granted" doc:"false: they withdrew it"`
	Reference string     `json:"reference" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text" doc:"What they saw or said, and where: card at the bar"`
	At        *time.Time `json:"at,omitempty" doc:"When they said it; absent: now"`
}

// ContactMessage is what became of one campaign's message to a contact.
type ContactMessage struct {
	CampaignID  uuid.UUID  `json:"campaign_id" format:"uuid"`
	Campaign    string     `json:"campaign" doc:"Its name"`
	TargetID    int64      `json:"target_id"`
	State       string     `json:"state" enum:"queued,sending,sent,delivered,read,failed,opted_out,unknown,cancelled"`
	Reason      string     `json:"reason,omitempty" doc:"Why not, or why it waits; stable"`
	ErrorCode   int        `json:"error_code,omitempty" doc:"WhatsApp's"`
	Meaning     string     `json:"meaning,omitempty" doc:"The same for people"`
	Attempts    int        `json:"attempts"`
	NotBefore   *time.Time `json:"not_before,omitempty"`
	SentAt      *time.Time `json:"sent_at,omitempty"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
	ReadAt      *time.Time `json:"read_at,omitempty"`
	EndedAt     *time.Time `json:"ended_at,omitempty" doc:"Failed, opted out, unknown, cancelled"`
}

// ContactMessagePage is one page of messages, the youngest campaign first.
type ContactMessagePage struct {
	Messages []ContactMessage `json:"messages"`
	Next     string           `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

func (s *server) contactHistory() {
	tags := []string{"Contacts"}
	register(s, access.ContactsRead, huma.Operation{OperationID: "list-consents", Method: http.MethodGet, Path: "/contacts/{id}/consents", Tags: tags,
		Summary: "List what a contact said about marketing", Description: "The word that holds first: the newest by when it was said."},
		func(ctx context.Context, in *struct {
			ContactPath
			After string `query:"after" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body ConsentPage }, error) {
			if _, err := s.Store.Contact(ctx, in.ID); err != nil {
				return nil, err
			}
			before, err := parseConsentCursor(in.After)
			if err != nil {
				return nil, err
			}
			all, err := s.Store.Consents(ctx, in.ID, before, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, consentCursor)
			page := ConsentPage{Consents: make([]Consent, len(all)), Next: next}
			for i, c := range all {
				page.Consents[i] = Consent{At: c.At, Granted: c.Granted, Source: c.Source, Reference: c.Reference, By: c.Actor, RecordedAt: c.RecordedAt}
			}
			return &struct{ Body ConsentPage }{page}, nil
		})

	register(s, access.ContactsWrite, huma.Operation{OperationID: "record-consent", Method: http.MethodPost, Path: "/contacts/{id}/consents", Tags: tags,
		Summary: "Record what a contact said about marketing", DefaultStatus: http.StatusCreated,
		Description: "That they agreed, or that they withdrew it. It takes nobody off the opt-out registry and puts nobody on it."},
		func(ctx context.Context, in *struct {
			ContactPath
			Body NewConsent
		}) (*contactOutput, error) {
			if err := plausible(in.Body.At, "at"); err != nil {
				return nil, err
			}
			word := store.Consent{Granted: in.Body.Granted, Reference: strings.TrimSpace(in.Body.Reference)}
			if word.Reference == "" {
				return nil, domain.E(domain.Invalid, "no_reference", "say what they saw or said, and where").About("reference")
			}
			if in.Body.At != nil {
				word.At = *in.Body.At
			}
			return answerContact(s.Store.RecordConsent(ctx, in.ID, word))
		})

	register(s, access.ContactsRead, huma.Operation{OperationID: "list-contact-messages", Method: http.MethodGet, Path: "/contacts/{id}/messages", Tags: tags,
		Summary: "List the campaigns' messages to a contact", Description: "The youngest campaign first: what became of each message, when, and why not."},
		func(ctx context.Context, in *struct {
			ContactPath
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body ContactMessagePage }, error) {
			if _, err := s.Store.Contact(ctx, in.ID); err != nil {
				return nil, err
			}
			all, err := s.Store.ContactMessages(ctx, in.ID, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(m store.ContactMessage) string { return m.CampaignID.String() })
			page := ContactMessagePage{Messages: make([]ContactMessage, len(all)), Next: next}
			for i, m := range all {
				page.Messages[i] = ContactMessage{CampaignID: m.CampaignID, Campaign: m.Campaign, TargetID: m.TargetID, State: m.State, Reason: m.Reason,
					ErrorCode: m.ErrorCode, Attempts: m.Attempt, NotBefore: m.NotBefore, SentAt: m.SentAt, DeliveredAt: m.DeliveredAt, ReadAt: m.ReadAt, EndedAt: m.EndedAt}
				if m.Reason != "" {
					page.Messages[i].Meaning = delivery.Diagnose(m.Reason, m.ErrorCode).Meaning
				}
			}
			return &struct{ Body ContactMessagePage }{page}, nil
		})
}

// consentCursor is the place of a word in a contact's history: its time and id.
func consentCursor(c store.Consent) string {
	return strconv.FormatInt(c.At.UnixMicro(), 36) + "." + strconv.FormatInt(c.ID, 36)
}

func parseConsentCursor(cursor string) (c store.Consent, err error) {
	if cursor == "" {
		return c, nil
	}
	at, id, _ := strings.Cut(cursor, ".")
	micros, err := strconv.ParseInt(at, 36, 64)
	if err == nil {
		c.ID, err = strconv.ParseInt(id, 36, 64)
	}
	c.At = time.UnixMicro(micros)
	if year := c.At.UTC().Year(); err != nil || year < 1900 || year > 9999 {
		return c, domain.E(domain.Invalid, "bad_cursor", "pass the next of the page before, unchanged").About("after")
	}
	return c, nil
}
