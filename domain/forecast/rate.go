package forecast

import "time"

// AssumedRate is how many messages a second go where no rule limits them and nobody knows better: what WhatsApp's
// Cloud API takes of one number at first.
const AssumedRate = 80

// Measure tells from the ledger how fast the dispatch is now. It cannot while nothing is sent, or while the ledger
// holds the dispatch back.
func Measure(ledger []Use, limits Limits, now time.Time) (rate float64, ok bool) {
	const (
		pause   = 3 * time.Second // after which the sending began anew
		atLeast = 3 * time.Second
	)
	var n, used int64
	began := now
	for i := len(ledger) - 1; i >= 0; i-- {
		used += ledger[i].N
		if began.Sub(ledger[i].At) <= pause {
			began, n = ledger[i].At, used
		}
	}
	span := now.Sub(began)
	if span < atLeast || float64(used) > 0.95*float64(limits.PerMinute) {
		return 0, false
	}
	return float64(n) / span.Seconds(), true
}
