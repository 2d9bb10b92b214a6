package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/drill"
	"lastcall/domain/override"
	"lastcall/domain/policy"
	"lastcall/domain/probe"
)

// Drill is an incident on purpose, and what became of it.
type Drill struct {
	ID             uuid.UUID `gorm:"type:uuid;primaryKey"`
	Scenario       string
	Experiment     drill.Scenario `gorm:"serializer:json;type:jsonb"` // as it is run
	Fast           bool
	Reason         string
	State          drill.State
	ActorKind      string
	ActorID        string
	Actor          string
	OverrideID     *uuid.UUID `gorm:"type:uuid"` // that lets it run in production
	CampaignID     *uuid.UUID `gorm:"type:uuid"` // its own, without targets
	CreatedAt      time.Time  `gorm:"default:clock_timestamp()"`
	InjectedAt     *time.Time
	RevertedAt     *time.Time
	EndedAt        *time.Time
	StoppedBy      string // who ordered it to stop; "": nobody
	Why            string // it failed, was stopped or interrupted
	Score          *int   // of one that is over
	Deviated       *bool
	Journal        json.RawMessage `gorm:"type:jsonb"`
	IdempotencyKey *string
	RequestHash    []byte
}

func drillTarget(id uuid.UUID) string { return "drill/" + id.String() }

// NewDrill is what somebody wants to be drilled.
type NewDrill struct {
	Scenario       drill.Scenario // as it was read; StartDrill hastens it
	Fast           bool
	Reason         string
	IdempotencyKey string // of the request, "" for none
	RequestHash    []byte // tells a repeated request from another one with the same key
}

// The codes of why a drill is not begun. The audit log tells them as drill.refused.
const (
	drillOpen          = "drill_open"           // one at a time
	drillNeedsOverride = "drill_needs_override" // messages go to people here
	drillStopped       = "drill_over"           // there is nothing to stop any more
)

// StartDrill begins a drill; its workflow looks whether all is steady before it puts anything in the way. The same
// idempotency key again returns the same drill. It fails with domain.Conflict of code drill_open while another one runs, and
// where messages go to people with domain.Forbidden of code drill_needs_override, unless an override of kind production_drill is
// active until the fault would be over. A refusal is in the audit log.
func (s *Store) StartDrill(ctx context.Context, n NewDrill) (d Drill, err error) {
	if found, err := s.drilledBefore(ctx, n, &d); found || err != nil {
		return d, err
	}
	scenario := n.Scenario
	if n.Fast {
		scenario = scenario.Hastened()
	}
	if err := scenario.Check(); err != nil {
		return d, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who := audit.ActorFrom(ctx)
		d = Drill{ID: uuid.Must(uuid.NewV7()), Scenario: scenario.Name, Experiment: scenario, Fast: n.Fast, Reason: n.Reason, State: drill.Preflight,
			ActorKind: who.Kind, ActorID: cmp.Or(who.ID, who.Name), Actor: who.EntryName()}
		if n.IdempotencyKey != "" {
			d.IdempotencyKey, d.RequestHash = &n.IdempotencyKey, n.RequestHash
		}
		if !s.sandbox {
			if d.OverrideID, err = tx.drillOverride(time.Duration(scenario.Fault.For)); err != nil {
				return audit.Entry{}, err
			}
		}
		made := tx.orm.Clauses(clause.OnConflict{DoNothing: true}).Create(&d)
		if made.Error == nil && made.RowsAffected == 0 {
			return audit.Entry{}, tx.drillRunning()
		}
		if made.Error != nil {
			return audit.Entry{}, made.Error
		}
		if _, err := tx.send(KindStartDrill, drillTarget(d.ID), StartDrill{DrillID: d.ID, Scenario: d.Scenario}); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "drill.started", Target: drillTarget(d.ID), Reason: n.Reason, Diff: map[string]any{"scenario": d.Scenario, "fast": d.Fast,
			"edge_function": scenario.Fault.EdgeFunction, "fault": scenario.Fault.Kind, "override_id": d.OverrideID}}, nil
	})
	if domain.CodeOf(err) == drillOpen { // perhaps begun by this very request, a moment ago
		if found, again := s.drilledBefore(ctx, n, &d); found || again != nil {
			return d, again
		}
	}
	switch domain.KindOf(err) {
	case domain.Conflict, domain.Forbidden:
		return d, errors.Join(err, s.Enter(ctx, audit.Entry{Action: "drill.refused", Target: "drills", Reason: n.Reason,
			Diff: map[string]any{"code": domain.CodeOf(err), "scenario": scenario.Name}}))
	}
	return d, err
}

// drilledBefore finds what an earlier request with the same key began.
func (s *Store) drilledBefore(ctx context.Context, n NewDrill, d *Drill) (bool, error) {
	if n.IdempotencyKey == "" {
		return false, nil
	}
	var first Drill
	found := s.orm.WithContext(ctx).Limit(1).Find(&first, "idempotency_key = ?", n.IdempotencyKey)
	if found.Error != nil || found.RowsAffected == 0 {
		return false, unavailable(found.Error)
	}
	if *d = first; string(first.RequestHash) != string(n.RequestHash) {
		return true, domain.E(domain.Invalid, "idempotency_key_reused", "this Idempotency-Key was used for another request").About("Idempotency-Key")
	}
	return true, nil
}

// drillOverride is the override that lets a drill run where messages go to people, until its fault is over.
func (tx *Tx) drillOverride(lasts time.Duration) (*uuid.UUID, error) {
	var id *uuid.UUID
	var long bool
	err := tx.pgx.QueryRow(tx.ctx, `SELECT min(id::text)::uuid, coalesce(bool_or(ends_at >= clock_timestamp() + $3::interval), false) FROM overrides
		WHERE kind = $1 AND state = $2 AND starts_at <= clock_timestamp() AND ends_at > clock_timestamp()`, override.ProductionDrill, override.Active, lasts).Scan(&id, &long)
	switch {
	case err != nil:
		return nil, err
	case id == nil:
		return nil, domain.E(domain.Forbidden, drillNeedsOverride, "messages go to people here: a drill takes an override of kind %s that a project lead has approved", override.ProductionDrill)
	case !long:
		return nil, domain.E(domain.Forbidden, drillNeedsOverride, "the override ends before the fault would, which lasts %s at most", policy.Span(lasts))
	}
	return id, nil
}

func (tx *Tx) drillRunning() error {
	var scenario, actor string
	err := tx.pgx.QueryRow(tx.ctx, `SELECT scenario, actor FROM drills WHERE ended_at IS NULL`).Scan(&scenario, &actor)
	if err != nil {
		return domain.E(domain.Conflict, drillOpen, "another drill runs: only one at a time")
	}
	return domain.E(domain.Conflict, drillOpen, "%s, which %s began, runs: only one drill at a time", scenario, actor)
}

// StopDrill takes the fault of a drill away, at once, and has its workflow see that all is steady again and end it as aborted.
// It fails with domain.Conflict of code drill_over when that is so already.
func (s *Store) StopDrill(ctx context.Context, id uuid.UUID, reason string) (Drill, error) {
	var d Drill
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var err error
		if d, err = tx.lockDrill(id); err != nil {
			return audit.Entry{}, err
		}
		if !d.State.Open() || d.StoppedBy != "" {
			return audit.Entry{}, domain.E(domain.Conflict, drillStopped, "the drill is %s: there is nothing to stop any more", map[bool]string{true: "being stopped", false: string(d.State)}[d.State.Open()])
		}
		columns := map[string]any{"stopped_by": audit.ActorFrom(ctx).EntryName(), "why": cmp.Or(reason, "stopped by hand")}
		if err := tx.changeDrill(&d, columns); err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindStopDrill, drillTarget(id), StopDrill{DrillID: id})
		return audit.Entry{Action: "drill.stop_ordered", Target: drillTarget(id), Reason: reason, Diff: map[string]any{"state": d.State}}, err
	})
	if err != nil || d.InjectedAt == nil {
		return d, err
	}
	_, err = s.EndFault(ctx, id, "the drill was stopped")
	return d, err
}

// lockDrill reads a drill and keeps every other writer off it until the transaction ends.
func (tx *Tx) lockDrill(id uuid.UUID) (Drill, error) {
	var d Drill
	err := tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&d, "id = ?", id).Error
	return d, notFound(err, "drill", id)
}

// changeDrill writes columns of a drill, and reads it anew.
func (tx *Tx) changeDrill(d *Drill, columns map[string]any) error {
	if err := tx.orm.Model(&Drill{}).Where("id = ?", d.ID).Updates(columns).Error; err != nil {
		return wrap(err, "change drill")
	}
	*d = Drill{ID: d.ID}
	return tx.orm.First(d).Error
}

// DrillOf returns one drill with its journal: as it was written when the drill ended, or as of now.
func (s *Store) DrillOf(ctx context.Context, id uuid.UUID) (d Drill, j drill.Journal, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		if err := tx.orm.First(&d, "id = ?", id).Error; err != nil {
			return notFound(err, "drill", id)
		}
		if d.Journal != nil {
			return json.Unmarshal(d.Journal, &j)
		}
		var now time.Time
		r, err := tx.drillRecord(d)
		if err == nil {
			err = tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp()`).Scan(&now)
		}
		j = r.Journal(now)
		return err
	})
	return d, j, err
}

// DrillFilter says which drills somebody wants to see.
type DrillFilter struct {
	Scenario string    // "": of all
	Before   uuid.UUID // those older than this one; uuid.Nil: from the newest
	Limit    int
}

// Drills lists drills, newest first, without their journals.
func (s *Store) Drills(ctx context.Context, f DrillFilter) ([]Drill, error) {
	q := s.orm.WithContext(ctx).Omit("journal").Order("id DESC").Limit(page(f.Limit))
	if f.Scenario != "" {
		q = q.Where("scenario = ?", f.Scenario)
	}
	if f.Before != uuid.Nil {
		q = q.Where("id < ?", f.Before)
	}
	var all []Drill
	return all, unavailable(q.Find(&all).Error)
}

// drillRecord is all that a drill's journal is made of.
func (tx *Tx) drillRecord(d Drill) (drill.Record, error) {
	r := drill.Record{Scenario: d.Experiment, Fast: d.Fast, State: d.State, Why: d.Why, CreatedAt: d.CreatedAt, InjectedAt: d.InjectedAt,
		RevertedAt: d.RevertedAt, EndedAt: d.EndedAt}
	rows, err := tx.pgx.Query(tx.ctx, `SELECT phase, name, type, status, at, output FROM drill_entries WHERE drill_id = $1 ORDER BY id`, d.ID)
	if err != nil {
		return r, err
	}
	defer rows.Close()
	for rows.Next() {
		var e drill.JournalEntry
		if err := rows.Scan(&e.Phase, &e.Name, &e.Type, &e.Status, &e.At, &e.Output); err != nil {
			return r, err
		}
		r.Entries = append(r.Entries, e)
	}
	if err := rows.Err(); err != nil {
		return r, err
	}
	r.Others, err = tx.otherAlerts(d)
	return r, err
}

// enterDrill adds an entry to what the journal is made of, once: what stands there already stays.
func (tx *Tx) enterDrill(id uuid.UUID, e drill.JournalEntry) error {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO drill_entries (drill_id, phase, name, type, status, at, output)
		VALUES ($1, $2, $3, $4, $5, coalesce($6, clock_timestamp()), $7) ON CONFLICT DO NOTHING`,
		id, e.Phase, e.Name, e.Type, e.Status, nullTime(e.At), e.Output)
	return wrap(err, "enter "+e.Name)
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// output is what an entry shows; it holds ids, states and counts only.
func output(v map[string]any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a drill's entry cannot be written: %s", err)) // ids, states and counts can
	}
	return raw
}

// drillCampaign makes the campaign of a drill that a rule is to pause, and starts it: without targets, and for a time when the
// drill has long been over. Nothing can ever be sent by it.
func (tx *Tx) drillCampaign(d *Drill) error {
	var template uuid.UUID
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT id FROM templates ORDER BY id LIMIT 1`).Scan(&template); err != nil {
		return notFound(err, "template", "for the drill's campaign")
	}
	at := time.Now().Add(2 * probe.FaultMost)
	c := Campaign{ID: uuid.Must(uuid.NewV7()), Name: "Drill · " + d.Experiment.Title, Channel: policy.ChannelWhatsApp, Weight: 1, TemplateID: template,
		Variables: map[string]string{}, Status: campaign.Scheduled, Gate: campaign.GateOpen, SendAt: &at, StartedAt: &d.CreatedAt, IsDrill: true}
	if err := tx.orm.Create(&c).Error; err != nil {
		return wrap(err, "make the drill's campaign")
	}
	if _, err := tx.send(KindStartCampaign, target(c.ID), StartCampaign{CampaignID: c.ID, Name: c.Name, SendAt: c.SendAt}); err != nil {
		return err
	}
	if err := tx.enter(audit.Entry{Action: "campaign.started", Target: target(c.ID), Diff: map[string]any{"send_at": c.SendAt, "targets": 0, "drill_id": d.ID}}); err != nil {
		return err
	}
	return tx.changeDrill(d, map[string]any{"campaign_id": c.ID})
}

// edgeStates are the states of all edge functions, as people are told.
func (s *Store) edgeStates(ctx context.Context) (map[probe.Name]EdgeFunction, error) {
	all, err := s.EdgeFunctions(ctx)
	states := make(map[probe.Name]EdgeFunction, len(all))
	for _, f := range all {
		states[f.Name] = f
	}
	return states, err
}
