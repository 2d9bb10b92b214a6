package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"google.golang.org/protobuf/types/known/durationpb"

	"lastcall/activities"
	"lastcall/api"
	"lastcall/devstack"
	"lastcall/domain/audience"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/domain/voucher"
	"lastcall/fixtures"
	"lastcall/gateway/legacy"
	"lastcall/gateway/sandbox"
	"lastcall/gateway/vouchercard"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
	"lastcall/store/storetest"
	"lastcall/worker"
	"lastcall/workflows"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// devTemporal is started by the first test that needs it and ends with the process.
var devTemporal = sync.OnceValues(func() (*devstack.TemporalServer, error) {
	// The server suggests to begin a new history ten times as early as it usually does.
	return devstack.Temporal(context.Background(), devstack.TemporalOptions{DynamicConfig: []string{"limit.historyCount.suggestContinueAsNew=400"}})
})

// bundle is everything that a campaign needs, for real: Postgres, Temporal, a worker, the outbox's relay
// and the sandbox.
type bundle struct {
	*store.Store
	url      string // the database's, its owner's
	temporal client.Client
	provider *httptest.Server
	sweeper  *store.Sweeper
	refuse   atomic.Bool // the provider does not know our token
	noLegacy atomic.Bool // the legacy tooling refuses
	hooks    string      // where webhooks go
	notices  noticeBoard
	keys     *voucher.Keys // that sign vouchers
}

// noticeBoard is what Ops were told.
type noticeBoard struct {
	mu  sync.Mutex
	all []store.OpsNotice
}

func (n *noticeBoard) post(_ context.Context, _ int64, payload json.RawMessage) error {
	var notice store.OpsNotice
	if err := json.Unmarshal(payload, &notice); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, notice)
	return nil
}

func (n *noticeBoard) titles() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, notice := range n.all {
		all = append(all, notice.Title)
	}
	return all
}

func setup(t *testing.T) *bundle {
	t.Helper()
	c, space := ownTemporal(t)
	require.Eventually(t, func() bool { return worker.RegisterSearchAttributes(t.Context(), c, space) == nil }, 30*time.Second, 200*time.Millisecond)
	url := storetest.URL(t)
	b := &bundle{Store: storetest.Open(t, url), url: url, temporal: c}
	_, err := fixtures.Starter(t.Context(), b.Store)
	require.NoError(t, err)

	whatsApp := whatsapp.Config{PhoneNumberID: "555", Version: "v23.0", AccessToken: "token", AppSecret: "secret"}
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil || !whatsapp.Verify(whatsApp.AppSecret, raw, r.Header.Get("X-Hub-Signature-256")) || b.KeepWebhook(r.Context(), raw) != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(hooks.Close)
	box, err := sandbox.New(sandbox.Config{Dir: t.TempDir(), Log: quiet, WhatsApp: whatsApp, WebhookURL: hooks.URL, CardSecret: "cards"})
	require.NoError(t, err)
	b.hooks = hooks.URL
	handler := box.Handler()
	b.provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.refuse.Load() && r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":{"message":"Invalid OAuth access token","type":"OAuthException","code":190}}`)
			return
		}
		if b.noLegacy.Load() && strings.HasPrefix(r.URL.Path, "/legacy/") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	whatsApp.BaseURL = b.provider.URL

	keys, err := voucher.NewKeys(time.Now(), voucher.NewKey(time.Now()))
	require.NoError(t, err)
	b.keys = keys
	work := worker.New(c, t.Name(), &activities.Campaigns{Store: b.Store, WhatsApp: whatsapp.New(whatsApp), Log: quiet,
		Cards:       vouchercard.New(vouchercard.Config{BaseURL: b.provider.URL, Secret: "cards"}),
		VoucherKeys: func() (*voucher.Keys, error) { return keys, nil }, Options: activities.Options{
			Lanes: 3, Concurrency: 16, BatchTargets: 200, BatchTime: time.Minute, ReconcileAfter: 10 * time.Second, Retries: 3,
			Ladders: delivery.Ladders{Trouble: delivery.Ladder{First: 500 * time.Millisecond, Most: 2 * time.Second},
				Others: delivery.Ladder{First: time.Second, Most: 4 * time.Second}},
		}}, quiet)
	work.Legacy(legacy.New(b.provider.URL + "/legacy/switch"))
	relay := &store.Relay{Store: b.Store, Log: quiet, Handlers: map[string]store.Handler{
		store.KindOpsNotice: b.notices.post,
		store.KindMail:      func(context.Context, int64, json.RawMessage) error { return nil },
		store.KindAnnouncement: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var m store.AnnouncementMessage
			if err := json.Unmarshal(payload, &m); err != nil {
				return err
			}
			return b.AnnouncementDone(ctx, m.ID, store.AnnouncementDelivered)
		},
	}}
	messenger := workflows.NewMessenger(c)
	b.sweeper = &store.Sweeper{Store: b.Store, Open: messenger.Open, Drill: messenger.DrillOpen, Log: quiet}
	for kind, handle := range messenger.Handlers() {
		relay.Handlers[kind] = handle
	}
	applier := &store.Applier{Store: b.Store, Log: quiet, Parse: api.Inbound}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = box.Run(ctx) })
	running.Go(func() { relay.Run(ctx) })
	running.Go(func() { applier.Run(ctx) })
	running.Go(func() { _ = work.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		b.provider.Close()
		box.Close()
	})
	return b
}

// draft makes a campaign to these numbers.
func (b *bundle) draft(t *testing.T, numbers ...string) uuid.UUID {
	t.Helper()
	template, err := b.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	c, err := b.CreateCampaign(t.Context(), store.NewCampaign{Name: "Jazz night", TemplateID: template.ID})
	require.NoError(t, err)
	r, err := audience.NewReader(strings.NewReader("msisdn\n"+strings.Join(numbers, "\n")), audience.Options{})
	require.NoError(t, err)
	_, err = b.Import(t.Context(), c.ID, r)
	require.NoError(t, err)
	return c.ID
}

func (b *bundle) start(t *testing.T, id uuid.UUID) {
	t.Helper()
	message, err := b.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	b.delivered(t, message)
}

func (b *bundle) order(t *testing.T, id uuid.UUID, gate campaign.Gate) store.Progress {
	t.Helper()
	message, err := b.Order(t.Context(), id, gate, "test")
	require.NoError(t, err)
	b.delivered(t, message)
	return b.progress(t, id)
}

func (b *bundle) delivered(t *testing.T, message int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done, err := b.AwaitDelivery(ctx, message)
	require.NoError(t, err)
	require.True(t, done, "not delivered in time")
}

func (b *bundle) progress(t *testing.T, id uuid.UUID) store.Progress {
	t.Helper()
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, p.Counts.Targets, p.Counts.Queued+p.Counts.Sending+p.Counts.Accepted()+p.Counts.Failed+p.Counts.OptedOut+
		p.Counts.Unknown+p.Counts.Cancelled, "the sums add up at every moment")
	return p
}

// until waits for a campaign to be as asked.
func (b *bundle) until(t *testing.T, id uuid.UUID, within time.Duration, as func(store.Progress) bool) store.Progress {
	t.Helper()
	var p store.Progress
	require.Eventually(t, func() bool { p = b.progress(t, id); return as(p) }, within, 20*time.Millisecond, "%v", &p)
	return p
}

func (b *bundle) set(t *testing.T, key, value string) {
	t.Helper()
	_, err := b.SaveSetting(t.Context(), key, json.RawMessage(value), "test")
	require.NoError(t, err)
}

type received struct {
	To         contact.MSISDN
	Key        string
	ReceivedAt time.Time `json:"received_at"`
}

// inbox is what the provider received, in order.
func (b *bundle) inbox(t *testing.T) (all []received) {
	t.Helper()
	res, err := http.Get(b.provider.URL + "/inbox.json")
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&all))
	return all
}

// fault tells the provider to fail, or to stop failing.
func (b *bundle) fault(t *testing.T, method, fault string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.provider.URL+"/faults", strings.NewReader(fault))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Less(t, res.StatusCode, 300)
}

// workflow is the id of the workflow that looks after a campaign now.
func (b *bundle) workflow(t *testing.T, id uuid.UUID) string {
	t.Helper()
	c, err := b.Campaign(t.Context(), id)
	require.NoError(t, err)
	return workflows.ResendID(id, c.Resend)
}

// history is the whole history of the workflow that looks after a campaign now.
func (b *bundle) history(t *testing.T, id uuid.UUID) *historypb.History {
	t.Helper()
	return b.historyOf(t, b.workflow(t, id))
}

// historyOf is the history of a workflow's newest run, or of the one named.
func (b *bundle) historyOf(t *testing.T, workflow string, run ...string) *historypb.History {
	t.Helper()
	all := &historypb.History{}
	events := b.temporal.GetWorkflowHistory(t.Context(), workflow, strings.Join(run, ""), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		all.Events = append(all.Events, e)
	}
	return all
}

func rw(i int) string { return fmt.Sprintf("+25078%07d", i) }
func mt(i int) string { return fmt.Sprintf("+35679%06d", i) }

func many(n int, number func(int) string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = number(i)
	}
	return all
}

func ended(p store.Progress) bool { return p.Status.Ended() }

// found counts the workflows that a list filter of Temporal Web finds.
func (b *bundle) found(t *testing.T, query string) int {
	t.Helper()
	res, err := b.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
	require.NoError(t, err)
	return len(res.Executions)
}

// ownTemporal is a client of a namespace that one test has to itself.
func ownTemporal(t *testing.T) (c client.Client, space string) {
	t.Helper()
	server, err := devTemporal()
	require.NoError(t, err)
	space = namespace(t, server)
	c, err = client.DialContext(t.Context(), client.Options{HostPort: server.Address(), Namespace: space, Logger: tlog.NewStructuredLogger(quiet)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, space
}

// namespace makes a namespace for one test: the task queues have fixed names, so each test needs its own.
func namespace(t *testing.T, server *devstack.TemporalServer) string {
	t.Helper()
	name := strings.ToLower(t.Name())
	admin, err := client.NewNamespaceClient(client.Options{HostPort: server.Address(), Logger: tlog.NewStructuredLogger(quiet)})
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.Register(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	}))
	return name
}
