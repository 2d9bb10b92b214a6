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

// hashing bounds the memory of this process: four hashes at once have 76 MiB.
var hashing = turns{free: make(chan struct{}, 4), wait: 5 * time.Second}

func hashPassword(ctx context.Context, password string) (hash string, err error) {
	err = hashing.take(ctx, func() error {
		hash, err = argon2id.CreateHash(password, passwordCost)
		return err
	})
	return hash, err
}

func verifyPassword(ctx context.Context, password, hash string) (right bool, err error) {
	err = hashing.take(ctx, func() error {
		right, err = argon2id.ComparePasswordAndHash(password, hash)
		return err
	})
	return right, err
}

// turns are how many may do something costly at once. Who waits longer than wait is sent away.
type turns struct {
	free chan struct{}
	wait time.Duration
}

// take does work when it is its turn. It fails with domain.Unavailable when it does not become so in time.
func (t turns) take(ctx context.Context, work func() error) error {
	late := time.NewTimer(t.wait)
	defer late.Stop()
	select {
	case t.free <- struct{}{}:
		defer func() { <-t.free }()
		return work()
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return domain.E(domain.Unavailable, "busy", "too many people sign in at this moment")
	}
}
