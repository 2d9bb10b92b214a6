// Package voucher says what a voucher is: an amount of money that one guest redeems once, at the stations of its scope,
// until it expires. It has no I/O: the store keeps the states, and its constraints hold them to this table.
package voucher

import (
	"slices"
	"strings"
	"time"

	"lastcall/domain"
)

// Status is where a voucher is in its life.
type Status string

// The states. Redeemed, Expired and Void are final.
const (
	Issued   Status = "issued"   // it exists and may be redeemed; its guest has not been told, as far as we know
	Sent     Status = "sent"     // its guest has been told
	Redeemed Status = "redeemed" // spent, at one station
	Expired  Status = "expired"  // its time passed
	Void     Status = "void"     // somebody withdrew it, and said why
)

// Statuses are all states, in the order of a life.
var Statuses = []Status{Issued, Sent, Redeemed, Expired, Void}

// transitions are all changes of state there are. The database has the same table, in voucher_moves().
var transitions = map[Status][]Status{
	Issued: {Sent, Redeemed, Expired, Void},
	Sent:   {Redeemed, Expired, Void},
}

// MayBecome reports whether a voucher in state s may go to state next.
func (s Status) MayBecome(next Status) bool { return slices.Contains(transitions[s], next) }

// Live reports whether a voucher in state s may be redeemed, until it expires.
func (s Status) Live() bool { return s == Issued || s == Sent }

// ParseStatus reads a state; domain.Invalid about "status" when there is no such one.
func ParseStatus(text string) (Status, error) {
	if !slices.Contains(Statuses, Status(text)) {
		return "", domain.E(domain.Invalid, "unknown_status", "use issued, sent, redeemed, expired or void").About("status")
	}
	return Status(text), nil
}

// Scope is where a voucher may be redeemed.
type Scope string

// The scopes.
const (
	ScopeStation  Scope = "station"  // at one station; the only one that may be redeemed offline
	ScopeStations Scope = "stations" // at each of a set
	ScopeAll      Scope = "all"      // at all there are and will be
)

// MaxStations is how many stations a scope may name.
const MaxStations = 100

// ScopeOf is the scope that names so many stations: all when it names none.
func ScopeOf(stations int) Scope {
	switch stations {
	case 0:
		return ScopeAll
	case 1:
		return ScopeStation
	}
	return ScopeStations
}

// Longest is how far in the future a voucher may expire.
const Longest = 3 * 366 * 24 * time.Hour

// CheckExpiry says what is wrong with a new voucher's expiry: domain.Invalid about "expires_at" when it has passed at
// now, or is more than Longest after it.
func CheckExpiry(expires, now time.Time) error {
	switch {
	case !expires.After(now):
		return domain.E(domain.Invalid, "expiry_passed", "must be in the future").About("expires_at")
	case expires.Sub(now) > Longest:
		return domain.E(domain.Invalid, "expiry_too_far", "must be within three years").About("expires_at")
	}
	return nil
}

// MaxReason is how many bytes a reason may have.
const MaxReason = 500

// ParseReason reads why somebody does something that cannot be undone; domain.Invalid about "reason" when nothing is
// left of it or it is too long.
func ParseReason(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", domain.E(domain.Invalid, "no_reason", "say why").About("reason")
	case len(text) > MaxReason:
		return "", domain.E(domain.Invalid, "reason_too_long", "must have at most %d bytes", MaxReason).About("reason")
	}
	return text, nil
}
