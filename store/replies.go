package store

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/contact"
	"lastcall/domain/inbound"
	"lastcall/domain/policy"
)

// ReplyState is what became of an answer.
type ReplyState string

// The states of an answer that has been tried.
const (
	ReplyWaiting ReplyState = "waiting" // it did not go, and may go again
	ReplySent    ReplyState = "sent"
	ReplyUnknown ReplyState = "unknown" // nobody can tell: it is not sent again
	ReplyFailed  ReplyState = "failed"  // the provider refused it for good
	ReplyDropped ReplyState = "dropped" // it would come too late, or its person was erased
)

// ReplyTurn is an answer whose turn it is.
type ReplyTurn struct {
	To      contact.MSISDN
	Text    string
	StartBy time.Time // of the local clock
	Key     string    // the callback data by which the provider knows it; no number in it
}

// TakeReply takes the answer of an outbox message and gets its permit, or returns nil when there is nothing to send: it
// has been, or will not be any more. What was taken and not settled is unknown, for whoever took it may have sent it.
// It fails with domain.Unavailable while no permit is to be had, dispatch is off or the channel is suspended: ask again.
func (s *Store) TakeReply(ctx context.Context, message string) (*ReplyTurn, error) {
	hash, err := hex.DecodeString(message)
	if err != nil {
		return nil, domain.E(domain.Invalid, "bad_reply", "this is no reply")
	}
	var send uuid.UUID
	var answer inbound.Answer
	var language, place, state string
	var to *string
	var late bool
	err = s.pool.QueryRow(ctx, `SELECT reply, answer, language, place, reply_to, coalesce(reply_send, '00000000-0000-0000-0000-000000000000'),
		at < clock_timestamp() - $2::interval FROM inbound_commands WHERE message_hash = $1`, hash, inbound.AnswerWithin).
		Scan(&state, &answer, &language, &place, &to, &send, &late)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, unavailable(err)
	case state == "sending":
		return nil, s.SettleReply(ctx, message, ReplyUnknown, 0)
	case state != string(ReplyWaiting):
		return nil, nil
	case late:
		return nil, errors.Join(s.LeaveSingle(ctx, send), s.SettleReply(ctx, message, ReplyDropped, 0))
	}
	if err := s.mayReply(ctx); err != nil {
		return nil, err
	}
	permit, err := s.GrantSingle(ctx, SingleSend{ID: send, Channel: policy.ChannelWhatsApp, Recipient: contact.MSISDN(*to)})
	if err != nil {
		return nil, err
	}
	if !permit.Decision.Permitted {
		return nil, domain.E(domain.Unavailable, "no_permit", "the channel takes nothing now")
	}
	done, err := s.pool.Exec(ctx, `UPDATE inbound_commands SET reply = 'sending' WHERE message_hash = $1 AND reply = 'waiting'`, hash)
	if err != nil || done.RowsAffected() == 0 {
		return nil, unavailable(err) // somebody else took it, or its person was erased just now
	}
	return &ReplyTurn{To: contact.MSISDN(*to), Text: answer.Text(language, place), StartBy: permit.StartBy, Key: "reply:" + message[:16]}, nil
}

// mayReply looks whether anything may go out on the channel.
func (s *Store) mayReply(ctx context.Context) error {
	set, err := s.Settings(ctx)
	if err != nil {
		return err
	}
	held, err := s.standingOf(ctx, policy.ChannelWhatsApp, nil)
	if err == nil && (!set.Toggles.Dispatch || held.Channel != nil) {
		err = domain.E(domain.Unavailable, "channel_suspended", "nothing is sent on the channel now")
	}
	return err
}

// SettleReply writes what became of an answer. Unless it waits again, its number is forgotten.
func (s *Store) SettleReply(ctx context.Context, message string, as ReplyState, code int) error {
	hash, err := hex.DecodeString(message)
	if err != nil {
		return domain.E(domain.Invalid, "bad_reply", "this is no reply")
	}
	_, err = s.pool.Exec(ctx, `UPDATE inbound_commands SET reply = $2, reply_to = CASE WHEN $2 = 'waiting' THEN reply_to END,
		replied_at = CASE WHEN $2 <> 'waiting' THEN clock_timestamp() END, error_code = nullif($3, 0)
		WHERE message_hash = $1 AND reply IN ('waiting', 'sending')`, hash, string(as), code)
	return unavailable(err)
}
