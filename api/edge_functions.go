package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/domain/probe"
	"lastcall/store"
)

// EdgeFunction is a service that Lastcall leans on, and how it is.
type EdgeFunction struct {
	Name      probe.Name  `json:"name" enum:"messaging,dispatcher,voucher-card,payments,ops-channel,mail,panel,redemptions,database"`
	Title     string      `json:"title"`
	Critical  bool        `json:"critical" doc:"Red for long is a reason to roll back"`
	State     probe.State `json:"state" enum:"green,amber,red,unknown" doc:"Amber answers, but refuses, is slow, fails part of the time, or is not set; unknown: not probed lately"`
	Since     *time.Time  `json:"since,omitempty" doc:"In this state; absent: never probed"`
	CheckedAt *time.Time  `json:"checked_at,omitempty"`
	LatencyMS *int64      `json:"latency_ms,omitempty"`
	Detail    string      `json:"detail" doc:"What was found"`
	Impact    string      `json:"impact" doc:"What is lost while it is red, and what still works"`
	IsDrill   bool        `json:"is_drill" doc:"A fault was in the way of the last probe on purpose"`
}

// WatchedFunction is an edge function with how it was lately.
type WatchedFunction struct {
	EdgeFunction
	Availability Availability `json:"availability" doc:"Over 24 hours"`
	Strip        []string     `json:"strip" enum:"green,amber,red,unknown,drill" doc:"The worst of each quarter of an hour of the last 24, oldest first; drill: nothing but what was found behind faults"`
}

// Availability is how an edge function was over a time. Drills count neither way, time that nobody knows about counts against it.
type Availability struct {
	Green     float64 `json:"green" doc:"The share of the time in which it was green: its availability"`
	Reachable float64 `json:"reachable" doc:"Green or amber"`
	Watched   int64   `json:"watched_seconds" doc:"For how long somebody knew"`
	Of        int64   `json:"of_seconds" doc:"The time, without drills"`
}

// EdgeFunctions are all of them.
type EdgeFunctions struct {
	Functions []WatchedFunction `json:"functions"`
	Faults    []InjectedFault   `json:"faults" doc:"In the way on purpose now"`
	Every     int64             `json:"every_seconds" doc:"How often each is probed"`
}

// ProbeResult is what one probe found.
type ProbeResult struct {
	ID        int64       `json:"id"`
	At        time.Time   `json:"at"`
	State     probe.State `json:"state" enum:"green,amber,red"`
	LatencyMS *int64      `json:"latency_ms,omitempty"`
	Detail    string      `json:"detail"`
	IsDrill   bool        `json:"is_drill"`
}

// EdgeFunctionHistory is an edge function with what its probes found.
type EdgeFunctionHistory struct {
	Function WatchedFunction `json:"function"`
	Results  []ProbeResult   `json:"results" doc:"Newest first; kept for 90 days"`
	Next     string          `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// EdgeFunctionPath names one.
type EdgeFunctionPath struct {
	Name probe.Name `path:"name" maxLength:"40" example:"messaging"`
}

type checkOutput struct {
	Status int
	Body   EdgeFunction
}

const (
	aDay       = 24 * time.Hour
	aDaysSlots = 96
)

func (s *server) edgeFunctions() {
	tags := []string{"Edge functions"}
	register(s, access.ProbesRead, huma.Operation{OperationID: "list-edge-functions", Method: http.MethodGet, Path: "/edge-functions", Tags: tags,
		Summary: "Tell how the services are that Lastcall leans on"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body EdgeFunctions }, error) {
			all, err := s.watched(ctx)
			if err != nil {
				return nil, err
			}
			open, err := s.Store.OpenFaults(ctx)
			return &struct{ Body EdgeFunctions }{EdgeFunctions{all, injectedAll(open), int64(s.Store.ProbesEvery().Seconds())}}, err
		})
	register(s, access.ProbesRead, huma.Operation{OperationID: "get-edge-function", Method: http.MethodGet, Path: "/edge-functions/{name}", Tags: tags,
		Summary: "Tell how one is, and what its probes found"},
		func(ctx context.Context, in *struct {
			EdgeFunctionPath
			After int64 `query:"after" minimum:"1" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body EdgeFunctionHistory }, error) {
			if _, err := s.Store.EdgeFunction(ctx, in.Name); err != nil {
				return nil, err
			}
			all, err := s.watched(ctx)
			if err != nil {
				return nil, err
			}
			found, err := s.Store.ProbeHistory(ctx, in.Name, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			found, next := cut(found, in.Limit, func(r store.ProbeResult) string { return strconv.FormatInt(r.ID, 10) })
			out := EdgeFunctionHistory{Results: make([]ProbeResult, len(found)), Next: next}
			for i, r := range found {
				out.Results[i] = ProbeResult(r)
			}
			for _, f := range all {
				if f.Name == in.Name {
					out.Function = f
				}
			}
			return &struct{ Body EdgeFunctionHistory }{out}, nil
		})
	register(s, access.ProbesCheck, huma.Operation{OperationID: "check-edge-function", Method: http.MethodPost, Path: "/edge-functions/{name}/check", Tags: tags,
		Summary: "Have one probed now", Description: "Answers 200 with what was found; 202 with what was known when nobody has probed it within 5 s, " +
			"which says that no worker is there, or that it takes longer to fail.",
		Responses: s.acceptedAs(reflect.TypeFor[EdgeFunction]()), Errors: refusals},
		func(ctx context.Context, in *EdgeFunctionPath) (*checkOutput, error) {
			known, err := s.Store.EdgeFunction(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			if err := s.Store.RequestProbe(ctx, in.Name); err != nil {
				return nil, err
			}
			wait, cancel := context.WithTimeout(ctx, s.EffectWithin)
			defer cancel()
			now, done, err := s.Store.AwaitProbe(wait, known)
			if err != nil {
				return nil, err
			}
			status := http.StatusAccepted
			if done {
				status = http.StatusOK
			}
			return &checkOutput{status, edgeFunctionOf(now)}, nil
		})
}

// watched are all edge functions with how they were lately.
func (s *server) watched(ctx context.Context) ([]WatchedFunction, error) {
	all, err := s.Store.EdgeFunctions(ctx)
	if err != nil {
		return nil, err
	}
	available, err := s.Store.Availabilities(ctx, aDay)
	if err != nil {
		return nil, err
	}
	strips, err := s.Store.Strips(ctx, aDay, aDaysSlots)
	if err != nil {
		return nil, err
	}
	out := make([]WatchedFunction, len(all))
	for i, e := range all {
		a, seen := available[e.Name]
		if !seen {
			a.Of = aDay
		}
		out[i] = WatchedFunction{EdgeFunction: edgeFunctionOf(e), Strip: make([]string, aDaysSlots),
			Availability: Availability{a.Green, a.Reachable, int64(a.Watched.Seconds()), int64(a.Of.Seconds())}}
		for j, slot := range strips[e.Name] {
			if out[i].Strip[j] = string(slot.State); slot.Drill {
				out[i].Strip[j] = "drill"
			}
		}
	}
	return out, nil
}

func edgeFunctionOf(e store.EdgeFunction) EdgeFunction {
	out := EdgeFunction{Name: e.Name, Title: e.Title, Critical: e.Critical, State: e.State, CheckedAt: e.CheckedAt, Detail: e.Detail,
		Impact: e.Impact, IsDrill: e.IsDrill}
	if !e.Since.IsZero() {
		out.Since = &e.Since
	}
	if e.Latency != nil {
		ms := e.Latency.Milliseconds()
		out.LatencyMS = &ms
	}
	return out
}

// edgeEvent is what listeners are told when an edge function turns or was probed, or a fault begins or ends; it has no
// campaign's id.
var edgeEvent = uuid.MustParse("00000000-0000-0000-0000-0000000ed6e0")

// edgeFunctionsNow are they and the faults, as an event.
func (s *server) edgeFunctionsNow(ctx context.Context) (event, error) {
	all, err := s.Store.EdgeFunctions(ctx)
	if err != nil {
		return event{}, err
	}
	open, err := s.Store.OpenFaults(ctx)
	if err != nil {
		return event{}, err
	}
	told := struct {
		Functions []EdgeFunction  `json:"functions"`
		Faults    []InjectedFault `json:"faults"`
	}{make([]EdgeFunction, len(all)), injectedAll(open)}
	for i, e := range all {
		told.Functions[i] = edgeFunctionOf(e)
	}
	body, err := json.Marshal(told)
	return event{kind: "edge-functions", body: body}, err
}
