package store

import (
	"encoding/json"
	"time"

	"lastcall/domain/audit"
)

// AuditEntry is a row of the audit log.
type AuditEntry struct {
	ID             int64 `gorm:"primaryKey;autoIncrement"`
	At             time.Time
	ActorKind      string
	Actor          string
	Action         string
	Target         string
	Diff           json.RawMessage `gorm:"type:jsonb"`
	Reason         string
	RequestID      string
	PolicyRevision *int64
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
			(actor_kind, actor, action, target, diff, reason, request_id, policy_revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8::bigint, 0))`,
		actor.Kind, actor.Name, e.Action, e.Target, diff, e.Reason, audit.RequestIDFrom(tx.ctx), e.Revision)
	return wrap(err, "audit "+e.Action)
}
