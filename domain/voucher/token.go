package voucher

import (
	"crypto/ed25519"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
)

// Claims are what a voucher's QR code says, and its signature vouches for. They hold no amount and no number.
type Claims struct {
	Voucher uuid.UUID
	Scope   TokenScope
	Station uuid.UUID // with ScopeStation; else zero
	Expires time.Time // the first moment at which it is worth nothing; whole seconds, UTC
}

// ClaimsOf are the claims of a voucher for these stations, none for all.
func ClaimsOf(id uuid.UUID, stations []uuid.UUID, expires time.Time) Claims {
	c := Claims{Voucher: id, Scope: TokenAll, Expires: expires}
	switch ScopeOf(len(stations)) {
	case ScopeStation:
		c.Scope, c.Station = TokenStation, stations[0]
	case ScopeStations:
		c.Scope = TokenSet
	}
	return c
}

// TokenScope says where a token's voucher may be redeemed, as far as a token can say it.
type TokenScope byte

// The scopes of tokens.
const (
	TokenAll     TokenScope = 1 // at every station
	TokenSet     TokenScope = 2 // at some stations: only the server knows which
	TokenStation TokenScope = 3 // at Claims.Station
)

// What Verify finds wrong. Compare with errors.Is.
var (
	ErrTokenMalformed  error = domain.E(domain.Invalid, "token_malformed", "This is no voucher's code.")
	ErrTokenUnknownKey error = domain.E(domain.Invalid, "token_unknown_key", "This code was signed with a key that is not known here, or no longer.")
	ErrTokenForged     error = domain.E(domain.Invalid, "token_forged", "This code was not signed by us.")
	ErrTokenExpired    error = domain.E(domain.Conflict, "token_expired", "This voucher has expired.")
)

// A token is the base 32 (RFC 4648, capitals, no padding) of these bytes. The alphabet keeps a QR code in its
// alphanumeric mode, 5.5 bits a character: with it a token needs no larger code than with base 45, which has spaces and
// percent signs in it, and a smaller one than with base 64, which forces the 8 bits of byte mode.
//
//	0      version, 1
//	1–4    key id: the first bytes of the SHA-256 of the public key
//	5–20   voucher id
//	21     scope
//	22–37  station id, with TokenStation only
//	then   expiry, seconds since 1970, 5 bytes, big endian
//	then   Ed25519 signature of all before it, 64 bytes
const (
	tokenVersion = 1
	headSize     = 1 + len(KeyID{}) + len(uuid.UUID{}) + 1
	expirySize   = 5
	maxExpiry    = 1<<(8*expirySize) - 1 // the year 36812
)

var tokenText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Sign returns the token of c, signed with the newest key that signs. It is the same for the same claims and
// key. Expires is rounded down to its second.
func (k *Keys) Sign(c Claims) string {
	b := make([]byte, 0, headSize+len(uuid.UUID{})+expirySize+ed25519.SignatureSize)
	b = append(b, tokenVersion)
	b = append(b, k.signs.id[:]...)
	b = append(b, c.Voucher[:]...)
	b = append(b, byte(c.Scope))
	if c.Scope == TokenStation {
		b = append(b, c.Station[:]...)
	}
	expires := uint64(min(max(c.Expires.Unix(), 0), maxExpiry)) //nolint:gosec // between the two
	b = append(b, binary.BigEndian.AppendUint64(nil, expires)[8-expirySize:]...)
	return tokenText.EncodeToString(append(b, ed25519.Sign(k.signs.private, b)...))
}

// Verify reads a token as it is presented at that time. Every token has one spelling: what differs in a bit, a
// letter's case or a blank is another one, and none of ours.
//
// Errors are ErrTokenMalformed, ErrTokenUnknownKey, ErrTokenForged and ErrTokenExpired, checked in this order. The
// claims of an expired token come back beside the error, since they are genuine; else they are empty.
func (k *Keys) Verify(token string, at time.Time) (Claims, error) {
	id, c, signed, signature, err := readToken(token)
	if err != nil {
		return Claims{}, err
	}
	key, ok := k.byID[id]
	if !ok {
		return Claims{}, ErrTokenUnknownKey
	}
	if !ed25519.Verify(key.Public(), signed, signature) { // refuses an S beyond the group's order, too
		return Claims{}, ErrTokenForged
	}
	if !at.Before(c.Expires) {
		return c, ErrTokenExpired
	}
	return c, nil
}

// readToken takes a token apart and believes nothing of it yet.
func readToken(token string) (id KeyID, c Claims, signed, signature []byte, err error) {
	const longest = (headSize+len(uuid.UUID{})+expirySize+ed25519.SignatureSize)*8/5 + 1
	if len(token) > longest {
		return id, c, nil, nil, ErrTokenMalformed
	}
	b, err := tokenText.DecodeString(token)
	// The decoder skips line breaks and ignores the bits left over in the last letter: neither is one of our spellings.
	if err != nil || len(b) < headSize || b[0] != tokenVersion || tokenText.EncodeToString(b) != token {
		return id, c, nil, nil, ErrTokenMalformed
	}
	copy(id[:], b[1:])
	copy(c.Voucher[:], b[1+len(id):])
	c.Scope = TokenScope(b[headSize-1])
	body := headSize
	switch c.Scope {
	case TokenAll, TokenSet:
	case TokenStation:
		body += copy(c.Station[:], b[headSize:])
	default:
		return id, c, nil, nil, ErrTokenMalformed
	}
	if len(b) != body+expirySize+ed25519.SignatureSize {
		return id, c, nil, nil, ErrTokenMalformed
	}
	expires := binary.BigEndian.Uint64(append(make([]byte, 8-expirySize), b[body:body+expirySize]...))
	c.Expires = time.Unix(int64(expires&math.MaxInt64), 0).UTC() //nolint:gosec // five bytes
	return id, c, b[:body+expirySize], b[body+expirySize:], nil
}

func (s TokenScope) String() string {
	switch s {
	case TokenAll:
		return "all"
	case TokenSet:
		return "set"
	case TokenStation:
		return "station"
	}
	return fmt.Sprintf("scope %d", byte(s))
}
