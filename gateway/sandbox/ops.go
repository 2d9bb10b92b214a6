package sandbox

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// postNotice is the Ops channel: it takes what a Slack incoming webhook takes, and answers as one.
func (s *Server) postNotice(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, text string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
	struck := s.faults.strike(scopeOps, true)
	s.linger(struck.latency)
	switch struck.kind {
	case faultOutage:
		hangUp()
	case faultReset:
		reset(w)
		return
	case faultRate:
		answer(http.StatusTooManyRequests, "rate_limited")
		return
	case faultError:
		answer(struck.code, "the sandbox was told to answer so")
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var m slackMessage
	if err != nil || json.Unmarshal(raw, &m) != nil {
		answer(http.StatusBadRequest, "invalid_payload")
		return
	}
	if m.Text == "" && len(m.Attachments) == 0 && len(m.Blocks) == 0 {
		answer(http.StatusBadRequest, "no_text")
		return
	}
	var payload bytes.Buffer
	if err := json.Compact(&payload, raw); err != nil {
		answer(http.StatusBadRequest, "invalid_payload")
		return
	}
	object, err := json.Marshal(notice{Text: m.plain(), Color: m.color(), Payload: payload.Bytes()})
	if err == nil {
		err = s.ops.append(object, nil)
	}
	if err != nil {
		s.config.Log.Error("sandbox cannot keep a notice", "error", err)
		answer(http.StatusInternalServerError, "server_error")
		return
	}
	answer(http.StatusOK, "ok")
}

// notice is what the journal keeps of one.
type notice struct {
	Text    string          `json:"text"`            // all of it, a line each
	Color   string          `json:"color,omitempty"` // of the first attachment, such as #D64545
	Payload json.RawMessage `json:"payload"`         // as it came
}

type slackMessage struct {
	Text        string `json:"text"`
	Attachments []struct {
		Color string `json:"color"`
		Title string `json:"title"`
		Text  string `json:"text"`
	} `json:"attachments"`
	Blocks []json.RawMessage `json:"blocks"`
}

// plain is the text that people would read, without Slack's marks for bold lines, links and escapes.
func (m slackMessage) plain() string {
	parts := []string{m.Text}
	for _, a := range m.Attachments {
		parts = append(parts, a.Title, a.Text)
	}
	text := strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "\n")
	text = boldLine.ReplaceAllString(text, "$1")
	text = link.ReplaceAllString(text, "$2: $1")
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
}

var (
	boldLine = regexp.MustCompile(`(?m)^\*(.+)\*$`)
	link     = regexp.MustCompile(`<([^|<>]+)\|([^<>]+)>`)
)

func (m slackMessage) color() string {
	if len(m.Attachments) == 0 {
		return ""
	}
	return m.Attachments[0].Color
}
