package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
)

// permit lets a request on only if whoever calls has the permission. It looks before anything of the request is read.
// A refusal is in the audit log.
func (s *server) permit(p access.Permission, operation string) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		ctx := hc.Context()
		if may(ctx, p) {
			next(hc)
			return
		}
		err := domain.E(domain.Forbidden, "role_may_not", "this takes the permission %s, which your role does not have", p)
		if access.May(visitFrom(ctx).role, p) {
			err = domain.E(domain.Forbidden, "token_may_not", "this takes the permission %s, which this token does not have", p)
		}
		if failed := s.Store.Enter(ctx, audit.Entry{Action: "access.refused", Target: "operation/" + operation,
			Diff: map[string]any{"permission": p, "role": visitFrom(ctx).role}}); failed != nil {
			abortWith(humagin.Unwrap(hc), s.problem(ctx, failed))
			return
		}
		abortWith(humagin.Unwrap(hc), s.problem(ctx, err))
	}
}

// may reports whether whoever calls has the permission: by their role, and where an account's token calls, by its scopes
// besides.
func may(ctx context.Context, p access.Permission) bool {
	v := visitFrom(ctx)
	return access.May(v.role, p) && (v.scopes == nil || v.scopes.Allow(p))
}
