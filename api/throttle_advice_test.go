package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/throttle"
	"lastcall/store"
)

func TestTheAdviceIsShownAndReviewed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/api/v1/settings/throttle"
	var a store.ThrottleAdvice
	status, _ := b.do("GET", path+"/advice", nil, &a)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, a.Proposals, 4)
	require.Equal(t, throttle.Unknown, a.Proposals[0].Verdict)
	require.Nil(t, a.Proposals[0].Proposed, "null, not 0")
	require.Empty(t, a.Rollout)
	require.Nil(t, a.Review)

	var p api.Problem
	status, _ = b.do("POST", path+"/review", api.ThrottleKept{Advice: strings.Repeat("0", 64), Reason: "calm"}, &p)
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "advice_changed", p.Code)
	status, _ = b.do("POST", path+"/review", api.ThrottleKept{Advice: a.Digest, Reason: "  "}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "reason", p.Field)
	status, _ = b.do("PUT", path, api.NewSetting{Value: []byte(`{"whatsapp":{"per_minute":60}}`), Reason: "less", Advice: strings.Repeat("0", 64)}, &p)
	require.Equal(t, http.StatusPreconditionFailed, status)

	// Without a pilot the advice is of 30 days up to now: what is proposed counts, not the moment.
	var r store.ThrottleReview
	status, _ = b.do("POST", path+"/review", api.ThrottleKept{Advice: a.Digest, Reason: "calm"}, &r)
	require.Equal(t, http.StatusCreated, status, p.Detail)
	require.Equal(t, "kept", r.Verdict)
	status, _ = b.do("PUT", path, api.NewSetting{Value: []byte(`{"whatsapp":{"per_minute":60}}`), Reason: "less", Advice: a.Digest}, nil)
	require.Equal(t, http.StatusOK, status)
	b.do("GET", path+"/advice", nil, &a)
	require.Equal(t, "changed", a.Review.Verdict)
	require.Equal(t, 60, a.Review.Caps["whatsapp"].PerMinute)
	require.Equal(t, 6_000_000, a.Review.Advice.Caps.PerMinute)
}
