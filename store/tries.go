package store

import "context"

// Tries counts how often sending to targets ended with these reasons so far, in the queue again each time: by
// target and reason. What happened before a target last failed, and was sent again by somebody, is over.
func (s *Store) Tries(ctx context.Context, targets []int64, reasons []string) (map[int64]map[string]int, error) {
	rows, err := s.pool.Query(ctx, `SELECT e.target_id, e.reason, count(*) FROM target_events e
		WHERE e.target_id = ANY ($1) AND e.kind = 'requeued' AND e.reason = ANY ($2)
		  AND NOT EXISTS (SELECT FROM target_events f WHERE f.target_id = e.target_id AND f.kind = 'failed' AND f.id > e.id)
		GROUP BY 1, 2`, targets, reasons)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	all := map[int64]map[string]int{}
	for rows.Next() {
		var target int64
		var reason string
		var n int
		if err := rows.Scan(&target, &reason, &n); err != nil {
			return nil, err
		}
		if all[target] == nil {
			all[target] = map[string]int{}
		}
		all[target][reason] = n
	}
	return all, unavailable(rows.Err())
}
