package forecast

import (
	"cmp"
	"math"
	"slices"
	"time"

	"lastcall/domain/policy"
)

// simulation lets all campaigns send, from one event to the next: quiet hours that begin or end, targets whose own
// time has come, a cohort that is through, a limit that is reached or gives permits back. Between two events every
// rate is constant. Times are seconds since Input.Now, amounts are messages; both may be fractions.
type simulation struct {
	in      Input
	t       float64
	start   float64 // of the own campaign
	weights []float64
	streams []*stream // the own campaign's first, in the order in which they are taken
	limits  []*limit  // the ledger's window first
	rate    float64   // of the dispatch, a second
	budget  policy.Budget
	sent    curve     // of the own campaign
	last    []float64 // when each campaign last sent
	tooLong bool
}

// own is the campaign that is asked about; all stands for every one.
const (
	own = 0
	all = -1
)

// What is less than these is an error of rounding.
const (
	some   = 1e-6 // seconds, or messages a second
	permit = 1e-7 // permits left
	crumb  = 1e-2 // messages to go: errors with many windows add up
)

// stream is a campaign's cohort.
type stream struct {
	load     int
	cohort   Cohort
	subject  policy.Subject
	amount   float64   // from the beginning
	ready    float64   // would go if it were open
	releases []release // the others, the next one first
	asked    bool      // what the clock says, which is
	open     bool
	next     float64 // when it is to be asked again; +Inf: never
	sent     float64
	since    float64 // when its present wait ended
	waited   policy.Reason
	episodes []episode
}

// release is when targets' own time comes.
type release struct {
	at     float64
	n      float64
	waited policy.Reason
}

func (st *stream) left() float64 {
	n := st.ready
	for _, r := range st.releases {
		n += r.n
	}
	return n
}

// most bounds the work for inputs of a kind that nobody has.
const most = 2_000_000

// simulate runs until done says so, nothing can happen any more, or the horizon is reached.
func simulate(in Input, done func(*simulation) bool) *simulation {
	s := newSimulation(in)
	horizon := s.start + Horizon.Seconds()
	asked := false
	for range most {
		s.turn()
		for _, l := range s.limits {
			l.expire(s.t)
		}
		if !asked && s.t >= s.start {
			asked, s.budget = true, s.permits()
		}
		if asked && (done(s) || s.in.Limits.PerMinute <= 0) {
			return s
		}
		if s.t > horizon {
			break
		}
		event := s.event()
		if !asked {
			event = min(event, s.start)
		}
		active := s.active()
		switch {
		case len(active) > 0:
			s.send(active, min(event, horizon+1))
		case math.IsInf(event, 1):
			return s
		default:
			s.t = event
		}
	}
	s.tooLong = true
	return s
}

func newSimulation(in Input) *simulation {
	in.Now, in.Start = in.Now.Truncate(time.Millisecond), in.Start.Truncate(time.Millisecond) // quiet hours begin and end on whole seconds
	s := &simulation{in: in, start: in.start().Sub(in.Now).Seconds(), rate: in.Rate}
	if in.Limits.PerSecond > 0 {
		s.rate = min(s.rate, float64(in.Limits.PerSecond)/secondWindow.Seconds())
	}
	s.limits = append(s.limits, newLimit(Window, in.Limits.PerMinute, in.Ledger, in.Now))
	if in.Limits.Tier > 0 {
		tier := newLimit(24*time.Hour, in.Limits.Tier, in.TierUse, in.Now)
		tier.grain, tier.began = Window.Seconds(), math.Inf(-1)
		s.limits = append(s.limits, tier)
	}
	in.Own.From = in.start()
	for i, l := range append([]Load{in.Own}, in.Others...) {
		s.weights = append(s.weights, cmp.Or(l.Weight, 1))
		s.last = append(s.last, 0)
		for _, k := range l.Cohorts {
			if st := s.stream(i, l, k); st.amount > 0 {
				s.streams = append(s.streams, st)
			}
		}
	}
	return s
}

// stream makes one of a cohort, without those who are left out for good.
func (s *simulation) stream(load int, l Load, k Cohort) *stream {
	st := &stream{load: load, cohort: k, subject: s.in.subject(l, k, Group{OptedIn: true})}
	from := max(l.From.Sub(s.in.Now).Seconds(), 0)
	st.next = from
	for _, g := range k.Groups {
		sub := s.in.subject(l, k, g)
		if g.Targets == 0 || s.in.final(sub) {
			continue
		}
		r := release{at: from, n: float64(g.Targets)}
		if d := s.in.Settings.Capped(g.CappedUntil, s.in.Now); l.Marketing && !d.Permitted {
			if at := g.CappedUntil.Sub(s.in.Now).Seconds(); at > r.at {
				r.at, r.waited = at, policy.FrequencyCapped
			}
		}
		if at := g.NotBefore.Sub(s.in.Now).Seconds(); !g.NotBefore.IsZero() && at > r.at {
			r.at, r.waited = at, ProviderRetry
		}
		st.amount += r.n
		st.releases = append(st.releases, r)
	}
	slices.SortStableFunc(st.releases, func(a, b release) int { return cmp.Compare(a.at, b.at) })
	return st
}

// turn opens and closes cohorts as the policy says, and releases targets whose own time has come.
func (s *simulation) turn() {
	for _, st := range s.streams {
		if st.next <= s.t+some/2 && st.left() >= crumb {
			d, next := s.in.Settings.Until(st.subject, s.time(s.t))
			if d.Permitted && st.asked && !st.open {
				st.since, st.waited = s.t, policy.InQuietHours
			}
			st.asked, st.open, st.next = true, d.Permitted, math.Inf(1)
			if !next.IsZero() {
				st.next = max(next.Sub(s.in.Now).Seconds(), s.t+1e-3)
			}
		}
		for len(st.releases) > 0 && st.releases[0].at <= s.t+some/2 {
			r := st.releases[0]
			st.releases = st.releases[1:]
			if st.ready < crumb && st.open {
				st.since, st.waited = s.t, r.waited
			}
			st.ready += r.n
		}
	}
}

// event is when turn next has something to do.
func (s *simulation) event() float64 {
	next := math.Inf(1)
	for _, st := range s.streams {
		if len(st.releases) > 0 {
			next = min(next, st.releases[0].at)
		}
		if st.next > s.t && st.left() >= crumb {
			next = min(next, st.next)
		}
	}
	return next
}

// active are the cohorts that are sent to now: of each campaign the first that is open and has targets ready.
func (s *simulation) active() []*stream {
	var active []*stream
	for _, st := range s.streams {
		if st.open && st.ready >= crumb && (len(active) == 0 || active[len(active)-1].load != st.load) {
			active = append(active, st)
		}
	}
	return active
}

// send lets the active cohorts send, each campaign by its weight, until the next event or the next change of rates.
func (s *simulation) send(active []*stream, event float64) {
	var weights float64
	for _, st := range active {
		weights += s.weights[st.load]
	}
	drained := math.Inf(1) // messages of all until the first cohort is through
	for _, st := range active {
		drained = min(drained, st.ready*weights/s.weights[st.load])
	}
	if rounds := s.rounds(drained, event); rounds > 1 {
		span := float64(rounds) * s.limits[0].span
		s.take(active, weights, span, float64(rounds)*s.limits[0].most)
		s.limits[0].shift(span)
		for _, l := range s.limits[1:] {
			l.use(s.t, s.t+span, float64(rounds)*s.limits[0].most)
		}
		s.t += span
		return
	}
	rate, until := s.rate, event
	for _, l := range s.limits {
		out, change := l.leaving(s.t)
		until = min(until, change)
		switch left := l.left(); {
		case left < -permit: // it was lowered
			rate = 0
			if out > 0 {
				until = min(until, s.t-left/out)
			}
		case left < permit:
			rate = min(rate, out)
		}
	}
	if rate < some {
		s.t = max(until, s.t+some)
		return
	}
	span := min(until-s.t, drained/rate)
	for _, l := range s.limits {
		if out, _ := l.leaving(s.t); l.left() >= permit && rate > out {
			span = min(span, l.left()/(rate-out))
		}
	}
	span = max(span, some)
	s.take(active, weights, span, rate*span)
	for _, l := range s.limits {
		l.use(s.t, s.t+span, rate*span)
	}
	s.t += span
}

// rounds is how many windows in a row will be as the last one was: the ledger is full, so what leaves it is what
// may go, and goes. They need not be gone through one by one; but the last one is, to see when in it the end comes.
func (s *simulation) rounds(drained, event float64) int {
	ledger := s.limits[0]
	if s.in.oneByOne || math.Abs(ledger.left()) >= permit || ledger.fastest() > s.rate+some {
		return 0
	}
	n := min(drained/ledger.most, (event-s.t)/ledger.span)
	for _, l := range s.limits[1:] {
		n = min(n, l.left()/ledger.most, l.span/ledger.span)
	}
	return int(n) - 1
}

// take gives what is sent in a span to the active cohorts.
func (s *simulation) take(active []*stream, weights, span, n float64) {
	for _, st := range active {
		mine := min(n*s.weights[st.load]/weights, st.ready)
		if st.ready -= mine; st.ready < crumb {
			mine, st.ready = mine+st.ready, 0
		}
		s.last[st.load] = s.t + span
		if st.load == own {
			st.send(s.t, span, mine)
			s.sent.add(s.t, s.t+span, mine)
		}
	}
}

// left is what a campaign still has, or all of them have.
func (s *simulation) left(load int) (n float64) {
	for _, st := range s.streams {
		if st.load == load || load == all {
			n += st.left()
		}
	}
	return n
}

// total is what a campaign had.
func (s *simulation) total(load int) (n float64) {
	for _, st := range s.streams {
		if st.load == load {
			n += st.amount
		}
	}
	return n
}

// permits is what the channel has left now.
func (s *simulation) permits() policy.Budget {
	b := policy.Budget{Available: math.MaxInt}
	for _, l := range s.limits {
		if n := int(max(l.left(), 0) + some); n < b.Available {
			b.Available = n
			b.RetryAfter = s.time(l.next(s.t))
		}
	}
	return b
}

// time is an instant of the simulation, to the millisecond.
func (s *simulation) time(t float64) time.Time {
	return s.in.Now.Add(time.Duration(math.Round(t*1e3)) * time.Millisecond)
}
