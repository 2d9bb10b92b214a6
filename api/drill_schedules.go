package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/domain/drill"
	"lastcall/store"
)

// NewDrillSchedule says when a scenario is drilled by itself.
type NewDrillSchedule struct {
	Days   []string `json:"days" minItems:"1" maxItems:"7" doc:"Of the week" example:"[\"monday\"]"`
	At     string   `json:"at" maxLength:"5" example:"10:00" doc:"Of the zone's clocks"`
	Zone   string   `json:"zone" maxLength:"64" example:"Africa/Kigali" doc:"IANA"`
	Fast   bool     `json:"fast,omitempty" doc:"Fast drills"`
	Paused bool     `json:"paused,omitempty" doc:"None begins until it is resumed"`
	Reason string   `json:"reason" minLength:"1" maxLength:"500" doc:"For the audit log, and of each drill"`
}

// DrillSchedule is when a scenario is drilled by itself, and what became of it the last time.
type DrillSchedule struct {
	Scenario string `json:"scenario"`
	NewDrillSchedule
	By          string     `json:"by" doc:"Who wrote it last"`
	ChangedAt   time.Time  `json:"changed_at"`
	Next        *time.Time `json:"next,omitempty" doc:"Absent: it is paused"`
	LastDue     *time.Time `json:"last_due,omitempty" doc:"The last time that a drill was to begin"`
	LastDrill   *uuid.UUID `json:"last_drill,omitempty" format:"uuid" doc:"That began then"`
	LastRefused string     `json:"last_refused,omitempty" doc:"Why none did"`
}

// DrillSchedules are all of them.
type DrillSchedules struct {
	Schedules []DrillSchedule `json:"schedules"`
}

// ScenarioPath is the part of an address that names a scenario.
type ScenarioPath struct {
	Scenario string `path:"scenario" maxLength:"40" example:"messaging-outage"`
}

func (s *server) drillSchedules() {
	tags := []string{"Drills"}
	register(s, access.DrillsRead, huma.Operation{OperationID: "list-drill-schedules", Method: http.MethodGet, Path: "/drill-schedules", Tags: tags,
		Summary: "List the drills that begin by themselves"},
		func(ctx context.Context, _ *struct{}) (*drillSchedulesOutput, error) { return s.allDrillSchedules(ctx) })
	register(s, access.DrillsRun, huma.Operation{OperationID: "schedule-drill", Method: http.MethodPut, Path: "/drill-schedules/{scenario}", Tags: tags,
		Summary: "Have a drill begin by itself", Errors: append([]int{http.StatusNotFound}, refusals...),
		Description: "On these days at this time, as if somebody began it by hand: what would be refused then is refused, and said in the Ops channel. " +
			"One that nobody could begin within ten minutes is left out. It takes the place of the schedule that the scenario had."},
		func(ctx context.Context, in *struct {
			ScenarioPath
			Body NewDrillSchedule
		}) (*struct{ Body DrillSchedule }, error) {
			if _, err := drill.Find(s.Drills, in.Scenario); err != nil {
				return nil, err
			}
			want := store.DrillSchedule{Schedule: drill.Schedule{Scenario: in.Scenario, At: in.Body.At, Zone: in.Body.Zone, Paused: in.Body.Paused},
				Fast: in.Body.Fast, Reason: in.Body.Reason}
			for _, name := range in.Body.Days {
				day, err := drill.ParseDay(name)
				if err != nil {
					return nil, err
				}
				want.Days = append(want.Days, day)
			}
			d, err := s.Store.SetDrillSchedule(ctx, want)
			return &struct{ Body DrillSchedule }{scheduleOf(d)}, err
		})
	register(s, access.DrillsRun, huma.Operation{OperationID: "unschedule-drill", Method: http.MethodDelete, Path: "/drill-schedules/{scenario}", Tags: tags,
		Summary: "Have a drill begin by hand only", Description: "The answer is what still begins by itself.", Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *struct {
			ScenarioPath
			Ending
		}) (*drillSchedulesOutput, error) {
			if err := s.Store.EndDrillSchedule(ctx, in.Scenario, in.Reason); err != nil {
				return nil, err
			}
			return s.allDrillSchedules(ctx)
		})
}

type drillSchedulesOutput struct{ Body DrillSchedules }

func (s *server) allDrillSchedules(ctx context.Context) (*drillSchedulesOutput, error) {
	all, err := s.Store.DrillSchedules(ctx)
	out := DrillSchedules{Schedules: make([]DrillSchedule, len(all))}
	for i, d := range all {
		out.Schedules[i] = scheduleOf(d)
	}
	return &drillSchedulesOutput{out}, err
}

func scheduleOf(d store.DrillSchedule) DrillSchedule {
	out := DrillSchedule{Scenario: d.Scenario, NewDrillSchedule: NewDrillSchedule{Days: make([]string, len(d.Days)), At: d.At, Zone: d.Zone, Fast: d.Fast, Paused: d.Paused,
		Reason: d.Reason}, By: d.Actor, ChangedAt: d.ChangedAt, LastDue: d.LastDue, LastDrill: d.LastDrill, LastRefused: d.LastRefused}
	for i, day := range d.Days {
		out.Days[i] = drill.DayName(day)
	}
	if next, ok := d.Schedule.Next(time.Now()); ok && !d.Paused {
		out.Next = &next
	}
	return out
}
