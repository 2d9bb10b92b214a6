package store

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
)

// Abandoned is how old a target that is being sent may become. Nobody who is alive holds one for so long: a send
// starts within StartWithin, its call ends within 10 s, and its result is given up after a minute without a database.
const Abandoned = 90 * time.Second

// Sweeper finds what nobody looks after any more, which happens when somebody terminates a workflow in Temporal, or
// Temporal loses it: targets in the middle of being sent become unknown, and campaigns without a workflow need a
// human. It repairs neither by guess. Any number may run.
type Sweeper struct {
	Store *Store
	Open  func(ctx context.Context, id uuid.UUID, resend int) (bool, error) // whether that workflow of the campaign is open
	Drill func(ctx context.Context, id uuid.UUID) (bool, error)             // whether the workflow of the drill is open
	Log   *slog.Logger
	Every time.Duration // 0: 30 s
}

// Run sweeps until ctx is over.
func (w *Sweeper) Run(ctx context.Context) {
	for range repeatedly(ctx, cmp.Or(w.Every, 30*time.Second), false) {
		if err := w.Sweep(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("cannot look for what nobody looks after", "error", err)
		}
	}
}

// Sweep looks once.
func (w *Sweeper) Sweep(ctx context.Context) error {
	ctx = audit.WithActor(ctx, audit.System("sweeper"))
	lost, err := w.Store.sweepTargets(ctx, Abandoned)
	if lost > 0 {
		w.Log.Warn("outcomes unknown: nobody tells how these sends ended", "targets", lost)
	}
	if err != nil {
		return err
	}
	if lost, err = w.Store.sweepSends(ctx, Abandoned); lost > 0 {
		w.Log.Warn("outcomes unknown: nobody tells how these single sends ended", "sends", lost)
	}
	if err != nil {
		return err
	}
	if lost, err := w.Store.SweepDrills(ctx, w.Drill); err != nil {
		return err
	} else if lost > 0 {
		w.Log.Warn("a drill's workflow is gone; its fault is gone, too", "drills", lost)
	}
	if lost, err := w.Store.sweepRollbacks(ctx, rollbackLate); err != nil {
		return err
	} else if lost > 0 {
		w.Log.Warn("a rollback does not go on; its workflow is told, or begun anew", "rollbacks", lost)
	}
	working, err := w.Store.working(ctx)
	if err != nil {
		return err
	}
	for _, c := range working {
		open, err := w.Open(ctx, c.ID, c.Resend)
		if err != nil {
			return err // Temporal is away: nobody knows about the others either
		}
		if open != (c.NeedsHuman == workflowGone(c.ID)) {
			continue
		}
		told, err := w.Store.tellGone(ctx, c, open)
		if err != nil {
			return err
		}
		if told {
			w.Log.Warn("a campaign's workflow is gone or back", "campaign", c.ID, "resend", c.Resend, "open", open)
		}
	}
	return nil
}

// sweepTargets marks targets as unknown that have been in the middle of being sent for longer than anybody takes.
func (s *Store) sweepTargets(ctx context.Context, than time.Duration) (lost int64, err error) {
	rows, err := s.pool.Query(ctx, `SELECT DISTINCT campaign_id FROM cohorts WHERE sending > 0`)
	if err != nil {
		return 0, unavailable(err)
	}
	campaigns, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return 0, unavailable(err)
	}
	for _, id := range campaigns {
		var n int64
		err := s.inTx(ctx, func(tx *Tx) error {
			n, err = tx.leftBehind(id, `id IN (SELECT id FROM targets WHERE campaign_id = $1 AND state = 'sending'
				AND id BETWEEN (SELECT min(first_id) FROM lanes WHERE campaign_id = $1) AND (SELECT max(last_id) FROM lanes WHERE campaign_id = $1)
				AND sending_at < clock_timestamp() - $2::interval ORDER BY id FOR UPDATE SKIP LOCKED)`, than)
			return err
		})
		if err != nil {
			return lost, err
		}
		lost += n
	}
	return lost, nil
}

// working lists the campaigns that a workflow should look after.
func (s *Store) working(ctx context.Context) ([]Campaign, error) {
	var all []Campaign
	err := s.orm.WithContext(ctx).Select("id", "resend", "needs_human").Order("id").
		Where("status NOT IN ('draft', 'done', 'stopped', 'failed')").Find(&all).Error
	return all, unavailable(err)
}

// workflowGone is what a human must mend about a campaign without a workflow.
func workflowGone(id uuid.UUID) string {
	return fmt.Sprintf("its workflow is gone from Temporal, so nothing goes on; restart it: lastcall campaigns recover %s", id)
}

// tellGone marks a campaign as in need of a human and tells Ops, or takes the mark back, unless the campaign has
// moved since it was looked at or a message to it is still on its way: that may be the very one that starts the
// workflow.
func (s *Store) tellGone(ctx context.Context, seen Campaign, open bool) (told bool, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		told = false
		c, err := tx.lockCampaign(seen.ID)
		if err != nil || !c.Status.Active() || c.Resend != seen.Resend || c.NeedsHuman != seen.NeedsHuman {
			return err
		}
		if pending, err := tx.pending(c.ID); err != nil || pending {
			return err
		}
		human, action := workflowGone(c.ID), "campaign.workflow_gone"
		if open {
			human, action = "", "campaign.workflow_back"
		}
		if err := tx.change(c.ID, map[string]any{"needs_human": human}); err != nil {
			return err
		}
		if !open {
			if _, err := tx.send(KindOpsNotice, target(c.ID)+"/ops", OpsNotice{Title: "Campaign without a workflow: " + c.Name, Text: human, Level: "critical"}); err != nil {
				return err
			}
		}
		told = true
		return tx.enter(audit.Entry{Action: action, Target: target(c.ID), Diff: map[string]any{"status": c.Status, "resend": c.Resend}})
	})
	return told, err
}
