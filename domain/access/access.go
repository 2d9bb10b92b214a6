// Package access says who may come in: the roles of accounts, and what an address and a password must be.
package access

import (
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lastcall/domain"
)

// Role is what an account is there for.
type Role string

// The roles.
const (
	Admin           Role = "admin"            // administration and campaigns
	ProjectLead     Role = "project_lead"     // approves overrides, go/no-go
	Ops             Role = "ops"              // campaigns, drills, incidents
	Support         Role = "support"          // contacts, vouchers, single sends
	Compliance      Role = "compliance"       // templates, audit
	Finance         Role = "finance"          // payments, voucher totals
	Viewer          Role = "viewer"           // reads, masked
	StationOperator Role = "station_operator" // the app of one station
)

// Roles are all roles.
var Roles = []Role{Admin, ProjectLead, Ops, Support, Compliance, Finance, Viewer, StationOperator}

// ParseRole reads a role; domain.Invalid about "role" when there is no such one.
func ParseRole(s string) (Role, error) {
	if !slices.Contains(Roles, Role(s)) {
		names := make([]string, len(Roles))
		for i, r := range Roles {
			names[i] = string(r)
		}
		return "", domain.E(domain.Invalid, "unknown_role", "use one of %s", strings.Join(names, ", ")).About("role")
	}
	return Role(s), nil
}

// ParseEmail reads an account's address and returns it in lower case, as accounts are kept; domain.Invalid
// about "email" when it is none.
func ParseEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", domain.E(domain.Invalid, "bad_email", "is no mail address").About("email")
	}
	return strings.ToLower(s), nil
}

// ParseName reads a person's name; domain.Invalid about "name" when nothing is left of it or it is no line.
func ParseName(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", domain.E(domain.Invalid, "no_name", "must not be empty").About("name")
	case utf8.RuneCountInString(s) > 100 || strings.ContainsFunc(s, unicode.IsControl):
		return "", domain.E(domain.Invalid, "bad_name", "must be one line of at most 100 characters").About("name")
	}
	return s, nil
}

const (
	// MinPassword is the least number of characters of a password.
	MinPassword = 12
	// MaxPassword is the most bytes of one, so that hashing it stays cheap.
	MaxPassword = 1024
)

// CheckPassword says what is wrong with a new password: domain.Invalid without a field, since only the caller
// knows what it is called there. It has no rules about the kinds of characters: length is what counts.
func CheckPassword(s string) error {
	switch {
	case utf8.RuneCountInString(s) < MinPassword:
		return domain.E(domain.Invalid, "password_too_short", "must have at least %d characters", MinPassword)
	case len(s) > MaxPassword:
		return domain.E(domain.Invalid, "password_too_long", "must have at most %d bytes", MaxPassword)
	}
	return nil
}

// How long a session lasts.
const (
	SessionIdle = 12 * time.Hour     // without a request
	SessionMax  = 7 * 24 * time.Hour // from sign-in, however busy
)

const (
	// FreeFailures is how many failures in a row cost no wait; the last of them begins one.
	FreeFailures = 5
	// FailuresForgotten is how long after the last failure counting begins anew. It is longer than any wait.
	FailuresForgotten = time.Hour

	firstWait = 30 * time.Second
	longest   = 15 * time.Minute
)

// LockOut is how long nobody may try after so many failures in a row: 0 below FreeFailures, then 30 s,
// doubled with each further failure, to 15 min.
func LockOut(failures int) time.Duration {
	if failures < FreeFailures {
		return 0
	}
	return min(firstWait<<min(failures-FreeFailures, 10), longest)
}
