package activities

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/domain/template"
	"lastcall/domain/voucher"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// DispatchInput is one batch of one lane.
type DispatchInput struct {
	CampaignID uuid.UUID `json:"campaign_id"`
	Resend     int       `json:"resend,omitempty"`
	Lane       int       `json:"lane"`
	Batch      int       `json:"batch"`           // never given out twice in a run
	Alone      bool      `json:"alone,omitempty"` // the only lane: the batch is short, for the others to join soon if there is more
}

// DispatchResult says how the batch ended; the figures are in Postgres.
type DispatchResult struct {
	Handled int           `json:"handled"`           // for people who read histories
	More    bool          `json:"more,omitempty"`    // the batch was full; there may be more
	Drained bool          `json:"drained,omitempty"` // nothing is queued
	Gate    campaign.Gate `json:"gate"`
	Wait    Wait          `json:"wait,omitzero"`     // nothing is ready; this will be first
	Problem string        `json:"problem,omitempty"` // nothing more can go until a human mends this
}

// Wait is why nothing may go now and for how long.
type Wait struct {
	Reason     string        `json:"reason"`
	For        time.Duration `json:"for,omitempty"` // from now on, by the database's clock; 0: until somebody changes something
	Why        string        `json:"why"`
	NeedsHuman bool          `json:"needs_human,omitempty"` // somebody has to mend something, be it not what it waits for first
}

// sleptInside is the longest wait a batch sits out itself; a longer one becomes a durable timer.
const sleptInside = 5 * time.Second

// early is by how much the durable timer for a long wait ends before it. The next batch sits out the rest and
// is at the gate when it opens: otherwise every wait of a throttled campaign would last longer than it must
// by the time from a timer to an activity, a tenth of a second or, on a busy machine, several.
const early = time.Second

// DispatchBatch sends to targets, chunk by chunk, until the batch is full, nothing is ready, the gate
// closes or the worker stops. A later attempt at the same batch first marks what this one left in the
// middle as unknown.
func (a *Campaigns) DispatchBatch(ctx context.Context, in DispatchInput) (DispatchResult, error) {
	info := activity.GetInfo(ctx)
	b := &dispatchBatch{Campaigns: a, result: DispatchResult{Gate: campaign.GateOpen}, lane: store.Lane{
		Campaign: in.CampaignID, N: in.Lane, Run: info.WorkflowExecution.RunID, Batch: in.Batch, Fence: int(info.Attempt),
	}}
	var lost int64
	if b.targets = a.Options.BatchTargets; in.Alone {
		b.targets = min(b.targets, 8*a.Options.Concurrency)
	}
	err := b.load(ctx, in.Resend)
	if err == nil {
		lost, err = a.Store.TakeLane(ctx, b.lane)
	}
	if err == nil {
		err = b.run(ctx)
	}
	if b.throttled != nil { // once a batch, however often it waited
		if failure := b.Store.EnterThrottled(context.WithoutCancel(ctx), b.lane, *b.throttled); failure != nil {
			err = errors.Join(err, failure)
		}
	}
	if errors.Is(err, store.ErrFenced) {
		// Of a stale attempt nobody reads this; one that is not takes the lane back with the next.
		err = temporal.NewApplicationError("another attempt has the lane", "fenced")
	}
	if lost > 0 {
		a.Log.Warn("outcomes unknown after a lost worker", "campaign", in.CampaignID, "lane", in.Lane, "targets", lost)
	}
	return b.result, err
}

type dispatchBatch struct {
	*Campaigns
	single    bool // not a campaign's: the lane's holder looks after one single send
	lane      store.Lane
	targets   int // the batch ends after so many
	template  template.Template
	variables map[string]string // for every target
	vouchers  *offered          // of a voucher campaign; nil: messages, and no more
	result    DispatchResult
	channel   string
	sends     chan func() // to the goroutines that send; a fresh one for every message would cost more than the message
	throttled *store.Wait // what the batch waited for, if for permits
	recording chan error  // of the chunk before, while it is under way; nil: nothing is
}

func (b *dispatchBatch) load(ctx context.Context, resend int) error {
	c, err := b.current(ctx, b.lane.Campaign, resend)
	if err != nil {
		return err
	}
	if c.Status.Ended() {
		return domain.E(domain.Conflict, "wrong_state", "the campaign is %s", c.Status)
	}
	t, err := b.Store.Template(ctx, c.TemplateID)
	b.template, b.variables, b.channel = t.Domain(), c.Variables, c.Channel
	if err == nil && c.Voucher != nil {
		b.vouchers, err = b.offer(ctx, c)
	}
	return err
}

// run works until the batch is over, and leaves nothing unrecorded.
func (b *dispatchBatch) run(ctx context.Context) error {
	b.sends = make(chan func())
	defer close(b.sends)
	for range b.Options.Concurrency {
		go func() {
			for send := range b.sends {
				send()
			}
		}()
	}
	err := b.chunks(ctx)
	if failure := b.recorded(); err == nil {
		err = failure
	}
	if err == nil {
		err = b.Store.LeaveLane(context.WithoutCancel(ctx), b.lane)
	}
	return err
}

// chunks claims and sends, chunk by chunk; while one is being sent the one before is recorded.
func (b *dispatchBatch) chunks(ctx context.Context) error {
	size := b.Options.Concurrency
	var backoff time.Duration
	for end := time.Now().Add(b.Options.BatchTime); b.result.Handled < b.targets && time.Now().Before(end); {
		activity.RecordHeartbeat(ctx, b.result.Handled)
		if err := ctx.Err(); err != nil {
			return err
		}
		select {
		case <-activity.GetWorkerStopChannel(ctx):
			b.result.More = true
			return nil
		default:
		}
		may := b.line.may(min(size, b.targets-b.result.Handled))
		if may.wait > 0 {
			b.nap(ctx, min(may.wait, time.Second))
			continue
		}
		claim, err := b.Store.Claim(ctx, b.lane, may.n)
		if err != nil {
			return err
		}
		if len(claim.Targets) > 0 || claim.Probe != nil {
			b.line.clear(may.halt) // the breaker lets it through
		}
		b.result.Handled += claim.OptedOut + claim.Refused
		switch {
		case claim.Gate != "":
			b.result.Gate = claim.Gate
			return nil
		case claim.Probe != nil:
			if err := b.probe(ctx, claim); err != nil {
				return err
			}
		case b.recording != nil && len(claim.Targets) == 0:
			// What is being recorded may be queued again.
			if err := b.recorded(); err != nil {
				return err
			}
		case claim.Drained:
			b.result.Drained = true
			return nil
		case len(claim.Waits) > 0:
			for _, wait := range claim.Waits {
				if wait.Reason == policy.Throttled {
					b.throttled = &wait
				}
			}
			w := waitFor(store.Earliest(claim.Waits), claim.Now)
			w.NeedsHuman = slices.ContainsFunc(claim.Waits, func(w store.Wait) bool { return w.NeedsHuman })
			if w.For > sleptInside {
				w.For -= early
			}
			if w.For == 0 || w.For > sleptInside || w.NeedsHuman { // which Ops must see
				b.result.Wait = w
				return nil
			}
			b.nap(ctx, min(w.For, 200*time.Millisecond)) // settings may change meanwhile
		case claim.Again:
		case claim.Busy:
			b.nap(ctx, 20*time.Millisecond)
		default:
			began, left := time.Now(), time.Until(claim.Deadline)
			results, refused := b.send(ctx, claim)
			err := b.recorded()
			b.record(ctx, claim, results)
			if err != nil {
				return err
			}
			// A chunk should take a good part of the time its permits leave, and no more.
			took := max(time.Since(began), time.Millisecond)
			size = min(max(int(float64(len(claim.Targets))*float64(left/2)/float64(took)), b.Options.Concurrency), 8*b.Options.Concurrency)
			if backoff = nextBackoff(backoff, refused); backoff > 0 {
				size = b.Options.Concurrency
				b.nap(ctx, backoff)
			}
		}
	}
	b.result.More = true
	return nil
}

// waitFor says how long a wait lasts, at least a moment if it ends at all.
func waitFor(w *store.Wait, now time.Time) Wait {
	wait := Wait{Reason: string(w.Reason), Why: w.Why}
	if w.Until != nil {
		wait.For = max(w.Until.Sub(now), time.Millisecond)
	}
	return wait
}

// send sends a chunk and returns how it went, and how many the provider did not take for now. What has begun is
// finished even if ctx is over: half a send helps nobody.
func (b *dispatchBatch) send(ctx context.Context, claim store.Claim) (results []store.Result, refused int) {
	ctx = context.WithoutCancel(ctx)
	ends := make([]ending, len(claim.Targets))
	c := &chunk{claim: claim}
	var sends sync.WaitGroup
	sends.Add(len(claim.Targets))
	for i, t := range claim.Targets {
		b.sends <- func() {
			defer sends.Done()
			ends[i] = b.sendOne(ctx, c, t)
		}
	}
	sends.Wait()
	b.settle(ctx, c, ends)
	results = make([]store.Result, len(ends))
	void := 0
	for i, e := range ends {
		results[i] = e.Result
		switch {
		case e.State != campaign.Queued:
			b.result.Handled++
		case e.spread == trouble:
			refused++
		case e.Reason == permitVoid:
			void++
		}
	}
	if void == len(results) {
		refused = void // no connection in time for any: that is no accident
	}
	return results, refused
}

func (b *dispatchBatch) sendOne(ctx context.Context, c *chunk, t store.ClaimedTarget) ending {
	if time.Now().After(c.claim.Deadline) {
		return unsent(t.ID, permitVoid)
	}
	if reason := c.stopped(b.line.refuses()); reason != "" {
		return unsent(t.ID, reason)
	}
	given := t.Variables
	if len(b.variables) > 0 { // they hold for everybody, whatever the audience said
		given = maps.Clone(given)
		if given == nil {
			given = map[string]string{}
		}
		for name, text := range b.variables {
			if text != "" {
				given[name] = text
			}
		}
	}
	locale := b.template.Locale(t.Locale)
	picture, form := b.template.HeaderMedia, voucher.Form("")
	if b.vouchers != nil {
		if !redeemable(t.Voucher, c.claim.Now) {
			return ending{Result: store.Result{Target: t.ID, State: campaign.FailedT, Reason: voucherOver}, spread: nothing}
		}
		card := b.vouchers.card(t, locale)
		given = b.vouchers.fill(given, card)
		form = voucher.Texted
		if link := b.cardLink(ctx, c, t, card); link != "" {
			picture, form = link, voucher.Carded
		}
	}
	values, err := b.template.Values(locale, given)
	if err != nil {
		return ending{Result: store.Result{Target: t.ID, State: campaign.FailedT, Reason: domain.CodeOf(err)}, spread: nothing}
	}
	m := whatsapp.TemplateMessage{To: t.MSISDN, Template: b.template.Name, Language: locale,
		HeaderMedia: picture, StartBy: c.claim.Deadline,
		CallbackData: campaign.Attempt{Campaign: b.lane.Campaign, Target: t.ID, Single: t.Single, N: t.Attempt}.Key()}
	for _, v := range values {
		m.Parameters = append(m.Parameters, whatsapp.Parameter{Name: v.Name, Text: v.Text})
	}
	began := time.Now()
	accepted, err := b.WhatsApp.Send(ctx, m)
	e := endOf(err, time.Now().After(c.claim.Deadline))
	e.Target, e.language = t.ID, locale
	if e.State == campaign.Sent {
		e.ProviderID, e.Form = accepted.MessageID, form
	}
	c.saw(e, b.line.saw(e, began))
	return e
}

// record begins to write how a chunk went; recorded waits for it. The database may be away for a moment while
// the outcomes are known only here, so it tries for as long as the lane can be this worker's.
func (b *dispatchBatch) record(ctx context.Context, claim store.Claim, results []store.Result) {
	ctx, handled := context.WithoutCancel(ctx), b.result.Handled
	var optedOut []contact.MSISDN
	for i, r := range results {
		if r.State == campaign.OptedOut {
			optedOut = append(optedOut, claim.Targets[i].MSISDN)
		}
	}
	write := func() error {
		if len(optedOut) > 0 {
			if _, err := b.Store.AddOptOuts(ctx, optedOut, store.OptOutProvider, "told by the provider"); err != nil {
				return err
			}
		}
		_, err := b.Store.Record(ctx, b.lane, results)
		return err
	}
	recording := make(chan error, 1)
	b.recording = recording
	go func() {
		for give := time.Now().Add(time.Minute); ; {
			err := write()
			if err == nil || domain.KindOf(err) != domain.Unavailable || time.Now().After(give) {
				recording <- err
				return
			}
			activity.RecordHeartbeat(ctx, handled)
			time.Sleep(500 * time.Millisecond)
		}
	}()
}

// recorded waits until nothing is being recorded, and says how that went.
func (b *dispatchBatch) recorded() error {
	if b.recording == nil {
		return nil
	}
	err := <-b.recording
	b.recording = nil
	return err
}

func (b *dispatchBatch) nap(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-activity.GetWorkerStopChannel(ctx):
	case <-time.After(d):
	}
}

// nextBackoff slows a lane down while the provider does not take what it is sent.
func nextBackoff(last time.Duration, refused int) time.Duration {
	if refused == 0 {
		return 0
	}
	return min(max(2*last, 250*time.Millisecond), sleptInside)
}
