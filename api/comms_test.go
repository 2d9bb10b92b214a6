package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/announce"
	"lastcall/domain/rollout"
)

func TestAnnouncementsAndReviewsOverTheAPI(t *testing.T) {
	t.Parallel()
	check := func(id, name string) rollout.Item {
		return rollout.Item{ID: id, Text: id, Kind: rollout.Check, Check: name, Owner: "ops", Every: time.Hour, StaleAfter: 24 * time.Hour}
	}
	plan := rollout.Plan{Phases: []rollout.PhasePlan{
		{Phase: rollout.Staging, Title: "Staging", Items: []rollout.Item{check("overrides", "overrides"), check("daily", rollout.DailyReview)}, Announcements: []announce.Announcement{
			{ID: "material", Text: "Share it.", Event: announce.PhaseBegun, Channels: []announce.Channel{announce.Mail}, Lists: []string{"pilot"}, Links: []string{"faq"}, Subject: "Soon", Body: "Read {{.Links.faq}}"}}},
		{Phase: rollout.Pilot, Title: "Pilot"}, {Phase: rollout.Production, Title: "Production"}, {Phase: rollout.Live}}}
	o := openOffice(t, func(d *api.Deps) { d.RolloutPlan, d.EffectWithin = plan, 300*time.Millisecond })
	lead, support, viewer := o.colleague("lead", "project_lead"), o.colleague("support", "support"), o.colleague("viewer", "viewer")
	const at = "/api/v1/rollouts/lastcall/announcements"
	status, _, _ := viewer.do("GET", at, nil, nil)
	require.Equal(t, http.StatusNotFound, status, "there is no rollout")
	var r api.Rollout
	status, p, _ := lead.do("POST", "/api/v1/rollout", api.NewRollout{Reason: "Kigali opens"}, &r)
	require.Equal(t, http.StatusCreated, status, "%+v", p)
	last := r.Gate.Open[len(r.Gate.Open)-1]
	require.Equal(t, rollout.Open{Item: "material", Code: announce.Missing, Why: "it has not been announced: “Share it”"}, last)

	var all api.RolloutAnnouncements
	status, p, _ = viewer.do("GET", at, nil, &all)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Len(t, all.Announcements, 1)
	a := all.Announcements[0]
	require.Equal(t, "not_sent", a.State)
	require.False(t, a.MaySend)
	require.Equal(t, announce.NoList, a.Code)
	require.Equal(t, rollout.Pilot, a.Before)
	require.Equal(t, "Read (faq is missing)", a.Body)
	order := api.AnnouncementOrder{Digest: a.Digest}
	_, p, _ = viewer.do("POST", at+"/material/preview", nil, nil)
	require.Equal(t, "role_may_not", p.Code)
	_, p, _ = support.do("POST", at+"/material/send", order, nil)
	require.Equal(t, "role_may_not", p.Code)
	status, p, _ = lead.do("POST", at+"/party/preview", nil, nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, announce.NotFound, p.Code)
	status, p, _ = lead.do("POST", at+"/material/send", order, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, announce.NoList, p.Code)

	_, err := o.store.SaveSetting(t.Context(), "announcements", json.RawMessage(`{"lists":{"pilot":["pilot@example.com"]},"links":{"faq":"https://example.com/faq"}}`), "")
	require.NoError(t, err)
	status, p, _ = lead.do("POST", at+"/material/send", order, nil)
	require.Equal(t, http.StatusPreconditionFailed, status, "it is another one now")
	require.Equal(t, announce.Changed, p.Code)
	status, p, _ = lead.do("POST", at+"/material/preview", nil, &a)
	require.Equal(t, http.StatusAccepted, status, "nobody is there who looks: %+v", p)
	require.True(t, a.MaySend)
	require.Equal(t, "Read https://example.com/faq", a.Body)
	require.Equal(t, []api.AnnouncementLink{{Name: "faq", URL: "https://example.com/faq"}}, a.Links)
	require.Equal(t, []api.AnnouncementList{{Name: "pilot", Addresses: []string{"pilot@example.com"}}}, a.Lists)
	order.Digest = a.Digest
	status, _ = o.do("POST", at+"/material/send", order, &p)
	require.Equal(t, http.StatusForbidden, status, "a token sends nothing")
	status, p, _ = lead.do("POST", at+"/material/send", order, &a)
	require.Equal(t, http.StatusAccepted, status, "%+v", p)
	require.Equal(t, "checking", a.State)
	require.Equal(t, "lead@example.test", a.Runs[0].By.Email)
	require.NoError(t, o.store.RecordLinks(t.Context(), map[string]string{"https://example.com/faq": ""}))
	went, err := o.store.AnnouncementGoes(t.Context(), a.Runs[0].ID)
	require.NoError(t, err)
	require.True(t, went)
	viewer.do("GET", at, nil, &all)
	require.Equal(t, "sending", all.Announcements[0].State)
	require.Equal(t, 1, all.Announcements[0].Runs[0].To)
	require.Positive(t, all.Announcements[0].Runs[0].Messages[0].OutboxID)

	// Reviews: of a phase that began the day before yesterday.
	o.exec(`UPDATE rollouts SET phase_since = clock_timestamp() - interval '51 hours'`)
	_, err = o.store.StepReviews(t.Context(), "lastcall")
	require.NoError(t, err)
	var page api.ReviewPage
	status, p, _ = support.do("GET", "/api/v1/reviews?rollout=lastcall&open=true&limit=1", nil, &page)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Len(t, page.Reviews, 1)
	require.NotEmpty(t, page.Next)
	require.Nil(t, page.Reviews[0].Snapshot)
	require.True(t, page.Reviews[0].MaySign)
	var v api.DailyReview
	status, _, _ = viewer.do("GET", "/api/v1/reviews/"+page.Reviews[0].ID.String(), nil, &v)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, v.Snapshot.KPIs.Figures, 6)
	require.False(t, v.MaySign)
	signature := api.ReviewSignature{Notes: "all well", Digest: v.Digest}
	path := "/api/v1/reviews/" + v.ID.String() + "/sign"
	_, p, _ = lead.do("POST", path, signature, nil)
	require.Equal(t, "role_may_not", p.Code)
	status, _ = o.do("POST", path, signature, &p)
	require.Equal(t, http.StatusForbidden, status, "a token signs nothing")
	wrong := signature
	wrong.Digest = v.Digest[2:] + "00"
	status, p, _ = support.do("POST", path, wrong, nil)
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "approval_changed", p.Code)
	status, p, _ = support.do("POST", path, signature, &v)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, "signed", v.State)
	require.Equal(t, access.Support, v.Role)
	require.Equal(t, "all well", v.Notes)
	status, p, _ = support.do("POST", path, signature, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "review_signed", p.Code)
	status, _, _ = support.do("GET", "/api/v1/reviews/"+uuid.NewString(), nil, nil)
	require.Equal(t, http.StatusNotFound, status)
}
