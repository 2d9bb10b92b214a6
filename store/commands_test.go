package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/inbound"
	"lastcall/store"
	"lastcall/store/storetest"
)

// apply applies what a webhook tells.
func (b bundle) apply(t *testing.T, told store.Inbound) {
	t.Helper()
	require.NoError(t, b.KeepWebhook(t.Context(), []byte("{}")))
	a := &store.Applier{Store: b.Store, Log: quiet, Parse: func([]byte) (store.Inbound, error) { return told, nil }}
	require.NoError(t, store.Apply(t.Context(), a))
}

func numberOf(t *testing.T, m contact.MSISDN) contact.Number {
	t.Helper()
	n, err := contact.ParseNumber(string(m), "")
	require.NoError(t, err)
	return n
}

func storetestHash(m contact.MSISDN) []byte { return storetest.Pepper.Hash(m) }

func attemptOf(t *testing.T, b bundle, id any) (a campaign.Attempt) {
	t.Helper()
	require.NoError(t, b.owner.QueryRow(t.Context(), `SELECT campaign_id, id, attempt FROM targets WHERE campaign_id = $1 AND state = 'sent'`, id).
		Scan(&a.Campaign, &a.Target, &a.N))
	return a
}

// person writes to us; each message has an id of its own.
type person struct {
	bundle
	t      *testing.T
	number contact.Number
	n      int
}

func (p *person) writes(text string, at time.Time) {
	p.t.Helper()
	p.n++
	p.again(text, at)
}

// again is the same message once more.
func (p *person) again(text string, at time.Time) {
	p.t.Helper()
	order, ok := inbound.Parse(text)
	require.True(p.t, ok)
	p.apply(p.t, store.Inbound{Commands: []store.Command{{MessageID: fmt.Sprintf("wamid.%s.%d", p.number.MSISDN, p.n), From: p.number, Order: order, At: at}}})
}

func (p *person) out() string {
	p.t.Helper()
	return query[string](p.t, p.bundle, `SELECT coalesce((SELECT source FROM opt_outs WHERE msisdn_hash = $1), '')`, storetest.Pepper.Hash(p.number.MSISDN))
}

// answers are those put on their way so far, in order.
func (p *person) answers() (all []string) {
	p.t.Helper()
	raw := query[[]byte](p.t, p.bundle, `SELECT coalesce(jsonb_agg(answer || ' ' || language ORDER BY received_at) FILTER (WHERE answer <> ''), '[]') FROM inbound_commands
		WHERE msisdn_hash = $1`, storetest.Pepper.Hash(p.number.MSISDN))
	require.NoError(p.t, json.Unmarshal(raw, &all))
	return all
}

func (b bundle) person(t *testing.T, number string) *person {
	return &person{bundle: b, t: t, number: numberOf(t, msisdn(number))}
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now().Truncate(time.Second).Add(-time.Minute)
	p := b.person(t, rw(1))
	c := b.optIn(t, rw(1))
	b.exec(t, `UPDATE contact_consents SET at = at - interval '1 day'`)
	id, lane := b.running(t, rw(1), rw(2))

	p.writes("Hagarika!", now)
	require.Equal(t, "inbound", p.out())
	require.Equal(t, []string{"stopped rw"}, p.answers())
	again, err := b.Contact(t.Context(), c.ID)
	require.NoError(t, err)
	require.True(t, again.OptedOut)
	history, err := b.Consents(t.Context(), c.ID, store.Consent{}, 10)
	require.NoError(t, err)
	require.Len(t, history, 2)
	claim := b.claim(t, lane, 10)
	require.Equal(t, 1, claim.OptedOut)
	require.Len(t, claim.Targets, 1)
	require.EqualValues(t, 1, b.counts(t, id).OptedOut)

	entries := query[int](t, b, `SELECT count(*) FROM audit_log`)
	p.again("Hagarika!", now) // the webhook comes once more
	require.Equal(t, entries, query[int](t, b, `SELECT count(*) FROM audit_log`))
	require.EqualValues(t, 1, query[int](t, b, `SELECT count(*) FROM outbox WHERE kind = 'inbound.reply'`))
	p.writes("STOP", now.Add(time.Second)) // another message, but they know already
	require.Equal(t, []string{"stopped rw"}, p.answers(), "one answer a day")

	p.writes("start", now.Add(-time.Hour)) // from before, on its way for long
	require.Equal(t, "inbound", p.out(), "the last word holds")
	p.writes("start", now.Add(time.Second))
	require.Equal(t, "inbound", p.out(), "within one second STOP holds")
	p.writes("Tangira", now.Add(2*time.Second))
	require.Empty(t, p.out())
	require.Equal(t, []string{"stopped rw", "started rw"}, p.answers())
	again, err = b.Contact(t.Context(), c.ID)
	require.NoError(t, err)
	require.False(t, again.OptedOut)
	require.WithinDuration(t, now.Add(2*time.Second), *again.OptedInAt, 0)
	require.Equal(t, "wrote START", again.OptInSource)
	require.Zero(t, query[int](t, b, `SELECT count(*) FROM outbox WHERE payload::text LIKE '%2507%'`))
	require.Empty(t, b.traces(t, "Hagarika!"))
}

// Who may take an opt-out back: the provider its own, a person theirs and the provider's, nobody but staff that of staff.
func TestWhoTakesAnOptOutBack(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second).Add(-time.Minute)
	b := setup(t)
	for i, c := range []struct{ source, after, afterResume string }{{"registry", "registry", "registry"}, {"provider", "", ""}, {"inbound", "", "inbound"}} {
		for j, start := range []bool{true, false} {
			p := b.person(t, rw(10*i+j))
			switch c.source {
			case "inbound":
				p.writes("stop", now)
			case "provider":
				b.apply(t, store.Inbound{Preferences: []store.Preference{{MSISDN: p.number.MSISDN, Stop: true, At: now}}})
			default:
				_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{p.number.MSISDN}, store.OptOutRegistry, "on the phone")
				require.NoError(t, err)
			}
			require.Equal(t, c.source, p.out())
			if start {
				p.writes("START", now.Add(5*time.Second))
				require.Equal(t, c.after, p.out())
				want := "started "
				if c.source == "registry" {
					want = "still_out "
				}
				require.Contains(t, p.answers(), want)
				continue
			}
			b.apply(t, store.Inbound{Preferences: []store.Preference{{MSISDN: p.number.MSISDN, At: now.Add(5 * time.Second)}}})
			require.Equal(t, c.afterResume, p.out())
		}
	}
	p := b.person(t, rw(99))
	b.apply(t, store.Inbound{Preferences: []store.Preference{{MSISDN: p.number.MSISDN, Stop: true, At: now}}})
	p.writes("STOP", now.Add(time.Second))
	require.Equal(t, "inbound", p.out(), "what they tell us goes before what the provider tells")
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(98))}, store.OptOutRegistry, "on the phone")
	require.NoError(t, err)
	q := b.person(t, rw(98))
	q.writes("STOP", now)
	require.Equal(t, "registry", q.out(), "and staff's word stays")
}

func TestReplies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now().Truncate(time.Second)
	message := func() string {
		return query[string](t, b, `SELECT payload->>'message' FROM outbox WHERE kind = 'inbound.reply' ORDER BY id DESC LIMIT 1`)
	}
	state := func(m string) string {
		return query[string](t, b, `SELECT reply FROM inbound_commands WHERE encode(message_hash, 'hex') = $1`, m)
	}
	_, err := b.AddContact(t.Context(), store.Contact{MSISDN: msisdn(mt(1)), Country: "MT", Locale: "mt-MT"})
	require.NoError(t, err)
	p := b.person(t, mt(1))
	p.writes("stop", now.Add(-22*time.Hour))
	m := message()
	b.set(t, "toggles", `{"dispatch":false}`)
	_, err = b.TakeReply(t.Context(), m)
	require.ErrorContains(t, err, "nothing is sent on the channel now")
	b.set(t, "toggles", `{"dispatch":true}`)
	turn, err := b.TakeReply(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, inbound.Stopped.Text("mt", ""), turn.Text)
	require.EqualValues(t, mt(1), turn.To)
	require.NotContains(t, turn.Key, "/")
	require.EqualValues(t, 1, query[int](t, b, `SELECT sum(n) FROM permits`))
	require.NoError(t, b.SettleReply(t.Context(), m, store.ReplyWaiting, 130429))
	turn, err = b.TakeReply(t.Context(), m)
	require.NoError(t, err)
	require.NotNil(t, turn)
	require.NoError(t, b.SettleReply(t.Context(), m, store.ReplySent, 0))
	turn, err = b.TakeReply(t.Context(), m)
	require.NoError(t, err)
	require.Nil(t, turn, "once is enough")
	require.Equal(t, "sent", state(m))

	q := b.person(t, rw(2))
	q.writes("stop", now)
	turn, err = b.TakeReply(t.Context(), message())
	require.NoError(t, err)
	require.NotNil(t, turn)
	turn, err = b.TakeReply(t.Context(), message()) // whoever had it was killed
	require.NoError(t, err)
	require.Nil(t, turn)
	require.Equal(t, "unknown", state(message()), "it may have gone")

	r := b.person(t, rw(3))
	r.writes("stop", now.Add(-24*time.Hour))
	require.Equal(t, "inbound", r.out())
	require.Empty(t, r.answers(), "nothing may be answered so late")
	r.writes("start", now)
	b.exec(t, `UPDATE inbound_commands SET at = at - interval '24 hours' WHERE reply = 'waiting'`)
	turn, err = b.TakeReply(t.Context(), message())
	require.NoError(t, err)
	require.Nil(t, turn)
	require.Equal(t, "dropped", state(message()))
	require.Zero(t, query[int](t, b, `SELECT count(*) FROM inbound_commands WHERE reply_to IS NOT NULL`))
	turn, err = b.TakeReply(t.Context(), "00ff")
	require.NoError(t, err)
	require.Nil(t, turn)
}

func TestJoin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now().Truncate(time.Second).Add(-time.Minute)
	p := b.person(t, rw(1))
	id := uuid.New()
	b.exec(t, `INSERT INTO bars (id, code, name, country) VALUES ($1, 'KGL', 'The Blue Door', 'RW')`, id)
	codes, err := b.AddQRTokens(t.Context(), id, 2)
	require.NoError(t, err)
	require.NoError(t, b.RevokeQRToken(t.Context(), id, codes[1].ID))
	b.exec(t, `UPDATE qr_tokens SET token = 'A0B1CDEFGH' WHERE id = $1`, codes[0].ID)
	p.writes("stop", now)
	p.writes("join aob1cdefgh", now.Add(2*time.Second))
	require.Empty(t, p.out(), "who joins wants messages")
	c, err := b.ContactOf(t.Context(), msisdn(rw(1)))
	require.NoError(t, err)
	require.Equal(t, []string{"KGL", "RW", "QR code of KGL"}, []string{c.BarCode, c.Country, c.OptInSource})
	require.Equal(t, []string{"stopped ", "joined "}, p.answers())
	require.Equal(t, "The Blue Door", query[string](t, b, `SELECT place FROM inbound_commands WHERE answer = 'joined'`))
	p.again("join aob1cdefgh", now.Add(2*time.Second))
	require.EqualValues(t, 1, query[int](t, b, `SELECT count(*) FROM contact_consents`))
	q := b.person(t, rw(2))
	for i, token := range []string{codes[1].Token, "none", "A0B1CDEFG_"} { // revoked, and none
		q.writes("JOIN "+token, now.Add(time.Duration(i)*time.Second))
	}
	require.Equal(t, []string{"no_such "}, q.answers(), "one answer a day")
	none, err := b.ContactOf(t.Context(), msisdn(rw(2)))
	require.NoError(t, err)
	require.Nil(t, none)
}
