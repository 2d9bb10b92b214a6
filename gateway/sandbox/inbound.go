package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"lastcall/domain"
)

// inbound are the messages that people wrote to us, through POST /inbound. Whoever wrote within windowTime may be
// answered with free text.
type inbound struct {
	journal *journal

	mu      sync.Mutex
	windows map[uint64]time.Time // by sender: when they last wrote
}

const (
	windowTime   = 24 * time.Hour
	windowClosed = 131047  // the provider's code for free text to somebody who wrote nothing lately
	maxInbound   = 4 << 20 // bytes of a POST /inbound: more than the API takes, so that it can be tried
	inboundIn    = 10 * time.Second
)

func (in *inbound) open(dir string) (err error) {
	in.windows = map[uint64]time.Time{}
	in.journal, err = openJournal(filepath.Join(dir, "inbound.jsonl"), func(line []byte) error {
		var m struct {
			ReceivedAt time.Time `json:"received_at"`
			From       string    `json:"from"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return err
		}
		in.windows[word(m.From)] = m.ReceivedAt
		return nil
	})
	return err
}

// refuse says that a number wrote nothing lately, nil if it did.
func (in *inbound) refuse(to string) *refusal {
	in.mu.Lock()
	defer in.mu.Unlock()
	if time.Since(in.windows[word(strings.TrimPrefix(to, "+"))]) < windowTime {
		return nil
	}
	return &refusal{http.StatusBadRequest, windowClosed, 0, "Re-engagement message", "More than 24 hours have passed since the recipient last wrote, or they never did: use a template."}
}

// postInbound plays a person who writes to us: {"from":"+250788000012","text":"STOP"}. It answers when the signed
// webhook has been taken. With "id", the message has that id, so that the same one can come twice.
func (s *Server) postInbound(w http.ResponseWriter, r *http.Request) {
	var m struct {
		ID   string `json:"id"`
		From string `json:"from"`
		Text string `json:"text"`
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInbound))
	switch {
	case err != nil || json.Unmarshal(raw, &m) != nil:
		err = domain.E(domain.Invalid, "not_readable", `Write {"from":"+250788000012","text":"STOP"}, at most 4 MiB.`)
	case !isNumber(m.From):
		err = domain.E(domain.Invalid, "not_a_number", "This must be a phone number: 7 to 15 digits.").About("from")
	case m.Text == "":
		err = domain.E(domain.Invalid, "no_text", "Say what is written.").About("text")
	case s.config.WebhookURL == "":
		err = domain.E(domain.Invalid, "no_webhook", "The sandbox has no address to deliver it to.")
	}
	if err != nil {
		s.writeError(w, err)
		return
	}
	if m.ID == "" {
		m.ID = newMessageID()
	}
	from := strings.TrimPrefix(m.From, "+")
	object, _ := json.Marshal(map[string]string{"message_id": m.ID, "from": from}) // strings: it cannot fail
	s.inbound.mu.Lock()
	err = s.inbound.journal.append(object, func() { s.inbound.windows[word(from)] = time.Now() })
	s.inbound.mu.Unlock()
	if err != nil {
		s.writeError(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), inboundIn)
	defer cancel()
	number := s.config.WhatsApp.PhoneNumberID
	taken := s.postUntilTaken(ctx, &http.Client{Timeout: webhookTimeout}, "inbound", map[string]any{
		"object": "whatsapp_business_account",
		"entry": []any{map[string]any{"id": "sandbox", "changes": []any{map[string]any{"field": "messages", "value": map[string]any{
			"messaging_product": "whatsapp",
			"metadata":          map[string]string{"display_phone_number": number, "phone_number_id": number},
			"contacts":          []any{map[string]any{"wa_id": from, "profile": map[string]string{"name": "Sandbox guest"}}},
			"messages": []any{map[string]any{"id": m.ID, "from": from, "type": "text", "timestamp": strconv.FormatInt(time.Now().Unix(), 10),
				"text": map[string]string{"body": m.Text}}},
		}}}}},
	}, func() bool { return false })
	if !taken {
		writeJSON(w, http.StatusBadGateway, map[string]string{"code": "webhook_not_taken", "message": "The webhook was not taken within 10 s.", "field": ""})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"message_id": m.ID})
}
