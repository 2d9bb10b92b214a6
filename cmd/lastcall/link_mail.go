package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"lastcall/config"
	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/probe"
	"lastcall/gateway/faults"
	"lastcall/gateway/mail"
	"lastcall/store"
)

// linkHandlers mail the links by which people come in. A link is made when its mail is: tried again, the mail has another
// link, and the one before leads nowhere. What is not wanted any more is done.
func linkHandlers(c *config.Config, st *store.Store, board *faults.Board) map[string]store.Handler {
	sender := mailSender(c, board)
	return map[string]store.Handler{
		store.KindInvitation: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var m store.SendInvitation
			if err := json.Unmarshal(payload, &m); err != nil {
				return err
			}
			i, token, err := st.InvitationLink(ctx, m.InvitationID)
			if domain.KindOf(err) == domain.NotFound { // accepted or withdrawn meanwhile
				return nil
			}
			if err != nil {
				return err
			}
			return sender.Send(ctx, mail.Message{To: []string{i.Email}, Subject: "You are invited to Lastcall", Text: fmt.Sprintf(`Hello %s,

you are invited to Lastcall, as %s. Choose your password here:

  %s

The link is good once, for %d hours. If you did not expect it, leave it be: nothing happens without it.
`, i.Name, strings.ReplaceAll(string(i.Role), "_", " "), welcomeLink(c, token), int(access.InvitationLasts.Hours()))})
		},
		store.KindPasswordReset: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var m store.SendPasswordReset
			if err := json.Unmarshal(payload, &m); err != nil || m.AccountID == uuid.Nil {
				return err
			}
			email, token, err := st.ResetLink(ctx, m.AccountID)
			if domain.KindOf(err) == domain.NotFound { // disabled
				return nil
			}
			if err != nil {
				return err
			}
			return sender.Send(ctx, mail.Message{To: []string{email}, Subject: "Choose another password for Lastcall", Text: fmt.Sprintf(`Hello,

somebody, you we hope, asked for another password for this address. Choose it here:

  %s/reset#%s

The link is good once, for %d minutes, and signs you out everywhere. If it was not you, leave it be: your password stays.
`, c.API.PublicURL, token, int(access.ResetLasts.Minutes()))})
		},
	}
}

// welcomeLink is where an invitation is accepted. What stands behind the # reaches no server, and so no log.
func welcomeLink(c *config.Config, token string) string { return c.API.PublicURL + "/welcome#" + token }

func mailSender(c *config.Config, board *faults.Board) *mail.Sender {
	return mail.New(mail.Config{Address: c.Mail.Address, From: c.Mail.From, Username: c.Mail.Username,
		Password: c.Mail.Password.Reveal(), TLS: c.Mail.TLS, Dial: board.Dial(probe.Mail)})
}
