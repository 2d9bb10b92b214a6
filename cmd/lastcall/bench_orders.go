package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/store"
	"lastcall/workflows"
)

const orderRepeats = 5

// pause pauses a campaign at full speed, again and again: from the order until both the answer is there and
// the last message has come.
func (b *bench) pause(ctx context.Context) error {
	const delay = 20 * time.Millisecond
	s := b.stack
	id, err := s.draft(ctx, max(b.targets, 10_000))
	if err != nil {
		return err
	}
	s.sink.reset(delay)
	if _, err := s.start(ctx, id); err != nil {
		return err
	}
	path := "/campaigns/" + id.String()
	var slowest time.Duration
	for range orderRepeats {
		if _, err := s.sink.await(ctx, len(s.sink.times())+1000); err != nil {
			return err
		}
		asked := time.Now()
		var paused api.Campaign
		status, err := s.api.call(ctx, http.MethodPost, path+"/pause", api.Order{Reason: "bench"}, &paused)
		if err != nil {
			return err
		}
		took := time.Since(asked)
		if status != http.StatusOK || paused.Boundary == nil || paused.Boundary.InFlight != 0 {
			return fmt.Errorf("the pause had not taken effect when it was answered (%d)", status)
		}
		had := len(s.sink.times())
		if int64(had) != paused.Boundary.Accepted {
			return fmt.Errorf("the boundary says %d messages, %d have come", paused.Boundary.Accepted, had)
		}
		slowest = max(slowest, took)
		if _, err := s.api.call(ctx, http.MethodPost, path+"/resume", api.Order{}, &paused); err != nil {
			return err
		}
	}
	if _, err := s.api.call(ctx, http.MethodPost, path+"/stop", api.Order{}, &api.Campaign{}); err != nil {
		return err
	}
	if _, err := s.until(ctx, id, ended); err != nil {
		return err
	}
	b.atMost(1, benchFigure{Bench: "pause", Name: "pause until nothing is in flight", Value: slowest.Seconds(), Unit: "s",
		Basis: fmt.Sprintf("the slowest of %d, sink at 20 ms", orderRepeats)})
	return nil
}

// wake changes a setting that a campaign waits for: from the request until the first message.
func (b *bench) wake(ctx context.Context) error {
	s := b.stack
	var slowest time.Duration
	for i := range orderRepeats {
		s.sink.reset(0)
		kigali := time.Now().In(time.FixedZone("CAT", 2*60*60))
		key, open, reason := "quiet_hours", `{}`, policy.InQuietHours
		closed := fmt.Sprintf(`{"RW":{"start":"%s","end":"%s"}}`, kigali.Add(-time.Hour).Format("15:04"), kigali.Add(4*time.Hour).Format("15:04"))
		if i%2 == 1 {
			key, open, reason = "throttle", `{"whatsapp":{"per_minute":6000000}}`, policy.Throttled
			closed = `{"whatsapp":{"per_minute":0}}`
		}
		if _, err := s.set(ctx, key, closed); err != nil {
			return err
		}
		id, err := s.draft(ctx, 100)
		if err != nil {
			return err
		}
		if _, err := s.start(ctx, id); err != nil {
			return err
		}
		if _, err := s.until(ctx, id, func(p store.Progress) bool {
			return p.Status == campaign.Running && len(p.Waits) > 0 && p.Waits[0].Reason == reason
		}); err != nil {
			return err
		}
		if err := s.asleep(ctx, id); err != nil {
			return err
		}
		if len(s.sink.times()) > 0 {
			return errors.New("a message came through a closed rule")
		}
		asked, err := s.set(ctx, key, open)
		if err != nil {
			return err
		}
		first, err := s.sink.await(ctx, 1)
		if err != nil {
			return err
		}
		slowest = max(slowest, first.Sub(asked))
		if _, err := s.until(ctx, id, ended); err != nil {
			return err
		}
	}
	b.atMost(1, benchFigure{Bench: "wake", Name: "settings change until the first send", Value: slowest.Seconds(), Unit: "s",
		Basis: fmt.Sprintf("the slowest of %d: quiet hours lifted, throttle raised from 0", orderRepeats)})
	return nil
}

// asleep waits until a campaign's workflow has nothing to do but to wait.
func (s *benchStack) asleep(ctx context.Context, id uuid.UUID) error {
	for {
		d, err := s.dialed.DescribeWorkflowExecution(ctx, workflows.CampaignID(id), "")
		if err != nil || len(d.PendingActivities) == 0 && d.PendingWorkflowTask == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
