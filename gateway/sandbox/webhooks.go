package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"lastcall/gateway/whatsapp"
)

const (
	maxStatuses    = 200                   // a webhook
	gatherTime     = 25 * time.Millisecond // between two webhooks of a stage, unless there are messages for a full one
	webhookTimeout = 10 * time.Second
	firstBackoff   = 100 * time.Millisecond
	maxBackoff     = 5 * time.Second
	undeliverable  = 131026 // the provider's code for a number that cannot be reached
)

// report posts the statuses of one stage until ctx is over: in the order of the messages, each once its
// delay has passed, as many at once as are due. After a restart it goes on where the last answered
// webhook ended, so a status may come twice and none is left out.
func (s *Server) report(ctx context.Context, client *http.Client, stage *stage) error {
	for ctx.Err() == nil {
		changed := s.changed.wait() // before looking, so that no change is missed
		batch, err := s.nextBatch(stage)
		if err != nil {
			return fmt.Errorf("webhooks of %s: %w", stage.state, err)
		}
		looked := batch.last - stage.cursor
		if looked == 0 && len(batch.statuses) == 0 {
			stage.sleep(ctx, batch.wait, stage.held.wait(time.Now()), changed)
			continue
		}
		if len(batch.statuses) > 0 && !s.deliver(ctx, client, stage, batch) {
			continue
		}
		if err := stage.save(batch.last, stage.held.before(batch.last)); err != nil {
			return fmt.Errorf("webhooks of %s: %w", stage.state, err)
		}
		if looked < maxStatuses && len(batch.statuses) < maxStatuses {
			select {
			case <-ctx.Done():
			case <-time.After(gatherTime):
			}
		}
	}
	return nil
}

// stage follows the inbox for one state.
type stage struct {
	state  string
	cursor int64 // the id of the last message dealt with, or held
	held   held
	file   *os.File // the id of the last message before which nothing is held
	wake   chan struct{}
}

// openStage reads the cursor, which lies at most at last.
func openStage(path, state string, last int64) (*stage, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &stage{state: state, file: file, wake: make(chan struct{}, 1)}
	raw, err := io.ReadAll(file)
	if err == nil && len(raw) > 0 {
		s.cursor, err = strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	s.cursor = min(s.cursor, last)
	return s, nil
}

// sleep waits for the next message to be due (after due, if there is one) or to arrive, for a held status
// to be due (after held, if there is one), or for the settings to change.
func (s *stage) sleep(ctx context.Context, due, held time.Duration, changed <-chan struct{}) {
	var timer <-chan time.Time
	arrived := s.wake
	if due > 0 {
		arrived = nil // messages are due as they came
	}
	if due > 0 && (held == 0 || due < held) {
		held = due
	}
	if held > 0 {
		timer = time.After(held)
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer:
	case <-arrived:
	}
}

// save moves on to cursor; after a restart the stage goes on after kept.
func (s *stage) save(cursor, kept int64) error {
	s.cursor = cursor
	_, err := s.file.WriteAt(fmt.Appendf(nil, "%019d\n", kept), 0) // one length, so never a mixture
	return err
}

// batch is what one webhook tells.
type batch struct {
	statuses []status
	last     int64         // the id of the last message looked at, whether it has a status or not
	wait     time.Duration // until the next one is due, 0 when there is none
}

// status is one status in the provider's shape.
type status struct {
	ID           string        `json:"id"`
	Status       string        `json:"status"`
	Timestamp    string        `json:"timestamp"`
	RecipientID  string        `json:"recipient_id"`
	CallbackData string        `json:"biz_opaque_callback_data,omitempty"`
	Errors       []statusError `json:"errors,omitempty"`
}

type statusError struct {
	Code  int    `json:"code"`
	Title string `json:"title"`
}

func (s *Server) nextBatch(stage *stage) (batch, error) {
	settings := s.settings.get()
	delay := settings.delay(stage.state)
	out := batch{last: stage.cursor, statuses: s.heldStatuses(stage)}
	lines, err := s.inbox.journal.after(stage.cursor, maxStatuses-len(out.statuses))
	if err != nil {
		return batch{}, err
	}
	defer lines.Close()
	raw, err := io.ReadAll(lines)
	if err != nil {
		return batch{}, err
	}
	for i := range lines.count {
		line, rest, _ := bytes.Cut(raw, []byte("\n"))
		raw = rest
		var m struct {
			ID           int64     `json:"id"`
			ReceivedAt   time.Time `json:"received_at"`
			MessageID    string    `json:"message_id"`
			To           string    `json:"to"`
			CallbackData string    `json:"key"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return batch{}, fmt.Errorf("message %d: %w", lines.before+int64(i)+1, err)
		}
		at := m.ReceivedAt.Add(delay)
		if wait := time.Until(at); wait > 0 {
			out.wait = wait
			break
		}
		out.last = m.ID
		state := settings.fate(m.MessageID, stage.state)
		if state == "" {
			continue
		}
		one := status{
			ID: m.MessageID, Status: state, Timestamp: strconv.FormatInt(at.Unix(), 10),
			RecipientID: strings.TrimPrefix(m.To, "+"), CallbackData: m.CallbackData,
		}
		if state == whatsapp.StateFailed {
			one.Errors = []statusError{{undeliverable, "Message undeliverable"}}
		}
		late, twice, again := settings.befall(m.MessageID, stage.state)
		if twice {
			stage.held.push(heldStatus{m.ID, at.Add(again), one})
		}
		if late > 0 {
			stage.held.push(heldStatus{m.ID, at.Add(late), one})
			continue
		}
		out.statuses = append(out.statuses, one)
	}
	return out, nil
}

// heldStatuses returns those that are due, without those whose messages were deleted.
func (s *Server) heldStatuses(stage *stage) []status {
	var out []status
	for now := time.Now(); len(out) < maxStatuses; {
		one, due := stage.held.pop(now)
		if !due {
			break
		}
		if !s.inbox.journal.deleted(one.id) {
			out = append(out, one.status)
		}
	}
	return out
}

func (s settings) delay(stage string) time.Duration {
	ms := s.ReadDelayMS
	switch stage {
	case whatsapp.StateSent:
		ms = s.SentDelayMS
	case whatsapp.StateDelivered:
		ms = s.DeliveredDelayMS
	}
	return time.Duration(ms) * time.Millisecond
}

// fate is the state that a message reports in a stage: the stage's own, failed, or "" for none.
func (s settings) fate(messageID, stage string) string {
	lot := lot(messageID)
	failed := lot >= 1-s.Failed
	switch {
	case stage == whatsapp.StateDelivered && failed:
		return whatsapp.StateFailed
	case stage == whatsapp.StateSent && lot < s.Sent,
		stage == whatsapp.StateDelivered && lot < s.Delivered,
		stage == whatsapp.StateRead && lot < min(s.Read, s.Delivered) && !failed:
		return stage
	}
	return ""
}

// lot is a number in [0, 1) that these words always draw.
func lot(words ...string) float64 {
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// deliver posts one webhook until it is taken, and says whether it was. It gives up when ctx is over or
// the messages were deleted.
func (s *Server) deliver(ctx context.Context, client *http.Client, stage *stage, b batch) bool {
	number := s.config.WhatsApp.PhoneNumberID
	return s.postUntilTaken(ctx, client, stage.state, map[string]any{
		"object": "whatsapp_business_account",
		"entry": []any{map[string]any{"id": "sandbox", "changes": []any{map[string]any{"field": "messages", "value": map[string]any{
			"messaging_product": "whatsapp",
			"metadata":          map[string]string{"display_phone_number": number, "phone_number_id": number},
			"statuses":          b.statuses,
		}}}}},
	}, func() bool { return s.inbox.journal.deleted(b.last) })
}

// postUntilTaken posts one signed webhook until it is answered with a 2xx, and says whether it was. It
// gives up when ctx is over or the webhook is void.
func (s *Server) postUntilTaken(ctx context.Context, client *http.Client, what string, webhook map[string]any, void func() bool) bool {
	body, _ := json.Marshal(webhook) // strings and numbers: it cannot fail
	signature := whatsapp.Sign(s.config.WhatsApp.AppSecret, body)
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		if void() {
			return false
		}
		err := s.post(ctx, client, body, signature)
		if err == nil {
			return true
		}
		if backoff == firstBackoff && ctx.Err() == nil {
			s.config.Log.Warn("webhook not taken, trying until it is", "stage", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(backoff/2 + rand.N(backoff/2)):
		}
	}
}

func (s *Server) post(ctx context.Context, client *http.Client, body []byte, signature string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.WebhookURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", signature)
	res, err := client.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxBody)) // to keep the connection
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("HTTP %d", res.StatusCode)
	}
	return nil
}
