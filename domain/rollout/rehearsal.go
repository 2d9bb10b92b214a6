package rollout

import "time"

// A rehearsal is a rollout of its own, by the same plan, whose durations pass so many times as fast. It takes the one phase
// that there is, on the sandbox only, and ends by itself.
const (
	RehearsalPrefix = "rehearsal-" // of its name, and of no other rollout's
	MostFactor      = 100_000
	RehearsalLasts  = time.Hour // at most, whatever becomes of whoever runs it
)

// The codes of refusals about rehearsals.
const (
	NotHere = "rollout_rehearsal_sandbox" // messages go to people
	NotOne  = "rollout_rehearsal_name"    // the name says one thing and the factor another
)

// No item is looked at more often than this, nor is what was found stale sooner: looking takes its time, however fast the
// days pass.
const (
	soonest  = 5 * time.Second
	freshest = time.Minute
)

// Faster is the plan of a rehearsal: what its items name in durations passes so many times as fast. The factor is part of it,
// and so of its digest; signals and days divide by it themselves. One of 1 is the plan itself.
func (p Plan) Faster(factor int) Plan {
	if factor <= 1 {
		return p
	}
	by := time.Duration(factor)
	out := p
	out.Factor, out.Phases = factor, make([]PhasePlan, len(p.Phases))
	for n, of := range p.Phases {
		items := make([]Item, len(of.Items))
		for i, item := range of.Items {
			if item.Every > 0 {
				item.Every = max(item.Every/by, soonest)
			}
			if item.StaleAfter > 0 {
				item.StaleAfter = max(item.StaleAfter/by, freshest)
			}
			item.Lasts /= by
			items[i] = item
		}
		of.Items = items
		out.Phases[n] = of
	}
	return out
}
