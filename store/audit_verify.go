package store

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"lastcall/domain"
	"lastcall/domain/audit"
)

// Verification says what of the audit log to verify, and against what.
type Verification struct {
	From        int64               // the first seq; 0: from the beginning, or from the newest anchor
	To          int64               // the last seq; 0: to the end
	Checkpoints []audit.Checkpoint  // besides those in the database
	Keys        []ed25519.PublicKey // who may have signed; none: whoever says so
}

// VerifyAuditAt verifies the audit log of the database at url, as whoever may read it. It needs nothing else that
// runs. It fails with domain.Unavailable when the database does not answer or has no audit log.
func VerifyAuditAt(ctx context.Context, url string, v Verification) (audit.Verdict, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return audit.Verdict{}, unavailable(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return verifyAudit(ctx, conn, v)
}

// VerifyAudit verifies the audit log: it reads it row by row, in one snapshot, and computes each hash itself.
func (s *Store) VerifyAudit(ctx context.Context, v Verification) (audit.Verdict, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return audit.Verdict{}, unavailable(err)
	}
	defer conn.Release()
	return verifyAudit(ctx, conn.Conn(), v)
}

func verifyAudit(ctx context.Context, conn *pgx.Conn, v Verification) (found audit.Verdict, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		found, err = verifySnapshot(ctx, tx, v)
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "42P01" || pg.Code == "42703") {
		return found, domain.E(domain.Unavailable, "not_migrated", "the database has no audit chain yet: run `lastcall migrate up`").Because(err)
	}
	return found, unavailable(err)
}

func verifySnapshot(ctx context.Context, tx pgx.Tx, v Verification) (audit.Verdict, error) {
	start, unsigned, err := auditStart(ctx, tx, v)
	if err != nil || unsigned != nil {
		return deref(unsigned), err
	}
	checkpoints, forged, err := auditCheckpoints(ctx, tx, v, start.Seq)
	if err != nil {
		return audit.Verdict{}, err
	}
	var head audit.Head
	var hash []byte
	if err := tx.QueryRow(ctx, `SELECT seq, hash FROM audit_head`).Scan(&head.Seq, &hash); err != nil {
		return audit.Verdict{}, err
	}
	head.Hash = storedHash(hash)

	first, last := start.Seq, cmp.Or(v.To, math.MaxInt64)
	if first == 0 {
		first = math.MinInt64 // a seq below 1 is somebody's, too
	}
	verifier := audit.NewVerifier(start, checkpoints)
	reached, err := eachSealed(ctx, tx, first, last, verifier.Next)
	if err != nil {
		return audit.Verdict{}, err
	}
	var verdict audit.Verdict
	if v.To > 0 && reached == v.To {
		verdict = verifier.Stop()
	} else {
		verdict = verifier.Finish(head)
	}
	if verdict.OK && forged != nil {
		bad := badSignature(forged.Size, "the checkpoint of seq %d is not signed by a key that is known", forged.Size)
		bad.From, bad.To, bad.Sealed, bad.Checkpoints = verdict.From, verdict.To, verdict.Sealed, verdict.Checkpoints
		verdict = bad
	}
	verdict.KeyKnown = len(v.Keys) > 0
	err = tx.QueryRow(ctx, `SELECT count(*) FILTER (WHERE seq > $1 AND seq <= $2), count(*) FILTER (WHERE seq IS NULL) FROM audit_log`,
		first, last).Scan(&verdict.Rows, &verdict.Unsealed)
	verdict.Rows += verdict.Unsealed
	return verdict, err
}

func badSignature(seq int64, why string, args ...any) audit.Verdict {
	return audit.Verdict{FirstBadSeq: &seq, Kind: audit.BadSignature, Detail: domain.E(domain.Invalid, "", why, args...).Message}
}

func deref(v *audit.Verdict) audit.Verdict {
	if v == nil {
		return audit.Verdict{}
	}
	return *v
}

// auditStart is the row behind which verifying begins. A verdict is given if that cannot be believed.
func auditStart(ctx context.Context, tx pgx.Tx, v Verification) (start audit.Head, bad *audit.Verdict, err error) {
	var a audit.Anchor
	var head []byte
	err = tx.QueryRow(ctx, `SELECT seq, hash, origin, created_at, signer, signature FROM audit_anchors ORDER BY seq DESC LIMIT 1`).
		Scan(&a.Size, &head, &a.Origin, &a.CreatedAt, (*[]byte)(&a.Signer), &a.Signature)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return start, nil, err
	default:
		a.Head = storedHash(head)
		if !a.Signed(v.Keys) {
			verdict := badSignature(a.Size, "the anchor at seq %d is not signed by a key that is known", a.Size)
			return start, &verdict, nil
		}
		start = audit.Head{Seq: a.Size, Hash: a.Head}
	}
	if v.From == 0 || v.From == start.Seq+1 {
		return start, nil, nil
	}
	if v.From <= start.Seq {
		return start, nil, domain.E(domain.Invalid, "retention", "the rows up to seq %d were deleted by the retention; begin at %d", start.Seq, start.Seq+1).About("from")
	}
	err = tx.QueryRow(ctx, `SELECT hash FROM audit_log WHERE seq = $1`, v.From-1).Scan(&head)
	if errors.Is(err, pgx.ErrNoRows) {
		return start, nil, domain.E(domain.NotFound, "seq_not_found", "there is no row with seq %d to begin behind", v.From-1).About("from")
	}
	return audit.Head{Seq: v.From - 1, Hash: storedHash(head)}, nil, err
}

// auditCheckpoints are the checkpoints that are signed, by size, and the first that is not.
func auditCheckpoints(ctx context.Context, tx pgx.Tx, v Verification, after int64) (good []audit.Checkpoint, forged *audit.Checkpoint, err error) {
	all := slices.Clone(v.Checkpoints)
	rows, err := tx.Query(ctx, `SELECT size, head, origin, created_at, signer, signature FROM audit_checkpoints WHERE size > $1`, after)
	if err != nil {
		return nil, nil, err
	}
	var c audit.Checkpoint
	var head []byte
	if _, err = pgx.ForEachRow(rows, []any{&c.Size, &head, &c.Origin, &c.CreatedAt, (*[]byte)(&c.Signer), &c.Signature}, func() error {
		c.Head = storedHash(head)
		all = append(all, c)
		return nil
	}); err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(all, func(x, y audit.Checkpoint) int { return cmp.Compare(x.Size, y.Size) })
	for _, c := range all {
		switch {
		case c.Size <= after || v.To > 0 && c.Size > v.To:
		case c.Signed(v.Keys):
			good = append(good, c)
		case forged == nil:
			forged = &c
		}
	}
	return good, forged, nil
}

// eachSealed reads the rows with after < seq ≤ to until take has seen enough. It holds one at a time, and returns the
// last seq read.
func eachSealed(ctx context.Context, tx pgx.Tx, after, to int64, take func(*audit.Row) bool) (last int64, err error) {
	rows, err := tx.Query(ctx, `SELECT seq, prev_hash, hash, id, created_at, coalesce(actor_kind, ''), coalesce(actor_id, ''), coalesce(actor, ''),
			coalesce(action, ''), coalesce(target, ''), diff::text, coalesce(reason, ''), coalesce(request_id, ''), policy_revision
		FROM audit_log WHERE seq > $1 AND seq <= $2 ORDER BY seq`, after, to)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var r audit.Row
		var prev, hash []byte
		var at pgtype.Timestamptz // whoever may drop constraints may put infinity there
		if err := rows.Scan(&r.Seq, &prev, &hash, &r.ID, &at, &r.ActorKind, &r.ActorID, &r.Actor, &r.Action, &r.Target,
			(*[]byte)(&r.Diff), &r.Reason, &r.RequestID, &r.PolicyRevision); err != nil {
			return last, err
		}
		r.PrevHash, r.Hash, r.CreatedAt = storedHash(prev), storedHash(hash), at.Time
		last = r.Seq
		if !take(&r) {
			return last, nil
		}
	}
	return last, rows.Err()
}

// storedHash is a stored hash; one of nothing if it is none.
func storedHash(b []byte) (h audit.Hash) {
	if len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}
