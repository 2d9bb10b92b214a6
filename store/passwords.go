package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/alexedwards/argon2id"

	"lastcall/domain"
)

// passwordCost is OWASP's smaller setting: 19 MiB and two passes, on one thread, so that hashes of several people at
// once cost no more than they are. A stored hash names its own cost, so a higher one here counts from the next password on.
var passwordCost = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// nobodysHash is compared where there is no account, so that it takes as long. No password has it.
var nobodysHash = fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
	passwordCost.Memory, passwordCost.Iterations, passwordCost.Parallelism,
	base64.RawStdEncoding.EncodeToString(make([]byte, passwordCost.SaltLength)),
	base64.RawStdEncoding.EncodeToString(make([]byte, passwordCost.KeyLength)))

// hashing bounds the hashes made at once in this process to 4, 76 MiB. Who waits longer than hashWithin is sent away.
var hashing = make(chan struct{}, 4)

const hashWithin = 5 * time.Second

func hashPassword(ctx context.Context, password string) (hash string, err error) {
	err = whenFree(ctx, func() error {
		hash, err = argon2id.CreateHash(password, passwordCost)
		return err
	})
	return hash, err
}

func verifyPassword(ctx context.Context, password, hash string) (right bool, err error) {
	err = whenFree(ctx, func() error {
		right, err = argon2id.ComparePasswordAndHash(password, hash)
		return err
	})
	return right, err
}

func whenFree(ctx context.Context, work func() error) error {
	wait := time.NewTimer(hashWithin)
	defer wait.Stop()
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
		return work()
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return domain.E(domain.Unavailable, "busy", "too many people sign in at this moment")
	}
}
