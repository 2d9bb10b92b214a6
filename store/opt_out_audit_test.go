package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/contact"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// figure is a number of an item's evidence.
func (c *city) figure(t *testing.T, item, label string) string {
	t.Helper()
	for _, f := range c.item(t, item).Evidence.Figures {
		if f.Label == label {
			return f.Value
		}
	}
	t.Fatalf("no figure %q", label)
	return ""
}

func TestTheOptOutAudit(t *testing.T) {
	t.Parallel()
	c := proofs(t, rollout.Pilot, "opt_outs")
	c.finds(t, "opt_outs", rollout.Inconclusive, "nothing has been sent")
	id, lane := c.running(t, rw(1), rw(2), rw(3))
	c.sent(t, lane, c.claim(t, lane, 3))
	single := c.order(t, c.newSend(t, rw(4)))
	require.Len(t, c.take(t, single.ID, 1).Targets, 1)
	c.exec(t, `UPDATE targets SET sending_at = now() - interval '1 hour', sent_at = now() - interval '1 hour' WHERE campaign_id = $1`, id)
	c.exec(t, `UPDATE sends SET sending_at = now() - interval '1 hour' WHERE id = $1`, single.ID)
	optOut := func(number string, said, known string) {
		t.Helper()
		c.exec(t, `INSERT INTO opt_outs (msisdn_hash, source, created_at, known_at) SELECT msisdn_hash, 'provider', now() - $2::interval, now() - $3::interval
			FROM (SELECT msisdn, msisdn_hash FROM targets UNION SELECT msisdn, msisdn_hash FROM sends) p WHERE msisdn = $1`, number, said, known)
	}

	// Said before the message, but WhatsApp told us after it; and entered in the second in which it went.
	optOut(rw(1), "2 hours", "10 minutes")
	optOut(rw(2), "1 hour 0.5 seconds", "1 hour 0.5 seconds")
	c.finds(t, "opt_outs", rollout.Passed, "nobody was written to")
	require.Equal(t, "2", c.figure(t, "opt-outs", "Sent before an opt-out had reached us"))
	require.Equal(t, "3", c.figure(t, "opt-outs", "Targets looked at"))
	require.Equal(t, "1", c.figure(t, "opt-outs", "Single messages looked at"))

	optOut(rw(3), "1 hour 2 seconds", "1 hour 2 seconds")
	c.finds(t, "opt_outs", rollout.Failed, "1 messages went")
	optOut(rw(4), "2 hours", "2 hours")
	c.finds(t, "opt_outs", rollout.Failed, "2 messages went")

	// That WhatsApp tells of it again, later, does not hide what was sent before.
	c.hear(t, store.Inbound{Preferences: []store.Preference{{MSISDN: contact.MSISDN(rw(3)), Stop: true, At: time.Now()}}})
	require.True(t, query[bool](t, c.bundle, `SELECT o.created_at > t.sending_at FROM opt_outs o JOIN targets t USING (msisdn_hash) WHERE t.msisdn = $1`, rw(3)))
	c.finds(t, "opt_outs", rollout.Failed, "2 messages went")
}
