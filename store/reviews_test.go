package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/kpi"
	"lastcall/domain/review"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// reviewed is a city in its pilot, whose days are reviewed; the admin has opened it, so many hours ago.
func reviewed(t *testing.T, hours float64) (*city, context.Context) {
	t.Helper()
	c := openCity(t)
	c.plan.Phases[1].Items = append(c.plan.Phases[1].Items, rollout.Item{ID: "daily", Text: "daily", Kind: rollout.Check, Owner: access.Ops, Check: rollout.DailyReview, Every: time.Hour, StaleAfter: 24 * time.Hour})
	c.begin(t)
	c.in(t, rollout.Pilot)
	c.exec(t, `INSERT INTO rollout_items (rollout, item) VALUES ('kigali', 'daily')`)
	c.exec(t, `UPDATE rollouts SET phase_since = clock_timestamp() - $1 * interval '1 hour'`, hours)
	return c, c.support
}

func (c *city) step(t *testing.T) store.ReviewsStep {
	t.Helper()
	step, err := c.StepReviews(t.Context(), "kigali")
	require.NoError(t, err)
	return step
}

func (c *city) reviews(t *testing.T, who context.Context) []store.DailyReview {
	t.Helper()
	all, err := c.Reviews(who, store.ReviewFilter{Rollout: "kigali"}, uuid.Nil, 100)
	require.NoError(t, err)
	return all
}

func (c *city) daily(t *testing.T) rollout.Evidence {
	t.Helper()
	c.prove(t, "daily")
	return *c.item(t, "daily").Evidence
}

// hourly has the reviews open and be reminded of at about these times from now, in a zone where it is midday: so no test
// runs over midnight.
func (c *city) hourly(t *testing.T, at, remind time.Duration) {
	t.Helper()
	noon := time.Date(2026, 1, 1, 12, 30, 0, 0, time.UTC)
	zone := fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12) // its signs are the other way round
	c.set(t, "daily_review", `{"zone":"`+zone+`","at":"`+noon.Add(at).Format("15:04")+`","remind_at":"`+noon.Add(remind).Format("15:04")+`"}`)
}

// Every day of the pilot has a review; who opened the phase signs none; a day that nobody has signed keeps the gate shut.
func TestEveryDayIsReviewed(t *testing.T) {
	t.Parallel()
	c, support := reviewed(t, 51)
	c.hourly(t, -2*time.Hour, 5*time.Hour) // today's opened two hours ago and is in time for five more
	require.Equal(t, "reviews.changed", query[string](t, c.bundle, `SELECT kind FROM outbox WHERE key = 'rollout/kigali/reviews' ORDER BY id DESC LIMIT 1`), "the workflow hears of other hours")
	require.Equal(t, rollout.Failed, c.daily(t).Outcome, "the reviews of the days before were never opened")

	first := c.step(t)
	require.False(t, first.Over)
	require.Equal(t, 3, first.Opened)
	require.Equal(t, 2, first.Reminded, "those of the days before are late already")
	require.Equal(t, 3, first.Open)
	require.InDelta(t, 5*time.Hour, first.Wait, float64(time.Hour), "until today's is reminded of")
	again := c.step(t)
	require.Zero(t, again.Opened+again.Reminded, "each once")
	require.EqualValues(t, 1, query[int64](t, c.bundle, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'title' = 'Rollout kigali: a daily review is missing'`))
	require.EqualValues(t, 1, query[int64](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action = 'review.reminded'`))
	e := c.daily(t)
	require.Equal(t, rollout.Failed, e.Outcome)
	require.Equal(t, []string{"daily failed"}, c.missing(t)[len(c.missing(t))-1:])

	all := c.reviews(t, support)
	require.Len(t, all, 3)
	require.NoError(t, all[0].Refusal)
	sign := func(who context.Context, v store.DailyReview, notes string) string {
		t.Helper()
		err := c.SignReview(who, v.ID, v.Digest, notes)
		if err == nil {
			return ""
		}
		return domain.CodeOf(err)
	}
	require.Equal(t, approval.WrongRole, sign(c.lead, all[0], "fine"))
	require.Equal(t, approval.WrongRole, sign(c.admin, all[0], "fine"))
	require.Equal(t, "no_reason", sign(support, all[0], " "))
	require.Equal(t, approval.Changed, domain.CodeOf(c.SignReview(support, all[0].ID, all[1].Digest, "fine")))
	require.Equal(t, "review_not_found", domain.CodeOf(c.SignReview(support, uuid.New(), all[0].Digest, "fine")))
	require.Empty(t, sign(support, all[1], "quiet"))
	require.Empty(t, sign(c.ops, all[2], "two were throttled"))
	require.Equal(t, review.Signed, sign(c.ops, all[1], "me too"))
	e = c.daily(t)
	require.Equal(t, rollout.Inconclusive, e.Outcome, "today's is open, and in time")
	require.Empty(t, sign(support, all[0], "all well"))
	e = c.daily(t)
	require.Equal(t, rollout.Passed, e.Outcome, e.Summary)
	require.Equal(t, "2", e.Figures[2].Value, "that two were late stays")

	v, err := c.Review(c.lead, all[2].ID)
	require.NoError(t, err)
	require.Equal(t, "two were throttled", v.Notes)
	require.Equal(t, access.Ops, v.Role)
	require.Equal(t, review.Signed, domain.CodeOf(v.Refusal))
	require.Equal(t, []string{approval.WrongRole, approval.WrongRole, approval.Changed, review.Signed}, c.audited(t, "review.refused"))
	require.EqualValues(t, 3, query[int64](t, c.bundle, `SELECT count(*) FROM approvals WHERE subject_kind = 'daily_review' AND verdict = 'approved'`))
	_, err = c.owner.Exec(t.Context(), `UPDATE daily_reviews SET signed_at = NULL, approval_id = NULL`)
	require.ErrorContains(t, err, "a signed review stays as it is")
}

// Who opened the phase signs none of its days.
func TestWhoOpenedThePhaseReviewsNothing(t *testing.T) {
	t.Parallel()
	c, support := reviewed(t, 25)
	c.exec(t, `UPDATE rollouts SET opened_by = (SELECT id FROM accounts WHERE email = 'support@example.test')`)
	c.hourly(t, -2*time.Hour, 5*time.Hour)
	c.step(t)
	v := c.reviews(t, support)[0]
	require.Equal(t, approval.Own, domain.CodeOf(v.Refusal))
	require.Equal(t, approval.Own, domain.CodeOf(c.SignReview(support, v.ID, v.Digest, "fine")))
	require.NoError(t, c.SignReview(c.ops, v.ID, v.Digest, "fine"))
}

// The first day's review comes the next morning: until then nothing is known, and nothing passes.
func TestAPilotTakesADay(t *testing.T) {
	t.Parallel()
	c, _ := reviewed(t, 1)
	c.hourly(t, -2*time.Hour, 5*time.Hour)
	step := c.step(t)
	require.Zero(t, step.Opened)
	require.InDelta(t, 22*time.Hour, step.Wait, float64(time.Hour))
	e := c.daily(t)
	require.Equal(t, rollout.Inconclusive, e.Outcome)
	require.Contains(t, e.Summary, "the first review opens")
	c.in(t, rollout.Production)
	require.True(t, c.step(t).Over, "no item asks for reviews there")
}

// In a rehearsal the days are as long as its factor says, and a phase that is over takes no signature.
func TestTheDaysOfARehearsalAreShort(t *testing.T) {
	t.Parallel()
	c, support := reviewed(t, 1)
	c.exec(t, `UPDATE rollouts SET factor = 100, settings_before = 0`) // a day of 14 minutes and 24 seconds
	require.Equal(t, rollout.Failed, c.daily(t).Outcome)
	step := c.step(t)
	require.Equal(t, 4, step.Opened)
	require.Equal(t, 4, step.Reminded)
	require.Less(t, step.Wait, 15*time.Minute)
	all := c.reviews(t, support)
	require.Equal(t, "day 4", all[0].Day)
	for _, v := range all[1:] {
		require.NoError(t, c.SignReview(support, v.ID, v.Digest, "fine"))
	}
	require.Equal(t, rollout.Failed, c.daily(t).Outcome)
	c.exec(t, `UPDATE rollouts SET phase_since = clock_timestamp()`)
	require.Equal(t, rollout.WrongPhase, domain.CodeOf(c.reviews(t, support)[0].Refusal))
	require.Equal(t, rollout.WrongPhase, domain.CodeOf(c.SignReview(support, all[0].ID, all[0].Digest, "fine")))
}

// What a review shows is the day before: what was held back, what failed, and what stands out in the audit log.
func TestAReviewShowsTheDayBefore(t *testing.T) {
	t.Parallel()
	c, support := reviewed(t, 25)
	c.hourly(t, -2*time.Hour, 5*time.Hour)
	yesterday := time.Now().UTC().Add(-24 * time.Hour)
	entry := func(action, target, diff string, n int, at time.Time) {
		t.Helper()
		c.exec(t, `INSERT INTO audit_log (actor_kind, actor_id, actor, action, target, diff, created_at) SELECT 'system', 'test', 'test', $1, $2, $3::jsonb, $4 FROM generate_series(1, $5)`,
			action, target, diff, at, n)
	}
	entry("outbound_policy_check", "campaign/x", `{"reason":"quiet_hours"}`, 7, yesterday)
	entry("outbound_policy_check", "campaign/x", `{"reason":"quiet_hours"}`, 5, yesterday.Add(-48*time.Hour))
	entry("outbound_policy_check", "campaign/x", `{"reason":"opt_out"}`, 2, yesterday)
	entry("sign_in.refused", "session", `{}`, 3, yesterday)
	entry("number.revealed", "contact/x", `{}`, 4, yesterday)
	entry("session.opened", "session", `{}`, 9, yesterday)
	c.step(t)
	v, err := c.Review(support, c.reviews(t, support)[0].ID)
	require.NoError(t, err)
	require.Len(t, v.Snapshot.Blocks, 2)
	require.Equal(t, "quiet_hours", v.Snapshot.Blocks[0].Name)
	require.EqualValues(t, 7, v.Snapshot.Blocks[0].N)
	require.Equal(t, []store.ReviewHighlight{{Action: "number.revealed", N: 4}, {Action: "sign_in.refused", N: 3}}, v.Snapshot.Audit, "a sign-in is nothing to look at")
	require.Len(t, v.Snapshot.KPIs.Figures, 6)
	require.Equal(t, 24*time.Hour, v.To.Sub(v.From))
	require.Empty(t, v.Snapshot.Failures)
}

func TestOpenReviewsAreListedApart(t *testing.T) {
	t.Parallel()
	c, support := reviewed(t, 51)
	c.hourly(t, -2*time.Hour, 5*time.Hour)
	c.step(t)
	all := c.reviews(t, support)
	require.NoError(t, c.SignReview(support, all[1].ID, all[1].Digest, "fine"))
	open, err := c.Reviews(support, store.ReviewFilter{Open: true}, uuid.Nil, 100)
	require.NoError(t, err)
	require.Len(t, open, 2)
	snap, err := c.KPIs(t.Context(), time.Now(), time.UTC)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(snap.Needs, func(n kpi.Need) bool { return n.Kind == kpi.UnsignedReviews && n.N == 2 }), "%+v", snap.Needs)
	older, err := c.Reviews(support, store.ReviewFilter{}, all[0].ID, 1)
	require.NoError(t, err)
	require.Equal(t, all[1].ID, older[0].ID)
	none, err := c.Reviews(support, store.ReviewFilter{Rollout: "malta"}, uuid.Nil, 100)
	require.NoError(t, err)
	require.Empty(t, none)
}
