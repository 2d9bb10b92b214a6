package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/campaign"
)

// Campaign sees one campaign through: it waits for the send time, checks, dispatches through lanes,
// waits out quiet hours and throttles, obeys pause, resume and stop at any moment, settles and reports.
func Campaign(ctx workflow.Context, in CampaignInput) error {
	c := &campaignRun{CampaignInput: in}
	if err := c.setup(ctx); err != nil {
		return err
	}
	err := c.run(ctx)
	if err == nil || workflow.IsContinueAsNewError(err) {
		return err
	}
	return c.fail(ctx, err)
}

// CampaignState is what a campaign carries from run to run.
type CampaignState struct {
	Status  campaign.Status `json:"status"`
	Paused  bool            `json:"paused,omitempty"`
	Stopped bool            `json:"stopped,omitempty"`
	Batches int             `json:"batches,omitempty"` // given out so far; their numbers name the owners of targets
	Lanes   int             `json:"lanes,omitempty"`
	Wide    bool            `json:"wide,omitempty"` // one lane was not enough
	Problem string          `json:"problem,omitempty"`

	Cleared    bool `json:"cleared,omitempty"`    // it may send: nobody has to approve it, or somebody had when it began
	Unapproved bool `json:"unapproved,omitempty"` // it is paused because nobody has, and by nobody's order
}

type campaignRun struct {
	CampaignInput
	changes int    // bumped by every message; whoever waits compares
	blocker string // the search attribute as it stands
	stuck   bool   // what it waits for needs a human; the search attribute as it stands
	claims  int    // messages that say it was approved, and are being looked into
}

// setup registers the handlers before anything else, so that no message finds nobody.
func (c *campaignRun) setup(ctx workflow.Context) error {
	if c.State.Status == "" {
		c.State.Status = campaign.Scheduled
	}
	if err := workflow.SetQueryHandlerWithOptions(ctx, QueryState, func() (CampaignState, error) { return c.State, nil },
		workflow.QueryHandlerOptions{Description: "Where the campaign is. Its figures are in Postgres."}); err != nil {
		return err
	}
	for _, o := range []struct {
		name, description string
		take              func()
		taken             func() bool
	}{
		{OrderPause, "Stops sending; answers when nothing is in flight.",
			func() { c.State.Paused, c.State.Unapproved = true, false }, func() bool { return c.State.Status == campaign.Paused }},
		{OrderResume, "Goes on where it was paused.",
			func() { c.State.Paused, c.State.Unapproved = false, false }, func() bool { return c.State.Status != campaign.Paused }},
		{OrderStop, "Ends the campaign; what is queued is cancelled. Final.",
			func() { c.State.Stopped = true }, func() bool { return c.State.Status == campaign.Settling }},
	} {
		if err := workflow.SetUpdateHandlerWithOptions(ctx, o.name, func(ctx workflow.Context) (campaign.Status, error) {
			o.take()
			c.changes++
			err := workflow.Await(ctx, func() bool { return o.taken() || c.State.Status == campaign.Settling || c.State.Status.Ended() })
			if err == nil && !o.taken() {
				err = c.tooLate() // it met the end of the campaign
			}
			return c.State.Status, err
		}, workflow.UpdateHandlerOptions{Description: o.description, Validator: func(workflow.Context) error {
			if c.State.Status == campaign.Settling || c.State.Status.Ended() || c.State.Stopped && o.name != OrderStop {
				return c.tooLate()
			}
			return nil
		}}); err != nil {
			return err
		}
	}
	settings := workflow.GetSignalChannelWithOptions(ctx, SettingsChanged,
		workflow.SignalChannelOptions{Description: "Settings were saved, or something was suspended or goes on: what it waits for may have passed."})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for settings.Receive(ctx, nil) {
			c.changes++
		}
	})
	approvals := workflow.GetSignalChannelWithOptions(ctx, Approve,
		workflow.SignalChannelOptions{Description: "Says that somebody has approved the campaign, by the approval's id, which is looked up. One that does not hold changes nothing."})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var claim Approved
			if !approvals.Receive(ctx, &claim) {
				return
			}
			c.claims++
			c.approved(ctx, claim)
			c.claims--
		}
	})
	return nil
}

// approved looks into the claim that somebody has approved the campaign. If that is so it begins with this approval, at
// once if only one was missing. Nobody is asked once it has begun, but a forged claim is found out then, too.
func (c *campaignRun) approved(ctx workflow.Context, claim Approved) {
	in := activities.VerifyApprovalInput{CampaignID: c.CampaignID, Resend: c.Resend, Approval: claim.ApprovalID, Claimed: true}
	found, err := run(ctx, control("is it approved?", 10*time.Second), acts.VerifyApproval, in)
	if err != nil || found.Problem != "" {
		workflow.GetLogger(ctx).Warn("no such approval", "problem", found.Problem, "error", err)
		return
	}
	c.Approval = claim.ApprovalID
	if c.State.Unapproved {
		c.State.Paused, c.State.Unapproved = false, false
		c.changes++
	}
}

func (c *campaignRun) tooLate() error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("too late: the campaign is %s", c.State.Status), "wrong_state", nil)
}

// run is the story of a campaign.
func (c *campaignRun) run(ctx workflow.Context) error {
	for !c.State.Status.Ended() {
		var err error
		switch {
		case c.full(ctx):
			// A settings signal not yet read would only wake, and the new run looks at everything anyway.
			return workflow.NewContinueAsNewError(ctx, Campaign, c.CampaignInput)
		case c.State.Status == campaign.Settling:
			err = c.settle(ctx)
		case c.State.Stopped:
			err = c.stop(ctx)
		case c.State.Paused && c.State.Status != campaign.Paused:
			err = c.become(ctx, campaign.Paused, "")
		case c.State.Status == campaign.Paused:
			err = c.pause(ctx)
		case c.State.Status == campaign.Scheduled:
			err = c.schedule(ctx)
		case c.State.Status == campaign.Preflight:
			err = c.preflight(ctx)
		case c.State.Status == campaign.Running:
			err = c.dispatch(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// schedule waits for the time to send.
func (c *campaignRun) schedule(ctx workflow.Context) error {
	if c.SendAt != nil && workflow.Now(ctx).Before(*c.SendAt) {
		summary := "scheduled for " + c.SendAt.UTC().Format("2 Jan 2006 15:04:05 UTC")
		c.explain(ctx, "scheduled", summary)
		return c.waitFor(ctx, c.changes, c.SendAt.Sub(workflow.Now(ctx)), summary)
	}
	return c.become(ctx, campaign.Preflight, "")
}

// preflight checks whether it may go, and pauses for a human if it may not. Before it begins to send it has to be
// approved, if it has to be at all; what happened to the approval since the start counts.
func (c *campaignRun) preflight(ctx workflow.Context) error {
	if !c.State.Cleared && workflow.GetVersion(ctx, "verify-approval", workflow.DefaultVersion, 1) > workflow.DefaultVersion {
		in := activities.VerifyApprovalInput{CampaignID: c.CampaignID, Resend: c.Resend, Approval: c.Approval}
		found, err := run(ctx, control("is it approved?", 10*time.Second), acts.VerifyApproval, in)
		if err != nil {
			return err
		}
		if found.Problem != "" && in.Approval != c.Approval {
			return nil // another one has come meanwhile
		}
		if found.Problem != "" {
			c.State.Paused, c.State.Unapproved = true, true
			return c.become(ctx, campaign.Paused, found.Problem)
		}
		c.State.Cleared = true
	}
	check, err := run(ctx, control("preflight", time.Minute), acts.Preflight, c.CampaignID)
	if err != nil {
		return err
	}
	c.State.Lanes = check.Lanes
	if check.Problem == "" {
		return c.become(ctx, campaign.Running, "")
	}
	c.State.Paused = true
	return c.become(ctx, campaign.Paused, check.Problem)
}

// pause waits for somebody to resume or stop it. It resumes by being checked again.
func (c *campaignRun) pause(ctx workflow.Context) error {
	if c.State.Paused {
		why := "paused by hand"
		if c.State.Problem != "" {
			why = "needs a human: " + c.State.Problem
		}
		c.explain(ctx, "paused", why)
		return c.waitFor(ctx, c.changes, 0, why)
	}
	if c.SendAt != nil && workflow.Now(ctx).Before(*c.SendAt) {
		return c.become(ctx, campaign.Scheduled, "")
	}
	return c.become(ctx, campaign.Preflight, "")
}

// dispatch lets the lanes work until nothing is ready, then waits for the first thing that will be.
func (c *campaignRun) dispatch(ctx workflow.Context) error {
	seen := c.changes
	out, err := c.lanes(ctx)
	switch {
	case err != nil || c.State.Paused || c.State.Stopped:
		return err
	case out.Problem != "":
		c.State.Paused = true
		return c.become(ctx, campaign.Paused, out.Problem)
	case out.More:
		c.explain(ctx, "", "")
		return nil
	case out.Drained:
		if err := c.become(ctx, campaign.Settling, ""); !saysNotDrained(err) {
			return err
		}
		return nil // something came back to the queue
	case out.Gate != campaign.GateOpen:
		// The order that closed the gate is on its way, unless this run was reset to a point before it.
		err := c.waitFor(ctx, seen, 10*time.Second, "the order behind a closed gate")
		if err == nil && c.changes == seen && !c.full(ctx) && workflow.GetVersion(ctx, "obey-the-gate", workflow.DefaultVersion, 1) > workflow.DefaultVersion {
			c.State.Paused, c.State.Stopped = out.Gate == campaign.GatePaused, out.Gate == campaign.GateStopped
		}
		return err
	}
	c.State.Wide = false
	c.explainStuck(ctx, out.Wait.Reason, out.Wait.Why, out.Wait.NeedsHuman)
	return c.waitFor(ctx, seen, out.Wait.For, out.Wait.Why)
}

// lanes runs one lane, or all of them once one was not enough, until each has nothing ready. Of what they
// found it returns what matters most: a problem, a closed gate, more to do, a wait, and last that nothing is
// left, which is only true if all say so.
func (c *campaignRun) lanes(ctx workflow.Context) (out activities.DispatchResult, err error) {
	rank := func(r activities.DispatchResult) int {
		switch {
		case r.Problem != "":
			return 4
		case r.Gate != campaign.GateOpen:
			return 3
		case r.More:
			return 2
		case !r.Drained:
			return 1
		}
		return 0
	}
	out = activities.DispatchResult{Gate: campaign.GateOpen, Drained: true}
	n := 1
	if c.State.Wide {
		n = c.State.Lanes
	}
	working := workflow.NewWaitGroup(ctx)
	for lane := range n {
		working.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer working.Done()
			for {
				c.State.Batches++
				in := activities.DispatchInput{CampaignID: c.CampaignID, Resend: c.Resend, Lane: lane, Batch: c.State.Batches, Alone: n == 1}
				result, failure := run(ctx, dispatch(fmt.Sprintf("lane %d, batch %d", lane, in.Batch)), acts.DispatchBatch, in)
				if failure != nil {
					err = errors.Join(err, failure)
					return
				}
				if n > 1 && result.More && out.Problem == "" && err == nil && !c.State.Paused && !c.State.Stopped && !c.full(ctx) {
					continue
				}
				if rank(result) >= rank(out) {
					out = result
				}
				return
			}
		})
	}
	working.Wait(ctx)
	c.State.Wide = c.State.Wide || out.More
	return out, err
}

func saysNotDrained(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.Type() == "not_drained"
}

// stop cancels what is queued. The lanes have drained.
func (c *campaignRun) stop(ctx workflow.Context) error {
	c.explain(ctx, "stopped", "stopped by hand")
	if _, err := run(ctx, batch("cancel what is queued", time.Hour), acts.CancelQueued, c.CampaignID); err != nil {
		return err
	}
	return c.become(ctx, campaign.Settling, "")
}

// settle waits for receipts, and ends with the report.
func (c *campaignRun) settle(ctx workflow.Context) error {
	c.explain(ctx, "receipts", "everything that may go has gone; waiting for receipts")
	since := workflow.Now(ctx)
	for settled := false; !settled; {
		var err error
		in := activities.SettleInput{CampaignID: c.CampaignID, Since: since}
		if settled, err = run(ctx, batch("receipts", 24*time.Hour), acts.Settle, in); err != nil {
			return err
		}
	}
	end := campaign.Done
	if c.State.Stopped {
		end = campaign.Stopped
	}
	return c.finish(ctx, end, "")
}

// fail ends a campaign that cannot go on. Rows in flight stay as they are: nobody knows better.
func (c *campaignRun) fail(ctx workflow.Context, why error) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	reason := "the workflow failed"
	if app := (*temporal.ApplicationError)(nil); errors.As(why, &app) {
		reason = app.Message()
	} else if temporal.IsCanceledError(why) {
		reason = "the workflow was cancelled from outside"
	}
	return errors.Join(why, c.finish(ctx, campaign.Failed, reason))
}

func (c *campaignRun) finish(ctx workflow.Context, end campaign.Status, needsHuman string) error {
	in := activities.FinishInput{CampaignID: c.CampaignID, Resend: c.Resend, Status: end, NeedsHuman: needsHuman}
	if _, err := run(ctx, control("report", time.Minute), acts.Finish, in); err != nil {
		return err
	}
	return c.show(ctx, end, needsHuman)
}

// become enters a status: first in Postgres, then here and where Ops look.
func (c *campaignRun) become(ctx workflow.Context, to campaign.Status, needsHuman string) error {
	in := activities.AdvanceInput{CampaignID: c.CampaignID, Resend: c.Resend, Status: to, NeedsHuman: needsHuman}
	if _, err := run(ctx, control("becomes "+string(to), 10*time.Second), acts.Advance, in); err != nil {
		return err
	}
	return c.show(ctx, to, needsHuman)
}

func (c *campaignRun) show(ctx workflow.Context, status campaign.Status, needsHuman string) error {
	c.State.Status, c.State.Problem = status, needsHuman
	c.explain(ctx, "", "")
	return workflow.UpsertTypedSearchAttributes(ctx, AttrState.ValueSet(string(status)), AttrNeedsHuman.ValueSet(needsHuman != ""))
}

// explain tells Ops in Temporal Web what the campaign waits for.
func (c *campaignRun) explain(ctx workflow.Context, blocker, why string) {
	c.explainStuck(ctx, blocker, why, false)
}

// explainStuck is explain, and whether somebody has to mend something before it goes on by itself.
func (c *campaignRun) explainStuck(ctx workflow.Context, blocker, why string, stuck bool) {
	details := fmt.Sprintf("**%s**", c.State.Status)
	if why != "" {
		details += " · " + why
	}
	switch {
	case c.State.Unapproved:
		details += "\n\nSomebody must ask for approval, and somebody else give it; then the campaign goes on by itself."
	case c.State.Problem != "":
		details += "\n\nSomebody must mend this, then resume or stop the campaign."
	case stuck:
		details += "\n\nSomebody must mend this; then the campaign goes on by itself."
	}
	workflow.SetCurrentDetails(ctx, details)
	var changed []temporal.SearchAttributeUpdate
	if blocker != c.blocker {
		attr := AttrBlocker.ValueUnset()
		if blocker != "" {
			attr = AttrBlocker.ValueSet(blocker)
		}
		changed = append(changed, attr)
	}
	if stuck != c.stuck {
		changed = append(changed, AttrNeedsHuman.ValueSet(stuck || c.State.Problem != ""))
	}
	c.blocker, c.stuck = blocker, stuck
	if len(changed) == 0 {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, changed...); err != nil {
		workflow.GetLogger(ctx).Warn("search attribute not set", "error", err)
	}
}

// waitFor waits until a message has come since `seen`, or for so long (0: for ever). Its timer tells why.
func (c *campaignRun) waitFor(ctx workflow.Context, seen int, long time.Duration, why string) error {
	woken := func() bool { return c.changes != seen || c.full(ctx) }
	if long == 0 || woken() {
		return workflow.Await(ctx, woken)
	}
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel() // a bare Await would leave its timer behind
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: long, TimerOptions: workflow.TimerOptions{Summary: why}}, woken)
	return err
}

// full reports whether it is time to begin a new history: this one is long, and no order waits for its
// answer.
func (c *campaignRun) full(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx) && c.claims == 0
}
