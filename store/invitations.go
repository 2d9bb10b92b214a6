package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
)

// Invitation asks somebody to make an account of their own, by a link that is good once and for
// access.InvitationLasts. Of the link only a hash is kept.
type Invitation struct {
	ID          uuid.UUID `gorm:"type:uuid;primaryKey"`
	Email       string    // in lower case
	Name        string
	Role        access.Role
	InvitedBy   *uuid.UUID `gorm:"type:uuid"` // nil: a token, or the command line
	TokenHash   []byte
	CreatedAt   time.Time
	SentAt      *time.Time // the newest link; nil: its mail is not written yet
	ExpiresAt   *time.Time // that link's
	AcceptedAt  *time.Time
	WithdrawnAt *time.Time
}

func (i Invitation) target() string { return "invitation/" + i.ID.String() }

// isOpen is the condition for an invitation that may be accepted, or sent again.
const isOpen = `accepted_at IS NULL AND withdrawn_at IS NULL`

// NewInvitation is what an invitation is made of.
type NewInvitation struct {
	Email, Name, Role string
}

// Invite invites somebody; the mail follows the commit. It fails with domain.Invalid for all that is wrong with n at once,
// domain.Conflict when the address has an account or an invitation, and domain.TooMany.
func (s *Store) Invite(ctx context.Context, n NewInvitation) (Invitation, error) {
	i, err := parseInvitation(n)
	if err != nil {
		return i, err
	}
	if err := s.Spend(ctx, ByActor(ctx, access.InvitationsPerUser), Use{access.MailsPerInvitee, i.Email}); err != nil {
		return i, err
	}
	if by, err := uuid.Parse(audit.ActorFrom(ctx).ID); err == nil {
		i.InvitedBy = &by
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.insertInvitation(&i); err != nil {
			return audit.Entry{}, err
		}
		_, err := tx.send(KindInvitation, i.target(), SendInvitation{i.ID})
		return audit.Entry{Action: "invitation.sent", Target: i.target(), Diff: map[string]any{"role": i.Role}}, err
	})
	return i, err
}

func parseInvitation(n NewInvitation) (i Invitation, err error) {
	var problems [3]error
	i.ID = uuid.Must(uuid.NewV7())
	i.Email, problems[0] = access.ParseEmail(n.Email)
	i.Name, problems[1] = access.ParseName(n.Name)
	i.Role, problems[2] = access.ParseRole(n.Role)
	return i, errors.Join(problems[:]...)
}

func (tx *Tx) insertInvitation(i *Invitation) error {
	var exists bool
	err := tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM accounts WHERE email = $1)`, i.Email).Scan(&exists)
	if err == nil && exists {
		err = domain.E(domain.Conflict, "account_exists", "this address has an account already").About("email")
	}
	if err != nil {
		return err
	}
	err = tx.pgx.QueryRow(tx.ctx, `INSERT INTO invitations (id, email, name, role, invited_by) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (email) WHERE `+isOpen+` DO NOTHING RETURNING created_at`, i.ID, i.Email, i.Name, i.Role, i.InvitedBy).Scan(&i.CreatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		err = domain.E(domain.Conflict, "already_invited", "this address is invited already: send it again, or withdraw it").About("email")
	}
	return err
}

// Invitations lists the open invitations, oldest first, those after the invitation `after` first; at most limit (1 to 1,000).
func (s *Store) Invitations(ctx context.Context, after uuid.UUID, limit int) ([]Invitation, error) {
	var all []Invitation
	err := s.orm.WithContext(ctx).Where("id > ? AND "+isOpen, after).Order("id").Limit(page(limit)).Find(&all).Error
	return all, unavailable(err)
}

// ResendInvitation sends an open invitation again: a new link, the one before ends when its mail is written. It fails with
// domain.NotFound when it is not open, and with domain.TooMany.
func (s *Store) ResendInvitation(ctx context.Context, id uuid.UUID) (i Invitation, err error) {
	if i, err = s.openInvitation(ctx, id); err != nil {
		return i, err
	}
	if err := s.Spend(ctx, Use{access.MailsPerInvitee, i.Email}); err != nil {
		return i, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		_, err := tx.send(KindInvitation, i.target(), SendInvitation{i.ID})
		return audit.Entry{Action: "invitation.sent_again", Target: i.target()}, err
	})
	return i, err
}

// WithdrawInvitation ends an open invitation and its link. It fails with domain.NotFound when it is not open.
func (s *Store) WithdrawInvitation(ctx context.Context, id uuid.UUID) (i Invitation, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		err := tx.orm.Raw(`UPDATE invitations SET withdrawn_at = clock_timestamp() WHERE id = ? AND `+isOpen+` RETURNING *`, id).Take(&i).Error
		return audit.Entry{Action: "invitation.withdrawn", Target: i.target()}, notFound(err, "invitation", id)
	})
	return i, err
}

// withdrawInvitationsBy ends the open invitations of somebody who may not invite any more.
func (tx *Tx) withdrawInvitationsBy(account uuid.UUID) error {
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE invitations SET withdrawn_at = clock_timestamp() WHERE invited_by = $1 AND `+isOpen, account)
	return err
}

func (s *Store) openInvitation(ctx context.Context, id uuid.UUID) (i Invitation, err error) {
	err = s.orm.WithContext(ctx).Where("id = ? AND "+isOpen, id).Take(&i).Error
	return i, notFound(err, "invitation", id)
}

// InvitationLink makes a new link of an open invitation and returns the token that is its end, which is told nobody again.
// It fails with domain.NotFound when the invitation is not open any more.
func (s *Store) InvitationLink(ctx context.Context, id uuid.UUID) (i Invitation, token string, err error) {
	token, hash := newSecret()
	err = s.inTx(ctx, func(tx *Tx) error {
		i, err = tx.linkInvitation(id, hash)
		return err
	})
	return i, token, err
}

func (tx *Tx) linkInvitation(id uuid.UUID, hash []byte) (i Invitation, err error) {
	err = tx.orm.Raw(`UPDATE invitations SET token_hash = ?, sent_at = clock_timestamp(), expires_at = clock_timestamp() + ?::interval
		WHERE id = ? AND `+isOpen+` RETURNING *`, hash, seconds(access.InvitationLasts), id).Take(&i).Error
	return i, notFound(err, "invitation", id)
}

// FirstAdmin invites the first admin of an installation and returns the link's token. A link that was made so before
// ends. It fails with domain.Conflict when an admin may sign in already.
func (s *Store) FirstAdmin(ctx context.Context, email, name string) (i Invitation, token string, err error) {
	made, err := parseInvitation(NewInvitation{email, name, string(access.Admin)})
	if err != nil {
		return i, "", err
	}
	token, hash := newSecret()
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		switch admins, err := tx.admins(); {
		case err != nil:
			return audit.Entry{}, err
		case len(admins) > 0:
			return audit.Entry{}, domain.E(domain.Conflict, "admin_exists", "there is an admin already: who comes next is invited by one")
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE invitations SET withdrawn_at = clock_timestamp() WHERE (role = 'admin' AND invited_by IS NULL OR email = $1) AND `+isOpen,
			made.Email); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.insertInvitation(&made); err != nil {
			return audit.Entry{}, err
		}
		i, err = tx.linkInvitation(made.ID, hash)
		return audit.Entry{Action: "invitation.first_admin", Target: made.target()}, err
	})
	return i, token, err
}

// InvitationOf returns the invitation that a link's token is for. It fails with domain.NotFound (link_unknown) or
// domain.Conflict (link_used, link_withdrawn, link_expired), and that is in the audit log, too.
func (s *Store) InvitationOf(ctx context.Context, token, address string) (i Invitation, err error) {
	ctx = audit.WithActor(ctx, s.client(address))
	if err := s.Spend(ctx, FromAddress(access.LinksPerAddress, address)); err != nil {
		return i, err
	}
	err = s.orm.WithContext(ctx).Where("token_hash = ?", hashOf(token)).Take(&i).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		err = errUnknownLink()
	case err != nil:
		return i, unavailable(err)
	case i.AcceptedAt != nil:
		err = errUsedLink()
	case i.WithdrawnAt != nil:
		err = domain.E(domain.Conflict, "link_withdrawn", "this invitation was withdrawn").About("token")
	case i.ExpiresAt.Before(time.Now()):
		err = domain.E(domain.Conflict, "link_expired", "this invitation has expired: ask for another one").About("token")
	default:
		return i, nil
	}
	target := "invitation/unknown"
	if i.ID != uuid.Nil {
		target = i.target()
	}
	return i, s.refused(ctx, "link.refused", target, err)
}

func errUnknownLink() error {
	return domain.E(domain.NotFound, "link_unknown", "this link leads nowhere: a newer one may have taken its place").About("token")
}

func errUsedLink() error {
	return domain.E(domain.Conflict, "link_used", "this link was used already").About("token")
}

// Acceptance is how somebody accepts an invitation.
type Acceptance struct {
	Token, Name, Password string
	Address               string    // the client's
	Agent                 string    // the browser's family
	Replaces              uuid.UUID // the session the client has now, which ends
}

// AcceptInvitation makes the account of an invitation and signs its owner in: see OpenSession for what is returned. It
// fails as InvitationOf does, with domain.Invalid about "name" and "password", and with domain.Conflict when the
// address has got an account otherwise.
func (s *Store) AcceptInvitation(ctx context.Context, in Acceptance) (token string, opened Session, a Account, err error) {
	i, err := s.InvitationOf(ctx, in.Token, in.Address)
	if err != nil {
		return "", opened, a, err
	}
	var problems [2]error
	a = Account{ID: uuid.Must(uuid.NewV7()), Email: i.Email, Role: i.Role}
	a.Name, problems[0] = access.ParseName(in.Name)
	problems[1] = about(access.CheckPassword(in.Password), "password")
	if err := errors.Join(problems[:]...); err != nil {
		return "", opened, a, err
	}
	if a.PasswordHash, err = hashPassword(ctx, in.Password); err != nil {
		return "", opened, a, err
	}
	err = s.Write(audit.WithActor(ctx, a.Actor()), func(tx *Tx) (audit.Entry, error) {
		taken, err := tx.pgx.Exec(tx.ctx, `UPDATE invitations SET accepted_at = clock_timestamp()
			WHERE id = $1 AND token_hash = $2 AND expires_at > clock_timestamp() AND `+isOpen, i.ID, i.TokenHash)
		if err == nil && taken.RowsAffected() == 0 {
			err = errUsedLink() // just now
		}
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.insertAccount(&a); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "account.added", Target: a.target(), Diff: map[string]any{"role": a.Role, "invitation": i.ID}}, nil
	})
	if err != nil {
		if domain.KindOf(err) == domain.Conflict {
			err = s.refused(audit.WithActor(ctx, s.client(in.Address)), "link.refused", i.target(), err)
		}
		return "", opened, a, err
	}
	token, opened, err = s.openSession(ctx, a, SignIn{Agent: in.Agent, Replaces: in.Replaces}, nil)
	return token, opened, a, err
}

// newSecret is a token of 256 random bits and the SHA-256 of it, which is all that is kept: it is random, so a slow
// hash would add nothing.
func newSecret() (token string, hash []byte) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	token = base64.RawURLEncoding.EncodeToString(random)
	return token, hashOf(token)
}

func hashOf(token string) []byte {
	hash := sha256.Sum256([]byte(token))
	return hash[:]
}
