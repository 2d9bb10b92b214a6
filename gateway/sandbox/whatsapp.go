package sandbox

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
)

// postMessage is the provider's send endpoint.
func (s *Server) postMessage(w http.ResponseWriter, r *http.Request) {
	struck := s.faults.strike(scopeMessaging, true)
	if struck.kind == faultOutage {
		hangUp()
	}
	if refused := s.authorise(r); refused != nil {
		refused.write(w)
		return
	}
	m, refused := readMessage(r.Body)
	if refused != nil {
		refused.write(w)
		return
	}
	s.linger(struck.latency)
	if struck.kind == faultReset {
		reset(w)
		return
	}
	if refused := s.refuse(struck, m); refused != nil {
		refused.write(w)
		return
	}
	if err := s.inbox.add(m); err != nil {
		s.config.Log.Error("sandbox cannot keep a message", "error", err)
		(&refusal{http.StatusServiceUnavailable, 131016, 0, "Service unavailable", "The message was not stored."}).write(w)
		return
	}
	answer := make([]byte, 0, 256)
	answer = append(answer, `{"messaging_product":"whatsapp","contacts":[{"input":"`...)
	answer = append(answer, m.To...)
	answer = append(answer, `","wa_id":"`...)
	answer = append(answer, strings.TrimPrefix(m.To, "+")...)
	answer = append(answer, `"}],"messages":[{"id":"`...)
	answer = append(answer, m.MessageID...)
	answer = append(answer, `","message_status":"accepted"}]}`...)
	s.answer(w, r, struck, jsonType, answer)
}

// refuse says why a well-formed message is not taken, nil when it is: a fault, its template, its
// recipient, or a limit.
func (s *Server) refuse(struck blow, m message) *refusal {
	if refused := struck.refuses(); refused != nil {
		return refused
	}
	if m.Template == "" {
		if refused := s.inbound.refuse(m.To); refused != nil {
			return refused
		}
	} else if refused := s.templates.refuse(m.Template, m.Language); refused != nil {
		return refused
	}
	return s.limits.refuse(m.To)
}

var jsonType = []string{"application/json"}

// getNumber tells about the sender, which is how a client finds out whether its token is good.
func (s *Server) getNumber(w http.ResponseWriter, r *http.Request) {
	struck := s.faults.strike(scopeMessaging, false)
	if struck.kind == faultOutage {
		hangUp()
	}
	s.linger(struck.latency)
	if refused := s.authorise(r); refused != nil {
		refused.write(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{
		"id": s.config.WhatsApp.PhoneNumberID, "verified_name": "Lastcall sandbox", "quality_rating": "GREEN",
	})
}

func (s *Server) authorise(r *http.Request) *refusal {
	if refused := s.authoriseToken(r); refused != nil {
		return refused
	}
	if !strings.HasPrefix(r.PathValue("version"), "v") || r.PathValue("number") != s.config.WhatsApp.PhoneNumberID {
		return &refusal{http.StatusBadRequest, 100, 33, "Unsupported request", "No such phone number id, or no version such as v23.0 before it."}
	}
	return nil
}

func (s *Server) authoriseToken(r *http.Request) *refusal {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer || subtle.ConstantTimeCompare([]byte(token), []byte(s.config.WhatsApp.AccessToken)) != 1 {
		return &refusal{http.StatusUnauthorized, 190, 0, "Invalid OAuth access token", "The bearer token is not the sandbox's."}
	}
	return nil
}

// message is what the inbox keeps of a send request.
type message struct {
	MessageID    string      `json:"message_id"`
	To           string      `json:"to"`             // as it came, with or without "+"
	Text         string      `json:"text,omitempty"` // of free text, which has no template
	Template     string      `json:"template"`
	Language     string      `json:"language"`
	Parameters   []parameter `json:"parameters"`
	HeaderMedia  string      `json:"header_media,omitempty"`
	CallbackData string      `json:"key,omitempty"`
}

type parameter struct {
	Name string `json:"name,omitempty"` // none where parameters go by position
	Text string `json:"text"`
}

// request is the body of a send request, as far as the sandbox understands it.
type request struct {
	MessagingProduct string `json:"messaging_product"`
	To               string `json:"to"`
	Type             string `json:"type"`
	Text             struct {
		Body string `json:"body"`
	} `json:"text"`
	Template struct {
		Name     string `json:"name"`
		Language struct {
			Code string `json:"code"`
		} `json:"language"`
		Components []struct {
			Type       string `json:"type"`
			Parameters []struct {
				Name     string `json:"parameter_name"`
				Text     string `json:"text"`
				Image    media  `json:"image"`
				Video    media  `json:"video"`
				Document media  `json:"document"`
			} `json:"parameters"`
		} `json:"components"`
	} `json:"template"`
	CallbackData string `json:"biz_opaque_callback_data"`
}

type media struct{ Link, ID string }

const (
	maxBody         = 64 << 10 // bytes
	maxCallbackData = 512      // bytes
	maxText         = 4096     // bytes
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func readMessage(body io.Reader) (message, *refusal) {
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	if n, err := buffer.ReadFrom(io.LimitReader(body, maxBody+1)); err != nil || n > maxBody {
		return message{}, invalidParameter("The body must be at most 64 KiB and arrive whole.")
	}
	var r request
	if json.Unmarshal(buffer.Bytes(), &r) != nil {
		return message{}, invalidParameter("The body is not the JSON of a message.")
	}
	switch {
	case r.MessagingProduct != "whatsapp":
		return message{}, invalidParameter("messaging_product must be whatsapp.")
	case !isNumber(r.To):
		return message{}, &refusal{http.StatusBadRequest, 131009, 0, "Parameter value is not valid", "to must be a phone number: 7 to 15 digits."}
	case r.Type != "template" && r.Type != "text":
		return message{}, &refusal{http.StatusBadRequest, 131051, 0, "Unsupported message type", "The sandbox takes templates and texts only."}
	case r.Type == "text" && (r.Text.Body == "" || len(r.Text.Body) > maxText):
		return message{}, invalidParameter("text.body is required, and has at most 4096 bytes.")
	case r.Type == "template" && (r.Template.Name == "" || r.Template.Language.Code == ""):
		return message{}, invalidParameter("template.name and template.language.code are required.")
	case len(r.CallbackData) > maxCallbackData:
		return message{}, invalidParameter("biz_opaque_callback_data is longer than 512.")
	}
	if r.Type == "text" {
		return message{MessageID: newMessageID(), To: r.To, Text: r.Text.Body, Parameters: []parameter{}, CallbackData: r.CallbackData}, nil
	}
	m := message{
		MessageID: newMessageID(), To: r.To, Template: r.Template.Name, Language: r.Template.Language.Code,
		Parameters: []parameter{}, CallbackData: r.CallbackData,
	}
	for _, component := range r.Template.Components {
		for _, p := range component.Parameters {
			switch strings.ToLower(component.Type) {
			case "body":
				m.Parameters = append(m.Parameters, parameter{p.Name, p.Text})
			case "header":
				m.HeaderMedia = p.Image.Link + p.Image.ID + p.Video.Link + p.Video.ID + p.Document.Link + p.Document.ID
			}
		}
	}
	return m, nil
}

// isNumber says whether s is 7 to 15 digits, with or without a "+" before them.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "+")
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) >= 7 && len(s) <= 15
}

func newMessageID() string {
	var id [16]byte
	for i := 0; i < len(id); i += 8 {
		r := rand.Uint64()
		for k := range 8 {
			id[i+k] = byte(r >> (8 * k))
		}
	}
	return "wamid." + strings.ToUpper(hex.EncodeToString(id[:]))
}

// refusal is an error in the provider's shape.
type refusal struct {
	status, code, subcode int
	message, details      string
}

func invalidParameter(details string) *refusal {
	return &refusal{http.StatusBadRequest, 100, 0, "Invalid parameter", details}
}

func (r *refusal) write(w http.ResponseWriter) {
	body := map[string]any{
		"message": r.message, "type": "OAuthException", "code": r.code, "fbtrace_id": newMessageID()[len("wamid."):],
		"error_data": map[string]string{"messaging_product": "whatsapp", "details": r.details},
	}
	if r.subcode != 0 {
		body["error_subcode"] = r.subcode
	}
	writeJSON(w, r.status, map[string]any{"error": body})
}
