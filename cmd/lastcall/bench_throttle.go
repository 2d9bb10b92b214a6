package main

import (
	"context"
	"fmt"
	"time"
)

// throttle saturates a cap for a little over two minutes.
func (b *bench) throttle(ctx context.Context) error {
	const perMinute, cycles = 3000, 2
	s := b.stack
	if _, err := s.set(ctx, "throttle", fmt.Sprintf(`{"whatsapp":{"per_minute":%d}}`, perMinute)); err != nil {
		return err
	}
	const targets = (cycles + 1) * perMinute
	id, err := s.draft(ctx, targets)
	if err != nil {
		return err
	}
	s.sink.reset(0)
	if _, _, err := s.through(ctx, id, targets); err != nil {
		return err
	}
	times := s.sink.times()
	use, excess := throttleUse(times, perMinute, cycles), throttleExcess(times, perMinute)
	basis := fmt.Sprintf("%s a minute, %s messages in %.0f s", thousands(perMinute), thousands(targets), times[targets-1].Sub(times[0]).Seconds())
	b.atLeast(98, benchFigure{Bench: "throttle", Name: "throttle used at saturation", Value: 100 * use, Unit: "%", Basis: basis})
	b.atMost(0, benchFigure{Bench: "throttle", Name: "most above the throttle in any 60 s", Value: float64(excess), Unit: "messages", Basis: basis})
	_, err = s.set(ctx, "throttle", `{"whatsapp":{"per_minute":6000000}}`)
	return err
}

// throttleUse is the share of a cap that was used at saturation. A campaign that gets all of a minute's
// permits at once sends in bursts, so it is measured over whole cycles: from each message of the first cap's
// worth to the one so many caps later. times must hold that many.
func throttleUse(times []time.Time, perMinute, cycles int) float64 {
	var sum time.Duration
	n := len(times) - cycles*perMinute
	for i := range n {
		sum += times[i+cycles*perMinute].Sub(times[i])
	}
	cycle := sum.Seconds() / float64(n) / float64(cycles)
	return 60 / cycle
}

// throttleExcess is by how many messages the fullest 60 seconds, wherever they begin, exceed the cap; 0 if
// none does. Messages exactly 60 s apart are not in one window. times are in order.
func throttleExcess(times []time.Time, perMinute int) int {
	most, from := 0, 0
	for to, at := range times {
		for at.Sub(times[from]) >= time.Minute {
			from++
		}
		most = max(most, to-from+1)
	}
	return max(most-perMinute, 0)
}
