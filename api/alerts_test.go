package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/runbook"
)

// withRunbooks gives the API two runbooks.
func withRunbooks(t *testing.T) func(*api.Deps) {
	t.Helper()
	return func(d *api.Deps) {
		for name, text := range map[string]string{
			"messaging-failures": "# Messages fail\n\nWhen they do.\n\n1. Look. {run: recheck messaging}\n2. Read why.\n3. Ask.\n4. Stop. {run: pause-all-campaigns}\n",
			"mass-block-or-send": "# Too much goes\n\nWhen it does.\n\n1. Stop. {run: pause-all-campaigns}\n",
		} {
			b, err := runbook.Parse(name, []byte(text))
			require.NoError(t, err)
			d.Runbooks = append(d.Runbooks, b)
		}
	}
}

// caller calls the API as somebody who is signed in, and gets the status.
type caller struct{ *browser }

func (c caller) call(t *testing.T, method, path string, body, out any) int {
	t.Helper()
	if body == nil && method == http.MethodPost {
		body = struct{}{}
	}
	status, _, _ := c.do(method, "/api/v1"+path, body, out)
	return status
}

func TestAnIncidentFromAlertToReport(t *testing.T) {
	t.Parallel()
	o := openOffice(t, withRunbooks(t))
	ops, viewer := caller{o.colleague("keza", "ops")}, caller{o.colleague("eric", "viewer")}

	var made api.Alert
	require.Equal(t, http.StatusCreated, ops.call(t, http.MethodPost, "/alerts/test", api.AlertNote{Note: "is anybody there?"}, &made))
	require.Equal(t, http.StatusForbidden, viewer.call(t, http.MethodPost, "/alerts/"+made.ID.String()+"/acknowledge", nil, nil))
	var seen api.Alert
	require.Equal(t, http.StatusOK, ops.call(t, http.MethodPost, "/alerts/"+made.ID.String()+"/acknowledge", nil, &seen))
	require.NotEmpty(t, seen.AcknowledgedBy)
	require.Equal(t, http.StatusConflict, ops.call(t, http.MethodPost, "/alerts/"+made.ID.String()+"/acknowledge", nil, nil))

	var i api.Incident
	require.Equal(t, http.StatusUnprocessableEntity, ops.call(t, http.MethodPost, "/incidents", api.NewIncident{Title: "Mail", Runbook: "none"}, nil))
	require.Equal(t, http.StatusCreated, ops.call(t, http.MethodPost, "/incidents", api.NewIncident{Title: "Messages fail", Severity: "critical", Runbook: "messaging-failures", AlertID: &made.ID}, &i))
	at := "/incidents/" + i.ID.String()
	require.Equal(t, http.StatusForbidden, viewer.call(t, http.MethodPost, at+"/changes", api.IncidentChange{Do: "note", Text: "hello"}, nil))
	require.Equal(t, http.StatusOK, ops.call(t, http.MethodPost, at+"/steps/2", api.StepOrder{Do: "tick"}, &i))
	require.NotNil(t, i.Steps[0].TickedAt)
	require.Equal(t, http.StatusConflict, ops.call(t, http.MethodPost, at+"/steps/2", api.StepOrder{Do: "run"}, nil), "only a person can")
	require.Equal(t, http.StatusOK, ops.call(t, http.MethodPost, at+"/steps/4", api.StepOrder{Do: "run"}, &i))
	require.Equal(t, "no campaign was running", i.Steps[1].Came)
	require.Equal(t, http.StatusNotFound, ops.call(t, http.MethodPost, at+"/steps/99", api.StepOrder{Do: "tick"}, nil))
	require.Equal(t, http.StatusOK, ops.call(t, http.MethodPost, at+"/changes", api.IncidentChange{Do: "mitigate"}, &i))
	require.Equal(t, http.StatusUnprocessableEntity, ops.call(t, http.MethodPost, at+"/changes", api.IncidentChange{Do: "resolve"}, nil), "what was it?")
	require.Equal(t, http.StatusOK, ops.call(t, http.MethodPost, at+"/changes", api.IncidentChange{Do: "resolve", Text: "the provider was down"}, &i))
	require.Equal(t, http.StatusConflict, ops.call(t, http.MethodPost, at+"/steps/4", api.StepOrder{Do: "run"}, nil), "it is over")
	var kinds []string
	for _, m := range i.Timeline {
		kinds = append(kinds, m.Kind)
	}
	require.Equal(t, "alert_fired acknowledged alert_resolved opened step_ticked campaigns_paused step_run mitigated resolved", strings.Join(kinds, " "))
}

// What running a step does takes the permission that doing it by hand takes.
func TestAStepTakesWhatItTakesByHand(t *testing.T) {
	t.Parallel()
	o := openOffice(t, withRunbooks(t))
	lead := caller{o.colleague("lea", "project_lead")}
	var i api.Incident
	require.Equal(t, http.StatusCreated, lead.call(t, http.MethodPost, "/incidents", api.NewIncident{Title: "Too much goes", Runbook: "mass-block-or-send"}, &i))
	require.Equal(t, http.StatusForbidden, lead.call(t, http.MethodPost, "/incidents/"+i.ID.String()+"/steps/1", api.StepOrder{Do: "run"}, nil), "a project lead runs no campaigns")
	require.Equal(t, http.StatusOK, lead.call(t, http.MethodPost, "/incidents/"+i.ID.String()+"/steps/1", api.StepOrder{Do: "tick"}, &i))
}
