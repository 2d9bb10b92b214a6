package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/store"
	"lastcall/store/storetest"
)

func TestImportAddsUpAndNamesBadLines(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	imp := b.load(t, id, "phone,comment\n"+strings.Join([]string{rw(1) + ",in the campaign", rw(2) + ",new", "nonsense,bad",
		rw(2) + ",twice", "", mt(7) + ",new", "+999123,bad", rw(3)}, "\n"))

	require.WithinDuration(t, time.Now(), imp.CreatedAt, time.Minute)
	require.EqualValues(t, 7, imp.Lines)
	require.EqualValues(t, 3, imp.Invalid)
	require.EqualValues(t, 2, imp.Duplicates)
	require.EqualValues(t, 2, imp.Targets)
	require.Equal(t, []string{"comment"}, []string(imp.IgnoredColumns))
	lines, err := b.ImportLines(t.Context(), imp.ID, 0, 100)
	require.NoError(t, err)
	require.Len(t, lines, 3)
	require.EqualValues(t, []int64{4, 8, 9}, []int64{lines[0].Line, lines[1].Line, lines[2].Line})
	require.EqualValues(t, 3, b.counts(t, id).Queued)
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, p.Lines, p.Invalid+p.Duplicates+p.Counts.Targets)
}

func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	broken := io.MultiReader(strings.NewReader("msisdn\n"+rw(2)+"\n"+rw(3)+"\n"), failing{})
	r, err := audience.NewReader(broken, audience.Options{})
	require.NoError(t, err)
	_, err = b.Import(t.Context(), id, r)
	require.ErrorIs(t, err, errLost)
	require.EqualValues(t, 1, b.counts(t, id).Targets)
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM imports`))
}

var errLost = errors.New("the connection was lost")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errLost }

func TestZoneIsTheRowsElseTheContactsElseTheCountrys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, n := range []string{rw(1), rw(2)} {
		_, err := b.AddContact(t.Context(), store.Contact{MSISDN: msisdn(n), Country: "RW", Zone: "Europe/Malta", Locale: "rw-RW"})
		require.NoError(t, err)
	}
	id := b.draft(t, mt(0))
	b.load(t, id, "msisdn,zone,locale\n"+rw(1)+",Africa/Kigali,\n"+rw(2)+",,en-MT\n"+rw(3)+",,\n+12125550123,,\n")
	rows, err := b.owner.Query(t.Context(), `SELECT msisdn || ' ' || zone || ' ' || locale FROM targets t
		JOIN cohorts k ON k.campaign_id = t.campaign_id AND k.id = t.cohort ORDER BY 1`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"+12125550123  ", rw(1) + " Africa/Kigali rw-RW", rw(2) + " Europe/Malta en-MT", rw(3) + " Africa/Kigali ",
		mt(0) + " Europe/Malta "}, all)
}

func TestStartHappensOnceAndFixesTheAudience(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, many(3, rw)...)
	var started, refused atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch _, err := b.StartCampaign(t.Context(), id, nil); {
			case err == nil:
				started.Add(1)
			case domain.KindOf(err) == domain.Conflict:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, started.Load())
	require.EqualValues(t, 7, refused.Load())
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'campaign.start'`))
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'campaign.started'`))

	_, err := b.Import(t.Context(), id, reader(t, "msisdn\n"+rw(9)))
	require.Equal(t, "wrong_state", domain.CodeOf(err))
}

func TestStartRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.StartCampaign(t.Context(), uuid.New(), nil)
	require.Equal(t, domain.NotFound, domain.KindOf(err))

	_, err = b.StartCampaign(t.Context(), b.draft(t), nil)
	require.Equal(t, "no_targets", domain.CodeOf(err))

	draft, err := b.NewestTemplate(t.Context(), "opening_hours")
	require.NoError(t, err)
	c, err := b.CreateCampaign(t.Context(), store.NewCampaign{Name: "x", TemplateID: draft.ID, Variables: map[string]string{"hours": "all"}})
	require.NoError(t, err)
	b.load(t, c.ID, "msisdn\n"+rw(1))
	_, err = b.StartCampaign(t.Context(), c.ID, nil)
	require.Equal(t, "template_not_approved", domain.CodeOf(err))

	_, err = b.CreateCampaign(t.Context(), store.NewCampaign{Name: "x", TemplateID: draft.ID, Variables: map[string]string{"nope": "1"}})
	require.Equal(t, "unknown_variable", domain.CodeOf(err))
}

func TestIdempotencyKeyMakesOneDraft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	template, err := b.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	n := store.NewCampaign{Name: "x", TemplateID: template.ID, IdempotencyKey: "k", RequestHash: []byte("a")}
	first, err := b.CreateCampaign(t.Context(), n)
	require.NoError(t, err)
	again, err := b.CreateCampaign(t.Context(), n)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	n.RequestHash = []byte("b")
	_, err = b.CreateCampaign(t.Context(), n)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'campaign.created'`))
}

func TestReceiptsAdvanceByRankInAnyOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(6, rw)...)
	c := b.claim(t, lane, 6)
	key := func(i, attempt int) campaign.Attempt {
		return campaign.Attempt{Campaign: id, Target: c.Targets[i].ID, N: attempt}
	}
	_, err := b.Record(t.Context(), lane, []store.Result{
		{Target: c.Targets[1].ID, State: campaign.Unknown, Reason: "no_answer"},
		{Target: c.Targets[2].ID, State: campaign.Queued, Reason: "permit_void"},
		{Target: c.Targets[3].ID, State: campaign.Sent, ProviderID: "wamid.3"},
		{Target: c.Targets[4].ID, State: campaign.Sent, ProviderID: "wamid.4"},
	})
	require.NoError(t, err)
	now := time.Now()
	receipts := map[string][]store.Receipt{
		"a": {{Attempt: key(0, 1), State: campaign.Delivered, At: now}, // while still sending
			{Attempt: key(1, 1), State: campaign.Sent, At: now, ProviderID: "wamid.1"}, // settles the unknown
			{Attempt: key(2, 1), State: campaign.Delivered, At: now}},                  // it had gone after all
		"b": {{Attempt: key(3, 1), State: campaign.Read, At: now}},
		"c": {{Attempt: key(3, 1), State: campaign.Sent, At: now}, {Attempt: key(3, 1), State: campaign.Delivered, At: now},
			{Attempt: key(3, 1), State: campaign.FailedT, At: now, ErrorCode: 131026}}, // too late to matter
		"d": {{Attempt: key(4, 1), State: campaign.FailedT, At: now, ErrorCode: 131026}, {Attempt: key(4, 1), State: campaign.Sent, At: now}},
		"e": {{Attempt: key(5, 2), State: campaign.Read, At: now}, // an attempt that was never made
			{Attempt: campaign.Attempt{Campaign: uuid.New(), Target: c.Targets[5].ID, N: 1}, State: campaign.Read, At: now}},
	}
	applier := &store.Applier{Store: b.Store, Log: quiet, Parse: func(body []byte) (store.Inbound, error) {
		if r, ok := receipts[string(body)]; ok {
			return store.Inbound{Receipts: r}, nil
		}
		return store.Inbound{}, errors.New("rubbish")
	}}
	ctx, stop := within(t, 20*time.Second), make(chan struct{})
	go func() { applier.Run(ctx); close(stop) }()
	for _, body := range []string{"b", "rubbish", "a", "c", "d", "e", "b", "a"} { // repeated, unordered
		require.NoError(t, b.KeepWebhook(t.Context(), []byte(body)))
	}
	require.Eventually(t, func() bool {
		return query[int64](t, b, `SELECT count(*) FROM webhook_inbox WHERE error IS NULL`) == 0
	}, 10*time.Second, 20*time.Millisecond)
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM webhook_inbox WHERE error = 'rubbish'`))
	require.Equal(t, campaign.Counts{Targets: 6, Delivered: 2, Sent: 1, Read: 1, Failed: 1, Sending: 1}, b.counts(t, id))
	require.EqualValues(t, 2, query[int64](t, b, `SELECT count(*) FROM target_events WHERE kind = 'settled'`))
	require.EqualValues(t, 131026, query[int64](t, b, `SELECT error_code FROM targets WHERE state = 'failed'`))

	// A late record of the worker changes nothing any more.
	changed, err := b.Record(t.Context(), lane, []store.Result{{Target: c.Targets[0].ID, State: campaign.Sent}})
	require.NoError(t, err)
	require.Zero(t, changed)
}

func TestFinishReportsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(4, rw)...)
	c := b.claim(t, lane, 4)
	for i, state := range []campaign.TargetState{campaign.Sent, campaign.FailedT, campaign.FailedT, campaign.Unknown} {
		_, err := b.Record(t.Context(), lane, []store.Result{{Target: c.Targets[i].ID, State: state, ErrorCode: 131026, Reason: "provider_refused"}})
		require.NoError(t, err)
	}
	require.Equal(t, "wrong_state", domain.CodeOf(b.Finish(t.Context(), id, campaign.Done, "")), "not before it has settled")
	require.NoError(t, b.Advance(t.Context(), id, campaign.Settling, ""))
	for range 2 {
		require.NoError(t, b.Finish(t.Context(), id, campaign.Done, ""))
	}
	require.JSONEq(t, `{"reason": "provider_refused", "targets": 2, "error_code": 131026, "scope": "user"}`,
		query[string](t, b, `SELECT (report->'failures'->0) - '{meaning,advice}'::text[] FROM campaigns WHERE jsonb_array_length(report->'failures') = 1`))
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice'
		AND payload->>'text' LIKE '%2 failed: %not on WhatsApp%(WhatsApp''s code 131026). Do not send again.%'`), "what failed is told with advice")
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'text' LIKE '%1 UNKNOWN%'`))
}

func TestNothingSettlesWithTargetsQueued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(3, rw)...)
	require.Len(t, b.claim(t, lane, 1).Targets, 1) // by a run that is gone
	require.Equal(t, "not_drained", domain.CodeOf(b.Advance(t.Context(), id, campaign.Settling, "")))
	require.EqualValues(t, 1, b.counts(t, id).Sending, "refused whole")
	_, err := b.Order(t.Context(), id, campaign.GateStopped, "test")
	require.NoError(t, err)
	_, err = b.CancelQueued(t.Context(), id, 10)
	require.NoError(t, err)
	require.NoError(t, b.Advance(t.Context(), id, campaign.Settling, ""))
	require.Equal(t, campaign.Counts{Targets: 3, Unknown: 1, Cancelled: 2}, b.counts(t, id))
}

func TestWhatNeedsAHumanIsToldAndEntered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.running(t, rw(1))
	for range 2 {
		require.NoError(t, b.Advance(t.Context(), id, campaign.Paused, "the template is retired"))
	}
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'text' = 'the template is retired'`))
	require.Equal(t, `["running", "paused"]`, query[string](t, b, `SELECT diff->>'status' FROM audit_log
		WHERE action = 'campaign.advanced' AND diff->>'needs_human' <> '' ORDER BY id LIMIT 1`))
	_, err := b.Order(t.Context(), id, campaign.GateStopped, "enough")
	require.NoError(t, err)
	require.Equal(t, `["open", "stopped"]`, query[string](t, b, `SELECT diff->>'gate' FROM audit_log WHERE action = 'campaign.stop_ordered'`))
}

func TestManyOpenTheFirstTime(t *testing.T) {
	t.Parallel()
	for range 5 {
		url := storetest.URL(t)
		var opening sync.WaitGroup
		for range 6 {
			opening.Go(func() {
				s, err := store.Open(t.Context(), store.Config{URL: url, Pepper: storetest.Pepper, MaxConns: 2})
				if assert.NoError(t, err) {
					s.Close()
				}
			})
		}
		opening.Wait()
	}
}

func TestAppRoleCannotRewriteThePast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.running(t, rw(1))
	_, err := b.owner.Exec(t.Context(), "SET ROLE "+store.AppRole)
	require.NoError(t, err)
	for _, sql := range []string{
		`UPDATE audit_log SET actor = 'nobody'`, `DELETE FROM audit_log`, `UPDATE settings_revisions SET value = '{}'`,
		`UPDATE cohorts SET queued = 0`, `DELETE FROM targets`, `INSERT INTO permits VALUES ('whatsapp', 1, now(), 1)`,
		`UPDATE channels SET cumulative = 0`, `DROP TABLE audit_log`, `UPDATE api_tokens SET token_hash = ''`,
	} {
		_, err := b.owner.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "SQLSTATE 42501", sql)
	}
	_, err = b.owner.Exec(t.Context(), "RESET ROLE")
	require.NoError(t, err)
	_, err = b.owner.Exec(t.Context(), `DELETE FROM audit_log`)
	require.ErrorContains(t, err, "append-only", "not even the owner, by accident")
}

func TestAnotherPepperIsRefused(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	storetest.Open(t, url)
	_, err := store.Open(t.Context(), store.Config{URL: url, Pepper: contact.Pepper("another pepper of sufficient length")})
	require.Equal(t, "wrong_pepper", domain.CodeOf(err))
	_, err = store.Open(t.Context(), store.Config{URL: storetest.EmptyURL(t), Pepper: storetest.Pepper})
	require.Equal(t, "not_migrated", domain.CodeOf(err))
	_, err = store.Open(t.Context(), store.Config{URL: "postgres://nobody@127.0.0.1:1/none", Pepper: storetest.Pepper})
	require.Equal(t, domain.Unavailable, domain.KindOf(err))
}

func TestTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	require.NoError(t, b.EnsureToken(ctx, "up", "first"))
	require.NoError(t, b.EnsureToken(ctx, "up", "first"))
	got, _, err := b.Authenticate(ctx, "first")
	require.NoError(t, err)
	require.Equal(t, "up", got.Name)
	require.NoError(t, b.EnsureToken(ctx, "up", "second"))
	_, _, err = b.Authenticate(ctx, "first")
	require.Equal(t, domain.Unauthenticated, domain.KindOf(err))
	_, _, err = b.Authenticate(ctx, "")
	require.Equal(t, domain.Unauthenticated, domain.KindOf(err))
	_, _, err = b.Authenticate(ctx, "second")
	require.NoError(t, err)
	require.EqualValues(t, 2, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'api_token.issued'`), "no entry for nothing done")
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM api_tokens WHERE token_hash::text LIKE '%'||encode('second', 'hex')||'%'`))
}

func TestSettingsAreRevisionsAndWakeCampaigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.draft(t, rw(1)) // a draft is not woken
	id, _ := b.running(t, rw(2))
	_, err := b.SaveSetting(t.Context(), "quiet_hours", []byte(`{"RW":{"start":"22:00","end":"22:00"}}`), "")
	require.Equal(t, domain.Invalid, domain.KindOf(err))
	_, err = b.SaveSetting(t.Context(), "nonsense", []byte(`{}`), "")
	require.Equal(t, "settings_key_not_found", domain.CodeOf(err))

	before, err := b.Setting(t.Context(), "throttle")
	require.NoError(t, err)
	require.Zero(t, before.Revision)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60}}`)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":61}}`)
	set, err := b.Settings(t.Context())
	require.NoError(t, err)
	require.Equal(t, 61, set.Throttle["whatsapp"].PerMinute)
	require.EqualValues(t, 2, query[int64](t, b, `SELECT count(*) FROM settings_revisions`))
	require.EqualValues(t, 2, query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'settings.changed' AND key = $1`, "campaign/"+id.String()))
	require.EqualValues(t, 2, query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'settings.changed'`))
	require.Equal(t, fmt.Sprint(set.Revision), query[string](t, b, `SELECT policy_revision::text FROM audit_log WHERE action = 'settings.changed' ORDER BY id DESC LIMIT 1`))
}

// TestReceiptsAndResultsMeet has the provider's receipts arrive while the worker records the same sends.
func TestReceiptsAndResultsMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const rounds, size = 20, 100
	id, lane := b.running(t, many(rounds*size, rw)...)
	chunks := make(chan []store.ClaimedTarget, rounds)
	warned := &strings.Builder{}
	var mu sync.Mutex
	applier := &store.Applier{Store: b.Store, Log: slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return warned.Write(p)
	}), nil)), Parse: func(body []byte) (all store.Inbound, err error) {
		var ids []int64
		if err := json.Unmarshal(body, &ids); err != nil {
			return all, err
		}
		for _, target := range ids {
			all.Receipts = append(all.Receipts, store.Receipt{Attempt: campaign.Attempt{Campaign: id, Target: target, N: 1}, State: campaign.Sent, At: time.Now()})
		}
		return all, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { applier.Run(ctx) })
	for range 2 {
		running.Go(func() {
			for chunk := range chunks {
				results := make([]store.Result, len(chunk))
				for i, target := range chunk {
					results[i] = store.Result{Target: target.ID, State: campaign.Sent, ProviderID: "wamid"}
				}
				_, err := b.Record(t.Context(), lane, results)
				require.NoError(t, err)
			}
		})
	}
	for range rounds {
		chunk := b.claim(t, lane, size).Targets
		ids := make([]int64, len(chunk))
		for i, target := range chunk {
			ids[i] = target.ID
		}
		body, err := json.Marshal(ids)
		require.NoError(t, err)
		require.NoError(t, b.KeepWebhook(t.Context(), body))
		chunks <- chunk
	}
	close(chunks)
	require.Eventually(t, func() bool {
		return query[int64](t, b, `SELECT count(*) FROM webhook_inbox`) == 0 && b.counts(t, id).Sent == rounds*size
	}, 20*time.Second, 20*time.Millisecond)
	cancel()
	running.Wait()
	require.Empty(t, warned.String())
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// What holds back others now is no reason of a campaign whose time has not come.
func TestAScheduledCampaignWaitsForItsTimeOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`)
	id := b.draft(t, many(3, rw)...)
	at := time.Now().Add(time.Hour)
	_, err := b.StartCampaign(t.Context(), id, &at)
	require.NoError(t, err)
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, p.Waits)
}
