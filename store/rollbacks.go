package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
	"lastcall/domain/rollout"
)

// Rollback is the way back to what was before Lastcall: nothing goes any more, and the legacy tooling serves.
type Rollback struct {
	ID             uuid.UUID
	Rollout        string
	Phase          rollout.Phase // in which it was ordered; the rollout stays in it
	State          rollout.RollbackState
	Signal         string     // that tripped; "": a person ordered it
	AlertID        *uuid.UUID // with the samples that tripped it
	OrderedBy      *uuid.UUID // nil: Lastcall itself
	Actor          string
	Reason         string
	RedemptionsOff bool
	Rehearsal      bool
	Toggles        json.RawMessage // as they were, and are to be again
	IncidentID     *uuid.UUID
	StartedAt      time.Time
	SafeAt         *time.Time // when it was read back that nothing goes any more
	DoneAt         *time.Time
	RecoveryBy     *uuid.UUID
	RecoveryReason string
	RecoveryAt     *time.Time
	RecoveredAt    *time.Time
	Steps          []RollbackStep
}

// RollbackStep is one step of a rollback, or of its recovery.
type RollbackStep struct {
	Step      rollout.RollbackStep
	DueAt     *time.Time // when it is tried next; nil: it is done, or people have the word
	StartedAt *time.Time
	DoneAt    *time.Time
	Tries     int
	Detail    string // what was found, or why it is not done yet
}

// Automatic reports whether Lastcall ordered it.
func (r Rollback) Automatic() bool { return r.Signal != "" }

// TimeToSafe is how long it took until nothing went any more; 0: it still does.
func (r Rollback) TimeToSafe() time.Duration {
	if r.SafeAt == nil {
		return 0
	}
	return r.SafeAt.Sub(r.StartedAt)
}

// Open reports whether it is open.
func (r Rollback) Open() bool {
	return r.State == rollout.RollbackRunning || r.State == rollout.RollbackDone || r.State == rollout.RollbackRecovering
}

// Step finds a step; a zero one: it has none of that name.
func (r Rollback) Step(name rollout.RollbackStep) RollbackStep {
	i := slices.IndexFunc(r.Steps, func(s RollbackStep) bool { return s.Step == name })
	if i < 0 {
		return RollbackStep{}
	}
	return r.Steps[i]
}

func (r Rollback) target() string { return "rollback/" + r.ID.String() }

const rollbackColumns = `b.id, b.rollout, b.phase, b.state, b.signal, b.alert_id, b.ordered_by, b.actor, b.reason, b.redemptions_off, b.rehearsal, b.toggles, b.incident_id,
	b.started_at, b.safe_at, b.done_at, b.recovery_by, b.recovery_reason, b.recovery_at, b.recovered_at,
	coalesce((SELECT jsonb_agg(jsonb_build_object('Step', s.step, 'DueAt', s.due_at, 'StartedAt', s.started_at, 'DoneAt', s.done_at, 'Tries', s.tries, 'Detail', s.detail)
		ORDER BY s.position) FROM rollback_steps s WHERE s.rollback_id = b.id), '[]') FROM rollbacks b`

func scanRollback(row pgx.CollectableRow) (r Rollback, err error) {
	var steps json.RawMessage
	err = row.Scan(&r.ID, &r.Rollout, &r.Phase, &r.State, &r.Signal, &r.AlertID, &r.OrderedBy, &r.Actor, &r.Reason, &r.RedemptionsOff, &r.Rehearsal, &r.Toggles, &r.IncidentID,
		&r.StartedAt, &r.SafeAt, &r.DoneAt, &r.RecoveryBy, &r.RecoveryReason, &r.RecoveryAt, &r.RecoveredAt, &steps)
	if err == nil {
		err = json.Unmarshal(steps, &r.Steps)
	}
	return r, err
}

func rollbacks(ctx context.Context, db querier, where string, args ...any) ([]Rollback, error) {
	rows, err := db.Query(ctx, `SELECT `+rollbackColumns+` WHERE `+where, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, scanRollback)
	return all, unavailable(err)
}

// openRollback is the one that is open; nil: none is.
func openRollback(ctx context.Context, db querier) (*Rollback, error) {
	all, err := rollbacks(ctx, db, `b.state IN ('running', 'done', 'recovering')`)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// RollbackOf is one rollback; domain.NotFound of code rollback_not_found.
func (s *Store) RollbackOf(ctx context.Context, id uuid.UUID) (Rollback, error) {
	all, err := rollbacks(ctx, s.pool, `b.id = $1`, id)
	if err == nil && len(all) == 0 {
		err = notFound(pgx.ErrNoRows, "rollback", id)
	}
	if err != nil {
		return Rollback{}, err
	}
	return all[0], nil
}

// Rollbacks are those of a rollout, newest first, 50 at most.
func (s *Store) Rollbacks(ctx context.Context, name string) ([]Rollback, error) {
	return rollbacks(ctx, s.pool, `b.rollout = $1 ORDER BY b.id DESC LIMIT 50`, name)
}

// NewRollback is what somebody orders.
type NewRollback struct {
	Reason         string
	RedemptionsOff bool // stations redeem nothing, either
	Rehearsal      bool // the same, to see that it works
}

// RollBack orders to roll the rollout of that name back, in the name of the account that acts; its workflow takes the steps. It fails
// with domain.NotFound when it is not under way, and with domain.Conflict of code rollout_rollback_open while another one is open, and
// rollout_rollback_phase in staging. A refusal is in the audit log.
func (s *Store) RollBack(ctx context.Context, name string, n NewRollback) (uuid.UUID, error) {
	if n.Reason = strings.TrimSpace(n.Reason); n.Reason == "" {
		return uuid.Nil, domain.E(domain.Invalid, "no_reason", "say why").About("reason")
	}
	b := Rollback{ID: uuid.Must(uuid.NewV7()), Reason: n.Reason, RedemptionsOff: n.RedemptionsOff, Rehearsal: n.Rehearsal}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		r, err := tx.lockRolloutOf(name)
		if err != nil {
			return audit.Entry{}, err
		}
		b.OrderedBy = &who.ID
		return tx.rollBack(r, b)
	})
	return b.ID, s.refuseRollout(ctx, "rollout/"+name, err)
}

// lockRolloutOf is lockRollout, of the one of that name.
func (tx *Tx) lockRolloutOf(name string) (Rollout, error) {
	r, err := tx.lockRollout()
	if err == nil && r.Name != name {
		err = domain.E(domain.NotFound, rollout.NotBegun, "no rollout of this name is under way")
	}
	return r, err
}

// rollBackBySignal orders a rollback because a signal tripped. While one is open there is nothing to do; one that somebody is
// recovering from is begun anew.
func (tx *Tx) rollBackBySignal(s *Store, signal string, a *Alert) error {
	r, err := tx.lockRollout()
	if domain.CodeOf(err) == rollout.NotBegun {
		return nil
	}
	if err != nil {
		return err
	}
	open, err := openRollback(tx.ctx, tx.pgx)
	if err != nil || open != nil && open.State != rollout.RollbackRecovering {
		return err
	}
	reason := a.Title
	if n := len(a.Evidence); n > 0 && a.Evidence[n-1].Detail != "" {
		reason += ": " + a.Evidence[n-1].Detail
	}
	entry, err := tx.rollBack(r, Rollback{ID: uuid.Must(uuid.NewV7()), Signal: signal, AlertID: &a.ID, IncidentID: a.IncidentID, Reason: short(reason)})
	if err != nil {
		return err
	}
	return tx.enter(entry)
}

// rollBack writes a rollback with its steps, and the message that has them taken.
func (tx *Tx) rollBack(r Rollout, b Rollback) (audit.Entry, error) {
	if !r.Phase.Watched() {
		return audit.Entry{}, domain.E(domain.Conflict, rollout.RollbackPhase, "it is in %s: nothing goes to people yet, so there is nothing to roll back", r.Phase)
	}
	open, err := openRollback(tx.ctx, tx.pgx)
	if err != nil {
		return audit.Entry{}, err
	}
	b.Rollout, b.Phase, b.Actor, b.Rehearsal = r.Name, r.Phase, audit.ActorFrom(tx.ctx).EntryName(), b.Rehearsal || r.Factor > 1
	switch {
	case open != nil && open.State != rollout.RollbackRecovering:
		return audit.Entry{}, tx.rollbackIsOpen(*open)
	case open != nil: // toggles are to be as they were before the first
		b.Toggles = open.Toggles
		if err := tx.abandonRollback(*open, "another rollback took its place"); err != nil {
			return audit.Entry{}, err
		}
	default:
		// What a signal has switched off meanwhile was on.
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT coalesce((SELECT value FROM settings_revisions WHERE key = 'toggles' AND actor NOT LIKE 'alert/signal-%' AND actor <> 'rollback'
			ORDER BY revision DESC LIMIT 1), '{"dispatch":true}')`).Scan(&b.Toggles); err != nil {
			return audit.Entry{}, err
		}
	}
	_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO rollbacks (id, rollout, phase, signal, alert_id, ordered_by, actor, reason, redemptions_off, rehearsal, toggles, incident_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, b.ID, b.Rollout, b.Phase, b.Signal, b.AlertID, b.OrderedBy, b.Actor, b.Reason, b.RedemptionsOff, b.Rehearsal,
		b.Toggles, b.IncidentID)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "rollbacks_one" {
		return audit.Entry{}, domain.E(domain.Conflict, rollout.RollbackOpen, "a rollback is open: only one is, at a time")
	}
	if err == nil {
		err = tx.addSteps(b.ID, 1, rollout.RollbackSteps(b.RedemptionsOff))
	}
	if err == nil {
		_, err = tx.send(KindRollbackChanged, b.target(), RollbackChanged{RollbackID: b.ID})
	}
	return audit.Entry{Action: "rollout.rollback_ordered", Target: b.target(), Reason: b.Reason, Diff: map[string]any{"rollout": b.Rollout, "phase": b.Phase, "signal": b.Signal,
		"alert_id": b.AlertID, "redemptions_off": b.RedemptionsOff, "rehearsal": b.Rehearsal}}, wrap(err, "order rollback")
}

func (tx *Tx) rollbackIsOpen(b Rollback) error {
	return domain.E(domain.Conflict, rollout.RollbackOpen, "a rollback is open (%s, by %s): only one is, at a time", b.State, b.Actor)
}

// addSteps adds steps that are to be taken, those for people without a time.
func (tx *Tx) addSteps(id uuid.UUID, from int, steps []rollout.RollbackStep) error {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO rollback_steps (rollback_id, step, position, due_at) SELECT $1, s, $2 + n - 1, CASE WHEN s <> ALL ($4) THEN clock_timestamp() END
		FROM unnest($3::text[]) WITH ORDINALITY AS x (s, n)`, id, from, steps,
		[]rollout.RollbackStep{rollout.SmokePassed, rollout.SignedOff, rollout.LegacyOff, rollout.Announced})
	return wrap(err, "add steps")
}

// abandonRollback ends a rollback that nobody recovered from.
func (tx *Tx) abandonRollback(b Rollback, why string) error {
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollbacks SET state = 'abandoned' WHERE id = $1`, b.ID); err != nil {
		return err
	}
	if err := tx.closeRequest(rollbackSubject(b.ID), "over"); err != nil {
		return err
	}
	if _, err := tx.send(KindRollbackChanged, b.target(), RollbackChanged{RollbackID: b.ID}); err != nil {
		return err
	}
	return tx.enter(audit.Entry{Action: "rollout.rollback_abandoned", Target: b.target(), Reason: why, Diff: map[string]any{"state": b.State}})
}

// setToggles makes a revision of the toggles as they are with a change, by Lastcall itself, and tells everything at work. It reports
// whether that was another value.
func (tx *Tx) setToggles(s *Store, reason string, change func(*policy.Toggles)) (bool, error) {
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtext('settings_revisions'))`); err != nil {
		return false, err
	}
	var newest int64
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(max(revision), 0) FROM settings_revisions`).Scan(&newest); err != nil {
		return false, err
	}
	set, err := s.settingsAt(tx.ctx, tx.pgx, newest)
	if err != nil {
		return false, err
	}
	before, was := valueOf(set, "toggles"), set.Toggles
	if change(&set.Toggles); set.Toggles == was {
		return false, nil
	}
	rev := SettingsRevision{Key: "toggles", Value: valueOf(set, "toggles"), Actor: audit.ActorFrom(tx.ctx).Name, Reason: short(reason)}
	if err := tx.orm.Omit("CreatedAt").Create(&rev).Error; err != nil {
		return false, err
	}
	if set.Toggles.Dispatch != was.Dispatch {
		_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO outbox (kind, key, payload)
			SELECT $1, 'campaign/' || id, jsonb_build_object('campaign_id', id, 'revision', $2::bigint, 'resend', resend) FROM campaigns
			WHERE status NOT IN ('draft', 'done', 'stopped', 'failed')`, KindSettingsChanged, rev.Revision)
		if err == nil {
			err = tx.wakeSends("true")
		}
		if err != nil {
			return false, err
		}
	}
	return true, tx.enter(audit.Entry{Action: "settings.changed", Target: "settings/toggles", Reason: rev.Reason, Revision: rev.Revision,
		Diff: map[string]json.RawMessage{"before": before, "after": rev.Value}})
}

// rolledBack makes sure that toggles which somebody saves undo no rollback: they are as they were once somebody asked to recover.
func (tx *Tx) rolledBack(value []byte) error {
	open, err := openRollback(tx.ctx, tx.pgx)
	if err != nil || open == nil || open.State == rollout.RollbackRecovering {
		return err
	}
	t, err := policy.ParseToggles(value)
	if err == nil && (t.Dispatch || open.RedemptionsOff && t.StationRedeem) {
		err = domain.E(domain.Conflict, rollout.RollbackToggles, "the rollout is rolled back: what it switched off stays off until somebody asks to recover").About("dispatch")
	}
	return err
}

// burning is what keeps every gate shut: signals that hold, and a rollback that is open.
func (s *Store) burning(ctx context.Context, db querier, r Rollout) ([]rollout.Open, error) {
	var found []rollout.Open
	if r.Phase.Watched() {
		all, err := s.signals(ctx, db, r)
		if err != nil {
			return nil, err
		}
		for _, v := range all {
			if v.open() {
				found = append(found, rollout.Open{Item: v.Name, Code: "signal", Why: fmt.Sprintf("the signal %s: %s", map[bool]string{true: "has tripped", false: "burns"}[v.State == rollout.SignalTripped], v.Title)})
			}
		}
	}
	b, err := openRollback(ctx, db)
	if err != nil || b == nil {
		return found, err
	}
	return append(found, rollout.Open{Item: "rollback", Code: "rollback", Why: fmt.Sprintf("a rollback is open since %s: it is %s", b.StartedAt.UTC().Format("2 Jan 15:04 UTC"), b.State)}), nil
}
