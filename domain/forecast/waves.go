package forecast

import (
	"cmp"
	"math"
	"slices"
	"time"

	"lastcall/domain/policy"
)

const (
	waveBreak = 600 // seconds without a message, after which another wave begins
	mostWaves = 200
	mostSteps = 200
)

// episode is a cohort's part of a wave.
type episode struct {
	since    float64
	waited   policy.Reason
	from, to float64
	n        float64 // sent by then by the cohort in all, from the beginning
}

// send adds to the cohort's present episode, or begins one: it waited, or had to wait in the middle.
func (st *stream) send(t, span, n float64) {
	st.sent += n
	if i := len(st.episodes) - 1; i >= 0 {
		e := &st.episodes[i]
		if e.since == st.since && t-e.to <= waveBreak {
			e.to, e.n = t+span, st.sent
			return
		}
		if e.since == st.since {
			st.since, st.waited = t, policy.Throttled
		}
	}
	st.episodes = append(st.episodes, episode{st.since, st.waited, t, t + span, st.sent})
}

// waves puts the episodes together that began for the same reason at the same time.
func (s *simulation) waves() []Wave {
	type key struct {
		since  float64
		waited policy.Reason
	}
	all, at := []Wave{}, map[key]int{}
	for _, st := range s.streams {
		var before int64
		for _, e := range st.episodes {
			n := int64(math.Round(e.n)) - before
			before += n
			if n == 0 {
				continue // a fraction of somebody, who goes with the next
			}
			part := Part{Country: st.cohort.Country, Zone: st.cohort.Zone, Locale: st.cohort.Locale, From: s.time(e.from), To: s.time(e.to), Targets: n}
			k := key{math.Round(e.since), e.waited}
			i, known := at[k]
			if !known {
				i, at[k] = len(all), len(all)
				all = append(all, Wave{Waited: e.waited, From: part.From, To: part.To})
			}
			all[i].add(part)
		}
	}
	slices.SortStableFunc(all, func(a, b Wave) int { return a.From.Compare(b.From) })
	for gap := 2.0 * waveBreak; len(all) > mostWaves; gap *= 2 {
		all = mergeWaves(all, gap)
	}
	return all
}

func (w *Wave) add(p Part) {
	w.Targets += p.Targets
	w.From, w.To = earlier(w.From, p.From), later(w.To, p.To)
	w.Cohorts = append(w.Cohorts, p)
}

// mergeWaves merges waves that are no further apart than the gap, in seconds, the last ones first, while there are
// too many.
func mergeWaves(waves []Wave, gap float64) []Wave {
	for i := len(waves) - 1; i > 0 && len(waves) > mostWaves; i-- {
		if waves[i].From.Sub(waves[i-1].To).Seconds() <= gap {
			waves[i-1].merge(waves[i])
			waves = slices.Delete(waves, i, i+1)
		}
	}
	return waves
}

func (w *Wave) merge(next Wave) {
	w.Merged, w.Waited = max(w.Merged, 1)+max(next.Merged, 1), cmp.Or(w.Waited, next.Waited)
	for _, p := range next.Cohorts {
		i := slices.IndexFunc(w.Cohorts, func(o Part) bool {
			return o.Country == p.Country && o.Zone == p.Zone && o.Locale == p.Locale
		})
		if i >= 0 {
			o := w.Cohorts[i]
			p.Targets, w.Targets = p.Targets+o.Targets, w.Targets-o.Targets
			p.From, p.To = earlier(o.From, p.From), later(o.To, p.To)
			w.Cohorts = slices.Delete(w.Cohorts, i, i+1)
		}
		w.add(p)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// curve is how many have gone by when, in straight lines.
type curve struct{ points []point }

type point struct{ t, n float64 }

func (c *curve) add(from, to, n float64) {
	if len(c.points) == 0 {
		c.points = []point{{from, 0}}
	}
	last := c.points[len(c.points)-1]
	if last.t < from-some {
		c.points = append(c.points, point{from, last.n})
	}
	if i := len(c.points) - 2; i >= 0 { // the line goes on as it was
		a, b := c.points[i], c.points[i+1]
		if math.Abs((b.n-a.n)/(b.t-a.t)-n/(to-from)) < some {
			c.points[i+1] = point{to, b.n + n}
			return
		}
	}
	c.points = append(c.points, point{to, last.n + n})
}

// at is how many have gone by t.
func (c curve) at(t float64) float64 {
	i, found := slices.BinarySearchFunc(c.points, t, func(p point, t float64) int { return cmp.Compare(p.t, t) })
	switch {
	case len(c.points) == 0 || i == 0:
		return 0
	case found:
		return c.points[i].n
	case i == len(c.points):
		return c.points[i-1].n
	}
	a, b := c.points[i-1], c.points[i]
	return a.n + (b.n-a.n)*(t-a.t)/(b.t-a.t)
}

// peak is the most in any span.
func (c curve) peak(span float64) int64 {
	var most float64
	for _, p := range c.points { // it begins or ends where the line bends
		most = max(most, c.at(p.t+span)-p.n, p.n-c.at(p.t-span))
	}
	return int64(math.Ceil(most - some))
}

// steps draws the curve: between breaks it may be smoothed, the breaks stay.
func (s *simulation) steps() []Step {
	points := s.sent.smooth(waveBreak)
	if len(points) > mostSteps {
		first, last := points[0].t, points[len(points)-1].t
		even := make([]point, mostSteps)
		for i := range even {
			t := first + (last-first)*float64(i)/(mostSteps-1)
			even[i] = point{t, s.sent.at(t)}
		}
		points = even
	}
	steps := make([]Step, len(points))
	for i, p := range points {
		steps[i] = Step{s.time(p.t), int64(math.Round(p.n))}
	}
	return steps
}

// smooth leaves out the points between which nothing is sent for no longer than the pause.
func (c curve) smooth(pause float64) (points []point) {
	for i, p := range c.points {
		inner := i > 0 && i < len(c.points)-1
		if inner && !c.flat(i-1, pause) && !c.flat(i, pause) && p.t-points[len(points)-1].t < pause {
			continue
		}
		points = append(points, p)
	}
	return points
}

// flat reports whether the line from point i on shows a pause.
func (c curve) flat(i int, pause float64) bool {
	a, b := c.points[i], c.points[i+1]
	return b.n == a.n && b.t-a.t > pause
}
