package main

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

	"lastcall/api"
	"lastcall/domain/access"
)

// faultsKnown is how long it takes until every process knows that a fault has ended.
const faultsKnown = 750 * time.Millisecond

// withFault does something while an edge function fails on purpose, and ends the fault whatever happens; it would end by
// itself after two minutes.
func (s *panelSmoke) withFault(ctx context.Context, function, kind string, do func(ctx context.Context) error) error {
	who := s.admin
	if ops := s.people[access.Ops]; ops != nil {
		who = ops
	}
	var fault struct{ ID string }
	_, err := who.call(ctx, http.MethodPost, "/faults", map[string]any{"edge_function": function, "kind": kind, "share": 1, "seconds": 120, "reason": "smoke test"}, &fault)
	if problem, ok := errors.AsType[*api.Problem](err); ok {
		switch {
		case problem.Status == http.StatusNotFound || problem.Status == http.StatusMethodNotAllowed:
			return cannotProve("this build puts no faults in the way")
		case problem.Code == "faults_in_production" || problem.Code == "fault_there":
			return cannotProve("%s cannot be made to fail here: %s", function, problem.Detail)
		}
	}
	if err != nil {
		return err
	}
	ended := false
	end := func(ctx context.Context) error {
		if ended {
			return nil
		}
		_, err := who.call(ctx, http.MethodDelete, "/faults/"+fault.ID+"?"+url.Values{"reason": {"smoke test"}}.Encode(), nil, &struct{}{})
		ended = err == nil
		return err
	}
	s.later("end the fault", end)
	if err := errors.Join(do(ctx), end(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	return pause(ctx, faultsKnown) // a process may still fail what comes before it has read that the fault is over
}

// probed has an edge function probed until it is in a state, and keeps what was found.
func (s *panelSmoke) probed(ctx context.Context, k *claims, function, state string, within time.Duration) error {
	var now struct{ State, Detail string }
	err := s.until(ctx, within, fmt.Sprintf("%s to be %s", function, state), func(ctx context.Context) (bool, error) {
		if _, err := s.admin.call(ctx, http.MethodPost, "/edge-functions/"+function+"/check", nil, &now); err != nil {
			return false, err
		}
		return now.State == state, nil
	})
	k.evidence[function] = map[string]string{"state": now.State, "detail": now.Detail}
	return err
}

// until asks again and again until something is so.
func (s *panelSmoke) until(ctx context.Context, within time.Duration, what string, so func(ctx context.Context) (bool, error)) error {
	for end := time.Now().Add(within); ; {
		done, err := so(ctx)
		if err != nil || done {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %s in vain for %s", within, what)
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}

// post is a POST whose answer is no JSON.
func (s *panelSmoke) post(ctx context.Context, c *apiClient, path string, in any) ([]byte, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	res, _, err := c.open(ctx, http.MethodPost, path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	return io.ReadAll(io.LimitReader(res.Body, 4<<20))
}

// keyedHeader is a POST with an Idempotency-Key, which tells the answer's header, too.
func (s *panelSmoke) keyedHeader(ctx context.Context, c *apiClient, path, key string, in, out any) (http.Header, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	res, _, err := c.open(ctx, http.MethodPost, path, http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {key}}, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	return res.Header, json.NewDecoder(io.LimitReader(res.Body, 4<<20)).Decode(out)
}

// keyed is a POST with an Idempotency-Key.
func (s *panelSmoke) keyed(ctx context.Context, c *apiClient, path, key string, in, out any) error {
	_, err := s.keyedHeader(ctx, c, path, key, in, out)
	return err
}
