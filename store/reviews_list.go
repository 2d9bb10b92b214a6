package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/kpi"
	"lastcall/domain/review"
	"lastcall/domain/rollout"
)

// DailyReview is the review of one day of a rollout, as whoever acts sees it.
type DailyReview struct {
	ID         uuid.UUID
	Rollout    string
	Phase      rollout.Phase
	Day        string
	DueAt      time.Time
	RemindAt   time.Time
	From, To   time.Time // what it is about
	OpenedAt   time.Time
	RemindedAt *time.Time
	SignedAt   *time.Time
	SignedBy   *Party
	Role       access.Role // in which they signed
	Notes      string
	Digest     []byte // of the snapshot: whoever signs sends it back
	Snapshot   *ReviewSnapshot
	Refusal    error // why whoever looks may not sign it; nil: they may
}

// ReviewSnapshot is how it stood when a review opened. It stays so: it is what is signed.
type ReviewSnapshot struct {
	KPIs     kpi.Snapshot      `json:"kpis" doc:"The dashboard's figures when it opened"`
	Blocks   []kpi.FigurePart  `json:"blocks" doc:"What the policy held back on the day, by reason, most first"`
	Failures []ReviewFailure   `json:"failures" doc:"Messages that failed on the day, most first"`
	Audit    []ReviewHighlight `json:"audit" doc:"What stands out in the day's audit log, by action"`
}

// ReviewFailure is messages that failed for one reason.
type ReviewFailure struct {
	Reason    string `json:"reason"`
	ErrorCode int    `json:"error_code,omitempty" doc:"The provider's; absent: none"`
	N         int64  `json:"n"`
}

// ReviewHighlight is entries of the audit log of one action.
type ReviewHighlight struct {
	Action string `json:"action"`
	N      int64  `json:"n"`
}

// reviewActions are what stands out in the audit log: what was refused, what changes the rules, who may do what, what was
// looked at or taken out, and what went wrong.
const reviewActions = `action LIKE '%refused' OR action IN ('settings.changed', 'rollout.guardrail', 'station.code_entry_locked', 'sign_in.locked_out', 'integration_probe_failed',
	'number.revealed', 'voucher.revealed', 'contacts.exported', 'voucher.exported', 'failures.exported', 'audit.exported', 'contact.erased', 'channel.suspended', 'channel.resumed',
	'alert.fired', 'incident.opened', 'payments.confirmed', 'account.added', 'account.role_changed', 'account.disabled', 'override.approved', 'voucher.voided',
	'campaign.started', 'campaign.resent', 'campaign.recovered', 'opt_out.removed', 'fault.injected', 'drill.started')`

// reviewSnapshot reads how a day went. Every figure is read by its index in time: a million targets cost no more than a
// thousand.
func (s *Store) reviewSnapshot(ctx context.Context, day review.Day, zone *time.Location) (r ReviewSnapshot, err error) {
	if r.KPIs, err = s.KPIs(ctx, day.Opens, zone); err != nil {
		return r, err
	}
	r.KPIs.Needs, r.KPIs.Days = []kpi.Need{}, []kpi.Day{} // of today, and of thirty days: the dashboard has them
	blocks, err := s.blocks(ctx, kpi.Window{From: day.From, To: day.To})
	if err != nil {
		return r, unavailable(err)
	}
	r.Blocks = append([]kpi.FigurePart{}, blocks[0].Parts...)
	// Failed targets lie by campaign; those of campaigns that were at work on the day are looked at. Single messages lie by state.
	rows, err := s.pool.Query(ctx, `SELECT reason, code, sum(n)::bigint FROM (
			SELECT f.* FROM campaigns c, LATERAL (SELECT coalesce(t.reason, '') AS reason, coalesce(t.error_code, 0) AS code, count(*) AS n FROM targets t
				WHERE t.campaign_id = c.id AND t.ended = 'failed' AND t.ended_at >= $1 AND t.ended_at < $2 GROUP BY 1, 2) f
			WHERE c.started_at < $2 AND (c.finished_at IS NULL OR c.finished_at >= $1) AND NOT c.is_drill
			UNION ALL SELECT coalesce(reason, ''), coalesce(error_code, 0), count(*) FROM sends WHERE state = 'failed' AND NOT is_drill AND ended_at >= $1 AND ended_at < $2 GROUP BY 1, 2) f
		GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 20`, day.From, day.To)
	if err != nil {
		return r, unavailable(err)
	}
	if r.Failures, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ReviewFailure]); err != nil {
		return r, unavailable(err)
	}
	// The actions that there are take one look each into their index, and so does each that stands out.
	rows, err = s.pool.Query(ctx, `WITH RECURSIVE known AS (
			(SELECT action FROM audit_log ORDER BY action LIMIT 1)
			UNION ALL SELECT (SELECT l.action FROM audit_log l WHERE l.action > k.action ORDER BY l.action LIMIT 1) FROM known k WHERE k.action IS NOT NULL)
		SELECT k.action, n FROM known k, LATERAL (SELECT count(*) AS n FROM audit_log l WHERE l.action = k.action AND l.created_at >= $1 AND l.created_at < $2) c
		WHERE k.action IS NOT NULL AND n > 0 AND (`+reviewActions+`) ORDER BY n DESC, k.action`, day.From, day.To)
	if err != nil {
		return r, unavailable(err)
	}
	r.Audit, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ReviewHighlight])
	return r, unavailable(err)
}

const reviewColumns = `v.id, v.rollout, v.phase, v.day, v.due_at, v.remind_at, v.from_at, v.to_at, v.opened_at, v.reminded_at, v.signed_at, v.digest,
	p.id, p.email, p.name, p.role, p.disabled_at IS NOT NULL, d.actor_role, d.reason, r.opened_by, r.ended_at IS NULL AND r.phase_since = v.phase_since
	FROM daily_reviews v JOIN rollouts r ON r.name = v.rollout LEFT JOIN approvals d ON d.id = v.approval_id LEFT JOIN accounts p ON p.id = d.actor_id`

// ReviewFilter says which reviews are wanted; what is zero does not matter.
type ReviewFilter struct {
	Rollout string
	Open    bool // only those that nobody has signed
}

// Reviews lists reviews without their snapshots, newest first, those older than `before` (uuid.Nil: from the newest), as
// whoever acts sees them.
func (s *Store) Reviews(ctx context.Context, f ReviewFilter, before uuid.UUID, limit int) (all []DailyReview, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		all, err = tx.reviews(`($1 = '' OR v.rollout = $1) AND (NOT $2 OR v.signed_at IS NULL) AND ($3 = '00000000-0000-0000-0000-000000000000'::uuid OR v.id < $3)
			ORDER BY v.id DESC LIMIT $4`, f.Rollout, f.Open, before, page(limit))
		return err
	})
	return all, err
}

// Review returns one with its snapshot; domain.NotFound.
func (s *Store) Review(ctx context.Context, id uuid.UUID) (v DailyReview, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		all, err := tx.reviews(`v.id = $1`, id)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return notFound(pgx.ErrNoRows, "review", id)
		}
		v = all[0]
		v.Snapshot = &ReviewSnapshot{}
		return tx.pgx.QueryRow(tx.ctx, `SELECT snapshot FROM daily_reviews WHERE id = $1`, id).Scan(v.Snapshot)
	})
	return v, err
}

func (tx *Tx) reviews(where string, args ...any) ([]DailyReview, error) {
	who, me := tx.actingAccount(false)
	if me == nil && audit.ActorFrom(tx.ctx).Token != "" {
		me = errToken
	}
	rows, err := tx.pgx.Query(tx.ctx, `SELECT `+reviewColumns+` WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v DailyReview, err error) {
		var by struct {
			id          *uuid.UUID
			email, name *string
			role        *access.Role
			disabled    *bool
		}
		var role *access.Role
		var notes *string
		var opener uuid.UUID
		var now bool
		if err := row.Scan(&v.ID, &v.Rollout, &v.Phase, &v.Day, &v.DueAt, &v.RemindAt, &v.From, &v.To, &v.OpenedAt, &v.RemindedAt, &v.SignedAt, &v.Digest,
			&by.id, &by.email, &by.name, &by.role, &by.disabled, &role, &notes, &opener, &now); err != nil {
			return v, err
		}
		if by.id != nil {
			v.SignedBy = &Party{ID: *by.id, Email: *by.email, Name: *by.name, Role: *by.role, Disabled: *by.disabled}
			v.Role, v.Notes = *role, *notes
		}
		switch {
		case me != nil:
			v.Refusal = me
		case v.SignedAt != nil:
			v.Refusal = refusal(review.Signed, "somebody has signed it")
		case !now:
			v.Refusal = refusal(rollout.WrongPhase, "its phase is over")
		case who.ID == opener:
			v.Refusal = refusal(approval.Own, "whoever opened the phase signs nothing in it")
		default:
			v.Refusal = who.MayDecide(access.ReviewsSign, nil, nil)
		}
		return v, nil
	})
}
