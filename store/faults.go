package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/probe"
)

// NewFault is a fault to be put in the way of an edge function.
type NewFault struct {
	ID     uuid.UUID // uuid.Nil: a new one; the same twice is the same fault
	Name   probe.Name
	Kind   probe.FaultKind
	Share  float64 // of the calls; 0: all
	Delay  time.Duration
	For    time.Duration // then it ends by itself, whatever else has died
	Drill  *uuid.UUID    // the drill that it belongs to; nil: somebody's own trial
	Reason string
}

// Fault is one that was injected.
type Fault struct {
	ID           uuid.UUID
	EdgeFunction probe.Name
	Kind         probe.FaultKind
	Share        float64
	DelayMS      *int64
	DrillID      *uuid.UUID
	Reason       string
	Actor        string
	CreatedAt    time.Time
	ExpiresAt    time.Time
	EndedAt      *time.Time // switched off before its expiry
	Open         bool       // it is in the way now
}

const faultColumns = `id, edge_function, kind, share::float8, delay_ms, drill_id, reason, actor, created_at, expires_at, ended_at,
	ended_at IS NULL AND expires_at > clock_timestamp()`

// InjectFault puts a fault in the way. One for an edge function that has one is domain.Conflict of code fault_there; one
// where messages go to people is domain.Forbidden of code faults_in_production. What is wrong with it is domain.Invalid.
// Refusals are in the audit log.
func (s *Store) InjectFault(ctx context.Context, n NewFault) (f Fault, err error) {
	if n.Share == 0 {
		n.Share = 1
	}
	if err := (probe.Fault{Name: n.Name, Kind: n.Kind, Share: n.Share, Delay: n.Delay}).Check(n.For); err != nil {
		return f, err
	}
	if n.Reason == "" || len([]rune(n.Reason)) > 500 {
		return f, domain.E(domain.Invalid, "reason_needed", "say why, in 500 characters at most").About("reason")
	}
	if n.ID == uuid.Nil {
		n.ID = uuid.Must(uuid.NewV7())
	}
	err = s.mayFail(ctx, n.Drill)
	if err == nil {
		f, err = s.injectFault(ctx, n)
	}
	if kind := domain.KindOf(err); kind == domain.Forbidden || kind == domain.Conflict {
		return f, errors.Join(err, s.Enter(ctx, audit.Entry{Action: "fault.refused", Target: "edge_function/" + string(n.Name), Reason: n.Reason,
			Diff: map[string]any{"code": domain.CodeOf(err), "kind": n.Kind}}))
	}
	return f, err
}

// mayFail refuses faults where messages go to people, but for those of a drill whose override is active.
func (s *Store) mayFail(ctx context.Context, drill *uuid.UUID) error {
	if s.sandbox {
		return nil
	}
	if drill != nil {
		var let bool
		err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM drills d JOIN overrides o ON o.id = d.override_id
			WHERE d.id = $1 AND d.ended_at IS NULL AND o.state = 'active' AND o.ends_at > clock_timestamp())`, *drill).Scan(&let)
		if err != nil || let {
			return unavailable(err)
		}
	}
	return domain.E(domain.Forbidden, "faults_in_production", "messages go to people here: faults are for the sandbox only")
}

func (s *Store) injectFault(ctx context.Context, n NewFault) (f Fault, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.lockEdgeFunction(n.Name); err != nil {
			return audit.Entry{}, err
		}
		rows, err := tx.pgx.Query(tx.ctx, `SELECT `+faultColumns+` FROM faults WHERE id = $2 OR edge_function = $1 AND ended_at IS NULL AND expires_at > clock_timestamp()
			ORDER BY id = $2 DESC LIMIT 1`, n.Name, n.ID)
		if err != nil {
			return audit.Entry{}, err
		}
		there, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Fault])
		if err != nil {
			return audit.Entry{}, err
		}
		if len(there) > 0 && there[0].ID == n.ID {
			f = there[0]
			return audit.Entry{}, errRepeated
		}
		if len(there) > 0 {
			return audit.Entry{}, domain.E(domain.Conflict, "fault_there", "%s has a fault already: switch that off first", n.Name)
		}
		var delay *int64
		if n.Delay > 0 {
			ms := n.Delay.Milliseconds()
			delay = &ms
		}
		who := audit.ActorFrom(ctx)
		rows, err = tx.pgx.Query(tx.ctx, `INSERT INTO faults (id, edge_function, kind, share, delay_ms, drill_id, reason, actor_kind, actor_id, actor, created_at, expires_at)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, t, t + $11::interval FROM clock_timestamp() t RETURNING `+faultColumns,
			n.ID, n.Name, n.Kind, n.Share, delay, n.Drill, n.Reason, who.Kind, who.ID, who.EntryName(), n.For)
		if err == nil {
			f, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Fault])
		}
		return audit.Entry{Action: "fault.injected", Target: "edge_function/" + string(n.Name), Reason: n.Reason, Diff: map[string]any{
			"fault": n.ID, "kind": n.Kind, "share": n.Share, "delay_ms": delay, "expires_at": f.ExpiresAt, "drill": n.Drill}}, err
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return f, err
}

// EndFault switches a fault off. One that has ended stays as it is. It fails with domain.NotFound for an unknown one.
func (s *Store) EndFault(ctx context.Context, id uuid.UUID, reason string) (f Fault, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		rows, err := tx.pgx.Query(tx.ctx, `UPDATE faults SET ended_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL
			AND expires_at > clock_timestamp() RETURNING `+faultColumns, id)
		if err == nil {
			f, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Fault])
		}
		if errors.Is(err, pgx.ErrNoRows) {
			return audit.Entry{}, errRepeated
		}
		return audit.Entry{Action: "fault.ended", Target: "edge_function/" + string(f.EdgeFunction), Reason: reason,
			Diff: map[string]any{"fault": id, "kind": f.Kind}}, err
	})
	if errors.Is(err, errRepeated) {
		return s.fault(ctx, id)
	}
	return f, err
}

func (s *Store) fault(ctx context.Context, id uuid.UUID) (f Fault, err error) {
	rows, err := s.pool.Query(ctx, `SELECT `+faultColumns+` FROM faults WHERE id = $1`, id)
	if err == nil {
		f, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Fault])
	}
	if err != nil {
		return f, notFound(err, "fault", id)
	}
	return f, nil
}

// Faults lists faults, newest first, those before the given one (uuid.Nil: the newest) on.
func (s *Store) Faults(ctx context.Context, before uuid.UUID, limit int) ([]Fault, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+faultColumns+` FROM faults WHERE $1::uuid = $3::uuid OR (created_at, id) < (SELECT created_at, id FROM faults WHERE id = $1)
		ORDER BY created_at DESC, id DESC LIMIT $2`, before, page(limit), uuid.Nil)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Fault])
	return all, unavailable(err)
}

// OpenFaults lists the faults that are in the way now.
func (s *Store) OpenFaults(ctx context.Context) ([]Fault, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+faultColumns+` FROM faults WHERE ended_at IS NULL AND expires_at > clock_timestamp() ORDER BY edge_function`)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Fault])
	return all, unavailable(err)
}

// ActiveFaults is OpenFaults for the transport that makes calls fail.
func (s *Store) ActiveFaults(ctx context.Context) ([]probe.Fault, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, edge_function, kind, share::float8, coalesce(delay_ms, 0) * 1000000::bigint,
			(extract(epoch FROM expires_at - clock_timestamp()) * 1000000000)::bigint
		FROM faults WHERE ended_at IS NULL AND expires_at > clock_timestamp()`)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[probe.Fault])
	return all, unavailable(err)
}
