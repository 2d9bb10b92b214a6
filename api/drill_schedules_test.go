package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/config"
)

func TestDrillSchedulesOverTheAPI(t *testing.T) {
	t.Parallel()
	scenarios, err := config.Drills()
	require.NoError(t, err)
	o := openOffice(t, func(d *api.Deps) { d.Drills = scenarios })
	ops, viewer := o.colleague("ops", "ops"), o.colleague("viewer", "viewer")
	want := api.NewDrillSchedule{Days: []string{"thursday", "monday", "mon"}, At: "10:00", Zone: "Africa/Kigali", Fast: true, Reason: "practice"}
	const address = "/api/v1/drill-schedules/messaging-outage"
	_, p, _ := viewer.do("PUT", address, want, nil)
	require.Equal(t, "role_may_not", p.Code)
	for code, spoil := range map[string]func(*api.NewDrillSchedule){
		"bad_time": func(s *api.NewDrillSchedule) { s.At = "25:00" }, "bad_zone": func(s *api.NewDrillSchedule) { s.Zone = "Kigali" },
		"bad_days": func(s *api.NewDrillSchedule) { s.Days = []string{"someday"} }, "no_reason": func(s *api.NewDrillSchedule) { s.Reason = " " }} {
		wrong := want
		spoil(&wrong)
		status, p, _ := ops.do("PUT", address, wrong, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, code)
		require.Equal(t, code, p.Code)
	}
	status, p, _ := ops.do("PUT", "/api/v1/drill-schedules/flood", want, nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "unknown_scenario", p.Code)

	var made api.DrillSchedule
	status, p, _ = ops.do("PUT", address, want, &made)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, []string{"monday", "thursday"}, made.Days)
	require.Equal(t, "ops@example.test", made.By)
	kigali, err := time.LoadLocation("Africa/Kigali")
	require.NoError(t, err)
	require.Equal(t, "10:00", made.Next.In(kigali).Format("15:04"))
	require.Contains(t, []time.Weekday{time.Monday, time.Thursday}, made.Next.In(kigali).Weekday())

	want.Paused = true
	status, _, _ = ops.do("PUT", address, want, nil)
	require.Equal(t, http.StatusOK, status)
	var all api.DrillSchedules
	viewer.do("GET", "/api/v1/drill-schedules", nil, &all)
	require.Len(t, all.Schedules, 1, "one a scenario")
	require.True(t, all.Schedules[0].Paused)
	require.Nil(t, all.Schedules[0].Next)
	_, p, _ = viewer.do("DELETE", address, nil, nil)
	require.Equal(t, "role_may_not", p.Code)
	status, _, _ = ops.do("DELETE", address+"?reason=enough", nil, nil)
	require.Equal(t, http.StatusOK, status)
	status, _, _ = ops.do("DELETE", address, nil, nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Len(t, o.audited("drill.scheduled"), 2)
	require.Len(t, o.audited("drill.unscheduled"), 1)
}
