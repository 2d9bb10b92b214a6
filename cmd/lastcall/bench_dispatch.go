package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	enums "go.temporal.io/api/enums/v1"

	"lastcall/store"
	"lastcall/workflows"
)

// dispatch sends a campaign to a sink that answers at once and one to a sink that takes 20 ms, each between
// two runs of a raw client with as many connections.
func (b *bench) dispatch(ctx context.Context) error {
	var slowest time.Duration
	for _, at := range []struct {
		delay time.Duration
		limit float64
	}{{0, 35}, {20 * time.Millisecond, 60}} {
		r, err := b.beside(ctx, b.targets, at.delay)
		if err != nil {
			return err
		}
		b.atLeast(at.limit, benchFigure{Bench: "dispatch", Name: fmt.Sprintf("dispatch of the raw client, sink at %d ms", at.delay.Milliseconds()),
			Value: 100 * r.rate / r.raw, Unit: "%", Basis: fmt.Sprintf("%s/s of %s/s, %s targets", thousands(int64(r.rate)), thousands(int64(r.raw)), thousands(int64(b.targets))),
			Detail: map[string]float64{"messages_per_second": r.rate, "raw_per_second": r.raw, "targets": float64(b.targets)}})
		slowest = max(slowest, r.first)
		if at.delay == 0 {
			b.atMost(4, events(r, b.targets))
		}
	}
	for range 4 {
		b.stack.sink.reset(0)
		id, err := b.stack.draft(ctx, 100)
		if err != nil {
			return err
		}
		first, _, err := b.stack.through(ctx, id, 100)
		if err != nil {
			return err
		}
		slowest = max(slowest, first)
	}
	b.atMost(1, benchFigure{Bench: "dispatch", Name: "first send after start", Value: slowest.Seconds(), Unit: "s", Basis: "the slowest of 6 campaigns"})
	return b.peak("dispatch", b.targets)
}

// aMillion sends a campaign of a million targets with a fresh worker: what does not grow with N.
func (b *bench) aMillion(ctx context.Context) error {
	const targets = 1_000_000
	if err := b.stack.freshWorker(ctx); err != nil {
		return err
	}
	r, err := b.beside(ctx, targets, 0)
	if err != nil {
		return err
	}
	b.atLeast(35, benchFigure{Bench: "million", Name: "dispatch of the raw client, a million targets", Value: 100 * r.rate / r.raw, Unit: "%",
		Basis:  fmt.Sprintf("%s/s of %s/s", thousands(int64(r.rate)), thousands(int64(r.raw))),
		Detail: map[string]float64{"messages_per_second": r.rate, "raw_per_second": r.raw, "targets": targets}})
	f := events(r, targets)
	f.Bench, f.Name = "million", f.Name+", a million targets"
	b.atMost(4, f)
	return b.peak("million", targets)
}

// pace is how a campaign went beside the raw client.
type pace struct {
	rate, raw float64       // messages a second
	first     time.Duration // from the order to start to the first message
	events    int           // in the workflow's histories
}

func (b *bench) beside(ctx context.Context, targets int, delay time.Duration) (p pace, err error) {
	connections := b.stack.config.Dispatch.Lanes * b.stack.config.Dispatch.Concurrency
	raw := func() error {
		b.stack.sink.reset(delay)
		rate, err := b.stack.raw(ctx, min(max(targets/2, connections), 50_000), connections)
		p.raw += rate / 2
		return err
	}
	id, err := b.stack.draft(ctx, targets)
	if err != nil {
		return p, err
	}
	if err := raw(); err != nil {
		return p, err
	}
	b.stack.sink.reset(delay)
	var took time.Duration
	if p.first, took, err = b.stack.through(ctx, id, targets); err != nil {
		return p, err
	}
	p.rate = float64(targets) / took.Seconds()
	if err := raw(); err != nil {
		return p, err
	}
	p.events, err = b.stack.events(ctx, id)
	return p, err
}

// through sees a campaign through and returns how long its first message took and how long it took until
// all had gone and every outcome was committed, both from the order to start.
func (s *benchStack) through(ctx context.Context, id uuid.UUID, targets int) (first, all time.Duration, err error) {
	asked, err := s.start(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	if _, err = s.sink.await(ctx, targets); err != nil {
		return 0, 0, err
	}
	recorded, err := s.until(ctx, id, func(p store.Progress) bool { return p.Counts.Accepted() == int64(targets) })
	if err != nil {
		return 0, 0, err
	}
	times := s.sink.times()
	if _, err = s.until(ctx, id, ended); err == nil && len(times) != targets {
		err = fmt.Errorf("%d messages for %d targets", len(times), targets)
	}
	return times[0].Sub(asked), recorded.Sub(asked), err
}

func events(p pace, targets int) benchFigure {
	return benchFigure{Bench: "dispatch", Name: "history events per 1,000 targets", Value: float64(p.events) / float64(targets) * 1000,
		Basis: fmt.Sprintf("%s events, sink at 0 ms", thousands(int64(p.events)))}
}

// events counts the events in the histories of all runs of a campaign's workflow.
func (s *benchStack) events(ctx context.Context, id uuid.UUID) (n int, err error) {
	for run := ""; ; {
		var previous string
		history := s.dialed.GetWorkflowHistory(ctx, workflows.CampaignID(id), run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for history.HasNext() {
			e, err := history.Next()
			if err != nil {
				return n, err
			}
			if started := e.GetWorkflowExecutionStartedEventAttributes(); started != nil {
				previous = started.ContinuedExecutionRunId
			}
			n++
		}
		if run = previous; run == "" {
			return n, nil
		}
	}
}

// peak adds the most memory that the worker ever had in use.
func (b *bench) peak(bench string, targets int) error {
	most, err := peakMemory(b.stack.worker.PID())
	if err != nil {
		return err
	}
	b.atMost(200, benchFigure{Bench: bench, Name: "worker's peak memory", Value: float64(most) / (1 << 20), Unit: "MB",
		Basis: fmt.Sprintf("resident, after %s targets", thousands(int64(targets)))})
	return nil
}

// peakMemory is the peak resident memory of a process in bytes, as Linux tells it.
func peakMemory(pid int) (int64, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("the peak memory of a process is known on Linux only: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc does not tell the peak memory of a process")
}
