package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// listen opens the event stream and hands over each campaign it tells of, until it ends.
func (b *bundle) listen(query string) (<-chan api.Campaign, *http.Response) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", b.url+"/api/v1/events"+query, nil)
	require.NoError(b.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	told := make(chan api.Campaign, 100)
	go func() {
		defer close(told)
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var c api.Campaign
				if json.Unmarshal([]byte(data), &c) == nil {
					told <- c
				}
			}
		}
	}()
	return told, res
}

// next is the next campaign told of for which ok holds.
func next(t *testing.T, told <-chan api.Campaign, ok func(api.Campaign) bool) api.Campaign {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case c, open := <-told:
			require.True(t, open, "the stream ended")
			if ok(c) {
				return c
			}
		case <-deadline:
			require.FailNow(t, "nothing was told in time")
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	closing := make(chan struct{})
	b := setup(t, func(d *api.Deps) { d.Closing = closing; d.EffectWithin = time.Millisecond })
	start := func() api.Campaign {
		c := b.campaign()
		b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n"), nil)
		status, _ := b.do("POST", path(c, "/start"), nil, nil)
		require.Equal(t, http.StatusAccepted, status)
		return c
	}
	one, other := start(), start()

	all, res := b.listen("")
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	is := func(id uuid.UUID, status campaign.Status) func(api.Campaign) bool {
		return func(c api.Campaign) bool { return c.CampaignID == id && c.Status == status }
	}
	next(t, all, is(one.CampaignID, campaign.Scheduled))
	only, _ := b.listen("?campaign=" + other.CampaignID.String())
	next(t, only, is(other.CampaignID, campaign.Scheduled))

	require.NoError(t, b.store.Advance(t.Context(), one.CampaignID, campaign.Preflight, ""))
	next(t, all, is(one.CampaignID, campaign.Preflight))
	require.NoError(t, b.store.Advance(t.Context(), other.CampaignID, campaign.Paused, "the template is gone"))
	got := next(t, only, func(c api.Campaign) bool {
		require.Equal(t, other.CampaignID, c.CampaignID, "only the one asked for")
		return c.Status == campaign.Paused
	})
	require.Equal(t, "the template is gone", got.NeedsHuman)
	next(t, all, is(other.CampaignID, campaign.Paused))

	late, _ := b.listen("")
	next(t, late, is(one.CampaignID, campaign.Preflight))

	close(closing)
	for _, stream := range []<-chan api.Campaign{all, only, late} {
		require.Eventually(t, func() bool {
			select {
			case _, open := <-stream:
				return !open
			default:
				return false
			}
		}, 5*time.Second, 5*time.Millisecond, "streams end with the server")
	}

	var p api.Problem
	status, _ := b.do("GET", "/api/v1/events?campaign="+uuid.NewString(), nil, &p)
	require.Equal(t, http.StatusNotFound, status)
}

func TestWebhookHandshake(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for query, want := range map[string]int{
		"?hub.mode=subscribe&hub.verify_token=verify&hub.challenge=42": http.StatusOK,
		"?hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=42":  http.StatusForbidden,
		"": http.StatusForbidden,
	} {
		res, err := http.Get(b.url + "/webhooks/whatsapp" + query)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode)
	}
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	post := func(body []byte, signature string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/webhooks/whatsapp", bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-Hub-Signature-256", signature)
		status, _ := b.send(req, nil)
		return status
	}
	signed := func(body []byte) string { return whatsapp.Sign("app secret", body) }
	good := []byte(`{"entry":[]}`)
	require.Equal(t, http.StatusUnauthorized, post(good, ""))
	require.Equal(t, http.StatusUnauthorized, post(good, whatsapp.Sign("another secret", good)))
	require.Equal(t, http.StatusUnauthorized, post([]byte(`{"entry": []}`), signed(good)), "the signature is over the bytes")
	large := bytes.Repeat([]byte("x"), 4<<20)
	require.Equal(t, http.StatusRequestEntityTooLarge, post(large, signed(large)))
	require.Equal(t, http.StatusOK, post(good, signed(good)))
	full := bytes.Repeat([]byte(" "), 3<<20)
	require.Equal(t, http.StatusOK, post(full, signed(full)))
	require.Contains(t, b.log.String(), "wrong signature")

	kept := make(chan []byte, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	applier := store.Applier{Store: b.store, Log: discard(), Parse: func(body []byte) (store.Inbound, error) {
		kept <- body
		return store.Inbound{}, nil
	}}
	go func() { defer close(done); applier.Run(ctx) }()
	require.Equal(t, good, <-kept)
	require.Len(t, <-kept, 3<<20)
	cancel()
	<-done
	require.Empty(t, kept, "nothing refused is kept")
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	key := campaign.Attempt{Campaign: uuid.New(), Target: 7, N: 2}
	body := func(statuses ...string) []byte {
		return []byte(`{"entry":[{"changes":[{"field":"messages","value":{"statuses":[` + strings.Join(statuses, ",") + `]}}]}]}`)
	}
	ours := `{"id":"wamid.1","status":"failed","timestamp":"1790000000","errors":[{"code":131026}],"biz_opaque_callback_data":"` + key.Key() + `"}`
	told, err := api.Inbound(body(`{"id":"wamid.0","status":"sent","timestamp":"1790000000"}`, ours,
		`{"id":"wamid.2","status":"read","timestamp":"9000000000000000000","biz_opaque_callback_data":"`+key.Key()+`"}`))
	require.NoError(t, err)
	got := told.Receipts
	require.Len(t, got, 2, "statuses without a key of ours are passed over")
	require.Equal(t, store.Receipt{Attempt: key, State: campaign.FailedT, At: time.Unix(1790000000, 0).UTC(), ProviderID: "wamid.1", ErrorCode: 131026}, got[0])
	require.WithinDuration(t, time.Now(), got[1].At, time.Minute, "a time that cannot be counts as now")

	_, err = api.Inbound([]byte("no JSON"))
	require.Error(t, err)
	_, err = api.Inbound(body(`{"id":"wamid\u0000","status":"sent"}`))
	require.Error(t, err)
}
