package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/config"
	"lastcall/domain/drill"
)

func TestDrillsOverTheAPI(t *testing.T) {
	t.Parallel()
	scenarios, err := config.Drills()
	require.NoError(t, err)
	o := openOffice(t, func(d *api.Deps) { d.Drills = scenarios })
	ops, viewer := o.colleague("ops", "ops"), o.colleague("viewer", "viewer")

	var all api.DrillScenarios
	status, _, _ := viewer.do("GET", "/api/v1/drill-scenarios", nil, &all)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, all.Scenarios, len(scenarios))
	for _, s := range all.Scenarios {
		require.NotEmpty(t, s.Impact, s.Name)
	}

	begin := api.NewDrill{Scenario: "messaging-outage", Fast: true, Reason: "practice"}
	_, p, _ := viewer.do("POST", "/api/v1/drills", begin, nil)
	require.Equal(t, "role_may_not", p.Code)
	unknown := begin
	unknown.Scenario = "flood"
	status, p, _ = ops.do("POST", "/api/v1/drills", unknown, nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "unknown_scenario", p.Code)
	blank := begin
	blank.Reason = " "
	_, p, _ = ops.do("POST", "/api/v1/drills", blank, nil)
	require.Equal(t, "no_reason", p.Code)

	var begun api.Drill
	status, p, _ = ops.do("POST", "/api/v1/drills", begin, &begun)
	require.Equal(t, http.StatusCreated, status, "%+v", p)
	require.Equal(t, drill.Preflight, begun.Status)
	require.Zero(t, begun.Score, "what was not measured scores nothing")
	require.Equal(t, "2m20s", begun.Experiment.Fault.For.String(), "with the thresholds of a fast drill")
	status, p, _ = ops.do("POST", "/api/v1/drills", begin, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "drill_open", p.Code)
	require.Contains(t, p.Detail, "messaging-outage")

	var page api.DrillPage
	viewer.do("GET", "/api/v1/drills?scenario=messaging-outage", nil, &page)
	require.Len(t, page.Drills, 1)
	require.Nil(t, page.Drills[0].Score, "it is not over")
	abort := "/api/v1/drills/" + begun.DrillID.String() + "/abort"
	_, p, _ = viewer.do("POST", abort, api.DrillAbort{}, nil)
	require.Equal(t, "role_may_not", p.Code)
	status, p, _ = ops.do("POST", abort, api.DrillAbort{Reason: "the concert begins"}, &begun)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, "ops@example.test", begun.StoppedBy)
	_, p, _ = ops.do("POST", abort, api.DrillAbort{}, nil)
	require.Equal(t, "drill_over", p.Code)
}
