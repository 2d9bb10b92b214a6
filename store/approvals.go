package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
)

// Approval is what an account decided about a subject.
type Approval struct {
	ID          uuid.UUID `gorm:"type:uuid;primaryKey"`
	SubjectKind string
	SubjectID   string
	Digest      []byte // SHA-256 of the subject as it was decided about
	Verdict     approval.Verdict
	Reason      string
	ActorID     uuid.UUID   `gorm:"type:uuid"`
	ActorRole   access.Role // at the time
	RequestID   *uuid.UUID  `gorm:"type:uuid"` // nil: nobody had to ask
	RequesterID *uuid.UUID  `gorm:"type:uuid"`
	EditorID    *uuid.UUID  `gorm:"type:uuid"` // who had edited the subject last
	CreatedAt   time.Time   `gorm:"default:clock_timestamp()"`
	ExpiresAt   *time.Time  // nil: never
	VoidedAt    *time.Time
	VoidReason  *string // a code
}

// Subject is what it is about.
func (a Approval) Subject() approval.Subject {
	return approval.Subject{Kind: a.SubjectKind, ID: a.SubjectID}
}

func (a Approval) decision() approval.Decision {
	return approval.Decision{Subject: a.Subject(), Digest: a.Digest, Verdict: a.Verdict, ExpiresAt: a.ExpiresAt, Void: a.VoidedAt != nil}
}

// ApprovalRequest is a decision that somebody waits for.
type ApprovalRequest struct {
	ID          uuid.UUID `gorm:"type:uuid;primaryKey"`
	SubjectKind string
	SubjectID   string
	Digest      []byte          // SHA-256 of the subject as it was asked about
	Facts       json.RawMessage `gorm:"type:jsonb"` // what whoever decides is shown
	Reason      string
	RequesterID uuid.UUID `gorm:"type:uuid"`
	CreatedAt   time.Time `gorm:"default:clock_timestamp()"`
	ClosedAt    *time.Time
	ClosedWhy   *string // decided, superseded, over
}

// Subject is what it is about.
func (r ApprovalRequest) Subject() approval.Subject {
	return approval.Subject{Kind: r.SubjectKind, ID: r.SubjectID}
}

// Approval returns one decision.
func (s *Store) Approval(ctx context.Context, id uuid.UUID) (Approval, error) {
	var a Approval
	err := s.orm.WithContext(ctx).First(&a, "id = ?", id).Error
	return a, notFound(err, "approval", id)
}

// ask is what a decision is asked for with.
type ask struct {
	subject approval.Subject
	digest  []byte // of the subject now
	facts   any    // for whoever decides; no number, no message text
	reason  string
}

// ask files a request in the name of the account that acts. The one that was open, and the approvals there are, it
// supersedes. It fails with domain.Forbidden when no account acts.
func (tx *Tx) ask(a ask) (ApprovalRequest, error) {
	who, err := tx.actingAccount(true)
	if err != nil {
		return ApprovalRequest{}, err
	}
	if err := tx.closeRequest(a.subject, "superseded"); err != nil {
		return ApprovalRequest{}, err
	}
	if err := tx.void(a.subject, "superseded"); err != nil {
		return ApprovalRequest{}, err
	}
	facts, err := json.Marshal(a.facts)
	if err != nil {
		return ApprovalRequest{}, err
	}
	r := ApprovalRequest{ID: uuid.Must(uuid.NewV7()), SubjectKind: a.subject.Kind, SubjectID: a.subject.ID, Digest: a.digest,
		Facts: facts, Reason: a.reason, RequesterID: who.ID}
	return r, wrap(tx.orm.Clauses(clause.Returning{}).Create(&r).Error, "file request")
}

// decision is what an account decides.
type decision struct {
	subject    approval.Subject
	digest     []byte // of the subject now, read in this transaction
	seen       []byte // of the subject as whoever decides saw it
	verdict    approval.Verdict
	reason     string            // a rejection needs one
	permission access.Permission // what it takes
	lasts      time.Duration     // an approval; 0: for good
	from       *time.Time        // it lasts so long from then on, if that is later than now
	unasked    bool              // nobody has to ask first
}

// decide enters the verdict of the account that acts, and closes the request. The caller has locked the subject. It
// fails with domain.Forbidden for who may not, domain.Stale when the subject is not what was seen or asked about, and
// domain.Conflict when nothing is to be decided (any more).
func (tx *Tx) decide(d decision) (a Approval, err error) {
	if d.verdict == approval.Rejected && d.reason == "" {
		return a, domain.E(domain.Invalid, "no_reason", "say why it is rejected").About("reason")
	}
	if audit.ActorFrom(tx.ctx).Token != "" {
		return a, errToken
	}
	who, err := tx.actingAccount(true)
	if err != nil {
		return a, err
	}
	var asked []ApprovalRequest
	if err := tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).Where("subject_kind = ? AND subject_id = ? AND closed_at IS NULL",
		d.subject.Kind, d.subject.ID).Find(&asked).Error; err != nil {
		return a, err
	}
	a = Approval{ID: uuid.Must(uuid.NewV7()), SubjectKind: d.subject.Kind, SubjectID: d.subject.ID, Digest: d.digest,
		Verdict: d.verdict, Reason: d.reason, ActorID: who.ID, ActorRole: who.Role}
	if len(asked) == 1 {
		a.RequestID, a.RequesterID = &asked[0].ID, &asked[0].RequesterID
	}
	if a.EditorID, err = tx.lastEditor(d.subject); err != nil {
		return a, err
	}
	if err := who.MayDecide(d.permission, a.RequesterID, a.EditorID); err != nil {
		return a, err
	}
	switch {
	case len(asked) == 0 && !d.unasked:
		return a, domain.E(domain.Conflict, approval.NotAsked, "nothing is to be decided about it: nobody asks, or somebody has decided")
	case !bytes.Equal(d.seen, d.digest):
		return a, domain.E(domain.Stale, approval.Changed, "it is not what you looked at any more; look at it again")
	case len(asked) == 1 && !bytes.Equal(asked[0].Digest, d.digest):
		return a, domain.E(domain.Stale, approval.Changed, "it was changed since it was asked about; whoever wants it must ask again")
	}
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp()`).Scan(&a.CreatedAt); err != nil {
		return a, err
	}
	if d.verdict == approval.Approved && d.lasts > 0 {
		from := a.CreatedAt
		if d.from != nil && d.from.After(from) {
			from = *d.from
		}
		until := from.Add(d.lasts)
		a.ExpiresAt = &until
	}
	if err := tx.closeRequest(d.subject, "decided"); err != nil {
		return a, err
	}
	return a, wrap(tx.orm.Create(&a).Error, "enter decision")
}

// entry is what the audit log tells of a decision.
func (a Approval) entry() audit.Entry {
	return audit.Entry{Action: "approval." + string(a.Verdict), Target: a.Subject().String(), Reason: a.Reason, Diff: map[string]any{
		"approval_id": a.ID, "request_id": a.RequestID, "digest": hex.EncodeToString(a.Digest), "role": a.ActorRole, "expires_at": a.ExpiresAt}}
}

// Wanted is what an approval has to be of.
type Wanted struct {
	Subject    approval.Subject
	Digest     []byte            // of the subject as it is now
	Permission access.Permission // what giving it takes
}

// VerifyApproval reads an approval anew and tells whether it holds now: it is of this subject as it is, neither void nor
// expired, and of an account that may still give it and neither asked for it nor edited the subject last. One that does
// not hold is in the audit log as approval.refused; it fails with domain.Forbidden or domain.Conflict, by the codes of
// package approval.
func (s *Store) VerifyApproval(ctx context.Context, id uuid.UUID, w Wanted) (a Approval, err error) {
	err = s.inTx(ctx, func(tx *Tx) (err error) {
		a, err = tx.verifyApproval(id, w)
		return err
	})
	return a, s.Refused(ctx, w.Subject, id, err)
}

// verifyApproval is VerifyApproval in a transaction, until whose end what was found stays so. The caller hands what it
// fails with to Refused when that has ended.
func (tx *Tx) verifyApproval(id uuid.UUID, w Wanted) (a Approval, err error) {
	found := tx.orm.Clauses(clause.Locking{Strength: "SHARE"}).Limit(1).Find(&a, "id = ?", id)
	if found.Error == nil && found.RowsAffected == 0 {
		return a, domain.E(domain.Conflict, approval.Unknown, "there is no such approval")
	}
	if found.Error != nil {
		return a, found.Error
	}
	who, err := tx.person(a.ActorID, true)
	if err != nil {
		return a, err
	}
	return a, tx.holds(a, who, w)
}

// holds tells whether an approval that this person gave holds now.
func (tx *Tx) holds(a Approval, who approval.Person, w Wanted) error {
	var now time.Time
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return err
	}
	if err := a.decision().Check(w.Subject, w.Digest, now); err != nil {
		return err
	}
	editor, err := tx.lastEditor(w.Subject)
	if err != nil {
		return err
	}
	return who.MayDecide(w.Permission, a.RequesterID, editor)
}

// Refused enters the refusal of an approval, if err is one, in a transaction of its own, since that which was refused
// left nothing behind. One whose subject was changed is void from then on. It returns err.
func (s *Store) Refused(ctx context.Context, subject approval.Subject, id uuid.UUID, err error) error {
	return s.refusedAs(ctx, subject, id, err, err)
}

// refusedAs is Refused where people are told err, because of why.
func (s *Store) refusedAs(ctx context.Context, subject approval.Subject, id uuid.UUID, err, why error) error {
	code := domain.CodeOf(why)
	if !strings.HasPrefix(code, "approval_") {
		return err
	}
	diff := map[string]any{"code": code}
	if id != uuid.Nil {
		diff["approval_id"] = id
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enterWithin)
	defer cancel()
	failed := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		entry := audit.Entry{Action: "approval.refused", Target: subject.String(), Diff: diff}
		if code != approval.Changed || id == uuid.Nil {
			return entry, nil
		}
		_, err := tx.pgx.Exec(tx.ctx, `UPDATE approvals SET voided_at = clock_timestamp(), void_reason = 'changed'
			WHERE id = $1 AND verdict = 'approved' AND voided_at IS NULL`, id)
		return entry, err
	})
	if failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// void makes the approvals of a subject void; why is a code.
func (tx *Tx) void(subject approval.Subject, why string) error {
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE approvals SET voided_at = clock_timestamp(), void_reason = $3
		WHERE subject_kind = $1 AND subject_id = $2 AND verdict = 'approved' AND voided_at IS NULL`, subject.Kind, subject.ID, why)
	return wrap(err, "void approvals")
}

// closeRequest ends the open request about a subject, if there is one.
func (tx *Tx) closeRequest(subject approval.Subject, why string) error {
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE approval_requests SET closed_at = clock_timestamp(), closed_why = $3
		WHERE subject_kind = $1 AND subject_id = $2 AND closed_at IS NULL`, subject.Kind, subject.ID, why)
	return wrap(err, "close request")
}

// edited notes that the account that acts has edited a subject. What tokens and Lastcall itself do is nobody's edit.
func (tx *Tx) edited(subject approval.Subject) error {
	id, err := uuid.Parse(audit.ActorFrom(tx.ctx).ID)
	if err != nil {
		return nil
	}
	_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO edits (subject_kind, subject_id, account_id) VALUES ($1, $2, $3)`, subject.Kind, subject.ID, id)
	return wrap(err, "note edit")
}

// lastEditor is the account that edited a subject last; nil: none.
func (tx *Tx) lastEditor(subject approval.Subject) (id *uuid.UUID, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT (SELECT account_id FROM edits WHERE subject_kind = $1 AND subject_id = $2 ORDER BY id DESC LIMIT 1)`,
		subject.Kind, subject.ID).Scan(&id)
	return id, wrap(err, "last editor")
}

// errToken refuses an account's own token: it may ask, but only its owner decides, signed in.
var errToken = domain.E(domain.Forbidden, approval.NoAccount, "a person decides: sign in; a token cannot")

// actingAccount is the person who acts, as the database knows them now: domain.Forbidden when a token or Lastcall does.
func (tx *Tx) actingAccount(keep bool) (approval.Person, error) {
	actor := audit.ActorFrom(tx.ctx)
	id, err := uuid.Parse(actor.ID)
	if err != nil || actor.Kind != "account" {
		return approval.Person{}, domain.E(domain.Forbidden, approval.NoAccount, "this takes a person's account: sign in; a token cannot")
	}
	return tx.person(id, keep)
}

// person reads an account, and may keep it from being disabled until the transaction ends.
func (tx *Tx) person(id uuid.UUID, keep bool) (approval.Person, error) {
	var a Account
	q := tx.orm
	if keep {
		q = q.Clauses(clause.Locking{Strength: "SHARE"})
	}
	err := q.First(&a, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return approval.Person{}, domain.E(domain.Forbidden, approval.NoAccount, "there is no such account")
	}
	return approval.Person{ID: a.ID, Role: a.Role, Disabled: a.DisabledAt != nil}, err
}
