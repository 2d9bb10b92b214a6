package rollout

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/access"
)

// The codes of refusals about rollouts. The audit log tells them as rollout.refused.
const (
	Guardrail   = "phase_guardrail"   // the phase forbids it
	NotBegun    = "rollout_not_begun" // there is none
	Begun       = "rollout_begun"     // there is one already
	Taken       = "rollout_name"      // another had this name
	WrongPhase  = "rollout_phase"     // the item is another phase's
	NoItem      = "rollout_item_not_found"
	NoSignature = "rollout_kind"   // nobody signs this item: it is proved
	SignedTwice = "rollout_signed" // the seat is taken
	NotWaivable = "rollout_not_waivable"
	GateShut    = "rollout_gate"       // something is still open
	GateAsked   = "rollout_gate_asked" // it is being opened already
	PlanStands  = "rollout_plan_phase" // it would change a phase that has begun
	PlanSame    = "rollout_plan_same"  // it is the plan that is followed
	UnderWay    = "rollout_under_way"  // it cannot be ended in this phase
	Unproven    = "rollout_unproven"   // there is nothing to attest yet
	NoPart      = "rollout_station"    // the station does not take part
)

var (
	itemIDs = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	names   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
)

// CheckName makes sure that a rollout may be called so.
func CheckName(name string) error {
	if !names.MatchString(name) {
		return domain.E(domain.Invalid, "bad_name", "use a lower-case letter and then letters, digits and -, 40 at most").About("name")
	}
	return nil
}

// Check makes sure that a plan can be followed: every phase is there, in order, and each item can come to be passed. known
// tells whether a check is in the registry. It fails with domain.Invalid for everything that is wrong, each naming its item.
func (p Plan) Check(known func(name string) bool) error {
	var problems []error
	wrong := func(field, message string, args ...any) {
		problems = append(problems, domain.E(domain.Invalid, "bad_plan", message, args...).About(field))
	}
	var phases []Phase
	seen := map[string]bool{}
	for _, of := range p.Phases {
		phases = append(phases, of.Phase)
		if of.Phase == Live && len(of.Items) > 0 {
			wrong(string(of.Phase), "nothing is to be proved after the launch")
		}
		if of.Phase != Live && len(of.Items) == 0 {
			wrong(string(of.Phase), "a phase without items would open by itself")
		}
		if g := of.Guardrails; min(g.Bars, g.Stations, g.Support, g.Targets) < 0 || !slices.Contains([]string{"", Sandbox}, g.Provider) ||
			!slices.Contains([]string{"", Mocked}, g.Redemptions) || !slices.Contains([]string{"", Locked}, g.Templates) {
			wrong(string(of.Phase), "its guardrails are not understood")
		}
		if of.Phase == Live && len(of.Announcements) > 0 {
			wrong(string(of.Phase), "nothing opens after it that an announcement could come before")
		}
		for _, a := range of.Announcements {
			if seen[a.ID] {
				wrong(a.ID, "an announcement needs a name of its own")
			}
			seen[a.ID] = true
			if err := a.Check(); err != nil {
				wrong(a.ID, "%s", err)
			}
		}
		for _, item := range of.Items {
			if seen[item.ID] || !itemIDs.MatchString(item.ID) {
				wrong(item.ID, "an item needs a name of its own, of lower-case letters, digits and -")
			}
			seen[item.ID] = true
			if err := item.check(known); err != nil {
				wrong(item.ID, "%s", err)
			}
		}
	}
	p.checkSignals(wrong)
	if !slices.Equal(phases, Phases) {
		wrong("phases", "they are staging, pilot, production and live, in this order")
	}
	return errors.Join(problems...)
}

func (i Item) check(known func(string) bool) error {
	switch {
	case strings.TrimSpace(i.Text) == "":
		return errors.New("it says nothing")
	case !slices.Contains(access.Roles, i.Owner):
		return fmt.Errorf("%q is no role", i.Owner)
	case !slices.Contains([]Kind{Check, SignOff, Drill}, i.Kind):
		return fmt.Errorf("%q is no kind", i.Kind)
	case i.Kind != SignOff && i.Check == "":
		return errors.New("nothing proves it")
	case i.Check != "" && !known(i.Check):
		return fmt.Errorf("there is no check %q", i.Check)
	case (i.Kind == SignOff) != (len(i.Quorum) > 0):
		return errors.New("a sign_off has a quorum, and nothing else has")
	case i.Check != "" && (i.Every < time.Minute || i.StaleAfter < i.Every):
		return errors.New("it is proved every minute at most, and is not stale before it is proved anew")
	}
	for n, seat := range i.Quorum {
		if !access.May(seat, access.RolloutSign) || slices.Contains(i.Quorum[:n], seat) {
			return fmt.Errorf("%q may not sign, or has two seats", seat)
		}
	}
	return nil
}

// MayBecome makes sure that a plan may take the place of another while a rollout is in a phase: what has begun stays as
// it is. It fails with domain.Conflict of code PlanSame or PlanStands.
func (p Plan) MayBecome(next Plan, phase Phase) error {
	if string(p.Digest()) == string(next.Digest()) {
		return domain.E(domain.Conflict, PlanSame, "this is the plan that is followed already")
	}
	for _, begun := range Phases[:slices.Index(Phases, phase)+1] {
		if string(digest(p.Of(begun))) != string(digest(next.Of(begun))) {
			return domain.E(domain.Conflict, PlanStands, "the phase %s has begun: its items and guardrails stay as they are until it is over", begun).About("plan")
		}
	}
	return nil
}
