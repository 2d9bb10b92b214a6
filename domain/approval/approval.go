// Package approval says when a person's decision holds: who may decide, about what, and for how long. It is the one
// mechanism for whatever a second person has to agree to.
package approval

import (
	"bytes"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
)

// Subject is what is decided about: a campaign, an override, a version of a template.
type Subject struct {
	Kind string // lower case: "campaign"
	ID   string
}

// String is the subject as the audit log names it: "campaign/<id>".
func (s Subject) String() string { return s.Kind + "/" + s.ID }

// Verdict is what was decided.
type Verdict string

// The verdicts.
const (
	Approved Verdict = "approved"
	Rejected Verdict = "rejected"
)

// The codes of what keeps somebody from deciding, or a decision from being used. Each is what the audit log tells
// of an approval.refused.
const (
	NoAccount = "approval_account"   // a token or a part of the system decides nothing
	Disabled  = "approval_disabled"  // the account may not sign in any more
	WrongRole = "approval_role"      // its role may not decide this
	Own       = "approval_own"       // who asked for it, or edited it last
	NotAsked  = "approval_not_asked" // or decided already
	Changed   = "approval_changed"   // the subject is not what was looked at
	Unknown   = "approval_unknown"   // no such row
	Foreign   = "approval_foreign"   // of another subject
	Declined  = "approval_rejected"
	Void      = "approval_void" // superseded, or the subject changed
	Expired   = "approval_expired"
	Late      = "approval_late"     // what was approved is to begin long after its time
	Required  = "approval_required" // it may not be done without one
)

// Person is an account at the moment it is asked about.
type Person struct {
	ID       uuid.UUID
	Role     access.Role
	Disabled bool
}

// MayDecide tells whether p may decide what takes this permission, asked for by requester, edited last by editor; nil:
// nobody. It fails with domain.Forbidden of code Disabled, WrongRole or Own.
func (p Person) MayDecide(permission access.Permission, requester, editor *uuid.UUID) error {
	switch {
	case p.Disabled:
		return domain.E(domain.Forbidden, Disabled, "the account is disabled")
	case !access.May(p.Role, permission):
		return domain.E(domain.Forbidden, WrongRole, "the role %s may not decide this: it takes %s", p.Role, permission)
	case requester != nil && *requester == p.ID:
		return domain.E(domain.Forbidden, Own, "nobody decides what they asked for: somebody else must")
	case editor != nil && *editor == p.ID:
		return domain.E(domain.Forbidden, Own, "nobody decides about what they edited last: somebody else must")
	}
	return nil
}

// Decision is a verdict as it was given.
type Decision struct {
	Subject   Subject
	Digest    []byte // of the subject then
	Verdict   Verdict
	ExpiresAt *time.Time // nil: never
	Void      bool
}

// Check tells whether d may be used now, for this subject as it is now. It fails with domain.Conflict of code Foreign,
// Declined, Void, Changed or Expired.
func (d Decision) Check(subject Subject, digest []byte, now time.Time) error {
	switch {
	case d.Subject != subject:
		return domain.E(domain.Conflict, Foreign, "the approval is of something else")
	case d.Verdict != Approved:
		return domain.E(domain.Conflict, Declined, "it was rejected")
	case d.Void:
		return domain.E(domain.Conflict, Void, "the approval is void")
	case !bytes.Equal(d.Digest, digest):
		return domain.E(domain.Conflict, Changed, "what was approved has been changed since")
	case d.ExpiresAt != nil && !now.Before(*d.ExpiresAt):
		return domain.E(domain.Conflict, Expired, "the approval has expired")
	}
	return nil
}

// Short is the beginning of a digest, for people to compare.
func Short(digest []byte) string { return hex.EncodeToString(digest[:min(len(digest), 6)]) }
