package activities

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// endOf says what the end of a send means: for its target, and for others. Late: the time to start had passed.
// A target that did not go and may go again is Queued; when, settle says.
func endOf(err error, late bool) ending {
	var e ending
	if refused, ok := errors.AsType[*whatsapp.APIError](err); ok {
		e.ErrorCode = refused.Code
	}
	again := func(reason string, s spread) ending {
		e.State, e.Reason, e.spread = campaign.Queued, reason, s
		return e
	}
	switch whatsapp.Classify(err) {
	case whatsapp.Sent:
		e.State = campaign.Sent
		return e
	case whatsapp.Unknown:
		e.State, e.Reason, e.spread = campaign.Unknown, "no_answer", trouble
		return e
	case whatsapp.NotSent:
		if late {
			return unsent(0, permitVoid) // it waited for a connection, not for the provider
		}
		return again(unreachable, trouble)
	case whatsapp.Retry:
		switch scope := delivery.Lookup(e.ErrorCode).Scope; scope {
		case delivery.Rate:
			return again(rateLimited, tooFast)
		case delivery.Pair:
			return again(pairLimit, alone)
		case delivery.Number:
			return again(maintenance, pausing)
		}
		return again(busy, trouble)
	}
	if _, ok := delivery.SuspendsTemplate(e.ErrorCode); ok {
		return again(templateSuspended, ofTemplate)
	}
	if _, ok := delivery.SuspendsChannel(e.ErrorCode); ok {
		return again(channelSuspended, ofChannel)
	}
	switch e.ErrorCode {
	case 131050:
		e.State, e.Reason = campaign.OptedOut, "provider_opt_out"
		return e
	case 131049:
		e.After = 24 * time.Hour
		return again("provider_user_limit", alone)
	case 131053:
		return again(mediaFailed, alone)
	}
	e.State, e.Reason = campaign.FailedT, "provider_refused"
	return e
}

// ending is how one send ended.
type ending struct {
	store.Result
	spread   spread
	language string // of the message
}

// spread is whom the end of a send concerns besides its target.
type spread int

const (
	alone      spread = iota // nobody: the channel works
	nothing                  // nobody: it never reached the provider
	trouble                  // perhaps everybody: the provider is in trouble
	tooFast                  // all of the channel: slower
	pausing                  // all of the channel: not for a minute
	ofChannel                // all of the channel: it is suspended
	ofTemplate               // all with the template in this language: it is suspended
)

// Why a target goes back to the queue.
const (
	permitVoid        = "permit_void" // it had a permit and could not start in time
	unreachable       = "provider_unreachable"
	busy              = "provider_busy"
	rateLimited       = "rate_limited"
	pairLimit         = "pair_limit"
	maintenance       = "number_maintenance"
	mediaFailed       = "media_failed"
	channelSuspended  = "channel_suspended"
	templateSuspended = "template_suspended"
)

// unsent is the end of a send that never began.
func unsent(target int64, reason string) ending {
	return ending{Result: store.Result{Target: target, State: campaign.Queued, Reason: reason}, spread: nothing}
}

// How often a target is tried again for a reason that counts, and after how long at first. The others are no
// fault of the target, nor of a moment.
var counted = map[string]struct {
	first, most time.Duration
	growth      int
	tries       int // 0: Options.Retries
}{
	unreachable: {2 * time.Second, 5 * time.Minute, 2, 0},
	busy:        {2 * time.Second, 5 * time.Minute, 2, 0},
	pairLimit:   {4 * time.Second, time.Hour, 4, 0},
	mediaFailed: {10 * time.Second, 5 * time.Minute, 3, 3},
}

// retryReasons are the keys of counted.
var retryReasons = []string{unreachable, busy, pairLimit, mediaFailed}

// budget says when a target is tried again that ended so, given how often it had ended for each reason before; or
// that it is not any more.
func (e *ending) budget(before map[string]int, retries int) {
	rule, ok := counted[e.Reason]
	if !ok || e.State != campaign.Queued {
		return
	}
	spent := before[e.Reason]
	if rule.tries == 0 {
		if rule.tries = retries; rule.tries == 0 {
			rule.tries = 8
		}
		spent = before[unreachable] + before[busy] + before[pairLimit]
	}
	if spent+1 >= rule.tries {
		if e.State, e.After = campaign.FailedT, 0; e.Reason == mediaFailed {
			e.Reason = "provider_refused" // whose code says what to do
		} else {
			e.Reason = "retries_exhausted"
		}
		return
	}
	wait := rule.first
	for range before[e.Reason] {
		if wait = wait * time.Duration(rule.growth); wait >= rule.most {
			break
		}
	}
	e.After = delivery.Jitter(min(wait, rule.most), rule.most)
}

// chunk is what the sends of one claim share.
type chunk struct {
	claim    store.Claim
	template atomic.Bool          // it is suspended
	halt     atomic.Pointer[halt] // found by one of them, to be written
	pause    atomic.Pointer[pause]
}

// stopped says why nothing of the chunk may begin any more, "" if it may.
func (c *chunk) stopped(reason string) string {
	if c.template.Load() {
		return templateSuspended
	}
	return reason
}

func (c *chunk) saw(e ending, found finding) {
	if e.spread == ofTemplate {
		c.template.Store(true)
	}
	if found.halt != nil {
		c.halt.Store(found.halt)
	}
	if found.pause != nil {
		c.pause.Store(found.pause)
	}
}

// settle does what the ends of a chunk's sends ask for besides their own rows: it suspends or slows the channel,
// suspends the template, ends a trial, and says when each target is tried again.
func (b *dispatchBatch) settle(ctx context.Context, c *chunk, ends []ending) {
	if h := c.halt.Load(); h != nil {
		_, err := b.Store.SuspendChannel(ctx, b.lane, b.channel, store.Trip{Cause: h.cause, Code: h.code, Since: c.claim.Now}, b.Options.ladders())
		if err != nil {
			b.Log.Warn("a suspension of the channel could not be written", "channel", b.channel, "code", h.code, "error", err)
			b.line.clear(h) // the next send finds it out again
		} else {
			b.Log.Warn("channel suspended", "channel", b.channel, "cause", h.cause, "code", h.code)
			h.written.Store(true)
		}
	}
	if p := c.pause.Load(); p != nil {
		if err := b.Store.SlowChannel(ctx, b.channel, p.code, p.wait); err != nil {
			b.Log.Warn("a pause of the channel could not be written", "channel", b.channel, "error", err)
		}
	}
	told := map[string]bool{}
	var again []int64
	for _, e := range ends {
		if e.spread == ofTemplate && !told[e.language] {
			told[e.language] = true
			if err := b.Store.SuspendTemplate(ctx, b.lane, b.template.Name, e.language, e.ErrorCode, c.claim.Now); err != nil {
				b.Log.Warn("a suspension of the template could not be written", "template", b.template.Name, "error", err)
			}
		}
		if _, ok := counted[e.Reason]; ok {
			again = append(again, e.Target)
		}
	}
	if c.claim.Trial.On() && len(ends) == 1 {
		if err := b.tried(ctx, c.claim, ends[0]); err != nil {
			b.Log.Warn("the end of a trial could not be written; another follows", "error", err)
		}
	}
	if len(again) == 0 {
		return
	}
	before, err := b.before(ctx, again)
	if err != nil {
		b.Log.Warn("earlier tries could not be counted", "error", err) // then this one is as the first
	}
	for i := range ends {
		ends[i].budget(before[ends[i].Target], b.Options.Retries)
	}
}

// before counts the earlier tries of targets, by their reason to try again.
func (b *dispatchBatch) before(ctx context.Context, targets []int64) (map[int64]map[string]int, error) {
	if !b.single {
		return b.Store.Tries(ctx, targets, retryReasons)
	}
	tries, err := b.Store.SendTries(ctx, b.lane.Campaign, retryReasons)
	return map[int64]map[string]int{targets[0]: tries}, err
}

// tried ends a trial. A message that was taken is proof of everything; an answer that concerns its target alone
// proves only that the provider is there. What never reached it proves nothing: the lane tries with another.
func (b *dispatchBatch) tried(ctx context.Context, claim store.Claim, e ending) error {
	t := claim.Trial
	if t.Channel != "" {
		switch {
		case e.State == campaign.Sent, e.spread == alone && t.Cause.ProvedByAnswer():
			if err := b.Store.ChannelPassed(ctx, b.lane, t.Channel); err != nil {
				return err
			}
		case e.spread == trouble:
			_, err := b.Store.SuspendChannel(ctx, b.lane, t.Channel, store.Trip{Cause: delivery.Trouble, Code: e.ErrorCode, Since: claim.Now}, b.Options.ladders())
			return err
		}
	}
	if t.Template != "" && e.State == campaign.Sent {
		return b.Store.TemplatePassed(ctx, b.lane, t.Template, e.language)
	}
	return nil
}

// probe looks for a sign of life of a suspended channel before a target is spent on it.
func (b *dispatchBatch) probe(ctx context.Context, claim store.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p := claim.Probe
	err := b.WhatsApp.Ping(ctx)
	switch {
	case err == nil && p.Cause.ProvedByPing() && p.Failures == 1:
		// Once. When the same comes back soon after, a message has to get through.
		return b.Store.ChannelPassed(ctx, b.lane, p.Channel)
	case err == nil:
		return nil
	}
	e := endOf(err, false)
	trip := store.Trip{Cause: delivery.Trouble, Code: e.ErrorCode, Since: claim.Now}
	if cause, ok := delivery.SuspendsChannel(e.ErrorCode); ok && e.spread == ofChannel {
		trip.Cause = cause
	}
	_, err = b.Store.SuspendChannel(context.WithoutCancel(ctx), b.lane, p.Channel, trip, b.Options.ladders())
	return err
}

func (o Options) ladders() delivery.Ladders {
	if o.Ladders == (delivery.Ladders{}) {
		return delivery.DefaultLadders
	}
	return o.Ladders
}
