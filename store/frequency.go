package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/contact"
	"lastcall/domain/policy"
)

// cappedUntil is SQL: when a recipient q (msisdn) may have another marketing message, null for any time. The
// parameters are $1 now, $2 a day's limit, $3 a week's, each 0 for none.
//
// With a limit of n, the n-th newest message must be 24 hours, or a week, old. One that was granted a permit may
// have been received up to a second later, as in the permit ledger. Messages that may have been received count;
// failed ones and those that went back to the queue do not. Only campaigns that had a lane taken lately can
// have sent lately, so the look is one probe of the unique index a recipient and such campaign: an index by
// recipient would have to be kept by every send of every campaign, whether there is a cap or not. A batch ends
// well within an hour of taking its lane.
const cappedUntil = `(SELECT greatest(s.at[nullif($2::int, 0)] + interval '24 hours 1 second', s.at[nullif($3::int, 0)] + interval '168 hours 1 second') AS until
	FROM (SELECT array_agg(m.sending_at ORDER BY m.sending_at DESC) AS at FROM (
		SELECT m.sending_at FROM recent r, LATERAL (SELECT t.sending_at FROM targets t WHERE t.campaign_id = r.id AND t.msisdn = q.msisdn
			AND t.state IN ('sending', 'sent', 'delivered', 'read', 'unknown') OFFSET 0) m
		WHERE m.sending_at > r.since
		UNION ALL SELECT o.sending_at FROM sends o WHERE o.msisdn = q.msisdn AND o.marketing AND o.sending_at > $1::timestamptz - interval '168 hours 1 second'
			AND o.state IN ('sending', 'sent', 'delivered', 'read', 'unknown')) m) s)`

// recentCampaigns is SQL that goes before it: the campaigns that count, and since when.
const recentCampaigns = `WITH recent AS MATERIALIZED (
	SELECT DISTINCT c.id, w.since FROM (SELECT $1::timestamptz - CASE WHEN $3::int > 0 THEN interval '168 hours 1 second'
		ELSE interval '24 hours 1 second' END AS since) w
	JOIN lanes l ON l.taken_at > w.since - interval '1 hour'
	JOIN campaigns c ON c.id = l.campaign_id JOIN templates t ON t.id = c.template_id AND t.category = 'marketing')`

// lockFrequencyCap is SQL that has nobody else decide about the cap until the transaction ends.
const lockFrequencyCap = `SELECT pg_advisory_xact_lock(hashtextextended('frequency_cap', 0))`

// heldTarget is a target whose recipient has had enough for now.
type heldTarget struct {
	id    int64
	until time.Time
}

// capped sorts the ready targets into those that may go and those whose recipients have had enough. Until the
// transaction ends no other claim decides about the cap, so two campaigns cannot both give one recipient the
// last message that fits.
func (tx *Tx) capped(w window, ready []candidate) (free []candidate, held []heldTarget, err error) {
	if _, err := tx.pgx.Exec(tx.ctx, lockFrequencyCap); err != nil {
		return nil, nil, err
	}
	limit := w.settings.FrequencyCap.Marketing
	ids := make([]int64, len(ready))
	for i, r := range ready {
		ids[i] = r.id
	}
	rows, err := tx.pgx.Query(tx.ctx, recentCampaigns+`
		SELECT o.n, u.until FROM unnest($4::bigint[]) WITH ORDINALITY AS o (id, n) JOIN targets q ON q.id = o.id, LATERAL `+cappedUntil+` u ORDER BY o.n`,
		w.now, limit.PerDay, limit.PerWeek, ids)
	if err != nil {
		return nil, nil, err
	}
	var n int
	var until *time.Time
	_, err = pgx.ForEachRow(rows, []any{&n, &until}, func() error {
		if r := ready[n-1]; until != nil && until.After(w.now) {
			held = append(held, heldTarget{r.id, *until})
		} else {
			free = append(free, r)
		}
		return nil
	})
	return free, held, err
}

// hold makes targets wait, each until there is room for one more message to its recipient.
func (tx *Tx) hold(id uuid.UUID, set policy.Settings, held []heldTarget) error {
	if len(held) == 0 {
		return nil
	}
	targets, until := make([]int64, len(held)), make([]time.Time, len(held))
	for i, h := range held {
		targets[i], until[i] = h.id, h.until
	}
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE targets t SET not_before = h.until, reason = $3, policy_revision = $4
		FROM unnest($1::bigint[], $2::timestamptz[]) AS h (id, until) WHERE t.id = h.id`,
		targets, until, policy.FrequencyCapped, set.Revisions["frequency_cap"]); err != nil {
		return err
	}
	return tx.enterBlock(id, policy.FrequencyCapped, targets, set.Revision, set.FrequencyCap.Marketing)
}

// heldBy is how many targets of a cohort the cap holds, and when the first may go.
type heldBy struct {
	targets int64
	until   time.Time
}

// held counts a campaign's targets that the frequency cap in force holds, by cohort.
func (s *Store) held(ctx context.Context, id uuid.UUID, set policy.Settings, now time.Time) (map[int16]heldBy, error) {
	rows, err := s.pool.Query(ctx, `SELECT cohort, count(*), min(not_before) FROM targets
		WHERE campaign_id = $1 AND again AND policy_revision >= $2 AND not_before > $3 GROUP BY cohort`,
		id, set.Revisions["frequency_cap"], now)
	if err != nil {
		return nil, unavailable(err)
	}
	all := map[int16]heldBy{}
	var cohort int16
	var h heldBy
	_, err = pgx.ForEachRow(rows, []any{&cohort, &h.targets, &h.until}, func() error {
		all[cohort] = h
		return nil
	})
	return all, unavailable(err)
}

// cappedUntil returns when the cap leaves room for another marketing message to a number; zero: at once. Of
// other instants than now it knows what has been sent by now.
func (s *Store) cappedUntil(ctx context.Context, db querier, set policy.Settings, m contact.MSISDN, at time.Time) (time.Time, error) {
	limit := set.FrequencyCap.Marketing
	if limit.Off() {
		return time.Time{}, nil
	}
	var until *time.Time
	err := db.QueryRow(ctx, recentCampaigns+` SELECT u.until FROM (SELECT $4::text AS msisdn) q, LATERAL `+cappedUntil+` u`,
		at, limit.PerDay, limit.PerWeek, string(m)).Scan(&until)
	if err != nil || until == nil {
		return time.Time{}, unavailable(err)
	}
	return *until, nil
}
