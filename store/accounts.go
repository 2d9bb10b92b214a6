package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
)

// Account is a person who may sign in.
type Account struct {
	ID           uuid.UUID `gorm:"type:uuid;primaryKey"`
	Email        string    // in lower case
	Name         string
	Role         access.Role
	PasswordHash string     // argon2id, with its parameters and salt
	CreatedAt    time.Time  `gorm:"default:clock_timestamp()"`
	DisabledAt   *time.Time // nil: may sign in
}

// Actor is the account as the audit log names it.
func (a Account) Actor() audit.Actor {
	return audit.Actor{Kind: "account", Name: a.Email, ID: a.ID.String()}
}

func (a Account) target() string { return "account/" + a.ID.String() }

// NewAccount is what an account is made of.
type NewAccount struct {
	Email, Name, Role, Password string
}

// AddAccount makes an account. It fails with domain.Invalid for everything that is wrong with n at once, and
// with domain.Conflict when the address has an account.
func (s *Store) AddAccount(ctx context.Context, n NewAccount) (a Account, err error) {
	var problems [4]error
	a.ID = uuid.Must(uuid.NewV7())
	a.Email, problems[0] = access.ParseEmail(n.Email)
	a.Name, problems[1] = access.ParseName(n.Name)
	a.Role, problems[2] = access.ParseRole(n.Role)
	problems[3] = about(access.CheckPassword(n.Password), "password")
	if err := errors.Join(problems[:]...); err != nil {
		return Account{}, err
	}
	if a.PasswordHash, err = hashPassword(ctx, n.Password); err != nil {
		return Account{}, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		return audit.Entry{Action: "account.added", Target: a.target(), Diff: map[string]any{"role": a.Role}}, tx.insertAccount(&a)
	})
	return a, err
}

func (tx *Tx) insertAccount(a *Account) error {
	if err := tx.guardSupport(a.Role, a.target()); err != nil {
		return err
	}
	made := tx.orm.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "email"}}, DoNothing: true}, clause.Returning{}).Create(a)
	if made.Error == nil && made.RowsAffected == 0 {
		return domain.E(domain.Conflict, "account_exists", "this address has an account already").About("email")
	}
	return made.Error
}

// EnsureAccount is AddAccount unless the address has an account: that one stays as it is, password and all.
func (s *Store) EnsureAccount(ctx context.Context, n NewAccount) error {
	email, err := access.ParseEmail(n.Email)
	if err != nil {
		return err
	}
	var there int64
	if err := s.orm.WithContext(ctx).Model(&Account{}).Where("email = ?", email).Count(&there).Error; err != nil || there > 0 {
		return unavailable(err)
	}
	_, err = s.AddAccount(ctx, n)
	if domain.CodeOf(err) == "account_exists" { // just now
		return nil
	}
	return err
}

// Accounts lists accounts, oldest first, those after the account `after` first; at most limit (1 to 1,000).
func (s *Store) Accounts(ctx context.Context, after uuid.UUID, limit int) ([]Account, error) {
	var all []Account
	err := s.orm.WithContext(ctx).Where("id > ?", after).Order("id").Limit(page(limit)).Find(&all).Error
	return all, unavailable(err)
}

// RenameAccount gives an account another name.
func (s *Store) RenameAccount(ctx context.Context, id uuid.UUID, name string) (a Account, err error) {
	if name, err = access.ParseName(name); err != nil {
		return a, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var err error
		if a, err = tx.account(id); err != nil {
			return audit.Entry{}, err
		}
		a.Name = name // the audit log does not keep names
		return audit.Entry{Action: "account.renamed", Target: a.target()}, tx.orm.Model(&a).Update("name", name).Error
	})
	return a, err
}

// SetAccountDisabled says whether an account may sign in. Disabling ends its sessions at once, with its tokens and the
// invitations it sent. It fails with domain.Forbidden for one's own account, and with domain.Conflict when no admin
// would be left.
func (s *Store) SetAccountDisabled(ctx context.Context, id uuid.UUID, disabled bool) (a Account, err error) {
	err = s.writeOther(ctx, id, func(tx *Tx) (audit.Entry, error) {
		var err error
		if disabled {
			err = tx.keepAnAdmin(id)
		}
		if err == nil {
			a, err = tx.account(id)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		entry := audit.Entry{Action: "account.enabled", Target: a.target()}
		was := a.DisabledAt
		a.DisabledAt = nil
		if !disabled && was != nil {
			if err := tx.guardSupport(a.Role, a.target()); err != nil {
				return audit.Entry{}, err
			}
		}
		if disabled {
			now := time.Now()
			a.DisabledAt = &now
			ended, err := tx.revokeSessions(id, uuid.Nil)
			if err == nil {
				err = tx.withdrawInvitationsBy(id)
			}
			if err != nil {
				return audit.Entry{}, err
			}
			entry.Action, entry.Diff = "account.disabled", map[string]any{"sessions_ended": ended}
		}
		return entry, tx.orm.Model(&a).Update("disabled_at", a.DisabledAt).Error
	})
	return a, err
}

// SetRole gives an account another role and ends its sessions. It fails with domain.Invalid about "role", with
// domain.Forbidden for one's own account, and with domain.Conflict when no admin would be left.
func (s *Store) SetRole(ctx context.Context, id uuid.UUID, name string) (a Account, err error) {
	role, err := access.ParseRole(name)
	if err != nil {
		return a, err
	}
	err = s.writeOther(ctx, id, func(tx *Tx) (audit.Entry, error) {
		var err error
		if role != access.Admin {
			err = tx.keepAnAdmin(id)
		}
		if err == nil {
			a, err = tx.account(id)
		}
		if err == nil && a.Role == role {
			err = domain.E(domain.Conflict, "role_unchanged", "this is the account's role already").About("role")
		}
		if err != nil {
			return audit.Entry{}, err
		}
		if a.DisabledAt == nil {
			if err := tx.guardSupport(role, a.target()); err != nil {
				return audit.Entry{}, err
			}
		}
		ended, err := tx.revokeSessions(id, uuid.Nil)
		if err == nil && role != access.Admin {
			err = tx.withdrawInvitationsBy(id)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		diff := map[string]any{"role": map[string]any{"from": a.Role, "to": role}, "sessions_ended": ended}
		a.Role = role
		return audit.Entry{Action: "account.role_changed", Target: a.target(), Diff: diff}, tx.orm.Model(&a).Update("role", role).Error
	})
	return a, err
}

// EndSessions ends all sessions of an account, at somebody else's word.
func (s *Store) EndSessions(ctx context.Context, id uuid.UUID) (ended int64, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		a, err := tx.account(id)
		if err == nil {
			ended, err = tx.revokeSessions(id, uuid.Nil)
		}
		return audit.Entry{Action: "account.sessions_ended", Target: a.target(), Diff: map[string]any{"sessions_ended": ended}}, err
	})
	return ended, err
}

// writeOther is Write for what nobody does to their own account. That somebody tried is in the audit log, and so is that
// no admin would have been left.
func (s *Store) writeOther(ctx context.Context, id uuid.UUID, fn func(tx *Tx) (audit.Entry, error)) error {
	err := error(domain.E(domain.Forbidden, "own_account", "nobody does this to their own account: ask another admin"))
	if audit.ActorFrom(ctx).ID != id.String() {
		err = s.Write(ctx, fn)
	}
	if code := domain.CodeOf(err); code == "own_account" || code == "last_admin" {
		return s.refused(ctx, "account.change_refused", Account{ID: id}.target(), err)
	}
	return err
}

// keepAnAdmin fails with domain.Conflict when an account is the only admin who may sign in. Nobody else is made less
// of until the transaction ends: two admins who take away each other's role at once do so one after the other.
func (tx *Tx) keepAnAdmin(id uuid.UUID) error {
	admins, err := tx.admins()
	if err == nil && len(admins) == 1 && admins[0] == id {
		err = domain.E(domain.Conflict, "last_admin", "this is the only admin who may sign in: make another one first")
	}
	return err
}

// admins returns those who may sign in, and keeps them from changing until the transaction ends.
func (tx *Tx) admins() ([]uuid.UUID, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT id FROM accounts WHERE role = 'admin' AND disabled_at IS NULL ORDER BY id FOR UPDATE`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// ResetPassword gives an account a password chosen by somebody else, ends all its sessions and its lock-out. It fails
// with domain.Forbidden for one's own account, whose password wants to be known first.
func (s *Store) ResetPassword(ctx context.Context, id uuid.UUID, password string) (Account, error) {
	if audit.ActorFrom(ctx).ID == id.String() {
		return Account{}, s.writeOther(ctx, id, nil)
	}
	if err := about(access.CheckPassword(password), "password"); err != nil {
		return Account{}, err
	}
	return s.setPassword(ctx, id, password, uuid.Nil, "account.password_reset", nil)
}

// ChangePassword gives the account of a session another password and ends its other sessions. The current
// password has to be known; wrong ones count as failures to sign in do. It fails with domain.Invalid about
// "current" or "new", and with domain.TooMany.
func (s *Store) ChangePassword(ctx context.Context, a Account, session uuid.UUID, current, next string) error {
	if err := about(access.CheckPassword(next), "new"); err != nil {
		return err
	}
	if current == next {
		return domain.E(domain.Invalid, "password_unchanged", "must differ from the current password").About("new")
	}
	counts := s.counts(a.Email, "")
	if err := s.countAttempt(ctx, counts); err != nil {
		return err
	}
	right, err := verifyPassword(ctx, current, a.PasswordHash)
	if err != nil {
		return errors.Join(err, s.uncount(ctx, counts))
	}
	if !right {
		err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
			return audit.Entry{Action: "account.password_refused", Target: a.target()}, tx.enterLockOuts(counts, a.target())
		})
		if err == nil {
			err = domain.E(domain.Invalid, "wrong_password", "is not your current password").About("current")
		}
		return err
	}
	_, err = s.setPassword(ctx, a.ID, next, session, "account.password_changed", func(_ *Tx, now Account) error {
		if now.PasswordHash != a.PasswordHash {
			return domain.E(domain.Conflict, "password_changed", "the password was changed meanwhile")
		}
		return nil
	})
	return err
}

// setPassword writes the new hash, ends all sessions but keep and a link to choose another one; check may object to the
// account as it is now.
func (s *Store) setPassword(ctx context.Context, id uuid.UUID, password string, keep uuid.UUID, action string,
	check func(*Tx, Account) error) (a Account, err error) {
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return a, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var err error
		a, err = tx.account(id)
		if err == nil && check != nil {
			err = check(tx, a)
		}
		if err == nil {
			err = tx.orm.Model(&a).Update("password_hash", hash).Error
		}
		if err == nil {
			_, err = tx.pgx.Exec(tx.ctx, `UPDATE password_resets SET used_at = clock_timestamp() WHERE account_id = $1 AND used_at IS NULL`, id)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		ended, err := tx.revokeSessions(id, keep)
		if err == nil {
			err = tx.forgive(s.counts(a.Email, ""))
		}
		return audit.Entry{Action: action, Target: a.target(), Diff: map[string]any{"sessions_ended": ended}}, err
	})
	return a, err
}

// account returns an account and keeps it from changing until the transaction ends.
func (tx *Tx) account(id uuid.UUID) (a Account, err error) {
	err = tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&a, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = notFound(err, "account", id)
	}
	return a, err
}

func about(err error, field string) error {
	if e, ok := errors.AsType[*domain.Error](err); ok {
		return e.About(field)
	}
	return err
}
