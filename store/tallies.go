package store

import (
	"cmp"
	"context"
	"log/slog"
	"time"
)

// TallyFolder takes what triggers counted over into the tallies, so that figures stay as fast to read as they are exact. Any
// number may run; nothing but speed depends on it.
type TallyFolder struct {
	Store *Store
	Log   *slog.Logger
	Every time.Duration // 0: 10 s
}

// Run folds until ctx is over.
func (w *TallyFolder) Run(ctx context.Context) {
	for range repeatedly(ctx, cmp.Or(w.Every, 10*time.Second), true) {
		if _, err := w.Store.FoldTallies(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("the tallies cannot be folded now", "error", err)
		}
	}
}

// foldAtOnce is how many changes one transaction folds: some 100 ms.
const foldAtOnce = 20_000

// FoldTallies takes all changes over into the tallies and says how many there were; none, while another one does it.
func (s *Store) FoldTallies(ctx context.Context) (folded int, err error) {
	for {
		var n int
		if err := s.pool.QueryRow(ctx, `SELECT fold_tallies($1)`, foldAtOnce).Scan(&n); err != nil {
			return folded, unavailable(err)
		}
		if folded += n; n < foldAtOnce {
			return folded, nil
		}
	}
}

// sentSince is SQL: the campaigns c of which messages were sent in the quarter of an hour of the time or later, and not taken back.
const sentSince = `c.id IN (SELECT campaign_id FROM tallied WHERE quarter >= date_bin('15 minutes', %s::timestamptz, 'epoch') AND campaign_id IS NOT NULL
	GROUP BY campaign_id HAVING sum(sent) > 0)`
