package worker_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"lastcall/activities"
	"lastcall/domain"
)

func TestErrorsInHistoriesAreDiscreet(t *testing.T) {
	t.Parallel()
	number := errors.New("+250780000001 is on fire")
	for _, c := range []struct {
		err     error
		code    string
		forever bool
	}{
		{number, "internal", false},
		{fmt.Errorf("insert: %w", &pgconn.PgError{Code: "23505", Message: "+250780000001", Detail: "+250780000001"}), "postgres_23505", false},
		{domain.E(domain.Unavailable, "database_unavailable", "no answer").Because(number), "database_unavailable", false},
		{fmt.Errorf("row: %w", domain.E(domain.NotFound, "campaign_not_found", "gone").Because(number)), "campaign_not_found", true},
	} {
		app, ok := errors.AsType[*temporal.ApplicationError](activities.Discreet(c.err))
		require.True(t, ok)
		require.Equal(t, c.code, app.Type())
		require.Equal(t, c.forever, app.NonRetryable())
		require.NotContains(t, app.Error(), "+250")
		require.NoError(t, app.Unwrap(), "a cause would be kept as well")
	}
}
