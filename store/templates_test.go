package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
	"lastcall/domain/template"
	"lastcall/store"
)

// office is a store with people who write templates and people who review them.
type office struct {
	bundle
	ids                              map[string]uuid.UUID
	writer, writer2, reviewer, other context.Context
}

func templateOffice(t *testing.T) office {
	t.Helper()
	o := office{bundle: setup(t), ids: map[string]uuid.UUID{}}
	for _, a := range []struct {
		name, role string
		ctx        *context.Context
	}{{"writer", "admin", &o.writer}, {"writer2", "ops", &o.writer2}, {"reviewer", "compliance", &o.reviewer}, {"other", "compliance", &o.other}} {
		account, err := o.AddAccount(t.Context(), store.NewAccount{Email: a.name + "@example.test", Name: a.name, Role: a.role, Password: "a long password"})
		require.NoError(t, err)
		o.ids[a.name] = account.ID
		*a.ctx = audit.WithActor(t.Context(), account.Actor())
	}
	return o
}

func content(text string) store.TemplateContent {
	return store.TemplateContent{Category: template.Marketing, Variables: []template.Variable{{Name: "name", Example: "Amina", Default: "friend"}},
		Texts: map[string]string{"en": text}}
}

func (o office) draft(t *testing.T, name string) store.Template {
	t.Helper()
	made, err := o.CreateTemplate(o.writer, store.NewTemplate{Name: name, Content: content("Hello {{name}}, we are open.")})
	require.NoError(t, err)
	return made
}

func (o office) submitted(t *testing.T, name string) store.Template {
	t.Helper()
	made, err := o.SubmitTemplate(o.writer, o.draft(t, name).ID, nil, "please")
	require.NoError(t, err)
	return made
}

func (o office) approved(t *testing.T, name string) store.Template {
	t.Helper()
	s := o.submitted(t, name)
	a, err := o.ReviewTemplate(o.reviewer, s.ID, approval.Approved, "", s.Domain().Digest())
	require.NoError(t, err)
	return a
}

func (o office) role(t *testing.T, name, role string) {
	t.Helper()
	_, err := o.owner.Exec(t.Context(), `UPDATE accounts SET role = $2 WHERE id = $1`, o.ids[name], role)
	require.NoError(t, err)
}

func (o office) actions(t *testing.T, id uuid.UUID) []string {
	t.Helper()
	return query[[]string](t, o.bundle, `SELECT array_agg(action || coalesce(' ' || (diff->>'code'), '') ORDER BY id) FROM audit_log WHERE target = $1`, "template/"+id.String())
}

func TestATemplateIsWrittenReviewedAndLocked(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	d := o.draft(t, "jazz")
	require.Equal(t, template.Draft, d.Status)
	require.EqualValues(t, 1, d.Revision)

	s, err := o.SubmitTemplate(o.writer, d.ID, nil, "please")
	require.NoError(t, err)
	require.Equal(t, template.Submitted, s.Status)
	asked, err := o.ApprovalsAsked(o.reviewer, uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, asked, 1)
	require.NoError(t, asked[0].Refusal)
	require.False(t, asked[0].Changed)

	back, err := o.ReviewTemplate(o.reviewer, d.ID, approval.Rejected, "say which bar", s.Domain().Digest())
	require.NoError(t, err)
	require.Equal(t, template.Draft, back.Status)
	_, err = o.ReviewTemplate(o.reviewer, d.ID, approval.Approved, "", s.Domain().Digest())
	require.Equal(t, "wrong_state", domain.CodeOf(err), "a draft is not reviewed")

	e, err := o.EditTemplate(o.writer, d.ID, content("Hello {{name}}, Repub is open."), &back.Revision)
	require.NoError(t, err)
	s, err = o.SubmitTemplate(o.writer, d.ID, &e.Revision, "")
	require.NoError(t, err)
	a, err := o.ReviewTemplate(o.reviewer, d.ID, approval.Approved, "good", s.Domain().Digest())
	require.NoError(t, err)
	require.Equal(t, template.Approved, a.Status)
	require.NotNil(t, a.ApprovalID)
	l, err := o.LockTemplate(o.other, d.ID, &a.Revision, "for the season")
	require.NoError(t, err)
	require.Equal(t, template.Locked, l.Status)
	_, err = o.EditTemplate(o.writer, d.ID, content("Hello {{name}}, we are closed."), nil)
	require.Equal(t, "wrong_state", domain.CodeOf(err))
	require.Equal(t, []string{"template.created", "template.submitted", "approval.rejected", "template.refused wrong_state", "template.edited", "template.submitted",
		"approval.approved", "template.locked", "template.refused wrong_state"}, o.actions(t, d.ID))

	next, err := o.CreateTemplate(o.writer2, store.NewTemplate{From: d.ID})
	require.NoError(t, err)
	require.Equal(t, 2, next.Version)
	require.Equal(t, l.Texts, next.Texts)
	require.Equal(t, l.Variables, next.Variables)
	_, err = o.CreateTemplate(o.writer2, store.NewTemplate{From: d.ID})
	require.Equal(t, "version_being_written", domain.CodeOf(err))
	_, err = o.CreateTemplate(o.writer2, store.NewTemplate{Name: "promo_generic", Content: content("Hi {{name}}.")})
	require.Equal(t, "template_exists", domain.CodeOf(err))
}

// Whoever wrote any of a version, ever, or submitted it, does not decide about it, whatever their role has become.
func TestFourEyesOnTemplates(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	for _, c := range []struct {
		name    string
		prepare func(id uuid.UUID)
		who     string
	}{
		{"its first writer", func(id uuid.UUID) {
			_, err := o.EditTemplate(o.writer2, id, content("Dear {{name}}, we are open."), nil)
			require.NoError(t, err)
			_, err = o.SubmitTemplate(o.writer2, id, nil, "")
			require.NoError(t, err)
		}, "writer"},
		{"who submitted it", func(id uuid.UUID) {
			_, err := o.SubmitTemplate(o.writer2, id, nil, "")
			require.NoError(t, err)
		}, "writer2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := o.draft(t, "four_"+c.who)
			c.prepare(d.ID)
			now, err := o.Template(t.Context(), d.ID)
			require.NoError(t, err)
			role := map[string]string{"writer": "admin", "writer2": "ops"}[c.who]
			o.role(t, c.who, "compliance")
			defer o.role(t, c.who, role)
			as := map[string]context.Context{"writer": o.writer, "writer2": o.writer2}[c.who]
			_, err = o.ReviewTemplate(as, d.ID, approval.Approved, "", now.Domain().Digest())
			require.Equal(t, approval.Own, domain.CodeOf(err))
			asked, err := o.ApprovalsAsked(as, uuid.Nil, 10)
			require.NoError(t, err)
			require.Equal(t, approval.Own, domain.CodeOf(asked[0].Refusal))
			require.Contains(t, o.actions(t, d.ID), "approval.refused approval_own")

			_, err = o.ReviewTemplate(o.reviewer, d.ID, approval.Approved, "", now.Domain().Digest())
			require.NoError(t, err)
			_, err = o.LockTemplate(as, d.ID, nil, "")
			require.Equal(t, approval.Own, domain.CodeOf(err), "nor locks it")

			_, err = o.owner.Exec(t.Context(), `INSERT INTO approvals (id, subject_kind, subject_id, digest, verdict, actor_id, actor_role)
				VALUES (gen_random_uuid(), 'template', $1, sha256('x'), 'approved', $2, 'compliance')`, d.ID.String(), o.ids[c.who])
			require.ErrorContains(t, err, "they have written", "not even past the code")
		})
	}
	s := o.submitted(t, "roles")
	_, err := o.ReviewTemplate(o.writer2, s.ID, approval.Approved, "", s.Domain().Digest())
	require.Equal(t, approval.WrongRole, domain.CodeOf(err))
	_, err = o.ReviewTemplate(t.Context(), s.ID, approval.Approved, "", s.Domain().Digest())
	require.Equal(t, approval.NoAccount, domain.CodeOf(err))
	_, err = o.ReviewTemplate(o.reviewer, s.ID, approval.Rejected, "", s.Domain().Digest())
	require.Equal(t, "no_reason", domain.CodeOf(err))
	_, err = o.SubmitTemplate(t.Context(), o.draft(t, "tokens").ID, nil, "")
	require.Equal(t, approval.NoAccount, domain.CodeOf(err), "a token submits nothing")
}

func TestAnEditMakesAnApprovalVoid(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	a := o.approved(t, "jazz")
	same, err := o.EditTemplate(o.writer, a.ID, content("Hello {{name}}, we are open."), nil)
	require.NoError(t, err)
	require.Equal(t, template.Approved, same.Status, "nothing was changed")
	require.Equal(t, a.Revision, same.Revision)

	e, err := o.EditTemplate(o.writer, a.ID, content("Hello {{name}}, we are closed."), &a.Revision)
	require.NoError(t, err)
	require.Equal(t, template.Draft, e.Status)
	require.Nil(t, e.ApprovalID)
	require.Equal(t, "changed", query[string](t, o.bundle, `SELECT void_reason FROM approvals WHERE id = $1`, a.ApprovalID))
	_, err = o.LockTemplate(o.reviewer, a.ID, nil, "")
	require.Equal(t, "wrong_state", domain.CodeOf(err))
	_, err = o.EditTemplate(o.writer, a.ID, content("Hello {{name}}, we are moving."), &a.Revision)
	require.Equal(t, "template_changed", domain.CodeOf(err))

	// What is changed after it was submitted is asked about no more, and what was seen is not what is approved.
	s, err := o.SubmitTemplate(o.writer, a.ID, nil, "")
	require.NoError(t, err)
	e, err = o.EditTemplate(o.writer, a.ID, content("Hello {{name}}, we are gone."), nil)
	require.NoError(t, err)
	require.Equal(t, template.Draft, e.Status)
	_, err = o.SubmitTemplate(o.writer, a.ID, nil, "")
	require.NoError(t, err)
	_, err = o.ReviewTemplate(o.reviewer, a.ID, approval.Approved, "", s.Domain().Digest())
	require.Equal(t, approval.Changed, domain.CodeOf(err))
}

// Who edits and who approves at the same time: either the approval is of what was edited before, and void, or it is refused.
func TestAnEditRacesAnApproval(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	for i := range 8 {
		s := o.submitted(t, "race_"+string(rune('a'+i)))
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := o.ReviewTemplate(o.reviewer, s.ID, approval.Approved, "", s.Domain().Digest()); err != nil {
				require.Equal(t, "wrong_state", domain.CodeOf(err))
			}
		})
		both.Go(func() {
			_, err := o.EditTemplate(o.writer, s.ID, content("Hello {{name}}, something else."), nil)
			require.NoError(t, err)
		})
		both.Wait()
		now, err := o.Template(t.Context(), s.ID)
		require.NoError(t, err)
		require.Equal(t, template.Draft, now.Status)
		require.Zero(t, query[int64](t, o.bundle, `SELECT count(*) FROM approvals WHERE subject_id = $1 AND voided_at IS NULL`, s.ID.String()))
	}
}

// What is locked stays so, also for a statement of whoever got hold of the application's role.
func TestTheDatabaseKeepsLockedTemplates(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	a := o.approved(t, "jazz")
	s := o.submitted(t, "soul")
	_, err := o.LockTemplate(o.reviewer, a.ID, nil, "")
	require.NoError(t, err)
	app, err := pgx.Connect(t.Context(), o.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = app.Close(context.Background()) })
	_, err = app.Exec(t.Context(), `SET ROLE lastcall_app`)
	require.NoError(t, err)
	for _, set := range []string{`texts = '{"en": "Buy!"}'`, `variables = '[]'`, `category = 'utility'`, `headers = '{"en": "x"}'`, `footers = '{"en": "x"}'`,
		`header_media = '1'`, `status = 'draft'`, `status = 'approved'`, `version = 9`, `name = 'other'`, `texts = '{"en": "Buy!"}', status = 'draft'`} {
		_, err := app.Exec(t.Context(), `UPDATE templates SET `+set+` WHERE id = $1`, a.ID)
		require.ErrorContains(t, err, "42501", set)
	}
	_, err = app.Exec(t.Context(), `UPDATE templates SET texts = '{"en": "Buy!"}' WHERE id = $1`, a.ID)
	require.ErrorContains(t, err, "a locked template cannot be changed")
	_, err = app.Exec(t.Context(), `DELETE FROM templates WHERE id = $1`, a.ID)
	require.ErrorContains(t, err, "42501")
	_, err = app.Exec(t.Context(), `UPDATE templates SET status = 'approved' WHERE id = $1`, s.ID)
	require.ErrorContains(t, err, "nobody has approved")
	_, err = app.Exec(t.Context(), `UPDATE templates SET status = 'approved', approval_id = $2 WHERE id = $1`, s.ID, a.ApprovalID)
	require.ErrorContains(t, err, "nobody has approved", "another's approval is none")
	_, err = app.Exec(t.Context(), `UPDATE templates SET texts = '{"en": "Buy!"}' WHERE id = $1`, s.ID)
	require.ErrorContains(t, err, "is a draft")
	_, err = app.Exec(t.Context(), `UPDATE templates SET status = 'locked' WHERE id = $1`, s.ID)
	require.ErrorContains(t, err, "cannot become")
	_, err = app.Exec(t.Context(), `INSERT INTO templates (id, name, version, category, status, texts, variables)
		SELECT gen_random_uuid(), name, version + 1, category, 'locked', '{"en": "Buy!"}', '[]' FROM templates WHERE id = $1`, a.ID)
	require.ErrorContains(t, err, "begins as a draft")
}

func TestWhatWasSentStaysAndARetiredTemplateHoldsCampaigns(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	a := o.approved(t, "jazz")
	c, err := o.CreateCampaign(o.writer, store.NewCampaign{Name: "x", TemplateID: a.ID})
	require.NoError(t, err)
	o.load(t, c.ID, "msisdn\n"+rw(1)+"\n"+rw(2))
	_, err = o.StartCampaign(o.writer, c.ID, nil)
	require.NoError(t, err)
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		require.NoError(t, o.Advance(t.Context(), c.ID, to, ""))
	}
	lane := store.Lane{Campaign: c.ID, Run: "run", Batch: 1, Fence: 1}
	_, err = o.TakeLane(t.Context(), lane)
	require.NoError(t, err)

	_, err = o.EditTemplate(o.writer, a.ID, content("Hello {{name}}, we are closed."), nil)
	require.Equal(t, "template_in_use", domain.CodeOf(err))
	require.Len(t, o.claim(t, lane, 1).Targets, 1)

	_, err = o.RetireTemplate(o.reviewer, a.ID, nil, "over", false)
	require.Equal(t, "template_in_use", domain.CodeOf(err))
	r, err := o.RetireTemplate(o.reviewer, a.ID, nil, "over", true)
	require.NoError(t, err)
	require.Equal(t, template.Retired, r.Status)
	claim := o.claim(t, lane, 1)
	require.Empty(t, claim.Targets)
	require.Len(t, claim.Waits, 1)
	require.Equal(t, policy.TemplateSuspended, claim.Waits[0].Reason)
	require.Contains(t, claim.Waits[0].Why, "version 1 of template jazz is retired")
	require.True(t, claim.Waits[0].NeedsHuman)
	require.Positive(t, query[int64](t, o.bundle, `SELECT count(*) FROM outbox WHERE kind = $1 AND key = $2`, store.KindSettingsChanged, "campaign/"+c.ID.String()))
	_, err = o.RetireTemplate(o.reviewer, a.ID, nil, "again", true)
	require.Equal(t, "wrong_state", domain.CodeOf(err))

	d, err := o.CreateCampaign(o.writer, store.NewCampaign{Name: "y", TemplateID: a.ID})
	require.NoError(t, err)
	o.load(t, d.ID, "msisdn\n"+rw(3))
	_, err = o.StartCampaign(o.writer, d.ID, nil)
	require.Equal(t, "template_not_approved", domain.CodeOf(err))
}

// A campaign that starts while its template is retired, unconfirmed, either does not start or keeps it in use.
func TestAStartRacesRetiring(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	for i := range 6 {
		a := o.approved(t, "race_"+string(rune('a'+i)))
		c, err := o.CreateCampaign(o.writer, store.NewCampaign{Name: "x", TemplateID: a.ID})
		require.NoError(t, err)
		o.load(t, c.ID, "msisdn\n"+rw(1))
		var started, retired error
		var both sync.WaitGroup
		both.Go(func() { _, started = o.StartCampaign(o.writer, c.ID, nil) })
		both.Go(func() { _, retired = o.RetireTemplate(o.reviewer, a.ID, nil, "over", false) })
		both.Wait()
		require.NotEqual(t, started == nil, retired == nil, "start: %v; retire: %v", started, retired)
	}
}

func TestCreatingATemplateTwiceMakesOne(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	n := store.NewTemplate{Name: "jazz", Content: content("Hello {{name}}, we are open."), IdempotencyKey: "k", RequestHash: []byte("a")}
	made := make([]store.Template, 4)
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() {
			var err error
			made[i], err = o.CreateTemplate(o.writer, n)
			require.NoError(t, err)
		})
	}
	all.Wait()
	for _, m := range made {
		require.Equal(t, made[0].ID, m.ID)
	}
	n.RequestHash = []byte("b")
	_, err := o.CreateTemplate(o.writer, n)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
}

func TestSyncFindsWhatNoWebhookTold(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	a := o.approved(t, "jazz")
	now := time.Now().UTC()
	require.NoError(t, o.SyncTemplate(o.writer, a.ID, []store.ListedTemplate{{Language: "en", Status: "PAUSED", Category: "utility", State: delivery.TemplatePaused}}, now))
	held, err := o.SuspendedTemplates(t.Context())
	require.NoError(t, err)
	require.Len(t, held, 1)
	require.Equal(t, "sync", held[0].Source)
	r, err := o.TemplateReview(o.writer, a.ID)
	require.NoError(t, err)
	require.Len(t, r.Listings, 1)
	require.True(t, store.CategoryDiffers(r.Template, r.Listings[0]), "we say marketing")
	require.NoError(t, o.SyncTemplate(o.writer, a.ID, []store.ListedTemplate{{Language: "en", Status: "PENDING"}}, now.Add(time.Second)))
	held, err = o.SuspendedTemplates(t.Context())
	require.NoError(t, err)
	require.Len(t, held, 1, "that word says nothing about sending")
	require.NoError(t, o.SyncTemplate(o.writer, a.ID, []store.ListedTemplate{{Language: "en", Status: "APPROVED", State: delivery.TemplateActive}}, now.Add(-time.Minute)))
	held, err = o.SuspendedTemplates(t.Context())
	require.NoError(t, err)
	require.Len(t, held, 1, "an answer that a webhook has overtaken")
	require.NoError(t, o.SyncTemplate(o.writer, a.ID, []store.ListedTemplate{{Language: "en", Status: "APPROVED", Category: "marketing", State: delivery.TemplateActive}}, now.Add(time.Minute)))
	held, err = o.SuspendedTemplates(t.Context())
	require.NoError(t, err)
	require.Empty(t, held)
}

func TestReceiptsOfTests(t *testing.T) {
	t.Parallel()
	o := templateOffice(t)
	a := o.approved(t, "jazz")
	id := uuid.Must(uuid.NewV7())
	require.NoError(t, o.AddTemplateTest(o.writer, store.NewTemplateTest{ID: id, Template: a, Locale: "en", To: msisdn(rw(1)), Decision: policy.Decision{Permitted: true}}))
	state := func() string {
		test, err := o.TemplateTest(t.Context(), id)
		require.NoError(t, err)
		return test.State
	}
	require.Equal(t, "sending", state())
	apply := func(s campaign.TargetState) {
		require.NoError(t, store.ApplyTestReceipts(t.Context(), o.Store, store.TestReceipt{ID: id, State: s, At: time.Now()}))
	}
	apply(campaign.Delivered)
	require.NoError(t, o.SettleTemplateTest(t.Context(), id, campaign.Unknown, "no_answer", 0))
	require.Equal(t, "delivered", state(), "the receipt was quicker than the answer")
	apply(campaign.Sent)
	require.Equal(t, "delivered", state())
	apply(campaign.Read)
	require.Equal(t, "read", state())

	_, err := o.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(2))}, store.OptOutRegistry, "")
	require.NoError(t, err)
	err = o.AddTemplateTest(o.writer, store.NewTemplateTest{ID: uuid.New(), Template: a, Locale: "en", To: msisdn(rw(2)), Decision: policy.Decision{Permitted: true}})
	require.Equal(t, "opted_out", domain.CodeOf(err))
	require.Zero(t, query[int64](t, o.bundle, `SELECT count(*) FROM audit_log WHERE position('25078' IN coalesce(diff::text, '')) > 0`))
}
