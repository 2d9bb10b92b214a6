package access

import (
	"slices"

	"lastcall/domain"
)

// Scopes are the permissions that a token was given, of those that its owner's role has.
type Scopes []Permission

// ParseScopes reads the scopes of a token of somebody with this role and returns them in order, each once;
// domain.Invalid about "scopes" when there are none, or one that the role does not have.
func ParseScopes(r Role, given []Permission) (Scopes, error) {
	if len(given) == 0 {
		return nil, domain.E(domain.Invalid, "no_scopes", "name what the token may do").About("scopes")
	}
	for _, p := range given {
		if !slices.Contains(Grantable(), p) || !May(r, p) {
			return nil, domain.E(domain.Invalid, "bad_scope", "%q is no permission of your role", p).About("scopes")
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(given))), nil
}

// Allow reports whether the scopes hold a permission. They hold what takes none but being recognised.
func (s Scopes) Allow(p Permission) bool {
	return p == Everyone || p == SignedIn || slices.Contains(s, p)
}

// Grantable are the permissions that somebody may have and others not, in order.
func Grantable() []Permission {
	return slices.DeleteFunc(Permissions(), func(p Permission) bool { return p == SignedIn })
}
