package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/template"
	"lastcall/store"
)

func TestDraftChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: "account", Name: "odile"})
	for _, each := range []template.Template{
		{Name: "doors", Texts: map[string]string{"en": "{{bar}} opens at {{hour}}"}, Variables: []template.Variable{{Name: "bar", Example: "Repub"}, {Name: "hour", Default: "nine"}}},
		{Name: "music", Texts: map[string]string{"en": "Jazz at {{bar}}"}, Variables: []template.Variable{{Name: "bar", Example: "Repub"}}},
	} {
		each.Version, each.Category, each.Status = 1, template.Marketing, template.Approved
		_, err := b.EnsureTemplate(ctx, each)
		require.NoError(t, err)
	}
	doors, err := b.NewestTemplate(ctx, "doors")
	require.NoError(t, err)
	music, err := b.NewestTemplate(ctx, "music")
	require.NoError(t, err)
	c, err := b.CreateCampaign(ctx, store.NewCampaign{Name: "Fridy", TemplateID: doors.ID})
	require.NoError(t, err)
	change := func(to store.CampaignChange) error { return b.ChangeCampaign(ctx, c.ID, to) }
	now := func() store.Progress {
		p, err := b.Progress(ctx, c.ID)
		require.NoError(t, err)
		return p
	}

	name := "Friday"
	require.NoError(t, change(store.CampaignChange{Name: &name, Variables: map[string]string{"bar": "Repub", "hour": "ten"}, Reason: "typo"}))
	require.Equal(t, `odile typo {"name": ["Fridy", "Friday"], "variables": [{}, {"bar": "Repub", "hour": "ten"}]}`, query[string](t, b,
		`SELECT actor || ' ' || reason || ' ' || diff FROM audit_log WHERE action = 'campaign.changed'`))
	require.NoError(t, change(store.CampaignChange{Name: &name}))
	require.Equal(t, 1, query[int](t, b, `SELECT count(*) FROM audit_log WHERE action = 'campaign.changed'`), "the same again is no change")

	require.NoError(t, change(store.CampaignChange{TemplateID: &music.ID}))
	require.Equal(t, "music", now().Template)
	require.Equal(t, map[string]string{"bar": "Repub"}, now().Variables, "what the other template does not have is gone")
	require.Equal(t, "unknown_variable", domain.CodeOf(change(store.CampaignChange{Variables: map[string]string{"hour": "ten"}})))
	require.Equal(t, "unknown_variable", domain.CodeOf(change(store.CampaignChange{TemplateID: &music.ID, Variables: map[string]string{"hour": "ten"}})))
	other := uuid.New()
	require.Equal(t, domain.NotFound, domain.KindOf(change(store.CampaignChange{TemplateID: &other})))
	require.Equal(t, domain.NotFound, domain.KindOf(b.ChangeCampaign(ctx, other, store.CampaignChange{Name: &name})))

	// An audience that is on its way in is read with what there is.
	upload, err := b.StartUpload(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, "import_running", domain.CodeOf(change(store.CampaignChange{TemplateID: &doors.ID})))
	require.Equal(t, "import_running", domain.CodeOf(change(store.CampaignChange{Variables: map[string]string{}})))
	_, err = b.CancelImport(ctx, upload.ID, "")
	require.NoError(t, err)

	_, err = b.Import(ctx, c.ID, reader(t, "msisdn\n"+rw(1)+"\n"))
	require.NoError(t, err)
	require.Equal(t, "has_audience", domain.CodeOf(change(store.CampaignChange{TemplateID: &doors.ID})))
	require.Equal(t, "has_audience", domain.CodeOf(change(store.CampaignChange{Variables: map[string]string{}})))
	require.NoError(t, change(store.CampaignChange{TemplateID: &music.ID, Variables: map[string]string{"bar": "Hugo's"}}))
	require.Equal(t, map[string]string{"bar": "Hugo's"}, now().Variables)

	_, err = b.StartCampaign(ctx, c.ID, nil)
	require.NoError(t, err)
	require.Equal(t, "wrong_state", domain.CodeOf(change(store.CampaignChange{Name: &name})))
	weight := 4
	require.Equal(t, "wrong_state", domain.CodeOf(change(store.CampaignChange{Name: &name, Weight: &weight})))
	require.Equal(t, 1, now().Weight, "all or nothing")
}
