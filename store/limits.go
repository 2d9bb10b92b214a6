package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
)

// Use is one use of something limited. Of is who uses it: an account, a token, an address; only its keyed hash is kept.
type Use struct {
	Limit access.Limit
	Of    string
}

// Spend notes uses, all or none of them. It fails with domain.TooMany, and says when to come back, when one is used up;
// the audit log hears of it once, until there is something to spend again. Uses are counted in the database: neither a
// restart nor another process gives more.
func (s *Store) Spend(ctx context.Context, uses ...Use) error {
	var empty Use
	err := s.inTx(ctx, func(tx *Tx) error {
		for _, empty = range uses {
			if err := s.spend(tx, empty); err != nil {
				return err
			}
		}
		return nil
	})
	if domain.KindOf(err) != domain.TooMany {
		return err
	}
	return errors.Join(err, s.inTx(ctx, func(tx *Tx) error {
		first, err := tx.pgx.Exec(tx.ctx, `UPDATE rate_limits SET refused = true WHERE name = $1 AND key = $2 AND NOT refused`,
			empty.Limit.Name, s.limitKey(empty))
		if err != nil || first.RowsAffected() == 0 {
			return err
		}
		return tx.enter(audit.Entry{Action: "limit.reached", Target: "limit/" + empty.Limit.Name})
	}))
}

// spend notes one use. A row says when all uses will have been forgotten, each taking Every: more than Burst of them
// ahead is too many.
func (s *Store) spend(tx *Tx, u Use) error {
	key, every, burst := s.limitKey(u), u.Limit.Every, time.Duration(u.Limit.Burst)
	done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO rate_limits AS r (name, key, used_up_until) VALUES ($1, $2, clock_timestamp() + $3::interval)
		ON CONFLICT (name, key) DO UPDATE SET refused = false, used_up_until = greatest(r.used_up_until, clock_timestamp()) + $3::interval
		WHERE greatest(r.used_up_until, clock_timestamp()) + $3::interval <= clock_timestamp() + $4::interval`,
		u.Limit.Name, key, every, every*burst)
	if err != nil || done.RowsAffected() > 0 {
		return err
	}
	var seconds float64
	err = tx.pgx.QueryRow(tx.ctx, `SELECT extract(epoch FROM used_up_until + $3::interval - $4::interval - clock_timestamp())::float8
		FROM rate_limits WHERE name = $1 AND key = $2`, u.Limit.Name, key, every, every*burst).Scan(&seconds)
	if errors.Is(err, pgx.ErrNoRows) { // forgotten in this moment
		seconds, err = 1, nil
	}
	if err != nil {
		return err
	}
	wait := time.Duration(math.Ceil(max(seconds, 1))) * time.Second
	return domain.E(domain.TooMany, "too_often", "this was asked for too often: try again in %s", wait).After(wait)
}

func (s *Store) limitKey(u Use) []byte {
	h := hmac.New(sha256.New, s.pepper)
	h.Write([]byte("limit " + u.Limit.Name + " " + u.Of))
	return h.Sum(nil)
}

// FromAddress is a use by a client at this address, an IPv6 client being its /64.
func FromAddress(l access.Limit, address string) Use { return Use{l, network(address)} }

// ByActor is a use by whoever acts in ctx, with or without a token of theirs.
func ByActor(ctx context.Context, l access.Limit) Use { return Use{l, audit.ActorFrom(ctx).LogName()} }

// client names whoever is at an address in the audit log, where it only has to be recognised.
func (s *Store) client(address string) audit.Actor {
	c := failureCount{key: s.failureKey("address", network(address))}
	return audit.Actor{Kind: "client", Name: c.digest()}
}

// RefuseCaller enters into the audit log that a request was refused before anybody was recognised: a forged or replayed
// cookie or token, another site's post. Of one client a few are entered, then one a minute: nobody fills the log.
func (s *Store) RefuseCaller(ctx context.Context, address, code string) error {
	return s.inTx(audit.WithActor(ctx, s.client(address)), func(tx *Tx) error {
		err := s.spend(tx, FromAddress(access.RefusalsEntered, address))
		if domain.KindOf(err) == domain.TooMany {
			return nil
		}
		if err == nil {
			err = tx.enter(audit.Entry{Action: "request.refused", Target: "client/" + audit.ActorFrom(tx.ctx).Name, Diff: map[string]any{"code": code}})
		}
		return err
	})
}

// refused enters into the audit log that something was refused, and returns why.
func (s *Store) refused(ctx context.Context, action, target string, why error) error {
	return errors.Join(why, s.Enter(ctx, audit.Entry{Action: action, Target: target, Diff: map[string]any{"code": domain.CodeOf(why)}}))
}
