package store

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
)

// Sealer chains the audit log: what is committed is sealed within two seconds. Any number may run; they queue up.
type Sealer struct {
	Store *Store
	Log   *slog.Logger
	Every time.Duration // 0: 1 s
}

// sealAtOnce is how many rows one transaction seals: some 50 ms.
const sealAtOnce = 500

// Run seals until ctx is over.
func (w *Sealer) Run(ctx context.Context) {
	for range repeatedly(ctx, cmp.Or(w.Every, time.Second), true) {
		if err := w.Store.SealAudit(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("the audit log cannot be sealed now", "error", err)
		}
	}
}

// SealAudit seals all that is committed, a batch at a time.
func (s *Store) SealAudit(ctx context.Context) error {
	for {
		var sealed int
		err := again(ctx, func() error { return s.pool.QueryRow(ctx, `SELECT audit_seal($1)`, sealAtOnce).Scan(&sealed) })
		if err != nil || sealed < sealAtOnce {
			return err
		}
	}
}

// AuditKeeper does what the audit log needs now and then: a signed checkpoint each hour, each day a look at the whole
// chain, and the deletion of what is older than it must be. Any number may run.
type AuditKeeper struct {
	Store         *Store
	Notary        Notary
	Trusted       []ed25519.PublicKey // other keys whose checkpoints and anchors are believed: those used before
	RetentionDays int                 // at least audit.MinRetentionDays
	Log           *slog.Logger
}

// Notary signs what the chain is.
type Notary struct {
	Key    audit.Key
	Origin string                  // whose log it is
	Append func(line []byte) error // keeps a checkpoint outside the database
}

// Keys are the keys whose signatures are believed.
func (k *AuditKeeper) Keys() []ed25519.PublicKey {
	return append([]ed25519.PublicKey{k.Notary.Key.Public()}, k.Trusted...)
}

// Run keeps until ctx is over.
func (k *AuditKeeper) Run(ctx context.Context) {
	ctx = audit.WithActor(ctx, audit.System("audit_keeper"))
	var pruned time.Time
	for range repeatedly(ctx, time.Minute, false) {
		k.try(ctx, "make a checkpoint", func() error {
			due, err := k.Store.auditDue(ctx, `SELECT max(created_at) FROM audit_checkpoints`, audit.CheckpointEvery)
			if err == nil && due {
				_, err = k.Store.Checkpoint(ctx, k.Notary)
			}
			return err
		})
		k.try(ctx, "verify itself", func() error {
			due, err := k.Store.auditDue(ctx, `SELECT max(created_at) FROM audit_log WHERE action = 'audit.verified'`, 24*time.Hour)
			if err == nil && due {
				_, err = k.Verify(ctx)
			}
			return err
		})
		if time.Since(pruned) >= 24*time.Hour {
			pruned = time.Now()
			k.try(ctx, "forget what is old", func() error {
				_, err := k.Prune(ctx)
				return err
			})
		}
	}
}

func (k *AuditKeeper) try(ctx context.Context, what string, do func() error) {
	if err := do(); err != nil && ctx.Err() == nil {
		k.Log.Warn("the audit log cannot "+what+" now", "error", err)
	}
}

// auditDue reports whether so much time has passed since last, or since the log began.
func (s *Store) auditDue(ctx context.Context, last string, every time.Duration) (due bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT coalesce(now() - coalesce((`+last+`), (SELECT min(created_at) FROM audit_log)) >= $1::interval, false)`, every).Scan(&due)
	return due, unavailable(err)
}

// Checkpoint seals what there is, signs what the chain is then, and keeps that in the database, outside of it and in
// the Ops channel. It fails with domain.Conflict when there is nothing to sign.
func (s *Store) Checkpoint(ctx context.Context, n Notary) (c audit.Checkpoint, err error) {
	if err := s.SealAudit(ctx); err != nil {
		return c, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var head audit.Head
		var hash []byte
		var now time.Time
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT seq, hash, clock_timestamp() FROM audit_head`).Scan(&head.Seq, &hash, &now); err != nil {
			return audit.Entry{}, err
		}
		if head.Seq == 0 {
			return audit.Entry{}, domain.E(domain.Conflict, "audit_log_empty", "there is nothing in the audit log yet")
		}
		head.Hash = audit.Hash(hash)
		c = n.Key.Checkpoint(n.Origin, head, now)
		line, err := json.Marshal(c)
		if err != nil {
			return audit.Entry{}, err
		}
		text := string(line)
		if err := n.Append(append(line, '\n')); err != nil {
			text += "\nThe file of checkpoints cannot be written: " + err.Error()
		}
		if _, err = tx.pgx.Exec(tx.ctx, `INSERT INTO audit_checkpoints (size, head, origin, created_at, signer, signature)
			VALUES ($1, $2, $3, $4, $5, $6)`, c.Size, c.Head[:], c.Origin, c.CreatedAt, []byte(c.Signer), c.Signature); err == nil {
			err = tx.notify("audit", fmt.Sprintf("Audit checkpoint: %d entries", c.Size), text, "info")
		}
		return audit.Entry{Action: "audit.checkpointed", Target: "audit_log", Diff: map[string]any{"size": c.Size}}, err
	})
	return c, err
}

// Verify looks at the whole chain and enters what it found. Ops are told when it is broken.
func (k *AuditKeeper) Verify(ctx context.Context) (audit.Verdict, error) {
	v, err := k.Store.VerifyAudit(ctx, Verification{Keys: k.Keys()})
	if err != nil {
		return v, err
	}
	return v, k.Store.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if !v.OK {
			if err := tx.notify("audit", "The audit log is broken", v.Detail, "critical"); err != nil {
				return audit.Entry{}, err
			}
		}
		return audit.Entry{Action: "audit.verified", Target: "audit_log", Diff: v}, nil
	})
}

// Prune deletes the sealed rows that are older than the retention, up to an anchor that it signs, and returns how
// many there were. It fails with domain.Invalid below audit.MinRetentionDays and with domain.Conflict when these rows
// are not as they were sealed: they are evidence then.
func (k *AuditKeeper) Prune(ctx context.Context) (gone int64, err error) {
	if k.RetentionDays < audit.MinRetentionDays {
		return 0, domain.E(domain.Invalid, "retention_too_short", "must be at least %d days", audit.MinRetentionDays).About("audit.retention_days")
	}
	s := k.Store
	if gone, err = s.pruneAnchored(ctx); err != nil { // what was interrupted
		return gone, err
	}
	var last audit.Head
	var hash []byte
	var now time.Time
	err = s.pool.QueryRow(ctx, `SELECT seq, hash, clock_timestamp() FROM audit_log
		WHERE seq < coalesce((SELECT min(seq) FROM audit_log WHERE created_at >= now() - make_interval(days => $1)), 9223372036854775807)
		ORDER BY seq DESC LIMIT 1`, k.RetentionDays).Scan(&last.Seq, &hash, &now)
	if errors.Is(err, pgx.ErrNoRows) {
		return gone, nil
	} else if err != nil {
		return gone, unavailable(err)
	}
	last.Hash = audit.Hash(hash)
	v, err := s.VerifyAudit(ctx, Verification{To: last.Seq, Keys: k.Keys()})
	if err == nil && !v.OK {
		err = domain.E(domain.Conflict, "audit_log_broken", "nothing is deleted from a broken audit log: %s", v.Detail)
	}
	if err != nil {
		return gone, err
	}
	a := k.Notary.Key.Anchor(k.Notary.Origin, last, now)
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		_, err := tx.pgx.Exec(tx.ctx, `SELECT audit_anchor($1, $2, $3, $4, $5, $6)`,
			a.Size, a.Head[:], a.Origin, a.CreatedAt, []byte(a.Signer), a.Signature)
		return audit.Entry{Action: "audit.pruned", Target: "audit_log",
			Diff: map[string]any{"up_to": a.Size, "rows": v.Sealed, "retention_days": k.RetentionDays}}, err
	})
	if err != nil {
		return gone, err
	}
	more, err := s.pruneAnchored(ctx)
	return gone + more, err
}

func (s *Store) pruneAnchored(ctx context.Context) (gone int64, err error) {
	const batch = 5000
	for {
		var n int64
		err := s.pool.QueryRow(ctx, `SELECT audit_prune($1)`, batch).Scan(&n)
		if gone += n; err != nil || n < batch {
			return gone, unavailable(err)
		}
	}
}
