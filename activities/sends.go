package activities

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/store"
)

// Sends are the activities of single sends. They send as campaigns do, with all that those have learnt of the channel.
type Sends struct{ Campaigns *Campaigns }

// TrySendInput is one try at a single send.
type TrySendInput struct {
	SendID uuid.UUID `json:"send_id"`
	Run    int       `json:"run,omitempty"` // how often it was ordered again
	Try    int       `json:"try"`           // never given out twice in a workflow's run
}

// TrySendResult says what became of it.
type TrySendResult struct {
	State campaign.TargetState `json:"state"`          // Queued: it waits
	Wait  Wait                 `json:"wait,omitzero"`  // Queued: for what, and how long
	Why   string               `json:"why,omitempty"`  // a stable reason for anything but sent
	Code  int                  `json:"code,omitempty"` // the provider's
}

// trySendFor is how long a try may go on over short waits; then it is given back, to be made anew.
const trySendFor = 20 * time.Second

// TrySend takes a single send through the policy, gets its permit, sends it and records how that went. What the policy, or
// the provider, has wait is given back with the wait; a short one is sat out. A later attempt at the same try first finds
// out whether this one left the send in the middle: then nobody can tell whether it went, and it is unknown.
func (a *Sends) TrySend(ctx context.Context, in TrySendInput) (TrySendResult, error) {
	info := activity.GetInfo(ctx)
	b := &dispatchBatch{Campaigns: a.Campaigns, single: true,
		lane: store.SendHolder(in.SendID, info.WorkflowExecution.RunID, in.Try, int(info.Attempt))}
	end := time.Now().Add(trySendFor)
	for {
		turn, err := b.Store.TakeSend(ctx, b.lane, in.Run)
		if errors.Is(err, store.ErrFenced) {
			err = temporal.NewApplicationError("another attempt has the message", "fenced")
		}
		if err != nil {
			return TrySendResult{}, err
		}
		out := TrySendResult{State: turn.Send.State, Why: turn.Send.Reason, Code: turn.Send.ErrorCode}
		switch {
		case turn.Ended:
			return out, nil
		case turn.Probe != nil:
			b.channel = turn.Send.Channel
			if err := b.probe(ctx, turn.Claim); err != nil {
				return out, err
			}
		case len(turn.Targets) > 0:
			return b.sendSingle(ctx, turn)
		case len(turn.Waits) > 0:
			wait := turn.Waits[0]
			out.Wait = waitFor(&wait, turn.Now)
			out.Wait.NeedsHuman, out.Why = wait.NeedsHuman, string(wait.Reason)
			if out.Wait.For > sleptInside {
				out.Wait.For -= early
			}
			if out.Wait.For == 0 || out.Wait.For > sleptInside || time.Now().After(end) || stopping(ctx) {
				return out, nil
			}
			b.nap(ctx, min(out.Wait.For, 200*time.Millisecond)) // settings may change meanwhile
		default:
			if time.Now().After(end) || stopping(ctx) {
				out.Wait = Wait{Reason: "busy", For: time.Second, Why: "somebody else tries the channel"}
				return out, nil
			}
			b.nap(ctx, 100*time.Millisecond)
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
	}
}

// sendSingle sends what has a permit, and records how it went.
func (b *dispatchBatch) sendSingle(ctx context.Context, turn store.SendTurn) (TrySendResult, error) {
	ctx = context.WithoutCancel(ctx) // what has begun is finished
	t, err := b.Store.Template(ctx, turn.Send.TemplateID)
	if err == nil && turn.Send.VoucherID != nil {
		b.vouchers, turn.Targets[0].Voucher, err = b.offerOf(ctx, *turn.Send.VoucherID)
	}
	var end ending
	if err != nil { // it has not gone: the permit is lost, the message is not
		end = unsent(0, permitVoid)
	} else {
		b.template, b.channel = t.Domain(), turn.Send.Channel
		c := &chunk{claim: turn.Claim}
		ends := []ending{b.sendOne(ctx, c, turn.Targets[0])}
		b.settle(ctx, c, ends)
		end = ends[0]
	}
	if err := b.recordSingle(ctx, turn.Targets[0].MSISDN, end.Result); err != nil {
		return TrySendResult{}, err
	}
	out := TrySendResult{State: end.State, Why: end.Reason, Code: end.ErrorCode}
	if end.State == campaign.Queued {
		out.Wait = Wait{Reason: string(store.ProviderRetry), For: max(end.After, 250*time.Millisecond), Why: "to be tried again"}
	}
	return out, nil
}

// recordSingle writes how a send went, for as long as the database may be away for a moment: nobody else knows.
func (b *dispatchBatch) recordSingle(ctx context.Context, to contact.MSISDN, r store.Result) error {
	for give := time.Now().Add(time.Minute); ; {
		var err error
		if r.State == campaign.OptedOut {
			_, err = b.Store.AddOptOuts(ctx, []contact.MSISDN{to}, store.OptOutProvider, "told by the provider")
		}
		if err == nil {
			err = b.Store.RecordSend(ctx, b.lane, r)
		}
		if err == nil || domain.KindOf(err) != domain.Unavailable || time.Now().After(give) {
			return err
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// FailSendInput ends a send that cannot go on.
type FailSendInput struct {
	SendID uuid.UUID `json:"send_id"`
	Run    int       `json:"run,omitempty"`
	Reason string    `json:"reason"`
}

// FailSend ends a single send whose workflow cannot go on.
func (a *Sends) FailSend(ctx context.Context, in FailSendInput) (Nothing, error) {
	return Nothing{}, a.Campaigns.Store.FailSend(ctx, in.SendID, in.Run, in.Reason)
}

// stopping reports whether the worker is about to stop.
func stopping(ctx context.Context) bool {
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return true
	default:
		return false
	}
}
