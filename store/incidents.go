package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/runbook"
)

// Incident is something wrong that somebody sees to.
type Incident struct {
	ID          uuid.UUID
	Number      int // INC-12
	Title       string
	Severity    alert.Severity
	State       IncidentState
	Runbook     string // "": none
	Owner       *Party // nil: nobody yet
	OpenedAt    time.Time
	OpenedBy    string // as the audit log names them
	MitigatedAt *time.Time
	ResolvedAt  *time.Time
	Resolution  string // what it was, and what is to follow
	IsDrill     bool
	DrillID     *uuid.UUID
	Firing      int // its alerts that fire
	Alerts      int
}

// IncidentState is where an incident is in its life.
type IncidentState string

// The states.
const (
	IncidentOpen      IncidentState = "open"
	IncidentMitigated IncidentState = "mitigated" // it does no harm any more, but is not mended
	IncidentResolved  IncidentState = "resolved"
)

func incidentTarget(id uuid.UUID) string { return "incident/" + id.String() }

// NewIncident is what a person opens an incident with.
type NewIncident struct {
	Title          string
	Severity       alert.Severity
	Runbook        string    // "": none; whoever calls knows which there are
	Alert          uuid.UUID // uuid.Nil: none
	IdempotencyKey string
	RequestHash    []byte
}

// IncidentFilter says which incidents somebody wants to see.
type IncidentFilter struct {
	Open   bool // those not resolved only
	Before int  // those of a smaller number; 0: from the newest
	Limit  int
}

const incidentColumns = `i.id, i.number, i.title, i.severity, i.state, i.runbook, o.id, o.email, o.name, i.opened_at,
	coalesce((SELECT e.actor FROM incident_events e WHERE e.incident_id = i.id AND e.kind = 'opened' ORDER BY e.id LIMIT 1), ''), i.mitigated_at, i.resolved_at,
	i.resolution, i.is_drill, i.drill_id, (SELECT count(*) FROM alerts a WHERE a.incident_id = i.id AND a.state = 'firing'),
	(SELECT count(*) FROM alerts a WHERE a.incident_id = i.id)`

func (s *Store) incidents(ctx context.Context, where string, args ...any) ([]Incident, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+incidentColumns+` FROM incidents i LEFT JOIN accounts o ON o.id = i.owner_id WHERE `+where, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i Incident, err error) {
		var owner *uuid.UUID
		var email, name *string
		err = row.Scan(&i.ID, &i.Number, &i.Title, &i.Severity, &i.State, &i.Runbook, &owner, &email, &name, &i.OpenedAt, &i.OpenedBy, &i.MitigatedAt, &i.ResolvedAt,
			&i.Resolution, &i.IsDrill, &i.DrillID, &i.Firing, &i.Alerts)
		if owner != nil {
			i.Owner = &Party{ID: *owner, Email: *email, Name: *name}
		}
		return i, err
	})
	return all, unavailable(err)
}

// Incidents lists incidents, newest first.
func (s *Store) Incidents(ctx context.Context, f IncidentFilter) ([]Incident, error) {
	return s.incidents(ctx, `(NOT $1 OR i.state <> 'resolved') AND ($2 = 0 OR i.number < $2) ORDER BY i.number DESC LIMIT $3`, f.Open, f.Before, page(f.Limit))
}

// IncidentOf is one incident; domain.NotFound of code incident_not_found.
func (s *Store) IncidentOf(ctx context.Context, id uuid.UUID) (Incident, error) {
	found, err := s.incidents(ctx, `i.id = $1`, id)
	if err == nil && len(found) == 0 {
		err = notFound(pgx.ErrNoRows, "incident", id)
	}
	if err != nil {
		return Incident{}, err
	}
	return found[0], nil
}

// OpenIncident opens an incident by hand. The same idempotency key again returns the same one; with another request it is
// domain.Invalid of code idempotency_key_reused.
func (s *Store) OpenIncident(ctx context.Context, n NewIncident) (Incident, error) {
	if n.Title = strings.TrimSpace(n.Title); n.Title == "" || utf8.RuneCountInString(n.Title) > 200 {
		return Incident{}, domain.E(domain.Invalid, "bad_title", "say in 1 to 200 characters what is wrong").About("title")
	}
	var id uuid.UUID
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		id = uuid.Must(uuid.NewV7())
		var key *string
		if n.IdempotencyKey != "" {
			key = &n.IdempotencyKey
		}
		var hash []byte
		if key != nil {
			hash = n.RequestHash
		}
		var a Alert
		if n.Alert != uuid.Nil {
			var err error
			if a, err = tx.lockAlert(n.Alert); err != nil {
				return audit.Entry{}, err
			}
		}
		done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO incidents (id, title, severity, runbook, is_drill, drill_id, idempotency_key, request_hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (idempotency_key) DO NOTHING`, id, n.Title, n.Severity, n.Runbook, a.IsDrill, a.DrillID, key, hash)
		if err != nil {
			return audit.Entry{}, err
		}
		if done.RowsAffected() == 0 {
			return audit.Entry{}, errSameIncident
		}
		if err := tx.incidentEvent(id, "opened", 0, ""); err != nil {
			return audit.Entry{}, err
		}
		if n.Alert != uuid.Nil {
			if _, err := tx.pgx.Exec(tx.ctx, `UPDATE alerts SET incident_id = $2 WHERE id = $1`, n.Alert, id); err != nil {
				return audit.Entry{}, err
			}
		}
		return audit.Entry{Action: "incident.opened", Target: incidentTarget(id), Diff: map[string]any{"title": n.Title, "severity": n.Severity, "runbook": n.Runbook}}, nil
	})
	if errors.Is(err, errSameIncident) {
		found, err := s.incidents(ctx, `i.idempotency_key = $1 AND i.request_hash = $2`, n.IdempotencyKey, n.RequestHash)
		if err == nil && len(found) == 0 {
			err = domain.E(domain.Invalid, "idempotency_key_reused", "this key was used for another request").About("Idempotency-Key")
		}
		if err != nil {
			return Incident{}, err
		}
		return found[0], nil
	}
	if err != nil {
		return Incident{}, err
	}
	return s.IncidentOf(ctx, id)
}

var errSameIncident = errors.New("the same request again")

// incidentFor is the incident that an alert belongs to: the open one of its runbook, else a new one.
func (tx *Tx) incidentFor(a *Alert) (id uuid.UUID, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT id FROM incidents WHERE state <> 'resolved' AND runbook = $1 AND runbook <> '' AND is_drill = $2
		AND drill_id IS NOT DISTINCT FROM $3 ORDER BY number LIMIT 1 FOR UPDATE`, a.Runbook, a.IsDrill, a.DrillID).Scan(&id)
	if !errors.Is(err, pgx.ErrNoRows) {
		return id, wrap(err, "find an incident")
	}
	id = uuid.Must(uuid.NewV7())
	if _, err = tx.pgx.Exec(tx.ctx, `INSERT INTO incidents (id, title, severity, runbook, is_drill, drill_id) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, a.Title, a.Severity, a.Runbook, a.IsDrill, a.DrillID); err != nil {
		return id, wrap(err, "open an incident")
	}
	if err = tx.incidentEvent(id, "opened", 0, ""); err == nil {
		err = tx.enter(audit.Entry{Action: "incident.opened", Target: incidentTarget(id), Diff: map[string]any{"title": a.Title, "severity": a.Severity, "alert_id": a.ID}})
	}
	return id, err
}

// incidentEvent writes an event of an incident, as done by the actor of the transaction's context. A step of 0 is none.
func (tx *Tx) incidentEvent(id uuid.UUID, kind string, step int, text string) error {
	actor := audit.ActorFrom(tx.ctx)
	actorID := actor.ID
	if actorID == "" {
		actorID = actor.Name
	}
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO incident_events (incident_id, kind, step, text, actor_kind, actor_id, actor) VALUES ($1, $2, nullif($3, 0), $4, $5, $6, $7)`,
		id, kind, step, text, actor.Kind, actorID, actor.EntryName())
	return wrap(err, "incident event "+kind)
}

// IncidentChange is one thing that a person does to an incident.
type IncidentChange struct {
	Kind  string     // note, owner, severity, mitigated, reopened, resolved, step_ticked, step_unticked
	Text  string     // of note and resolved: needed; 2,000 characters at most
	Step  int        // of steps: which
	Owner *uuid.UUID // of owner; nil: nobody
	To    alert.Severity
}

// ChangeIncident writes a change into an incident's row and timeline. It fails with domain.NotFound, domain.Invalid about
// text or owner, and domain.Conflict of code incident_state for what the state does not allow, which is audited.
func (s *Store) ChangeIncident(ctx context.Context, id uuid.UUID, c IncidentChange) error {
	c.Text = strings.TrimSpace(c.Text)
	if utf8.RuneCountInString(c.Text) > 2000 || c.Text == "" && (c.Kind == "note" || c.Kind == "resolved") {
		return domain.E(domain.Invalid, "bad_text", "say it in 1 to 2,000 characters").About("text")
	}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		state, err := tx.lockIncident(id)
		if err != nil {
			return audit.Entry{}, err
		}
		diff := map[string]any{}
		set, arg := "", any(nil)
		over := state == IncidentResolved
		wrong := domain.E(domain.Conflict, "incident_state", "the incident is %s", state)
		switch c.Kind {
		case "note":
		case "mitigated":
			if over = state != IncidentOpen; !over {
				set = "state = 'mitigated', mitigated_at = clock_timestamp()"
			}
		case "reopened":
			if over = state == IncidentOpen; !over {
				set = "state = 'open', resolved_at = NULL, resolution = ''"
			}
		case "resolved":
			set, arg = "state = 'resolved', resolved_at = clock_timestamp(), mitigated_at = coalesce(mitigated_at, clock_timestamp()), resolution = $2", c.Text
		case "severity":
			set, arg, c.Text = "severity = $2", c.To, string(c.To)
			diff["severity"] = c.To
		case "owner":
			set, arg, c.Text = "owner_id = $2", c.Owner, "nobody"
			if c.Owner != nil {
				p, err := tx.person(*c.Owner, true)
				if err != nil || p.Disabled {
					return audit.Entry{}, domain.E(domain.Invalid, "no_such_owner", "choose an account that may sign in").About("owner")
				}
				if err := tx.pgx.QueryRow(tx.ctx, `SELECT email FROM accounts WHERE id = $1`, *c.Owner).Scan(&c.Text); err != nil {
					return audit.Entry{}, err
				}
			}
			diff["owner_id"] = c.Owner
		case "step_ticked", "step_unticked":
			diff["step"] = c.Step
		default:
			return audit.Entry{}, domain.E(domain.Internal, "bad_change", "there is no change %q", c.Kind)
		}
		if over && c.Kind != "note" {
			return audit.Entry{}, wrong
		}
		if set != "" {
			args := []any{id}
			if strings.Contains(set, "$2") {
				args = append(args, arg)
			}
			if _, err := tx.pgx.Exec(tx.ctx, `UPDATE incidents SET `+set+` WHERE id = $1`, args...); err != nil {
				return audit.Entry{}, err
			}
		}
		err = tx.incidentEvent(id, c.Kind, c.Step, c.Text)
		return audit.Entry{Action: "incident." + c.Kind, Target: incidentTarget(id), Diff: diff}, err
	})
	return s.incidentRefused(ctx, id, c.Kind, err)
}

// incidentRefused enters in the audit log that an incident's state did not allow something, and returns err.
func (s *Store) incidentRefused(ctx context.Context, id uuid.UUID, what string, err error) error {
	if domain.KindOf(err) != domain.Conflict {
		return err
	}
	if err := s.Enter(ctx, audit.Entry{Action: "incident.refused", Target: incidentTarget(id), Diff: map[string]any{"what": what, "code": domain.CodeOf(err)}}); err != nil {
		return err
	}
	return err
}

func (tx *Tx) lockIncident(id uuid.UUID) (state IncidentState, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT state FROM incidents WHERE id = $1 FOR UPDATE`, id).Scan(&state)
	return state, notFound(err, "incident", id)
}

// RunStep notes in an incident that a step was run, and what came of it. PauseAllCampaigns it does itself, in the same
// transaction; others were done before by who can. It fails with domain.Conflict of code incident_state in one that is resolved.
func (s *Store) RunStep(ctx context.Context, id uuid.UUID, step runbook.Step, came string) (string, error) {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		state, err := tx.lockIncident(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if state == IncidentResolved {
			return audit.Entry{}, domain.E(domain.Conflict, "incident_state", "the incident is resolved: reopen it first")
		}
		if step.Run.Do == runbook.PauseAllCampaigns {
			var drill bool
			if err := tx.pgx.QueryRow(tx.ctx, `SELECT is_drill FROM incidents WHERE id = $1`, id).Scan(&drill); err != nil {
				return audit.Entry{}, err
			}
			paused, err := tx.pauseAll("runbook of an incident", pauseScope{Drill: drill, Both: !drill})
			if err == nil {
				err = tx.incidentEvent(id, "campaigns_paused", 0, paused.String())
			}
			if err != nil {
				return audit.Entry{}, err
			}
			came = paused.String()
		}
		err = tx.incidentEvent(id, "step_run", step.N, came)
		return audit.Entry{Action: "incident.step_run", Target: incidentTarget(id), Diff: map[string]any{"step": step.N, "run": step.Run.String()}}, err
	})
	return came, s.incidentRefused(ctx, id, "step_run", err)
}

// IncidentOpenForSteps fails as RunStep would, before anything is done.
func (s *Store) IncidentOpenForSteps(ctx context.Context, id uuid.UUID) error {
	i, err := s.IncidentOf(ctx, id)
	if err == nil && i.State == IncidentResolved {
		err = s.incidentRefused(ctx, id, "step_run", domain.E(domain.Conflict, "incident_state", "the incident is resolved: reopen it first"))
	}
	return err
}

// pauseScope says which campaigns are paused: those that are no drill's; with Drill only drills'; with Both all.
type pauseScope struct{ Drill, Both bool }

// Paused is how many campaigns were paused.
type Paused int

func (p Paused) String() string {
	switch p {
	case 0:
		return "no campaign was running"
	case 1:
		return "1 campaign paused"
	}
	return fmt.Sprintf("%d campaigns paused", int(p))
}

// pauseAll orders every campaign that runs to pause, as Order does each, with an audit entry each.
func (tx *Tx) pauseAll(reason string, scope pauseScope) (Paused, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT id FROM campaigns WHERE status NOT IN ('draft', 'settling', 'done', 'stopped', 'failed') AND gate = 'open'
		AND ($1 OR is_drill = $2) ORDER BY id FOR UPDATE`, scope.Both, scope.Drill)
	if err != nil {
		return 0, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil || len(ids) == 0 {
		return 0, wrap(err, "find what runs")
	}
	if _, err = tx.pgx.Exec(tx.ctx, `UPDATE campaigns SET gate = 'paused', updated_at = clock_timestamp() WHERE id = ANY ($1)`, ids); err != nil {
		return 0, wrap(err, "pause campaigns")
	}
	if _, err = tx.pgx.Exec(tx.ctx, `INSERT INTO outbox (kind, key, payload)
		SELECT $2, 'campaign/' || id, jsonb_build_object('campaign_id', id, 'order', 'pause', 'resend', resend) FROM campaigns WHERE id = ANY ($1) ORDER BY id`,
		ids, KindOrderCampaign); err != nil {
		return 0, wrap(err, "order campaigns")
	}
	values, err := entryValues(tx.ctx, audit.Entry{Action: "campaign.pause_ordered", Target: "campaign/", Reason: reason,
		Diff: map[string]any{"gate": []campaign.Gate{campaign.GateOpen, campaign.GatePaused}}})
	if err == nil {
		_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO audit_log (`+entryColumns+`) SELECT $1, $2, $3, $4, $5::text || id, $6::jsonb, $7, $8, nullif($9::bigint, 0)
			FROM unnest($10::uuid[]) id`, append(values, ids)...)
	}
	if err != nil {
		return 0, wrap(err, "audit what was paused")
	}
	return Paused(len(ids)), nil
}
