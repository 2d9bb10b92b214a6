package whatsapp

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"lastcall/domain"
)

// Events are what one webhook tells, each kind in its order.
type Events struct {
	Statuses    []Status
	Templates   []TemplateUpdate
	Preferences []Preference
	Messages    []Message
}

// Message is what a person wrote to us: a text, or a button of one of our templates that they pressed. Others (pictures,
// voices) are passed over.
type Message struct {
	ID         string    // wamid.…: personal data, since it holds the sender's number, encoded
	WhatsAppID string    // the sender: digits without "+", personal data
	Text       string    // personal data; neither log nor keep it
	At         time.Time // UTC, whole seconds; zero when the provider gives none
}

// TemplateUpdate is a change of a template's state (message_template_status_update). Webhooks repeat and
// overtake one another: of two about the same template and language, the later At tells how it is.
type TemplateUpdate struct {
	Name     string
	Language string    // BCP 47, such as rw-RW; "" when the provider gives none, and then it is about all
	Event    string    // one of the Template constants, or another that the provider came up with
	Reason   string    // the provider's, such as INVALID_FORMAT; "" for none
	At       time.Time // UTC, whole seconds; zero when the provider gives none
}

// What became of a template; Event has others too, which change nothing about sending.
const (
	TemplateApproved   = "APPROVED"   // can be sent
	TemplateReinstated = "REINSTATED" // can be sent again, after FLAGGED or DISABLED
	TemplatePaused     = "PAUSED"     // for bad quality, for hours; sending gets error 132015
	TemplateDisabled   = "DISABLED"   // for good; error 132016
	TemplateRejected   = "REJECTED"   // error 132001
	TemplateDeleted    = "DELETED"    // error 132001
)

// Sendable says whether the template can be sent after this update; known is false when the update
// does not tell (FLAGGED, PENDING, …).
func (u TemplateUpdate) Sendable() (sendable, known bool) {
	switch u.Event {
	case TemplateApproved, TemplateReinstated, "UNARCHIVED":
		return true, true
	case TemplatePaused, TemplateDisabled, TemplateRejected, TemplateDeleted, "ARCHIVED", "PENDING_DELETION":
		return false, true
	}
	return false, false
}

// Preference is a person's wish about marketing (user_preferences). Of two, the later At holds.
type Preference struct {
	WhatsAppID string    // digits without "+": personal data; may differ from the number written to
	Stop       bool      // true: no marketing any more; false: marketing again
	At         time.Time // UTC, whole seconds; zero when the provider gives none
}

// ParseEvents returns everything in one webhook body that Lastcall knows; what it does not know is passed
// over. Only a body that is no JSON object is an error (domain.Invalid, webhook_not_readable).
func ParseEvents(raw []byte) (Events, error) {
	var body struct {
		Entry []struct {
			Time    json.RawMessage `json:"time"` // Unix seconds
			Changes []struct {
				Field string          `json:"field"`
				Value json.RawMessage `json:"value"`
			} `json:"changes"`
		} `json:"entry"`
	}
	if json.Unmarshal(raw, &body) != nil { // the cause may quote a number
		return Events{}, domain.E(domain.Invalid, "webhook_not_readable", "The webhook body is not the JSON that WhatsApp sends.")
	}
	var out Events
	for _, entry := range body.Entry {
		for _, change := range entry.Changes {
			switch change.Field {
			case "messages":
				out.Statuses = appendStatuses(out.Statuses, change.Value)
				out.Messages = appendMessages(out.Messages, change.Value)
			case "message_template_status_update":
				out.Templates = appendTemplateUpdate(out.Templates, change.Value, unixTime(entry.Time))
			case "user_preferences":
				out.Preferences = appendPreferences(out.Preferences, change.Value)
			}
		}
	}
	return out, nil
}

func appendTemplateUpdate(out []TemplateUpdate, value json.RawMessage, at time.Time) []TemplateUpdate {
	var v struct {
		Event    string `json:"event"`
		Name     string `json:"message_template_name"`
		Language string `json:"message_template_language"`
		Reason   string `json:"reason"`
	}
	if json.Unmarshal(value, &v) != nil || v.Name == "" || v.Event == "" {
		return out
	}
	if v.Reason == "NONE" {
		v.Reason = ""
	}
	return append(out, TemplateUpdate{
		Name: v.Name, Language: strings.ReplaceAll(v.Language, "_", "-"), Event: strings.ToUpper(v.Event), Reason: v.Reason, At: at,
	})
}

func appendPreferences(out []Preference, value json.RawMessage) []Preference {
	var v struct {
		Preferences []json.RawMessage `json:"user_preferences"`
	}
	if json.Unmarshal(value, &v) != nil {
		return out
	}
	for _, raw := range v.Preferences {
		var p struct {
			ID        string          `json:"wa_id"`
			Category  string          `json:"category"`
			Value     string          `json:"value"`
			Timestamp json.RawMessage `json:"timestamp"`
		}
		if json.Unmarshal(raw, &p) != nil || p.ID == "" || p.Category != "marketing_messages" || p.Value != "stop" && p.Value != "resume" {
			continue
		}
		out = append(out, Preference{WhatsAppID: p.ID, Stop: p.Value == "stop", At: unixTime(p.Timestamp)})
	}
	return out
}

func appendMessages(out []Message, value json.RawMessage) []Message {
	var v struct {
		Messages []json.RawMessage `json:"messages"`
	}
	if json.Unmarshal(value, &v) != nil {
		return out
	}
	for _, raw := range v.Messages {
		var m struct {
			ID        string          `json:"id"`
			From      string          `json:"from"`
			Type      string          `json:"type"`
			Timestamp json.RawMessage `json:"timestamp"`
			Text      struct {
				Body string `json:"body"`
			} `json:"text"`
			Button struct {
				Text string `json:"text"`
			} `json:"button"`
		}
		if json.Unmarshal(raw, &m) != nil || m.ID == "" || m.From == "" {
			continue
		}
		text := m.Text.Body
		if m.Type == "button" {
			text = m.Button.Text
		}
		if text != "" {
			out = append(out, Message{ID: m.ID, WhatsAppID: m.From, Text: text, At: unixTime(m.Timestamp)})
		}
	}
	return out
}

// unixTime reads Unix seconds, as a number or in a string; zero when they are neither.
func unixTime(raw json.RawMessage) time.Time {
	seconds, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
