// Package activities is what a workflow asks of the world: one file a capability. Every activity may be
// called again with the same input after a crash, and then does no harm. What comes back holds ids,
// counts and codes only; it is kept in histories.
package activities

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
	"lastcall/domain/voucher"
	"lastcall/gateway/vouchercard"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// Campaigns are the activities of the campaign workflow.
type Campaigns struct {
	Store    *store.Store
	WhatsApp *whatsapp.Client
	Log      *slog.Logger
	Options  Options

	Cards       *vouchercard.Client           // draws vouchers; nil: they go in words
	VoucherKeys func() (*voucher.Keys, error) // sign their QR codes, as they are now; nil with Cards

	line  line
	cards cardLine
}

// Options tune the dispatch.
type Options struct {
	Lanes          int              // batches of one campaign at once
	Concurrency    int              // sends at once in a lane
	BatchTargets   int              // a batch ends after so many targets
	BatchTime      time.Duration    // or after so long
	ReconcileAfter time.Duration    // how long receipts are waited for
	Retries        int              // tries of one target that the provider certainly did not take for its own trouble; default 8
	Ladders        delivery.Ladders // when suspended channels are tried again; default delivery.DefaultLadders
}

// PreflightResult says whether a campaign may go.
type PreflightResult struct {
	Problem string `json:"problem,omitempty"` // for people; empty: it may
	Lanes   int    `json:"lanes"`
}

// Preflight checks that there is somebody to send to, that the template may be sent, and that the
// provider answers. What the provider has suspended is no problem here: the lanes wait until it goes on.
func (a *Campaigns) Preflight(ctx context.Context, id uuid.UUID) (PreflightResult, error) {
	result := PreflightResult{Lanes: a.Options.Lanes}
	check, err := a.Store.Ready(ctx, id)
	if err != nil {
		return result, err
	}
	for _, p := range check.Problems {
		// A resumed campaign may have nothing queued any more; then it just settles.
		if p.Code != "no_targets" && p.Code != string(policy.TemplateSuspended) {
			result.Problem = p.Message
			return result, nil
		}
	}
	suspended := func(f store.Finding) bool { return f.Code == string(policy.ChannelSuspended) }
	if slices.ContainsFunc(check.Warnings, suspended) {
		return result, nil // the lanes ask the provider when the time has come
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err = a.WhatsApp.Ping(ctx)
	if refused := endOf(err, false); refused.spread == ofChannel {
		cause, _ := delivery.SuspendsChannel(refused.ErrorCode)
		_, err := a.Store.SuspendChannel(ctx, store.Lane{}, policy.ChannelWhatsApp, store.Trip{Cause: cause, Code: refused.ErrorCode}, a.Options.ladders())
		return result, err // the lanes wait
	}
	if err != nil {
		a.Log.Warn("provider not reachable at preflight", "campaign", id, "error", err)
		result.Problem = "WhatsApp is not reachable"
	}
	return result, nil
}

// VerifyApprovalInput asks whether a campaign may begin to send.
type VerifyApprovalInput struct {
	CampaignID uuid.UUID `json:"campaign_id"`
	Resend     int       `json:"resend,omitempty"`   // which of the campaign's workflows asks
	Approval   string    `json:"approval,omitempty"` // the id that came with the start or with a message; "": none
	Claimed    bool      `json:"claimed,omitempty"`  // by a message: look, but it does not begin yet
}

// VerifyApprovalResult says what keeps it from that.
type VerifyApprovalResult struct {
	Problem string `json:"problem,omitempty"` // for people; empty: it may
}

// VerifyApproval looks the approval up, whatever a message said of it: whose it is, of what, and until when. It is the
// only thing that clears a campaign which needs one. A refusal is in the audit log.
func (a *Campaigns) VerifyApproval(ctx context.Context, in VerifyApprovalInput) (VerifyApprovalResult, error) {
	if _, err := a.current(ctx, in.CampaignID, in.Resend); err != nil {
		return VerifyApprovalResult{}, err
	}
	problem, err := a.Store.Clear(ctx, store.Clearance{Campaign: in.CampaignID, Approval: in.Approval, Try: in.Claimed})
	return VerifyApprovalResult{problem}, err
}

// AdvanceInput is a status a campaign has reached.
type AdvanceInput struct {
	CampaignID uuid.UUID       `json:"campaign_id"`
	Resend     int             `json:"resend,omitempty"` // which of the campaign's workflows says so
	Status     campaign.Status `json:"status"`
	NeedsHuman string          `json:"needs_human,omitempty"`
}

// Nothing is the answer of an activity that only does.
type Nothing struct{}

// Advance writes the status to Postgres, where everybody reads it.
func (a *Campaigns) Advance(ctx context.Context, in AdvanceInput) (Nothing, error) {
	if _, err := a.current(ctx, in.CampaignID, in.Resend); err != nil {
		return Nothing{}, err
	}
	return Nothing{}, a.Store.Advance(ctx, in.CampaignID, in.Status, in.NeedsHuman)
}

// CancelQueued cancels everything a stopped campaign has not sent.
func (a *Campaigns) CancelQueued(ctx context.Context, id uuid.UUID) (int64, error) {
	const atOnce = 10_000
	var total int64
	for {
		n, err := a.Store.CancelQueued(ctx, id, atOnce)
		total += n
		if err != nil || n < atOnce {
			return total, err
		}
		activity.RecordHeartbeat(ctx, total)
		if ctx.Err() != nil {
			return total, ctx.Err()
		}
	}
}

// SettleInput says since when a campaign has been waiting for receipts.
type SettleInput struct {
	CampaignID uuid.UUID `json:"campaign_id"`
	Since      time.Time `json:"since"`
}

// Settle waits until every target's outcome is known, or has been waited for long enough. It returns
// false when the worker is stopping and somebody else must go on waiting.
func (a *Campaigns) Settle(ctx context.Context, in SettleInput) (bool, error) {
	// By Temporal's clock until this attempt began, and from then on by how long it has taken: the clock of this
	// machine may be minutes off.
	began, before := time.Now(), activity.GetInfo(ctx).StartedTime.Sub(in.Since)
	look := time.NewTicker(250 * time.Millisecond)
	defer look.Stop()
	for {
		n, err := a.Store.Unsettled(ctx, in.CampaignID)
		if err != nil {
			return false, err
		}
		if n == 0 || before+time.Since(began) > a.Options.ReconcileAfter {
			return true, nil
		}
		activity.RecordHeartbeat(ctx, n)
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-activity.GetWorkerStopChannel(ctx):
			return false, nil
		case <-look.C:
		}
	}
}

// FinishInput is how a campaign ends.
type FinishInput struct {
	CampaignID uuid.UUID       `json:"campaign_id"`
	Resend     int             `json:"resend,omitempty"`
	Status     campaign.Status `json:"status"`
	NeedsHuman string          `json:"needs_human,omitempty"`
}

// Finish writes the report and ends the campaign.
func (a *Campaigns) Finish(ctx context.Context, in FinishInput) (Nothing, error) {
	if _, err := a.current(ctx, in.CampaignID, in.Resend); err != nil {
		return Nothing{}, err
	}
	return Nothing{}, a.Store.Finish(ctx, in.CampaignID, in.Status, in.NeedsHuman)
}

// current returns the campaign if the workflow of this resend is the one that looks after it. Another one is a
// workflow that has ended and that somebody reset: it fails with domain.Conflict of code superseded.
func (a *Campaigns) current(ctx context.Context, id uuid.UUID, resend int) (store.Campaign, error) {
	c, err := a.Store.Campaign(ctx, id)
	if err == nil && c.Resend != resend {
		err = domain.E(domain.Conflict, "superseded", "another workflow looks after the campaign: that of resend %d", c.Resend)
	}
	return c, err
}
