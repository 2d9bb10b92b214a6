package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/contact"
	"lastcall/domain/delivery"
)

// FailedTarget is a target that failed.
type FailedTarget struct {
	ID         int64
	Cohort     int16
	MSISDN     contact.MSISDN
	Reason     string
	ErrorCode  int // the provider's, 0 for none
	Attempt    int
	ProviderID string     // "" if the provider never took it
	SentAt     *time.Time // nil if the provider never took it
	FailedAt   *time.Time
}

// FailedTargets lists the failed targets of a campaign, without those whose person was erased, that come after the given one (the zero value: all), by
// cohort and in each in the order of the file. However many there are, a page costs the same.
func (s *Store) FailedTargets(ctx context.Context, id uuid.UUID, after FailedTarget, limit int) ([]FailedTarget, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, cohort, msisdn, coalesce(reason, ''), coalesce(error_code, 0), attempt,
			coalesce(provider_id, ''), sent_at, ended_at FROM targets
		WHERE campaign_id = $1 AND ended = 'failed' AND msisdn LIKE '+%' AND (cohort, id) > ($2, $3) ORDER BY cohort, id LIMIT $4`,
		id, after.Cohort, after.ID, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f FailedTarget, err error) {
		return f, row.Scan(&f.ID, &f.Cohort, &f.MSISDN, &f.Reason, &f.ErrorCode, &f.Attempt, &f.ProviderID, &f.SentAt, &f.FailedAt)
	})
	return all, unavailable(err)
}

// Failures counts a campaign's failed targets by reason and code, most first, each with what to do about it.
func (s *Store) Failures(ctx context.Context, id uuid.UUID) ([]Failures, error) {
	if _, err := s.Campaign(ctx, id); err != nil {
		return nil, err
	}
	all, err := failures(ctx, s.pool, id)
	return all, unavailable(err)
}

func failures(ctx context.Context, db querier, id uuid.UUID) ([]Failures, error) {
	rows, err := db.Query(ctx, `SELECT coalesce(reason, ''), coalesce(error_code, 0), count(*) FROM targets
		WHERE campaign_id = $1 AND ended = 'failed' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`, id)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Failures, err error) {
		err = row.Scan(&f.Reason, &f.ErrorCode, &f.Targets)
		f.Diagnosis = delivery.Diagnose(f.Reason, f.ErrorCode)
		return f, err
	})
	if all == nil {
		all = []Failures{}
	}
	return all, err
}
