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
	values, err := entryValues(tx.ctx, e)
	if err != nil {
		return err
	}
	_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO audit_log (`+entryColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9::bigint, 0))`, values...)
	return wrap(err, "audit "+e.Action)
}

// entryColumns are what is written of an entry, and entryValues are its values, as done by the actor of ctx: for a
// statement that writes its entry with what it does. The last one is 0 for none.
const entryColumns = `actor_kind, actor, actor_id, action, target, diff, reason, request_id, policy_revision`

func entryValues(ctx context.Context, e audit.Entry) ([]any, error) {
	var diff []byte
	if e.Diff != nil {
		var err error
		if diff, err = json.Marshal(e.Diff); err != nil {
			return nil, err
		}
	}
	actor := audit.ActorFrom(ctx)
	return []any{actor.Kind, actor.EntryName(), cmp.Or(actor.ID, actor.Name), e.Action, e.Target, diff, e.Reason, audit.RequestIDFrom(ctx), e.Revision}, nil
}

// Enter writes e into the audit log in a transaction of its own: a refusal, a sensitive read, a sign-in, which
// change nothing. It is written even if the caller has hung up since, so that hanging up hides nothing.
func (s *Store) Enter(ctx context.Context, e audit.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enterWithin)
	defer cancel()
	return s.Write(ctx, func(*Tx) (audit.Entry, error) { return e, nil })
}

const enterWithin = 5 * time.Second
