// Package legacy switches the tooling that served before Lastcall on and off, and asks it which it is.
package legacy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
)

// Tooling is the legacy tooling behind one webhook. POST {"state":"on"|"off","rollback":"<id>"} switches it; GET answers {"state":"on"|"off"}.
// It is safe for concurrent use.
type Tooling struct {
	webhookURL string
	client     *http.Client
}

// New makes the tooling of a webhook. Its address is a secret: who knows it can switch.
func New(webhookURL string) *Tooling {
	return &Tooling{webhookURL: webhookURL, client: &http.Client{Timeout: 10 * time.Second}}
}

type message struct {
	State    string `json:"state"`
	Rollback string `json:"rollback,omitempty"`
}

func word(on bool) string { return map[bool]string{true: "on", false: "off"}[on] }

// Switch switches it on or off, in 10 s at most. The same again changes nothing. Errors are domain.Unavailable of code legacy_down or
// legacy_refuses; neither they nor their causes name the webhook's address.
func (t *Tooling) Switch(ctx context.Context, on bool, rollback uuid.UUID) error {
	body, err := json.Marshal(message{word(on), rollback.String()})
	if err != nil {
		return err
	}
	_, err = t.ask(ctx, http.MethodPost, body)
	return err
}

// Serves asks whether it is on. Errors are those of Switch, and legacy_unclear where the answer says neither.
func (t *Tooling) Serves(ctx context.Context) (bool, error) {
	answer, err := t.ask(ctx, http.MethodGet, nil)
	if err != nil {
		return false, err
	}
	var said message
	if err := json.Unmarshal(answer, &said); err != nil || said.State != word(true) && said.State != word(false) {
		return false, domain.E(domain.Unavailable, "legacy_unclear", "The legacy tooling does not say whether it is on.").Because(err)
	}
	return said.State == word(true), nil
}

func (t *Tooling) ask(ctx context.Context, method string, body []byte) ([]byte, error) {
	down := domain.E(domain.Unavailable, "legacy_down", "The legacy tooling does not answer.")
	req, err := http.NewRequestWithContext(ctx, method, t.webhookURL, bytes.NewReader(body))
	if err != nil {
		return nil, down.Because(errors.New("the webhook's address is not a URL"))
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := t.client.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return nil, down.Because(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return nil, down.Because(err)
	}
	if res.StatusCode/100 != 2 {
		return nil, domain.E(domain.Unavailable, "legacy_refuses", "The legacy tooling refuses.").Because(fmt.Errorf("it answers %d", res.StatusCode))
	}
	return answer, nil
}
