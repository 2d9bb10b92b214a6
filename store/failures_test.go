package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/store"
)

func TestFailuresByCodeAndOneByOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, append(many(6, rw), many(3, mt)...)...)
	none, err := b.Failures(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []store.Failures{}, none)

	codes := []int{131026, 132000, 0}
	var results []store.Result
	var sent string // the only one that did not fail
	for i, target := range b.claim(t, lane, 100).Targets {
		r := store.Result{Target: target.ID, State: campaign.FailedT, Reason: "provider_refused", ErrorCode: codes[i%3]}
		if i%3 == 2 {
			r.Reason = "missing_variable"
		}
		if i == 8 {
			r, sent = store.Result{Target: target.ID, State: campaign.Sent}, string(target.MSISDN)
		}
		results = append(results, r)
	}
	_, err = b.Record(t.Context(), lane, results)
	require.NoError(t, err)

	counted, err := b.Failures(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, counted, 3)
	for i, want := range []struct {
		code  int
		n     int64
		scope delivery.Scope
	}{{131026, 3, delivery.User}, {132000, 3, delivery.Parameters}, {0, 2, delivery.Parameters}} {
		require.Equal(t, want.code, counted[i].ErrorCode)
		require.Equal(t, want.n, counted[i].Targets)
		require.Equal(t, want.scope, counted[i].Scope)
		require.NotEmpty(t, counted[i].Advice)
	}

	var numbers []string
	var last store.FailedTarget
	for {
		page, err := b.FailedTargets(t.Context(), id, last, 3)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, f := range page {
			require.NotNil(t, f.FailedAt)
			require.Equal(t, 1, f.Attempt)
			numbers = append(numbers, string(f.MSISDN))
		}
		last = page[len(page)-1]
	}
	require.ElementsMatch(t, append(many(6, rw), many(3, mt)...), append(numbers, sent), "each once, over pages and cohorts")

	_, err = b.Failures(t.Context(), uuid.New())
	require.Equal(t, domain.NotFound, domain.KindOf(err))
}

// What one asks for one target is found by the indexes, however large the campaign.
func TestTimelineAndFailuresReadByIndex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, many(3, rw)...)
	for _, sql := range []string{
		`SELECT id FROM targets WHERE campaign_id = $1 AND state = 'failed' AND (cohort, id) > (1, 5) ORDER BY cohort, id LIMIT 1000`,
		`SELECT id FROM targets WHERE campaign_id = $1 AND msisdn = '+250780000001'`,
		`SELECT id FROM audit_log WHERE target = 'campaign/' || $1::uuid ORDER BY created_at, id`,
	} {
		_, err := b.owner.Exec(t.Context(), `SET enable_seqscan = off`) // as if the tables were large
		require.NoError(t, err)
		rows, err := b.owner.Query(t.Context(), `EXPLAIN `+sql, id)
		require.NoError(t, err)
		var plan, line string
		for rows.Next() {
			require.NoError(t, rows.Scan(&line))
			plan += line + "\n"
		}
		require.NoError(t, rows.Err())
		require.Contains(t, plan, "Index", plan)
		require.NotContains(t, plan, "Sort", plan)
	}
}
