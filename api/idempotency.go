package api

import (
	"crypto/sha256"
	"encoding/json"
	"regexp"

	"lastcall/domain"
)

// RequestKey is the key of a request that creates something.
type RequestKey struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again makes nothing new and answers the same"`
}

// of is the key, checked, and a hash of what was asked for with it.
func (k RequestKey) of(request any) (key string, hash []byte, err error) {
	if err := checkKey(k.IdempotencyKey); err != nil {
		return "", nil, err
	}
	hash, err = hashOf(request)
	return k.IdempotencyKey, hash, err
}

var idempotencyKeyRule = regexp.MustCompile(`^[\x21-\x7e]{1,200}$`)

// checkKey says what is wrong with an idempotency key, if there is one.
func checkKey(key string) error {
	if key != "" && !idempotencyKeyRule.MatchString(key) {
		return domain.E(domain.Invalid, "bad_idempotency_key", "use 1 to 200 visible ASCII characters").About("Idempotency-Key")
	}
	return nil
}

// hashOf tells a request from another one with the same key.
func hashOf(request any) ([]byte, error) {
	raw, err := json.Marshal(request) // maps are sorted: the same request is the same bytes
	sum := sha256.Sum256(raw)
	return sum[:], err
}
