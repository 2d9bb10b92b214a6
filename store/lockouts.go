package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
)

// failureCount counts the failures in a row of an account or of a client address. They are counted in the database, so
// that neither a restart nor another API process gives new tries, and before the password is looked at, so that many
// tries at once count as many.
type failureCount struct {
	kind        string
	key         []byte     // a keyed hash: neither address is kept
	failures    int        // with this attempt
	lockedUntil *time.Time // this attempt, if it fails, begins a lock-out
	target      string     // what the audit log calls it; "": the account, or the address's digest
}

// counts are the counts that an attempt goes to; address "" is none. They are locked in this order.
func (s *Store) counts(email, address string) []*failureCount {
	counts := []*failureCount{{kind: "account", key: s.failureKey("account", email)}}
	if address != "" {
		counts = append(counts, &failureCount{kind: "address", key: s.failureKey("address", network(address))})
	}
	return counts
}

func (s *Store) failureKey(kind, of string) []byte {
	h := hmac.New(sha256.New, s.pepper)
	h.Write([]byte("sign-in " + kind + " " + of))
	return h.Sum(nil)
}

// network is what one client may be assumed to have: an IPv4 address, or the /64 of an IPv6 one.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// countAttempt counts an attempt as a failure. It fails with domain.TooMany, and counts nothing, while one
// of them is locked out.
func (s *Store) countAttempt(ctx context.Context, counts []*failureCount) error {
	return s.inTx(ctx, func(tx *Tx) error {
		for _, c := range counts {
			c.lockedUntil = nil
			err := tx.pgx.QueryRow(tx.ctx, `INSERT INTO sign_in_failures AS f (kind, key, failures, failed_at)
				VALUES ($1, $2, 1, clock_timestamp())
				ON CONFLICT (kind, key) DO UPDATE SET failed_at = clock_timestamp(), locked_until = NULL,
					failures = CASE WHEN f.failed_at < clock_timestamp() - $3::interval THEN 1 ELSE f.failures + 1 END
				WHERE f.locked_until IS NULL OR f.locked_until <= clock_timestamp()
				RETURNING failures`, c.kind, c.key, access.FailuresForgotten).Scan(&c.failures)
			if errors.Is(err, pgx.ErrNoRows) {
				return tx.lockedOut(c)
			}
			if wait := access.LockOut(c.failures); err == nil && wait > 0 {
				err = tx.pgx.QueryRow(tx.ctx, `UPDATE sign_in_failures SET locked_until = clock_timestamp() + $3::interval
					WHERE kind = $1 AND key = $2 RETURNING locked_until`, c.kind, c.key, wait).Scan(&c.lockedUntil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (tx *Tx) lockedOut(c *failureCount) error {
	var seconds float64
	err := tx.pgx.QueryRow(tx.ctx, `SELECT extract(epoch FROM locked_until - clock_timestamp())::float8 FROM sign_in_failures
		WHERE kind = $1 AND key = $2`, c.kind, c.key).Scan(&seconds)
	if err != nil {
		return err
	}
	wait := max(time.Duration(seconds*float64(time.Second)), time.Second).Round(time.Second)
	return domain.E(domain.TooMany, "locked_out", "too many failures: try again in %s", wait).After(wait)
}

// uncount takes back an attempt that came to no verdict.
func (s *Store) uncount(ctx context.Context, counts []*failureCount) error {
	return s.inTx(context.WithoutCancel(ctx), func(tx *Tx) error {
		for _, c := range counts {
			if err := tx.uncount(c); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgive takes back the attempt that succeeded. The account's failures are forgotten with it; the address's are not, or
// whoever has an account could try those of others between two sign-ins of their own.
func (tx *Tx) forgive(counts []*failureCount) error {
	for _, c := range counts {
		var err error
		if c.kind == "account" {
			_, err = tx.pgx.Exec(tx.ctx, `DELETE FROM sign_in_failures WHERE kind = $1 AND key = $2`, c.kind, c.key)
		} else {
			err = tx.uncount(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) uncount(c *failureCount) error {
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE sign_in_failures SET failures = greatest(failures - 1, 0),
			locked_until = CASE WHEN locked_until = $3::timestamptz THEN NULL ELSE locked_until END
		WHERE kind = $1 AND key = $2`, c.kind, c.key, c.lockedUntil)
	return err
}

// enterLockOuts enters into the audit log the lock-outs that a failure began.
func (tx *Tx) enterLockOuts(counts []*failureCount, account string) error {
	for _, c := range counts {
		if c.lockedUntil == nil {
			continue
		}
		target := account
		switch {
		case c.target != "":
			target = c.target
		case c.kind == "address":
			target = "address/" + c.digest()
		}
		if err := tx.enter(audit.Entry{Action: "sign_in.locked_out", Target: target,
			Diff: map[string]any{"failures": c.failures, "until": c.lockedUntil.UTC()}}); err != nil {
			return err
		}
	}
	return nil
}

// digest names the count in the audit log, where it only has to be recognised.
func (c *failureCount) digest() string { return hex.EncodeToString(c.key[:8]) }
