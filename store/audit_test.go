package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain/audit"
)

func TestARefusalIsEnteredThoughTheCallerHungUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, hangUp := context.WithCancel(audit.WithRequestID(audit.WithActor(t.Context(), audit.Actor{Kind: "account", Name: "ops@lastcall.test"}), "r1"))
	hangUp()
	require.NoError(t, b.Enter(ctx, audit.Entry{Action: "override.refused", Target: "campaign/1", Diff: map[string]any{"code": "wrong_role"}, Reason: "no right"}))
	require.Equal(t, "account ops@lastcall.test override.refused campaign/1 wrong_role no right r1", query[string](t, b,
		`SELECT concat_ws(' ', actor_kind, actor, action, target, diff->>'code', reason, request_id) FROM audit_log WHERE action = 'override.refused'`))
}
