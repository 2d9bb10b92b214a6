package api

import (
	"regexp"
	"time"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/domain/inbound"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// Inbound reads a webhook for store.Applier: the receipts for our own attempts, how templates stand, and what
// people said about marketing, to WhatsApp or to us. Statuses of messages that others sent through the same number are passed over,
// and so is what cannot be meant for us: a name no template can have, an id that is no number.
func Inbound(body []byte) (store.Inbound, error) {
	if hasNUL(body) {
		return store.Inbound{}, errNUL
	}
	events, err := whatsapp.ParseEvents(body)
	if err != nil {
		return store.Inbound{}, err
	}
	var in store.Inbound
	for _, st := range events.Statuses {
		attempt, err := campaign.ParseAttempt(st.CallbackData)
		state, known := receiptStates[st.State]
		if test, ok := testOf(st.CallbackData); ok && known {
			in.Tests = append(in.Tests, store.TestReceipt{ID: test, State: state, At: credible(st.At, 24*time.Hour), ErrorCode: st.ErrorCode})
			continue
		}
		if err != nil || !known {
			continue
		}
		in.Receipts = append(in.Receipts, store.Receipt{Attempt: attempt, State: state, At: credible(st.At, 24*time.Hour), ProviderID: st.MessageID, ErrorCode: st.ErrorCode})
	}
	for _, u := range events.Templates {
		state := stateOf(u)
		if state == "" || !templateNameRule.MatchString(u.Name) || len(u.Name) > 512 || !languageRule.MatchString(u.Language) {
			continue
		}
		change := store.TemplateChange{Name: u.Name, Language: u.Language, State: state, Event: u.Event, At: credible(u.At, time.Minute)}
		if providerWord.MatchString(u.Reason) { // anything else may be a text
			change.Note = u.Reason
		}
		in.Templates = append(in.Templates, change)
	}
	for _, p := range events.Preferences {
		if number, err := contact.ParseNumber("+"+p.WhatsAppID, ""); err == nil {
			in.Preferences = append(in.Preferences, store.Preference{MSISDN: number.MSISDN, Stop: p.Stop, At: credible(p.At, time.Minute)})
		}
	}
	for _, m := range events.Messages {
		order, ok := inbound.Parse(m.Text) // what is no command leaves no trace
		number, err := contact.ParseNumber("+"+m.WhatsAppID, "")
		if ok && err == nil {
			in.Commands = append(in.Commands, store.Command{MessageID: m.ID, From: number, Order: order, At: credible(m.At, time.Minute)})
		}
	}
	return in, nil
}

var receiptStates = map[string]campaign.TargetState{whatsapp.StateSent: campaign.Sent, whatsapp.StateDelivered: campaign.Delivered,
	whatsapp.StateRead: campaign.Read, whatsapp.StateFailed: campaign.FailedT}

var templateStates = map[string]delivery.TemplateState{whatsapp.TemplatePaused: delivery.TemplatePaused,
	whatsapp.TemplateDisabled: delivery.TemplateDisabled, whatsapp.TemplateRejected: delivery.TemplateRejected}

var (
	languageRule = regexp.MustCompile(`^[A-Za-z0-9-]{0,64}$`)
	providerWord = regexp.MustCompile(`^[A-Z_]{1,64}$`)

	providerListed = regexp.MustCompile(`^[A-Za-z_]{1,64}$`)
)

// credible is at, or now where the provider gave no time or one that is too far ahead: it would stand in the way of
// all that really comes later.
func credible(at time.Time, ahead time.Duration) time.Time {
	if now := time.Now(); at.Year() < 2000 || at.After(now.Add(ahead)) {
		return now.UTC()
	}
	return at
}
