package store_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
	"lastcall/store"
)

var ladders = delivery.Ladders{Trouble: delivery.Ladder{First: time.Hour, Most: 2 * time.Hour}, Others: delivery.Ladder{First: time.Hour, Most: 2 * time.Hour}}

// hear applies what a webhook tells, by way of the inbox.
func (b bundle) hear(t *testing.T, told store.Inbound) {
	t.Helper()
	a := &store.Applier{Store: b.Store, Log: quiet, Parse: func([]byte) (store.Inbound, error) { return told, nil }}
	require.NoError(t, b.KeepWebhook(t.Context(), []byte("x")))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	require.Eventually(t, func() bool { return query[int64](t, b, `SELECT count(*) FROM webhook_inbox`) == 0 }, 10*time.Second, 10*time.Millisecond)
	stop()
	<-done
}

func (b bundle) event(t *testing.T, language string, s delivery.TemplateState, at time.Time) {
	t.Helper()
	b.hear(t, store.Inbound{Templates: []store.TemplateChange{{Name: "promo_generic", Language: language, State: s, Event: string(s), At: at}}})
}

func (b bundle) suspended(t *testing.T) (languages []string) {
	t.Helper()
	all, err := b.SuspendedTemplates(t.Context())
	require.NoError(t, err)
	for _, s := range all {
		languages = append(languages, s.Language)
	}
	return languages
}

func (b bundle) channel(t *testing.T) store.ChannelState {
	t.Helper()
	c, err := b.Channel(t.Context(), "whatsapp")
	require.NoError(t, err)
	return c
}

func (b bundle) trip(t *testing.T, l store.Lane, code int, since time.Time) bool {
	t.Helper()
	cause, ok := delivery.SuspendsChannel(code)
	if !ok {
		cause = delivery.Trouble
	}
	news, err := b.SuspendChannel(t.Context(), l, "whatsapp", store.Trip{Cause: cause, Code: code, Since: since}, ladders)
	require.NoError(t, err)
	return news
}

// due makes the time come at which a suspended channel, or template, is tried.
func (b bundle) due(t *testing.T) {
	t.Helper()
	_, err := b.owner.Exec(t.Context(), `UPDATE channel_states SET retry_at = clock_timestamp() WHERE state <> 'closed'`)
	require.NoError(t, err)
	_, err = b.owner.Exec(t.Context(), `UPDATE template_states SET retry_at = clock_timestamp() WHERE state = 'paused'`)
	require.NoError(t, err)
}

func outboxed(t *testing.T, b bundle, kind string) int64 {
	t.Helper()
	return query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = $1`, kind)
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, lane := b.running(t, many(10, rw)...)
	_, other := b.running(t, many(10, mt)...)
	sent := b.claim(t, lane, 2)
	require.True(t, b.trip(t, lane, 190, sent.Now))
	require.False(t, b.trip(t, other, 190, sent.Now), "no news")
	require.Equal(t, 1, b.channel(t).Failures)
	require.EqualValues(t, 1, outboxed(t, b, store.KindOpsNotice))
	require.EqualValues(t, 2, outboxed(t, b, store.KindSettingsChanged), "each campaign looks again")

	for _, l := range []store.Lane{lane, other} {
		w := b.claim(t, l, 5).Waits
		require.Len(t, w, 1)
		require.Equal(t, policy.ChannelSuspended, w[0].Reason)
		require.True(t, w[0].NeedsHuman)
		require.WithinDuration(t, time.Now().Add(75*time.Minute), *w[0].Until, 20*time.Minute)
	}
	p, err := b.Progress(t.Context(), one)
	require.NoError(t, err)
	require.Contains(t, p.NeedsHuman, "whatsapp is suspended: WhatsApp 190")
	told := b.timeline(t, one, rw(9))
	require.Equal(t, "channel_suspended", told.Now.WaitsFor)
	require.Contains(t, told.Now.Answer, "our access token has expired")

	b.due(t)
	c := b.claim(t, lane, 5)
	require.NotNil(t, c.Probe)
	require.Empty(t, c.Targets, "first a sign of life")
	require.Empty(t, c.Waits, "exactly one part of a claim says something")
	require.Len(t, b.claim(t, other, 5).Waits, 1, "one lane tries, the others wait for it")
	c = b.claim(t, lane, 5)
	require.Len(t, c.Targets, 1, "one target")
	require.Equal(t, "whatsapp", c.Trial.Channel)
	require.False(t, b.trip(t, other, 190, c.Now), "a straggler of another lane")
	require.True(t, b.trip(t, lane, 190, c.Now))
	require.Equal(t, 2, b.channel(t).Failures)
	require.EqualValues(t, 1, outboxed(t, b, store.KindOpsNotice), "one notice a suspension")

	b.due(t)
	require.NotNil(t, b.claim(t, other, 5).Probe)
	require.NoError(t, b.ChannelPassed(t.Context(), lane, "whatsapp"), "it has not the trial")
	require.Equal(t, store.ChannelHalfOpen, b.channel(t).State)
	require.NoError(t, b.ChannelPassed(t.Context(), other, "whatsapp"))
	require.Equal(t, store.ChannelClosed, b.channel(t).State)
	require.NotEmpty(t, b.claim(t, lane, 5).Targets)
	require.False(t, b.trip(t, lane, 190, c.Now), "found out by what was claimed before it was mended")
	require.True(t, b.trip(t, lane, 190, time.Now().Add(time.Second)))
	require.Equal(t, 3, b.channel(t).Failures, "a relapse")
	require.EqualValues(t, 4, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action LIKE 'channel.%'`))
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'outbound_policy_check'
		AND diff->>'reason' = 'channel_suspended' AND target = $1 AND id < (SELECT max(id) FROM audit_log WHERE action = 'channel.suspended')
		AND id < (SELECT id FROM audit_log WHERE action = 'channel.suspended' ORDER BY id OFFSET 1 LIMIT 1)`, "campaign/"+one.String()), "told once")
}

func TestBreakerByHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lane := b.running(t, many(10, rw)...)
	ops := audit.WithActor(t.Context(), audit.Actor{Kind: "token", Name: "ops"})
	require.Equal(t, domain.NotFound, domain.KindOf(b.OpenChannel(ops, "pigeon", "x")))
	require.Equal(t, domain.Conflict, domain.KindOf(b.CloseChannel(ops, "whatsapp", "x")))
	require.NoError(t, b.OpenChannel(ops, "whatsapp", "wrong price"))
	require.Equal(t, domain.Conflict, domain.KindOf(b.OpenChannel(ops, "whatsapp", "x")))
	w := b.claim(t, lane, 5).Waits
	require.Nil(t, w[0].Until)
	require.False(t, w[0].NeedsHuman, "it is what somebody wants")
	require.Contains(t, w[0].Why, "wrong price")
	require.False(t, b.trip(t, lane, 131048, time.Now()), "it is suspended already")
	require.NoError(t, b.CloseChannel(ops, "whatsapp", "right price"))
	require.NotEmpty(t, b.claim(t, lane, 5).Targets)
	require.Equal(t, "right price", query[string](t, b, `SELECT reason FROM audit_log WHERE action = 'channel.resumed' AND actor = 'ops'`))

	b.trip(t, lane, 0, time.Now().Add(time.Second))
	require.True(t, b.trip(t, lane, 131048, time.Now().Add(time.Second)))
	require.Nil(t, b.channel(t).RetryAt, "after spam reports only a person knows")
	b.due(t)
}

func TestSlowedChannel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(10, rw)...)
	require.NoError(t, b.SlowChannel(t.Context(), "whatsapp", 131057, time.Minute))
	require.NoError(t, b.SlowChannel(t.Context(), "whatsapp", 130429, time.Second), "shorter: no matter")
	w := b.claim(t, lane, 5).Waits
	require.Equal(t, policy.ChannelSlowed, w[0].Reason)
	require.WithinDuration(t, time.Now().Add(time.Minute), *w[0].Until, 10*time.Second)
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, policy.ChannelSlowed, p.Waits[0].Reason)
	require.Empty(t, p.NeedsHuman)
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'outbound_policy_check'`), "not worth telling")
	_, err = b.owner.Exec(t.Context(), `UPDATE channel_states SET slowed_until = clock_timestamp()`)
	require.NoError(t, err)
	require.Len(t, b.claim(t, lane, 5).Targets, 5)
}

func TestTemplateEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lane := b.running(t, many(10, rw)...)
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	b.event(t, "", delivery.TemplatePaused, at(1))
	require.Equal(t, []string{""}, b.suspended(t))
	require.Equal(t, policy.TemplateSuspended, b.claim(t, lane, 5).Waits[0].Reason)
	b.event(t, "", delivery.TemplatePaused, at(1))
	b.event(t, "", delivery.TemplateActive, at(1)) // within the same second: the later to come
	require.Empty(t, b.suspended(t))
	b.event(t, "", delivery.TemplatePaused, at(1)) // repeated
	b.event(t, "", delivery.TemplateDisabled, at(0))
	require.Empty(t, b.suspended(t))
	require.EqualValues(t, 2, outboxed(t, b, store.KindOpsNotice), "suspended and resumed, once each")
	require.EqualValues(t, 2, outboxed(t, b, store.KindSettingsChanged))

	b.event(t, "en", delivery.TemplateRejected, at(5))
	b.event(t, "rw", delivery.TemplateRejected, at(6))
	require.Equal(t, []string{"en", "rw"}, b.suspended(t))
	b.event(t, "", delivery.TemplateActive, at(5)) // overtaken by the latter, and by the former's twin it is not
	require.Equal(t, []string{"rw"}, b.suspended(t))
	b.event(t, "", delivery.TemplateDeleted, at(9))
	require.Equal(t, []string{"", "en", "rw"}, b.suspended(t))
	check, err := b.Preflight(t.Context(), lane.Campaign)
	require.NoError(t, err)
	require.Equal(t, "template_suspended", check.Problems[0].Code)
	require.Contains(t, check.Problems[0].Message, "was deleted at WhatsApp")

	require.NoError(t, b.ResumeTemplate(t.Context(), "promo_generic", "made again"))
	b.event(t, "", delivery.TemplatePaused, at(10)) // from before somebody resumed it
	require.Empty(t, b.suspended(t))
	require.Len(t, b.claim(t, lane, 5).Targets, 5)
	b.hear(t, store.Inbound{Templates: []store.TemplateChange{{Name: "someone_elses", State: delivery.TemplatePaused, Event: "PAUSED", At: at(1)}}})
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM outbox WHERE key LIKE '%someone%'`), "none of our templates")
}

// A language that is suspended holds only those who would get it.
func TestSuspendedLanguage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, mt(1))
	b.load(t, id, "msisdn,locale\n"+rw(1)+",rw\n"+rw(2)+",rw-RW\n"+mt(2)+",en\n"+mt(3)+",fr")
	b.event(t, "xx-XX", delivery.TemplatePaused, time.Now())
	b.event(t, "rw", delivery.TemplatePaused, time.Now())
	check, err := b.Preflight(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, check.Problems)
	require.Equal(t, "template_suspended", check.Warnings[0].Code)
	_, err = b.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	lane := store.Lane{Campaign: id, Run: "run", Batch: 1, Fence: 1}
	_, err = b.TakeLane(t.Context(), lane)
	require.NoError(t, err)
	claimed := b.claim(t, lane, 10).Targets
	require.Len(t, claimed, 3)
	for _, c := range claimed {
		require.NotEqual(t, "rw", c.Locale)
	}
	w := b.claim(t, lane, 10).Waits
	require.Equal(t, policy.TemplateSuspended, w[0].Reason)
	require.EqualValues(t, 2, w[0].Targets)
	require.Contains(t, w[0].Why, "template promo_generic in rw is paused")
}

func TestTemplateThatASendFoundOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lane := b.running(t, many(10, rw)...)
	_, other := b.running(t, many(10, mt)...)
	c := b.claim(t, lane, 2)
	suspend := func(l store.Lane, code int, since time.Time) store.TemplateState {
		for _, language := range []string{"en", "rw"} {
			require.NoError(t, b.SuspendTemplate(t.Context(), l, "promo_generic", language, code, since))
		}
		all, err := b.SuspendedTemplates(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, all)
		return all[0]
	}
	first := suspend(lane, 132015, c.Now)
	require.WithinRange(t, *first.RetryAt, time.Now().Add(3*time.Hour-time.Minute), time.Now().Add(4*time.Hour+31*time.Minute))
	require.Equal(t, first, suspend(lane, 132015, c.Now), "no news")
	require.NotEmpty(t, b.claim(t, other, 5).Waits)

	b.due(t)
	trial := b.claim(t, lane, 5)
	require.Len(t, trial.Targets, 1, "one goes, to find out")
	require.NotEmpty(t, b.claim(t, other, 5).Waits[0].Until)
	language := trial.Trial.Language
	require.NoError(t, b.SuspendTemplate(t.Context(), lane, "promo_generic", language, 132015, trial.Now))
	paused := query[time.Time](t, b, `SELECT retry_at FROM template_states WHERE language = $1`, language)
	require.Greater(t, time.Until(paused), 5*time.Hour, "the second time for longer")

	b.due(t)
	trial = b.claim(t, lane, 5)
	require.Len(t, trial.Targets, 1)
	require.NoError(t, b.TemplatePassed(t.Context(), other, "promo_generic", trial.Trial.Language), "it has not the trial")
	require.Contains(t, b.suspended(t), trial.Trial.Language)
	require.NoError(t, b.TemplatePassed(t.Context(), lane, "promo_generic", trial.Trial.Language))
	require.NotContains(t, b.suspended(t), trial.Trial.Language)
	require.Len(t, b.claim(t, lane, 5).Targets, 5)
	require.NoError(t, b.SuspendTemplate(t.Context(), lane, "promo_generic", trial.Trial.Language, 132015, trial.Now), "claimed before it was back")
	require.NotContains(t, b.suspended(t), trial.Trial.Language)
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	b := setup(t)
	guest := contact.MSISDN(rw(1))
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	say := func(who contact.MSISDN, stop bool, minutes int) {
		t.Helper()
		b.hear(t, store.Inbound{Preferences: []store.Preference{{MSISDN: who, Stop: stop, At: at.Add(time.Duration(minutes) * time.Minute)}}})
	}
	is := func(who contact.MSISDN, out bool) {
		t.Helper()
		got, err := b.OptedOut(t.Context(), who)
		require.NoError(t, err)
		require.Equal(t, out, got)
	}
	say(guest, false, 0)
	is(guest, false)
	say(guest, true, 10)
	is(guest, true)
	say(guest, true, 10)
	say(guest, false, 5) // overtaken
	is(guest, true)
	say(guest, false, 20)
	is(guest, false)
	say(guest, true, 10) // repeated, late
	is(guest, false)
	say(guest, true, 20) // within one second: silence does no harm
	is(guest, true)
	say(guest, false, 20)
	is(guest, true)
	require.EqualValues(t, 3, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action IN ('opt_out.added', 'opt_out.removed')`))

	other := contact.MSISDN(rw(2))
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{other}, store.OptOutRegistry, "asked at the bar")
	require.NoError(t, err)
	say(other, true, 1)
	say(other, false, 62)
	is(other, true) // what a person told us stands

	third := contact.MSISDN(rw(3))
	_, err = b.AddOptOuts(t.Context(), []contact.MSISDN{third}, store.OptOutProvider, "told by the provider")
	require.NoError(t, err)
	say(third, false, 30)
	is(third, true) // the send that was refused came after
	say(third, false, 62)
	is(third, false)
	b.hear(t, store.Inbound{Preferences: []store.Preference{{MSISDN: guest, Stop: true, At: at.Add(40 * time.Minute)}, {MSISDN: guest, At: at.Add(50 * time.Minute)},
		{MSISDN: guest, Stop: true, At: at.Add(40 * time.Minute)}}})
	is(guest, false)
	var numbers int64
	row := b.owner.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE diff::text LIKE '%25078%'`)
	require.NoError(t, row.Scan(&numbers))
	require.Zero(t, numbers)
}

func TestTries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lane := b.running(t, rw(1))
	var id int64
	again := func(state campaign.TargetState, reason string) {
		c := b.claim(t, lane, 5)
		id = c.Targets[0].ID
		b.record(t, lane, store.Result{Target: id, State: state, Reason: reason})
	}
	reasons := []string{"provider_busy", "pair_limit"}
	again(campaign.Queued, "provider_busy")
	again(campaign.Queued, "provider_busy")
	again(campaign.Queued, "pair_limit")
	again(campaign.Queued, "channel_suspended")
	got, err := b.Tries(t.Context(), []int64{id}, reasons)
	require.NoError(t, err)
	require.Equal(t, map[int64]map[string]int{id: {"provider_busy": 2, "pair_limit": 1}}, got)
	again(campaign.FailedT, "retries_exhausted")
	_, err = b.owner.Exec(t.Context(), `UPDATE targets SET state = 'queued', ended_at = NULL`)
	require.NoError(t, err)
	again(campaign.Queued, "pair_limit")
	got, err = b.Tries(t.Context(), []int64{id}, reasons)
	require.NoError(t, err)
	require.Equal(t, map[int64]map[string]int{id: {"pair_limit": 1}}, got, "who sends again what failed begins anew")
}

func TestSuspensionsInJSON(t *testing.T) {
	t.Parallel()
	w, err := json.Marshal(store.Wait{Reason: policy.ChannelSuspended, Targets: 1, Why: "x", NeedsHuman: true})
	require.NoError(t, err)
	require.JSONEq(t, `{"reason":"channel_suspended","targets":1,"why":"x","needs_human":true}`, string(w))
}

// The provider may accept a message, and tell what is wrong only by webhook.
func TestErrorsThatReceiptsTell(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(10, rw)...)
	c := b.claim(t, lane, 3)
	for _, target := range c.Targets {
		_, err := b.Record(t.Context(), lane, []store.Result{{Target: target.ID, State: campaign.Sent, ProviderID: "wamid"}})
		require.NoError(t, err)
	}
	failed := func(i, code int, at time.Time) {
		t.Helper()
		b.receive(t, store.Receipt{Attempt: campaign.Attempt{Campaign: id, Target: c.Targets[i].ID, N: 1}, State: campaign.FailedT, At: at, ErrorCode: code})
	}
	failed(0, 131042, time.Now().Add(-time.Hour))
	require.Equal(t, store.ChannelClosed, b.channel(t).State, "old news")
	failed(0, 131042, time.Now())
	require.Equal(t, []any{store.ChannelOpen, delivery.Standing}, []any{b.channel(t).State, b.channel(t).Cause})
	require.NoError(t, b.CloseChannel(t.Context(), "whatsapp", "paid"))
	failed(0, 131042, time.Now().Add(-time.Second))
	require.Equal(t, store.ChannelClosed, b.channel(t).State, "it failed before it was paid")

	failed(1, 132015, time.Now())
	require.Equal(t, []string{"en"}, b.suspended(t))
	failed(2, 131050, time.Now().Add(-time.Hour))
	out, err := b.OptedOut(t.Context(), c.Targets[2].MSISDN)
	require.NoError(t, err)
	require.True(t, out)
	require.EqualValues(t, 3, b.counts(t, id).Failed)
	_, err = b.RemoveOptOuts(t.Context(), []contact.MSISDN{c.Targets[2].MSISDN}, "asked for it")
	require.NoError(t, err)
	failed(2, 131050, time.Now())
	out, err = b.OptedOut(t.Context(), c.Targets[2].MSISDN)
	require.NoError(t, err)
	require.False(t, out, "a repeated receipt opts nobody out again")
}
