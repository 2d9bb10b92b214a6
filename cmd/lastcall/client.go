package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lastcall/api"
)

// apiClient speaks to the API.
type apiClient struct {
	base  string
	token string
	http  http.Client

	visitor *visitor // whom --as names; nil: the token's
}

// client finds the API: LASTCALL_API and LASTCALL_TOKEN, else the lastcall up of the data directory. With --as it
// calls as that account.
func (sh *shell) client() (*apiClient, error) {
	c := &apiClient{base: os.Getenv("LASTCALL_API"), token: os.Getenv("LASTCALL_TOKEN")}
	if c.base == "" {
		up, err := sh.readUpFile()
		if err != nil {
			return nil, err
		}
		c.base = up.API
		if c.token == "" && sh.as == "" {
			c.token = up.Token
		}
	}
	c.base = strings.TrimRight(c.base, "/")
	if u, err := url.Parse(c.base); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("LASTCALL_API must be an http:// or https:// address")
	}
	if sh.as != "" {
		return c, sh.asAccount(c)
	}
	if c.token == "" {
		return nil, errors.New("LASTCALL_TOKEN is needed with LASTCALL_API")
	}
	return c, nil
}

func (sh *shell) readUpFile() (up upFile, err error) {
	dir := sh.dataDir
	if dir == "" {
		c, err := sh.config()
		if err != nil {
			return up, err
		}
		dir = c.DataDir
	}
	content, err := os.ReadFile(filepath.Join(dir, upFileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return up, fmt.Errorf("lastcall up does not run for %s: start it, or set LASTCALL_API and LASTCALL_TOKEN", dir)
	case err != nil:
		return up, fmt.Errorf("read where the API is: %w", err)
	case json.Unmarshal(content, &up) != nil || up.API == "": // the error might quote the token
		return up, fmt.Errorf("%s is damaged", filepath.Join(dir, upFileName))
	}
	return up, nil
}

// unreachable is the error for an API that gave no answer of its own. It may with the next call.
type unreachable struct{ what string }

func (e unreachable) Error() string { return e.what }

func (c *apiClient) silent(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the address, which is said already
	}
	if wrapped, ok := errors.AsType[*net.OpError](err); ok {
		err = wrapped.Err
	}
	return unreachable{fmt.Sprintf("the API at %s does not answer (%v)", c.base, err)}
}

func (c *apiClient) strange(status string) error {
	return unreachable{fmt.Sprintf("what answers at %s is not Lastcall's API (%s)", c.base, status)}
}

// errInterrupted is what a call ends with that somebody gave up.
var errInterrupted = errors.New("interrupted")

// callWithin is how long one call may take; uploads take what they take.
const callWithin = 60 * time.Second

// call does one call with JSON in and out and returns the status. What the API refuses comes back as
// *api.Problem, no answer as unreachable.
func (c *apiClient) call(ctx context.Context, method, path string, in, out any) (int, error) {
	return c.order(ctx, method, path, http.Header{}, in, out)
}

// order is call with headers, like the key that makes it happen once, whatever lies between repeats.
func (c *apiClient) order(ctx context.Context, method, path string, header http.Header, in, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(raw)
		header.Set("Content-Type", "application/json")
	}
	return c.send(ctx, method, path, header, body, out)
}

// get is call for what only asks.
func (c *apiClient) get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	_, err := c.call(ctx, http.MethodGet, path, nil, out)
	return err
}

func (c *apiClient) send(ctx context.Context, method, path string, header http.Header, body io.Reader, out any) (int, error) {
	header.Set("Accept", "application/json")
	res, status, err := c.open(ctx, method, path, header, body)
	if err != nil {
		return status, err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return res.StatusCode, c.strange(res.Status)
	}
	return res.StatusCode, nil
}

// discard does one call with JSON in, whose answer is empty.
func (c *apiClient) discard(ctx context.Context, method, path string, in any) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	res, _, err := c.open(ctx, method, path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// open does one call whose answer the caller reads, and closes, itself.
func (c *apiClient) open(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+api.Prefix+path, body)
	if err != nil {
		return nil, 0, err
	}
	req.Header = header
	if c.visitor == nil && c.token != "" { // else it is a station's, which has its cookies
		req.Header.Set("Authorization", "Bearer "+c.token)
	} else if c.visitor == nil {
		req.Header.Set("User-Agent", "lastcall/cli")
	} else if err := c.visitor.identify(ctx, c, req); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			err = errInterrupted
		}
		return nil, 0, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, 0, errInterrupted
		}
		return nil, 0, c.silent(err)
	}
	if res.StatusCode/100 != 2 {
		defer func() { _ = res.Body.Close() }()
		return nil, res.StatusCode, c.refusal(res)
	}
	return res, res.StatusCode, nil
}

// refusal is the problem that an answer tells.
func (c *apiClient) refusal(res *http.Response) error {
	var p api.Problem
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&p); err != nil || p.Code == "" {
		return c.strange(res.Status)
	}
	return &p
}

// missing asks what keeps the API from starting campaigns now, "" if nothing does or nobody knows.
func (c *apiClient) missing(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/readyz", nil)
	if err != nil {
		return ""
	}
	res, err := c.http.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	var r api.Readiness
	if json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&r) != nil {
		return ""
	}
	var wrong []string
	for _, part := range []string{"database", "temporal", "worker", "messaging"} {
		if what := r.Checks[part]; what != "" && what != "ok" {
			wrong = append(wrong, what)
		}
	}
	return strings.Join(wrong, "; ")
}
