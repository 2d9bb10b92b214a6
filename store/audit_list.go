package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
)

// AuditFilter says which entries are wanted; what is zero does not matter.
type AuditFilter struct {
	Action    string    // this action, or those that begin with it: "campaign." or "campaign.started"
	Actor     string    // the account's id or address; a token's or a part's name
	Target    string    // exactly this
	RequestID string    // exactly this
	From      time.Time // at or after
	To        time.Time // before
	Block     string    // only policy checks that held something back for this reason
}

// AuditPlace is an entry's place in the list, which is sorted by time, then id.
type AuditPlace struct {
	At time.Time
	ID int64
}

const auditColumns = `l.id, l.created_at, l.actor_kind, l.actor_id, l.actor, l.action, l.target, l.diff, l.reason, l.request_id,
	l.policy_revision, l.seq, l.prev_hash, l.hash`

func auditEntry(row pgx.CollectableRow) (e AuditEntry, err error) {
	return e, row.Scan(&e.ID, &e.CreatedAt, &e.ActorKind, &e.ActorID, &e.Actor, &e.Action, &e.Target, &e.Diff, &e.Reason, &e.RequestID,
		&e.PolicyRevision, &e.Seq, &e.PrevHash, &e.Hash)
}

// AuditEntries lists the entries of the audit log, newest first, those before a place (nil: the newest) on.
func (s *Store) AuditEntries(ctx context.Context, f AuditFilter, before *AuditPlace, limit int) ([]AuditEntry, error) {
	where, args, actions, err := s.auditWhere(ctx, f)
	if err != nil {
		return nil, err
	}
	if before != nil {
		args = append(args, before.At, before.ID)
		where += fmt.Sprintf(` AND (l.created_at, l.id) < ($%d, $%d)`, len(args)-1, len(args))
	}
	args = append(args, page(limit))
	const order = ` ORDER BY l.created_at DESC, l.id DESC LIMIT `
	query := `SELECT ` + auditColumns + ` FROM audit_log l WHERE ` + where + order + fmt.Sprintf(`$%d`, len(args))
	if actions != nil {
		// Of each action the newest, by its index: the planner would read the whole log for one that is rare.
		n, a := len(args), len(args)+1
		args = append(args, actions)
		query = `SELECT ` + auditColumns + ` FROM (SELECT newest.id FROM unnest($` + fmt.Sprint(a) + `::text[]) wanted (action),
				LATERAL (SELECT l.created_at, l.id FROM audit_log l WHERE l.action = wanted.action AND ` + where + order + fmt.Sprintf(`$%d) newest
				ORDER BY newest.created_at DESC, newest.id DESC LIMIT $%d) found JOIN audit_log l USING (id) ORDER BY l.created_at DESC, l.id DESC`, n, n)
	}
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, auditEntry)
	return all, unavailable(err)
}

// AuditChain lists sealed entries in the order of the chain, those behind seq after up to seq to.
func (s *Store) AuditChain(ctx context.Context, f AuditFilter, after, to int64, limit int) ([]AuditEntry, error) {
	where, args, actions, err := s.auditWhere(ctx, f)
	if err != nil {
		return nil, err
	}
	if actions != nil {
		args = append(args, actions)
		where += fmt.Sprintf(` AND l.action = ANY ($%d)`, len(args))
	}
	args = append(args, after, to, limit)
	rows, err := s.pool.Query(ctx, `SELECT `+auditColumns+` FROM audit_log l WHERE `+where+
		fmt.Sprintf(` AND l.seq > $%d AND l.seq <= $%d ORDER BY l.seq LIMIT $%d`, len(args)-2, len(args)-1, len(args)), args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, auditEntry)
	return all, unavailable(err)
}

// auditWhere is the filter as a condition on l with its arguments, but for the actions, which are apart: nil for all.
func (s *Store) auditWhere(ctx context.Context, f AuditFilter) (where string, args []any, actions []string, err error) {
	conditions := []string{"true"}
	only := func(condition string, arg any) {
		args = append(args, arg)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if f.Actor != "" {
		id := f.Actor
		var account uuid.UUID
		err := s.pool.QueryRow(ctx, `SELECT id FROM accounts WHERE email = lower($1)`, f.Actor).Scan(&account)
		if err == nil {
			id = account.String()
		} else if !errors.Is(err, pgx.ErrNoRows) {
			return "", nil, nil, unavailable(err)
		}
		only(`l.actor_id = $%d`, id)
	}
	if f.Target != "" {
		only(`l.target = $%d`, f.Target)
	}
	if f.RequestID != "" {
		only(`l.request_id = $%d AND l.request_id <> ''`, f.RequestID)
	}
	if !f.From.IsZero() {
		only(`l.created_at >= $%d`, f.From)
	}
	if !f.To.IsZero() {
		only(`l.created_at < $%d`, f.To)
	}
	if f.Block != "" {
		only(`l.action = 'outbound_policy_check' AND l.diff->>'reason' = $%d`, f.Block)
	}
	if f.Action != "" {
		all, err := s.auditActions(ctx)
		if err != nil {
			return "", nil, nil, err
		}
		actions = []string{}
		for _, action := range all {
			if strings.HasPrefix(action, f.Action) {
				actions = append(actions, action)
			}
		}
	}
	return strings.Join(conditions, " AND "), args, actions, nil
}

// auditActions are the actions that there are, each found by one look into the index.
func (s *Store) auditActions(ctx context.Context) ([]string, error) {
	rows, err := s.pool.Query(ctx, `WITH RECURSIVE known AS (
			(SELECT action FROM audit_log ORDER BY action LIMIT 1)
			UNION ALL SELECT (SELECT action FROM audit_log WHERE action > known.action ORDER BY action LIMIT 1) FROM known WHERE action IS NOT NULL)
		SELECT action FROM known WHERE action IS NOT NULL`)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return all, unavailable(err)
}

// AuditActor is somebody who did something.
type AuditActor struct {
	ID   string `json:"id"`
	Kind string `json:"kind" enum:"account,token,system"`
	Name string `json:"name" doc:"The name of the newest entry"`
}

// AuditFacets are the actions and the actors that are in the audit log.
func (s *Store) AuditFacets(ctx context.Context) (actions []string, actors []AuditActor, err error) {
	if actions, err = s.auditActions(ctx); err != nil {
		return nil, nil, err
	}
	rows, err := s.pool.Query(ctx, `WITH RECURSIVE known AS (
			(SELECT actor_id FROM audit_log ORDER BY actor_id LIMIT 1)
			UNION ALL SELECT (SELECT actor_id FROM audit_log WHERE actor_id > known.actor_id ORDER BY actor_id LIMIT 1) FROM known WHERE actor_id IS NOT NULL)
		SELECT known.actor_id, newest.actor_kind, newest.actor FROM known, LATERAL (SELECT actor_kind, actor FROM audit_log l
			WHERE l.actor_id = known.actor_id ORDER BY created_at DESC, id DESC LIMIT 1) newest ORDER BY 2, 3, 1`)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	actors, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a AuditActor, err error) { return a, row.Scan(&a.ID, &a.Kind, &a.Name) })
	return actions, actors, unavailable(err)
}

// AuditEntry reads one entry.
func (s *Store) AuditEntry(ctx context.Context, id int64) (AuditEntry, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+auditColumns+` FROM audit_log l WHERE id = $1`, id)
	if err != nil {
		return AuditEntry{}, unavailable(err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, auditEntry)
	return e, notFound(err, "audit_entry", id)
}

// AuditState is how the chain stands.
type AuditState struct {
	Newest     int64          `json:"newest" doc:"The id of the newest entry; 0: there is none"`
	Sealed     int64          `json:"sealed" doc:"The seq of the newest sealed entry; 0: none is sealed yet"`
	SealedAt   *time.Time     `json:"sealed_at,omitempty" doc:"That entry's time"`
	Unsealed   int64          `json:"unsealed" doc:"Entries that are not protected yet; sealing takes 2 s at most"`
	Verified   *AuditVerified `json:"verified,omitempty" doc:"When Lastcall last looked at the whole chain; absent: not yet"`
	Checkpoint *AuditMark     `json:"checkpoint,omitempty" doc:"The newest signed checkpoint; absent: there is none yet"`
	Anchor     *AuditMark     `json:"anchor,omitempty" doc:"Up to where the retention deleted; absent: nothing was"`
}

// AuditMark is a place in the chain at a time.
type AuditMark struct {
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
}

// AuditVerified is what verifying found.
type AuditVerified struct {
	At          time.Time `json:"at"`
	OK          bool      `json:"ok"`
	To          int64     `json:"to" doc:"The last seq found to be right"`
	FirstBadSeq *int64    `json:"first_bad_seq,omitempty"`
	Kind        string    `json:"kind,omitempty"`
	Detail      string    `json:"detail,omitempty"`
}

// AuditState tells how the chain stands, by what was last found.
func (s *Store) AuditState(ctx context.Context) (st AuditState, err error) {
	err = s.pool.QueryRow(ctx, `SELECT coalesce((SELECT max(id) FROM audit_log), 0), h.seq, (SELECT created_at FROM audit_log l WHERE l.seq = h.seq),
			(SELECT count(*) FROM (SELECT FROM audit_log WHERE seq IS NULL LIMIT 10000) u) FROM audit_head h`).
		Scan(&st.Newest, &st.Sealed, &st.SealedAt, &st.Unsealed)
	if err != nil {
		return st, unavailable(err)
	}
	var v AuditVerified
	err = s.pool.QueryRow(ctx, `SELECT created_at, (diff->>'ok')::boolean, (diff->>'to')::bigint, (diff->>'first_bad_seq')::bigint,
			coalesce(diff->>'kind', ''), coalesce(diff->>'detail', '')
		FROM audit_log WHERE action = 'audit.verified' ORDER BY created_at DESC, id DESC LIMIT 1`).
		Scan(&v.At, &v.OK, &v.To, &v.FirstBadSeq, &v.Kind, &v.Detail)
	if err == nil {
		st.Verified = &v
	} else if !errors.Is(err, pgx.ErrNoRows) {
		return st, unavailable(err)
	}
	for _, m := range []struct {
		mark **AuditMark
		sql  string
	}{{&st.Checkpoint, `SELECT size, created_at FROM audit_checkpoints ORDER BY id DESC LIMIT 1`},
		{&st.Anchor, `SELECT seq, created_at FROM audit_anchors ORDER BY seq DESC LIMIT 1`}} {
		var found AuditMark
		err := s.pool.QueryRow(ctx, m.sql).Scan(&found.Seq, &found.At)
		if err == nil {
			*m.mark = &found
		} else if !errors.Is(err, pgx.ErrNoRows) {
			return st, unavailable(err)
		}
	}
	return st, nil
}

// AuditMoved tells the newest entry and the newest seal: when neither changes, nothing was entered.
func (s *Store) AuditMoved(ctx context.Context) (newest, sealed int64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT coalesce((SELECT max(id) FROM audit_log), 0), seq FROM audit_head`).Scan(&newest, &sealed)
	return newest, sealed, unavailable(err)
}

// Check refuses a range of time that is none.
func (f AuditFilter) Check() error {
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return domain.E(domain.Invalid, "bad_range", "must be after from").About("to")
	}
	return nil
}
