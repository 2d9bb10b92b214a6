package voucher

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"lastcall/domain"
)

// Keys are the keys that vouchers are signed with and verified by: all that are not retired. They never change;
// a rotation makes others.
type Keys struct {
	signs Key
	byID  map[KeyID]Key
}

// NewKeys makes the keys as they are at that time: the newest whose SignsFrom has come signs, the first to come
// if none has; all verify. Errors are domain.Invalid: no_signing_key, and duplicate_key for two with one id.
func NewKeys(at time.Time, keys ...Key) (*Keys, error) {
	if len(keys) == 0 {
		return nil, domain.E(domain.Invalid, "no_signing_key", "There is no key to sign vouchers with.")
	}
	k := &Keys{byID: map[KeyID]Key{}}
	keys = slices.SortedStableFunc(slices.Values(keys), func(a, b Key) int { return a.SignsFrom.Compare(b.SignsFrom) })
	k.signs = keys[0]
	for _, key := range keys {
		if _, twice := k.byID[key.id]; twice {
			return nil, domain.E(domain.Invalid, "duplicate_key", "Two keys have the id %s.", key.id)
		}
		k.byID[key.id] = key
		if !key.SignsFrom.After(at) {
			k.signs = key
		}
	}
	return k, nil
}

// Signs is the key that signs now.
func (k *Keys) Signs() Key { return k.signs }

// List returns all keys, oldest first.
func (k *Keys) List() []Key {
	list := make([]Key, 0, len(k.byID))
	for _, key := range k.byID {
		list = append(list, key)
	}
	slices.SortFunc(list, func(a, b Key) int {
		if byTime := a.SignsFrom.Compare(b.SignsFrom); byTime != 0 {
			return byTime
		}
		return slices.Compare(a.id[:], b.id[:])
	})
	return list
}

// Key is one Ed25519 key pair. It prints as its id: the private half is had by Seed alone.
type Key struct {
	SignsFrom time.Time // it verifies before that, so that all stations know it when it is first used

	id      KeyID
	private ed25519.PrivateKey
}

// KeyID recognises a key: the first four bytes of its public half's SHA-256.
type KeyID [4]byte

// NewKey makes a key of its own.
func NewKey(signsFrom time.Time) Key {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails: it ends the process instead
	key, _ := KeyFromSeed(seed, signsFrom)
	return key
}

// KeyFromSeed makes the key of a seed of 32 bytes; domain.Invalid (bad_key) for another length.
func KeyFromSeed(seed []byte, signsFrom time.Time) (Key, error) {
	if len(seed) != ed25519.SeedSize {
		return Key{}, domain.E(domain.Invalid, "bad_key", "A signing key's seed has %d bytes.", ed25519.SeedSize)
	}
	key := Key{SignsFrom: signsFrom, private: ed25519.NewKeyFromSeed(seed)}
	sum := sha256.Sum256(key.Public())
	copy(key.id[:], sum[:])
	return key, nil
}

// ID names the key in tokens, files and logs.
func (k Key) ID() KeyID { return k.id }

// Public is the half that everybody may have, 32 bytes.
func (k Key) Public() ed25519.PublicKey {
	return ed25519.PublicKey(slices.Clone(k.private[ed25519.SeedSize:]))
}

// Seed is the secret the key is made of, 32 bytes. It is for the file that keeps it.
func (k Key) Seed() []byte { return k.private.Seed() }

// Format prints the id for every verb, so that no log ever gets the secret.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.id.String())) }

func (id KeyID) String() string { return hex.EncodeToString(id[:]) }
