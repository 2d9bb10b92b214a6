package worker

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/workflows"
)

// Probing is how a worker probes edge functions, and how it is made to fail.
type Probing struct {
	Probes *activities.Probes
	Every  time.Duration      // how often; 0: never by itself
	Drills *activities.Drills // nil: none are run

	// StopPolling tells whether the worker should take nothing from the queue of dispatch now, as long as a fault is in
	// the way; nil: never.
	StopPolling func(context.Context) bool
}

// Probing has the worker probe, and run drills. It must be called before Run.
func (w *Worker) Probing(p Probing) {
	w.probing = p
	w.control.RegisterWorkflowWithOptions(workflows.Probe, workflow.RegisterOptions{Name: "Probe"})
	w.control.RegisterActivity(p.Probes)
	if p.Drills != nil {
		w.control.RegisterWorkflowWithOptions(workflows.Drill, workflow.RegisterOptions{Name: "Drill"})
		w.control.RegisterWorkflowWithOptions(workflows.ScheduledDrill, workflow.RegisterOptions{Name: "ScheduledDrill"})
		w.control.RegisterActivity(p.Drills)
	}
}

const (
	beatEvery = 2 * time.Second
	lookEvery = 500 * time.Millisecond
)

// beat says that the worker is there until ctx is over, and stops and resumes polling as it is told.
func (w *Worker) beat(ctx context.Context) {
	beat, look := time.NewTicker(beatEvery), time.NewTicker(lookEvery)
	defer beat.Stop()
	defer look.Stop()
	for {
		if err := w.acts.Store.Beat(ctx, w.name, w.dispatch.polls()); err != nil && ctx.Err() == nil {
			w.log.Warn("cannot say that the worker is there", "error", err)
		}
		for turned := false; !turned; {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				turned = true
			case <-look.C:
				turned = w.obey(ctx)
			}
		}
	}
}

// obey stops or resumes polling if it is told to, and reports whether it did.
func (w *Worker) obey(ctx context.Context) bool {
	stop := w.probing.StopPolling != nil && w.probing.StopPolling(ctx)
	switch {
	case stop && w.dispatch.polls():
		w.log.Warn("a fault is on: nothing is taken from the queue of dispatch")
		w.dispatch.stop()
	case !stop && !w.dispatch.polls():
		if err := w.dispatch.start(); err != nil {
			w.log.Warn("cannot dispatch again yet", "error", err)
			return false
		}
		w.log.Info("dispatches again")
	default:
		return false
	}
	return true
}

// schedule sees to it that there are the schedules of probes and of drills; while Temporal does not answer it tries again.
func (w *Worker) schedule(ctx context.Context) {
	for {
		err := w.scheduleAll(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		w.log.Warn("probes and drills cannot be scheduled yet", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

func (w *Worker) scheduleAll(ctx context.Context) error {
	if w.probing.Every > 0 {
		if err := workflows.ScheduleProbes(ctx, w.client, w.probing.Every); err != nil {
			return err
		}
	}
	if w.probing.Drills == nil {
		return nil
	}
	all, err := w.acts.Store.DrillSchedules(ctx)
	for _, d := range all {
		if err := workflows.ScheduleDrills(ctx, w.client, d.Schedule); err != nil {
			return err
		}
	}
	return err
}

// dispatching is the worker of the queue of dispatch. A worker that has stopped cannot start again, so another is made.
type dispatching struct {
	make   func() worker.Worker
	now    worker.Worker  // nil while it does not poll
	ending sync.WaitGroup // those that were told to stop, and finish what they have begun
}

func (d *dispatching) polls() bool { return d.now != nil }

func (d *dispatching) start() error {
	next := d.make()
	if err := next.Start(); err != nil {
		return err
	}
	d.now = next
	return nil
}

// stop stops polling at once; what has begun is finished behind.
func (d *dispatching) stop() {
	if old := d.now; old != nil {
		d.now = nil
		d.ending.Go(old.Stop)
	}
}
