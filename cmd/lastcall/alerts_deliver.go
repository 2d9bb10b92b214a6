package main

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"lastcall/config"
	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/gateway/mail"
	"lastcall/gateway/opschannel"
	"lastcall/store"
)

// alertNoticeHandler tells a channel of alerts. What is not configured is noted as such, so that nobody takes it for told.
func alertNoticeHandler(c *config.Config, st *store.Store, ops *opschannel.Channel, sender *mail.Sender) store.Handler {
	return func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var m store.AlertNotice
		if err := json.Unmarshal(payload, &m); err != nil {
			return err
		}
		n, err := st.NoticeGoes(ctx, m.NoticeID)
		if err != nil || n.Gone {
			return err
		}
		w, outcome := alert.Write(n.Kind, n.Number, n.IsDrill, n.Lines), "delivered"
		link := c.API.PublicURL + "/alerts"
		if w.Alert != "" {
			link += "?alert=" + w.Alert
		}
		switch to, err := mailAlertsTo(ctx, c, st); {
		case err != nil:
			return err
		case n.Channel == alert.OpsChannel && c.Ops.WebhookURL == "", n.Channel == alert.Mail && (c.Mail.Address == "" || len(to) == 0):
			outcome = "no_channel"
		case n.Channel == alert.OpsChannel:
			err = ops.Post(ctx, opschannel.Notice{Title: w.Title, Text: w.Text, Link: link, Level: opsLevel(w.Level)})
			if err != nil {
				return noticeFailed(ctx, st, n, err)
			}
		default:
			if err := sender.Send(ctx, mail.Message{To: to, Subject: w.Title, Text: w.Text + "\n\n  " + link + "\n"}); err != nil {
				return noticeFailed(ctx, st, n, err)
			}
		}
		return st.NoticeGone(context.WithoutCancel(ctx), n.ID, outcome)
	}
}

// noticeFailed lets others join a notice that was not taken, and returns why.
func noticeFailed(ctx context.Context, st *store.Store, n store.Notice, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := st.NoticeFailed(ctx, n.ID, why.Error()); err != nil {
		return err
	}
	// Whatever was wrong, it is tried again: an address may be mended.
	return domain.E(domain.Unavailable, domain.CodeOf(why), "%s", why).Because(why)
}

// mailAlertsTo is who gets mail of alerts: those of the configuration, and who is on call.
func mailAlertsTo(ctx context.Context, c *config.Config, st *store.Store) ([]string, error) {
	set, err := st.Settings(ctx)
	if err != nil {
		return nil, err
	}
	to := slices.Clone(c.Mail.Reports)
	if turn, ok := set.OnCall.At(time.Now()); ok && !slices.Contains(to, turn.Member) {
		to = append(to, turn.Member)
	}
	return to, nil
}

func opsLevel(s alert.Severity) opschannel.Level {
	return map[alert.Severity]opschannel.Level{alert.Critical: opschannel.Critical, alert.Warning: opschannel.Warn}[s]
}
