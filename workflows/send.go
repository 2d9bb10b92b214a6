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

// Send looks after one message to one person until it has gone or will not go: it tries, waits out what the policy or the
// provider has it wait for, and tries again. It wakes at once when settings change, the person opts out, or somebody cancels.
// What came of it is in Postgres, where receipts go as well.
func Send(ctx workflow.Context, in SendInput) error {
	s := &sendRun{SendInput: in}
	s.listen(ctx)
	err := s.run(ctx)
	if err != nil && !workflow.IsContinueAsNewError(err) {
		return errors.Join(err, s.fail(ctx, err))
	}
	return err
}

// sends names activities by method value; the worker has the real one.
var sends *activities.Sends

type sendRun struct {
	SendInput
	heard   int // messages so far
	blocker string
}

// listen counts the messages that say to look again.
func (s *sendRun) listen(ctx workflow.Context) {
	told := workflow.GetSignalChannelWithOptions(ctx, LookAgain, workflow.SignalChannelOptions{
		Description: "look again: settings changed, the person opted out, or somebody cancelled"})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for told.Receive(ctx, nil) {
			s.heard++
		}
	})
}

// run is the story of a send.
func (s *sendRun) run(ctx workflow.Context) error {
	for {
		heard := s.heard
		s.Tries++
		in := activities.TrySendInput{SendID: s.SendID, Run: s.Run, Try: s.Tries}
		out, err := run(ctx, trySend(fmt.Sprintf("try %d", s.Tries)), sends.TrySend, in)
		if err != nil {
			return err
		}
		s.show(ctx, out)
		if out.State != campaign.Queued {
			return nil
		}
		if err := s.wait(ctx, heard, out.Wait); err != nil {
			return err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return workflow.NewContinueAsNewError(ctx, Send, s.SendInput)
		}
	}
}

// trySend is for one try. A lost worker is noticed when its time is over.
func trySend(summary string) workflow.ActivityOptions {
	options := control(summary, 90*time.Second)
	options.TaskQueue = DispatchQueue
	return options
}

// wait waits until a message has come since `heard`, or for as long as the wait lasts. Its timer tells why.
func (s *sendRun) wait(ctx workflow.Context, heard int, w activities.Wait) error {
	woken := func() bool { return s.heard != heard }
	if w.For == 0 || woken() {
		return workflow.Await(ctx, woken)
	}
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel() // a bare Await would leave its timer behind
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: w.For, TimerOptions: workflow.TimerOptions{Summary: w.Why}}, woken)
	return err
}

// fail ends a send that cannot go on: its workflow was cancelled from outside, or something is wrong with us.
func (s *sendRun) fail(ctx workflow.Context, why error) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	reason := "internal"
	if app := (*temporal.ApplicationError)(nil); errors.As(why, &app) && app.Type() != "" {
		reason = app.Type()
	} else if temporal.IsCanceledError(why) {
		reason = "workflow_cancelled"
	}
	_, err := run(ctx, control("fails", time.Minute), sends.FailSend, activities.FailSendInput{SendID: s.SendID, Run: s.Run, Reason: reason})
	return err
}

// show tells Ops in Temporal Web how the send stands.
func (s *sendRun) show(ctx workflow.Context, out activities.TrySendResult) {
	details := fmt.Sprintf("**%s**", out.State)
	if out.Wait.Why != "" {
		details += " · " + out.Wait.Why
	} else if out.Why != "" {
		details += " · " + out.Why
	}
	if out.Wait.NeedsHuman {
		details += "\n\nSomebody must mend this; then the message goes on by itself."
	}
	workflow.SetCurrentDetails(ctx, details)
	changed := []temporal.SearchAttributeUpdate{AttrState.ValueSet(string(out.State)), AttrNeedsHuman.ValueSet(out.Wait.NeedsHuman)}
	if out.Wait.Reason != s.blocker {
		s.blocker = out.Wait.Reason
		attr := AttrBlocker.ValueUnset()
		if s.blocker != "" {
			attr = AttrBlocker.ValueSet(s.blocker)
		}
		changed = append(changed, attr)
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, changed...); err != nil {
		workflow.GetLogger(ctx).Warn("search attribute not set", "error", err)
	}
}
