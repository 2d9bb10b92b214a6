package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/rollout"
	"lastcall/store"
	"lastcall/workflows"
)

// Rollout is the rollout that is under way, or that there is none.
type Rollout struct {
	Phase       string           `json:"phase" enum:"none,staging,pilot,production,live" doc:"none: no rollout is under way, and no guardrail holds"`
	Name        string           `json:"name,omitempty"`
	PhaseSince  *time.Time       `json:"phase_since,omitempty"`
	OpenedBy    *Somebody        `json:"opened_by,omitempty" doc:"Who opened the phase: they sign nothing in it"`
	StartedBy   *Somebody        `json:"started_by,omitempty"`
	StartedAt   *time.Time       `json:"started_at,omitempty"`
	Reason      string           `json:"reason,omitempty"`
	Factor      int              `json:"factor,omitempty" doc:"Of a rehearsal, which ends by itself: so many times as fast do the plan's durations pass"`
	PlanVersion int              `json:"plan_version,omitempty"`
	PlanDiffers bool             `json:"plan_differs" doc:"The configured plan is another than the one that is followed"`
	Phases      []RolloutPhase   `json:"phases" doc:"In the order in which they open; of none: by the configured plan"`
	Gate        *RolloutGate     `json:"gate,omitempty" doc:"To the next phase; absent: there is none"`
	Gates       []GateOrder      `json:"gates" doc:"Who wanted to open what, newest first"`
	Stations    []RolloutStation `json:"stations" doc:"That take part"`
	Waiting     int              `json:"waiting" doc:"Items that wait for a signature of whoever asks"`
	TemporalWeb string           `json:"temporal_web,omitempty" doc:"Its workflow in Temporal Web"`
	Now         time.Time        `json:"now" doc:"The server's time"`
}

// RolloutPhase is one phase with its items.
type RolloutPhase struct {
	Phase      rollout.Phase      `json:"phase" enum:"staging,pilot,production,live"`
	Title      string             `json:"title"`
	Objective  string             `json:"objective"`
	State      string             `json:"state" enum:"over,now,later"`
	Guardrails rollout.Guardrails `json:"guardrails"`
	Items      []RolloutItem      `json:"items"`
}

// RolloutItem is one line of the plan, with what it came to.
type RolloutItem struct {
	ID         string             `json:"id"`
	Text       string             `json:"text"`
	Kind       rollout.Kind       `json:"kind" enum:"check,sign_off,drill"`
	Owner      access.Role        `json:"owner" doc:"Who sees to it"`
	Outcome    rollout.Outcome    `json:"outcome" enum:"passed,failed,inconclusive,waived"`
	Why        string             `json:"why,omitempty" doc:"What is open about it"`
	Code       string             `json:"code,omitempty" doc:"The same for programs: failed, inconclusive, stale, unsigned or refused"`
	Evidence   *rollout.Evidence  `json:"evidence,omitempty" doc:"What was found last; absent: nobody has looked"`
	Digest     string             `json:"digest,omitempty" doc:"SHA-256 of what signatures are bound to, in hex: whoever signs sends it back"`
	FoundAt    *time.Time         `json:"found_at,omitempty" doc:"Since when it has been found so"`
	ProvedAt   *time.Time         `json:"proved_at,omitempty" doc:"When it was found so last"`
	StaleAt    *time.Time         `json:"stale_at,omitempty" doc:"When that is too old to count"`
	DueAt      *time.Time         `json:"due_at,omitempty" doc:"When it is looked at next"`
	Build      string             `json:"build,omitempty" doc:"Of Lastcall, that looked"`
	Quorum     []access.Role      `json:"quorum,omitempty" doc:"Of sign_off: one of each must sign"`
	Signed     []access.Role      `json:"signed,omitempty" doc:"Whose signature holds"`
	Signatures []RolloutSignature `json:"signatures" doc:"And waivers, newest first, those that do not hold any more too"`
	Waivable   bool               `json:"waivable"`
	MaySign    bool               `json:"may_sign" doc:"Whether whoever asks may sign it now"`
	WhyNot     string             `json:"why_not,omitempty" doc:"Of sign_off: why they may not"`
	Findings   []RolloutFinding   `json:"findings,omitempty" doc:"Of one item alone: all that was found, newest first"`
}

// RolloutSignature is what somebody said about an item: that it is so, that it is not, or that it is waived.
type RolloutSignature struct {
	ApprovalDecision
	Seat    access.Role `json:"seat,omitempty" doc:"The role whose signature it is; absent: a waiver"`
	Problem string      `json:"problem,omitempty" doc:"Why it does not count any more"`
}

// RolloutFinding is what was found about an item, from one time to another.
type RolloutFinding struct {
	rollout.Evidence
	Build       string    `json:"build,omitempty"`
	PlanVersion int       `json:"plan_version"`
	At          time.Time `json:"at"`
	LastAt      time.Time `json:"last_at"`
}

// RolloutGate is the way to the next phase.
type RolloutGate struct {
	To      rollout.Phase  `json:"to" enum:"pilot,production,live"`
	Open    []rollout.Open `json:"open" doc:"What is still missing; none: somebody may open it"`
	Ordered bool           `json:"ordered" doc:"Somebody has: every item is being looked at anew"`
}

// GateOrder is an order to open a phase, and what became of it.
type GateOrder struct {
	ID      uuid.UUID      `json:"id" format:"uuid"`
	From    rollout.Phase  `json:"from"`
	To      rollout.Phase  `json:"to"`
	By      Somebody       `json:"by"`
	Reason  string         `json:"reason,omitempty"`
	At      time.Time      `json:"at"`
	DoneAt  *time.Time     `json:"done_at,omitempty"`
	Opened  *bool          `json:"opened,omitempty" doc:"Absent: every item is being looked at anew"`
	Missing []rollout.Open `json:"missing,omitempty" doc:"Of one that was refused"`
}

// RolloutStation is a station that takes part.
type RolloutStation struct {
	ID         uuid.UUID `json:"id" format:"uuid"`
	Code       string    `json:"code"`
	Name       string    `json:"name"`
	Bar        string    `json:"bar" doc:"Its code"`
	EnrolledAt time.Time `json:"enrolled_at"`
}

// NewRollout begins a rollout.
type NewRollout struct {
	Name   string `json:"name,omitempty" pattern:"^[a-z][a-z0-9-]{0,39}$" patternDescription:"a lower-case letter, then letters, digits and -" doc:"Of which there never was one; absent: lastcall. Of a rehearsal it begins with rehearsal-"`
	Factor int    `json:"factor,omitempty" minimum:"1" maximum:"100000" doc:"More than 1: it is a rehearsal, on the sandbox only, whose durations pass so many times as fast"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"For everybody"`
}

// RolloutReason says why.
type RolloutReason struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"For everybody, for good"`
}

// GateAdvance orders to open the next phase.
type GateAdvance struct {
	From   rollout.Phase `json:"from" enum:"staging,pilot,production" doc:"The phase whose gate you looked at"`
	Reason string        `json:"reason,omitempty" maxLength:"500"`
}

// ItemSignOff is what somebody says about an item, in the seat of their role.
type ItemSignOff struct {
	Verdict approval.Verdict `json:"verdict,omitempty" enum:"approved,rejected" doc:"Absent: approved"`
	Note    string           `json:"note" minLength:"1" maxLength:"500" doc:"What you attest it by: a sentence, or a link"`
	Digest  string           `json:"digest" pattern:"^[0-9a-f]{64}$" patternDescription:"64 hexadecimal digits" doc:"Of what you looked at"`
}

// ItemPath is the part of an address that names an item.
type ItemPath struct {
	Item string `path:"item" maxLength:"40" example:"go-no-go"`
}

type rolloutOutput struct {
	Status int
	Body   Rollout
}

type rolloutItemOutput struct {
	Status int
	Body   RolloutItem
}

func (s *server) rollout() {
	tags := []string{"Rollout"}
	wrong := append([]int{http.StatusForbidden, http.StatusNotFound, http.StatusPreconditionFailed}, refusals...)
	const answers = "Answers 200 once it has taken effect; 202 when it is safely noted but has not taken effect within 5 s."
	register(s, access.RolloutRead, huma.Operation{OperationID: "get-rollout", Method: http.MethodGet, Path: "/rollout", Tags: tags,
		Summary: "The rollout: its phase, every item with its evidence, and what its gate waits for"},
		func(ctx context.Context, _ *struct{}) (*rolloutOutput, error) { return s.board(ctx, http.StatusOK) })
	register(s, access.RolloutRun, huma.Operation{OperationID: "start-rollout", Method: http.MethodPost, Path: "/rollout", Tags: tags,
		Summary: "Begin a rollout, in staging", DefaultStatus: http.StatusCreated, Errors: wrong,
		Description: "By the configured plan. Its guardrails hold from then on: what a phase forbids fails as `phase_guardrail`, status 409, wherever it is tried."},
		func(ctx context.Context, in *struct{ Body NewRollout }) (*rolloutOutput, error) {
			name := in.Body.Name
			if name == "" {
				name = "lastcall"
			}
			if err := s.startRollout(ctx, name, in.Body); err != nil {
				return nil, err
			}
			return s.board(ctx, http.StatusCreated)
		})
	register(s, access.RolloutLead, huma.Operation{OperationID: "revise-rollout", Method: http.MethodPost, Path: "/rollout/plan", Tags: tags,
		Summary: "Follow the configured plan from now on", Errors: wrong,
		Description: "Of the phases that have begun it may change nothing: `rollout_plan_phase`, status 409. Signatures and waivers are of one version of the plan: they are void."},
		func(ctx context.Context, in *struct{ Body RolloutReason }) (*rolloutOutput, error) {
			if err := s.Store.ReviseRollout(ctx, s.RolloutPlan, in.Body.Reason); err != nil {
				return nil, err
			}
			return s.board(ctx, http.StatusOK)
		})
	register(s, access.RolloutLead, huma.Operation{OperationID: "end-rollout", Method: http.MethodPost, Path: "/rollout/end", Tags: tags,
		Summary: "End the rollout: its guardrails hold no more", Errors: wrong, Description: "In staging, or when it is live; else it fails as `rollout_under_way`, status 409. A rehearsal at any time: settings are then what they were before it."},
		func(ctx context.Context, in *struct{ Body RolloutReason }) (*rolloutOutput, error) {
			if err := s.Store.EndRollout(ctx, in.Body.Reason); err != nil {
				return nil, err
			}
			return s.board(ctx, http.StatusOK)
		})
	register(s, access.RolloutRun, huma.Operation{OperationID: "advance-rollout", Method: http.MethodPost, Path: "/rollout/advance", Tags: tags,
		Summary: "Open the next phase", Errors: wrong, Responses: s.acceptedAs(reflect.TypeFor[Rollout]()),
		Description: "Every item is looked at anew first. Fails as `rollout_gate`, status 409, with all that is still missing. " + answers},
		func(ctx context.Context, in *struct{ Body GateAdvance }) (*rolloutOutput, error) {
			gate, message, err := s.Store.AdvanceRollout(ctx, in.Body.From, in.Body.Reason)
			if err != nil {
				return nil, err
			}
			status, err := s.within(ctx, message, func(ctx context.Context) (bool, error) { return s.Store.GateDecided(ctx, gate) })
			if err != nil {
				return nil, err
			}
			return s.board(ctx, status)
		})
	s.rolloutItems(tags, wrong, answers)
	register(s, access.RolloutRun, huma.Operation{OperationID: "enrol-rollout-station", Method: http.MethodPut, Path: "/rollout/stations/{id}", Tags: tags,
		Summary: "Let a station take part", Errors: wrong, Description: "While only some take part, no other station redeems vouchers. One too many fails as `phase_guardrail`, status 409."},
		func(ctx context.Context, in *ID) (*rolloutOutput, error) {
			if err := s.Store.EnrolStation(ctx, in.ID); err != nil {
				return nil, err
			}
			return s.board(ctx, http.StatusOK)
		})
	register(s, access.RolloutRun, huma.Operation{OperationID: "withdraw-rollout-station", Method: http.MethodDelete, Path: "/rollout/stations/{id}", Tags: tags,
		Summary: "Take a station out", DefaultStatus: http.StatusOK, Errors: wrong},
		func(ctx context.Context, in *ID) (*rolloutOutput, error) {
			if err := s.Store.WithdrawStation(ctx, in.ID); err != nil {
				return nil, err
			}
			return s.board(ctx, http.StatusOK)
		})
}

func (s *server) startRollout(ctx context.Context, name string, n NewRollout) error {
	if n.Factor > 1 {
		return s.Store.StartRehearsal(ctx, name, s.RolloutPlan, n.Factor, n.Reason)
	}
	return s.Store.StartRollout(ctx, name, s.RolloutPlan, n.Reason)
}

func (s *server) rolloutItems(tags []string, wrong []int, answers string) {
	register(s, access.RolloutRead, huma.Operation{OperationID: "get-rollout-item", Method: http.MethodGet, Path: "/rollout/items/{item}", Tags: tags,
		Summary: "An item with all that was found about it", Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *ItemPath) (*rolloutItemOutput, error) {
			return s.item(ctx, in.Item, http.StatusOK)
		})
	register(s, access.RolloutRun, huma.Operation{OperationID: "prove-rollout-item", Method: http.MethodPost, Path: "/rollout/items/{item}/prove", Tags: tags,
		Summary: "Look at an item now", Errors: wrong, Responses: s.acceptedAs(reflect.TypeFor[RolloutItem]()), Description: answers},
		func(ctx context.Context, in *ItemPath) (*rolloutItemOutput, error) {
			before, err := s.item(ctx, in.Item, http.StatusOK)
			if err != nil {
				return nil, err
			}
			if err := s.Store.ProveNow(ctx, in.Item); err != nil {
				return nil, err
			}
			status, err := s.within(ctx, 0, func(ctx context.Context) (bool, error) {
				now, err := s.item(ctx, in.Item, http.StatusOK)
				return err == nil && now.Body.ProvedAt != nil && (before.Body.ProvedAt == nil || now.Body.ProvedAt.After(*before.Body.ProvedAt)), err
			})
			if err != nil {
				return nil, err
			}
			return s.item(ctx, in.Item, status)
		})
	register(s, access.RolloutSign, huma.Operation{OperationID: "sign-rollout-item", Method: http.MethodPost, Path: "/rollout/items/{item}/sign-off", Tags: tags,
		Summary: "Attest an item, in your role's seat, or say that it is not so", Errors: wrong, Responses: s.acceptedAs(reflect.TypeFor[RolloutItem]()),
		Description: "What you looked at is looked at anew: `approval_changed`, status 412, when it is not that any more. Whoever opened the phase signs nothing in it " +
			"(`approval_own`, status 403), nobody signs another role's seat (`approval_role`, status 403) nor twice (`rollout_signed`, status 409). A token signs nothing. " + answers},
		func(ctx context.Context, in *struct {
			ItemPath
			Body ItemSignOff
		}) (*rolloutItemOutput, error) {
			seen, err := hex.DecodeString(in.Body.Digest)
			if err != nil {
				return nil, domain.E(domain.Invalid, "bad_digest", "use 64 hexadecimal digits").About("digest")
			}
			if in.Body.Verdict == "" {
				in.Body.Verdict = approval.Approved
			}
			if in.Body.Note = strings.TrimSpace(in.Body.Note); in.Body.Note == "" {
				return nil, domain.E(domain.Invalid, "no_reason", "say what you attest it by").About("note")
			}
			message, err := s.Store.SignItem(ctx, store.SignOff{Item: in.Item, Seen: seen, Verdict: in.Body.Verdict, Note: in.Body.Note})
			if err != nil {
				return nil, err
			}
			return s.decidedItem(ctx, in.Item, message)
		})
	register(s, access.RolloutLead, huma.Operation{OperationID: "waive-rollout-item", Method: http.MethodPost, Path: "/rollout/items/{item}/waive", Tags: tags,
		Summary: "Waive an item", Errors: wrong, Responses: s.acceptedAs(reflect.TypeFor[RolloutItem]()), Description: "Everybody sees it, and why, for good. " + answers},
		func(ctx context.Context, in *struct {
			ItemPath
			Body RolloutReason
		}) (*rolloutItemOutput, error) {
			message, err := s.Store.WaiveItem(ctx, in.Item, in.Body.Reason)
			if err != nil {
				return nil, err
			}
			return s.decidedItem(ctx, in.Item, message)
		})
}

// decidedItem is the answer to a signature or a waiver: 202 while the workflow has not taken it.
func (s *server) decidedItem(ctx context.Context, item string, message int64) (*rolloutItemOutput, error) {
	status, err := s.within(ctx, message, func(ctx context.Context) (bool, error) { return s.Store.RolloutDecisionTaken(ctx, message) })
	if err != nil {
		return nil, err
	}
	return s.item(ctx, item, status)
}

// within waits for an effect as long as answers to orders do: the delivery of an outbox message (0: none), and then `done`.
// It is 200 when that came in time, else 202.
func (s *server) within(ctx context.Context, message int64, done func(context.Context) (bool, error)) (status int, err error) {
	wait, cancel := context.WithTimeout(ctx, s.EffectWithin)
	defer cancel()
	delivered := message == 0
	if !delivered {
		if delivered, err = s.Store.AwaitDelivery(wait, message); err != nil {
			return 0, err
		}
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for delivered {
		is, err := done(ctx)
		if is || err != nil {
			return http.StatusOK, err
		}
		select {
		case <-look.C:
		case <-wait.Done():
			return http.StatusAccepted, nil
		}
	}
	return http.StatusAccepted, nil
}

func (s *server) board(ctx context.Context, status int) (*rolloutOutput, error) {
	b, err := s.Store.RolloutBoard(ctx)
	if domain.CodeOf(err) == rollout.NotBegun {
		none := Rollout{Phase: "none", Phases: make([]RolloutPhase, len(s.RolloutPlan.Phases)), Gates: []GateOrder{}, Stations: []RolloutStation{}, Now: time.Now()}
		for i, of := range s.RolloutPlan.Phases {
			none.Phases[i] = phaseOf(of, "later")
			for _, item := range of.Items {
				none.Phases[i].Items = append(none.Phases[i].Items, itemOf(store.ItemStanding{Standing: rollout.Standing{Item: item}, Outcome: rollout.Inconclusive}))
			}
		}
		return &rolloutOutput{status, none}, nil
	}
	if err != nil {
		return nil, err
	}
	return &rolloutOutput{status, s.rolloutOf(b)}, nil
}

func (s *server) rolloutOf(b store.RolloutBoard) Rollout {
	out := Rollout{Phase: string(b.Phase), Name: b.Name, PhaseSince: &b.PhaseSince, OpenedBy: new(partyOf(b.Opener)), StartedBy: new(partyOf(b.Starter)), StartedAt: &b.StartedAt,
		Reason: b.Reason, PlanVersion: b.PlanVersion, PlanDiffers: string(b.Plan.Digest()) != string(s.RolloutPlan.Faster(b.Factor).Digest()), Now: b.Now,
		Gates: make([]GateOrder, len(b.Gates)), Stations: make([]RolloutStation, len(b.Stations))}
	if b.Factor > 1 {
		out.Factor = b.Factor
	}
	state := "over"
	for _, of := range b.Plan.Phases {
		if of.Phase == b.Phase {
			state = "now"
		} else if state == "now" {
			state = "later"
		}
		p := phaseOf(of, state)
		for _, v := range b.Items {
			if v.Phase != of.Phase {
				continue
			}
			item := itemOf(v)
			if p.Items = append(p.Items, item); item.MaySign {
				out.Waiting++
			}
		}
		out.Phases = append(out.Phases, p)
	}
	if to := b.Phase.Next(); to != "" {
		out.Gate = &RolloutGate{To: to, Open: b.Open}
	}
	for i, g := range b.Gates {
		out.Gates[i] = GateOrder{ID: g.ID, From: g.From, To: g.To, By: partyOf(g.AskedBy), Reason: g.Reason, At: g.AskedAt, DoneAt: g.DecidedAt, Opened: g.Opened, Missing: g.Missing}
		if g.DecidedAt == nil && out.Gate != nil {
			out.Gate.Ordered = true
		}
	}
	for i, t := range b.Stations {
		out.Stations[i] = RolloutStation(t)
	}
	if s.TemporalWebURL != "" {
		out.TemporalWeb = strings.TrimRight(s.TemporalWebURL, "/") + "/namespaces/" + url.PathEscape(s.TemporalNamespace) + "/workflows/" + url.PathEscape(workflows.RolloutID(b.Name))
	}
	return out
}

func phaseOf(of rollout.PhasePlan, state string) RolloutPhase {
	return RolloutPhase{Phase: of.Phase, Title: of.Title, Objective: of.Objective, State: state, Guardrails: of.Guardrails, Items: []RolloutItem{}}
}

func (s *server) item(ctx context.Context, id string, status int) (*rolloutItemOutput, error) {
	b, err := s.Store.RolloutBoard(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range b.Items {
		if v.Item.ID != id {
			continue
		}
		item := itemOf(v)
		found, err := s.Store.EvidenceOf(ctx, b.Name, id)
		for _, f := range found {
			item.Findings = append(item.Findings, RolloutFinding{f.Evidence, f.Build, f.PlanVersion, f.At, f.LastAt})
		}
		return &rolloutItemOutput{status, item}, err
	}
	return nil, domain.E(domain.NotFound, rollout.NoItem, "the plan has no item %s", id)
}

func itemOf(v store.ItemStanding) RolloutItem {
	item := RolloutItem{ID: v.Item.ID, Text: v.Item.Text, Kind: v.Item.Kind, Owner: v.Item.Owner, Outcome: v.Outcome, Evidence: v.Evidence, Digest: hex.EncodeToString(v.Digest),
		FoundAt: v.FoundAt, DueAt: v.DueAt, Build: v.Build, Quorum: v.Item.Quorum, Signed: v.Signed, Signatures: make([]RolloutSignature, len(v.Signatures)),
		Waivable: !v.Item.Unwaived}
	if v.Open != nil {
		item.Why, item.Code = v.Open.Why, v.Open.Code
	}
	if v.Evidence != nil {
		item.ProvedAt = &v.ProvedAt
		item.StaleAt = new(v.ProvedAt.Add(v.Item.StaleAfter))
	}
	if v.Item.Kind == rollout.SignOff && v.Phase != "" {
		if item.MaySign = v.Refusal == nil; v.Refusal != nil {
			item.WhyNot = v.Refusal.Error()
		}
	}
	for i, g := range v.Signatures {
		item.Signatures[i] = RolloutSignature{decisionOf(g.Decided), g.Seat, g.Problem}
	}
	return item
}
