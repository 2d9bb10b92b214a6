package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/store"
	"lastcall/store/storetest"
)

func TestMigrationsGoUpAndDownAndUp(t *testing.T) {
	t.Parallel()
	ctx, url := t.Context(), storetest.EmptyURL(t)

	steps, err := store.MigrateUp(ctx, url)
	require.NoError(t, err)
	require.Positive(t, steps)
	up := describe(t, url)

	for range steps {
		require.NoError(t, store.MigrateDown(ctx, url))
	}
	require.Empty(t, describe(t, url), "a step down leaves nothing behind")

	again, err := store.MigrateUp(ctx, url)
	require.NoError(t, err)
	require.Equal(t, steps, again)
	require.Equal(t, up, describe(t, url))

	status, err := store.MigrateStatus(ctx, url)
	require.NoError(t, err)
	require.Len(t, status, steps)
	for _, m := range status {
		require.True(t, m.Applied, m.Name)
	}
}

func TestModelsMatchSchema(t *testing.T) {
	t.Parallel()
	actual := map[string]map[string]bool{}
	rows, err := connect(t, storetest.URL(t)).Query(t.Context(), `SELECT table_name, column_name, is_nullable = 'YES'
		FROM information_schema.columns WHERE table_schema = 'public'`)
	require.NoError(t, err)
	var table, column string
	var null bool
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &null}, func() error {
		if actual[table] == nil {
			actual[table] = map[string]bool{}
		}
		actual[table][column] = null
		return nil
	})
	require.NoError(t, err)
	for table, columns := range store.ModelColumns(t) {
		require.Contains(t, actual, table)
		for column, mayBeNil := range columns {
			null, there := actual[table][column]
			require.True(t, there, "%s.%s is in the model only", table, column)
			require.False(t, null && !mayBeNil, "%s.%s may be null, the model cannot hold that", table, column)
		}
		for column := range actual[table] {
			require.Contains(t, columns, column, "%s.%s is in the schema only", table, column)
		}
	}
}

// describe lists everything in the schema that a migration could have made.
func describe(t *testing.T, url string) []string {
	t.Helper()
	rows, err := connect(t, url).Query(t.Context(), `
		SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns
			WHERE table_schema = 'public' AND table_name <> 'goose_db_version'
		UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'goose_db_version'
		UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL SELECT 'check ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
			WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'goose_db_version'
		UNION ALL SELECT 'grant ' || table_name || ' ' || privilege_type FROM information_schema.role_table_grants WHERE grantee = 'lastcall_app'
		ORDER BY 1`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}
