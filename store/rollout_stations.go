package store

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

// EnrolStation lets a station take part in the rollout. It fails with domain.Conflict of code phase_guardrail when that
// would be one station, or one bar, too many by the pilot's guardrails.
func (s *Store) EnrolStation(ctx context.Context, station uuid.UUID) error {
	var r Rollout
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		if r, err = tx.lockRollout(); err != nil {
			return audit.Entry{}, err
		}
		t, err := tx.station(station)
		if err != nil {
			return audit.Entry{}, err
		}
		there, err := tx.takingPart(r.Name)
		if err != nil {
			return audit.Entry{}, err
		}
		if slices.ContainsFunc(there, func(e RolloutStation) bool { return e.ID == station }) {
			return audit.Entry{}, errRepeated
		}
		var bar string
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT code FROM bars WHERE id = $1`, t.BarID).Scan(&bar); err != nil {
			return audit.Entry{}, err
		}
		bars := map[string]bool{bar: true}
		for _, e := range there {
			bars[e.Bar] = true
		}
		g := guard{r.Name, r.Phase, r.pilots()}
		if g.Stations > 0 && len(there) >= g.Stations {
			return audit.Entry{}, g.refuse(GuardrailFacts{Guardrail: "stations", Limit: g.Stations, Would: int64(len(there) + 1), Target: t.target()},
				"%d stations take part at most, and there are %d", g.Stations, len(there))
		}
		if g.Bars > 0 && len(bars) > g.Bars {
			return audit.Entry{}, g.refuse(GuardrailFacts{Guardrail: "bars", Limit: g.Bars, Would: int64(len(bars)), Target: t.target()}, "%d bars take part at most", g.Bars)
		}
		_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO rollout_stations (rollout, station_id, enrolled_by) VALUES ($1, $2, $3)`, r.Name, station, who.ID)
		return audit.Entry{Action: "rollout.station_enrolled", Target: r.target(), Diff: map[string]any{"station_id": station, "code": t.Code}}, err
	})
	if errors.Is(err, errRepeated) {
		return nil
	}
	return s.refuseRollout(ctx, "rollout", err)
}

// WithdrawStation takes a station out of the rollout: nothing is redeemed there from the commit on while only some take part.
func (s *Store) WithdrawStation(ctx context.Context, station uuid.UUID) error {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		r, err := tx.lockRollout()
		if err != nil {
			return audit.Entry{}, err
		}
		gone, err := tx.pgx.Exec(tx.ctx, `DELETE FROM rollout_stations WHERE rollout = $1 AND station_id = $2`, r.Name, station)
		if err == nil && gone.RowsAffected() == 0 {
			err = domain.E(domain.NotFound, rollout.NoPart, "the station does not take part")
		}
		return audit.Entry{Action: "rollout.station_withdrawn", Target: r.target(), Diff: map[string]any{"station_id": station}}, err
	})
	return s.refuseRollout(ctx, "rollout", err)
}

// pilots are the guardrails that say how many may take part: those of the phase, or, before it, of the pilot.
func (r Rollout) pilots() rollout.Guardrails {
	if r.Phase == rollout.Staging {
		return r.Plan.Of(rollout.Pilot).Guardrails
	}
	return r.Plan.Of(r.Phase).Guardrails
}

// takingPart are the stations that take part in a rollout and are not deleted, by code.
func (tx *Tx) takingPart(name string) ([]RolloutStation, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT t.id, t.code, t.name, b.code, e.enrolled_at FROM rollout_stations e JOIN stations t ON t.id = e.station_id
		JOIN bars b ON b.id = t.bar_id WHERE e.rollout = $1 AND t.deleted_at IS NULL ORDER BY t.code`, name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[RolloutStation])
}

// ignoreNone is err unless it only says that there is no row.
func ignoreNone(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}
