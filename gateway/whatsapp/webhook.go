package whatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"time"
)

// Status is one step of one message, as a webhook tells it. Webhooks repeat and overtake one another:
// apply by rank (sent < delivered < read; failed), never by arrival.
type Status struct {
	MessageID    string    // wamid.…
	State        string    // StateSent, StateDelivered, StateRead or StateFailed
	RecipientID  string    // the WhatsApp id: digits, may differ from the number sent to
	CallbackData string    // what TemplateMessage.CallbackData was
	At           time.Time // UTC, whole seconds; zero when the provider gives none
	ErrorCode    int       // of a failed one, else 0
}

// The states of a Status.
const (
	StateSent      = "sent"
	StateDelivered = "delivered"
	StateRead      = "read"
	StateFailed    = "failed"
)

// ParseWebhook returns the statuses in one webhook body, in its order; see ParseEvents for the rest of it,
// and for the error. States it does not know are passed over.
func ParseWebhook(raw []byte) ([]Status, error) {
	events, err := ParseEvents(raw)
	return events.Statuses, err
}

func appendStatuses(out []Status, value json.RawMessage) []Status {
	var v struct {
		Statuses []json.RawMessage `json:"statuses"`
	}
	if json.Unmarshal(value, &v) != nil {
		return out
	}
	for _, raw := range v.Statuses {
		var s struct {
			ID           string          `json:"id"`
			Status       string          `json:"status"`
			Timestamp    json.RawMessage `json:"timestamp"` // Unix seconds, as a string in practice
			RecipientID  string          `json:"recipient_id"`
			CallbackData string          `json:"biz_opaque_callback_data"`
			Errors       []struct {
				Code int `json:"code"`
			} `json:"errors"`
		}
		if json.Unmarshal(raw, &s) != nil || s.ID == "" {
			continue
		}
		status := Status{MessageID: s.ID, State: s.Status, RecipientID: s.RecipientID, CallbackData: s.CallbackData}
		switch s.Status {
		case StateSent, StateDelivered, StateRead, StateFailed:
		default:
			continue
		}
		status.At = unixTime(s.Timestamp)
		if len(s.Errors) > 0 {
			status.ErrorCode = s.Errors[0].Code
		}
		out = append(out, status)
	}
	return out
}

// Sign returns the X-Hub-Signature-256 header of a webhook body: "sha256=" and the HMAC in hex.
func Sign(secret string, raw []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(raw)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Verify says in constant time whether header signs exactly these bytes; JSON decoded and encoded
// again no longer matches. An empty secret verifies nothing.
func Verify(secret string, raw []byte, header string) bool {
	return secret != "" && hmac.Equal([]byte(Sign(secret, raw)), []byte(header))
}

// Challenge answers the handshake by which the provider checks a webhook address: what to send back
// with status 200, or false for a 403. An empty VerifyToken answers nobody.
func (c Config) Challenge(query url.Values) (string, bool) {
	known := c.VerifyToken != "" &&
		subtle.ConstantTimeCompare([]byte(query.Get("hub.verify_token")), []byte(c.VerifyToken)) == 1
	if !known || query.Get("hub.mode") != "subscribe" {
		return "", false
	}
	return query.Get("hub.challenge"), true
}
