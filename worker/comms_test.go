package worker_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/announce"
	"lastcall/domain/rollout"
	"lastcall/store"
	"lastcall/workflows"
)

// A pilot is announced, its links looked at, before it opens; then each of its days, short ones here, is reviewed, with the
// workflow lost in the middle.
func TestAPilotIsAnnouncedAndItsDaysReviewed(t *testing.T) {
	b := setup(t)
	admin, ops, lead := b.colleague(t, "admin"), b.colleague(t, "ops"), b.colleague(t, "project_lead")
	support := b.colleague(t, "support")
	item := func(id, check string) rollout.Item {
		return rollout.Item{ID: id, Text: id, Kind: rollout.Check, Owner: access.Ops, Check: check, Every: time.Minute, StaleAfter: time.Hour}
	}
	plan := rollout.Plan{Phases: []rollout.PhasePlan{
		{Phase: rollout.Staging, Title: "Staging", Items: []rollout.Item{item("overrides", "overrides")}, Announcements: []announce.Announcement{{ID: "material", Text: "Share it.",
			Event: announce.PhaseReady, Channels: []announce.Channel{announce.Mail, announce.Ops}, Lists: []string{"pilot"}, Links: []string{"faq"}, Subject: "Soon", Body: "A secret text: {{.Links.faq}}"}}},
		{Phase: rollout.Pilot, Title: "Pilot", Items: []rollout.Item{item("daily", rollout.DailyReview)}},
		{Phase: rollout.Production, Items: []rollout.Item{item("retention", "audit_retention")}}, {Phase: rollout.Live}}}
	id := uuid.New()
	name := "r-" + id.String()
	require.NoError(t, b.StartRollout(admin, name, plan, "Kigali opens"))
	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	_, err = conn.Exec(t.Context(), `UPDATE rollouts SET factor = 21600, settings_before = 0`) // a day of four seconds
	require.NoError(t, err)
	standing := func() store.AnnouncementStanding {
		all, err := b.Announcements(lead, name)
		require.NoError(t, err)
		return all[0]
	}
	until := func(met func() bool, what string) {
		t.Helper()
		require.Eventually(t, met, 40*time.Second, 50*time.Millisecond, what)
	}

	b.set(t, "announcements", fmt.Sprintf(`{"lists":{"pilot":["pilot@example.com"]},"links":{"faq":"%s/no-such-page"}}`, b.provider.URL))
	until(func() bool { return standing().Refusal == nil }, "its items are passed")
	_, _, err = b.AdvanceRollout(lead, rollout.Staging, "")
	require.Equal(t, rollout.GateShut, domain.CodeOf(err))
	require.ErrorContains(t, err, "Share it")
	_, _, err = b.SendAnnouncement(ops, name, "material", standing().Letter.Digest())
	require.NoError(t, err)
	until(func() bool { return standing().Runs[0].State == "refused" }, "its link leads nowhere")
	require.Contains(t, standing().Runs[0].Problem, "HTTP 404")

	b.set(t, "announcements", fmt.Sprintf(`{"lists":{"pilot":["pilot@example.com"]},"links":{"faq":"%s/"}}`, b.provider.URL))
	_, since, err := b.CheckAnnouncement(ops, name, "material")
	require.NoError(t, err)
	until(func() bool { at := standing().Links[0].CheckedAt; return at != nil && at.After(since) }, "a preview looks at the links")
	require.Empty(t, standing().Links[0].Problem)
	order, _, err := b.SendAnnouncement(ops, name, "material", standing().Letter.Digest())
	require.NoError(t, err)
	until(func() bool { return standing().Runs[0].Out() }, "it goes out")

	gate, _, err := b.AdvanceRollout(lead, rollout.Staging, "as agreed")
	require.NoError(t, err)
	until(func() bool {
		done, err := b.GateDecided(t.Context(), gate)
		require.NoError(t, err)
		return done
	}, "the pilot opens")
	reviews := func() []store.DailyReview {
		all, err := b.Reviews(support, store.ReviewFilter{Rollout: name}, uuid.Nil, 100)
		require.NoError(t, err)
		return all
	}
	until(func() bool { return len(reviews()) > 0 && reviews()[0].RemindedAt != nil }, "the first day is reviewed, and reminded of")
	until(func() bool { return slices.Contains(b.notices.titles(), "Rollout "+name+": a daily review is missing") }, "Ops are told")
	history := b.historyOf(t, workflows.DailyReviewsID(name))
	require.NoError(t, b.temporal.TerminateWorkflow(t.Context(), workflows.DailyReviewsID(name), "", "lost"))
	n := len(reviews())
	first := reviews()[n-1]
	require.NoError(t, b.SignReview(support, first.ID, first.Digest, "a quiet day"))
	until(func() bool { return len(reviews()) > n }, "whoever signs has another workflow begin, which goes on where it was")

	// Once every day is signed, for a moment, the item is passed.
	until(func() bool {
		for _, v := range reviews() {
			if v.SignedAt == nil {
				require.NoError(t, b.SignReview(support, v.ID, v.Digest, "seen"))
			}
		}
		board, err := b.RolloutBoard(lead)
		require.NoError(t, err)
		i := slices.IndexFunc(board.Items, func(v store.ItemStanding) bool { return v.Item.ID == "daily" })
		return board.Items[i].Outcome == rollout.Passed
	}, "a signed review for every day")

	for _, of := range []string{workflows.AnnouncementID(order), workflows.AnnouncePreviewID(name, "material")} {
		raw, err := proto.Marshal(b.historyOf(t, of))
		require.NoError(t, err)
		for _, personal := range []string{"secret text", "example.com", b.provider.URL} {
			require.NotContains(t, string(raw), personal, "what people get stays in Postgres")
		}
	}
	keepHistory(t, "announcement", b.historyOf(t, workflows.AnnouncementID(order)), order)
	keepHistory(t, "daily-review", history, id)
}
