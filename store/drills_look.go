package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/drill"
	"lastcall/domain/probe"
)

// DrillLook is what a look at a drill found.
type DrillLook struct {
	New         []drill.Event // seen for the first time
	Over        bool          // everything that this part of the drill waits for was seen, or is not waited for any longer
	Stop        string        // why it must stop; "": it need not
	Acknowledge uuid.UUID     // the alert that a fast drill is to acknowledge now; uuid.Nil: none
	Waits       []drill.Event // for these
}

// LookAtDrill looks at what the system itself wrote down: probes, alerts, notices, acknowledgements, orders. What is expected
// and is there for the first time is entered in the journal at the time when it happened. What is expected is waited for half as
// long again as it may take, and no longer than the fault lasts.
func (s *Store) LookAtDrill(ctx context.Context, id uuid.UUID) (look DrillLook, err error) {
	states, err := s.edgeStates(ctx)
	if err != nil {
		return look, err
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		look = DrillLook{}
		d, err := tx.lockDrill(id)
		if err != nil {
			return err
		}
		if d.State != drill.Injected && d.State != drill.Recovering {
			look.Over = true
			return nil
		}
		if d.State == drill.Injected {
			if look.Stop, err = tx.drillMustStop(d); err != nil {
				return err
			}
		}
		w := drillWatch{Tx: tx, Drill: d, states: states}
		if err := w.read(); err != nil {
			return err
		}
		return w.look(&look)
	})
	return look, err
}

// drillMustStop is why a drill must not go on: somebody stopped it, or something real happens.
func (tx *Tx) drillMustStop(d Drill) (string, error) {
	if d.StoppedBy != "" {
		return d.Why, nil
	}
	if d.OverrideID != nil {
		var active bool
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT state = 'active' FROM overrides WHERE id = $1`, *d.OverrideID).Scan(&active); err != nil || !active {
			return "the override by which it runs is over", err
		}
	}
	real, err := tx.realAlerts(d.CreatedAt, true)
	if err != nil {
		return "", err
	}
	if len(real) > 0 {
		return "a real alert fires: " + strings.Join(real, ", "), nil
	}
	if d.Experiment.StopsTraffic() {
		n, err := tx.realCampaigns(d)
		if err != nil || n > 0 {
			return "a real campaign is at work", err
		}
	}
	return "", nil
}

// drillWatch is one look at what a drill expects.
type drillWatch struct {
	*Tx
	Drill
	states map[probe.Name]EdgeFunction

	now   time.Time
	until time.Time // when the fault is gone by itself, or was taken away
	seen  map[drill.Event]bool
	alert drillAlert
}

// drillAlert is the alert that a drill expects.
type drillAlert struct {
	id           uuid.UUID // uuid.Nil: there is none
	state        string
	fired, acked *time.Time
	inhibited    bool
	number       *int64 // of its first notice in the channel that it is expected in
	delivered    *time.Time
	outcome      *string
	attempts     *int
}

func (w *drillWatch) read() error {
	w.seen = map[drill.Event]bool{}
	err := w.pgx.QueryRow(w.ctx, `SELECT clock_timestamp(), coalesce(f.ended_at, f.expires_at) FROM faults f WHERE f.id = $1`, w.ID).Scan(&w.now, &w.until)
	if err != nil {
		return wrap(err, "read the drill's fault")
	}
	rows, err := w.pgx.Query(w.ctx, `SELECT name FROM drill_entries WHERE drill_id = $1 AND type = 'event'`, w.ID)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, n := range names {
		w.seen[drill.Event(n)] = true
	}
	if x, ok := w.Experiment.Expects(drill.Alerted); ok && err == nil {
		err = w.readAlert(x)
	}
	return err
}

func (w *drillWatch) readAlert(x drill.Expectation) error {
	a := &w.alert
	err := w.pgx.QueryRow(w.ctx, `SELECT a.id, a.state, a.fired_at, a.acknowledged_at, a.inhibited_by IS NOT NULL, n.number, n.delivered_at, n.outcome, n.attempts
		FROM alerts a LEFT JOIN LATERAL (SELECT n.number, n.delivered_at, n.outcome, n.attempts FROM alert_notice_lines l JOIN alert_notices n ON n.id = l.notice_id
			WHERE l.alert_id = a.id AND l.kind = 'firing' AND n.channel = $3 ORDER BY n.created_at LIMIT 1) n ON true
		WHERE a.drill_id = $1 AND a.rule = $2 AND a.fired_at IS NOT NULL ORDER BY a.fired_at LIMIT 1`, w.ID, x.Rule, x.Channel).
		Scan(&a.id, &a.state, &a.fired, &a.acked, &a.inhibited, &a.number, &a.delivered, &a.outcome, &a.attempts)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// look enters what is new, and tells what is still waited for.
func (w *drillWatch) look(out *DrillLook) error {
	gone := w.State == drill.Injected && !w.now.Before(w.until) // it expired, or somebody switched it off
	for _, x := range w.Experiment.Expect {
		if x.Event.After() != (w.State == drill.Recovering) || w.seen[x.Event] {
			continue
		}
		at, seen, err := w.happened(x)
		if err != nil {
			return err
		}
		e := drill.JournalEntry{Phase: drill.Run, Name: string(x.Event), Type: drill.Seen, Status: drill.Success, Output: output(seen)}
		switch {
		case at != nil:
			e.At = *at
			out.New = append(out.New, x.Event)
		case gone || w.late(x):
			e.Status = drill.Failure
		default:
			out.Waits = append(out.Waits, x.Event)
			continue
		}
		if err := w.enterDrill(w.ID, e); err != nil {
			return err
		}
		w.seen[x.Event] = true
	}
	out.Over = len(out.Waits) == 0
	if w.Fast && w.alert.id != uuid.Nil && w.alert.acked == nil && w.alertCame() && !out.Over {
		out.Acknowledge = w.alert.id
	}
	return nil
}

// late reports whether an event is not waited for any longer.
func (w *drillWatch) late(x drill.Expectation) bool {
	from := w.InjectedAt
	if x.Event.After() {
		from = w.RevertedAt
	}
	within := time.Duration(x.Within)
	return w.now.Sub(*from) > within+within/2
}

func (w *drillWatch) alertCame() bool {
	return w.alert.delivered != nil && w.alert.outcome != nil && *w.alert.outcome == "delivered"
}

// happened is when an event happened, nil if it has not, and what was seen of it.
func (w *drillWatch) happened(x drill.Expectation) (at *time.Time, seen map[string]any, err error) {
	switch x.Event {
	case drill.Detected:
		return w.probed(*w.InjectedAt, x.State)
	case drill.Recovered:
		return w.probed(*w.RevertedAt, []probe.State{probe.Green})
	case drill.Alerted:
		a := w.alert
		seen = map[string]any{"rule": x.Rule, "channel": x.Channel}
		if a.id == uuid.Nil {
			seen["why"] = "the alert did not fire"
			return nil, seen, nil
		}
		seen["alert_id"], seen["fired_at"] = a.id, a.fired
		switch {
		case a.number != nil:
			seen["message_id"], seen["attempts"] = fmt.Sprintf("N-%d", *a.number), *a.attempts
		case a.inhibited:
			seen["why"] = "another alert stood for it"
		}
		if !w.alertCame() {
			if a.number != nil {
				seen["why"] = "the channel did not take the message"
			}
			return nil, seen, nil
		}
		return a.delivered, seen, nil
	case drill.Acknowledged:
		if w.alert.acked == nil {
			return nil, map[string]any{"why": "nobody acknowledged the alert"}, nil
		}
		return w.alert.acked, map[string]any{"alert_id": w.alert.id, "by_script": w.Fast}, nil
	case drill.Mitigated:
		return w.mitigated(x)
	}
	return w.steady()
}

// probed is when the drill's edge function was first found in one of these states since then.
func (w *drillWatch) probed(since time.Time, in []probe.State) (*time.Time, map[string]any, error) {
	name := w.Experiment.Fault.EdgeFunction
	seen := map[string]any{"edge_function": name}
	var at time.Time
	var state, detail string
	err := w.pgx.QueryRow(w.ctx, `SELECT at, state, detail FROM probe_results WHERE edge_function = $1 AND at >= $2 AND state = ANY ($3) ORDER BY at LIMIT 1`,
		name, since, in).Scan(&at, &state, &detail)
	if errors.Is(err, pgx.ErrNoRows) {
		seen["state"], seen["why"] = w.states[name].State, "no probe found it"
		return nil, seen, nil
	}
	seen["state"], seen["detail"] = state, detail
	return &at, seen, err
}

// mitigated is when the rule paused the drill's campaign.
func (w *drillWatch) mitigated(x drill.Expectation) (*time.Time, map[string]any, error) {
	seen := map[string]any{"rule": x.Rule, "campaign_id": w.CampaignID}
	var at time.Time
	err := w.pgx.QueryRow(w.ctx, `SELECT created_at FROM audit_log WHERE target = $1 AND action = 'campaign.pause_ordered' AND actor_kind = 'system' AND actor = $2
		ORDER BY id LIMIT 1`, target(*w.CampaignID), "alert/"+x.Rule).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		seen["why"] = "the rule did not pause the drill's campaign"
		return nil, seen, nil
	}
	return &at, seen, err
}

// steady is now, if all is as it was before and no alert of the drill is open.
func (w *drillWatch) steady() (*time.Time, map[string]any, error) {
	var open int
	err := w.pgx.QueryRow(w.ctx, `SELECT count(*) FROM alerts WHERE drill_id = $1 AND state <> 'resolved'`, w.ID).Scan(&open)
	if err != nil {
		return nil, nil, err
	}
	if open > 0 {
		return nil, map[string]any{"why": "alerts of the drill are still open", "count": open}, nil
	}
	found, err := w.steadyState(w.Drill, w.states)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range found {
		if e.Status != drill.Success {
			return nil, map[string]any{"why": e.Name + " is not so" + shown(e)}, nil
		}
	}
	return &w.now, map[string]any{"conditions": len(found)}, nil
}
