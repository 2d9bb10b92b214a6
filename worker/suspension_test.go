package worker_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// template sets the state of promo_generic at the provider, which tells it by webhook.
func (b *bundle) template(t *testing.T, state string) {
	t.Helper()
	b.put(t, "/templates/promo_generic", `{"status":"`+state+`"}`)
}

func (b *bundle) put(t *testing.T, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.provider.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Less(t, res.StatusCode, 300)
}

// hook posts a webhook as the provider does, signed with this secret, and returns the status.
func (b *bundle) hook(t *testing.T, secret, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.hooks, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(secret, []byte(body)))
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

func templateHook(event string, at time.Time) string {
	return fmt.Sprintf(`{"entry":[{"time":%d,"changes":[{"field":"message_template_status_update","value":
		{"event":%q,"message_template_name":"promo_generic","message_template_language":""}}]}]}`, at.Unix(), event)
}

func waitsFor(r policy.Reason) func(store.Progress) bool {
	return func(p store.Progress) bool {
		return p.Counts.Sending == 0 && len(p.Waits) == 1 && p.Waits[0].Reason == r
	}
}

// onceEach makes sure that these campaigns, which have ended, wrote to each number exactly once.
func (b *bundle) onceEach(t *testing.T, want int) {
	t.Helper()
	got := map[string]int{}
	for _, m := range b.inbox(t) {
		got[m.Key[:36]+string(m.To)]++
	}
	require.Len(t, got, want)
	for _, n := range got {
		require.Equal(t, 1, n)
	}
}

// TestPausedTemplateSuspendsEveryCampaignUntilItIsBack: two campaigns wait, one that a human paused stays paused.
func TestPausedTemplateSuspendsEveryCampaignUntilItIsBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":30}}`)
	one, two, held := b.draft(t, many(200, rw)...), b.draft(t, many(200, rw)...), b.draft(t, many(10, mt)...)
	b.start(t, one)
	b.until(t, one, 20*time.Second, waitsFor(policy.Throttled))
	b.start(t, two)
	b.start(t, held)
	b.order(t, held, campaign.GatePaused)

	b.template(t, "PAUSED")
	b.set(t, "throttle", `{"whatsapp":{"per_minute":600000}}`)
	for _, id := range []uuid.UUID{one, two} {
		p := b.until(t, id, 20*time.Second, waitsFor(policy.TemplateSuspended))
		require.Equal(t, campaign.Running, p.Status, "it waits; nobody has to resume it")
		require.Contains(t, p.Waits[0].Why, "template promo_generic is paused by WhatsApp")
		require.Equal(t, p.Waits[0].Why, p.NeedsHuman)
		query := fmt.Sprintf(`CampaignId = '%s' AND Blocker = 'template_suspended' AND NeedsHuman = true AND State = 'running'`, id)
		require.Eventually(t, func() bool { return b.found(t, query) == 1 }, 15*time.Second, 100*time.Millisecond)
	}
	require.Eventually(t, func() bool {
		return strings.Count(fmt.Sprint(b.notices.titles()), "Template suspended: promo_generic") == 1
	}, 5*time.Second, 20*time.Millisecond, "one notice, however many campaigns")
	before := len(b.inbox(t))
	require.Equal(t, 30, before)

	b.template(t, "APPROVED")
	back := time.Now()
	for _, id := range []uuid.UUID{one, two} {
		b.until(t, id, 10*time.Second, func(p store.Progress) bool { return p.Counts.Accepted() > 30 })
	}
	require.Less(t, b.inbox(t)[before].ReceivedAt.Sub(back), time.Second)
	for _, id := range []uuid.UUID{one, two} {
		p := b.until(t, id, time.Minute, ended)
		require.EqualValues(t, 200, p.Counts.Accepted())
		require.Empty(t, p.NeedsHuman)
	}
	require.Equal(t, campaign.Paused, b.progress(t, held).Status, "who paused it resumes it")
	b.onceEach(t, 400)
	b.keep(t, "template-suspended", one)
}

// TestTemplateThatNoWebhookTellsOf: a send finds out, and an operator, or a trial after hours, lifts it.
func TestTemplateThatNoWebhookTellsOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(t, http.MethodPut, `{"kind":"error","code":132001,"share":1,"for":"10m"}`)
	id := b.draft(t, many(300, rw)...)
	b.start(t, id)
	p := b.until(t, id, 20*time.Second, waitsFor(policy.TemplateSuspended))
	require.EqualValues(t, 300, p.Counts.Queued)
	require.Contains(t, p.NeedsHuman, "132001")
	_, err := b.StartCampaign(t.Context(), b.draft(t, rw(1)), nil)
	require.ErrorContains(t, err, "does not exist in this language", "nor does another campaign begin with it")

	b.fault(t, http.MethodDelete, ``)
	require.NoError(t, b.ResumeTemplate(t.Context(), "promo_generic", "made again"))
	p = b.until(t, id, time.Minute, ended)
	require.EqualValues(t, 300, p.Counts.Accepted())
	b.onceEach(t, 300)
	require.ErrorContains(t, b.ResumeTemplate(t.Context(), "promo_generic", "again"), "not suspended")
}

// TestWebhooksForgedReplayedAndOutOfOrder do no harm.
func TestWebhooksForgedReplayedAndOutOfOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now()
	suspended := func() int {
		all, err := b.SuspendedTemplates(t.Context())
		require.NoError(t, err)
		return len(all)
	}
	require.Equal(t, http.StatusInternalServerError, b.hook(t, "guessed", templateHook("PAUSED", now)))
	require.Equal(t, http.StatusOK, b.hook(t, "secret", templateHook("PAUSED", now.Add(-time.Hour))))
	require.Eventually(t, func() bool { return suspended() == 1 }, 5*time.Second, 10*time.Millisecond)
	b.hook(t, "secret", templateHook("APPROVED", now.Add(-time.Minute)))
	require.Eventually(t, func() bool { return suspended() == 0 }, 5*time.Second, 10*time.Millisecond)
	b.hook(t, "secret", templateHook("PAUSED", now.Add(-time.Hour)))     // replayed
	b.hook(t, "secret", templateHook("DISABLED", now.Add(-2*time.Hour))) // overtaken
	b.hook(t, "secret", templateHook("FLAGGED", now))                    // tells nothing about sending
	id := b.draft(t, many(50, rw)...)
	b.start(t, id)
	b.until(t, id, 30*time.Second, ended)
	require.Len(t, b.inbox(t), 50)
	require.Zero(t, suspended())
}

// TestRefusedTokenOpensTheBreakerAndAGoodOneClosesIt: an expired token is nobody's fault in the audience.
func TestRefusedTokenOpensTheBreakerAndAGoodOneClosesIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":20}}`)
	one, two := b.draft(t, many(300, rw)...), b.draft(t, many(300, mt)...)
	b.start(t, one)
	b.until(t, one, 20*time.Second, waitsFor(policy.Throttled))
	b.start(t, two)
	b.until(t, two, 20*time.Second, waitsFor(policy.Throttled))

	b.refuse.Store(true)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":600000}}`)
	for _, id := range []uuid.UUID{one, two} {
		p := b.until(t, id, 20*time.Second, func(p store.Progress) bool {
			return p.Status == campaign.Running && waitsFor(policy.ChannelSuspended)(p)
		})
		require.Contains(t, p.NeedsHuman, "access token has expired")
		require.Zero(t, p.Counts.Failed+p.Counts.Unknown)
		query := fmt.Sprintf(`CampaignId = '%s' AND Blocker = 'channel_suspended' AND NeedsHuman = true`, id)
		require.Eventually(t, func() bool { return b.found(t, query) == 1 }, 15*time.Second, 100*time.Millisecond)
	}
	require.Eventually(t, func() bool { // tried, and refused again
		all, err := b.Channels(t.Context())
		require.NoError(t, err)
		return all[0].Failures >= 2
	}, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, 1, strings.Count(fmt.Sprint(b.notices.titles()), "Channel suspended: whatsapp"))

	b.refuse.Store(false)
	for _, id := range []uuid.UUID{one, two} {
		p := b.until(t, id, time.Minute, ended)
		require.EqualValues(t, 300, p.Counts.Accepted())
	}
	b.onceEach(t, 600)
	all, err := b.Channels(t.Context())
	require.NoError(t, err)
	require.Equal(t, store.ChannelClosed, all[0].State)
}

// TestOutageLeavesFewUnknown: thousands of targets, and a provider that closes every connection.
func TestOutageLeavesFewUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(t, http.MethodPut, `{"kind":"reset","share":1,"for":"10m"}`) // Ping is answered: the worst case
	id := b.draft(t, many(5000, rw)...)
	b.start(t, id)
	p := b.until(t, id, 30*time.Second, waitsFor(policy.ChannelSuspended))
	const lanes, concurrency, inRow = 3, 16, 20
	require.LessOrEqual(t, p.Counts.Unknown, int64(inRow+lanes*concurrency))
	require.Eventually(t, func() bool {
		all, err := b.Channels(t.Context())
		require.NoError(t, err)
		return all[0].Failures >= 3
	}, 30*time.Second, 50*time.Millisecond)
	all, err := b.Channels(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, b.progress(t, id).Counts.Unknown, int64(inRow+lanes*concurrency+all[0].Failures), "each trial risks one")

	b.fault(t, http.MethodDelete, ``)
	p = b.until(t, id, 2*time.Minute, ended)
	require.EqualValues(t, 5000, p.Counts.Accepted()+p.Counts.Unknown)
	b.onceEach(t, int(p.Counts.Accepted()))
}

// TestProvidersRateIsFound: a provider that takes fewer than the throttle allows.
func TestProvidersRateIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "/settings", `{"rate_per_second":100}`)
	id := b.draft(t, many(1500, rw)...)
	b.start(t, id)
	p := b.until(t, id, 2*time.Minute, ended)
	require.EqualValues(t, 1500, p.Counts.Accepted(), "none fails for it")
	b.onceEach(t, 1500)
	inbox := b.inbox(t)
	took := inbox[len(inbox)-1].ReceivedAt.Sub(inbox[0].ReceivedAt)
	permits := 0 // each attempt began with one
	for after := int64(0); ; {
		targets, err := b.Targets(t.Context(), id, "", after, 1000)
		require.NoError(t, err)
		if len(targets) == 0 {
			break
		}
		for _, target := range targets {
			permits, after = permits+target.Attempt, target.ID
		}
	}
	t.Logf("1,500 messages at 100 a second took %v and %d permits", took, permits)
	require.Less(t, took, 45*time.Second)
	require.Less(t, permits, 1500*2, "few permits are wasted")
}
