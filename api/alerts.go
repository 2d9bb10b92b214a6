package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/domain/alert"
	"lastcall/store"
)

// Alert is something that a rule found wrong.
type Alert struct {
	ID             uuid.UUID      `json:"alert_id" format:"uuid"`
	Rule           string         `json:"rule" example:"messaging-red"`
	Subject        string         `json:"subject,omitempty" doc:"What it is about; absent: all of Lastcall"`
	Title          string         `json:"title"`
	Severity       alert.Severity `json:"severity" enum:"info,warning,critical"`
	State          alert.State    `json:"state" enum:"pending,firing,resolved" doc:"pending: its clock runs"`
	PendingSince   time.Time      `json:"pending_since" doc:"Since when it holds"`
	FiresAt        *time.Time     `json:"fires_at,omitempty" doc:"Of one that is pending: when it fires if nothing changes"`
	FiredAt        *time.Time     `json:"fired_at,omitempty"`
	UnknownSince   *time.Time     `json:"unknown_since,omitempty" doc:"Since when there is no data; that resolves nothing, and the clock runs on"`
	ResolvedAt     *time.Time     `json:"resolved_at,omitempty"`
	AcknowledgedAt *time.Time     `json:"acknowledged_at,omitempty"`
	AcknowledgedBy string         `json:"acknowledged_by,omitempty"`
	SymptomOf      string         `json:"symptom_of,omitempty" doc:"The alert that explains this one: while it fires, nobody is told of this"`
	Runbook        string         `json:"runbook,omitempty"`
	IncidentID     *uuid.UUID     `json:"incident_id,omitempty" format:"uuid"`
	Incident       int            `json:"incident,omitempty" doc:"Its number: INC-12"`
	IsDrill        bool           `json:"is_drill"`
	DrillID        *uuid.UUID     `json:"drill_id,omitempty" format:"uuid"`

	Evidence []store.AlertSample `json:"evidence" doc:"The samples that made it fire, and some after"`
	Notices  []AlertNotice       `json:"notices" doc:"What was told of it, oldest first"`
}

// AlertNotice is a message that told of an alert.
type AlertNotice struct {
	MessageID   string        `json:"message_id" example:"N-17" doc:"The message says it: by it one finds it in the channel"`
	Channel     alert.Channel `json:"channel" enum:"ops,mail"`
	Kind        string        `json:"kind" enum:"firing,repeat,resolved,acknowledged,test"`
	CreatedAt   time.Time     `json:"created_at"`
	Attempts    int           `json:"attempts"`
	DeliveredAt *time.Time    `json:"delivered_at,omitempty" doc:"Absent: it waits, and is tried again"`
	Outcome     string        `json:"outcome,omitempty" enum:"delivered,no_channel" doc:"no_channel: none is configured"`
}

// AlertPage is one page of alerts, newest first.
type AlertPage struct {
	Alerts []Alert `json:"alerts"`
	Next   string  `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// AlertRule is a rule and what it makes of what was measured last.
type AlertRule struct {
	Name     string          `json:"name"`
	Title    string          `json:"title"`
	Severity alert.Severity  `json:"severity" enum:"info,warning,critical"`
	When     string          `json:"when" doc:"The rule as a sentence"`
	Runbook  string          `json:"runbook,omitempty"`
	Notify   []alert.Channel `json:"notify" enum:"ops,mail"`
	Actions  []alert.Action  `json:"actions" enum:"open_incident,pause_campaigns"`
	Inhibits []string        `json:"inhibits" doc:"Rules whose alerts are symptoms of this one's"`
	Readings []AlertReading  `json:"readings"`
}

// AlertReading is what a rule made of one sample.
type AlertReading struct {
	Subject string        `json:"subject,omitempty"`
	Value   float64       `json:"value" doc:"In the source's unit"`
	Shown   string        `json:"shown" doc:"The same for people; unknown where there is no data"`
	Verdict alert.Verdict `json:"verdict" enum:"holds,clear,unknown"`
	Detail  string        `json:"detail,omitempty"`
	At      time.Time     `json:"at"`
	Since   time.Time     `json:"since" doc:"Since when the verdict is this one"`
}

// AlertRules are all rules.
type AlertRules struct {
	Rules []AlertRule `json:"rules"`
}

// AlertNote says why somebody does something about an alert.
type AlertNote struct {
	Note string `json:"note,omitempty" maxLength:"500" doc:"For the audit log"`
}

// AlertPath is the part of an address that names an alert.
type AlertPath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type alertOutput struct{ Body Alert }

func (s *server) alerts() {
	tags := []string{"Alerts"}
	register(s, access.AlertsRead, huma.Operation{OperationID: "list-alerts", Method: http.MethodGet, Path: "/alerts", Tags: tags, Summary: "List alerts, newest first"},
		func(ctx context.Context, in *struct {
			State   []alert.State `query:"state,explode" enum:"pending,firing,resolved" doc:"Only those in one of these; absent: all"`
			Rule    string        `query:"rule" maxLength:"60" doc:"Only those of this rule"`
			DrillID uuid.UUID     `query:"drill_id" format:"uuid" doc:"Only those that this drill made"`
			After   uuid.UUID     `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body AlertPage }, error) {
			f := store.AlertFilter{States: in.State, Rule: in.Rule, Before: in.After, Limit: in.fetch()}
			if in.DrillID != uuid.Nil {
				f.Drill = &in.DrillID
			}
			all, err := s.Store.Alerts(ctx, f)
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(a store.AlertView) string { return a.ID.String() })
			return &struct{ Body AlertPage }{AlertPage{s.alertsOf(all), next}}, nil
		})
	register(s, access.AlertsRead, huma.Operation{OperationID: "list-alert-rules", Method: http.MethodGet, Path: "/alert-rules", Tags: tags,
		Summary: "Tell the rules, and what each makes of what was measured last"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body AlertRules }, error) {
			readings, err := s.Store.AlertReadings(ctx)
			return &struct{ Body AlertRules }{AlertRules{rulesOf(s.AlertRules, readings)}}, err
		})
	register(s, access.AlertsRead, huma.Operation{OperationID: "get-alert", Method: http.MethodGet, Path: "/alerts/{id}", Tags: tags, Summary: "Get an alert with its evidence"},
		func(ctx context.Context, in *AlertPath) (*alertOutput, error) { return s.alert(ctx, in.ID) })
	register(s, access.AlertsAck, huma.Operation{OperationID: "acknowledge-alert", Method: http.MethodPost, Path: "/alerts/{id}/acknowledge", Tags: tags, Summary: "Acknowledge an alert",
		Description: "Somebody sees to it: it is repeated no more. A test alert is over with it. Fails as `alert_acknowledged` or `alert_not_firing`, status 409.", Errors: refusals},
		func(ctx context.Context, in *struct {
			AlertPath
			Body *AlertNote
		}) (*alertOutput, error) {
			var note string
			if in.Body != nil {
				note = in.Body.Note
			}
			if err := s.Store.AcknowledgeAlert(ctx, in.ID, note); err != nil {
				return nil, err
			}
			return s.alert(ctx, in.ID)
		})
	register(s, access.AlertsAck, huma.Operation{OperationID: "test-alert", Method: http.MethodPost, Path: "/alerts/test", Tags: tags, Summary: "Send a test alert to the Ops channel",
		Description: "So that somebody sees whether it arrives; acknowledging it ends it.", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body *AlertNote }) (*alertOutput, error) {
			var note string
			if in.Body != nil {
				note = in.Body.Note
			}
			id, err := s.Store.TestAlert(ctx, note)
			if err != nil {
				return nil, err
			}
			return s.alert(ctx, id)
		})
}

// alertEvent is by what the feed knows how many alerts there are.
var alertEvent = uuid.MustParse("00000000-0000-0000-0000-00000000a1e7")

// alertsNow is how many alerts fire, and how many of them nobody has seen.
func (s *server) alertsNow(ctx context.Context) (event, error) {
	counts, err := s.Store.AlertCounts(ctx)
	if err != nil {
		return event{}, err
	}
	var now struct {
		Firing int64 `json:"firing"`
		Unseen int64 `json:"unseen"`
	}
	for _, c := range counts {
		now.Firing, now.Unseen = now.Firing+c.Firing, now.Unseen+c.Open
	}
	body, err := json.Marshal(now)
	return event{kind: "alerts", body: body}, err
}

func (s *server) alert(ctx context.Context, id uuid.UUID) (*alertOutput, error) {
	a, err := s.Store.AlertOf(ctx, id)
	if err != nil {
		return nil, err
	}
	return &alertOutput{s.alertsOf([]store.AlertView{a})[0]}, nil
}

func (s *server) alertsOf(all []store.AlertView) []Alert {
	out := make([]Alert, len(all))
	for i, v := range all {
		a := Alert{ID: v.ID, Rule: v.Rule, Subject: v.Subject, Title: v.Title, Severity: v.Severity, State: v.State, PendingSince: v.PendingSince, FiredAt: v.FiredAt,
			UnknownSince: v.UnknownSince, ResolvedAt: v.ResolvedAt, AcknowledgedAt: v.AcknowledgedAt, AcknowledgedBy: v.AcknowledgedBy, SymptomOf: v.Symptom,
			Runbook: v.Runbook, IncidentID: v.IncidentID, Incident: v.Incident, IsDrill: v.IsDrill, DrillID: v.DrillID, Evidence: v.Evidence, Notices: make([]AlertNotice, len(v.Notices))}
		if r, ok := s.AlertRules.Of(v.Rule); ok && v.State == alert.Pending {
			at := r.Due(alert.Status{PendingSince: v.PendingSince})
			a.FiresAt = &at
		}
		if v.Rule == alert.TestRule.Name {
			a.Subject = ""
		}
		for j, n := range v.Notices {
			a.Notices[j] = AlertNotice{MessageID: alert.Reference(n.Number), Channel: n.Channel, Kind: n.Kind, CreatedAt: n.CreatedAt, Attempts: n.Attempts, DeliveredAt: n.DeliveredAt, Outcome: n.Outcome}
		}
		out[i] = a
	}
	return out
}

func rulesOf(rules alert.Rules, readings []store.AlertReading) []AlertRule {
	out := make([]AlertRule, len(rules.All))
	for i, r := range rules.All {
		source, _ := alert.SourceOf(r.When.Source)
		out[i] = AlertRule{Name: r.Name, Title: r.Title, Severity: r.Severity, When: r.String(), Runbook: r.Runbook, Notify: r.Notify, Actions: append([]alert.Action{}, r.Actions...),
			Inhibits: append([]string{}, r.Inhibits...), Readings: []AlertReading{}}
		for _, one := range readings {
			if one.Rule != r.Name {
				continue
			}
			shown := source.Show(one.Value)
			if one.Verdict == alert.Unknown {
				shown = "unknown"
			}
			out[i].Readings = append(out[i].Readings, AlertReading{Subject: one.Subject, Value: one.Value, Shown: shown, Verdict: one.Verdict, Detail: one.Detail, At: one.At, Since: one.Since})
		}
	}
	return out
}
