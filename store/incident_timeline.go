package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// IncidentMoment is one thing on an incident's timeline.
type IncidentMoment struct {
	At      time.Time
	Kind    string     // of incident_events; alert_fired, alert_resolved, acknowledged, notified, probe
	Text    string     // what, for people
	Actor   string     // who; "": Lastcall itself
	Step    int        // of steps; 0: none
	AlertID *uuid.UUID // of alerts and notices
}

// IncidentTimeline tells everything that happened around an incident, oldest first, 1,000 moments at most: what people did, its
// alerts and what was told of them, and the turns of the edge functions that they are about, from an hour before it was opened.
func (s *Store) IncidentTimeline(ctx context.Context, id uuid.UUID) ([]IncidentMoment, error) {
	rows, err := s.pool.Query(ctx, `WITH i AS (SELECT * FROM incidents WHERE id = $1), mine AS (SELECT * FROM alerts WHERE incident_id = $1)
		SELECT * FROM (
			SELECT at, kind, text, CASE actor_kind WHEN 'system' THEN '' ELSE actor END, coalesce(step, 0), NULL::uuid FROM incident_events WHERE incident_id = $1
			UNION ALL SELECT fired_at, 'alert_fired', title || CASE WHEN subject <> '' THEN ' (' || subject || ')' ELSE '' END, '', 0, id FROM mine WHERE fired_at IS NOT NULL
			UNION ALL SELECT resolved_at, 'alert_resolved', title, '', 0, id FROM mine WHERE resolved_at IS NOT NULL
			UNION ALL SELECT acknowledged_at, 'acknowledged', title, acknowledged_by, 0, id FROM mine WHERE acknowledged_at IS NOT NULL
			UNION ALL SELECT n.delivered_at, 'notified', a.title || ' → ' || n.channel || ', N-' || n.number || ', ' || l.kind, '', 0, a.id
				FROM mine a JOIN alert_notice_lines l ON l.alert_id = a.id JOIN alert_notices n ON n.id = l.notice_id WHERE n.outcome = 'delivered'
			UNION ALL SELECT p.at, 'probe', p.edge_function || ' turned ' || p.state || CASE WHEN p.detail <> '' THEN ': ' || p.detail ELSE '' END, '', 0, NULL
				FROM (SELECT r.*, lag(r.state) OVER (PARTITION BY r.edge_function ORDER BY r.at) AS was FROM i, probe_results r
					WHERE r.edge_function IN (SELECT subject FROM mine) AND r.at BETWEEN i.opened_at - interval '1 hour' AND coalesce(i.resolved_at, clock_timestamp())) p
				WHERE p.was IS NOT NULL AND p.was <> p.state
		) t ORDER BY 1, 2 LIMIT 1000`, id)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[IncidentMoment])
	return all, unavailable(err)
}

// StepState is what became of a runbook's step in an incident.
type StepState struct {
	N        int
	TickedAt *time.Time // nil: it is not ticked
	TickedBy string
	RanAt    *time.Time // when it was last run; nil: never
	RanBy    string
	Came     string // what came of it
}

// IncidentSteps are the steps that something was done about, by number.
func (s *Store) IncidentSteps(ctx context.Context, id uuid.UUID) ([]StepState, error) {
	rows, err := s.pool.Query(ctx, `SELECT n, CASE WHEN t.kind = 'step_ticked' THEN t.at END, CASE WHEN t.kind = 'step_ticked' THEN t.actor ELSE '' END, r.at, coalesce(r.actor, ''), coalesce(r.text, '')
		FROM (SELECT DISTINCT step AS n FROM incident_events WHERE incident_id = $1 AND step IS NOT NULL) x
		LEFT JOIN LATERAL (SELECT kind, at, actor FROM incident_events WHERE incident_id = $1 AND step = n AND kind IN ('step_ticked', 'step_unticked') ORDER BY id DESC LIMIT 1) t ON true
		LEFT JOIN LATERAL (SELECT at, actor, text FROM incident_events WHERE incident_id = $1 AND step = n AND kind = 'step_run' ORDER BY id DESC LIMIT 1) r ON true ORDER BY n`, id)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StepState])
	return all, unavailable(err)
}
