package sandbox

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// limits are the provider's own, as the settings have them. A message that one of them refuses counts for none.
type limits struct {
	on atomic.Bool // false: nothing limits anything, and a message pays one load

	mu       sync.Mutex
	settings limitSettings
	recent   queue[time.Time]     // when the messages of the last second were taken
	pairs    map[uint64]time.Time // by recipient: until when the messages so far use up the interval
	sweep    int                  // the size of pairs at which those that are over are looked for
	tier     tier
}

// tierTime is what the limit of different recipients looks back on.
const tierTime = 24 * time.Hour

// The provider's codes.
const (
	pairExceeded = 131056
	spamLimited  = 131048
	userCapped   = 131049
	userStopped  = 131050
)

// refuse says which limit a message to this recipient exceeds, nil if none; then it is counted.
func (l *limits) refuse(to string) *refusal {
	if !l.on.Load() {
		return nil
	}
	digits := strings.TrimPrefix(to, "+")
	l.mu.Lock()
	defer l.mu.Unlock()
	if code := l.settings.userCode(digits); code != 0 {
		return &refusal{http.StatusBadRequest, code, 0, "This message was not delivered", "The sandbox's settings say that this user gets no marketing."}
	}
	now, recipient := time.Now(), word(digits)
	if l.rateExceeded(now) {
		return tooFast("The number sent rate_per_second messages within a second.")
	}
	if l.pairExceeded(recipient, now) {
		return &refusal{http.StatusBadRequest, pairExceeded, 0, "Pair rate limit hit", "Too many messages to this recipient: see pair_interval_ms."}
	}
	if l.settings.TierRecipients > 0 && l.tier.full(recipient, now, l.settings.TierRecipients) {
		return &refusal{http.StatusBadRequest, int(l.settings.TierCode), 0, "Messaging limit hit", "The number wrote to tier_recipients recipients within 24 hours."}
	}
	l.count(recipient, now)
	return nil
}

// userCode is the error of those recipients whom the settings leave out: always the same ones.
func (s limitSettings) userCode(digits string) int {
	if s.UserCapped == 0 && s.UserStopped == 0 {
		return 0
	}
	switch at := lot("user", digits); {
	case at >= 1-s.UserStopped:
		return userStopped
	case at < s.UserCapped:
		return userCapped
	}
	return 0
}

func (l *limits) rateExceeded(now time.Time) bool {
	l.recent.dropWhile(func(at time.Time) bool { return now.Sub(at) >= time.Second })
	return l.settings.RatePerSecond > 0 && int64(l.recent.len()) >= l.settings.RatePerSecond
}

func (l *limits) pairExceeded(recipient uint64, now time.Time) bool {
	interval := l.settings.pairInterval()
	return interval > 0 && l.pairs[recipient].Sub(now) > time.Duration(l.settings.PairBurst-1)*interval
}

func (s limitSettings) pairInterval() time.Duration {
	return time.Duration(s.PairIntervalMS) * time.Millisecond
}

func (l *limits) count(recipient uint64, now time.Time) {
	if l.settings.RatePerSecond > 0 {
		l.recent.push(now)
	}
	if interval := l.settings.pairInterval(); interval > 0 {
		from := l.pairs[recipient]
		if from.Before(now) {
			from = now
		}
		l.pairs[recipient] = from.Add(interval)
		l.sweepPairs(now)
	}
	if l.settings.TierRecipients > 0 {
		l.tier.add(recipient, now)
	}
}

// sweepPairs keeps in memory only recipients who may still have to wait, and as many again.
func (l *limits) sweepPairs(now time.Time) {
	if len(l.pairs) < max(l.sweep, 1024) {
		return
	}
	for recipient, until := range l.pairs {
		if until.Before(now) {
			delete(l.pairs, recipient)
		}
	}
	l.sweep = 2 * len(l.pairs)
}

// set puts the settings in force. Rate and pair limit count from when they are switched on; the tier
// counts what the inbox got in the last 24 hours, so that neither a restart nor the switch makes room.
func (l *limits) set(s settings, inbox *journal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.settings
	if s.TierRecipients > 0 && before.TierRecipients == 0 {
		recalled, err := recallTier(inbox)
		if err != nil {
			return err
		}
		l.tier = recalled
	}
	if s.PairIntervalMS == 0 || l.pairs == nil {
		l.pairs = map[uint64]time.Time{}
	}
	if s.RatePerSecond == 0 {
		l.recent = queue[time.Time]{}
	}
	if s.TierRecipients == 0 {
		l.tier = tier{}
	}
	l.settings = s.limitSettings
	l.on.Store(s.RatePerSecond > 0 || s.PairIntervalMS > 0 || s.TierRecipients > 0 || s.UserCapped > 0 || s.UserStopped > 0)
	return nil
}

// forget starts every count anew, as the inbox does.
func (l *limits) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent, l.pairs, l.tier = queue[time.Time]{}, map[uint64]time.Time{}, tier{}
}

// tier knows who got a message within tierTime.
type tier struct {
	last map[uint64]time.Time // by recipient
	seen queue[contacted]     // the same, oldest first, with those that a later message has made void
}

type contacted struct {
	recipient uint64
	at        time.Time
}

// full says whether a message to recipient would make them more than most.
func (t *tier) full(recipient uint64, now time.Time, most int64) bool {
	t.seen.dropWhile(func(c contacted) bool {
		over := now.Sub(c.at) >= tierTime
		if over && t.last[c.recipient].Equal(c.at) {
			delete(t.last, c.recipient)
		}
		return over
	})
	_, known := t.last[recipient]
	return !known && int64(len(t.last)) >= most
}

func (t *tier) add(recipient uint64, at time.Time) {
	if t.last == nil {
		t.last = map[uint64]time.Time{}
	}
	t.last[recipient] = at
	t.seen.push(contacted{recipient, at})
}

// recallTier reads the recipients of the last 24 hours from the inbox.
func recallTier(inbox *journal) (tier, error) {
	var t tier
	lines, err := inbox.after(0, -1)
	if err != nil {
		return t, err
	}
	defer lines.Close()
	since := time.Now().Add(-tierTime)
	reader := bufio.NewReaderSize(lines, 1<<20)
	for i := range lines.count {
		raw, err := reader.ReadBytes('\n')
		var m struct {
			ReceivedAt time.Time `json:"received_at"`
			To         string    `json:"to"`
		}
		if err == nil {
			err = json.Unmarshal(raw, &m)
		}
		if err != nil {
			return t, fmt.Errorf("message %d: %w", lines.before+int64(i)+1, err)
		}
		if m.ReceivedAt.After(since) {
			t.add(word(strings.TrimPrefix(m.To, "+")), m.ReceivedAt)
		}
	}
	return t, nil
}

// queue is first in, first out; its memory follows its length.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(item T) {
	if q.head > len(q.items)/2 { // then moving the rest costs less than what was dropped
		q.items = append(q.items[:0], q.items[q.head:]...)
		q.head = 0
	}
	q.items = append(q.items, item)
}

func (q *queue[T]) dropWhile(over func(T) bool) {
	for q.head < len(q.items) && over(q.items[q.head]) {
		q.head++
	}
}
