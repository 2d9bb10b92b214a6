package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/alert"
	"lastcall/domain/audit"
	"lastcall/domain/runbook"
	"lastcall/store"
)

// Incident is something wrong that somebody sees to.
type Incident struct {
	ID           uuid.UUID           `json:"incident_id" format:"uuid"`
	Number       int                 `json:"number" doc:"INC-12"`
	Title        string              `json:"title"`
	Severity     alert.Severity      `json:"severity" enum:"info,warning,critical"`
	State        store.IncidentState `json:"state" enum:"open,mitigated,resolved" doc:"mitigated: it does no harm any more, but is not mended"`
	Runbook      string              `json:"runbook,omitempty"`
	Owner        *Somebody           `json:"owner,omitempty" doc:"Who sees to it; absent: nobody yet"`
	OpenedAt     time.Time           `json:"opened_at"`
	OpenedBy     string              `json:"opened_by" doc:"A person, or the alert's rule as alert/messaging-red"`
	MitigatedAt  *time.Time          `json:"mitigated_at,omitempty"`
	ResolvedAt   *time.Time          `json:"resolved_at,omitempty"`
	Resolution   string              `json:"resolution,omitempty" doc:"What it was, and what is to follow"`
	IsDrill      bool                `json:"is_drill" doc:"It never changes"`
	DrillID      *uuid.UUID          `json:"drill_id,omitempty" format:"uuid"`
	AlertsFiring int                 `json:"alerts_firing"`
	AlertCount   int                 `json:"alert_count"`
	Alerts       []Alert             `json:"alerts,omitempty" doc:"Of one incident alone"`
	Timeline     []IncidentMoment    `json:"timeline,omitempty" doc:"Of one incident alone: all that happened, oldest first"`
	Steps        []IncidentStep      `json:"steps,omitempty" doc:"Of one incident alone: what became of the runbook's steps"`
}

// IncidentMoment is one thing that happened.
type IncidentMoment struct {
	At      time.Time  `json:"at"`
	Kind    string     `json:"kind" doc:"opened, alert_fired, notified, acknowledged, alert_resolved, probe, note, owner, severity, step_ticked, step_unticked, step_run, campaigns_paused, mitigated, reopened, resolved"`
	Text    string     `json:"text,omitempty"`
	By      string     `json:"by,omitempty" doc:"Absent: Lastcall itself"`
	Step    int        `json:"step,omitempty"`
	AlertID *uuid.UUID `json:"alert_id,omitempty" format:"uuid"`
}

// IncidentStep is what became of a step.
type IncidentStep struct {
	N        int        `json:"n"`
	TickedAt *time.Time `json:"ticked_at,omitempty"`
	TickedBy string     `json:"ticked_by,omitempty"`
	RanAt    *time.Time `json:"ran_at,omitempty"`
	RanBy    string     `json:"ran_by,omitempty"`
	Came     string     `json:"came,omitempty" doc:"What came of it"`
}

// IncidentPage is one page of incidents, newest first.
type IncidentPage struct {
	Incidents []Incident `json:"incidents"`
	Next      string     `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewIncident opens an incident.
type NewIncident struct {
	Title    string         `json:"title" minLength:"1" maxLength:"200" doc:"What is wrong; no number, name or message"`
	Severity alert.Severity `json:"severity,omitempty" enum:"info,warning,critical" doc:"Absent: warning"`
	Runbook  string         `json:"runbook,omitempty" maxLength:"60" doc:"What to do; absent: nobody has written that down"`
	AlertID  *uuid.UUID     `json:"alert_id,omitempty" format:"uuid" doc:"An alert that belongs to it"`
}

// IncidentChange changes an incident: one thing at a time.
type IncidentChange struct {
	Do       string         `json:"do" enum:"note,owner,severity,mitigate,reopen,resolve"`
	Text     string         `json:"text,omitempty" maxLength:"2000" doc:"Of note: what; of resolve: what it was, and what is to follow"`
	OwnerID  *uuid.UUID     `json:"owner_id,omitempty" format:"uuid" doc:"Of owner; absent: nobody"`
	Severity alert.Severity `json:"severity,omitempty" enum:"info,warning,critical" doc:"Of severity"`
}

// StepOrder ticks a step, or runs it.
type StepOrder struct {
	Do        string     `json:"do" enum:"tick,untick,run"`
	VoucherID *uuid.UUID `json:"voucher_id,omitempty" format:"uuid" doc:"Of a step that voids a voucher: which"`
	Reason    string     `json:"reason,omitempty" maxLength:"500" doc:"Of a step that voids a voucher: why"`
}

// IncidentPath is the part of an address that names an incident.
type IncidentPath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type incidentOutput struct{ Body Incident }

func (s *server) incidents() {
	tags := []string{"Incidents"}
	register(s, access.IncidentsRead, huma.Operation{OperationID: "list-incidents", Method: http.MethodGet, Path: "/incidents", Tags: tags, Summary: "List incidents, newest first"},
		func(ctx context.Context, in *struct {
			Open  bool `query:"open" doc:"Only those that are not resolved"`
			After int  `query:"after" minimum:"1" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body IncidentPage }, error) {
			all, err := s.Store.Incidents(ctx, store.IncidentFilter{Open: in.Open, Before: in.After, Limit: in.fetch()})
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(i store.Incident) string { return strconv.Itoa(i.Number) })
			page := IncidentPage{Incidents: make([]Incident, len(all)), Next: next}
			for n, i := range all {
				page.Incidents[n] = incidentOf(i)
			}
			return &struct{ Body IncidentPage }{page}, nil
		})
	register(s, access.IncidentsRead, huma.Operation{OperationID: "get-incident", Method: http.MethodGet, Path: "/incidents/{id}", Tags: tags, Summary: "Get an incident with its timeline"},
		func(ctx context.Context, in *IncidentPath) (*incidentOutput, error) { return s.incident(ctx, in.ID) })
	register(s, access.IncidentsWrite, huma.Operation{OperationID: "open-incident", Method: http.MethodPost, Path: "/incidents", Tags: tags, Summary: "Open an incident by hand",
		DefaultStatus: http.StatusCreated, Errors: refusals},
		func(ctx context.Context, in *struct {
			IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again returns the same incident"`
			Body           NewIncident
		}) (*incidentOutput, error) {
			if err := checkKey(in.IdempotencyKey); err != nil {
				return nil, err
			}
			if in.Body.Severity == "" {
				in.Body.Severity = alert.Warning
			}
			if in.Body.Runbook != "" {
				if _, err := s.runbook(in.Body.Runbook); err != nil {
					return nil, domain.E(domain.Invalid, "unknown_runbook", "there is no runbook %q", in.Body.Runbook).About("runbook")
				}
			}
			hash, err := hashOf(in.Body)
			if err != nil {
				return nil, err
			}
			n := store.NewIncident{Title: in.Body.Title, Severity: in.Body.Severity, Runbook: in.Body.Runbook, IdempotencyKey: in.IdempotencyKey, RequestHash: hash}
			if in.Body.AlertID != nil {
				n.Alert = *in.Body.AlertID
			}
			i, err := s.Store.OpenIncident(ctx, n)
			if err != nil {
				return nil, err
			}
			return s.incident(ctx, i.ID)
		})
	register(s, access.IncidentsWrite, huma.Operation{OperationID: "change-incident", Method: http.MethodPost, Path: "/incidents/{id}/changes", Tags: tags,
		Summary: "Note, own, mitigate, resolve", Description: "What its state does not allow fails as `incident_state`, status 409.", Errors: refusals},
		func(ctx context.Context, in *struct {
			IncidentPath
			Body IncidentChange
		}) (*incidentOutput, error) {
			kind := map[string]string{"mitigate": "mitigated", "reopen": "reopened", "resolve": "resolved"}[in.Body.Do]
			if kind == "" {
				kind = in.Body.Do
			}
			if kind == "severity" && in.Body.Severity == "" {
				return nil, domain.E(domain.Invalid, "missing_field", "is missing").About("severity")
			}
			if err := s.Store.ChangeIncident(ctx, in.ID, store.IncidentChange{Kind: kind, Text: in.Body.Text, Owner: in.Body.OwnerID, To: in.Body.Severity}); err != nil {
				return nil, err
			}
			return s.incident(ctx, in.ID)
		})
	register(s, access.IncidentsWrite, huma.Operation{OperationID: "do-incident-step", Method: http.MethodPost, Path: "/incidents/{id}/steps/{n}", Tags: tags,
		Summary: "Tick a step of the runbook, or run it", Errors: append([]int{http.StatusForbidden}, refusals...),
		Description: "To run one takes the permission that doing it by hand takes: campaigns.run, probes.check or vouchers.void. One that nothing runs fails as `step_by_hand`."},
		func(ctx context.Context, in *struct {
			IncidentPath
			N    int `path:"n" minimum:"1"`
			Body StepOrder
		}) (*incidentOutput, error) {
			if err := s.doStep(ctx, in.ID, in.N, in.Body); err != nil {
				return nil, err
			}
			return s.incident(ctx, in.ID)
		})
	register(s, access.IncidentsRead, huma.Operation{OperationID: "get-incident-report", Method: http.MethodGet, Path: "/incidents/{id}/report.md", Tags: tags,
		Summary: "Get an incident's report as Markdown", Description: "The same as JSON is the incident itself.",
		Responses: map[string]*huma.Response{"200": {Description: "The report", Content: map[string]*huma.MediaType{"text/markdown": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(ctx context.Context, in *IncidentPath) (*struct {
			ContentType string `header:"Content-Type"`
			Disposition string `header:"Content-Disposition"`
			Body        []byte
		}, error) {
			out, err := s.incident(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &struct {
				ContentType string `header:"Content-Type"`
				Disposition string `header:"Content-Disposition"`
				Body        []byte
			}{"text/markdown; charset=utf-8", fmt.Sprintf(`attachment; filename="INC-%d.md"`, out.Body.Number), []byte(report(out.Body))}, nil
		})
}

func (s *server) incident(ctx context.Context, id uuid.UUID) (*incidentOutput, error) {
	found, err := s.Store.IncidentOf(ctx, id)
	if err != nil {
		return nil, err
	}
	alerts, err := s.Store.Alerts(ctx, store.AlertFilter{Incident: id, Limit: 100})
	if err != nil {
		return nil, err
	}
	moments, err := s.Store.IncidentTimeline(ctx, id)
	if err != nil {
		return nil, err
	}
	steps, err := s.Store.IncidentSteps(ctx, id)
	if err != nil {
		return nil, err
	}
	i := incidentOf(found)
	i.Alerts, i.Timeline, i.Steps = s.alertsOf(alerts), make([]IncidentMoment, len(moments)), make([]IncidentStep, len(steps))
	for n, m := range moments {
		i.Timeline[n] = IncidentMoment{At: m.At, Kind: m.Kind, Text: m.Text, By: m.Actor, Step: m.Step, AlertID: m.AlertID}
	}
	for n, st := range steps {
		i.Steps[n] = IncidentStep(st)
	}
	return &incidentOutput{i}, nil
}

func incidentOf(i store.Incident) Incident {
	out := Incident{ID: i.ID, Number: i.Number, Title: i.Title, Severity: i.Severity, State: i.State, Runbook: i.Runbook, OpenedAt: i.OpenedAt, OpenedBy: i.OpenedBy,
		MitigatedAt: i.MitigatedAt, ResolvedAt: i.ResolvedAt, Resolution: i.Resolution, IsDrill: i.IsDrill, DrillID: i.DrillID, AlertsFiring: i.Firing, AlertCount: i.Alerts}
	if i.Owner != nil {
		owner := partyOf(*i.Owner)
		out.Owner = &owner
	}
	return out
}

// runs says what it takes to run a step, as by hand.
var runs = map[string]access.Permission{runbook.PauseAllCampaigns: access.CampaignsRun, runbook.Recheck: access.ProbesCheck, runbook.VoidVoucher: access.VouchersVoid}

// mayRun refuses who could not do it by hand; the refusal is audited.
func (s *server) mayRun(ctx context.Context, p access.Permission) error {
	if may(ctx, p) {
		return nil
	}
	if err := s.Store.Enter(ctx, audit.Entry{Action: "access.refused", Target: "operation/do-incident-step", Diff: map[string]any{"permission": p, "role": visitFrom(ctx).role}}); err != nil {
		return err
	}
	return domain.E(domain.Forbidden, "role_may_not", "this takes the permission %s, which your role or token does not have", p)
}

func (s *server) doStep(ctx context.Context, id uuid.UUID, n int, order StepOrder) error {
	i, err := s.Store.IncidentOf(ctx, id)
	if err != nil {
		return err
	}
	book, err := s.runbook(i.Runbook)
	if err != nil {
		return err
	}
	step, err := book.Step(n)
	if err != nil {
		return err
	}
	if order.Do != "run" {
		return s.Store.ChangeIncident(ctx, id, store.IncidentChange{Kind: "step_" + order.Do + "ed", Step: n})
	}
	if step.Run == nil {
		return domain.E(domain.Conflict, "step_by_hand", "only a person can do this: tick it when it is done")
	}
	if err := s.mayRun(ctx, runs[step.Run.Do]); err != nil {
		return err
	}
	if err := s.Store.IncidentOpenForSteps(ctx, id); err != nil {
		return err
	}
	came := ""
	switch step.Run.Do {
	case runbook.Recheck:
		came, err = s.recheck(ctx, step.Run.Of)
	case runbook.VoidVoucher:
		if order.VoucherID == nil {
			return domain.E(domain.Invalid, "missing_field", "say which voucher").About("voucher_id")
		}
		_, err = s.Store.VoidVoucher(ctx, *order.VoucherID, order.Reason)
		came = "voucher " + order.VoucherID.String() + " is void"
	}
	if err != nil {
		return err
	}
	_, err = s.Store.RunStep(ctx, id, step, came)
	return err
}

// report is an incident for people who were not there.
func report(i Incident) string {
	const at = "2006-01-02 15:04:05 UTC"
	var b strings.Builder
	line := func(text string, args ...any) { _, _ = fmt.Fprintf(&b, text+"\n", args...) }
	drill := ""
	if i.IsDrill {
		drill = " (a drill)"
	}
	line("# INC-%d: %s%s\n", i.Number, i.Title, drill)
	line("- State: %s\n- Severity: %s\n- Opened: %s, by %s", i.State, i.Severity, i.OpenedAt.UTC().Format(at), i.OpenedBy)
	for _, one := range []struct {
		what string
		at   *time.Time
	}{{"Mitigated", i.MitigatedAt}, {"Resolved", i.ResolvedAt}} {
		if one.at != nil {
			line("- %s: %s, after %s", one.what, one.at.UTC().Format(at), one.at.Sub(i.OpenedAt).Round(time.Second))
		}
	}
	if acked := slices.IndexFunc(i.Timeline, func(m IncidentMoment) bool { return m.Kind == "acknowledged" }); acked >= 0 {
		line("- First acknowledged: %s", i.Timeline[acked].At.UTC().Format(at))
	}
	if i.Owner != nil {
		line("- Owner: %s", i.Owner.Email)
	}
	if i.Runbook != "" {
		line("- Runbook: %s", i.Runbook)
	}
	if i.Resolution != "" {
		line("\n## What it was\n\n%s", i.Resolution)
	}
	line("\n## Timeline\n")
	for _, m := range i.Timeline {
		said := strings.ReplaceAll(m.Kind, "_", " ")
		if m.Step > 0 {
			said += fmt.Sprintf(" %d", m.Step)
		}
		if m.Text != "" {
			said += ": " + strings.ReplaceAll(m.Text, "\n", " ")
		}
		if m.By != "" {
			said += " (" + m.By + ")"
		}
		line("- %s %s", m.At.UTC().Format(at), said)
	}
	return b.String()
}
