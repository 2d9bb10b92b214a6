package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
	"lastcall/store"
	"lastcall/workflows"
)

// NewSend is a message to one person. Nothing in it lets it go where the policy does not.
type NewSend struct {
	ContactID   *uuid.UUID        `json:"contact_id,omitempty" format:"uuid" doc:"To this contact; else give msisdn"`
	MSISDN      string            `json:"msisdn,omitempty" doc:"To this number, with + and country code, or as dialled in country"`
	Country     string            `json:"country,omitempty" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
	Template    string            `json:"template" minLength:"1" maxLength:"512" doc:"A name, for its newest version that may be sent, or a version's id"`
	Variables   map[string]string `json:"variables,omitempty"`
	Locale      string            `json:"locale,omitempty" doc:"Of the text, BCP 47; absent: the contact's"`
	WhenAllowed bool              `json:"when_allowed,omitempty" doc:"Blocked, it waits until the rules let it go; else it fails at once"`
}

// Send is a message to one person, and what became of it.
type Send struct {
	SendID          uuid.UUID            `json:"send_id" format:"uuid"`
	MSISDN          string               `json:"msisdn" doc:"Masked"`
	ContactID       *uuid.UUID           `json:"contact_id,omitempty" format:"uuid" doc:"Absent: the number is no contact's"`
	Contact         string               `json:"contact,omitempty" doc:"Their name"`
	Country         string               `json:"country"`
	Zone            string               `json:"zone,omitempty" doc:"By which quiet hours are reckoned; absent: unknown"`
	Locale          string               `json:"locale,omitempty"`
	Template        string               `json:"template"`
	TemplateVersion int                  `json:"template_version"`
	Kind            string               `json:"kind" enum:"marketing,utility"`
	WhenAllowed     bool                 `json:"when_allowed" doc:"Blocked, it waits"`
	State           campaign.TargetState `json:"state" enum:"queued,sending,sent,delivered,read,failed,opted_out,unknown,cancelled"`
	Reason          string               `json:"reason,omitempty" doc:"Why not, or why it waits; stable"`
	Block           *policy.Decision     `json:"block,omitempty" doc:"What the policy says against it: why, what else, and when it may go. Absent: nothing"`
	Meaning         string               `json:"meaning,omitempty" doc:"The reason for people"`
	Advice          string               `json:"advice,omitempty" doc:"What to do about it"`
	ErrorCode       int                  `json:"error_code,omitempty" doc:"WhatsApp's"`
	Attempts        int                  `json:"attempts" doc:"Tries at WhatsApp"`
	NotBefore       *time.Time           `json:"not_before,omitempty"`
	VoucherID       *uuid.UUID           `json:"voucher_id,omitempty" format:"uuid" doc:"The voucher that it brings"`
	RequestedBy     string               `json:"requested_by"`
	CreatedAt       time.Time            `json:"created_at"`
	SentAt          *time.Time           `json:"sent_at,omitempty"`
	DeliveredAt     *time.Time           `json:"delivered_at,omitempty"`
	ReadAt          *time.Time           `json:"read_at,omitempty"`
	EndedAt         *time.Time           `json:"ended_at,omitempty" doc:"Failed, opted out, unknown, cancelled"`
	Timeline        []SendEvent          `json:"timeline,omitempty" doc:"Oldest first; not in lists"`
	TemporalWeb     string               `json:"temporal_web,omitempty"`
}

// SendEvent is one thing that happened to a send.
type SendEvent struct {
	At        time.Time  `json:"at"`
	Kind      string     `json:"kind" enum:"requested,held,blocked,lifted,sending,sent,delivered,read,requeued,failed,opted_out,unknown,cancelled,resent,late_receipt"`
	Attempt   int        `json:"attempt,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	What      string     `json:"what" doc:"The same for people"`
	Until     *time.Time `json:"until,omitempty" doc:"held: it is tried again then"`
	ErrorCode int        `json:"error_code,omitempty"`
	By        string     `json:"by,omitempty" doc:"Who did it; absent: Lastcall itself"`
}

// SendPage is one page of sends, newest first.
type SendPage struct {
	Sends []Send `json:"sends"`
	Next  string `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// SendPreview is what would become of a message.
type SendPreview struct {
	policy.Decision
	Language string `json:"language" doc:"Of the text"`
	Text     string `json:"text"`
}

// SendOrder is what somebody orders about a message that there is.
type SendOrder struct {
	Reason          string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the timeline and the audit log"`
	AcceptDuplicate bool   `json:"accept_duplicate,omitempty" doc:"resend of an unknown one: that it may arrive twice is known"`
	WhenAllowed     *bool  `json:"when_allowed,omitempty" doc:"resend: whether it waits where it is blocked; absent: as before"`
}

// SendPath is the part of an address that names a send.
type SendPath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type sendOutput struct {
	Status int
	Body   Send
}

func (s *server) sends() {
	tags := []string{"Single messages"}
	register(s, access.SendsWrite, huma.Operation{OperationID: "create-send", Method: http.MethodPost, Path: "/sends", Tags: tags,
		Summary: "Send a message to one person",
		Description: "The policy is asked at once, and nothing lets anybody past it. Answers 201 once the message has gone, or has an end; " +
			"200 with `block` when it is blocked: nothing was sent, and `retry_after` or `next_window` tell when it may be; 202 when it waits, " +
			"which a blocked one does with `when_allowed`, or is still on its way after 5 s. A block is in the audit log.",
		DefaultStatus: http.StatusCreated,
		Responses:     s.sendAnswers()},
		func(ctx context.Context, in *struct {
			IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again sends nothing again and returns the same message"`
			Body           NewSend
		}) (*sendOutput, error) {
			if err := checkKey(in.IdempotencyKey); err != nil {
				return nil, err
			}
			n, err := s.newSend(ctx, in.Body)
			if err != nil {
				return nil, err
			}
			hash, err := hashOf(in.Body)
			if err != nil {
				return nil, err
			}
			n.IdempotencyKey, n.RequestHash = in.IdempotencyKey, hash
			one, err := s.Store.CreateSend(ctx, n)
			if err != nil {
				return nil, err
			}
			return s.sendEffect(ctx, one, http.StatusCreated)
		})

	register(s, access.SendsWrite, huma.Operation{OperationID: "preview-send", Method: http.MethodPost, Path: "/sends/preview", Tags: tags,
		Summary: "Tell what would become of a message to one person", Description: "The policy's answer and the text. Nothing is sent and no permit is used."},
		func(ctx context.Context, in *struct{ Body NewSend }) (*struct{ Body SendPreview }, error) {
			n, err := s.newSend(ctx, in.Body)
			if err != nil {
				return nil, err
			}
			d, one, err := s.Store.PreviewSend(ctx, n)
			if err != nil {
				return nil, err
			}
			row, err := s.Store.Template(ctx, one.TemplateID)
			if err != nil {
				return nil, err
			}
			t := row.Domain()
			out := SendPreview{Decision: d, Language: t.Locale(one.Locale)}
			out.Text, err = t.Render(out.Language, one.Variables)
			return &struct{ Body SendPreview }{out}, err
		})

	register(s, access.SendsRead, huma.Operation{OperationID: "list-sends", Method: http.MethodGet, Path: "/sends", Tags: tags,
		Summary: "List single messages, newest first"},
		func(ctx context.Context, in *struct {
			State     []campaign.TargetState `query:"state,explode" enum:"queued,sending,sent,delivered,read,failed,opted_out,unknown,cancelled" doc:"Only those in one of these; absent: all"`
			Template  string                 `query:"template" maxLength:"512" doc:"Only with the template of this name"`
			ContactID uuid.UUID              `query:"contact_id" format:"uuid" doc:"Only to this contact"`
			SentFrom  time.Time              `query:"sent_from" doc:"Only those that WhatsApp took then or later"`
			Voucher   uuid.UUID              `query:"voucher" format:"uuid" doc:"Only about this voucher"`
			After     uuid.UUID              `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body SendPage }, error) {
			f := store.SendFilter{States: in.State, Template: in.Template, Voucher: in.Voucher, SentFrom: in.SentFrom}
			if in.Template != "" && !templateNameRule.MatchString(in.Template) {
				return nil, domain.E(domain.Invalid, "bad_template", "use a template's name").About("template")
			}
			if in.ContactID != uuid.Nil {
				c, err := s.Store.Contact(ctx, in.ContactID)
				if err != nil {
					return nil, err
				}
				f.MSISDN = c.MSISDN
			}
			all, err := s.Store.Sends(ctx, f, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(o store.Send) string { return o.ID.String() })
			page := SendPage{Sends: make([]Send, len(all)), Next: next}
			for i, o := range all {
				page.Sends[i] = s.sendOf(o)
			}
			return &struct{ Body SendPage }{page}, nil
		})

	register(s, access.SendsRead, huma.Operation{OperationID: "get-send", Method: http.MethodGet, Path: "/sends/{id}", Tags: tags,
		Summary: "Get a single message, with its timeline"},
		func(ctx context.Context, in *SendPath) (*sendOutput, error) {
			one, err := s.Store.Send(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return s.toldSend(ctx, one, http.StatusOK)
		})

	register(s, access.SendsWrite, huma.Operation{OperationID: "cancel-send", Method: http.MethodPost, Path: "/sends/{id}/cancel", Tags: tags,
		Summary: "Cancel a queued message", Errors: refusals},
		func(ctx context.Context, in *struct {
			SendPath
			Body SendOrder
		}) (*sendOutput, error) {
			one, err := s.Store.CancelSend(ctx, in.ID, store.SendOrder{Reason: in.Body.Reason})
			if err != nil {
				return nil, err
			}
			return s.toldSend(ctx, one, http.StatusOK)
		})

	register(s, access.SendsWrite, huma.Operation{OperationID: "resend-send", Method: http.MethodPost, Path: "/sends/{id}/resend", Tags: tags,
		Summary:     "Send a failed message again",
		Description: "As a new attempt, through all rules; the answers are those of sending. One whose outcome is unknown only with `accept_duplicate`.",
		Responses:   s.sendAnswers(), Errors: refusals, DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			SendPath
			Body SendOrder
		}) (*sendOutput, error) {
			one, err := s.Store.ResendSend(ctx, in.ID, store.SendOrder{Reason: in.Body.Reason, AcceptDuplicate: in.Body.AcceptDuplicate, WhenAllowed: in.Body.WhenAllowed})
			if err != nil {
				return nil, err
			}
			return s.sendEffect(ctx, one, http.StatusCreated)
		})
}

// sendAnswers are the answers to an order to send besides the first.
func (s *server) sendAnswers() map[string]*huma.Response {
	schema := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Send](), true, "Send")
	content := map[string]*huma.MediaType{"application/json": {Schema: schema}}
	return map[string]*huma.Response{
		"200": {Description: "Blocked: nothing was sent", Content: content},
		"202": {Description: "It waits, or is on its way", Content: content},
	}
}

// newSend reads whom and what to send.
func (s *server) newSend(ctx context.Context, in NewSend) (n store.NewSend, err error) {
	if (in.ContactID == nil) == (in.MSISDN == "") {
		return n, domain.E(domain.Invalid, "no_recipient", "give either contact_id or msisdn").About("msisdn")
	}
	if in.ContactID != nil {
		c, err := s.Store.Contact(ctx, *in.ContactID)
		if domain.KindOf(err) == domain.NotFound {
			err = domain.E(domain.Invalid, domain.CodeOf(err), "there is no such contact").About("contact_id")
		}
		if err != nil {
			return n, err
		}
		in.MSISDN = string(c.MSISDN)
	}
	if n.Number, err = contact.ParseNumber(in.MSISDN, in.Country); err != nil {
		return n, err
	}
	if in.Locale != "" {
		var ok bool
		if n.Locale, ok = contact.ParseLocale(in.Locale); !ok {
			return n, domain.E(domain.Invalid, "bad_locale", "use BCP 47, like rw-RW or en-MT").About("locale")
		}
	}
	t, err := s.templateOf(ctx, in.Template)
	n.TemplateID, n.Variables, n.WhenAllowed = t.ID, in.Variables, in.WhenAllowed
	return n, err
}

// sendEffect waits until an order to send has had its effect, and answers with the send as it is then.
func (s *server) sendEffect(ctx context.Context, one store.Send, status int) (*sendOutput, error) {
	wait, cancel := context.WithTimeout(ctx, s.EffectWithin)
	defer cancel()
	one, err := s.Store.AwaitSend(wait, one.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case one.State == campaign.Queued, one.State == campaign.Sending:
		status = http.StatusAccepted
	case one.Block != nil:
		status = http.StatusOK
	}
	return s.toldSend(ctx, one, status)
}

// toldSend is a send with its timeline.
func (s *server) toldSend(ctx context.Context, one store.Send, status int) (*sendOutput, error) {
	events, err := s.Store.SendEvents(ctx, one.ID)
	if err != nil {
		return nil, err
	}
	out := s.sendOf(one)
	for _, e := range events {
		out.Timeline = append(out.Timeline, SendEvent{At: e.At, Kind: e.Kind, Attempt: e.Attempt, Reason: e.Reason, What: sendWords(e), Until: e.Until,
			ErrorCode: e.ErrorCode, By: e.By})
	}
	return &sendOutput{status, out}, nil
}

func (s *server) sendOf(o store.Send) Send {
	out := Send{SendID: o.ID, MSISDN: o.MSISDN.Masked(), ContactID: o.ContactID, Contact: o.Contact, Country: o.Country, Zone: o.Zone, Locale: o.Locale,
		Template: o.Template, TemplateVersion: o.Version, Kind: "utility", WhenAllowed: o.WhenAllowed, State: o.State, Reason: o.Reason, Block: o.Block,
		ErrorCode: o.ErrorCode, VoucherID: o.VoucherID, Attempts: o.Attempt, NotBefore: o.NotBefore, RequestedBy: o.RequestedBy, CreatedAt: o.CreatedAt, SentAt: o.SentAt,
		DeliveredAt: o.DeliveredAt, ReadAt: o.ReadAt, EndedAt: o.EndedAt}
	if o.Marketing {
		out.Kind = "marketing"
	}
	switch {
	case o.Block != nil:
		out.Meaning = o.Block.Why
	case o.Reason == "by_hand":
		out.Meaning = "cancelled by hand"
	case o.Reason != "":
		d := delivery.Diagnose(o.Reason, o.ErrorCode)
		out.Meaning, out.Advice = d.Meaning, d.Advice
	}
	if s.TemporalWebURL != "" && (o.Attempt > 0 || o.State == campaign.Queued) {
		out.TemporalWeb = strings.TrimRight(s.TemporalWebURL, "/") + "/namespaces/" + url.PathEscape(s.TemporalNamespace) +
			"/workflows/" + url.PathEscape(workflows.SendID(o.ID, o.Run))
	}
	return out
}

// sendWords is an event for people.
func sendWords(e store.SendEvent) string {
	switch e.Kind {
	case "requested":
		return "ordered"
	case "held", "blocked", "opted_out":
		if why := cmp.Or(e.Why, strings.ReplaceAll(e.Reason, "_", " ")); e.Kind == "held" {
			return "waits: " + why
		} else if e.Kind == "blocked" {
			return "blocked: " + why
		}
		return "opted out: nothing was sent"
	case "lifted":
		return "quiet hours are lifted by an override"
	case "sending":
		return "given to WhatsApp"
	case "sent":
		return "taken by WhatsApp"
	case "delivered":
		return "delivered"
	case "read":
		return "read"
	case "resent":
		return withWords("ordered again", e.Why)
	case "cancelled":
		if e.Reason == store.Erased {
			return "cancelled: the person was erased"
		}
		return withWords("cancelled", e.Why)
	case "late_receipt":
		return "a receipt for an earlier attempt came: " + strings.ReplaceAll(e.Reason, "_", " ")
	}
	what := map[string]string{"requeued": "to be tried again", "failed": "failed", "unknown": "nobody knows whether it went"}[e.Kind]
	return withWords(what, delivery.Diagnose(e.Reason, e.ErrorCode).Meaning)
}

func withWords(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}
