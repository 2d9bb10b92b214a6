package delivery

import "time"

// Pace is how fast a channel sends while the provider says that it is too fast: not at all for a moment, then
// somewhat slower than what it took, then carefully faster. A channel that nobody complains about has none. Its
// zero value is ready; times are of one clock; it is not safe for concurrent use.
type Pace struct {
	rate   float64   // messages a second; 0: any
	tokens float64   // that may go now, at most half a second's
	filled time.Time // when tokens was right
	calmAt time.Time // nobody complained since
	second int64     // Unix; what was taken in it, and in the one before
	taken  [2]int
	pauses int
}

const (
	slowerBy   = 0.8
	fasterBy   = 1.05 // each calm second
	firstPause = 250 * time.Millisecond
	mostPause  = 5 * time.Second
	forgetIn   = 10 * time.Minute // calm for so long: any pace again
)

// Took notes that the provider took n messages.
func (p *Pace) Took(n int, now time.Time) {
	p.turn(now)
	p.taken[1] += n
}

// TooFast notes that the provider complained about a message whose sending began then, and returns how long
// nothing should be sent; 0 for a complaint about what began before the last one, which tells nothing new.
func (p *Pace) TooFast(began, now time.Time) time.Duration {
	if began.Before(p.calmAt) {
		return 0
	}
	p.turn(now)
	took := float64(max(p.taken[0], p.taken[1]))
	if p.rate > 0 {
		took = min(took, p.rate)
	}
	p.rate = max(took*slowerBy, 1)
	if now.Sub(p.calmAt) > time.Minute {
		p.pauses = 0
	}
	wait := Jitter(min(firstPause<<min(p.pauses, 10), mostPause), mostPause)
	p.pauses++
	p.calmAt, p.filled, p.tokens = now, now.Add(wait), 0
	return wait
}

// May says how many of want may go now; if none, after how long the next.
func (p *Pace) May(want int, now time.Time) (int, time.Duration) {
	if p.rate == 0 {
		return want, 0
	}
	if now.Before(p.filled) {
		return 0, p.filled.Sub(now)
	}
	if now.Sub(p.calmAt) > forgetIn {
		*p = Pace{}
		return want, 0
	}
	since := now.Sub(p.filled).Seconds()
	for range int(now.Sub(p.calmAt).Seconds()) - int(p.filled.Sub(p.calmAt).Seconds()) {
		p.rate *= fasterBy
	}
	p.tokens = min(p.tokens+since*p.rate, max(p.rate/2, 1))
	p.filled = now
	worthwhile := max(min(float64(want), p.rate/10), 1) // a claim costs something, too
	n := min(want, int(p.tokens))
	if p.tokens < worthwhile {
		return 0, time.Duration((worthwhile-p.tokens)/p.rate*float64(time.Second)) + time.Millisecond
	}
	p.tokens -= float64(n)
	return n, 0
}

// Paused reports whether nothing should be sent at all.
func (p *Pace) Paused(now time.Time) bool { return p.rate > 0 && now.Before(p.filled) }

// turn keeps the counts of the running second and of the one before.
func (p *Pace) turn(now time.Time) {
	switch s := now.Unix(); {
	case s == p.second+1:
		p.second, p.taken = s, [2]int{p.taken[1], 0}
	case s > p.second:
		p.second, p.taken = s, [2]int{}
	}
}
