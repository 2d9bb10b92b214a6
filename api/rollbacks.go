package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/alert"
	"lastcall/domain/approval"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// RolloutSignals are the signals to roll back.
type RolloutSignals struct {
	Rollout string          `json:"rollout"`
	Phase   rollout.Phase   `json:"phase" enum:"staging,pilot,production,live"`
	Watched bool            `json:"watched" doc:"From the pilot on"`
	Signals []RolloutSignal `json:"signals"`
	Now     time.Time       `json:"now" doc:"The server's time"`
}

// RolloutSignal is one signal, as it stands about the worst that it watches.
type RolloutSignal struct {
	Name   string              `json:"name" example:"critical-outage"`
	Text   string              `json:"text" doc:"The plan's words"`
	Title  string              `json:"title"`
	State  rollout.SignalState `json:"state" enum:"ok,unknown,burning,tripped" doc:"unknown: there is no data, or too little; a clock that has begun runs on. burning: it holds, and its clock runs"`
	Held   bool                `json:"held" doc:"New sends are stopped because of it"`
	Detail string              `json:"detail,omitempty" doc:"What was found"`
	SignalReading
	Runbook string        `json:"runbook,omitempty"`
	Watch   []SignalWatch `json:"watch" doc:"All that it watches"`
}

// SignalReading is what was measured, and its clock.
type SignalReading struct {
	Since      *time.Time           `json:"since,omitempty" doc:"Since when it is so; while a clock runs, since when that does"`
	TripsAt    *time.Time           `json:"trips_at,omitempty" doc:"While a clock runs: when it trips if nothing changes"`
	At         *time.Time           `json:"at,omitempty" doc:"When it was looked at last"`
	Subject    string               `json:"subject,omitempty"`
	Value      float64              `json:"value" doc:"In the unit of what is measured"`
	Shown      string               `json:"shown" doc:"The same for people"`
	N          int64                `json:"n" doc:"How many things a share is a share of"`
	MinN       int64                `json:"min_n,omitempty" doc:"Of fewer it is unknown"`
	Threshold  string               `json:"threshold" example:"redemption_failure_rate > 5%"`
	ForSeconds float64              `json:"for_seconds" doc:"How long it must hold; in a rehearsal it passes faster"`
	Action     rollout.SignalAction `json:"action" enum:"hold,roll_back" doc:"hold: nothing new is sent, somebody is paged"`
	AlertID    *uuid.UUID           `json:"alert_id,omitempty" format:"uuid"`
	Evidence   []store.AlertSample  `json:"evidence" doc:"The samples since it began to hold"`
}

// SignalWatch is one rule of a signal.
type SignalWatch struct {
	Rule   string              `json:"rule"`
	Title  string              `json:"title"`
	State  rollout.SignalState `json:"state" enum:"ok,unknown,burning,tripped"`
	Few    bool                `json:"few,omitempty" doc:"It is about too few to judge by: it only holds"`
	Detail string              `json:"detail,omitempty"`
	SignalReading
}

// Rollback is a rollback with its steps.
type Rollback struct {
	ID             uuid.UUID             `json:"rollback_id" format:"uuid"`
	Rollout        string                `json:"rollout"`
	Phase          rollout.Phase         `json:"phase" enum:"staging,pilot,production,live"`
	State          rollout.RollbackState `json:"state" enum:"running,done,recovering,recovered,abandoned" doc:"done: everything was read back; recovering: toggles are as they were, smoke tests and a signature come next"`
	Automatic      bool                  `json:"automatic"`
	Signal         string                `json:"signal,omitempty" doc:"That tripped"`
	AlertID        *uuid.UUID            `json:"alert_id,omitempty" format:"uuid" doc:"With the samples that tripped it"`
	By             string                `json:"by"`
	Reason         string                `json:"reason"`
	RedemptionsOff bool                  `json:"redemptions_off"`
	Rehearsal      bool                  `json:"rehearsal"`
	IncidentID     *uuid.UUID            `json:"incident_id,omitempty" format:"uuid"`
	Toggles        json.RawMessage       `json:"toggles" doc:"As they were, and are to be again"`
	StartedAt      time.Time             `json:"started_at"`
	SafeAt         *time.Time            `json:"safe_at,omitempty" doc:"When it was read back that nothing went any more"`
	TimeToSafe     *float64              `json:"time_to_safe_seconds,omitempty"`
	DoneAt         *time.Time            `json:"done_at,omitempty"`
	RecoveryReason string                `json:"recovery_reason,omitempty"`
	RecoveryAt     *time.Time            `json:"recovery_at,omitempty"`
	RecoveredAt    *time.Time            `json:"recovered_at,omitempty"`
	LegacyAsked    bool                  `json:"legacy_asked" doc:"Ops are to sign about the legacy tooling: no webhook says which it is"`
	Digest         string                `json:"digest,omitempty" doc:"While somebody asks to recover: whoever signs sends it back"`
	Steps          []RollbackStep        `json:"steps"`
	Now            time.Time             `json:"now" doc:"The server's time"`
}

// RollbackStep is one step.
type RollbackStep struct {
	Step      rollout.RollbackStep `json:"step"`
	Title     string               `json:"title"`
	State     string               `json:"state" enum:"waiting,running,done" doc:"running: it was tried, and is tried again; or people have the word"`
	StartedAt *time.Time           `json:"started_at,omitempty"`
	DoneAt    *time.Time           `json:"done_at,omitempty"`
	Tries     int                  `json:"tries"`
	Detail    string               `json:"detail,omitempty" doc:"What was found, or why it is not done yet"`
}

// Rollbacks are those of a rollout, newest first.
type Rollbacks struct {
	Rollbacks []Rollback `json:"rollbacks"`
}

// NewRollback orders a rollback.
type NewRollback struct {
	Reason         string `json:"reason" minLength:"1" maxLength:"500" doc:"For everybody, for good"`
	RedemptionsOff bool   `json:"redemptions_off,omitempty" doc:"Stations redeem nothing, either"`
	Rehearsal      bool   `json:"rehearsal,omitempty" doc:"The same steps, to see that they work"`
}

// RecoverySignature is what another person than who asked says about a recovery.
type RecoverySignature struct {
	Verdict approval.Verdict `json:"verdict,omitempty" enum:"approved,rejected" doc:"Absent: approved"`
	Note    string           `json:"note" minLength:"1" maxLength:"500"`
	Digest  string           `json:"digest" pattern:"^[0-9a-f]{64}$" patternDescription:"64 hexadecimal digits" doc:"Of what you looked at"`
}

// LegacySignature is the word of Ops about the legacy tooling.
type LegacySignature struct {
	Note string `json:"note" minLength:"1" maxLength:"500" doc:"How you know"`
}

// RolloutPath is the part of an address that names a rollout.
type RolloutPath struct {
	Name string `path:"name" maxLength:"40" example:"lastcall"`
}

type rollbackOutput struct {
	Status int
	Body   Rollback
}

func (s *server) rollbacks() {
	tags := []string{"Rollout"}
	wrong := append([]int{http.StatusForbidden, http.StatusNotFound, http.StatusPreconditionFailed}, refusals...)
	accepted := s.acceptedAs(reflect.TypeFor[Rollback]())
	register(s, access.RolloutRead, huma.Operation{OperationID: "list-rollout-signals", Method: http.MethodGet, Path: "/rollouts/{name}/signals", Tags: tags,
		Summary: "The signals to roll back, with their clocks", Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *RolloutPath) (*struct{ Body RolloutSignals }, error) {
			r, all, err := s.Store.Signals(ctx, in.Name)
			return &struct{ Body RolloutSignals }{signalsOf(r, all)}, err
		})
	register(s, access.RolloutRead, huma.Operation{OperationID: "list-rollbacks", Method: http.MethodGet, Path: "/rollouts/{name}/rollbacks", Tags: tags,
		Summary: "The rollbacks of a rollout, newest first"},
		func(ctx context.Context, in *RolloutPath) (*struct{ Body Rollbacks }, error) {
			all, err := s.Store.Rollbacks(ctx, in.Name)
			out := Rollbacks{make([]Rollback, len(all))}
			for i, b := range all {
				out.Rollbacks[i] = rollbackOf(b)
			}
			return &struct{ Body Rollbacks }{out}, err
		})
	register(s, access.RolloutRollBack, huma.Operation{OperationID: "roll-back", Method: http.MethodPost, Path: "/rollouts/{name}/rollbacks", Tags: tags,
		Summary: "Roll back", Errors: wrong, DefaultStatus: http.StatusCreated, Responses: s.acceptedAs(reflect.TypeFor[Rollback]()),
		Description: "Pauses all campaigns, switches dispatch off and the legacy tooling on, and reads that back. One at a time: `rollout_rollback_open`, status 409. " +
			"Answers 201 once everything was read back within 5 s; else 202: its steps tell."},
		func(ctx context.Context, in *struct {
			RolloutPath
			Body NewRollback
		}) (*rollbackOutput, error) {
			id, err := s.Store.RollBack(ctx, in.Name, store.NewRollback(in.Body))
			if err != nil {
				return nil, err
			}
			return s.settled(ctx, id, http.StatusCreated, func(b store.Rollback) bool { return b.State != rollout.RollbackRunning })
		})
	register(s, access.RolloutRead, huma.Operation{OperationID: "get-rollback", Method: http.MethodGet, Path: "/rollbacks/{id}", Tags: tags, Summary: "A rollback with its steps",
		Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *ID) (*rollbackOutput, error) {
			return s.rollback(ctx, in.ID, http.StatusOK)
		})
	register(s, access.RolloutRollBack, huma.Operation{OperationID: "recover-rollout", Method: http.MethodPost, Path: "/rollbacks/{id}/recovery", Tags: tags,
		Summary: "Ask to recover: toggles are as they were", Errors: wrong,
		Description: "Campaigns stay paused. Smoke tests must pass after it, and another person sign. Refused before everything was read back (`rollout_rollback_state`) and while a signal holds " +
			"(`rollout_rollback_signal`), status 409."},
		func(ctx context.Context, in *struct {
			ID
			Body RolloutReason
		}) (*rollbackOutput, error) {
			if err := s.Store.RecoverRollback(ctx, in.ID.ID, in.Body.Reason); err != nil {
				return nil, err
			}
			return s.rollback(ctx, in.ID.ID, http.StatusOK)
		})
	register(s, access.RolloutRecover, huma.Operation{OperationID: "sign-recovery", Method: http.MethodPost, Path: "/rollbacks/{id}/recovery/sign-off", Tags: tags,
		Summary: "Sign that a rollback is over, or that it is not", Errors: wrong, Responses: accepted,
		Description: "Another person than who asked (`approval_own`, status 403). Refused unless smoke tests have passed on this build since the toggles are as they were " +
			"(`rollout_rollback_smoke`), and while a signal holds (`rollout_rollback_signal`), status 409. Rejected, everything is off again."},
		func(ctx context.Context, in *struct {
			ID
			Body RecoverySignature
		}) (*rollbackOutput, error) {
			seen, err := hex.DecodeString(in.Body.Digest)
			if err != nil {
				return nil, domain.E(domain.Invalid, "bad_digest", "use 64 hexadecimal digits").About("digest")
			}
			if in.Body.Verdict == "" {
				in.Body.Verdict = approval.Approved
			}
			if err := s.Store.SignRecovery(ctx, in.ID.ID, in.Body.Verdict, in.Body.Note, seen); err != nil {
				return nil, err
			}
			return s.settled(ctx, in.ID.ID, http.StatusOK, func(b store.Rollback) bool { return b.State != rollout.RollbackRecovering })
		})
	register(s, access.RolloutSign, huma.Operation{OperationID: "sign-legacy", Method: http.MethodPost, Path: "/rollbacks/{id}/legacy", Tags: tags,
		Summary: "Sign that the legacy tooling answers, or is off again", Errors: wrong, Responses: accepted,
		Description: "By Ops, where no webhook says which it is; else `rollout_rollback_legacy`, status 409."},
		func(ctx context.Context, in *struct {
			ID
			Body LegacySignature
		}) (*rollbackOutput, error) {
			if err := s.Store.SignLegacy(ctx, in.ID.ID, strings.TrimSpace(in.Body.Note)); err != nil {
				return nil, err
			}
			return s.settled(ctx, in.ID.ID, http.StatusOK, func(b store.Rollback) bool { return !b.LegacyAsked() })
		})
}

// settled answers with a rollback once something is so of it: 202 when that does not come in time.
func (s *server) settled(ctx context.Context, id uuid.UUID, status int, is func(store.Rollback) bool) (*rollbackOutput, error) {
	came, err := s.within(ctx, 0, func(ctx context.Context) (bool, error) {
		b, err := s.Store.RollbackOf(ctx, id)
		return is(b), err
	})
	if err != nil {
		return nil, err
	}
	if came == http.StatusOK {
		came = status
	}
	return s.rollback(ctx, id, came)
}

func (s *server) rollback(ctx context.Context, id uuid.UUID, status int) (*rollbackOutput, error) {
	b, err := s.Store.RollbackOf(ctx, id)
	return &rollbackOutput{status, rollbackOf(b)}, err
}

func rollbackOf(b store.Rollback) Rollback {
	out := Rollback{ID: b.ID, Rollout: b.Rollout, Phase: b.Phase, State: b.State, Automatic: b.Automatic(), Signal: b.Signal, AlertID: b.AlertID, By: b.Actor, Reason: b.Reason,
		RedemptionsOff: b.RedemptionsOff, Rehearsal: b.Rehearsal, IncidentID: b.IncidentID, Toggles: b.Toggles, StartedAt: b.StartedAt, SafeAt: b.SafeAt, DoneAt: b.DoneAt,
		RecoveryReason: b.RecoveryReason, RecoveryAt: b.RecoveryAt, RecoveredAt: b.RecoveredAt, LegacyAsked: b.LegacyAsked(), Steps: make([]RollbackStep, len(b.Steps)), Now: time.Now()}
	if b.SafeAt != nil {
		out.TimeToSafe = new(b.TimeToSafe().Seconds())
	}
	if b.State == rollout.RollbackRecovering {
		out.Digest = hex.EncodeToString(b.RecoveryDigest())
	}
	for i, step := range b.Steps {
		state := "waiting"
		switch {
		case step.DoneAt != nil:
			state = "done"
		case step.StartedAt != nil:
			state = "running"
		}
		out.Steps[i] = RollbackStep{step.Step, rollout.StepTitles[step.Step], state, step.StartedAt, step.DoneAt, step.Tries, step.Detail}
	}
	return out
}

func signalsOf(r store.Rollout, all []store.SignalStanding) RolloutSignals {
	out := RolloutSignals{Rollout: r.Name, Phase: r.Phase, Watched: r.Phase.Watched(), Signals: make([]RolloutSignal, len(all)), Now: r.Now}
	for i, v := range all {
		one := RolloutSignal{Name: v.Name, Text: v.Text, Title: v.Title, State: v.State, Held: v.Held(), Detail: v.Worst.Detail, SignalReading: readingOf(v.Worst), Runbook: v.Runbook}
		for _, w := range v.Standing {
			title := w.Title
			if title == "" {
				title = v.Title
			}
			one.Watch = append(one.Watch, SignalWatch{w.Rule, title, w.State, w.Few, w.Detail, readingOf(w)})
		}
		out.Signals[i] = one
	}
	return out
}

func readingOf(w store.WatchStanding) SignalReading {
	source, _ := alert.SourceOf(w.Condition.Source)
	r := SignalReading{Since: w.Since, TripsAt: w.TripsAt, At: w.At, Subject: w.Subject, Value: w.Value, Shown: source.Show(w.Value), N: w.N, MinN: w.MinN, Threshold: w.Condition.String(),
		ForSeconds: w.For.Seconds(), Action: w.Action, AlertID: w.AlertID, Evidence: w.Evidence}
	if w.State == rollout.SignalUnknown && w.N == 0 {
		r.Shown = "unknown"
	}
	return r
}
