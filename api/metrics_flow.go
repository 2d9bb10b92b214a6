package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// statesKept is how long counts by state are good for: they read a whole index.
const statesKept = 30 * time.Second

// flow collects store.FlowStats and store.StateStats.
type flow struct {
	store *store.Store
	log   *slog.Logger

	mu              sync.Mutex
	at, statesAt    time.Time // when they were read
	stats           store.FlowStats
	vouchers, sends []store.Tagged
	err             error
}

var (
	vouchersIssued   = desc("vouchers_issued_total", "Vouchers issued.")
	vouchersRedeemed = desc("vouchers_redeemed_total", "Vouchers redeemed.")
	messagesSent     = desc("messages_sent", "Messages that the provider took and that nobody ordered again, of all campaigns and single sends.")
	messagesArrived  = desc("messages_delivered", "Of lastcall_messages_sent, those delivered or read.")
	redemptionsOf    = desc("redemptions_recent", "Redemptions of the last 15 minutes: redeemed, refused by the rules, or failed by our fault.", "outcome")
	blocksOf         = desc("policy_blocks_recent", "Decisions of the policy in the last 15 minutes that held messages back.", "reason")
	vouchersBy       = desc("vouchers", "Vouchers, counted every 30 seconds.", "state")
	sendsBy          = desc("single_sends", "Single sends, counted every 30 seconds.", "state")
	outboxAge        = desc("outbox_oldest_seconds", "For how long the oldest effect that should follow a commit has been due.")
	unsealedAge      = desc("audit_unsealed_oldest_seconds", "Age of the oldest entry of the audit log that is not sealed yet.")
)

// Describe is prometheus.Collector.
func (f *flow) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{vouchersIssued, vouchersRedeemed, messagesSent, messagesArrived, redemptionsOf, blocksOf, vouchersBy, sendsBy, outboxAge, unsealedAge} {
		ch <- d
	}
}

// Collect is prometheus.Collector. Labels are those that the code knows, so that there are ever only so many.
func (f *flow) Collect(ch chan<- prometheus.Metric) {
	st, vouchers, sends, err := f.read()
	if err != nil {
		return
	}
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	tell(vouchersIssued, prometheus.CounterValue, float64(st.Issued))
	tell(vouchersRedeemed, prometheus.CounterValue, float64(st.Redeemed))
	tell(messagesSent, prometheus.GaugeValue, float64(st.Sent))
	tell(messagesArrived, prometheus.GaugeValue, float64(st.Arrived))
	tell(outboxAge, prometheus.GaugeValue, st.OutboxAge.Seconds())
	tell(unsealedAge, prometheus.GaugeValue, st.UnsealedAge.Seconds())
	by := func(d *prometheus.Desc, found []store.Tagged, known []string) {
		for _, tag := range known {
			var n int64
			for _, each := range found {
				if each.Tag == tag {
					n = each.N
				}
			}
			tell(d, prometheus.GaugeValue, float64(n), tag)
		}
	}
	by(redemptionsOf, st.Redemptions, []string{"redeemed", "refused", "failed"})
	by(blocksOf, st.Blocks, texts(policy.Precedence))
	by(vouchersBy, vouchers, texts([]voucher.Status{voucher.Issued, voucher.Sent, voucher.Redeemed, voucher.Expired, voucher.Void}))
	by(sendsBy, sends, texts([]campaign.TargetState{campaign.Queued, campaign.Sending, campaign.Sent, campaign.Delivered, campaign.Read, campaign.FailedT,
		campaign.OptedOut, campaign.Unknown, campaign.Cancelled}))
}

func texts[T ~string](of []T) []string {
	all := make([]string, len(of))
	for i, each := range of {
		all[i] = string(each)
	}
	return all
}

// read reads the figures, at most once every figuresKept, and the counts by state at most once every statesKept.
func (f *flow) read() (st store.FlowStats, vouchers, sends []store.Tagged, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) > figuresKept {
		ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
		defer cancel()
		f.stats, f.err = f.store.FlowStats(ctx)
		if f.err == nil && time.Since(f.statesAt) > statesKept {
			if f.vouchers, f.sends, f.err = f.store.StateStats(ctx); f.err == nil {
				f.statesAt = time.Now()
			}
		}
		if f.err != nil {
			f.log.Warn("the figures of what flows cannot be read", "error", f.err)
		}
		f.at = time.Now()
	}
	return f.stats, f.vouchers, f.sends, f.err
}

// streams tells how many event streams this process has open.
func (s *server) streams() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "lastcall_event_streams", Help: "Event streams that this process holds open."},
		func() float64 { return float64(s.feed.open()) })
}
