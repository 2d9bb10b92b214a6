package worker_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/store"
	"lastcall/workflows"
)

// order orders a message of promo_generic to a number.
func (b *bundle) single(t *testing.T, to string, whenAllowed bool) store.Send {
	t.Helper()
	template, err := b.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	number, err := contact.ParseNumber(to, "")
	require.NoError(t, err)
	one, err := b.CreateSend(t.Context(), store.NewSend{Number: number, TemplateID: template.ID, WhenAllowed: whenAllowed})
	require.NoError(t, err)
	return one
}

// becomes waits for a single send to be in one of these states.
func (b *bundle) becomes(t *testing.T, id uuid.UUID, within time.Duration, states ...campaign.TargetState) (one store.Send) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		one, err = b.Send(t.Context(), id)
		require.NoError(t, err)
		for _, s := range states {
			if one.State == s {
				return true
			}
		}
		return false
	}, within, 20*time.Millisecond, "never %v: %v", states, &one)
	return one
}

func TestASingleSendGoesAndIsSettledByItsReceipts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.single(t, rw(1), false)
	b.becomes(t, one.ID, 30*time.Second, campaign.Delivered, campaign.Read)
	inbox := b.inbox(t)
	require.Len(t, inbox, 1)
	require.Equal(t, campaign.Attempt{Single: one.ID, N: 1}.Key(), inbox[0].Key)
	keepHistory(t, "send", b.historyOf(t, workflows.SendID(one.ID, 0)), one.ID)
}

func TestASingleSendWaitsUntilItMayGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "quiet_hours", quietNow("RW", "Africa/Kigali"))
	goes, stops, cancelled := b.single(t, rw(1), true), b.single(t, rw(2), true), b.single(t, rw(3), true)
	require.Eventually(t, func() bool { return b.found(t, `Blocker = "quiet_hours"`) == 3 }, 30*time.Second, 100*time.Millisecond)

	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{contact.MSISDN(rw(2))}, store.OptOutInbound, "STOP")
	require.NoError(t, err)
	b.becomes(t, stops.ID, 20*time.Second, campaign.OptedOut)
	_, err = b.CancelSend(t.Context(), cancelled.ID, store.SendOrder{Reason: "test"})
	require.NoError(t, err)
	b.set(t, "quiet_hours", `{}`)
	b.becomes(t, goes.ID, 20*time.Second, campaign.Sent, campaign.Delivered, campaign.Read)
	require.Len(t, b.inbox(t), 1, "nothing to who wrote STOP, nothing that was cancelled")
	require.Eventually(t, func() bool { return b.found(t, `WorkflowType = "Send" AND ExecutionStatus = "Running"`) == 0 }, 20*time.Second, 100*time.Millisecond)
	keepHistory(t, "send-waited", b.historyOf(t, workflows.SendID(goes.ID, 0)), goes.ID)
}

func TestAnUnknownSingleSendIsNotSentAgainByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(t, http.MethodPut, `{"kind":"accept_then_timeout","share":1,"for":"10m"}`)
	one := b.single(t, rw(1), false)
	b.becomes(t, one.ID, 40*time.Second, campaign.Unknown, campaign.Delivered, campaign.Read)
	b.fault(t, http.MethodDelete, ``)
	b.becomes(t, one.ID, 40*time.Second, campaign.Delivered, campaign.Read)
	require.Len(t, b.inbox(t), 1)
}

func TestAFailedSingleSendIsSentAgainOnOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(t, http.MethodPut, `{"kind":"error","code":131026,"share":1,"for":"10m"}`)
	one := b.single(t, rw(1), false)
	one = b.becomes(t, one.ID, 30*time.Second, campaign.FailedT)
	require.Equal(t, 131026, one.ErrorCode)
	b.fault(t, http.MethodDelete, ``)
	_, err := b.ResendSend(t.Context(), one.ID, store.SendOrder{Reason: "the guest has WhatsApp now"})
	require.NoError(t, err)
	one = b.becomes(t, one.ID, 30*time.Second, campaign.Delivered, campaign.Read)
	require.Equal(t, 2, one.Attempt)
	require.Equal(t, 1, b.found(t, `WorkflowId = "`+workflows.SendID(one.ID, 1)+`"`))
}

// What a throttled campaign waits for is in the audit log once a batch.
func TestThrottledCampaignsAreToldOnceABatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":5}}`)
	id := b.draft(t, many(20, rw)...)
	b.start(t, id)
	b.until(t, id, 30*time.Second, func(p store.Progress) bool { return p.Counts.Accepted() == 5 && len(p.Waits) > 0 })
	var told []store.AuditEntry
	require.Eventually(t, func() bool {
		var err error
		told, err = b.AuditEntries(t.Context(), store.AuditFilter{Action: "outbound_policy_check", Target: "campaign/" + id.String()}, nil, 10)
		require.NoError(t, err)
		return len(told) > 0
	}, 20*time.Second, 50*time.Millisecond)
	require.Len(t, told, 1)
	require.Contains(t, string(told[0].Diff), `"reason": "throttled"`)
	require.Contains(t, string(told[0].Diff), `"targets": 15`)
	one := b.single(t, rw(99), false)
	require.Equal(t, policy.Throttled, one.Block.Reason)
	b.order(t, id, campaign.GateStopped)
}

// quietNow are quiet hours of a country that have begun and end in two hours.
func quietNow(country, zone string) string {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	now := time.Now().In(loc)
	return fmt.Sprintf(`{%q:{"start":%q,"end":%q}}`, country, now.Add(-time.Hour).Format("15:04"), now.Add(2*time.Hour).Format("15:04"))
}
