package store

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/alert"
	"lastcall/domain/audit"
)

// AlertEngine looks at every rule every few seconds, moves the alerts, and writes what is to be told. Any number may run, in the
// API as in workers: whoever is alive does it, one at a time. Clocks are rows, so nothing is forgotten between two of them.
type AlertEngine struct {
	Store *Store
	Rules alert.Rules
	Log   *slog.Logger
	Every time.Duration // 0: alert.Look
}

// Run looks until ctx is over.
func (e *AlertEngine) Run(ctx context.Context) {
	every := cmp.Or(e.Every, alert.Look)
	for range repeatedly(ctx, every, false) {
		if err := e.look(ctx, every*3/4); err != nil && ctx.Err() == nil {
			e.Log.Warn("alerts cannot be evaluated now", "error", err)
		}
	}
}

// Look looks once, unless somebody else does just now.
func (e *AlertEngine) Look(ctx context.Context) error { return e.look(ctx, 0) }

// look looks unless somebody else does, or did less than so long ago.
func (e *AlertEngine) look(ctx context.Context, unless time.Duration) error {
	return e.Store.inTx(ctx, func(tx *Tx) error {
		var now, last *time.Time
		var mine bool
		err := tx.pgx.QueryRow(tx.ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended('alerts', 0)), clock_timestamp(), (SELECT max(at) FROM alert_readings)`).
			Scan(&mine, &now, &last)
		if err != nil || !mine || unless > 0 && last != nil && now.Sub(*last) < unless {
			return err
		}
		samples, err := e.Store.alertSamples(ctx, *now)
		if err != nil { // those are unknown now, and the others are not
			e.Log.Warn("a source of alerts cannot be measured", "error", err)
		}
		l := &looking{tx: tx, store: e.Store, rules: e.Rules, now: *now, log: e.Log}
		for _, step := range []func() error{l.load, func() error { return l.signals(samples) }, func() error { return l.judge(samples) }, l.inhibit, l.act, l.save, l.tell, l.watchdog} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

// looking is one look at everything.
type looking struct {
	tx    *Tx
	store *Store
	rules alert.Rules
	now   time.Time
	log   *slog.Logger
	open  []*Alert        // those not resolved before this look, oldest first
	made  map[*Alert]bool // those of them that began in it
	clock map[drillClock]time.Duration

	signalled []alert.Sample // what the rules of a rollout's signals are judged by
}

type drillClock struct{ drill, rule string }

func (l *looking) load() error {
	l.made, l.clock = map[*Alert]bool{}, map[drillClock]time.Duration{}
	rows, err := l.tx.pgx.Query(l.tx.ctx, `SELECT `+alertColumns+` FROM alerts a WHERE a.state <> 'resolved' AND a.rule <> $1 ORDER BY a.id FOR UPDATE`, alert.TestRule.Name)
	if err != nil {
		return err
	}
	if l.open, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Alert, error) {
		a, err := scanAlert(row)
		return &a, err
	}); err != nil {
		return wrap(err, "read alerts")
	}
	if rows, err = l.tx.pgx.Query(l.tx.ctx, `SELECT drill_id::text, rule, seconds FROM alert_drill_clocks WHERE expires_at > $1`, l.now); err != nil {
		return err
	}
	var key drillClock
	var seconds int
	_, err = pgx.ForEachRow(rows, []any{&key.drill, &key.rule, &seconds}, func() error {
		l.clock[key] = time.Duration(seconds) * time.Second
		return nil
	})
	return wrap(err, "read drills' clocks")
}

// judge moves every alert by what its rule makes of the samples, and keeps those readings.
func (l *looking) judge(samples []alert.Sample) error {
	var r readings
	for _, rule := range l.rules.All {
		by := samples
		if rule.Signal != "" {
			by = l.signalled
		}
		for _, s := range by {
			if rule.About(s) {
				v := rule.Judge(s)
				r.add(rule, s, v)
				l.move(rule, s, v)
			}
		}
	}
	l.close()
	_, err := l.tx.pgx.Exec(l.tx.ctx, `INSERT INTO alert_readings AS r (rule, subject, value, n, verdict, detail, at, since)
		SELECT x.*, $1::timestamptz, $1::timestamptz FROM unnest($2::text[], $3::text[], $4::float8[], $5::bigint[], $6::text[], $7::text[]) x
		ON CONFLICT (rule, subject) DO UPDATE SET value = excluded.value, n = excluded.n, verdict = excluded.verdict, detail = excluded.detail, at = excluded.at,
			since = CASE WHEN r.verdict = excluded.verdict THEN r.since ELSE excluded.since END`,
		l.now, r.rules, r.subjects, r.values, r.ns, r.verdicts, r.details)
	if err == nil { // of rules that are gone
		_, err = l.tx.pgx.Exec(l.tx.ctx, `DELETE FROM alert_readings WHERE at < $1::timestamptz - interval '1 day'`, l.now)
	}
	return wrap(err, "keep readings")
}

type readings struct {
	rules, subjects, verdicts, details []string
	values                             []float64
	ns                                 []int64
}

func (r *readings) add(rule alert.Rule, s alert.Sample, v alert.Verdict) {
	r.rules, r.subjects, r.verdicts, r.details = append(r.rules, rule.Name), append(r.subjects, s.Subject), append(r.verdicts, string(v)), append(r.details, s.Detail)
	r.values, r.ns = append(r.values, s.Value), append(r.ns, s.N)
}

// move moves the alerts of a rule about a subject. A sample that a drill made moves the drill's alert; of the real one it says
// nothing. One that is real ends the drill's alert, whose fault is over, whatever it says.
func (l *looking) move(rule alert.Rule, s alert.Sample, v alert.Verdict) {
	drill := s.DrillID != ""
	found := false
	for _, a := range l.open {
		if a.Rule != rule.Name || a.Subject != s.Subject || a.State == alert.Resolved {
			continue
		}
		said := v
		if !a.IsDrill && drill {
			said = alert.Unknown
		} else if a.IsDrill && !drill && v == alert.Holds {
			said = alert.Clear
		}
		found = found || a.IsDrill == drill
		l.step(rule, a, s, said)
	}
	if found || v != alert.Holds {
		return
	}
	a := &Alert{ID: uuid.Must(uuid.NewV7()), Rule: rule.Name, Subject: s.Subject, Title: rule.Title, Severity: rule.Severity, Group: rule.Group,
		Runbook: rule.Runbook, State: alert.Ok, IsDrill: drill}
	if drill {
		if id, err := uuid.Parse(s.DrillID); err == nil {
			a.DrillID = &id
		}
	}
	l.open, l.made[a] = append(l.open, a), true
	l.step(rule, a, s, v)
}

const keepSamples = 100

func (l *looking) step(rule alert.Rule, a *Alert, s alert.Sample, v alert.Verdict) {
	if a.DrillID != nil {
		if d, ok := l.clock[drillClock{a.DrillID.String(), rule.Name}]; ok {
			rule.For, rule.Keep = d, min(rule.Keep, d)
		}
	}
	next := rule.Step(alert.Status{State: a.State, PendingSince: a.PendingSince, FiredAt: a.FiredAt, ClearSince: a.ClearSince, UnknownSince: a.UnknownSince}, v, s.Since, l.now)
	source, _ := alert.SourceOf(s.Source)
	turned := next.State != a.State
	if a.SampledAt == nil || turned || s.At.Sub(*a.SampledAt) >= l.rules.Every(source) && len(a.Evidence) < keepSamples {
		one := AlertSample{At: s.At.UTC(), Value: s.Value, Shown: source.Show(s.Value), N: s.N, Known: s.Known && v != alert.Unknown, Detail: s.Detail}
		if !one.Known {
			one.Shown = "unknown"
		}
		a.Evidence, a.SampledAt = append(a.Evidence, one), &s.At
	}
	a.State, a.PendingSince, a.FiredAt, a.ClearSince, a.UnknownSince, a.ResolvedAt = next.State, next.PendingSince, next.FiredAt, next.ClearSince, next.UnknownSince, next.ResolvedAt
}

// close resolves the alerts of rules that are no more: nothing would ever end them.
func (l *looking) close() {
	for _, a := range l.open {
		rule, known := l.rules.Of(a.Rule)
		if known && (len(rule.Subjects) == 0 || slices.Contains(rule.Subjects, a.Subject)) || a.State == alert.Resolved {
			continue
		}
		if a.State == alert.Pending {
			a.State = alert.Ok
		} else {
			a.State, a.ResolvedAt = alert.Resolved, &l.now
		}
	}
}

// inhibit finds which alerts are symptoms of others that fire. A drill's may be the cause of a real one; a real one's symptoms
// are real.
func (l *looking) inhibit() error {
	for _, a := range l.open {
		a.InhibitedBy = nil
		for _, cause := range l.open {
			rule, ok := l.rules.Of(cause.Rule)
			if ok && cause.State == alert.Firing && rule.Silences(a.Rule) && (cause.IsDrill || !a.IsDrill) {
				a.InhibitedBy = &cause.ID
				break
			}
		}
	}
	return nil
}

// told reports whether an alert that fires is one to tell people of: no symptom, and not about to be over.
func (a *Alert) told() bool { return a.InhibitedBy == nil && a.ClearSince == nil }

// act does what the rules of alerts that fire ask for, once each.
func (l *looking) act() error {
	for _, a := range l.open {
		rule, _ := l.rules.Of(a.Rule)
		if a.State != alert.Firing || a.ActedAt != nil || !a.told() {
			continue
		}
		tx := *l.tx
		tx.ctx = audit.WithActor(l.tx.ctx, audit.System("alert/"+a.Rule))
		if slices.Contains(rule.Actions, alert.OpenIncident) {
			id, err := tx.incidentFor(a)
			if err != nil {
				return err
			}
			a.IncidentID = &id
		}
		if slices.Contains(rule.Actions, alert.PauseCampaigns) {
			paused, err := tx.pauseAll(a.Title, pauseScope{Drill: a.IsDrill})
			if err == nil && a.IncidentID != nil {
				err = tx.incidentEvent(*a.IncidentID, "campaigns_paused", 0, paused.String())
			}
			if err != nil {
				return err
			}
		}
		if err := l.signal(&tx, rule, a); err != nil {
			return err
		}
		a.ActedAt = &l.now
	}
	for _, a := range l.open { // a symptom belongs to the incident of its cause
		for _, cause := range l.open {
			if a.State == alert.Firing && a.IncidentID == nil && a.InhibitedBy != nil && *a.InhibitedBy == cause.ID && a.IsDrill == cause.IsDrill {
				a.IncidentID = cause.IncidentID
			}
		}
	}
	return nil
}

// save writes the alerts, with an audit entry for each that fires or is over.
func (l *looking) save() error {
	for _, a := range l.open {
		var err error
		evidence, _ := json.Marshal(a.Evidence) // numbers and texts: it cannot fail
		switch {
		case a.State == alert.Ok && l.made[a]:
		case a.State == alert.Ok:
			_, err = l.tx.pgx.Exec(l.tx.ctx, `DELETE FROM alerts WHERE id = $1`, a.ID)
		case l.made[a]:
			_, err = l.tx.pgx.Exec(l.tx.ctx, `INSERT INTO alerts (id, rule, subject, title, severity, group_name, runbook, state, pending_since, fired_at, unknown_since,
				inhibited_by, acted_at, evidence, sampled_at, incident_id, is_drill, drill_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
				a.ID, a.Rule, a.Subject, a.Title, a.Severity, a.Group, a.Runbook, a.State, a.PendingSince, a.FiredAt, a.UnknownSince, a.InhibitedBy, a.ActedAt, evidence,
				a.SampledAt, a.IncidentID, a.IsDrill, a.DrillID)
		default:
			_, err = l.tx.pgx.Exec(l.tx.ctx, `UPDATE alerts SET state = $2, pending_since = $3, fired_at = $4, clear_since = $5, unknown_since = $6, resolved_at = $7, inhibited_by = $8,
				acted_at = $9, evidence = $10, sampled_at = $11, incident_id = $12 WHERE id = $1`,
				a.ID, a.State, a.PendingSince, a.FiredAt, a.ClearSince, a.UnknownSince, a.ResolvedAt, a.InhibitedBy, a.ActedAt, evidence, a.SampledAt, a.IncidentID)
		}
		action := ""
		switch {
		case a.State == alert.Firing && a.FiredAt.Equal(l.now):
			action = "alert.fired"
		case a.State == alert.Resolved:
			action = "alert.resolved"
		}
		if err == nil && action != "" {
			l.log.Warn(strings.Replace(action, ".", " ", 1), "alert", a.ID, "rule", a.Rule, "subject", a.Subject, "drill", a.IsDrill)
			tx := *l.tx
			tx.ctx = audit.WithActor(l.tx.ctx, audit.System("alert/"+a.Rule))
			err = tx.enter(audit.Entry{Action: action, Target: a.target(), Diff: map[string]any{"subject": a.Subject, "since": a.PendingSince.UTC(), "is_drill": a.IsDrill}})
		}
		if err != nil {
			return wrap(err, "keep alert of "+a.Rule)
		}
	}
	return nil
}
