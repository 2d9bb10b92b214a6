package store_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/store"
)

// house is a store in which campaigns need approval, with an account a role.
type house struct {
	bundle
	admin, ops, lead, lead2, support context.Context // of their requests
}

func approvals(t *testing.T) house {
	t.Helper()
	h := house{bundle: setup(t)}
	h.set(t, "campaigns", `{"approval":"always","max_late":"2h","approval_ttl":"24h"}`)
	for _, a := range []struct {
		name, role string
		ctx        *context.Context
	}{{"admin", "admin", &h.admin}, {"ops", "ops", &h.ops}, {"lead", "project_lead", &h.lead}, {"lead2", "project_lead", &h.lead2}, {"support", "support", &h.support}} {
		account, err := h.AddAccount(t.Context(), store.NewAccount{Email: a.name + "@example.test", Name: a.name, Role: a.role, Password: "a long password"})
		require.NoError(t, err)
		*a.ctx = audit.WithActor(t.Context(), account.Actor())
	}
	return h
}

// asked is a campaign that ops made and asks about.
func (h house) asked(t *testing.T, numbers ...string) (uuid.UUID, store.ApprovalRequest) {
	t.Helper()
	template, err := h.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	c, err := h.CreateCampaign(h.ops, store.NewCampaign{Name: t.Name(), TemplateID: template.ID})
	require.NoError(t, err)
	csv := "msisdn\n"
	for _, n := range numbers {
		csv += n + "\n"
	}
	_, err = h.Import(h.ops, c.ID, reader(t, csv))
	require.NoError(t, err)
	r, err := h.RequestCampaignApproval(h.ops, c.ID, nil, "please")
	require.NoError(t, err)
	return c.ID, r
}

func (h house) approved(t *testing.T, numbers ...string) (uuid.UUID, store.Approval) {
	t.Helper()
	id, r := h.asked(t, numbers...)
	a, _, err := h.DecideCampaign(h.lead, id, approval.Approved, "", r.Digest)
	require.NoError(t, err)
	return id, a
}

// refusals are the codes of the refusals in the audit log, oldest first.
func (h house) refusals(t *testing.T) []string {
	t.Helper()
	return query[[]string](t, h.bundle, `SELECT coalesce(array_agg(diff->>'code' ORDER BY id), '{}') FROM audit_log WHERE action = 'approval.refused'`)
}

func TestAnApprovedCampaignStartsWithItsApproval(t *testing.T) {
	t.Parallel()
	h := approvals(t)
	id, r := h.asked(t, many(3, rw)...)
	_, err := h.StartCampaign(h.ops, id, nil)
	require.Equal(t, approval.Required, domain.CodeOf(err))
	require.Contains(t, err.Error(), id.String())
	require.Equal(t, []string{approval.Unknown}, h.refusals(t))

	var facts store.CampaignFacts
	require.NoError(t, json.Unmarshal(r.Facts, &facts))
	require.Equal(t, map[string]int64{"RW": 3}, facts.Countries)
	require.EqualValues(t, 3, facts.Permitted)
	a, message, err := h.DecideCampaign(h.lead, id, approval.Approved, "good", r.Digest)
	require.NoError(t, err)
	require.Zero(t, message, "a draft has no workflow to tell")
	require.Equal(t, "project_lead", string(a.ActorRole))
	require.WithinDuration(t, a.CreatedAt.Add(24*time.Hour), *a.ExpiresAt, time.Second)

	message, err = h.StartCampaign(h.ops, id, nil)
	require.NoError(t, err)
	require.Equal(t, a.ID.String(), query[string](t, h.bundle, `SELECT payload->>'approval_id' FROM outbox WHERE id = $1`, message))
	require.NoError(t, h.Advance(t.Context(), id, campaign.Preflight, ""))
	require.Equal(t, approval.Required, domain.CodeOf(h.Advance(t.Context(), id, campaign.Running, "")), "nobody has cleared it")
	problem, err := h.Clear(t.Context(), store.Clearance{Campaign: id, Approval: a.ID.String()})
	require.NoError(t, err)
	require.Empty(t, problem)
	require.NoError(t, h.Advance(t.Context(), id, campaign.Running, ""))
}

// Whatever of a campaign is changed, its approval does not let it start.
func TestAnApprovalIsOfTheCampaignAsItWas(t *testing.T) {
	t.Parallel()
	h := approvals(t)
	at := time.Now().Add(time.Hour)
	for what, change := range map[string]func(id uuid.UUID) (sendAt *time.Time){
		"audience": func(id uuid.UUID) *time.Time { h.load(t, id, "msisdn\n"+rw(9)); return nil },
		"name": func(id uuid.UUID) *time.Time {
			name := "Another"
			require.NoError(t, h.ChangeCampaign(h.ops, id, store.CampaignChange{Name: &name}))
			return nil
		},
		"variables": func(id uuid.UUID) *time.Time {
			require.NoError(t, h.ChangeCampaign(h.ops, id, store.CampaignChange{Variables: map[string]string{"name": "friend"}}))
			return nil
		},
		"texts": func(uuid.UUID) *time.Time {
			h.exec(t, `ALTER TABLE templates DISABLE TRIGGER templates_guarded`) // it is locked
			h.exec(t, `UPDATE templates SET texts = texts || '{"fr":"Bonsoir"}' WHERE name = 'promo_generic'`)
			return nil
		},
		"a number": func(id uuid.UUID) *time.Time {
			h.exec(t, `UPDATE targets SET msisdn_hash = sha256(msisdn_hash) WHERE campaign_id = $1`, id)
			return nil
		},
		"schedule":        func(uuid.UUID) *time.Time { return &at },
		"policy revision": func(uuid.UUID) *time.Time { h.set(t, "toggles", `{"dispatch":true}`); return nil },
	} {
		id, a := h.approved(t, many(3, rw)...)
		sendAt := change(id)
		_, err := h.StartCampaign(h.ops, id, sendAt)
		require.Equal(t, approval.Required, domain.CodeOf(err), what)
		all := h.refusals(t)
		require.Equal(t, approval.Changed, all[len(all)-1], what)
		a, err = h.Approval(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, "changed", *a.VoidReason, what)
		c, err := h.Campaign(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, campaign.Draft, c.Status, what)
	}
	weight := 7
	id, _ := h.approved(t, rw(1))
	require.NoError(t, h.ChangeCampaign(h.lead, id, store.CampaignChange{Weight: &weight}))
	_, err := h.StartCampaign(h.ops, id, nil)
	require.NoError(t, err, "how fast it goes beside others is nothing to approve")
}

func TestNobodyApprovesTheirOwn(t *testing.T) {
	t.Parallel()
	h := approvals(t)
	id, r := h.asked(t, rw(1))
	decide := func(ctx context.Context, seen []byte) string {
		_, _, err := h.DecideCampaign(ctx, id, approval.Approved, "", seen)
		require.Error(t, err)
		return domain.CodeOf(err)
	}
	token := audit.WithActor(t.Context(), audit.Actor{Kind: "token", Name: "t"})
	require.Equal(t, approval.WrongRole, decide(h.ops, r.Digest))
	require.Equal(t, approval.WrongRole, decide(h.support, r.Digest))
	require.Equal(t, approval.NoAccount, decide(token, r.Digest))
	own := audit.ActorFrom(h.lead)
	own.Token = "script"
	require.Equal(t, approval.NoAccount, decide(audit.WithActor(t.Context(), own), r.Digest), "a lead's own token")
	require.Equal(t, approval.NoAccount, decide(t.Context(), r.Digest))
	require.Equal(t, approval.Changed, decide(h.lead, make([]byte, 32)))
	_, err := h.RequestCampaignApproval(token, id, nil, "")
	require.Equal(t, approval.NoAccount, domain.CodeOf(err))

	r, err = h.RequestCampaignApproval(h.admin, id, nil, "")
	require.NoError(t, err)
	require.Equal(t, approval.Own, decide(h.admin, r.Digest), "who asked")
	h.exec(t, `INSERT INTO edits (subject_kind, subject_id, account_id) SELECT 'campaign', $1, id FROM accounts WHERE email = 'lead@example.test'`, id.String())
	require.Equal(t, approval.Own, decide(h.lead, r.Digest), "who edited it last")
	require.Equal(t, []string{approval.WrongRole, approval.WrongRole, approval.NoAccount, approval.NoAccount, approval.NoAccount, approval.Changed, approval.NoAccount,
		approval.Own, approval.Own}, h.refusals(t))
	require.Equal(t, "ops@example.test", query[string](t, h.bundle, `SELECT actor FROM audit_log WHERE action = 'approval.refused' ORDER BY id LIMIT 1`))

	_, err = h.owner.Exec(t.Context(), `INSERT INTO approvals (id, subject_kind, subject_id, digest, verdict, actor_id, actor_role, request_id, requester_id)
		SELECT gen_random_uuid(), subject_kind, subject_id, digest, 'approved', requester_id, 'admin', id, requester_id FROM approval_requests WHERE closed_at IS NULL`)
	require.ErrorContains(t, err, "approvals_four_eyes")
	_, _, err = h.DecideCampaign(h.lead2, id, approval.Rejected, "", r.Digest)
	require.Equal(t, "no_reason", domain.CodeOf(err))
	_, _, err = h.DecideCampaign(h.lead2, id, approval.Rejected, "too many", r.Digest)
	require.NoError(t, err)
	_, err = h.StartCampaign(h.ops, id, nil)
	require.Equal(t, approval.Required, domain.CodeOf(err))
}

// An approval stops to hold with its time, and with who gave it; and it is of no other campaign.
func TestAnApprovalHoldsForAWhileAndForOneCampaign(t *testing.T) {
	t.Parallel()
	h := approvals(t)
	ended := func(what, code string, spoil func(id uuid.UUID, a store.Approval)) {
		id, a := h.approved(t, rw(1))
		spoil(id, a)
		_, err := h.StartCampaign(h.ops, id, nil)
		require.Equal(t, approval.Required, domain.CodeOf(err), what)
		all := h.refusals(t)
		require.Equal(t, code, all[len(all)-1], what)
	}
	ended("expired", approval.Expired, func(_ uuid.UUID, a store.Approval) {
		h.exec(t, `UPDATE approvals SET created_at = created_at - interval '25 h', expires_at = expires_at - interval '25 h' WHERE id = $1`, a.ID)
	})
	ended("superseded", approval.Unknown, func(id uuid.UUID, a store.Approval) {
		h.exec(t, `DELETE FROM approvals WHERE id = $1`, a.ID)
	})
	ended("void", approval.Void, func(id uuid.UUID, _ store.Approval) {
		_, err := h.RequestCampaignApproval(h.ops, id, nil, "again")
		require.NoError(t, err)
	})
	ended("disabled", approval.Disabled, func(_ uuid.UUID, a store.Approval) {
		_, err := h.SetAccountDisabled(t.Context(), a.ActorID, true)
		require.NoError(t, err)
	})
	_, err := h.owner.Exec(t.Context(), `UPDATE accounts SET disabled_at = NULL`)
	require.NoError(t, err)

	mine, _ := h.approved(t, rw(1))
	_, foreign := h.approved(t, rw(1))
	_, err = h.StartCampaign(h.ops, mine, nil)
	require.NoError(t, err)
	for forged, code := range map[string]string{foreign.ID.String(): approval.Foreign, uuid.NewString(): approval.Unknown, "no id": approval.Unknown, "": approval.Unknown} {
		for _, try := range []bool{false, true} {
			problem, err := h.Clear(t.Context(), store.Clearance{Campaign: mine, Approval: forged, Try: try})
			require.NoError(t, err)
			require.Contains(t, problem, "needs approval again")
			all := h.refusals(t)
			require.Equal(t, code, all[len(all)-1], forged)
		}
	}
	c, err := h.Campaign(t.Context(), mine)
	require.NoError(t, err)
	require.Nil(t, c.ClearedAt)
}

// Two who decide at once: one verdict, and the other is told that somebody has decided.
func TestOneVerdictARequest(t *testing.T) {
	t.Parallel()
	h := approvals(t)
	for range 10 {
		id, r := h.asked(t, rw(1))
		errs := make([]error, 2)
		var both sync.WaitGroup
		both.Go(func() { _, _, errs[0] = h.DecideCampaign(h.lead, id, approval.Approved, "", r.Digest) })
		both.Go(func() { _, _, errs[1] = h.DecideCampaign(h.lead2, id, approval.Rejected, "no", r.Digest) })
		both.Wait()
		require.True(t, (errs[0] == nil) != (errs[1] == nil), "%v", errs)
		for _, err := range errs {
			if err != nil {
				require.Equal(t, approval.NotAsked, domain.CodeOf(err))
			}
		}
		require.Equal(t, 1, query[int](t, h.bundle, `SELECT count(*) FROM approvals WHERE subject_id = $1`, id.String()))
	}
}

func TestALateStartIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	h := approvals(t)
	id, _ := h.asked(t, rw(1))
	at := time.Now().Add(time.Hour)
	r, err := h.RequestCampaignApproval(h.ops, id, &at, "")
	require.NoError(t, err)
	a, _, err := h.DecideCampaign(h.lead, id, approval.Approved, "", r.Digest)
	require.NoError(t, err)
	require.WithinDuration(t, at.Add(24*time.Hour), *a.ExpiresAt, time.Second, "it lasts from its time on")
	_, err = h.StartCampaign(h.ops, id, nil) // at the time that was approved
	require.NoError(t, err)
	c, err := h.Campaign(t.Context(), id)
	require.NoError(t, err)
	require.WithinDuration(t, at, *c.SendAt, time.Microsecond)

	// Four hours later, of which nobody dispatched.
	h.exec(t, `UPDATE campaigns SET send_at = send_at - interval '4 h' WHERE id = $1`, id)
	h.exec(t, `UPDATE approvals SET created_at = created_at - interval '4 h' WHERE id = $1`, a.ID)
	h.exec(t, `UPDATE approvals SET digest = $2 WHERE id = $1`, a.ID, h.digest(t, id))
	clear := func(a store.Approval) string {
		problem, err := h.Clear(t.Context(), store.Clearance{Campaign: id, Approval: a.ID.String()})
		require.NoError(t, err)
		return problem
	}
	require.Equal(t, "needs approval again: it would begin more than 2h late", clear(a))
	require.Equal(t, []string{approval.Late}, h.refusals(t))

	require.NoError(t, h.Advance(t.Context(), id, campaign.Paused, "needs approval again"))
	r, err = h.RequestCampaignApproval(h.ops, id, nil, "we were down")
	require.NoError(t, err)
	fresh, message, err := h.DecideCampaign(h.lead, id, approval.Approved, "", r.Digest)
	require.NoError(t, err)
	require.JSONEq(t, `{"campaign_id":"`+id.String()+`","approval_id":"`+fresh.ID.String()+`"}`,
		query[string](t, h.bundle, `SELECT payload FROM outbox WHERE id = $1`, message))
	require.Empty(t, clear(fresh))
	require.NoError(t, h.Advance(t.Context(), id, campaign.Preflight, ""))
	require.NoError(t, h.Advance(t.Context(), id, campaign.Running, ""))
	_, err = h.RequestCampaignApproval(h.ops, id, nil, "")
	require.Equal(t, "wrong_state", domain.CodeOf(err), "it has begun")
}

func (h house) digest(t *testing.T, id uuid.UUID) []byte {
	t.Helper()
	state, err := h.CampaignApproval(t.Context(), id)
	require.NoError(t, err)
	return state.Digest
}

func TestApprovalAbove(t *testing.T) {
	t.Parallel()
	h := approvals(t)
	h.set(t, "campaigns", `{"approval":{"above":3},"max_late":"2h","approval_ttl":"24h"}`)
	_, err := h.StartCampaign(t.Context(), h.draft(t, many(3, rw)...), nil)
	require.NoError(t, err)
	four := h.draft(t, many(4, rw)...)
	_, err = h.StartCampaign(t.Context(), four, nil)
	require.Equal(t, approval.Required, domain.CodeOf(err))
	_, err = h.RequestCampaignApproval(h.ops, h.draft(t, many(3, rw)...), nil, "")
	require.Equal(t, "no_approval_needed", domain.CodeOf(err))

	// It is asked when it begins: what the rule was when it was scheduled does not count.
	h.set(t, "campaigns", `{"approval":"never","max_late":"2h","approval_ttl":"24h"}`)
	_, err = h.StartCampaign(t.Context(), four, nil)
	require.NoError(t, err)
	h.set(t, "campaigns", `{"approval":"always","max_late":"2h","approval_ttl":"24h"}`)
	problem, err := h.Clear(t.Context(), store.Clearance{Campaign: four})
	require.NoError(t, err)
	require.Equal(t, "needs approval again: nobody has approved it", problem)
}

// The digest of an audience does not depend on the order in which it came, nor on how many imports it took.
func TestAnAudiencesDigestHasNoOrder(t *testing.T) {
	t.Parallel()
	h := approvals(t)
	digests := map[string]int{}
	for _, files := range [][]string{{rw(1) + "\n" + rw(2) + "\n" + mt(3)}, {mt(3) + "\n" + rw(2) + "\n" + rw(1)}, {mt(3), rw(1), rw(2) + "\n" + rw(1)}, {rw(1), rw(2)}} {
		id := h.draft(t)
		for _, f := range files {
			h.load(t, id, "msisdn\n"+f)
		}
		digests[query[string](t, h.bundle, `SELECT string_agg(k.country || a.digest, ' ' ORDER BY k.country)
			FROM audience_digests a JOIN cohorts k ON (k.campaign_id, k.id) = (a.campaign_id, a.cohort) WHERE a.campaign_id = $1`, id)]++
	}
	require.Len(t, digests, 2)
}
