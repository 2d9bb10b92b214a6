package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"lastcall/config"
	"lastcall/domain"
	"lastcall/gateway/faults"
	"lastcall/gateway/mail"
	"lastcall/store"
)

// overrideMailHandler mails who may decide about an override, and who asked for it. A mail for which nothing is configured is done.
func overrideMailHandler(c *config.Config, st *store.Store, board *faults.Board) store.Handler {
	sender := mailSender(c, board)
	return func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var m store.MailOverride
		if err := json.Unmarshal(payload, &m); err != nil || c.Mail.Address == "" {
			return err
		}
		l, err := st.OverrideLetter(ctx, m)
		if domain.KindOf(err) == domain.NotFound { // disabled
			return nil
		}
		if err != nil {
			return err
		}
		return sender.Send(ctx, overrideMail(c, l))
	}
}

// overrideMail asks for a decision about an override, or tells what became of it.
func overrideMail(c *config.Config, l store.OverrideLetter) mail.Message {
	const at = "2 Jan 2006 15:04 UTC"
	o := l.Override
	what, ask := strings.ReplaceAll(string(o.Kind), "_", " "), "This is what became of it"
	switch {
	case o.Campaign != "":
		what += " for the campaign " + o.Campaign
	case o.Send != nil: // to whom, only the panel tells
		what += " for a single message (" + o.Send.Template + ")"
	}
	if l.What == "asked for" {
		ask = "Decide by " + o.AskUntil.UTC().Format(at)
	}
	said := ""
	if o.Decision != nil && o.Decision.Reason != "" {
		said = fmt.Sprintf("\nThe decision: %s\n", o.Decision.Reason)
	}
	return mail.Message{To: []string{l.To.Email}, Subject: "Override " + l.What + ": " + what, Text: fmt.Sprintf(`Hello %s,

an override of %s was %s.

  from %s
  to   %s
  by   %s: %s
%s
%s:

  %s/overrides?override=%s
`, l.To.Name, what, l.What, o.StartsAt.UTC().Format(at), o.EndsAt.UTC().Format(at), o.Requester.Name, o.Reason, said, ask, c.API.PublicURL, o.ID)}
}
