package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/audit"
)

// Alert is something that a rule found wrong, with its clocks.
type Alert struct {
	ID             uuid.UUID
	Rule           string
	Subject        string // what it is about; "": all of Lastcall
	Title          string
	Severity       alert.Severity
	Group          string
	Runbook        string // "": none
	State          alert.State
	PendingSince   time.Time
	FiredAt        *time.Time
	ClearSince     *time.Time // firing: since when it no longer holds
	UnknownSince   *time.Time // since when there is no data
	ResolvedAt     *time.Time
	AcknowledgedAt *time.Time
	AcknowledgedBy string     // as the audit log names them
	InhibitedBy    *uuid.UUID // it is a symptom of this alert: nobody is told while that one fires
	NotifiedAt     *time.Time // when somebody was last to be told that it fires
	ActedAt        *time.Time // when the rule's actions were done
	Evidence       []AlertSample
	SampledAt      *time.Time
	IncidentID     *uuid.UUID
	IsDrill        bool
	DrillID        *uuid.UUID
}

// AlertSample is a sample that an alert keeps as its evidence.
type AlertSample struct {
	At     time.Time `json:"at"`
	Value  float64   `json:"value" doc:"In the source's unit"`
	Shown  string    `json:"shown" doc:"The same for people"`
	N      int64     `json:"n,omitempty" doc:"How many things it is a share of"`
	Known  bool      `json:"known" doc:"false: there was no data"`
	Detail string    `json:"detail,omitempty"`
}

const alertColumns = `a.id, a.rule, a.subject, a.title, a.severity, a.group_name, a.runbook, a.state, a.pending_since, a.fired_at, a.clear_since, a.unknown_since,
	a.resolved_at, a.acknowledged_at, coalesce(a.acknowledged_by, ''), a.inhibited_by, a.notified_at, a.acted_at, a.evidence, a.sampled_at, a.incident_id,
	a.is_drill, a.drill_id`

func scanAlert(row pgx.CollectableRow, more ...any) (a Alert, err error) {
	var evidence json.RawMessage
	err = row.Scan(append([]any{&a.ID, &a.Rule, &a.Subject, &a.Title, &a.Severity, &a.Group, &a.Runbook, &a.State, &a.PendingSince, &a.FiredAt, &a.ClearSince,
		&a.UnknownSince, &a.ResolvedAt, &a.AcknowledgedAt, &a.AcknowledgedBy, &a.InhibitedBy, &a.NotifiedAt, &a.ActedAt, &evidence, &a.SampledAt, &a.IncidentID,
		&a.IsDrill, &a.DrillID}, more...)...)
	if err == nil {
		err = json.Unmarshal(evidence, &a.Evidence)
	}
	return a, err
}

func (a Alert) target() string { return "alert/" + a.ID.String() }

// AlertView is an alert with what was told of it.
type AlertView struct {
	Alert
	Incident int              // its incident's number; 0: none
	Symptom  string           // the title of the alert that silences it; "": none does
	Notices  []AlertDelivered // oldest first
}

// AlertDelivered is one message that told of an alert.
type AlertDelivered struct {
	Number      int64 // N-17, which the message says
	Channel     alert.Channel
	Kind        string // firing, repeat, resolved, acknowledged, test
	CreatedAt   time.Time
	Attempts    int
	DeliveredAt *time.Time // nil: not yet
	Outcome     string     // delivered, or no_channel: none is configured
}

// AlertFilter says which alerts somebody wants to see.
type AlertFilter struct {
	States   []alert.State // none: in any
	Incident uuid.UUID     // uuid.Nil: of any, or none
	Drill    *uuid.UUID    // nil: of all and none
	Rule     string        // "": of any
	Before   uuid.UUID     // those older than this one; uuid.Nil: from the newest
	Limit    int
}

// Alerts lists alerts, newest first, with what was told of each.
func (s *Store) Alerts(ctx context.Context, f AlertFilter) ([]AlertView, error) {
	return s.alertViews(ctx, `($1::text[] IS NULL OR a.state = ANY ($1)) AND ($2::uuid = $7 OR a.incident_id = $2) AND ($3::uuid IS NULL OR a.drill_id = $3)
		AND ($4 = '' OR a.rule = $4) AND ($5::uuid = $7 OR a.id < $5) ORDER BY a.id DESC LIMIT $6`, f.States, f.Incident, f.Drill, f.Rule, f.Before, page(f.Limit), uuid.Nil)
}

// AlertOf is one alert; domain.NotFound of code alert_not_found.
func (s *Store) AlertOf(ctx context.Context, id uuid.UUID) (AlertView, error) {
	found, err := s.alertViews(ctx, `a.id = $1`, id)
	if err == nil && len(found) == 0 {
		err = notFound(pgx.ErrNoRows, "alert", id)
	}
	if err != nil {
		return AlertView{}, err
	}
	return found[0], nil
}

func (s *Store) alertViews(ctx context.Context, where string, args ...any) ([]AlertView, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+alertColumns+`, coalesce(i.number, 0), coalesce(c.title, ''), coalesce((SELECT jsonb_agg(jsonb_build_object(
			'Number', n.number, 'Channel', n.channel, 'Kind', l.kind, 'CreatedAt', n.created_at, 'Attempts', n.attempts, 'DeliveredAt', n.delivered_at,
			'Outcome', n.outcome) ORDER BY n.number) FROM alert_notice_lines l JOIN alert_notices n ON n.id = l.notice_id WHERE l.alert_id = a.id), '[]')
		FROM alerts a LEFT JOIN incidents i ON i.id = a.incident_id LEFT JOIN alerts c ON c.id = a.inhibited_by WHERE `+where, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v AlertView, err error) {
		var told json.RawMessage
		if v.Alert, err = scanAlert(row, &v.Incident, &v.Symptom, &told); err == nil {
			err = json.Unmarshal(told, &v.Notices)
		}
		return v, err
	})
	return all, unavailable(err)
}

// AcknowledgeAlert notes that somebody sees to an alert: it is told no more until it is over. A test alert is over with it. It
// fails with domain.NotFound, and with domain.Conflict of code alert_not_firing or alert_acknowledged; those are audited.
func (s *Store) AcknowledgeAlert(ctx context.Context, id uuid.UUID, note string) error {
	note = strings.TrimSpace(note)
	var found Alert
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var err error
		if found, err = tx.lockAlert(id); err != nil {
			return audit.Entry{}, err
		}
		switch {
		case found.AcknowledgedAt != nil:
			return audit.Entry{}, domain.E(domain.Conflict, "alert_acknowledged", "%s has acknowledged this already", found.AcknowledgedBy)
		case found.State != alert.Firing:
			return audit.Entry{}, domain.E(domain.Conflict, "alert_not_firing", "the alert is %s: there is nothing to acknowledge", found.State)
		}
		_, err = tx.pgx.Exec(tx.ctx, `UPDATE alerts SET acknowledged_at = t.now, acknowledged_by = $2,
			state = CASE WHEN rule = $3 THEN 'resolved' ELSE state END, resolved_at = CASE WHEN rule = $3 THEN t.now END
			FROM (SELECT clock_timestamp() AS now) t WHERE id = $1`,
			id, audit.ActorFrom(tx.ctx).EntryName(), alert.TestRule.Name)
		if err == nil && found.NotifiedAt != nil {
			_, err = tx.notice(noticeOf{alert.OpsChannel, "acknowledged", found.Group, found.IsDrill}, line{found.ID, "acknowledged"})
		}
		return audit.Entry{Action: "alert.acknowledged", Target: found.target(), Reason: note, Diff: map[string]any{"rule": found.Rule, "subject": found.Subject}}, err
	})
	if e, ok := errors.AsType[*domain.Error](err); ok && e.Kind == domain.Conflict {
		if err := s.Enter(ctx, audit.Entry{Action: "alert.acknowledge_refused", Target: found.target(), Reason: note, Diff: map[string]any{"code": e.Code}}); err != nil {
			return err
		}
	}
	return err
}

// TestAlert makes an alert that tells the Ops channel at once, so that somebody sees whether it arrives; its acknowledgement
// ends it.
func (s *Store) TestAlert(ctx context.Context, note string) (uuid.UUID, error) {
	id := uuid.Must(uuid.NewV7())
	r := alert.TestRule
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO alerts (id, rule, subject, title, severity, group_name, state, pending_since, fired_at, notified_at, acted_at, resolve_told)
			VALUES ($1, $2, $6, $3, $4, $5, 'firing', clock_timestamp(), clock_timestamp(), clock_timestamp(), clock_timestamp(), true)`,
			id, r.Name, r.Title, r.Severity, r.Group, id.String())
		if err == nil {
			_, err = tx.notice(noticeOf{alert.OpsChannel, "test", r.Group, false}, line{id, "test"})
		}
		return audit.Entry{Action: "alert.tested", Target: Alert{ID: id}.target(), Reason: strings.TrimSpace(note)}, err
	})
	return id, err
}

func (tx *Tx) lockAlert(id uuid.UUID) (Alert, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT `+alertColumns+` FROM alerts a WHERE a.id = $1 FOR UPDATE`, id)
	if err != nil {
		return Alert{ID: id}, err
	}
	a, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (Alert, error) { return scanAlert(row) })
	a.ID = id
	return a, notFound(err, "alert", id)
}

// AlertReading is what a rule made of its newest sample.
type AlertReading struct {
	Rule    string
	Subject string
	Value   float64
	N       int64
	Verdict alert.Verdict
	Detail  string
	At      time.Time // when it was looked at
	Since   time.Time // since when the verdict is this one
}

// AlertReadings are the newest readings of all rules. One that is older than some Looks is old: nobody evaluates.
func (s *Store) AlertReadings(ctx context.Context) ([]AlertReading, error) {
	rows, err := s.pool.Query(ctx, `SELECT rule, subject, value, n, verdict, detail, at, since FROM alert_readings ORDER BY rule, subject`)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AlertReading])
	return all, unavailable(err)
}

// AlertCount is how many alerts of a rule fire.
type AlertCount struct {
	Rule     string
	Severity alert.Severity
	Firing   int64
	Open     int64 // of them, those that nobody has acknowledged and no other alert explains
}

// AlertCounts count what fires; those of drills count, too: somebody is to see to them.
func (s *Store) AlertCounts(ctx context.Context) ([]AlertCount, error) {
	rows, err := s.pool.Query(ctx, `SELECT rule, severity, count(*), count(*) FILTER (WHERE acknowledged_at IS NULL AND inhibited_by IS NULL)
		FROM alerts WHERE state = 'firing' GROUP BY rule, severity ORDER BY rule, severity`)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AlertCount])
	return all, unavailable(err)
}

// SetDrillClock has a rule fire sooner (or later) for what a drill makes, until then. It fails as
// alert.Rules.CheckFor does, and with domain.Invalid of code unknown_rule about rule.
func (s *Store) SetDrillClock(ctx context.Context, drill uuid.UUID, rules alert.Rules, rule string, d time.Duration, until time.Time) error {
	r, ok := rules.Of(rule)
	if !ok {
		return domain.E(domain.Invalid, "unknown_rule", "there is no rule %q", rule).About("rule")
	}
	if err := rules.CheckFor(r, d); err != nil {
		return err
	}
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO alert_drill_clocks (drill_id, rule, seconds, expires_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (drill_id, rule) DO UPDATE SET seconds = $3, expires_at = $4`, drill, r.Name, int(d.Seconds()), until)
		return audit.Entry{Action: "alert.drill_clock_set", Target: "drill/" + drill.String(), Diff: map[string]any{"rule": r.Name, "for": d.String()}}, err
	})
}
