package activities

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/gateway/whatsapp"
)

// refusal is the error that the client makes of the provider's code.
func refusal(t *testing.T, code int) error {
	t.Helper()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"no","code":`+strconv.Itoa(code)+`}}`)
	}))
	defer provider.Close()
	_, err := whatsapp.New(whatsapp.Config{BaseURL: provider.URL, PhoneNumberID: "555", AccessToken: "token"}).
		Send(context.Background(), whatsapp.TemplateMessage{To: "+250780000001", Template: "promo", Language: "en"})
	require.Error(t, err)
	return err
}

func TestWhatAnEndMeans(t *testing.T) {
	t.Parallel()
	queued, failed, unknown := campaign.Queued, campaign.FailedT, campaign.Unknown
	for _, c := range []struct {
		codes  []int
		state  campaign.TargetState
		reason string
		spread spread
	}{
		{[]int{130429, 4, 80007}, queued, "rate_limited", tooFast},
		{[]int{131056}, queued, "pair_limit", alone},
		{[]int{131057}, queued, "number_maintenance", pausing},
		{[]int{131016}, queued, "provider_busy", trouble},
		{[]int{1, 2, 131000}, unknown, "no_answer", trouble},
		{[]int{131026, 130472, 131047, 132000, 132005, 132008, 132012, 999999}, failed, "provider_refused", alone},
		{[]int{131049}, queued, "provider_user_limit", alone},
		{[]int{131050}, campaign.OptedOut, "provider_opt_out", alone},
		{[]int{131053}, queued, "media_failed", alone},
		{[]int{132001, 132007, 132015, 132016}, queued, "template_suspended", ofTemplate},
		{[]int{0, 3, 10, 190, 200, 299, 131005, 368, 131031, 131042, 130497, 131064, 131048, 133010, 133016}, queued, "channel_suspended", ofChannel},
	} {
		for _, code := range c.codes {
			e := endOf(refusal(t, code), false)
			require.Equal(t, []any{c.state, c.reason, c.spread, code}, []any{e.State, e.Reason, e.spread, e.ErrorCode}, code)
			_, suspends := delivery.SuspendsChannel(code)
			require.Equal(t, c.spread == ofChannel, suspends, code)
		}
	}
	require.Equal(t, ending{}, func() ending { e := endOf(nil, false); e.State = ""; return e }())
	require.Equal(t, campaign.Sent, endOf(nil, false).State)
	require.Equal(t, unreachable, endOf(whatsapp.ErrNotSent, false).Reason)
	require.Equal(t, unsent(0, permitVoid), endOf(whatsapp.ErrNotSent, true), "it waited for a connection: nobody's fault")
	require.Equal(t, unknown, endOf(whatsapp.ErrUnknown, true).State)
	require.Equal(t, 24*time.Hour, endOf(refusal(t, 131049), false).After)
}

func TestRetryBudget(t *testing.T) {
	t.Parallel()
	end := func(reason string, before map[string]int) ending {
		e := unsent(1, reason)
		e.budget(before, 4)
		return e
	}
	within := func(e ending, from, to time.Duration) {
		t.Helper()
		require.Equal(t, campaign.Queued, e.State)
		require.GreaterOrEqual(t, e.After, from)
		require.LessOrEqual(t, e.After, to)
	}
	within(end(busy, nil), 2*time.Second, 3*time.Second)
	within(end(busy, map[string]int{busy: 2}), 8*time.Second, 12*time.Second)
	within(end(unreachable, map[string]int{busy: 2}), 2*time.Second, 3*time.Second)
	within(end(pairLimit, map[string]int{pairLimit: 2}), 64*time.Second, 96*time.Second)
	within(end(mediaFailed, map[string]int{mediaFailed: 1, busy: 3}), 30*time.Second, 45*time.Second)

	spent := end(unreachable, map[string]int{busy: 2, pairLimit: 1})
	require.Equal(t, []any{campaign.FailedT, "retries_exhausted", time.Duration(0)}, []any{spent.State, spent.Reason, spent.After}, "the fourth")
	spent = end(mediaFailed, map[string]int{mediaFailed: 2})
	require.Equal(t, []any{campaign.FailedT, "provider_refused"}, []any{spent.State, spent.Reason}, "the code tells what to mend")
	for _, free := range []string{rateLimited, channelSuspended, templateSuspended, maintenance, permitVoid} {
		e := end(free, map[string]int{free: 100, busy: 100})
		require.Equal(t, []any{campaign.Queued, time.Duration(0)}, []any{e.State, e.After}, "%s burns nothing", free)
	}
	long := unsent(1, busy)
	long.budget(map[string]int{busy: 1000}, 10_000)
	within(long, 5*time.Minute, 5*time.Minute)
	e := unsent(1, busy)
	e.budget(map[string]int{busy: 7}, 0)
	require.Equal(t, campaign.FailedT, e.State, "eight by default")
}

// A halt goes before the breaker in the database until it is written, and until a claim after it gets through.
func TestLineHalts(t *testing.T) {
	t.Parallel()
	var l line
	at := time.Now()
	refused := ending{spread: ofChannel}
	refused.ErrorCode = 190
	found := l.saw(refused, at)
	require.Equal(t, delivery.Access, found.halt.cause)
	require.Nil(t, l.saw(refused, at).halt, "told once")
	require.Equal(t, channelSuspended, l.refuses())
	require.Positive(t, l.may(10).wait)
	found.halt.written.Store(true)
	may := l.may(10)
	require.Zero(t, may.wait)
	require.Equal(t, 10, may.n)
	require.Equal(t, channelSuspended, l.refuses(), "what was claimed before does not begin")
	l.clear(may.halt)
	require.Empty(t, l.refuses())

	for i := range 20 {
		found = l.saw(ending{spread: trouble}, at)
		require.Equal(t, i == 19, found.halt != nil, i)
	}
	graver := l.saw(refused, at)
	require.Equal(t, delivery.Access, graver.halt.cause, "what a person must mend goes before an outage")
	l.clear(graver.halt)

	pausingEnd := ending{spread: pausing}
	require.NotNil(t, l.saw(pausingEnd, at).pause)
	require.Nil(t, l.saw(pausingEnd, at).pause)
	require.Equal(t, maintenance, l.refuses())
	require.InDelta(t, 75, l.may(1).wait.Seconds(), 16)
}
