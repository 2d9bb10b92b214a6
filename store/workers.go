package store

import (
	"context"
	"time"
)

// Worker is a process that dispatches, by its own word.
type Worker struct {
	Name          string `gorm:"primaryKey"`
	StartedAt     time.Time
	SeenAt        time.Time
	PollsDispatch bool // it takes work from the queue of dispatch
}

// WorkerSilent is how long a worker may say nothing before it counts as gone.
const WorkerSilent = 6 * time.Second

// Beat says that the worker is there, and whether it polls the queue of dispatch; it forgets those silent for an hour.
func (s *Store) Beat(ctx context.Context, name string, polls bool) error {
	_, err := s.pool.Exec(ctx, `WITH gone AS (DELETE FROM workers WHERE seen_at < clock_timestamp() - interval '1 hour' AND name <> $1)
		INSERT INTO workers (name, polls_dispatch) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET seen_at = clock_timestamp(), polls_dispatch = $2`, name, polls)
	return unavailable(err)
}

// Leave says that the worker has stopped.
func (s *Store) Leave(ctx context.Context, name string) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM workers WHERE name = $1`, name)
	return unavailable(err)
}

// Workers counts the workers that are there and dispatch.
func (s *Store) Workers(ctx context.Context) (n int, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM workers WHERE polls_dispatch AND seen_at > clock_timestamp() - $1::interval`, WorkerSilent).Scan(&n)
	return n, unavailable(err)
}
