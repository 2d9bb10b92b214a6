package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"lastcall/api"
)

// visitor is an account that the commands of this process act as: --as. It signs in with the first call, as a
// browser does, and out when the command is done; its session is kept nowhere.
type visitor struct {
	credentials api.Credentials

	mu     sync.Mutex // guards what follows
	client *apiClient
	cookie *http.Cookie // nil: not signed in
}

// asAccount makes a client act as one of the accounts that lastcall up made. What it may is what that account may:
// the API knows no acting for others.
func (sh *shell) asAccount(c *apiClient) error {
	up, err := sh.readUpFile()
	if err != nil {
		return fmt.Errorf("--as signs in with a password of up.json: %w", err)
	}
	if c.base != up.API {
		return fmt.Errorf("--as signs in where lastcall up runs, at %s, and LASTCALL_API is another place", up.API)
	}
	if sh.visitor == nil {
		for _, a := range up.Accounts {
			if strings.EqualFold(a.Email, sh.as) {
				sh.visitor = &visitor{credentials: api.Credentials{Email: a.Email, Password: a.Password}}
			}
		}
	}
	if sh.visitor == nil {
		known := make([]string, len(up.Accounts))
		for i, a := range up.Accounts {
			known[i] = a.Email
		}
		return usageError{fmt.Errorf("up.json has no password of %s; it has those of %s", sh.as, strings.Join(known, ", "))}
	}
	c.visitor = sh.visitor
	return nil
}

// identify puts into a request who sends it.
func (v *visitor) identify(ctx context.Context, c *apiClient, req *http.Request) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cookie == nil {
		if err := v.signIn(ctx, c); err != nil {
			return fmt.Errorf("sign in as %s: %w", v.credentials.Email, err)
		}
	}
	req.AddCookie(v.cookie)
	return nil
}

func (v *visitor) signIn(ctx context.Context, c *apiClient) error {
	body, err := json.Marshal(v.credentials)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+api.Prefix+"/session", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "lastcall/cli")
	res, err := c.http.Do(req)
	if err != nil {
		return c.silent(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		return c.refusal(res)
	}
	if len(res.Cookies()) == 0 {
		return c.strange(res.Status)
	}
	v.client, v.cookie = c, res.Cookies()[0]
	return nil
}

// signOut ends the session, if there is one. One that stays behind ends by itself.
func (v *visitor) signOut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cookie == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // also after Ctrl-C
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, v.client.base+api.Prefix+"/session", nil)
	if err != nil {
		return
	}
	req.AddCookie(v.cookie)
	v.cookie = nil
	if res, err := v.client.http.Do(req); err == nil {
		_ = res.Body.Close()
	}
}
