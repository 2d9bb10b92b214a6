package store

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"lastcall/domain/audit"
)

// AuditEntry is a row of the audit log.
type AuditEntry struct {
	ID             int64 `gorm:"primaryKey;autoIncrement"`
	CreatedAt      time.Time
	ActorKind      string
	ActorID        string // the account's id; a token's or a part's name
	Actor          string // the name at that time
	Action         string
	Target         string
	Diff           json.RawMessage `gorm:"type:jsonb"`
	Reason         string
	RequestID      string
	PolicyRevision *int64
	Seq            *int64 // its place in the chain; nil until it is sealed
	PrevHash       []byte
	Hash           []byte
}

// TableName tells GORM the table.
func (AuditEntry) TableName() string { return "audit_log" }

// enter writes e into the audit log as done by the actor of the transaction's context.
func (tx *Tx) enter(e audit.Entry) error {
	var diff []byte
	if e.Diff != nil {
		var err error
		if diff, err = json.Marshal(e.Diff); err != nil {
			return err
		}
	}
	actor := audit.ActorFrom(tx.ctx)
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO audit_log
			(actor_kind, actor, actor_id, action, target, diff, reason, request_id, policy_revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9::bigint, 0))`,
		actor.Kind, actor.EntryName(), cmp.Or(actor.ID, actor.Name), e.Action, e.Target, diff, e.Reason, audit.RequestIDFrom(tx.ctx), e.Revision)
	return wrap(err, "audit "+e.Action)
}

// Enter writes e into the audit log in a transaction of its own: a refusal, a sensitive read, a sign-in, which
// change nothing. It is written even if the caller has hung up since, so that hanging up hides nothing.
func (s *Store) Enter(ctx context.Context, e audit.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enterWithin)
	defer cancel()
	return s.Write(ctx, func(*Tx) (audit.Entry, error) { return e, nil })
}

const enterWithin = 5 * time.Second
