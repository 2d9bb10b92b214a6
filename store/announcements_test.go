package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/announce"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// telling is a city whose staging is announced to two lists before the pilot, with a link.
func telling(t *testing.T) *city {
	t.Helper()
	c := openCity(t)
	c.plan.Phases[0].Announcements = []announce.Announcement{
		{ID: "ready", Text: "Announce it.", Event: announce.PhaseReady, Channels: []announce.Channel{announce.Mail, announce.Ops}, Lists: []string{"engineering", "ops"},
			Links: []string{"runbook"}, OnCall: true, Subject: "{{.Phase}} is ready", Body: "{{.Links.runbook}} {{.Contact.Name}} {{.Contact.Email}} {{.Contact.Until}}"},
		{ID: "material", Text: "Share it.", Event: announce.PhaseBegun, Channels: []announce.Channel{announce.Ops}, Subject: "Soon", Body: "Soon."}}
	require.NoError(t, c.plan.Check(store.KnownCheck))
	return c
}

const directory = `{"lists":{"engineering":["eng@example.com"],"ops":["ops@example.com","ada@example.com"]},"links":{"runbook":"https://example.com/run"}}`

func (c *city) announcement(t *testing.T, id string) store.AnnouncementStanding {
	t.Helper()
	all, err := c.Announcements(c.lead, "kigali")
	require.NoError(t, err)
	for _, a := range all {
		if a.ID == id {
			return a
		}
	}
	t.Fatalf("no announcement %s", id)
	return store.AnnouncementStanding{}
}

// tell sends an announcement as it is now.
func (c *city) tell(t *testing.T, id string) uuid.UUID {
	t.Helper()
	order, message, err := c.SendAnnouncement(c.ops, "kigali", id, c.announcement(t, id).Letter.Digest())
	require.NoError(t, err)
	require.Equal(t, order.String(), query[string](t, c.bundle, `SELECT payload->>'id' FROM outbox WHERE id = $1 AND kind = 'announce.start'`, message))
	return order
}

// goesOut hands every message of an announcement over, as the relay does.
func (c *city) goesOut(t *testing.T, order uuid.UUID, outcome string) {
	t.Helper()
	for _, id := range query[[]string](t, c.bundle, `SELECT array_agg(id::text ORDER BY id) FROM announcement_messages WHERE announcement_id = $1`, order) {
		require.NoError(t, c.AnnouncementDone(t.Context(), uuid.MustParse(id), outcome))
	}
}

func (c *city) missing(t *testing.T) (codes []string) {
	t.Helper()
	b, err := c.RolloutBoard(c.lead)
	require.NoError(t, err)
	for _, o := range b.Open {
		codes = append(codes, o.Item+" "+o.Code)
	}
	return codes
}

// A phase does not open before its announcements went out, to everybody.
func TestAPhaseIsAnnouncedBeforeItOpens(t *testing.T) {
	t.Parallel()
	c := telling(t)
	c.begin(t)
	refused := func(id, code string) {
		t.Helper()
		require.Equal(t, code, domain.CodeOf(c.announcement(t, id).Refusal))
		_, _, err := c.SendAnnouncement(c.ops, "kigali", id, c.announcement(t, id).Letter.Digest())
		require.Equal(t, code, domain.CodeOf(err))
	}
	refused("ready", announce.Early)
	c.ready(t)
	require.Equal(t, []string{"ready announcement_missing", "material announcement_missing"}, c.missing(t))
	_, _, err := c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.Equal(t, rollout.GateShut, domain.CodeOf(err))
	require.ErrorContains(t, err, "it has not been announced: “Announce it”")
	require.Equal(t, []string{announce.Missing, announce.Missing}, query[[]string](t, c.bundle, `SELECT array_agg(o->>'code') FROM audit_log, jsonb_array_elements(diff->'open') o
		WHERE action = 'rollout.refused' AND diff->>'code' = 'rollout_gate'`), "the audit log tells what was missing")

	refused("ready", announce.NoList)
	c.set(t, "announcements", `{"lists":{"engineering":["eng@example.com"],"ops":["ops@example.com","ada@example.com"]},"links":{}}`)
	refused("ready", announce.NoLink)
	c.set(t, "announcements", directory)
	refused("ready", announce.NoContact)
	c.set(t, "on_call", `{"zone":"Africa/Kigali","starts":"2026-01-05T09:00","members":["ops2@example.test"]}`)
	a := c.announcement(t, "ready")
	require.NoError(t, a.Refusal)
	require.Contains(t, a.Letter.Body, "https://example.com/run ops2 ops2@example.test ")
	require.Equal(t, "Staging is ready", a.Letter.Subject)

	// What goes out is what was looked at; and people send, no token and no machine.
	_, _, err = c.SendAnnouncement(c.ops, "kigali", "ready", c.announcement(t, "material").Letter.Digest())
	require.Equal(t, announce.Changed, domain.CodeOf(err))
	require.Equal(t, domain.Stale, domain.KindOf(err))
	_, _, err = c.SendAnnouncement(audit.WithActor(t.Context(), audit.System("robot")), "kigali", "ready", a.Letter.Digest())
	require.Equal(t, approval.NoAccount, domain.CodeOf(err))
	_, _, err = c.SendAnnouncement(c.ops, "kigali", "party", a.Letter.Digest())
	require.Equal(t, announce.NotFound, domain.CodeOf(err))

	order := c.tell(t, "ready")
	refused("ready", announce.Going)
	require.NoError(t, c.RecordLinks(t.Context(), map[string]string{"https://example.com/run": ""}))
	for range 3 { // the activity may be tried again
		went, err := c.AnnouncementGoes(t.Context(), order)
		require.NoError(t, err)
		require.True(t, went)
	}
	refused("ready", announce.Going)
	require.Equal(t, []string{"ready announcement_missing", "material announcement_missing"}, c.missing(t), "nobody has got it yet")
	run := c.announcement(t, "ready").Runs[0]
	require.Len(t, run.Messages, 3, "a mail a list, and one to the Ops channel")
	require.Equal(t, a.Letter.Digest(), run.Digest)
	for _, m := range run.Messages {
		require.Equal(t, "announcement", query[string](t, c.bundle, `SELECT kind FROM outbox WHERE id = $1`, m.OutboxID))
	}
	require.NotContains(t, query[string](t, c.bundle, `SELECT string_agg(payload::text, ' ') FROM outbox WHERE kind LIKE 'announce%'`), "example.com", "the outbox holds ids")
	mail, err := c.AnnouncementToDeliver(t.Context(), uuid.MustParse(query[string](t, c.bundle, `SELECT id::text FROM announcement_messages WHERE list = 'ops'`)))
	require.NoError(t, err)
	require.Equal(t, []string{"ops@example.com", "ada@example.com"}, mail.To)
	require.Equal(t, a.Letter, mail.Letter)
	c.goesOut(t, order, store.AnnouncementDelivered)
	c.goesOut(t, order, store.AnnouncementNoChannel) // says nothing new
	refused("ready", announce.Sent)
	require.Equal(t, []string{"material announcement_missing"}, c.missing(t))

	// One that nothing could carry was not told, and is sent again.
	order = c.tell(t, "material")
	_, err = c.AnnouncementGoes(t.Context(), order)
	require.NoError(t, err)
	c.goesOut(t, order, store.AnnouncementNoChannel)
	require.Equal(t, []string{"material announcement_missing"}, c.missing(t))
	order = c.tell(t, "material")
	_, err = c.AnnouncementGoes(t.Context(), order)
	require.NoError(t, err)
	c.goesOut(t, order, store.AnnouncementDelivered)
	require.Empty(t, c.missing(t))
	_, _, err = c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.NoError(t, err)
	require.Equal(t, []string{announce.Early, rollout.GateShut}, []string{c.audited(t, "announcement.refused")[0], c.audited(t, "rollout.refused")[0]})
	require.EqualValues(t, 2, query[int64](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action = 'announcement.delivered'`))
	require.EqualValues(t, 1, query[int64](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action = 'announcement.undelivered'`))
	require.Zero(t, query[int64](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action LIKE 'announcement.%' AND diff::text LIKE '%example.%'`), "the audit log holds no addresses and no text")
}

// Until the gate is opened for good what is missing counts, as for items.
func TestAnOrderWaitsForNoAnnouncement(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	c.begin(t)
	c.ready(t)
	gate, _, err := c.AdvanceRollout(c.lead, rollout.Staging, "")
	require.NoError(t, err)
	// The plan is another one by the time that the workflow comes to it.
	c.exec(t, `ALTER TABLE rollout_plans DISABLE TRIGGER ALL`)
	plan := telling(t).plan
	c.exec(t, `UPDATE rollout_plans SET plan = $1`, plan)
	opened, err := c.OpenGate(t.Context(), "kigali", gate.String())
	require.NoError(t, err)
	require.False(t, opened)
	require.Equal(t, rollout.Staging, c.phase(t))
	require.EqualValues(t, 2, query[int64](t, c.bundle, `SELECT count(*) FROM rollout_gates, jsonb_array_elements(missing) m WHERE m->>'code' = $1`, announce.Missing))
}

// A link that leads nowhere, or that nobody has looked at since, keeps an announcement from going.
func TestADeadLinkStopsAnAnnouncement(t *testing.T) {
	t.Parallel()
	c := telling(t)
	c.set(t, "announcements", directory)
	c.set(t, "on_call", `{"zone":"Africa/Kigali","starts":"2026-01-05T09:00","members":["ops2@example.test"]}`)
	c.begin(t)
	c.ready(t)
	links, private, err := c.LinksOf(t.Context(), "kigali", "ready")
	require.NoError(t, err)
	require.True(t, private, "on the sandbox")
	require.Equal(t, []string{"https://example.com/run"}, links)
	require.NoError(t, c.RecordLinks(t.Context(), map[string]string{"https://example.com/run": ""}))
	for _, found := range []string{"nobody could look", "there is nothing there (HTTP 404)"} {
		order := c.tell(t, "ready")
		if found != "nobody could look" { // what was found before the order does not count
			require.NoError(t, c.RecordLinks(t.Context(), map[string]string{"https://example.com/run": found}))
		}
		went, err := c.AnnouncementGoes(t.Context(), order)
		require.NoError(t, err)
		require.False(t, went)
		run := c.announcement(t, "ready").Runs[0]
		require.Equal(t, "refused", run.State)
		require.Equal(t, "the link runbook: "+found, run.Problem)
		require.Empty(t, run.Messages)
		require.Contains(t, c.missing(t), "ready announcement_missing")
	}
	require.Equal(t, []string{announce.DeadLink, announce.DeadLink}, c.audited(t, "announcement.refused"))
	require.NoError(t, c.announcement(t, "ready").Refusal, "it may be sent again")

	message, since, err := c.CheckAnnouncement(c.ops, "kigali", "ready")
	require.NoError(t, err)
	require.Equal(t, `{"rollout": "kigali", "announcement": "ready"}`, query[string](t, c.bundle, `SELECT payload::text FROM outbox WHERE id = $1`, message))
	require.True(t, c.announcement(t, "ready").Links[0].CheckedAt.Before(since))
}

// Of many who send an announcement at once one does.
func TestAnAnnouncementIsSentOnce(t *testing.T) {
	t.Parallel()
	c := telling(t)
	c.begin(t)
	digest := c.announcement(t, "material").Letter.Digest()
	var all sync.WaitGroup
	codes := make(chan string, 8)
	for range 8 {
		all.Go(func() {
			_, _, err := c.SendAnnouncement(c.ops, "kigali", "material", digest)
			if err == nil {
				codes <- "sent"
				return
			}
			codes <- domain.CodeOf(err)
		})
	}
	all.Wait()
	close(codes)
	n := map[string]int{}
	for code := range codes {
		n[code]++
	}
	require.Equal(t, map[string]int{"sent": 1, announce.Going: 7}, n)
}

// Another phase's announcements wait for it, and those of one that is entered again are sent again.
func TestAnnouncementsAreOfTheirPhase(t *testing.T) {
	t.Parallel()
	c := telling(t)
	c.begin(t)
	order := c.tell(t, "material")
	_, err := c.AnnouncementGoes(t.Context(), order)
	require.NoError(t, err)
	c.goesOut(t, order, store.AnnouncementDelivered)
	require.Equal(t, announce.Sent, domain.CodeOf(c.announcement(t, "material").Refusal))
	c.in(t, rollout.Pilot)
	require.Equal(t, rollout.WrongPhase, domain.CodeOf(c.announcement(t, "material").Refusal))
	c.in(t, rollout.Staging)
	c.exec(t, `UPDATE rollouts SET phase_since = clock_timestamp()`)
	require.NoError(t, c.announcement(t, "material").Refusal)
	require.Contains(t, fmt.Sprint(c.missing(t)), "material announcement_missing")
}

func TestTheSettingOfAnnouncements(t *testing.T) {
	t.Parallel()
	c := openCity(t)
	for value, code := range map[string]string{
		`{"lists":{"Ops":["ops@example.com"]},"links":{}}`:              "bad_name",
		`{"lists":{"ops":["Ops"]},"links":{}}`:                          "bad_email",
		`{"lists":{"ops":"ops@example.com"},"links":{}}`:                "bad_email",
		`{"lists":{},"links":{"faq":"faq.html"}}`:                       "bad_link",
		`{"lists":{},"links":{"faq":"https://me:secret@example.com/"}}`: "bad_link",
		`{"lists":{},"links":{"faq":"javascript:alert(1)"}}`:            "bad_link",
		`{"lists":{}}`:                        "missing_field",
		`{"lists":{},"links":{},"others":{}}`: "unknown_field",
	} {
		_, err := c.SaveSetting(c.admin, "announcements", []byte(value), "")
		require.Equal(t, code, domain.CodeOf(err), value)
	}
	for value, code := range map[string]string{
		`{"zone":"Nowhere","at":"09:00","remind_at":"12:00"}`:      "bad_zone",
		`{"zone":"Europe/Malta","at":"9","remind_at":"12:00"}`:     "bad_time",
		`{"zone":"Europe/Malta","at":"09:00","remind_at":"09:00"}`: "bad_time",
		`{"zone":"Europe/Malta","at":"09:00","remind_at":"24:00"}`: "bad_time",
		`{"zone":"Europe/Malta","at":"09:00"}`:                     "missing_field",
	} {
		_, err := c.SaveSetting(c.admin, "daily_review", []byte(value), "")
		require.Equal(t, code, domain.CodeOf(err), value)
	}
}
