package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
)

// SendFilter says which sends; what is empty does not matter.
type SendFilter struct {
	States   []campaign.TargetState
	Template string         // its name
	MSISDN   contact.MSISDN // to this number
	SentFrom time.Time      // the provider took it then or later
	Voucher  uuid.UUID      // about this voucher
}

const sendColumns = `s.id, s.channel, s.msisdn, s.country, s.zone, s.locale, s.template_id, s.marketing, coalesce(s.variables, '{}'), s.when_allowed,
	s.state, coalesce(s.reason, ''), s.block, s.not_before, coalesce(s.owner, ''), s.attempt, s.run, coalesce(s.provider_id, ''), coalesce(s.error_code, 0),
	s.actor, s.created_at, s.sending_at, s.sent_at, s.delivered_at, s.read_at, s.ended_at, s.voucher_id, t.name, t.version, c.id, coalesce(c.name, '')`

const sendsJoined = ` FROM sends s JOIN templates t ON t.id = s.template_id LEFT JOIN contacts c ON c.msisdn = s.msisdn `

func scanSend(row pgx.CollectableRow) (o Send, err error) {
	return o, row.Scan(&o.ID, &o.Channel, &o.MSISDN, &o.Country, &o.Zone, &o.Locale, &o.TemplateID, &o.Marketing, &o.Variables, &o.WhenAllowed,
		&o.State, &o.Reason, &o.Block, &o.NotBefore, &o.Owner, &o.Attempt, &o.Run, &o.ProviderID, &o.ErrorCode,
		&o.RequestedBy, &o.CreatedAt, &o.SendingAt, &o.SentAt, &o.DeliveredAt, &o.ReadAt, &o.EndedAt, &o.VoucherID, &o.Template, &o.Version, &o.ContactID, &o.Contact)
}

// Sends lists single sends, newest first, those older than `before` (uuid.Nil: from the newest on); at most limit.
func (s *Store) Sends(ctx context.Context, f SendFilter, before uuid.UUID, limit int) ([]Send, error) {
	where := []string{"true"}
	var args []any
	add := func(sql string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(sql, len(args)))
	}
	if before != uuid.Nil {
		add("s.id < $%d", before)
	}
	if len(f.States) > 0 {
		add("s.state = ANY ($%d)", f.States)
	}
	if f.Template != "" {
		add("s.template_id IN (SELECT id FROM templates WHERE name = $%d)", f.Template)
	}
	if f.MSISDN != "" {
		add("s.msisdn = $%d", string(f.MSISDN))
	}
	if !f.SentFrom.IsZero() {
		add("s.sent_at >= $%d", f.SentFrom)
	}
	if f.Voucher != uuid.Nil {
		add("s.voucher_id = $%d", f.Voucher)
	}
	args = append(args, page(limit))
	rows, err := s.pool.Query(ctx, `SELECT `+sendColumns+sendsJoined+`WHERE `+strings.Join(where, " AND ")+
		fmt.Sprintf(` ORDER BY s.id DESC LIMIT $%d`, len(args)), args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, scanSend)
	return all, unavailable(err)
}

// Send returns one single send.
func (s *Store) Send(ctx context.Context, id uuid.UUID) (Send, error) { return sendBy(ctx, s.pool, id) }

func sendBy(ctx context.Context, db querier, id uuid.UUID) (Send, error) {
	rows, err := db.Query(ctx, `SELECT `+sendColumns+sendsJoined+`WHERE s.id = $1`, id)
	if err != nil {
		return Send{}, unavailable(err)
	}
	one, err := pgx.CollectExactlyOneRow(rows, scanSend)
	return one, notFound(err, "send", id)
}

// SendEvents is a send's timeline, oldest first.
func (s *Store) SendEvents(ctx context.Context, id uuid.UUID) ([]SendEvent, error) {
	rows, err := s.pool.Query(ctx, `SELECT at, kind, attempt, reason, why, until, coalesce(error_code, 0), actor FROM send_events WHERE send_id = $1 ORDER BY id`, id)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e SendEvent, err error) {
		return e, row.Scan(&e.At, &e.Kind, &e.Attempt, &e.Reason, &e.Why, &e.Until, &e.ErrorCode, &e.By)
	})
	return all, unavailable(err)
}

// AwaitSend waits until a send has gone, has ended or is held, or ctx is over, and returns it as it is then.
func (s *Store) AwaitSend(ctx context.Context, id uuid.UUID) (Send, error) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		one, err := s.Send(context.WithoutCancel(ctx), id)
		if err != nil || one.State != campaign.Sending && (one.State != campaign.Queued || one.NotBefore != nil || one.Block != nil) {
			return one, err
		}
		select {
		case <-ctx.Done():
			return one, nil
		case <-time.After(pause):
		}
	}
}
