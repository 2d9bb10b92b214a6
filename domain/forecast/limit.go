package forecast

import "time"

// limit is at most so many messages in any span.
type limit struct {
	span float64 // seconds
	most float64
	used float64
	uses []use // within the span, oldest first

	grain float64 // what is used within so many seconds counts as used at their end: a day is not told in milliseconds
	began float64 // of the last grain
}

// use is an even flow from one instant to another, or all at once.
type use struct{ from, to, n float64 }

func (u use) rate() float64 {
	if u.to <= u.from {
		return 0
	}
	return u.n / (u.to - u.from)
}

func newLimit(span time.Duration, most int, used []Use, now time.Time) *limit {
	l := &limit{span: span.Seconds(), most: float64(most)}
	for _, u := range used {
		at := min(u.At.Sub(now).Seconds(), 0)
		l.uses = append(l.uses, use{at, at, float64(u.N)})
		l.used += float64(u.N)
	}
	return l
}

// left is how many may go at once; a cap that was lowered may leave less than none.
func (l *limit) left() float64 { return l.most - l.used }

// use takes an even flow.
func (l *limit) use(from, to, n float64) {
	l.used += n
	if to-from < l.grain {
		if i := len(l.uses) - 1; i >= 0 && l.uses[i].to <= l.uses[i].from && to-l.began <= l.grain {
			l.uses[i] = use{to, to, l.uses[i].n + n}
			return
		}
		l.began, l.uses = from, append(l.uses, use{to, to, n})
		return
	}
	if i := len(l.uses) - 1; i >= 0 && l.uses[i].to >= from-some && l.uses[i].to > l.uses[i].from {
		if r := n / (to - from); l.uses[i].rate()-r < some && r-l.uses[i].rate() < some {
			l.uses[i].to, l.uses[i].n = to, l.uses[i].n+n
			return
		}
	}
	l.uses = append(l.uses, use{from, to, n})
}

// expire forgets what the span has left behind at t.
func (l *limit) expire(t float64) {
	edge := t - l.span
	for len(l.uses) > 0 && l.uses[0].to <= edge+some/2 {
		l.used -= l.uses[0].n
		l.uses = l.uses[1:]
	}
	if len(l.uses) == 0 {
		l.used = 0
		return
	}
	if u := &l.uses[0]; u.from < edge {
		gone := u.n * (edge - u.from) / (u.to - u.from)
		u.from, u.n = edge, u.n-gone
		l.used -= gone
	}
}

// leaving is at which rate permits come back at t, and until when that holds. It is called after expire.
func (l *limit) leaving(t float64) (rate, until float64) {
	if len(l.uses) == 0 {
		return 0, t + l.span
	}
	u := l.uses[0]
	if begins := u.from + l.span; begins > t+some/2 || u.to <= u.from {
		return 0, begins
	}
	return u.rate(), u.to + l.span
}

// next is when a permit that is used by now, or at t, comes back.
func (l *limit) next(t float64) float64 {
	if len(l.uses) == 0 {
		return t + l.span
	}
	return max(l.uses[0].from+l.span, t)
}

// fastest is the highest rate of what is in the span; what came all at once has none that could be kept.
func (l *limit) fastest() (rate float64) {
	for _, u := range l.uses {
		if u.to <= u.from {
			return l.most + l.span
		}
		rate = max(rate, u.rate())
	}
	return rate
}

// shift moves what is in the span.
func (l *limit) shift(by float64) {
	for i := range l.uses {
		l.uses[i].from += by
		l.uses[i].to += by
	}
}
