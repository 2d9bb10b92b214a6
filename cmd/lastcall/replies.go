package main

import (
	"context"
	"encoding/json"
	"errors"

	"lastcall/domain"
	"lastcall/domain/delivery"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// replyHandler sends the answers to commands, each once: what was taken and not settled is not sent again.
func replyHandler(st *store.Store, messages *whatsapp.Client) store.Handler {
	return func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var r store.Reply
		if err := json.Unmarshal(payload, &r); err != nil {
			return domain.E(domain.Invalid, "bad_reply", "this is no reply")
		}
		turn, err := st.TakeReply(ctx, r.Message)
		if err != nil || turn == nil {
			return err
		}
		_, failure := messages.SendText(ctx, whatsapp.TextMessage{To: turn.To, Text: turn.Text, CallbackData: turn.Key, StartBy: turn.StartBy})
		code := 0
		if refused, ok := errors.AsType[*whatsapp.APIError](failure); ok {
			code = refused.Code
		}
		as := store.ReplyUnknown
		switch whatsapp.Classify(failure) {
		case whatsapp.Sent:
			as = store.ReplySent
		case whatsapp.Failed:
			as = store.ReplyFailed
		case whatsapp.Retry, whatsapp.NotSent:
			if as = store.ReplyWaiting; code != 0 && delivery.Lookup(code).Scope == delivery.User {
				as = store.ReplyFailed // it is for tomorrow, when free text is not taken any more
			}
		}
		if err := st.SettleReply(context.WithoutCancel(ctx), r.Message, as, code); err != nil {
			return err
		}
		if as == store.ReplyWaiting {
			return domain.E(domain.Unavailable, "reply_waits", "WhatsApp did not take the answer; it is tried again")
		}
		return nil
	}
}
