package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/payment"
	"lastcall/domain/rollout"
	"lastcall/store"
	"lastcall/store/storetest"
)

// city is a house of people in which a rollout can begin, by a short plan.
type city struct {
	house
	finance, finance2, ops2 context.Context
	plan                    rollout.Plan
}

func openCity(t *testing.T) *city {
	t.Helper()
	c := &city{house: approvals(t)}
	c.set(t, "campaigns", `{"approval":"never","max_late":"2h","approval_ttl":"24h"}`)
	c.finance, c.finance2, c.ops2 = c.person(t, "finance", access.Finance), c.person(t, "finance2", access.Finance), c.person(t, "ops2", access.Ops)
	item := func(id, check string, kind rollout.Kind, seats ...access.Role) rollout.Item {
		return rollout.Item{ID: id, Text: id, Kind: kind, Owner: access.Ops, Check: check, Every: time.Hour, StaleAfter: 24 * time.Hour, Quorum: seats}
	}
	goNoGo := item("go", "everything_else", rollout.SignOff, access.ProjectLead, access.Ops)
	goNoGo.Unwaived, goNoGo.Lasts = true, 24*time.Hour
	c.plan = rollout.Plan{Phases: []rollout.PhasePlan{
		{Phase: rollout.Staging, Title: "Staging", Guardrails: rollout.Guardrails{Provider: rollout.Sandbox, Redemptions: rollout.Mocked},
			Items: []rollout.Item{item("toggles", "toggles", rollout.Check), item("money", "payments", rollout.SignOff, access.Finance), goNoGo}},
		{Phase: rollout.Pilot, Title: "Pilot", Guardrails: rollout.Guardrails{Bars: 5, Stations: 5, Support: 3, Targets: 20},
			Items: []rollout.Item{item("overrides", "overrides", rollout.Check), item("opt-outs", "opt_outs", rollout.Check)}},
		{Phase: rollout.Production, Title: "Production", Guardrails: rollout.Guardrails{Stations: 5, Support: 3, Targets: 20, Templates: rollout.Locked},
			Items: []rollout.Item{item("retention", "audit_retention", rollout.Check)}},
		{Phase: rollout.Live, Title: "Live", Guardrails: rollout.Guardrails{Templates: rollout.Locked}}}}
	require.NoError(t, c.plan.Check(store.KnownCheck))
	return c
}

func (h house) person(t *testing.T, name string, role access.Role) context.Context {
	t.Helper()
	a, err := h.AddAccount(t.Context(), store.NewAccount{Email: name + "@example.test", Name: name, Role: string(role), Password: "a long password"})
	require.NoError(t, err)
	return audit.WithActor(t.Context(), a.Actor())
}

func (c *city) begin(t *testing.T) {
	t.Helper()
	require.NoError(t, c.StartRollout(c.admin, "kigali", c.plan, "Kigali opens"))
}

// in puts the rollout into a phase, without its gates.
func (c *city) in(t *testing.T, phase rollout.Phase) {
	t.Helper()
	rails, err := json.Marshal(c.plan.Of(phase).Guardrails)
	require.NoError(t, err)
	c.exec(t, `UPDATE rollouts SET phase = $1, guardrails = $2`, phase, rails)
}

func (c *city) prove(t *testing.T, items ...string) {
	t.Helper()
	for _, item := range items {
		_, err := c.ProveItem(t.Context(), "kigali", item)
		require.NoError(t, err)
	}
}

func (c *city) item(t *testing.T, id string) store.ItemStanding {
	t.Helper()
	b, err := c.RolloutBoard(c.lead)
	require.NoError(t, err)
	for _, v := range b.Items {
		if v.Item.ID == id {
			return v
		}
	}
	t.Fatalf("no item %s", id)
	return store.ItemStanding{}
}

// sign signs an item as it is now, and does what the message tells the workflow.
func (c *city) sign(t *testing.T, who context.Context, item string) {
	t.Helper()
	c.say(t, who, item, approval.Approved)
}

func (c *city) say(t *testing.T, who context.Context, item string, verdict approval.Verdict) {
	t.Helper()
	message, err := c.SignItem(who, store.SignOff{Item: item, Seen: c.item(t, item).Digest, Verdict: verdict, Note: "as agreed"})
	require.NoError(t, err)
	problem, err := c.DecidedRollout(t.Context(), "kigali", c.claimOf(t, message))
	require.NoError(t, err)
	require.Empty(t, problem)
}

// rehearse switches each toggle off and on again.
func (c *city) rehearse(t *testing.T) {
	t.Helper()
	for _, v := range []string{`{"dispatch":false,"station_redeem":false}`, `{"dispatch":true,"station_redeem":true}`} {
		c.set(t, "toggles", v)
	}
}

// pay has Finance write payment settings and another of them confirm those.
func (c *city) pay(t *testing.T, link string) {
	t.Helper()
	p, err := c.SavePayments(c.finance, payment.Terms{RevolutLink: "https://revolut.me/" + link, Instructions: []payment.Instruction{{Country: "RW", Currency: "RWF", Text: "at the counter"}}}, "", nil)
	require.NoError(t, err)
	_, err = c.ConfirmPayments(c.finance2, p.Revision)
	require.NoError(t, err)
}

// ready makes everything so that staging asks for.
func (c *city) ready(t *testing.T) {
	t.Helper()
	c.rehearse(t)
	c.pay(t, "lastcall")
	c.prove(t, "toggles", "money")
	c.sign(t, c.finance, "money")
	c.prove(t, "go")
	c.sign(t, c.lead, "go")
	c.sign(t, c.ops, "go")
}

func (c *city) mocked(t *testing.T) bool {
	t.Helper()
	set, err := c.Settings(t.Context())
	require.NoError(t, err)
	return set.Toggles.MockRedemptions
}

func (c *city) phase(t *testing.T) rollout.Phase {
	t.Helper()
	r, err := c.Rollout(t.Context())
	require.NoError(t, err)
	return r.Phase
}

func TestARolloutGoesThroughItsPhases(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	require.False(t, c.mocked(t))
	_, err := c.Rollout(t.Context())
	require.Equal(t, rollout.NotBegun, domain.CodeOf(err))
	c.begin(t)
	require.True(t, c.mocked(t), "in staging stations only rehearse")
	require.Equal(t, rollout.Begun, domain.CodeOf(c.StartRollout(c.admin, "malta", c.plan, "one more")))

	step, err := c.StepRollout(t.Context(), "kigali")
	require.NoError(t, err)
	require.Equal(t, []string{"money", "toggles"}, step.Due, "what looks at the others comes after them")
	_, _, err = c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.Equal(t, rollout.GateShut, domain.CodeOf(err))
	for _, id := range []string{"toggles", "money", "go"} {
		require.ErrorContains(t, err, id)
	}

	c.ready(t)
	step, err = c.StepRollout(t.Context(), "kigali")
	require.NoError(t, err)
	require.Empty(t, step.Due)
	require.Zero(t, step.Open)
	require.InDelta(t, time.Hour, step.Wait, float64(time.Minute))
	gate, message, err := c.AdvanceRollout(c.lead, rollout.Staging, "as agreed")
	require.NoError(t, err)
	require.Equal(t, "rollout.changed", query[string](t, c.bundle, `SELECT kind FROM outbox WHERE id = $1`, message))
	_, _, err = c.AdvanceRollout(c.lead2, rollout.Staging, "")
	require.Equal(t, rollout.GateAsked, domain.CodeOf(err))
	require.Equal(t, rollout.Staging, c.phase(t), "the workflow opens it, nobody else")
	step, err = c.StepRollout(t.Context(), "kigali")
	require.NoError(t, err)
	require.Equal(t, []string{"money", "toggles"}, step.Due, "everything is looked at anew first")
	c.prove(t, "money", "toggles", "go")
	step, err = c.StepRollout(t.Context(), "kigali")
	require.NoError(t, err)
	require.Empty(t, step.Due)
	require.Equal(t, gate.String(), step.Gate)
	for _, forged := range []string{uuid.NewString(), "nonsense"} {
		opened, err := c.OpenGate(t.Context(), "kigali", forged)
		require.NoError(t, err)
		require.False(t, opened)
	}
	opened, err := c.OpenGate(t.Context(), "kigali", step.Gate)
	require.NoError(t, err)
	require.True(t, opened)
	opened, err = c.OpenGate(t.Context(), "kigali", step.Gate)
	require.NoError(t, err)
	require.False(t, opened, "once")
	require.Equal(t, rollout.Pilot, c.phase(t))
	require.False(t, c.mocked(t))
	decided, err := c.GateDecided(t.Context(), gate)
	require.True(t, decided)
	require.NoError(t, err)

	c.prove(t, "overrides", "opt-outs")
	_, _, err = c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.Equal(t, rollout.WrongPhase, domain.CodeOf(err))
	_, _, err = c.AdvanceRollout(c.lead, rollout.Pilot, "")
	require.ErrorContains(t, err, "opt-outs (nothing has been sent yet)", "no data is inconclusive, never passed")
	message, err = c.WaiveItem(c.lead, "opt-outs", "nothing is sent in this test")
	require.NoError(t, err)
	problem, err := c.DecidedRollout(t.Context(), "kigali", c.claimOf(t, message))
	require.NoError(t, err)
	require.Empty(t, problem)
	require.Equal(t, rollout.Waived, c.item(t, "opt-outs").Outcome)
	gate, _, err = c.AdvanceRollout(c.lead, rollout.Pilot, "")
	require.NoError(t, err)
	opened, err = c.OpenGate(t.Context(), "kigali", gate.String())
	require.NoError(t, err)
	require.True(t, opened)
	require.Equal(t, rollout.Production, c.phase(t))
	require.Equal(t, rollout.UnderWay, domain.CodeOf(c.EndRollout(c.lead, "enough")))

	kept := c.item(t, "opt-outs")
	require.Equal(t, rollout.Waived, kept.Outcome, "shown forever")
	require.Equal(t, "nothing is sent in this test", kept.Signatures[0].Reason)
	require.Equal(t, []string{"", ""}, c.audited(t, "rollout.advanced"))
	require.Equal(t, []string{rollout.Begun, rollout.GateShut, rollout.GateAsked, rollout.WrongPhase, rollout.GateShut, rollout.UnderWay}, c.audited(t, "rollout.refused"))
}

// What whoever signs may not.
func TestSignaturesThatAreRefused(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	require.NoError(t, c.StartRollout(c.lead, "kigali", c.plan, "Kigali opens")) // so the lead signs nothing in staging
	sign := func(who context.Context, item string, seen []byte) string {
		_, err := c.SignItem(who, store.SignOff{Item: item, Seen: seen, Verdict: approval.Approved, Note: "as agreed"})
		require.Error(t, err)
		return domain.CodeOf(err)
	}
	none := make([]byte, 32)
	require.Equal(t, rollout.Unproven, sign(c.finance, "money", none), "Finance has confirmed nothing")
	c.pay(t, "lastcall")
	c.prove(t, "money")
	digest := c.item(t, "money").Digest
	require.Equal(t, approval.WrongRole, sign(c.ops, "money", digest))
	require.Equal(t, approval.NoAccount, sign(t.Context(), "money", digest))
	token := audit.ActorFrom(c.finance)
	token.Token = "script"
	require.Equal(t, approval.NoAccount, sign(audit.WithActor(t.Context(), token), "money", digest))
	require.Equal(t, approval.Changed, sign(c.finance, "money", none), "not what was looked at")
	require.Equal(t, rollout.NoSignature, sign(c.ops, "toggles", digest))
	require.Equal(t, rollout.NoItem, sign(c.ops, "nothing", digest))
	require.Equal(t, rollout.WrongPhase, sign(c.ops, "overrides", digest))
	c.sign(t, c.finance, "money")
	require.Equal(t, rollout.SignedTwice, sign(c.finance, "money", digest))
	require.Equal(t, rollout.SignedTwice, sign(c.finance2, "money", digest))
	c.rehearse(t)
	c.prove(t, "toggles", "go")
	digest = c.item(t, "go").Digest
	require.Equal(t, approval.Own, sign(c.lead, "go", digest), "who opened the phase signs nothing in it")
	c.sign(t, c.ops, "go")
	// Who becomes project lead after signing as ops does not make a quorum with themselves.
	_, err := c.SetRole(c.admin, uuid.MustParse(audit.ActorFrom(c.ops).ID), string(access.ProjectLead))
	require.NoError(t, err)
	require.Equal(t, rollout.SignedTwice, sign(c.ops, "go", digest))
	require.Equal(t, "ops has not signed", c.item(t, "go").Open.Why[len("project lead and "):], "the signature of somebody who is not ops any more does not count")
	_, err = c.WaiveItem(c.ops2, "toggles", "no time")
	require.Equal(t, approval.WrongRole, domain.CodeOf(err))
	_, err = c.WaiveItem(c.lead, "go", "no time")
	require.Equal(t, rollout.NotWaivable, domain.CodeOf(err))
	_, err = c.WaiveItem(c.lead, "opt-outs", "no time")
	require.Equal(t, rollout.WrongPhase, domain.CodeOf(err))
	_, err = c.WaiveItem(c.lead, "toggles", " ")
	require.Equal(t, "no_reason", domain.CodeOf(err))

	require.Equal(t, []string{approval.WrongRole, approval.NoAccount, approval.NoAccount, approval.Changed, approval.Own, approval.WrongRole}, c.audited(t, "approval.refused"))
	require.Equal(t, []string{rollout.Unproven, rollout.NoSignature, rollout.NoItem, rollout.WrongPhase, rollout.SignedTwice, rollout.SignedTwice, rollout.SignedTwice,
		rollout.NotWaivable, rollout.WrongPhase}, c.audited(t, "rollout.refused"))
	require.EqualValues(t, 2, query[int](t, c.bundle, `SELECT count(*) FROM approvals`), "nothing half done")
}

// What a message claims counts only if it is so.
func TestForgedSignaturesDoNotCount(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	c.pay(t, "lastcall")
	c.prove(t, "money")
	foreign, _ := c.approved2(t)
	message, err := c.SignItem(c.finance, store.SignOff{Item: "money", Seen: c.item(t, "money").Digest, Verdict: approval.Approved, Note: "as agreed"})
	require.NoError(t, err)
	good := c.claimOf(t, message)
	for _, forged := range []struct{ claim, code string }{{uuid.NewString(), approval.Unknown}, {"nonsense", approval.Unknown}, {foreign.String(), approval.Foreign}} {
		problem, err := c.DecidedRollout(t.Context(), "kigali", forged.claim)
		require.NoError(t, err)
		require.NotEmpty(t, problem)
		refused := c.refusals(t)
		require.Equal(t, forged.code, refused[len(refused)-1])
	}
	require.Empty(t, c.item(t, "money").Signed)
	// One that held when it was given, and does not when it comes: the payments were changed in between.
	c.pay(t, "other")
	c.prove(t, "money")
	problem, err := c.DecidedRollout(t.Context(), "kigali", good)
	require.NoError(t, err)
	require.NotEmpty(t, problem)
	require.Empty(t, c.item(t, "money").Signed)
	taken, err := c.RolloutDecisionTaken(t.Context(), message)
	require.False(t, taken)
	require.Equal(t, approval.Void, domain.CodeOf(err))
}

// approved2 is an approval of something else.
func (c *city) approved2(t *testing.T) (uuid.UUID, store.Approval) {
	t.Helper()
	c.set(t, "campaigns", `{"approval":"always","max_late":"2h","approval_ttl":"24h"}`)
	_, a := c.approved(t, rw(1))
	return a.ID, a
}

// Whatever of the evidence changes, signatures are void, and everybody is told.
func TestAChangeVoidsSignatures(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	c.ready(t)
	require.Empty(t, c.board(t).Open)
	c.prove(t, "money", "toggles", "go")
	require.Empty(t, c.board(t).Open, "the same evidence is the same")
	gate, _, err := c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.NoError(t, err)

	c.pay(t, "another")
	seen := c.item(t, "money").Digest
	_, err = c.SignItem(c.finance2, store.SignOff{Item: "money", Seen: seen, Verdict: approval.Approved, Note: "as agreed"})
	require.Equal(t, approval.Changed, domain.CodeOf(err), "it is looked at anew, whatever was found last")
	c.prove(t, "money")
	v := c.item(t, "money")
	require.Equal(t, rollout.IsUnsigned, v.Open.Code)
	require.Equal(t, "what was signed has changed since", v.Signatures[0].Problem)
	require.NotNil(t, v.Signatures[0].VoidedAt)
	c.prove(t, "go")
	require.Equal(t, rollout.IsInconclusive, c.item(t, "go").Open.Code, "money is open again")
	require.Len(t, c.audited(t, "rollout.signature_voided"), 3)
	require.Contains(t, query[[]string](t, c.bundle, `SELECT array_agg(payload->>'title') FROM outbox WHERE kind = 'ops.notice'`), "Rollout kigali: signatures are void")

	opened, err := c.OpenGate(t.Context(), "kigali", gate.String())
	require.NoError(t, err)
	require.False(t, opened, "what was ordered is judged when it opens")
	decided, err := c.GateDecided(t.Context(), gate)
	require.True(t, decided)
	require.ErrorContains(t, err, "money (finance has not signed)")
	require.Equal(t, rollout.Staging, c.phase(t))
	// The gate may be ordered again.
	c.sign(t, c.finance2, "money")
	c.prove(t, "go")
	c.sign(t, c.lead, "go")
	c.say(t, c.ops, "go", approval.Rejected)
	_, _, err = c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.ErrorContains(t, err, "go (ops said no)")
	c.sign(t, c.ops2, "go")
	_, _, err = c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.NoError(t, err)
}

func (c *city) board(t *testing.T) store.RolloutBoard {
	t.Helper()
	b, err := c.RolloutBoard(c.lead)
	require.NoError(t, err)
	return b
}

func TestStaleEvidenceShutsTheGate(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	c.ready(t)
	c.exec(t, `UPDATE rollout_evidence SET at = at - interval '25 hours', last_at = last_at - interval '25 hours' WHERE item = 'toggles'`)
	v := c.item(t, "toggles")
	require.Equal(t, rollout.Inconclusive, v.Outcome)
	require.Equal(t, rollout.IsStale, v.Open.Code)
	_, _, err := c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.ErrorContains(t, err, "toggles (what was found is older than 24 h)")
	c.prove(t, "toggles")
	_, _, err = c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.NoError(t, err)
	// A signature lasts as long as the plan says.
	c.exec(t, `UPDATE rollout_gates SET decided_at = clock_timestamp(), opened = false`)
	c.exec(t, `UPDATE approvals SET created_at = created_at - interval '25 hours', expires_at = expires_at - interval '25 hours' WHERE subject_id LIKE '%/go/ops'`)
	_, _, err = c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.ErrorContains(t, err, "go (ops has not signed)")
}

// A plan may change what is to come; what has begun stays.
func TestAPlanEditedInMidPhase(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	c.ready(t)
	require.Equal(t, rollout.PlanSame, domain.CodeOf(c.ReviseRollout(c.lead, c.plan, "again")))
	next := c.plan
	next.Phases = append([]rollout.PhasePlan{}, c.plan.Phases...)
	next.Phases[0].Items = next.Phases[0].Items[1:]
	require.Equal(t, rollout.PlanStands, domain.CodeOf(c.ReviseRollout(c.lead, next, "easier")))
	next.Phases[0] = c.plan.Phases[0]
	next.Phases[1].Guardrails.Targets = 10
	require.NoError(t, c.ReviseRollout(c.lead, next, "more careful"))
	b := c.board(t)
	require.Equal(t, 2, b.PlanVersion)
	require.Equal(t, 10, b.Plan.Of(rollout.Pilot).Guardrails.Targets)
	require.Contains(t, c.audited(t, "rollout.refused"), rollout.PlanStands)
	require.Len(t, c.audited(t, "rollout.signature_voided"), 3, "signatures are of a version of the plan")
	_, _, err := c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.Equal(t, rollout.GateShut, domain.CodeOf(err))
	require.Equal(t, 1, query[int](t, c.bundle, `SELECT count(*) FROM rollout_plans WHERE version = 1`))
}

// refusedBy runs what a guardrail forbids, and returns what it told.
func (c *city) refusedBy(t *testing.T, guardrail string, do func() error) store.GuardrailFacts {
	t.Helper()
	before := len(c.audited(t, "rollout.guardrail"))
	err := do()
	require.Equal(t, rollout.Guardrail, domain.CodeOf(err), "%v", err)
	e, ok := err.(*domain.Error) //nolint:errorlint // it is not wrapped
	require.True(t, ok)
	facts := e.Facts.(store.GuardrailFacts)
	require.Equal(t, guardrail, facts.Guardrail)
	require.Len(t, c.audited(t, "rollout.guardrail"), before+1, "refusals are in the audit log")
	return facts
}

func TestWithoutARolloutNothingIsForbidden(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	id := c.draft(t, many(30, rw)...)
	_, err := c.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	for i := range 4 {
		c.person(t, fmt.Sprint("support", i), access.Support)
	}
	c.set(t, "toggles", `{"dispatch":true,"mock_redemptions":true}`)
	c.set(t, "toggles", `{"dispatch":true,"mock_redemptions":false}`)
	require.Empty(t, c.audited(t, "rollout.guardrail"))
}

func TestGuardrailsOfStaging(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	c.refusedBy(t, "redemptions", func() error {
		_, err := c.SaveSetting(t.Context(), "toggles", json.RawMessage(`{"dispatch":true,"mock_redemptions":false}`), "")
		return err
	})
	require.True(t, c.mocked(t))
	c.set(t, "toggles", `{"dispatch":false}`)
	c.set(t, "toggles", `{"dispatch":true}`)
	require.True(t, c.mocked(t), "one that is not named stays")
	_, lane := c.running(t, many(30, rw)...) // on the sandbox any number
	require.NotEmpty(t, c.claim(t, lane, 5).Targets)

	real, err := store.Open(t.Context(), store.Config{URL: c.url, Pepper: storetest.Pepper, AppName: "for real"})
	require.NoError(t, err)
	t.Cleanup(real.Close)
	other := c.draft(t, rw(77))
	c.refusedBy(t, "provider", func() error { _, err := real.StartCampaign(c.ops, other, nil); return err })
	claim, err := real.Claim(t.Context(), lane, 5)
	require.NoError(t, err)
	for claim.Busy {
		claim, err = real.Claim(t.Context(), lane, 5)
		require.NoError(t, err)
	}
	require.Empty(t, claim.Targets, "nor does a worker that sends for real send what was started on the sandbox")
	require.NotEmpty(t, claim.Waits)
	// Nor does the pilot open while it is on its way.
	c.ready(t)
	facts := c.refusedBy(t, "provider", func() error { _, _, err := c.AdvanceRollout(c.lead, rollout.Staging, ""); return err })
	require.EqualValues(t, 1, facts.Would)
}

func TestGuardrailsOfThePilot(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	early := c.draft(t, many(21, rw)...)
	c.in(t, rollout.Pilot)
	facts := c.refusedBy(t, "targets", func() error { _, err := c.StartCampaign(c.ops, early, nil); return err })
	require.Equal(t, 20, facts.Limit)
	require.EqualValues(t, 21, facts.Would)
	require.Equal(t, "draft", query[string](t, c.bundle, `SELECT status FROM campaigns WHERE id = $1`, early))
	require.Zero(t, query[int](t, c.bundle, `SELECT count(*) FROM outbox WHERE key = 'campaign/' || $1::text`, early.String()), "nothing half done")
	_, err := c.StartCampaign(c.ops, c.draft(t, many(20, rw)...), nil)
	require.NoError(t, err)

	// The fourth of support, by whichever way; of many who want the last place one gets it.
	c.person(t, "support2", access.Support)
	viewer, err := c.AddAccount(t.Context(), store.NewAccount{Email: "viewer@example.test", Name: "viewer", Role: "viewer", Password: "a long password"})
	require.NoError(t, err)
	const wanting = 8
	won := 0
	for _, err := range c.race(wanting, func(i int) error {
		_, err := c.AddAccount(context.Background(), store.NewAccount{Email: fmt.Sprintf("s%d@example.test", i), Name: "s", Role: "support", Password: "a long password"})
		return err
	}) {
		if err == nil {
			won++
			continue
		}
		require.Equal(t, rollout.Guardrail, domain.CodeOf(err))
	}
	require.Equal(t, 1, won)
	require.Equal(t, 3, query[int](t, c.bundle, `SELECT count(*) FROM accounts WHERE role = 'support'`))
	c.refusedBy(t, "support", func() error { _, err := c.SetRole(c.admin, viewer.ID, "support"); return err })
	support := uuid.MustParse(audit.ActorFrom(c.support).ID)
	_, err = c.SetAccountDisabled(c.admin, support, true)
	require.NoError(t, err)
	_, err = c.SetRole(c.admin, viewer.ID, "support")
	require.NoError(t, err)
	c.refusedBy(t, "support", func() error { _, err := c.SetAccountDisabled(c.admin, support, false); return err })

	// The sixth station.
	bar, err := c.AddBar(t.Context(), "ENG", store.BarFacts{Name: "Engine", Country: "RW"})
	require.NoError(t, err)
	stations := make([]uuid.UUID, 8)
	for i := range stations {
		s, err := c.AddStation(t.Context(), bar.ID, fmt.Sprintf("ENG-00%d", i), "Counter")
		require.NoError(t, err)
		stations[i] = s.ID
	}
	for _, id := range stations[:4] {
		require.NoError(t, c.EnrolStation(c.admin, id))
		require.NoError(t, c.EnrolStation(c.admin, id), "again is no other one")
	}
	won = 0
	for _, err := range c.race(4, func(i int) error { return c.EnrolStation(c.admin, stations[4+i]) }) {
		if err == nil {
			won++
			continue
		}
		require.Equal(t, rollout.Guardrail, domain.CodeOf(err))
	}
	require.Equal(t, 1, won)
	require.Len(t, c.board(t).Stations, 5)
	out := query[uuid.UUID](t, c.bundle, `SELECT id FROM stations WHERE id NOT IN (SELECT station_id FROM rollout_stations) LIMIT 1`)
	c.refusedBy(t, "stations", func() error { return c.EnrolStation(c.admin, out) })
	c.refusedBy(t, "stations", func() error { _, _, err := c.InviteDevice(c.admin, out, "phone"); return err })
	require.NoError(t, c.WithdrawStation(c.admin, stations[0]))
	require.NoError(t, c.EnrolStation(c.admin, out))
	require.Equal(t, rollout.NoPart, domain.CodeOf(c.WithdrawStation(c.admin, stations[0])))
}

// race lets n do something at once.
func (c *city) race(n int, do func(i int) error) []error {
	errs := make([]error, n)
	ready := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-ready
			errs[i] = do(i)
		})
	}
	close(ready)
	all.Wait()
	return errs
}

func TestGuardrailsOfProduction(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	for _, phase := range []rollout.Phase{rollout.Production, rollout.Live} {
		c.in(t, phase)
		template, err := c.NewestTemplate(t.Context(), "event_invite") // approved, not locked
		require.NoError(t, err)
		m, err := c.CreateCampaign(t.Context(), store.NewCampaign{Name: "Jazz", TemplateID: template.ID, Variables: map[string]string{"event": "Jazz", "day": "Friday"}})
		require.NoError(t, err)
		c.load(t, m.ID, "msisdn\n"+rw(1))
		c.refusedBy(t, "templates", func() error { _, err := c.StartCampaign(c.ops, m.ID, nil); return err })
		c.refusedBy(t, "templates", func() error {
			_, err := c.CreateSend(c.support, store.NewSend{Number: numberOf(t, msisdn(rw(1))), TemplateID: template.ID, Variables: map[string]string{"event": "Jazz", "day": "Friday"}})
			return err
		})
	}
	require.Zero(t, query[int](t, c.bundle, `SELECT count(*) FROM sends`))
	_, err := c.StartCampaign(c.ops, c.draft(t, many(21, rw)...), nil)
	require.NoError(t, err, "when it is live, a locked template goes to any number")
}

// In the pilot only stations that take part redeem; elsewhere a voucher stays what it is.
func TestOnlyStationsThatTakePartRedeem(t *testing.T) {
	t.Parallel()
	tap := openTaproom(t)
	admin, err := tap.AddAccount(t.Context(), store.NewAccount{Email: "admin@example.test", Name: "admin", Role: "admin", Password: "a long password"})
	require.NoError(t, err)
	c := &city{house: house{bundle: tap.bundle, admin: audit.WithActor(t.Context(), admin.Actor())}, plan: redeemingPlan()}
	c.begin(t)
	require.NoError(t, c.EnrolStation(c.admin, tap.here.StationID))
	c.in(t, rollout.Pilot)
	c.set(t, "toggles", `{"dispatch":true,"mock_redemptions":false}`)
	v := tap.issue(t)
	for _, r := range []store.Redemption{{By: tap.there, Voucher: v.ID, Key: "a", RequestHash: hash("a")}, byCode(tap.there, v, "b")} {
		_, _, err = c.Redeem(t.Context(), r)
		require.Equal(t, rollout.Guardrail, domain.CodeOf(err), "%v", err)
	}
	_, err = c.LookAtVoucher(t.Context(), tap.there, "", v.ID)
	require.Equal(t, rollout.Guardrail, domain.CodeOf(err))
	require.Equal(t, []string{rollout.Guardrail, rollout.Guardrail}, c.audited(t, "voucher.redemption_refused"))
	got, _, err := c.Redeem(t.Context(), store.Redemption{By: tap.here, Voucher: v.ID, Key: "c", RequestHash: hash("c")})
	require.NoError(t, err)
	require.False(t, got.Mock)
}

func redeemingPlan() rollout.Plan {
	return rollout.Plan{Phases: []rollout.PhasePlan{{Phase: rollout.Staging, Guardrails: rollout.Guardrails{Redemptions: rollout.Mocked}}, {Phase: rollout.Pilot, Guardrails: rollout.Guardrails{Stations: 5, Bars: 5}},
		{Phase: rollout.Production}, {Phase: rollout.Live}}}
}

func TestEndingARolloutEndsItsGuardrails(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	require.NoError(t, c.EndRollout(c.lead, "begun by mistake"))
	require.False(t, c.mocked(t))
	step, err := c.StepRollout(t.Context(), "kigali")
	require.NoError(t, err)
	require.True(t, step.Over)
	require.Equal(t, rollout.NotBegun, domain.CodeOf(c.EndRollout(c.lead, "again")))
	err = c.StartRollout(c.admin, "kigali", c.plan, "again")
	require.Equal(t, rollout.Taken, domain.CodeOf(err))
	require.NoError(t, c.StartRollout(c.admin, "kigali-2", c.plan, "again"))
	require.True(t, strings.HasPrefix(c.board(t).Name, "kigali-2"))
}
