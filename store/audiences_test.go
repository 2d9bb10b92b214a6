package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/contact"
	"lastcall/domain/template"
	"lastcall/store"
)

// guests fills contacts that somebody else added, without hashes, and two bars.
func (b bundle) guests(t *testing.T) {
	t.Helper()
	_, err := b.owner.Exec(t.Context(), `INSERT INTO bars (id, code, name, country) VALUES
			('00000000-0000-0000-0000-00000000000a', 'ENG-001', 'Engine', 'RW'), ('00000000-0000-0000-0000-00000000000b', 'VAL-001', 'Vault', 'MT');
		INSERT INTO contacts (id, msisdn, name, country, locale, zone, tags, bar_id, opted_in_at, opt_in_source) VALUES
			(gen_random_uuid(), '+250780000001', 'Amina', 'RW', 'rw-RW', '', '{regular,vip}', '00000000-0000-0000-0000-00000000000a', now(), 'card'),
			(gen_random_uuid(), '+250780000002', '', 'RW', 'en-RW', '', '{regular}', '00000000-0000-0000-0000-00000000000a', NULL, ''),
			(gen_random_uuid(), '+250780000003', 'Claude', 'RW', '', 'Europe/Malta', '{}', NULL, NULL, ''),
			(gen_random_uuid(), '+35679000004', 'Pawlu', 'MT', 'mt-MT', '', '{vip}', '00000000-0000-0000-0000-00000000000b', NULL, ''),
			(gen_random_uuid(), '+12125550105', 'Eve', 'US', 'en-US', '', '{}', NULL, NULL, '')`)
	require.NoError(t, err)
}

func TestAudienceFromContacts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.guests(t)
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(2))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	amina, claude, pawlu, eve := rw(1), rw(3), "+35679000004", "+12125550105"
	for name, tt := range map[string]struct {
		filter audience.Filter
		want   []string
	}{
		"a tag":              {audience.Filter{Tags: []string{"vip"}}, []string{amina, pawlu}},
		"one of two tags":    {audience.Filter{Tags: []string{"regular", "vip"}}, []string{amina, rw(2), pawlu}},
		"both tags":          {audience.Filter{Tags: []string{"regular", "vip"}, TagsMatch: audience.MatchAll}, []string{amina}},
		"a bar":              {audience.Filter{Bars: []string{"ENG-001"}}, []string{amina, rw(2)}},
		"two bars":           {audience.Filter{Bars: []string{"ENG-001", "VAL-001"}}, []string{amina, rw(2), pawlu}},
		"a country":          {audience.Filter{Countries: []string{"RW"}}, []string{amina, rw(2), claude}},
		"a locale":           {audience.Filter{Locales: []string{"rw-RW", "en-US"}}, []string{eve, amina}},
		"a tag in a country": {audience.Filter{Tags: []string{"vip"}, Countries: []string{"MT"}}, []string{pawlu}},
		"nobody":             {audience.Filter{Tags: []string{"vip"}, Locales: []string{"en-US"}}, nil},
	} {
		id := b.draft(t)
		n, err := b.CountAudience(t.Context(), id, tt.filter)
		require.NoError(t, err, name)
		require.EqualValues(t, len(tt.want), n.Targets, name)
		imp, err := b.AddAudience(t.Context(), id, tt.filter)
		require.NoError(t, err, name)
		require.EqualValues(t, []int64{int64(len(tt.want)), 0, 0, int64(len(tt.want))}, []int64{imp.Lines, imp.Invalid, imp.Duplicates, imp.Targets}, name)
		require.ElementsMatch(t, tt.want, b.numbers(t, id), name)
	}
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM contacts WHERE msisdn_hash IS NULL`))
}

func TestAudienceIsAddedAsAnImportIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.guests(t)
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(2))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	id := b.draft(t, rw(1))
	all := audience.Filter{Countries: []string{"MT", "RW", "US"}}
	n, err := b.CountAudience(t.Context(), id, all)
	require.NoError(t, err)
	require.Equal(t, store.AudienceCount{Contacts: 5, Duplicates: 1, Targets: 4, OptedOut: 1, NoConsent: 4}, n)
	imp, err := b.AddAudience(t.Context(), id, all)
	require.NoError(t, err)
	require.Equal(t, store.SourceContacts, imp.Source)
	require.Equal(t, audience.Done, imp.Phase)
	require.EqualValues(t, []int64{5, 0, 1, 4}, []int64{imp.Lines, imp.Invalid, imp.Duplicates, imp.Targets})
	require.Equal(t, "+12125550105  en-US Eve|+250780000002 Africa/Kigali en-RW -|+250780000003 Europe/Malta  Claude|+35679000004 Europe/Malta mt-MT Pawlu",
		query[string](t, b, `SELECT string_agg(concat_ws(' ', msisdn, zone, locale, coalesce(variables->>'name', '-')), '|' ORDER BY t.id)
			FROM targets t JOIN cohorts k ON k.campaign_id = t.campaign_id AND k.id = t.cohort WHERE t.campaign_id = $1 AND msisdn <> $2`, id, rw(1)))
	require.JSONEq(t, `{"countries":["MT","RW","US"]}`, query[string](t, b, `SELECT diff->>'filter' FROM audit_log WHERE action = 'campaign.imported' ORDER BY id DESC LIMIT 1`))
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, p.Lines, p.Invalid+p.Duplicates+p.Counts.Targets)

	_, err = b.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	for _, to := range []string{"preflight", "running"} {
		_, err = b.owner.Exec(t.Context(), `UPDATE campaigns SET status = $2, cleared_at = clock_timestamp() WHERE id = $1`, id, to)
		require.NoError(t, err)
	}
	lane := store.Lane{Campaign: id, Run: "run", Batch: 1, Fence: 1}
	_, err = b.TakeLane(t.Context(), lane)
	require.NoError(t, err)
	require.Equal(t, 1, b.claim(t, lane, 100).OptedOut, "the hash of a contact is the registry's")
	_, err = b.AddAudience(t.Context(), id, all)
	require.Equal(t, "wrong_state", domain.CodeOf(err))
}

func TestAudienceWhoseTemplateNeedsMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.guests(t)
	draft := func(name string, variables map[string]string, declared ...template.Variable) uuid.UUID {
		text := "Hello"
		for _, v := range declared {
			text += " {{" + v.Name + "}}"
		}
		_, err := b.EnsureTemplate(t.Context(), template.Template{Name: name, Version: 1, Category: template.Utility, Status: template.Approved,
			Texts: map[string]string{"en": text}, Variables: declared})
		require.NoError(t, err)
		made, err := b.NewestTemplate(t.Context(), name)
		require.NoError(t, err)
		c, err := b.CreateCampaign(t.Context(), store.NewCampaign{Name: name, TemplateID: made.ID, Variables: variables})
		require.NoError(t, err)
		return c.ID
	}
	rwanda := audience.Filter{Countries: []string{"RW"}}

	id := draft("named", nil, template.Variable{Name: "name"})
	n, err := b.CountAudience(t.Context(), id, rwanda)
	require.NoError(t, err)
	require.Equal(t, store.AudienceCount{Contacts: 3, Invalid: 1, Targets: 2}, n, "who has no name cannot be greeted, and a receipt needs no consent")
	imp, err := b.AddAudience(t.Context(), id, rwanda)
	require.NoError(t, err)
	require.EqualValues(t, []int64{3, 1, 2}, []int64{imp.Lines, imp.Invalid, imp.Targets})

	id = draft("fixed", map[string]string{"name": "friend", "drink": "tea"}, template.Variable{Name: "name"}, template.Variable{Name: "drink"})
	imp, err = b.AddAudience(t.Context(), id, rwanda)
	require.NoError(t, err)
	require.EqualValues(t, 3, imp.Targets)
	require.EqualValues(t, 3, query[int64](t, b, `SELECT count(*) FROM targets WHERE campaign_id = $1 AND variables = '{"name":"friend","drink":"tea"}'`, id))

	_, err = b.AddAudience(t.Context(), draft("wanting", nil, template.Variable{Name: "drink"}), rwanda)
	require.Equal(t, "missing_variable", domain.CodeOf(err))
	_, err = b.AddAudience(t.Context(), id, audience.Filter{Bars: []string{"ENG-001", "NOWHERE"}})
	require.Equal(t, "unknown_bar", domain.CodeOf(err))
	_, err = b.CountAudience(t.Context(), id, audience.Filter{})
	require.Equal(t, "empty_filter", domain.CodeOf(err))
	_, err = b.CountAudience(t.Context(), uuid.New(), rwanda)
	require.Equal(t, "campaign_not_found", domain.CodeOf(err))
}

func TestANewNumberForgetsTheOldOnesHash(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, err := b.AddContact(t.Context(), store.Contact{MSISDN: msisdn(rw(1)), Country: "RW"})
	require.NoError(t, err)
	require.Equal(t, b.Pepper().Hash(msisdn(rw(1))), query[[]byte](t, b, `SELECT msisdn_hash FROM contacts WHERE id = $1`, c.ID))
	_, err = b.owner.Exec(t.Context(), `UPDATE contacts SET msisdn = '+250780000002' WHERE id = $1`, c.ID)
	require.NoError(t, err)
	_, err = b.CountAudience(t.Context(), b.draft(t), audience.Filter{Countries: []string{"RW"}})
	require.NoError(t, err)
	require.Equal(t, b.Pepper().Hash(msisdn(rw(2))), query[[]byte](t, b, `SELECT msisdn_hash FROM contacts WHERE id = $1`, c.ID))
}

func TestFacets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f, err := b.Facets(t.Context())
	require.NoError(t, err)
	require.Equal(t, store.Facets{Tags: []store.Facet{}, Bars: []store.Facet{}, Countries: []store.Facet{}, Locales: []store.Facet{}}, f)
	b.guests(t)
	f, err = b.Facets(t.Context())
	require.NoError(t, err)
	require.Equal(t, store.Facets{Contacts: 5,
		Tags:      []store.Facet{{Value: "regular", Contacts: 2}, {Value: "vip", Contacts: 2}},
		Bars:      []store.Facet{{Value: "ENG-001", Name: "Engine", Contacts: 2}, {Value: "VAL-001", Name: "Vault", Contacts: 1}},
		Countries: []store.Facet{{Value: "RW", Contacts: 3}, {Value: "MT", Contacts: 1}, {Value: "US", Contacts: 1}},
		Locales:   []store.Facet{{Value: "en-RW", Contacts: 1}, {Value: "en-US", Contacts: 1}, {Value: "mt-MT", Contacts: 1}, {Value: "rw-RW", Contacts: 1}},
	}, f)
}
