package store_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/rollout"
	"lastcall/domain/throttle"
	"lastcall/store"
)

// piloted is a rollout in production whose pilot began half an hour ago, after a campaign of staging.
func piloted(t *testing.T) *city {
	t.Helper()
	c := proofs(t, rollout.Production, "throttle_review")
	c.exec(t, `UPDATE rollouts SET guardrails = '{}'`)
	id, lane := c.running(t, many(30, mt)...)
	c.sent(t, lane, c.claim(t, lane, 30))
	c.exec(t, `UPDATE campaigns SET started_at = now() - interval '1 hour' WHERE id = $1`, id)
	c.exec(t, `INSERT INTO rollout_gates (id, rollout, from_phase, to_phase, asked_by, asked_at, decided_at, opened)
		SELECT $1, name, 'staging', 'pilot', started_by, now() - interval '31 minutes', now() - interval '30 minutes', true FROM rollouts`, uuid.Must(uuid.NewV7()))
	c.exec(t, `UPDATE permits SET granted_at = granted_at - interval '1 hour'`)
	return c
}

// pilot sends to n people, nine of ten of whom get it.
func (c *city) pilot(t *testing.T, n int) uuid.UUID {
	t.Helper()
	id, lane := c.running(t, many(n, rw)...)
	got := c.claim(t, lane, n)
	require.Len(t, got.Targets, n)
	c.sent(t, lane, got)
	c.exec(t, `UPDATE targets SET state = 'delivered', delivered_at = now() WHERE id IN (SELECT id FROM targets WHERE campaign_id = $1 ORDER BY id LIMIT $2)`, id, n*9/10)
	return id
}

func (c *city) advice(t *testing.T) (store.ThrottleAdvice, map[string]throttle.Measure, []byte) {
	t.Helper()
	a, err := c.ThrottleAdvice(t.Context())
	require.NoError(t, err)
	byName := map[string]throttle.Measure{}
	for _, f := range a.Figures {
		byName[f.Name] = f
	}
	digest, err := hex.DecodeString(a.Digest)
	require.NoError(t, err)
	return a, byName, digest
}

func TestTheAdviceCountsThePilotAlone(t *testing.T) {
	t.Parallel()
	c := piloted(t)
	id := c.pilot(t, 60)
	single := c.order(t, c.newSend(t, rw(1)))
	c.exec(t, `UPDATE sends SET state = 'delivered', sending_at = now(), sent_at = now(), delivered_at = now() WHERE id = $1`, single.ID)
	event := func(code int, ago string) {
		t.Helper()
		c.exec(t, `INSERT INTO target_events (target_id, at, kind, attempt, reason, error_code) SELECT min(id), now() - $3::interval, 'requeued', 1, 'rate', $2 FROM targets WHERE campaign_id = $1`, id, code, ago)
	}
	for _, code := range []int{130429, 4, 80007, 131056, 131048, 131016} {
		event(code, "1 minute")
	}
	event(130429, "1 hour") // in staging
	c.exec(t, `INSERT INTO send_events (send_id, kind, attempt, error_code) VALUES ($1, 'requeued', 1, 130429)`, single.ID)
	optOut := func(nth int, after string) {
		t.Helper()
		c.exec(t, `INSERT INTO opt_outs (msisdn_hash, source, created_at) SELECT msisdn_hash, 'inbound', sent_at + $2::interval FROM targets WHERE campaign_id = $1 ORDER BY id OFFSET $3 LIMIT 1`, id, after, nth)
	}
	optOut(0, "47 hours")
	optOut(1, "49 hours")
	optOut(2, "-1 second") // had opted out before
	c.exec(t, `INSERT INTO opt_outs (msisdn_hash, source) VALUES (sha256('who was never written to'), 'registry')`)
	require.NoError(t, c.EnterThrottled(t.Context(), store.Lane{Campaign: id}, store.Wait{Reason: "throttled", Targets: 3}))

	a, f, _ := c.advice(t)
	require.Equal(t, "kigali", a.Rollout)
	require.WithinDuration(t, a.To.Add(-30*time.Minute), a.From, time.Minute)
	for name, want := range map[string]int64{"sent": 61, "delivered": 55, "rate_errors": 4, "pair_errors": 1, "spam_errors": 1, "opt_outs": 1, "busiest_minute": 60, "busiest_day": 60, "waits": 1} {
		require.Equal(t, want, f[name].N, name)
	}
	require.EqualValues(t, 67, f["rate_errors"].Of)
	require.InDelta(t, 4.0/67, *f["rate_errors"].Share, 1e-9)
	require.Equal(t, throttle.Tighten, a.Proposals[0].Verdict)
	require.Equal(t, 48, a.Proposed["whatsapp"].PerMinute)

	// What is older than a day's permits comes from the minutes that were kept.
	c.exec(t, `UPDATE permits SET granted_at = granted_at - interval '30 hours'`)
	c.exec(t, `UPDATE rollout_gates SET asked_at = now() - interval '30 hours 20 minutes', decided_at = now() - interval '30 hours 20 minutes'`)
	_, before, _ := c.advice(t)
	require.EqualValues(t, 60, before["busiest_minute"].N)
	require.NoError(t, store.Prune(c.Store, t.Context()))
	require.Zero(t, query[int](t, c.bundle, `SELECT count(*) FROM permits`))
	_, after, _ := c.advice(t)
	for _, name := range []string{"busiest_minute", "busiest_second", "busiest_day", "full_minutes"} {
		require.Equal(t, before[name], after[name])
	}
	c.exec(t, `UPDATE permit_minutes SET minute = minute - interval '91 days'`)
	require.NoError(t, store.Prune(c.Store, t.Context()))
	require.Zero(t, query[int](t, c.bundle, `SELECT count(*) FROM permit_minutes`))

	c.exec(t, `UPDATE rollouts SET ended_at = now()`)
	a, f, _ = c.advice(t)
	require.Empty(t, a.Rollout)
	require.EqualValues(t, 91, f["sent"].N, "without a rollout, all of 30 days")
}

func TestAReviewOfTheCapsIsProved(t *testing.T) {
	t.Parallel()
	c := piloted(t)
	c.set(t, "throttle", `{"whatsapp":{"per_minute":4800,"per_second":80}}`)
	c.finds(t, "throttle_review", rollout.Inconclusive, "nobody has reviewed")
	c.pilot(t, 20)
	_, _, digest := c.advice(t)
	_, err := c.KeepThrottle(c.ops, make([]byte, 32), "calm")
	require.Equal(t, "advice_changed", domain.CodeOf(err))
	require.Equal(t, 1, query[int](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action = 'settings.refused' AND diff->>'code' = 'advice_changed'`))
	kept, err := c.KeepThrottle(c.ops, digest, "calm")
	require.NoError(t, err)
	require.Equal(t, "kept", kept.Verdict)
	c.finds(t, "throttle_review", rollout.Inconclusive, "by 20 messages; 50 are needed")

	c.pilot(t, 40)
	a, _, digest := c.advice(t)
	require.EqualValues(t, 60, a.Proposals[0].N)
	kept, err = c.KeepThrottle(c.ops, digest, "calm")
	require.NoError(t, err)
	require.Equal(t, a.Figures, kept.Advice.Figures)
	require.Equal(t, kept.ID.String(), query[string](t, c.bundle, `SELECT diff->>'review_id' FROM audit_log WHERE action = 'throttle.reviewed' ORDER BY id DESC LIMIT 1`))
	require.Equal(t, 60, query[int](t, c.bundle, `SELECT (diff->'figures'->>'sent')::int FROM audit_log WHERE action = 'throttle.reviewed' ORDER BY id DESC LIMIT 1`))
	require.True(t, query[bool](t, c.bundle, `SELECT due_at <= clock_timestamp() FROM rollout_items WHERE item = 'throttle-review'`), "the rollout looks at it at once")
	require.NotZero(t, query[int](t, c.bundle, `SELECT count(*) FROM outbox WHERE kind = $1 AND created_at >= $2`, store.KindRolloutChanged, kept.CreatedAt))
	c.finds(t, "throttle_review", rollout.Passed, "kept")
	require.Contains(t, c.figure(t, "throttle-review", "Messages that WhatsApp took"), "60")
	c.finds(t, "throttle_review", rollout.Passed, "kept")
	require.Len(t, query[[]int](t, c.bundle, `SELECT array_agg(id) FROM rollout_evidence WHERE item = 'throttle-review' AND outcome = 'passed'`), 1, "the same finding is one")

	// The caps become others: what was reviewed is not what holds.
	c.set(t, "throttle", `{"whatsapp":{"per_minute":4000,"per_second":80}}`)
	c.finds(t, "throttle_review", rollout.Inconclusive, "changed after")
	_, _, digest = c.advice(t)
	_, err = c.edit(t, store.SettingEdit{Key: "throttle", Value: json.RawMessage(`{"whatsapp":{"per_minute":3000,"per_second":80}}`), Advice: digest})
	require.Equal(t, "no_reason", domain.CodeOf(err))
	_, err = c.edit(t, store.SettingEdit{Key: "consent", Value: json.RawMessage(`{"required":true}`), Reason: "x", Advice: digest})
	require.Equal(t, "no_advice", domain.CodeOf(err))
	rev, err := c.edit(t, store.SettingEdit{Key: "throttle", Value: json.RawMessage(`{"whatsapp":{"per_minute":3000,"per_second":80}}`), Reason: "a little less", Advice: digest})
	require.NoError(t, err)
	c.finds(t, "throttle_review", rollout.Passed, "changed")
	a, _, _ = c.advice(t)
	require.Equal(t, rev.Revision, a.Review.Revision)
	require.Equal(t, 3000, a.Review.Caps["whatsapp"].PerMinute)
	require.Equal(t, 4000, a.Review.Advice.Caps.PerMinute)

	// What WhatsApp refuses afterwards speaks against them; who keeps them all the same knows.
	c.exec(t, `INSERT INTO target_events (target_id, kind, attempt, error_code) SELECT max(id), 'requeued', 1, 130429 FROM targets`)
	c.finds(t, "throttle_review", rollout.Inconclusive, "speak against messages a minute, messages a second")
	_, err = c.edit(t, store.SettingEdit{Key: "throttle", Value: json.RawMessage(`{"whatsapp":{"per_minute":2000}}`), Reason: "x", Advice: digest})
	require.Equal(t, "advice_changed", domain.CodeOf(err))
	_, _, digest = c.advice(t)
	kept, err = c.KeepThrottle(c.ops, digest, "one slip")
	require.NoError(t, err)
	require.Equal(t, []throttle.Setting{throttle.PerMinute, throttle.PerSecond}, kept.Tightens)
	c.finds(t, "throttle_review", rollout.Passed, "kept")

	c.exec(t, `UPDATE rollout_gates SET asked_at = now(), decided_at = now()`)
	c.finds(t, "throttle_review", rollout.Inconclusive, "nobody has reviewed")
	c.exec(t, `DELETE FROM rollout_gates`)
	c.finds(t, "throttle_review", rollout.Inconclusive, "has not begun")
	_, err = c.owner.Exec(t.Context(), `DELETE FROM throttle_reviews`)
	require.ErrorContains(t, err, "append-only")
}
