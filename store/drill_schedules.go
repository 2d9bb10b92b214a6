package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/drill"
)

// DrillSchedule is when a scenario is drilled without anybody beginning it. What is wanted stands here; a schedule in Temporal
// follows it, and one that lingers there begins nothing.
type DrillSchedule struct {
	drill.Schedule
	Fast        bool
	Reason      string
	Actor       string // who wrote it last
	ChangedAt   time.Time
	LastDue     *time.Time // the last time that a drill was to begin
	LastDrill   *uuid.UUID // that began then
	LastRefused string     // why none did, for people; "": one did
}

const drillScheduleColumns = `scenario, fast, days, at, zone, paused, reason, actor, changed_at, last_due, last_drill, last_refused`

func scanDrillSchedule(row pgx.CollectableRow) (d DrillSchedule, err error) {
	var days []int32
	err = row.Scan(&d.Scenario, &d.Fast, &days, &d.At, &d.Zone, &d.Paused, &d.Reason, &d.Actor, &d.ChangedAt, &d.LastDue, &d.LastDrill, &d.LastRefused)
	for _, day := range days {
		d.Days = append(d.Days, time.Weekday(day))
	}
	return d, err
}

// DrillSchedules lists them all, by scenario: there is one of each at most.
func (s *Store) DrillSchedules(ctx context.Context) ([]DrillSchedule, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+drillScheduleColumns+` FROM drill_schedules ORDER BY scenario`)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, scanDrillSchedule)
	return all, unavailable(err)
}

func drillScheduleTarget(scenario string) string { return "drill_schedule/" + scenario }

// SetDrillSchedule has a scenario drilled at these times from now on, in place of those before. It fails as
// drill.Schedule.Check does.
func (s *Store) SetDrillSchedule(ctx context.Context, d DrillSchedule) (DrillSchedule, error) {
	if err := d.Check(); err != nil {
		return d, err
	}
	if d.Reason = strings.TrimSpace(d.Reason); d.Reason == "" {
		return d, domain.E(domain.Invalid, "no_reason", "say what it is for").About("reason")
	}
	slices.Sort(d.Days)
	d.Days = slices.Compact(d.Days)
	days := make([]int32, len(d.Days))
	for i, day := range d.Days {
		days[i] = int32(day)
	}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		rows, err := tx.pgx.Query(tx.ctx, `INSERT INTO drill_schedules (scenario, fast, days, at, zone, paused, reason, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (scenario) DO UPDATE SET fast = $2, days = $3, at = $4, zone = $5, paused = $6, reason = $7, actor = $8, changed_at = clock_timestamp()
			RETURNING `+drillScheduleColumns, d.Scenario, d.Fast, days, d.At, d.Zone, d.Paused, d.Reason, audit.ActorFrom(ctx).EntryName())
		if err == nil {
			d, err = pgx.CollectExactlyOneRow(rows, scanDrillSchedule)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindScheduleDrill, drillScheduleTarget(d.Scenario), ScheduleDrill{Scenario: d.Scenario})
		return audit.Entry{Action: "drill.scheduled", Target: drillScheduleTarget(d.Scenario), Reason: d.Reason,
			Diff: map[string]any{"days": d.Days, "at": d.At, "zone": d.Zone, "fast": d.Fast, "paused": d.Paused}}, err
	})
	return d, err
}

// EndDrillSchedule drills a scenario by hand only from now on; domain.NotFound of code drill_schedule_not_found.
func (s *Store) EndDrillSchedule(ctx context.Context, scenario, reason string) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		done, err := tx.pgx.Exec(tx.ctx, `DELETE FROM drill_schedules WHERE scenario = $1`, scenario)
		if err == nil && done.RowsAffected() == 0 {
			err = notFound(pgx.ErrNoRows, "drill_schedule", scenario)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindScheduleDrill, drillScheduleTarget(scenario), ScheduleDrill{Scenario: scenario})
		return audit.Entry{Action: "drill.unscheduled", Target: drillScheduleTarget(scenario), Reason: reason}, err
	})
}

// ScheduleOfDrill is the schedule of a scenario; nil: it has none.
func (s *Store) ScheduleOfDrill(ctx context.Context, scenario string) (*DrillSchedule, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+drillScheduleColumns+` FROM drill_schedules WHERE scenario = $1`, scenario)
	if err != nil {
		return nil, unavailable(err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, scanDrillSchedule)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &d, unavailable(err)
}

// DrillLateBy is how late a drill may begin: one whose time passed while nobody was there is left out.
const DrillLateBy = 10 * time.Minute

// BeginScheduledDrill begins the drill that is due now, as somebody would by hand, once however often it is called. It begins
// none when nothing is due, the schedule is paused or gone. One that is refused is told to the Ops channel, and is no error.
func (s *Store) BeginScheduledDrill(ctx context.Context, scenarios []drill.Scenario, name string) error {
	d, err := s.ScheduleOfDrill(ctx, name)
	if err != nil || d == nil || d.Paused {
		return err
	}
	var now time.Time
	if err := s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return unavailable(err)
	}
	due, ok := d.Last(now.Add(time.Second)) // two clocks
	if !ok || now.Sub(due) > DrillLateBy || due.Before(d.ChangedAt.Truncate(time.Minute)) || d.LastDue != nil && !d.LastDue.Before(due) {
		return nil
	}
	refused := ""
	var begun *uuid.UUID
	scenario, err := drill.Find(scenarios, name)
	if err == nil {
		key := drillScheduleTarget(name) + "/" + due.UTC().Format(time.RFC3339)
		hash := sha256.Sum256([]byte(key))
		var made Drill
		if made, err = s.StartDrill(ctx, NewDrill{Scenario: scenario, Fast: d.Fast, Reason: d.Reason, IdempotencyKey: key, RequestHash: hash[:]}); err == nil {
			begun = &made.ID
		}
	}
	switch domain.KindOf(err) {
	case domain.Conflict, domain.Forbidden, domain.NotFound, domain.Invalid:
		wrong, _ := errors.AsType[*domain.Error](err)
		refused = wrong.Message
	default:
		if err != nil {
			return err
		}
	}
	return s.drillWasDue(ctx, *d, due, begun, refused)
}

// drillWasDue notes what became of a time at which a drill was to begin.
func (s *Store) drillWasDue(ctx context.Context, d DrillSchedule, due time.Time, begun *uuid.UUID, refused string) error {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		done, err := tx.pgx.Exec(tx.ctx, `UPDATE drill_schedules SET last_due = $2, last_drill = $3, last_refused = $4
			WHERE scenario = $1 AND (last_due IS NULL OR last_due < $2)`, d.Scenario, due, begun, refused)
		if err != nil {
			return audit.Entry{}, err
		}
		if done.RowsAffected() == 0 {
			return audit.Entry{}, errRepeated
		}
		if refused != "" {
			_, err = tx.send(KindOpsNotice, drillScheduleTarget(d.Scenario)+"/ops", OpsNotice{Title: "A scheduled drill did not begin: " + d.Scenario, Level: "warn",
				Text: fmt.Sprintf("It was to begin at %s (%s): %s. The next one comes at its time.", d.At, d.Zone, refused)})
		}
		return audit.Entry{Action: "drill.due", Target: drillScheduleTarget(d.Scenario), Reason: refused, Diff: map[string]any{"due": due.UTC(), "drill_id": begun, "begun": begun != nil}}, err
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return err
}
