package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
	"lastcall/domain/policy"
)

// candidate is a queued target that a lane has locked, and what the rules that look at one recipient say.
type candidate struct {
	id       int64
	hash     []byte // of the number
	optedOut bool
	refused  bool // consent is required and not recorded
}

// fresh finds where the fresh targets of a campaign's cohorts begin, those never tried nor held; of all cohorts
// when none are named. A cohort that has no fresh one is left out.
func (tx *Tx) fresh(id uuid.UUID, cohorts []int16) (map[int16]int64, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT k.id, f.id FROM cohorts k, LATERAL (SELECT t.id FROM targets t
			WHERE t.campaign_id = $1 AND t.cohort = k.id AND t.id >= k.queue_from AND t.state = 'queued' AND NOT t.again
			ORDER BY t.id LIMIT 1) f WHERE k.campaign_id = $1 AND (k.id = ANY ($2) OR $2 IS NULL)`, id, cohorts)
	if err != nil {
		return nil, err
	}
	first := make(map[int16]int64, len(cohorts))
	var cohort int16
	var target int64
	_, err = pgx.ForEachRow(rows, []any{&cohort, &target}, func() error {
		first[cohort] = target
		return nil
	})
	return first, err
}

// candidates locks up to want queued targets of the open cohorts, those in other lanes' hands left out: those
// whose time has come or that need not wait for it again, those that an older frequency cap held, and then fresh
// ones, from the first of each cohort on.
func (tx *Tx) candidates(id uuid.UUID, w window, open []int16, first map[int16]int64, want int) ([]candidate, error) {
	from := make([]*int64, len(open)) // null: nothing is fresh
	for i, k := range open {
		if target, ok := first[k]; ok {
			from[i] = &target
		}
	}
	args := []any{id, open, want, w.marketing && w.settings.Consent.Required, w.now, from}
	var older string
	if revision := w.settings.Revisions["frequency_cap"]; revision > 0 { // else nobody was ever held
		older = `UNION ALL SELECT * FROM (SELECT t.id, t.msisdn, t.msisdn_hash FROM targets t
				WHERE t.campaign_id = $1 AND t.again AND t.cohort = k.id AND t.policy_revision < $7 AND t.not_before > $5
				LIMIT $3 FOR UPDATE SKIP LOCKED) c`
		args = append(args, revision)
	}
	rows, err := tx.pgx.Query(tx.ctx, `SELECT q.id, q.msisdn_hash, EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = q.msisdn_hash),
			$4 AND NOT EXISTS (SELECT FROM contacts c WHERE c.msisdn = q.msisdn AND c.opted_in_at IS NOT NULL)
		FROM unnest($2::smallint[], $6::bigint[]) AS k (id, first), LATERAL (
			SELECT * FROM (SELECT t.id, t.msisdn, t.msisdn_hash FROM targets t
				WHERE t.campaign_id = $1 AND t.again AND t.cohort = k.id AND t.not_before IS NULL
				ORDER BY t.not_before, t.id LIMIT $3 FOR UPDATE SKIP LOCKED) a
			UNION ALL SELECT * FROM (SELECT t.id, t.msisdn, t.msisdn_hash FROM targets t
				WHERE t.campaign_id = $1 AND t.again AND t.cohort = k.id AND t.not_before <= $5
				ORDER BY t.not_before, t.id LIMIT $3 FOR UPDATE SKIP LOCKED) b
			`+older+`
			UNION ALL SELECT * FROM (SELECT t.id, t.msisdn, t.msisdn_hash FROM targets t
				WHERE t.campaign_id = $1 AND t.cohort = k.id AND t.id >= k.first AND t.state = 'queued' AND NOT t.again
				ORDER BY t.id LIMIT $3 FOR UPDATE SKIP LOCKED) f) q LIMIT $3`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
		return c, row.Scan(&c.id, &c.hash, &c.optedOut, &c.refused)
	})
}

// moveUp remembers where the fresh targets of cohorts begin, so that the next claim need not walk past those that
// are gone. A cohort that another lane writes just now is left out. It is safe although other claims may yet be
// undone: what they have taken was still fresh for the statement that looked.
func (tx *Tx) moveUp(id uuid.UUID, first map[int16]int64) error {
	if len(first) == 0 {
		return nil
	}
	cohorts, ids := make([]int16, 0, len(first)), make([]int64, 0, len(first))
	for cohort, target := range first {
		cohorts, ids = append(cohorts, cohort), append(ids, target)
	}
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE cohorts k SET queue_from = f.first FROM unnest($2::smallint[], $3::bigint[]) AS f (id, first)
		WHERE k.campaign_id = $1 AND k.id = f.id AND k.queue_from < f.first
		  AND k.id IN (SELECT x.id FROM cohorts x WHERE x.campaign_id = $1 ORDER BY x.id FOR NO KEY UPDATE SKIP LOCKED)`, id, cohorts, ids)
	return wrap(err, "move the queue up")
}

// farBehind leaves of the cohorts' first fresh targets those for which it pays to move up.
func farBehind(cohorts []Cohort, first map[int16]int64) map[int16]int64 {
	const pays = 1000
	for _, k := range cohorts {
		if target, ok := first[k.ID]; ok && target-k.QueueFrom < pays {
			delete(first, k.ID)
		}
	}
	return first
}

// sift takes out of what was found who has opted out, has not consented, or has had enough, and returns who is
// left, for a permit.
func (tx *Tx) sift(c *Claim, id uuid.UUID, w window, found []candidate) (ready []candidate, err error) {
	var out, refused []int64
	for _, f := range found {
		switch {
		case f.optedOut:
			out = append(out, f.id)
		case f.refused:
			refused = append(refused, f.id)
		default:
			ready = append(ready, f)
		}
	}
	var held []heldTarget
	if len(ready) > 0 && w.marketing && !w.settings.FrequencyCap.Marketing.Off() {
		if ready, held, err = tx.capped(w, ready); err != nil {
			return nil, err
		}
	}
	c.OptedOut, c.Refused = len(out), len(refused)
	if len(out)+len(refused)+len(held) == 0 {
		return ready, nil
	}
	// Whoever writes targets locks their cohorts, in the order of their ids: before several statements would lock
	// them in another.
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT FROM cohorts WHERE campaign_id = $1 ORDER BY id FOR NO KEY UPDATE`, id); err != nil {
		return nil, err
	}
	if err := tx.optOut(id, out, w.settings.Revision); err != nil {
		return nil, err
	}
	if err := tx.refuse(id, refused, w.settings.Revision); err != nil {
		return nil, err
	}
	return ready, tx.hold(id, w.settings, held)
}

const lockChannel = `SELECT FROM channels WHERE name = $1 FOR UPDATE`

func (tx *Tx) lockChannel(name string) error {
	_, err := tx.pgx.Exec(tx.ctx, lockChannel, name)
	return err
}

func (tx *Tx) optOut(id uuid.UUID, targets []int64, revision int64) error {
	if len(targets) == 0 {
		return nil
	}
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE targets SET state = 'opted_out', not_before = NULL, reason = NULL, policy_revision = NULL,
			ended_at = clock_timestamp() WHERE id = ANY ($1)`, targets)
	if err != nil {
		return err
	}
	return tx.enterBlock(id, policy.OptOut, targets, revision, nil)
}

// refuse ends targets for lack of consent. Nobody waits for consent: see docs/decisions/0005.
func (tx *Tx) refuse(id uuid.UUID, targets []int64, revision int64) error {
	if len(targets) == 0 {
		return nil
	}
	_, err := tx.pgx.Exec(tx.ctx, `WITH refused AS (
			UPDATE targets SET state = 'failed', reason = $2, not_before = NULL, policy_revision = NULL, ended_at = clock_timestamp()
			WHERE id = ANY ($1) RETURNING id, attempt)
		INSERT INTO target_events (target_id, kind, attempt, reason) SELECT id, 'failed', attempt, $2 FROM refused`,
		targets, policy.NoConsent)
	if err != nil {
		return err
	}
	return tx.enterBlock(id, policy.NoConsent, targets, revision, nil)
}

// enterBlock enters in the audit log that targets of one claim may not go.
func (tx *Tx) enterBlock(id uuid.UUID, reason policy.Reason, targets []int64, revision int64, limit any) error {
	diff := map[string]any{"reason": reason, "targets": len(targets), "first": targets[0], "last": targets[len(targets)-1], "digest": digestOf(targets)}
	if limit != nil {
		diff["limit"] = limit
	}
	return tx.enter(policyCheck(id, revision, diff))
}

// digestOf stands for a list of targets in the audit log: the SHA-256 of their ids, in their order, in hexadecimal.
func digestOf(targets []int64) string {
	h := sha256.New()
	for _, id := range targets {
		_ = binary.Write(h, binary.BigEndian, id)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// audienceDigest is SQL: what stands for all targets of a campaign's cohorts in the audit log.
const audienceDigest = `(SELECT encode(sha256(convert_to(coalesce(string_agg(cohort || ':' || digest, ',' ORDER BY cohort), ''), 'UTF8')), 'hex')
	FROM audience_digests WHERE campaign_id = $1 AND (cohort = $2::int OR $2::int IS NULL))`

// EnterThrottled enters in the audit log that a batch of a campaign waited for permits: how many targets did, and what
// stands for the campaign's audience. A batch does so once, whatever it waited for how often.
func (s *Store) EnterThrottled(ctx context.Context, l Lane, w Wait) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var digest string
		var revision int64
		err := tx.pgx.QueryRow(ctx, `SELECT `+audienceDigest+`, (SELECT coalesce(max(revision), 0) FROM settings_revisions)`, l.Campaign, nil).Scan(&digest, &revision)
		return policyCheck(l.Campaign, revision, map[string]any{"reason": w.Reason, "until": w.Until, "why": w.Why, "targets": w.Targets,
			"counts": map[policy.Reason]int64{w.Reason: w.Targets}, "lane": l.N, "batch": l.Batch, "digest": digest}), err
	})
}

// idle says why nothing of the open cohorts is ready: each waits for its own time, or another lane has it.
func (tx *Tx) idle(c *Claim, id uuid.UUID, w window, open []int16, blocked waits) error {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT CASE WHEN reason IN ($4, $6) THEN reason ELSE '' END, min(not_before), count(*) FROM targets
		WHERE campaign_id = $1 AND again AND cohort = ANY ($2) AND not_before > $3
		  AND (policy_revision IS NULL OR policy_revision >= $5) GROUP BY 1 ORDER BY 1`,
		id, open, w.now, policy.FrequencyCapped, w.settings.Revisions["frequency_cap"], policy.Throttled)
	if err != nil {
		return err
	}
	c.Busy = true
	var why policy.Reason
	var until time.Time
	var waiting int64
	_, err = pgx.ForEachRow(rows, []any{&why, &until, &waiting}, func() error {
		c.Busy = false
		switch why {
		case policy.FrequencyCapped:
			blocked.add(w.settings.Capped(until, w.now), waiting)
		case policy.Throttled:
			blocked.add(w.settings.Channel(w.channel, policy.Budget{Limit: policy.Pair, RetryAfter: until}), waiting)
		default:
			end := until
			blocked = append(blocked, Wait{Reason: ProviderRetry, Targets: waiting, Until: &end, Why: "the provider asked to try again later"})
		}
		return nil
	})
	if !c.Busy {
		c.Waits = blocked
	}
	return err
}
