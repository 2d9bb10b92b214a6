package store_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/store"
)

func contactReader(t *testing.T, from io.Reader, change ...func(*audience.ContactOptions)) *audience.ContactReader {
	t.Helper()
	var o audience.ContactOptions
	for _, c := range change {
		c(&o)
	}
	r, err := audience.NewContactReader(from, o)
	require.NoError(t, err)
	return r
}

// pausing is a file that stops after its first bytes until it is told to go on.
type pausing struct {
	text    io.Reader
	reading chan<- struct{}
	goOn    <-chan struct{}
	n       int
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.n++; p.n == 2 {
		close(p.reading)
		<-p.goOn
	}
	return p.text.Read(b[:min(len(b), 7)]) // the header, not all of it
}

func (b bundle) contacts(t *testing.T, f store.ContactFilter) (names []string) {
	t.Helper()
	all, err := b.Contacts(t.Context(), f, "", 100)
	require.NoError(t, err)
	for _, c := range all {
		names = append(names, c.Name)
	}
	return names
}

func TestContactsAreFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `INSERT INTO bars (id, code, name, country) VALUES (gen_random_uuid(), 'KGL', 'Kigali', 'RW')`)
	_, err := b.ImportContacts(t.Context(), contactReader(t, strings.NewReader("msisdn,name,locale,tags,bar,opt_in_source\n"+
		rw(1)+",Amina,rw-RW,vip;jazz,KGL,card\n"+rw(2)+",amIR,rw-RW,jazz,,card\n"+mt(1)+",Pawlu,en-MT,,,\n"+mt(2)+",100%,en-MT,,,\n")), false)
	require.NoError(t, err)
	amir, err := b.ContactOf(t.Context(), msisdn(rw(2)))
	require.NoError(t, err)
	_, err = b.RecordConsent(t.Context(), amir.ID, store.Consent{Reference: "told the barman"})
	require.NoError(t, err)
	_, err = b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(mt(1))}, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	yes, no := true, false
	for _, c := range []struct {
		filter store.ContactFilter
		want   []string
	}{
		{store.ContactFilter{}, []string{"Amina", "amIR", "Pawlu", "100%"}},
		{store.ContactFilter{Name: "AMi"}, []string{"Amina", "amIR"}},
		{store.ContactFilter{Name: "mina"}, nil},
		{store.ContactFilter{Name: "%"}, nil},
		{store.ContactFilter{Name: "100%"}, []string{"100%"}},
		{store.ContactFilter{MSISDN: msisdn(mt(1))}, []string{"Pawlu"}},
		{store.ContactFilter{Tag: "jazz"}, []string{"Amina", "amIR"}},
		{store.ContactFilter{Tag: "jazz", Bar: "KGL"}, []string{"Amina"}},
		{store.ContactFilter{Bar: "NOPE"}, nil},
		{store.ContactFilter{Locale: "en-MT", Country: "MT"}, []string{"Pawlu", "100%"}},
		{store.ContactFilter{Consent: store.ConsentAgreed}, []string{"Amina"}},
		{store.ContactFilter{Consent: store.ConsentWithdrawn}, []string{"amIR"}},
		{store.ContactFilter{Consent: store.ConsentNone}, []string{"Pawlu", "100%"}},
		{store.ContactFilter{OptedOut: &yes}, []string{"Pawlu"}},
		{store.ContactFilter{OptedOut: &no, Country: "MT"}, []string{"100%"}},
	} {
		require.Equal(t, c.want, b.contacts(t, c.filter), "%+v", c.filter)
	}
}

func TestContactsChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `INSERT INTO bars (id, code, name, country, deleted_at) VALUES (gen_random_uuid(), 'KGL', 'Kigali', 'RW', NULL), (gen_random_uuid(), 'OLD', 'Old', 'RW', now())`)
	c := b.optIn(t, rw(1))
	name, locale, bar, old := "Amina", "rw-RW", "KGL", "OLD"
	changed, err := b.ChangeContact(t.Context(), c.ID, store.ContactChange{Name: &name, Locale: &locale, Bar: &bar, Tags: &[]string{"vip"}, Known: &c.UpdatedAt})
	require.NoError(t, err)
	require.Equal(t, []string{"Amina", "rw-RW", "KGL", "Kigali", "vip"}, []string{changed.Name, changed.Locale, changed.BarCode, changed.BarName, changed.Tags[0]})
	require.Equal(t, c.OptedInAt, changed.OptedInAt)
	require.NotContains(t, query[string](t, b, `SELECT diff::text FROM audit_log WHERE action = 'contact.changed'`), "Amina")
	_, err = b.ChangeContact(t.Context(), c.ID, store.ContactChange{Name: &locale, Known: &c.UpdatedAt})
	require.Equal(t, domain.Stale, domain.KindOf(err))
	_, err = b.ChangeContact(t.Context(), c.ID, store.ContactChange{Bar: &old})
	require.Equal(t, "unknown_bar", domain.CodeOf(err))
	_, err = b.ChangeContact(t.Context(), uuid.New(), store.ContactChange{Name: &name})
	require.Equal(t, domain.NotFound, domain.KindOf(err))
}

// Whatever is recorded, in whatever order, the contact says what the newest word does.
func TestConsentFollowsItsHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.optIn(t, rw(1))
	day := func(n int) time.Time {
		return time.Now().Add(time.Duration(n-10) * 24 * time.Hour).Truncate(time.Microsecond).UTC()
	}
	_, err := b.owner.Exec(t.Context(), `UPDATE contact_consents SET at = $1`, day(1))
	require.NoError(t, err)
	for _, step := range []struct {
		granted bool
		at      time.Time
		agreed  bool
	}{{false, day(5), false}, {true, day(3), false}, {true, day(6), true}, {false, day(2), true}, {false, day(6), false}, {true, day(6), true}} {
		after, err := b.RecordConsent(t.Context(), c.ID, store.Consent{At: step.at, Granted: step.granted, Reference: "said so"})
		require.NoError(t, err)
		require.Equal(t, step.agreed, after.OptedInAt != nil, "%+v", step)
	}
	const agree = `SELECT count(*) FROM contacts c LEFT JOIN LATERAL (SELECT * FROM contact_consents h WHERE h.contact_id = c.id ORDER BY at DESC, id DESC LIMIT 1) n ON true
		WHERE (c.opted_in_at, c.opt_in_source) IS DISTINCT FROM (CASE WHEN n.granted THEN n.at END, CASE WHEN n.granted THEN n.reference ELSE '' END)`
	require.Zero(t, query[int](t, b, agree))
	_, err = b.RecordConsent(t.Context(), c.ID, store.Consent{At: time.Now().Add(time.Hour), Granted: true, Reference: "soon"})
	require.Equal(t, "in_the_future", domain.CodeOf(err))
	b.exec(t, `SET ROLE lastcall_app`)
	for _, sql := range []string{`UPDATE contacts SET opted_in_at = now(), opt_in_source = 'x'`, `UPDATE contact_consents SET granted = true`, `DELETE FROM contact_consents`} {
		_, err = b.owner.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "permission denied", sql)
	}
	b.exec(t, `RESET ROLE`)
	page, err := b.Consents(t.Context(), c.ID, store.Consent{}, 3)
	require.NoError(t, err)
	rest, err := b.Consents(t.Context(), c.ID, page[2], 10)
	require.NoError(t, err)
	require.Len(t, append(page, rest...), 7)
	require.Equal(t, []string{"api", "system", "lastcall"}, []string{page[0].Source, page[0].ActorKind, page[0].Actor})
}

func TestContactMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.optIn(t, rw(1))
	var campaigns []uuid.UUID
	for range 3 {
		id, lane := b.running(t, rw(1), rw(2))
		campaigns = append(campaigns, id)
		claim := b.claim(t, lane, 1)
		_, err := b.Record(t.Context(), lane, []store.Result{{Target: claim.Targets[0].ID, State: campaign.FailedT, ErrorCode: 131026, Reason: "provider_refused"}})
		require.NoError(t, err)
	}
	b.draft(t, rw(2))
	first, err := b.ContactMessages(t.Context(), c.ID, uuid.Nil, 2)
	require.NoError(t, err)
	require.Len(t, first, 2)
	require.Equal(t, []any{campaigns[2], "failed", "provider_refused", 131026}, []any{first[0].CampaignID, first[0].State, first[0].Reason, first[0].ErrorCode})
	rest, err := b.ContactMessages(t.Context(), c.ID, first[1].CampaignID, 2)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Equal(t, campaigns[0], rest[0].CampaignID)
}

func TestContactImport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `INSERT INTO bars (id, code, name, country) VALUES (gen_random_uuid(), 'KGL', 'Kigali', 'RW')`)
	old := b.optIn(t, rw(1))
	_, err := b.ChangeContact(t.Context(), old.ID, store.ContactChange{Tags: &[]string{"old"}, Name: new("Amina")})
	require.NoError(t, err)
	gone := b.optIn(t, rw(2))
	_, err = b.RecordConsent(t.Context(), gone.ID, store.Consent{Reference: "changed their mind"})
	require.NoError(t, err)
	full := b.optIn(t, rw(9))
	tags := make([]string, 50)
	for i := range tags {
		tags[i] = fmt.Sprint("t", i)
	}
	_, err = b.ChangeContact(t.Context(), full.ID, store.ContactChange{Tags: &tags})
	require.NoError(t, err)
	file := "msisdn,name,tags,bar,opted_in_at\n" +
		rw(1) + ",,new|old,KGL,\n" + // 2: added to
		rw(2) + ",Back,,,\n" + // 3: withdrew once
		rw(3) + ",'=1+1,vip,,2024-05-06\n" + // 4: new
		rw(3) + ",Twice,vip,,\n" + // 5
		rw(4) + ",Bar,,NOPE,\n" + // 6
		rw(5) + ",Soon,,,2999-01-01\n" + // 7
		rw(6) + "," + strings.Repeat("x", 201) + ",,,\n" + // 8
		"nobody,x,,,\n" + // 9
		rw(9) + ",,one more,,\n" // 10
	done, err := b.ImportContacts(t.Context(), contactReader(t, strings.NewReader(file), func(o *audience.ContactOptions) { o.Consent, o.Tags = "list of the club", []string{"club"} }), false)
	require.NoError(t, err)
	require.Equal(t, []string{"6 bar unknown_bar", "7 opted_in_at in_the_future", "8 name name_too_long", "9 msisdn not_a_number", "10 tags bad_tags"}, lines(done))
	done.BadLines = nil
	require.Equal(t, store.ContactImport{Lines: 9, Invalid: 5, Duplicates: 1, Added: 1, Changed: 2, Consents: 1, Withdrawn: 1, IgnoredColumns: []string{}}, done)
	c, err := b.ContactOf(t.Context(), msisdn(rw(1)))
	require.NoError(t, err)
	require.Equal(t, []any{"Amina", []string{"club", "new", "old"}, "KGL", "card"}, []any{c.Name, []string(c.Tags), c.BarCode, c.OptInSource})
	c, err = b.ContactOf(t.Context(), msisdn(rw(2)))
	require.NoError(t, err)
	require.Nil(t, c.OptedInAt, "a claim without a date does not overrule a withdrawal")
	c, err = b.ContactOf(t.Context(), msisdn(rw(3)))
	require.NoError(t, err)
	require.Equal(t, []any{"=1+1", "2024-05-06", "RW"}, []any{c.Name, c.OptedInAt.Format(time.DateOnly), c.Country})

	again, err := b.ImportContacts(t.Context(), contactReader(t, strings.NewReader(file), func(o *audience.ContactOptions) { o.Consent, o.Tags = "list of the club", []string{"club"} }), false)
	require.NoError(t, err)
	require.EqualValues(t, []int64{0, 0, 3, 0}, []int64{again.Added, again.Changed, again.Same, again.Consents}, "again changes nothing")
	_, err = b.ImportContacts(t.Context(), contactReader(t, strings.NewReader("msisdn,tags\n"+rw(1)+",only\n"+rw(3)+",\n")), true)
	require.NoError(t, err)
	c, err = b.ContactOf(t.Context(), msisdn(rw(1)))
	require.NoError(t, err)
	require.Equal(t, []string{"only"}, []string(c.Tags))
	_, err = b.ImportContacts(t.Context(), contactReader(t, io.MultiReader(strings.NewReader("msisdn\n"+rw(7)+"\n"), broken{})), false)
	require.Equal(t, "audience_unreadable", domain.CodeOf(err))
	none, err := b.ContactOf(t.Context(), msisdn(rw(7)))
	require.NoError(t, err)
	require.Nil(t, none, "all or nothing")
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func lines(done store.ContactImport) (all []string) {
	for _, l := range done.BadLines {
		all = append(all, fmt.Sprintf("%d %s %s", l.Line, l.Field, l.Code))
	}
	return all
}

// generated is a file of so many contacts that exists nowhere as a whole.
type generated struct {
	n, of int
	rest  []byte
	peak  uint64
}

func (g *generated) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		switch {
		case g.n == 0:
			g.rest = []byte("msisdn,name,tags,opt_in_source\n")
		case g.n > g.of:
			return 0, io.EOF
		default:
			g.rest = fmt.Appendf(nil, "%s,Guest of the house number %d,jazz;vip,card at the bar\n", rw(g.n), g.n)
		}
		if g.n++; g.n%2500 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			g.peak = max(g.peak, m.HeapAlloc)
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

func TestContactImportOfManyLines(t *testing.T) {
	b := setup(t) // not in parallel: it looks at the memory
	small := &generated{of: 2500}
	_, err := b.ImportContacts(t.Context(), contactReader(t, small), false)
	require.NoError(t, err)
	large := &generated{of: 20_000}
	done, err := b.ImportContacts(t.Context(), contactReader(t, large), false)
	require.NoError(t, err)
	require.EqualValues(t, []int64{20_000, 17_500, 2500}, []int64{done.Lines, done.Added, done.Same})
	require.Less(t, large.peak, small.peak+2<<20, "memory does not grow with the file")
	n := 0
	require.NoError(t, b.ExportContacts(t.Context(), store.ContactFilter{Tag: "jazz"}, func(store.Contact) error { n++; return nil }))
	require.Equal(t, 20_000, n)
}
