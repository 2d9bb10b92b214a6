package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/drill"
	"lastcall/domain/probe"
)

// What a drill's workflow has done, in the order in which it does it. Each may be done again after a crash, and then changes
// nothing.

// CheckDrill looks whether all is steady before a drill: its conditions hold, no real alert fires and, where it would keep
// messages from going, no real campaign is at work. What it found is in the journal. A problem is for people; "": there is none.
func (s *Store) CheckDrill(ctx context.Context, id uuid.UUID) (problem string, err error) {
	states, err := s.edgeStates(ctx)
	if err != nil {
		return "", err
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		problem = ""
		d, err := tx.lockDrill(id)
		if err != nil {
			return err
		}
		if d.State != drill.Preflight || d.StoppedBy != "" {
			return nil
		}
		found, err := tx.steadyState(d, states)
		if err != nil {
			return err
		}
		for _, e := range found {
			e.Phase = drill.Before
			if err := tx.enterDrill(id, e); err != nil {
				return err
			}
			if e.Status != drill.Success && problem == "" {
				problem = "not steady: " + e.Name + " is not so" + shown(e)
			}
		}
		return nil
	})
	return problem, err
}

func shown(e drill.JournalEntry) string {
	var seen struct {
		State  string
		Alerts []string
		Count  int
	}
	_ = json.Unmarshal(e.Output, &seen) // our own
	switch {
	case seen.State != "":
		return ", it is " + seen.State
	case len(seen.Alerts) > 0:
		return ": " + strings.Join(seen.Alerts, ", ")
	case seen.Count > 0:
		return fmt.Sprintf(": there are %d", seen.Count)
	}
	return ""
}

// steadyState looks at everything that must hold before and after a drill.
func (tx *Tx) steadyState(d Drill, states map[probe.Name]EdgeFunction) (all []drill.JournalEntry, err error) {
	add := func(name string, met bool, seen map[string]any) {
		e := drill.JournalEntry{Name: name, Type: drill.Looked, Status: drill.Success, Output: output(seen)}
		if !met {
			e.Status = drill.Failure
		}
		all = append(all, e)
	}
	for _, c := range d.Experiment.SteadyState {
		now := states[c.EdgeFunction]
		state := now.State
		if state == "" {
			state = probe.Unknown
		}
		add(c.String(), c.Holds(state), map[string]any{"state": state, "checked_at": now.CheckedAt})
	}
	real, err := tx.realAlerts(time.Time{}, false)
	if err != nil {
		return nil, err
	}
	add("no real alert fires", len(real) == 0, map[string]any{"alerts": real})
	if d.Experiment.StopsTraffic() {
		working, err := tx.realCampaigns(d)
		if err != nil {
			return nil, err
		}
		add("no real campaign is at work", working == 0, map[string]any{"count": working})
	}
	return all, nil
}

// realAlerts are the rules whose alerts fire and are no drill's, those that fired since then, with critical only those.
func (tx *Tx) realAlerts(since time.Time, critical bool) ([]string, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT DISTINCT rule FROM alerts WHERE state = 'firing' AND NOT is_drill AND severity <> 'info'
		AND (severity = 'critical' OR NOT $2) AND fired_at >= $1 ORDER BY rule`, since, critical)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// realCampaigns counts the campaigns that send now, or would while the fault is there.
func (tx *Tx) realCampaigns(d Drill) (n int, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FROM campaigns WHERE NOT is_drill AND gate = 'open'
		AND (status IN ('preflight', 'running') OR status = 'scheduled' AND coalesce(send_at, created_at) < clock_timestamp() + $1::interval)`,
		time.Duration(d.Experiment.Fault.For)).Scan(&n)
	return n, err
}

// InjectDrill puts the fault of a drill in the way, with what is to be kept from harm: a campaign of its own. The rules whose
// alerts it expects get its clocks until the fault is over. One that was stopped meanwhile gets no fault.
func (s *Store) InjectDrill(ctx context.Context, id uuid.UUID, rules alert.Rules) error {
	var d Drill
	prepared := false
	err := s.inTx(ctx, func(tx *Tx) (err error) {
		if d, err = tx.lockDrill(id); err != nil || d.State != drill.Preflight || d.StoppedBy != "" {
			return err
		}
		prepared = true
		if d.Experiment.Traffic && d.CampaignID == nil {
			if err := tx.drillCampaign(&d); err != nil {
				return err
			}
			if err := tx.enterDrill(id, drill.JournalEntry{Phase: drill.Run, Name: "start a campaign of the drill's own", Type: drill.Action, Status: drill.Success,
				Output: output(map[string]any{"campaign_id": d.CampaignID, "targets": 0})}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !prepared {
		return err
	}
	fault, clocks := d.Experiment.Fault, d.Experiment.Rules()
	rules.Probes = time.Duration(d.Experiment.ProbeEvery) // meanwhile
	for _, rule := range slices.Sorted(maps.Keys(clocks)) {
		if clocks[rule] == 0 {
			continue
		}
		if err := s.SetDrillClock(ctx, id, rules, rule, clocks[rule], time.Now().Add(time.Duration(fault.For)+s.Stale())); err != nil {
			return err
		}
	}
	f, err := s.InjectFault(ctx, NewFault{ID: id, Name: fault.EdgeFunction, Kind: fault.Kind, Share: fault.Share, Delay: time.Duration(fault.Delay),
		For: time.Duration(fault.For), Drill: &id, Reason: "drill " + d.Scenario})
	if err != nil {
		return err
	}
	stopped := false
	err = s.inTx(ctx, func(tx *Tx) error {
		d, err := tx.lockDrill(id)
		if err != nil || d.State != drill.Preflight {
			return err
		}
		stopped = d.StoppedBy != ""
		if err := tx.changeDrill(&d, map[string]any{"state": drill.Injected, "injected_at": f.CreatedAt}); err != nil {
			return err
		}
		return tx.enterDrill(id, drill.JournalEntry{Phase: drill.Run, Name: "inject the fault", Type: drill.Action, Status: drill.Success, At: f.CreatedAt,
			Output: output(map[string]any{"edge_function": f.EdgeFunction, "kind": f.Kind, "share": f.Share, "expires_at": f.ExpiresAt, "clocks": clocksOf(clocks)})})
	})
	if err == nil && stopped {
		_, err = s.EndFault(ctx, id, "the drill was stopped")
	}
	return err
}

func clocksOf(clocks map[string]time.Duration) map[string]float64 {
	all := map[string]float64{}
	for rule, d := range clocks {
		if d > 0 {
			all[rule] = d.Seconds()
		}
	}
	return all
}

// RevertDrill takes the fault of a drill away, whatever else is so, and lets the campaign go on that a rule has paused. One that
// put nothing in the way changes nothing.
func (s *Store) RevertDrill(ctx context.Context, id uuid.UUID) error {
	f, err := s.EndFault(ctx, id, "the drill is over")
	if domain.KindOf(err) == domain.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	var paused *uuid.UUID
	err = s.inTx(ctx, func(tx *Tx) error {
		paused = nil
		d, err := tx.lockDrill(id)
		if err != nil || !d.State.Open() {
			return err
		}
		gone, how := f.ExpiresAt, "it expired by itself"
		if f.EndedAt != nil {
			gone, how = *f.EndedAt, "switched off"
		}
		if d.RevertedAt == nil {
			columns := map[string]any{"state": drill.Recovering, "reverted_at": gone}
			if d.InjectedAt == nil { // a crash came between the fault and its note
				columns["injected_at"] = f.CreatedAt
			}
			if err := tx.changeDrill(&d, columns); err != nil {
				return err
			}
			if err := tx.enterDrill(id, drill.JournalEntry{Phase: drill.Rollbacks, Name: "take the fault away", Type: drill.Action, Status: drill.Success, At: gone,
				Output: output(map[string]any{"how": how})}); err != nil {
				return err
			}
		}
		if d.CampaignID == nil {
			return nil
		}
		c, err := tx.lockCampaign(*d.CampaignID)
		if err == nil && c.Gate == campaign.GatePaused {
			paused = &c.ID
		}
		return err
	})
	if err != nil || paused == nil {
		return err
	}
	return s.orderDrill(ctx, id, *paused, campaign.GateOpen, "let the drill's campaign go on")
}

// orderDrill turns the gate of a drill's campaign and enters that. What it cannot do any more is none of its business.
func (s *Store) orderDrill(ctx context.Context, id, campaignID uuid.UUID, gate campaign.Gate, name string) error {
	_, err := s.Order(ctx, campaignID, gate, "the drill is over")
	e := drill.JournalEntry{Phase: drill.Rollbacks, Name: name, Type: drill.Action, Status: drill.Success, Output: output(map[string]any{"campaign_id": campaignID})}
	if domain.KindOf(err) == domain.Conflict {
		e.Output, err = output(map[string]any{"campaign_id": campaignID, "code": domain.CodeOf(err)}), nil
	}
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *Tx) error { return tx.enterDrill(id, e) })
}

// EndDrill ends a drill in this state: it looks at the steady state once more, stops the drill's campaign, scores what was
// measured and writes the journal for good. What is not reverted is not over: domain.Conflict. One that is over stays so.
func (s *Store) EndDrill(ctx context.Context, id uuid.UUID, to drill.State, why string) error {
	states, err := s.edgeStates(ctx)
	if err != nil {
		return err
	}
	var d Drill
	if err := s.orm.WithContext(ctx).Omit("journal").First(&d, "id = ?", id).Error; err != nil {
		return notFound(err, "drill", id)
	}
	if !d.State.Open() {
		return nil
	}
	if d.CampaignID != nil {
		if err := s.orderDrill(ctx, id, *d.CampaignID, campaign.GateStopped, "end the drill's campaign"); err != nil {
			return err
		}
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		d, err := tx.lockDrill(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if !d.State.Open() {
			return audit.Entry{}, errRepeated
		}
		if d.InjectedAt != nil {
			found, err := tx.steadyState(d, states)
			if err != nil {
				return audit.Entry{}, err
			}
			for _, e := range found {
				e.Phase = drill.AfterAll
				if err := tx.enterDrill(id, e); err != nil {
					return audit.Entry{}, err
				}
			}
		}
		if d.StoppedBy != "" && to != drill.Interrupted {
			to, why = drill.Aborted, d.Why
		}
		j, err := tx.lastJournal(d, to, why)
		if err != nil {
			return audit.Entry{}, err
		}
		text := "Nothing was put in the way: " + why + "."
		if d.InjectedAt != nil {
			text = fmt.Sprintf("It scored %d of 100. The fault is gone.", j.Score)
		}
		if _, err := tx.send(KindOpsNotice, drillTarget(id)+"/ops", OpsNotice{Title: fmt.Sprintf("Drill %s: %s", to, d.Experiment.Title), Text: text, Level: "info"}); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "drill." + string(to), Target: drillTarget(id), Reason: why, Diff: map[string]any{"scenario": d.Scenario,
			"state": []drill.State{d.State, to}, "score": j.Score, "deviated": j.Deviated}}, nil
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return err
}

// lastJournal writes the end of a drill, with its journal.
func (tx *Tx) lastJournal(d Drill, to drill.State, why string) (j drill.Journal, err error) {
	if d.InjectedAt != nil && d.RevertedAt == nil {
		return j, domain.E(domain.Conflict, "drill_not_reverted", "the fault is still there")
	}
	r, err := tx.drillRecord(d)
	if err != nil {
		return j, err
	}
	var now time.Time
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return j, err
	}
	r.State, r.Why, r.EndedAt = to, why, &now
	j = r.Journal(now)
	raw, err := json.Marshal(j)
	if err != nil {
		return j, err
	}
	return j, tx.changeDrill(&d, map[string]any{"state": to, "why": why, "ended_at": now, "score": j.Score, "deviated": j.Deviated, "journal": string(raw)})
}

// SweepDrills ends the drills whose workflow is gone from Temporal: their fault is taken away, and they are interrupted. open
// tells whether a drill's workflow has not ended.
func (s *Store) SweepDrills(ctx context.Context, open func(ctx context.Context, id uuid.UUID) (bool, error)) (ended int, err error) {
	var all []Drill
	if err := s.orm.WithContext(ctx).Select("id").Find(&all, "ended_at IS NULL AND created_at < clock_timestamp() - interval '30 seconds'").Error; err != nil {
		return 0, unavailable(err)
	}
	for _, d := range all {
		there, err := open(ctx, d.ID)
		if err != nil {
			return ended, err
		}
		var waiting bool
		if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM outbox WHERE key = $1 AND delivered_at IS NULL)`, drillTarget(d.ID)).Scan(&waiting); err != nil {
			return ended, unavailable(err)
		}
		if there || waiting {
			continue
		}
		if err := s.RevertDrill(ctx, d.ID); err != nil {
			return ended, err
		}
		if err := s.EndDrill(ctx, d.ID, drill.Interrupted, "its workflow is gone from Temporal"); err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}

// otherAlerts are the rules whose alerts came of a drill without being expected, and not as symptoms of those that were.
func (tx *Tx) otherAlerts(d Drill) ([]string, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT DISTINCT rule FROM alerts WHERE drill_id = $1 AND fired_at IS NOT NULL AND inhibited_by IS NULL ORDER BY rule`, d.ID)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	expected := d.Experiment.Rules()
	return slices.DeleteFunc(all, func(rule string) bool { _, ok := expected[rule]; return ok }), err
}
