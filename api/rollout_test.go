package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/rollout"
	"lastcall/store"
)

func TestTheRolloutOverTheAPI(t *testing.T) {
	t.Parallel()
	plan := rollout.Plan{Phases: []rollout.PhasePlan{
		{Phase: rollout.Staging, Title: "Staging", Guardrails: rollout.Guardrails{Provider: rollout.Sandbox, Redemptions: rollout.Mocked}, Items: []rollout.Item{
			{ID: "runbooks", Text: "Runbooks", Kind: rollout.SignOff, Owner: "ops", Quorum: []access.Role{"ops"}},
			{ID: "overrides", Text: "Overrides", Kind: rollout.Check, Check: "overrides", Owner: "project_lead", Every: time.Hour, StaleAfter: 24 * time.Hour}}},
		{Phase: rollout.Pilot, Title: "Pilot", Guardrails: rollout.Guardrails{Targets: 20}}, {Phase: rollout.Production, Title: "Production"}, {Phase: rollout.Live}}}
	o := openOffice(t, func(d *api.Deps) { d.RolloutPlan, d.EffectWithin = plan, 300*time.Millisecond })
	lead, ops, viewer := o.colleague("lead", "project_lead"), o.colleague("ops", "ops"), o.colleague("viewer", "viewer")

	var r api.Rollout
	status, p, _ := viewer.do("GET", "/api/v1/rollout", nil, &r)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, "none", r.Phase)
	require.Len(t, r.Phases, 4, "the plan that one would follow")
	status, p, _ = viewer.do("GET", "/api/v1/rollout/items/runbooks", nil, nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, rollout.NotBegun, p.Code)
	_, p, _ = viewer.do("POST", "/api/v1/rollout", api.NewRollout{Reason: "Kigali opens"}, nil)
	require.Equal(t, "role_may_not", p.Code)
	status, p, _ = lead.do("POST", "/api/v1/rollout", api.NewRollout{Reason: "Kigali opens"}, &r)
	require.Equal(t, http.StatusCreated, status, "%+v", p)
	require.Equal(t, "staging", r.Phase)
	require.Len(t, r.Gate.Open, 2)
	status, p, _ = lead.do("POST", "/api/v1/rollout", api.NewRollout{Name: "malta", Reason: "Malta opens"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, rollout.Begun, p.Code)

	status, p, _ = lead.do("POST", "/api/v1/rollout/advance", api.GateAdvance{From: rollout.Staging}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, rollout.GateShut, p.Code)
	facts, err := json.Marshal(p.Facts)
	require.NoError(t, err)
	var gate store.GateFacts
	require.NoError(t, json.Unmarshal(facts, &gate))
	require.Len(t, gate.Open, 2, "with all that is missing")

	var item api.RolloutItem
	ops.do("GET", "/api/v1/rollout/items/runbooks", nil, &item)
	require.True(t, item.MaySign)
	sign := api.ItemSignOff{Note: "read", Digest: item.Digest}
	status, p, _ = lead.do("POST", "/api/v1/rollout/items/runbooks/sign-off", sign, nil)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "approval_role", p.Code)
	other := sign
	other.Digest = item.Digest[2:] + "00"
	status, p, _ = ops.do("POST", "/api/v1/rollout/items/runbooks/sign-off", other, nil)
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "approval_changed", p.Code)
	status, _ = o.do("POST", "/api/v1/rollout/items/runbooks/sign-off", sign, &p)
	require.Equal(t, http.StatusForbidden, status, "a token signs nothing")
	status, p, _ = ops.do("POST", "/api/v1/rollout/items/runbooks/sign-off", sign, &item)
	require.Equal(t, http.StatusAccepted, status, "no worker is there: %+v", p)
	require.Equal(t, rollout.Inconclusive, item.Outcome)
	status, p, _ = ops.do("POST", "/api/v1/rollout/items/runbooks/sign-off", sign, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, rollout.SignedTwice, p.Code)
	_, p, _ = ops.do("POST", "/api/v1/rollout/items/overrides/waive", api.RolloutReason{Reason: "no time"}, nil)
	require.Equal(t, "role_may_not", p.Code)
	status, p, _ = lead.do("POST", "/api/v1/rollout/items/overrides/waive", api.RolloutReason{Reason: "no time"}, nil)
	require.Equal(t, http.StatusAccepted, status, "%+v", p)

	status, _ = o.do("PUT", "/api/v1/settings/toggles", map[string]any{"value": map[string]bool{"dispatch": true, "mock_redemptions": false}, "reason": "test"}, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, rollout.Guardrail, p.Code)
	require.Equal(t, "mock_redemptions", p.Field)
	status, p, _ = lead.do("POST", "/api/v1/rollout/end", api.RolloutReason{Reason: "a test"}, &r)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, "none", r.Phase)
}
