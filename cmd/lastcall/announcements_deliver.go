package main

import (
	"context"
	"encoding/json"
	"slices"

	"lastcall/config"
	"lastcall/domain"
	"lastcall/domain/announce"
	"lastcall/gateway/mail"
	"lastcall/gateway/opschannel"
	"lastcall/store"
)

// announcementHandler delivers one message of an announcement. What nothing could carry, or will never be taken, is noted as
// such, so that nobody takes it for told; everything else is tried again.
func announcementHandler(c *config.Config, st *store.Store, ops *opschannel.Channel, sender *mail.Sender) store.Handler {
	return func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var p store.AnnouncementMessage
		if err := json.Unmarshal(payload, &p); err != nil {
			return err
		}
		m, err := st.AnnouncementToDeliver(ctx, p.ID)
		if err != nil || m.Gone {
			return err
		}
		outcome := store.AnnouncementDelivered
		switch {
		case m.Channel == announce.Ops && c.Ops.WebhookURL == "", m.Channel == announce.Mail && c.Mail.Address == "":
			outcome = store.AnnouncementNoChannel
		case m.Channel == announce.Ops:
			err = ops.Post(ctx, opschannel.Notice{Title: m.Letter.Subject, Text: m.Letter.Body, Link: c.API.PublicURL + "/rollout", Level: opschannel.Info})
		default:
			slices.Sort(m.To)
			err = sender.Send(ctx, mail.Message{To: slices.Compact(m.To), Subject: m.Letter.Subject, Text: m.Letter.Body + "\n"})
		}
		if err != nil && domain.KindOf(err) == domain.Invalid {
			outcome, err = store.AnnouncementRefused, nil
		}
		if err != nil {
			return err
		}
		return st.AnnouncementDone(context.WithoutCancel(ctx), p.ID, outcome)
	}
}
