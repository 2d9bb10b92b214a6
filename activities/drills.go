package activities

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/audit"
	"lastcall/domain/drill"
	"lastcall/domain/probe"
	"lastcall/store"
)

// Drills are the activities of the drill workflow.
type Drills struct {
	Store  *store.Store
	Probes *Probes
	Rules  alert.Rules // whose clocks a drill shortens
	Log    *slog.Logger

	Scenarios []drill.Scenario // what can be drilled, for those that are due
}

// DrillSteady says whether a drill may begin.
type DrillSteady struct {
	Problem string `json:"problem,omitempty"` // what is not steady, for people; "": it may
}

// CheckDrill probes what must be steady and looks whether it is.
func (a *Drills) CheckDrill(ctx context.Context, id uuid.UUID) (DrillSteady, error) {
	d, _, err := a.Store.DrillOf(ctx, id)
	if err != nil {
		return DrillSteady{}, err
	}
	if d.StoppedBy != "" {
		return DrillSteady{Problem: d.Why}, nil
	}
	a.probe(ctx, d)
	problem, err := a.Store.CheckDrill(drillActor(ctx), id)
	return DrillSteady{problem}, err
}

// InjectDrill puts the fault in the way. It expires by itself.
func (a *Drills) InjectDrill(ctx context.Context, id uuid.UUID) (Nothing, error) {
	return Nothing{}, a.Store.InjectDrill(drillActor(ctx), id, a.Rules)
}

// DrillSeen is what became of a drill.
type DrillSeen struct {
	New  []drill.Event `json:"new,omitempty"`
	Over bool          `json:"over,omitempty"` // nothing more is waited for
	Stop string        `json:"stop,omitempty"` // why it must stop
}

const (
	lookEvery = 500 * time.Millisecond
	lookFor   = 2 * time.Minute // then it answers although nothing has happened, so that a history shows that it goes on
)

// WatchDrill looks until something of what the drill expects has happened, or nothing more is waited for. Meanwhile it probes as
// often as the scenario says and, of a fast drill, acknowledges its alert: that is its script.
func (a *Drills) WatchDrill(ctx context.Context, id uuid.UUID) (DrillSeen, error) {
	d, _, err := a.Store.DrillOf(ctx, id)
	if err != nil {
		return DrillSeen{}, err
	}
	probing, stop := context.WithCancel(ctx)
	defer stop()
	if d.Fast {
		go a.probeEvery(probing, d)
	}
	if d.Experiment.Redeems() {
		go a.redeem(probing, d.ID)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for end := time.Now().Add(lookFor); ; {
		look, err := a.Store.LookAtDrill(drillActor(ctx), id)
		if err != nil {
			return DrillSeen{}, err
		}
		if look.Acknowledge != uuid.Nil {
			err := a.Store.AcknowledgeAlert(drillActor(ctx), look.Acknowledge, "by the script of a fast drill")
			if err != nil && domain.KindOf(err) != domain.Conflict { // somebody was quicker
				return DrillSeen{}, err
			}
			continue
		}
		activity.RecordHeartbeat(ctx)
		if len(look.New) > 0 || look.Over || look.Stop != "" || time.Now().After(end) {
			return DrillSeen{look.New, look.Over, look.Stop}, nil
		}
		select {
		case <-ctx.Done():
			return DrillSeen{}, ctx.Err()
		case <-activity.GetWorkerStopChannel(ctx):
			return DrillSeen{}, nil // another worker goes on
		case <-tick.C:
		}
	}
}

// probeEvery probes what the drill is about, as often as it says, until ctx is over.
func (a *Drills) probeEvery(ctx context.Context, d store.Drill) {
	tick := time.NewTicker(time.Duration(d.Experiment.ProbeEvery))
	defer tick.Stop()
	for {
		a.probe(ctx, d)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// redeemEvery is how often a drill tries to redeem: a rule that wants fifty has them within a quarter of a minute.
const redeemEvery = 250 * time.Millisecond

// redeem tries to redeem what there is not, and notes what becomes of it, until ctx is over.
func (a *Drills) redeem(ctx context.Context, id uuid.UUID) {
	tick := time.NewTicker(redeemEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		failed := a.Probes.tryRedemption(ctx)
		if ctx.Err() != nil {
			return // that says nothing
		}
		if err := a.Store.NoteDrillAttempt(ctx, id, failed); err != nil && ctx.Err() == nil {
			a.Log.Warn("cannot note what a drill tried", "drill", id, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// probe probes what must be steady, and what the fault is put before. That it cannot is no failure: what nobody knows is unknown.
func (a *Drills) probe(ctx context.Context, d store.Drill) {
	names := []probe.Name{d.Experiment.Fault.EdgeFunction}
	for _, c := range d.Experiment.SteadyState {
		if !slices.Contains(names, c.EdgeFunction) {
			names = append(names, c.EdgeFunction)
		}
	}
	round := make([]probe.Finding, len(names))
	var asked errgroup.Group
	for i, name := range names {
		asked.Go(func() (err error) {
			round[i], err = a.Probes.ProbeFunction(ctx, name)
			return err
		})
	}
	err := asked.Wait()
	if err == nil {
		err = a.Probes.RecordProbes(ctx, round)
	}
	if err != nil && ctx.Err() == nil {
		a.Log.Warn("cannot probe for a drill", "drill", d.ID, "error", err)
	}
}

// BeginScheduledDrill begins the drill of a scenario that is due now, as its schedule says.
func (a *Drills) BeginScheduledDrill(ctx context.Context, scenario string) (Nothing, error) {
	return Nothing{}, a.Store.BeginScheduledDrill(audit.WithActor(ctx, audit.System("drill schedule")), a.Scenarios, scenario)
}

// RevertDrill takes the fault away, and lets go on what a rule has paused.
func (a *Drills) RevertDrill(ctx context.Context, id uuid.UUID) (Nothing, error) {
	return Nothing{}, a.Store.RevertDrill(drillActor(ctx), id)
}

// EndDrillInput is how a drill ends.
type EndDrillInput struct {
	DrillID uuid.UUID   `json:"drill_id"`
	State   drill.State `json:"state"`
	Why     string      `json:"why,omitempty"`
}

// EndDrill scores what was measured and writes the journal for good.
func (a *Drills) EndDrill(ctx context.Context, in EndDrillInput) (Nothing, error) {
	err := a.Store.EndDrill(drillActor(ctx), in.DrillID, in.State, in.Why)
	if domain.CodeOf(err) == "drill_not_reverted" { // it is being reverted; whatever else it says stays true
		err = domain.E(domain.Unavailable, "drill_not_reverted", "the fault is still there").Because(err)
	}
	return Nothing{}, err
}

func drillActor(ctx context.Context) context.Context {
	return audit.WithActor(ctx, audit.System("drill"))
}
