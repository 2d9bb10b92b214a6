package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/approval"
	"lastcall/store"
)

// create makes a campaign, once: the call may be repeated by what lies between.
func (c *apiClient) create(ctx context.Context, n api.NewCampaign) (made api.Campaign, err error) {
	body, err := json.Marshal(n)
	if err != nil {
		return made, err
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {uuid.NewString()}}
	_, err = c.send(ctx, http.MethodPost, "/campaigns", header, bytes.NewReader(body), &made)
	return made, err
}

// start starts a campaign and says what somebody should know, and so when it has not taken effect yet.
func (o *output) start(ctx context.Context, c *apiClient, id string, at *time.Time) (started api.Campaign, err error) {
	var check store.Check
	if err := c.get(ctx, "/campaigns/"+id+"/preflight", nil, &check); err != nil {
		return started, err
	}
	for _, w := range check.Warnings {
		o.say("note: %s", w.Message)
	}
	status, err := c.call(ctx, http.MethodPost, "/campaigns/"+id+"/start", api.StartOrder{SendAt: at}, &started)
	if p, refused := errors.AsType[*api.Problem](err); refused && p.Code == approval.Required {
		err = unapproved(ctx, c, id, err)
	}
	if err == nil {
		o.pending(ctx, c, status, "start")
	}
	return started, err
}

// pending tells of an order that is safely noted but has had no effect yet, and why, if the API knows.
func (o *output) pending(ctx context.Context, c *apiClient, status int, order string) {
	if status != http.StatusAccepted {
		return
	}
	why := c.missing(ctx)
	if why != "" {
		why = " (" + why + ")"
	}
	o.say("%s: safely noted, has not taken effect yet%s", order, why)
}

// targetPages reads a campaign's targets page by page.
type targetPages struct {
	client *apiClient
	id     string
	state  string
	reveal bool   // whole numbers, for a program
	left   int    // how many are still wanted; 0 for all there are
	after  string // the cursor
	done   bool
}

func (p *targetPages) fetch(ctx context.Context) ([]api.Target, error) {
	const most = 500
	query := url.Values{"limit": {strconv.Itoa(most)}}
	if p.left > 0 && p.left < most {
		query.Set("limit", strconv.Itoa(p.left))
	}
	if p.state != "" {
		query.Set("state", p.state)
	}
	if p.after != "" {
		query.Set("after", p.after)
	}
	if p.reveal {
		query.Set("reveal", "true")
	}
	var page api.TargetPage
	if err := p.client.get(ctx, "/campaigns/"+p.id+"/targets", query, &page); err != nil {
		return nil, err
	}
	p.after = page.Next
	limited := p.left > 0
	p.left -= len(page.Targets)
	p.done = page.Next == "" || limited && p.left <= 0
	return page.Targets, nil
}
