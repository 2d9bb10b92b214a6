package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/probe"
)

// Redemptions that fail on purpose, and attempts that redeem nothing: what probes and drills know of redemptions.

// RedemptionStruck notes a redemption that fails of a fault, as well as it can, and returns what its station is told: what it
// would be told were the fault real. It is a drill's, in no figure and no signal.
func (s *Store) RedemptionStruck(ctx context.Context, r Redemption, f probe.Fault) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = s.inTx(ctx, func(tx *Tx) error { // the answer is the same
		_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO redemption_refusals (kind, code, station_id, device_id, is_drill, fault_id) VALUES ('system', $1, $2, $3, true, $4)`,
			RedemptionsDown, r.By.StationID, r.By.DeviceID, f.ID)
		return err
	})
	return domain.E(domain.Unavailable, RedemptionsDown, "vouchers cannot be redeemed just now; try again")
}

// RedemptionsDown is the code of a redemption that fails of a fault.
const RedemptionsDown = "redemptions_down"

// TryRedemption asks the database for all that a redemption asks it for, of a voucher that there is not, so that nothing is
// redeemed and nothing written. It fails when a redemption would.
func (s *Store) TryRedemption(ctx context.Context) error {
	none := uuid.Must(uuid.NewV7())
	a := attempt{store: s, Redemption: Redemption{By: StationSession{StationID: none, DeviceID: none, OperatorID: none}, Voucher: none, Key: none.String(),
		RequestHash: make([]byte, 32)}}
	if _, err := a.lookUp(ctx, s.pool, `v.id = $1`, none); !errors.Is(err, pgx.ErrNoRows) {
		return unavailable(err)
	}
	var err error
	if a.set, err = s.Settings(ctx); err != nil {
		return err
	}
	a.found = &found{Voucher: Voucher{ID: none}}
	_, err = a.take(ctx, s.pool)
	return unavailable(err)
}

// NoteDrillAttempt keeps what became of a redemption that a drill tried; "": it went well.
func (s *Store) NoteDrillAttempt(ctx context.Context, drill uuid.UUID, failed string) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO drill_attempts (drill_id, failed) VALUES ($1, $2)`, drill, failed)
	return unavailable(err)
}

// DrilledRedemptions is the subject of what a fault makes of redemptions, apart from what is real.
const DrilledRedemptions = "drill"

// drilledRedemptions measures what the last fault before redemptions makes of them: of what the drill tries, and of what
// stations do meanwhile. Once it is over, what it was says nothing any more; none for three hours: no sample.
func drilledRedemptions(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	var id uuid.UUID
	var drill *uuid.UUID
	var began, end time.Time
	err := s.pool.QueryRow(ctx, `SELECT id, drill_id, created_at, coalesce(ended_at, expires_at) FROM faults
		WHERE edge_function = $1 AND created_at > $2::timestamptz - interval '3 hours' ORDER BY created_at DESC LIMIT 1`, probe.Redemptions, now).Scan(&id, &drill, &began, &end)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	one := alert.Sample{Subject: DrilledRedemptions, DrillID: "trial", Known: true, Detail: "the fault before redemptions is over"}
	if drill != nil {
		one.DrillID = drill.String()
	}
	if !now.Before(end) {
		return []alert.Sample{one}, nil
	}
	var tried, failed, struck, redeemed int64
	err = s.pool.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE failed <> ''),
			(SELECT count(*) FROM redemption_refusals WHERE at > $2 AND kind = 'system' AND NOT mock AND fault_id = $1),
			(SELECT count(*) FROM redemptions WHERE created_at > $2)
		FROM drill_attempts WHERE drill_id = $1 AND at > $2`, id, later(began, now.Add(-alert.Window))).Scan(&tried, &failed, &struck, &redeemed)
	measured := share(failed+struck, tried+struck+redeemed, "redemptions failed of the fault")
	one.Value, one.N, one.Known, one.Detail = measured.Value, measured.N, measured.Known, measured.Detail+fmt.Sprintf(", %d of them the drill's own", tried)
	return []alert.Sample{one}, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
