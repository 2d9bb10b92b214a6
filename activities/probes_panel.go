package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"lastcall/domain/probe"
)

// PanelVisitor signs in to the panel from outside, as people do: through its public address, over HTTP, with an account
// of its own. Each sign-in is in the audit log, so it signs in anew every SignInEvery only, and uses the session in between.
type PanelVisitor struct {
	BaseURL   string // the panel's public address
	Email     string
	Password  string // secret
	Transport http.RoundTripper

	mu       sync.Mutex
	cookie   *http.Cookie
	signedIn time.Time
	notUntil time.Time // after wrong credentials: failures lock out whoever shares our address
}

// SignInEvery is how often the visitor signs in anew.
const SignInEvery = 5 * time.Minute

// lockOutSpared is how long wrong credentials are not tried again.
const lockOutSpared = 15 * time.Minute

const notItsPassword = "The panel does not take the probe's password; it is tried again after a quarter of an hour."

// visit fetches the panel's page, and signs in or uses the session.
func (v *PanelVisitor) visit(ctx context.Context) (probe.Outcome, string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Now().Before(v.notUntil) {
		return probe.Refused, notItsPassword
	}
	if v.cookie != nil && time.Since(v.signedIn) < SignInEvery {
		res, err := v.do(ctx, http.MethodGet, nil)
		if err != nil {
			return probe.Unreachable, missing(ctx, err, "The panel")
		}
		if res.StatusCode == http.StatusOK {
			return probe.Answered, ""
		}
	}
	return v.signIn(ctx)
}

func (v *PanelVisitor) signIn(ctx context.Context) (probe.Outcome, string) {
	body, err := json.Marshal(map[string]string{"email": v.Email, "password": v.Password})
	if err != nil {
		return probe.Refused, "The probe's account cannot be written."
	}
	res, err := v.do(ctx, http.MethodPost, body)
	for errors.Is(err, syscall.ECONNREFUSED) && patience(ctx, 500*time.Millisecond) { // it may be starting
		res, err = v.do(ctx, http.MethodPost, body)
	}
	if err != nil {
		return probe.Unreachable, missing(ctx, err, "The panel")
	}
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		v.notUntil, v.cookie = time.Now().Add(lockOutSpared), nil
		return probe.Refused, notItsPassword
	case res.StatusCode == http.StatusNotFound:
		return probe.Unreachable, "There is no panel at its public address (HTTP 404)."
	case res.StatusCode != http.StatusOK:
		return probe.Refused, fmt.Sprintf("The panel refuses to let the probe sign in (HTTP %d).", res.StatusCode)
	}
	for _, c := range res.Cookies() {
		if c.Value != "" {
			v.cookie, v.signedIn = c, time.Now()
			return probe.Answered, ""
		}
	}
	return probe.Refused, "The panel answers a sign-in without a session."
}

// patience waits a moment, if there is one left after it.
func patience(ctx context.Context, d time.Duration) bool {
	if until, ok := ctx.Deadline(); ok && time.Until(until) < 2*d {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// do makes one request about the session; its body is not read. It follows no redirect: the panel has none there.
func (v *PanelVisitor) do(ctx context.Context, method string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(v.BaseURL, "/")+"/api/v1/session", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Lastcall probe")
	if v.cookie != nil {
		req.AddCookie(&http.Cookie{Name: v.cookie.Name, Value: v.cookie.Value})
	}
	res, err := v.Transport.RoundTrip(req)
	if err == nil {
		_ = res.Body.Close()
	}
	return res, err
}
