package store

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"lastcall/domain"
	"lastcall/domain/probe"
)

// The kinds of effects that follow a commit.
const (
	KindStartCampaign   = "campaign.start"   // StartCampaign
	KindOrderCampaign   = "campaign.order"   // OrderCampaign
	KindRecoverCampaign = "campaign.recover" // RecoverCampaign
	KindApproveCampaign = "campaign.approve" // ApproveCampaign
	KindSettingsChanged = "settings.changed" // SettingsChanged
	KindOpsNotice       = "ops.notice"       // OpsNotice
	KindMail            = "mail"             // Mail
	KindAlertNotice     = "alert.notice"     // AlertNotice
	KindInvitation      = "mail.invitation"  // SendInvitation
	KindPasswordReset   = "mail.reset"       // SendPasswordReset
	KindStartImport     = "import.start"     // StartImport
	KindCancelImport    = "import.cancel"    // CancelImport
	KindReply           = "inbound.reply"    // Reply
	KindStartSend       = "send.start"       // StartSend
	KindWakeSend        = "send.wake"        // WakeSend
	KindStartOverride   = "override.start"   // StartOverride
	KindDecideOverride  = "override.decide"  // DecideOverride
	KindOverrideChanged = "override.changed" // OverrideChanged
	KindOverrideMail    = "mail.override"    // MailOverride
	KindRolloutChanged  = "rollout.changed"  // RolloutChanged
	KindRolloutDecided  = "rollout.decided"  // RolloutDecided
	KindRollbackChanged = "rollback.changed" // RollbackChanged
	KindStartDrill      = "drill.start"      // StartDrill
	KindStopDrill       = "drill.stop"       // StopDrill
	KindScheduleDrill   = "drill.schedule"   // ScheduleDrill
	KindProbe           = "probe.now"        // ProbeNow
	KindAnnounce        = "announce.start"   // Announce
	KindAnnouncement    = "announcement"     // AnnouncementMessage
	KindReviewsChanged  = "reviews.changed"  // ReviewsChanged
)

// OutboxMessage is an effect that follows a commit: a workflow start, a signal, a notice, a mail.
type OutboxMessage struct {
	ID           int64 `gorm:"primaryKey;autoIncrement"`
	Kind         string
	Key          string
	Payload      json.RawMessage `gorm:"type:jsonb"`
	CreatedAt    time.Time
	AvailableAt  time.Time
	Attempts     int
	ClaimedUntil *time.Time
	DeliveredAt  *time.Time
	ErrorCode    *string
	Error        *string
}

// TableName tells GORM the table.
func (OutboxMessage) TableName() string { return "outbox" }

// StartCampaign starts a campaign's workflow.
type StartCampaign struct {
	CampaignID uuid.UUID  `json:"campaign_id"`
	Name       string     `json:"name"`
	SendAt     *time.Time `json:"send_at,omitempty"`
	Targets    int64      `json:"targets"`
	Resend     int        `json:"resend,omitempty"` // which of the campaign's workflows: 0 for its first
	ApprovalID *uuid.UUID `json:"approval_id,omitempty"`
}

// RecoverCampaign starts a new run of a campaign's workflow in place of one that is gone.
type RecoverCampaign struct {
	StartCampaign
	Paused  bool `json:"paused,omitempty"`
	Stopped bool `json:"stopped,omitempty"`
}

// OrderCampaign tells a campaign's workflow to pause, resume or stop.
type OrderCampaign struct {
	CampaignID uuid.UUID `json:"campaign_id"`
	Order      string    `json:"order"`
	Resend     int       `json:"resend,omitempty"`
}

// ApproveCampaign tells a campaign's workflow that somebody has approved it.
type ApproveCampaign struct {
	CampaignID uuid.UUID `json:"campaign_id"`
	ApprovalID uuid.UUID `json:"approval_id"`
	Resend     int       `json:"resend,omitempty"`
}

// SettingsChanged wakes a campaign's workflow: what it waits for may have passed.
type SettingsChanged struct {
	CampaignID uuid.UUID `json:"campaign_id"`
	Revision   int64     `json:"revision"`
	Resend     int       `json:"resend,omitempty"`
}

// StartImport starts the workflow of an uploaded file.
type StartImport struct {
	ImportID   uuid.UUID `json:"import_id"`
	CampaignID uuid.UUID `json:"campaign_id"`
	Bytes      int64     `json:"bytes"`
}

// CancelImport ends that workflow.
type CancelImport struct {
	ImportID uuid.UUID `json:"import_id"`
}

// StartSend starts the workflow of a single send.
type StartSend struct {
	SendID   uuid.UUID `json:"send_id"`
	Run      int       `json:"run,omitempty"` // which of its workflows: 0 for its first
	Template string    `json:"template"`
}

// WakeSend has a single send look again: what it waits for may have passed, or somebody cancelled it.
type WakeSend struct {
	SendID uuid.UUID `json:"send_id"`
	Run    int       `json:"run,omitempty"`
}

// OpsNotice is a notice to the Ops channel.
type OpsNotice struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	Level string `json:"level"` // info, warn, critical
}

// Mail is a mail. Its recipients are in the configuration.
type Mail struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// AlertNotice tells a channel of alerts. What it says is written when it goes.
type AlertNotice struct {
	NoticeID uuid.UUID `json:"notice_id"`
}

// SendInvitation mails somebody a link to make an account. The link is made when the mail is: no message holds one.
type SendInvitation struct {
	InvitationID uuid.UUID `json:"invitation_id"`
}

// SendPasswordReset mails somebody a link to choose another password. uuid.Nil: the address that was asked for has no
// account, and nothing is sent.
type SendPasswordReset struct {
	AccountID uuid.UUID `json:"account_id"`
}

// StartOverride starts the workflow of a request.
type StartOverride struct {
	OverrideID uuid.UUID  `json:"override_id"`
	Kind       string     `json:"kind"`
	CampaignID *uuid.UUID `json:"campaign_id,omitempty"`
	SendID     *uuid.UUID `json:"send_id,omitempty"`
	Name       string     `json:"name"` // of what it is for, for people
}

// DecideOverride tells an override's workflow that somebody has decided.
type DecideOverride struct {
	OverrideID uuid.UUID `json:"override_id"`
	ApprovalID uuid.UUID `json:"approval_id"`
}

// OverrideChanged tells an override's workflow to look again: it was cancelled.
type OverrideChanged struct {
	OverrideID uuid.UUID `json:"override_id"`
}

// MailOverride mails somebody about an override. Their address and its reason are looked up when the mail is sent.
type MailOverride struct {
	OverrideID uuid.UUID `json:"override_id"`
	AccountID  uuid.UUID `json:"account_id"`
	What       string    `json:"what"` // asked for, approved, rejected, expired, cancelled
}

// RolloutChanged tells a rollout's workflow to look again, and starts it if it does not run.
type RolloutChanged struct {
	Name string `json:"name"`
}

// RolloutDecided tells a rollout's workflow that somebody has signed or waived an item.
type RolloutDecided struct {
	Name       string    `json:"name"`
	ApprovalID uuid.UUID `json:"approval_id"`
}

// RollbackChanged has the workflow of a rollback look again, and starts it if it does not run.
type RollbackChanged struct {
	RollbackID uuid.UUID `json:"rollback_id"`
}

// StartDrill starts the workflow of a drill.
type StartDrill struct {
	DrillID  uuid.UUID `json:"drill_id"`
	Scenario string    `json:"scenario"`
}

// StopDrill cancels it.
type StopDrill struct {
	DrillID uuid.UUID `json:"drill_id"`
}

// Announce starts the workflow that looks at an announcement's links and, if it has an id, lets it go.
type Announce struct {
	Rollout      string `json:"rollout"`
	Announcement string `json:"announcement"` // of the plan
	ID           string `json:"id,omitempty"` // of the order to send it; "": its links are looked at, no more
}

// AnnouncementMessage is one message of an announcement. What it says and who gets it is read when it goes.
type AnnouncementMessage struct {
	ID uuid.UUID `json:"id"`
}

// ReviewsChanged tells the workflow of a rollout's daily reviews to look again, and starts it if it does not run.
type ReviewsChanged struct {
	Rollout string `json:"rollout"`
}

// ScheduleDrill has Temporal's schedule of a scenario follow what is wanted.
type ScheduleDrill struct {
	Scenario string `json:"scenario"`
}

// ProbeNow has one edge function probed now.
type ProbeNow struct {
	Name probe.Name `json:"name"`
}

// querier is what the pool and a transaction's connection have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// send puts an effect into the outbox of the transaction and returns its id. Messages of one key are
// delivered in the order they were committed.
func (tx *Tx) send(kind, key string, payload any) (id int64, err error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return 0, err
	}
	err = tx.pgx.QueryRow(tx.ctx, `INSERT INTO outbox (kind, key, payload) VALUES ($1, $2, $3) RETURNING id`,
		kind, key, body).Scan(&id)
	return id, wrap(err, "outbox "+kind)
}

// AwaitDelivery waits until message id has been delivered or ctx is over, and reports which. An effect
// that was refused for good comes back as the error it was refused with.
func (s *Store) AwaitDelivery(ctx context.Context, id int64) (bool, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		var m OutboxMessage
		err := s.pool.QueryRow(ctx, `SELECT delivered_at, error_code, error FROM outbox WHERE id = $1`, id).
			Scan(&m.DeliveredAt, &m.ErrorCode, &m.Error)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case err != nil:
			return false, unavailable(err)
		case m.DeliveredAt != nil && m.ErrorCode != nil:
			return true, domain.E(domain.Conflict, *m.ErrorCode, "%s", *m.Error)
		case m.DeliveredAt != nil:
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(pause):
		}
	}
}

// Handler delivers one effect. It must be idempotent: after a crash it is called again with the same
// id. A domain.Error of kind Conflict, NotFound or Invalid is final; any other error is tried again.
type Handler func(ctx context.Context, id int64, payload json.RawMessage) error

// Relay delivers the outbox. Any number may run: each message is claimed by one at a time.
type Relay struct {
	Store    *Store
	Handlers map[string]Handler
	Log      *slog.Logger
}

const (
	relayParallel = 16
	deliverWithin = 25 * time.Second // shorter than the claim, so that no two deliver at once
	claimFor      = "30 seconds"
)

// Run delivers until ctx is over, and returns when what it had begun is done.
func (r *Relay) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, relayParallel)
	wake := make(chan struct{}, 1)
	running.Go(func() { r.Store.listen(ctx, "outbox", wake) })
	sweep := time.NewTicker(time.Second)
	defer sweep.Stop()
	prune := time.NewTicker(time.Hour)
	defer prune.Stop()
	for {
		claimed, err := r.claim(ctx, relayParallel-len(slots))
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("outbox cannot be read", "error", err)
		}
		for _, m := range claimed {
			slots <- struct{}{}
			running.Go(func() {
				defer func() {
					<-slots
					poke(wake) // the next message of this key may go now
				}()
				r.deliver(context.WithoutCancel(ctx), m)
			})
		}
		if len(claimed) > 0 && len(slots) < relayParallel {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-sweep.C:
		case <-prune.C:
			if err := r.Store.prune(ctx); err != nil {
				r.Log.Warn("old rows cannot be pruned", "error", err)
			}
		}
	}
}

// prune forgets what nobody asks for any more: delivered messages after a week, permits after a day, since
// no window reaches further back (of each minute it keeps how many), commands after a month, limits that nothing counts against, and uploads that
// nobody goes on with.
func (s *Store) prune(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM outbox WHERE delivered_at < now() - interval '7 days'`)
	if err == nil {
		err = s.foldPermits(ctx)
	}
	if err == nil {
		_, err = s.pool.Exec(ctx, `DELETE FROM permits WHERE granted_at < now() - interval '25 hours'`)
	}
	if err == nil { // the provider repeats a webhook for a week at most
		_, err = s.pool.Exec(ctx, `DELETE FROM inbound_commands WHERE received_at < now() - interval '30 days' AND reply_to IS NULL`)
	}
	if err == nil {
		_, err = s.pool.Exec(ctx, `DELETE FROM rate_limits WHERE used_up_until < clock_timestamp()`)
	}
	if err == nil {
		err = s.pruneImports(ctx)
	}
	if err == nil {
		err = s.pruneProbes(ctx)
	}
	if err == nil {
		_, err = s.pool.Exec(ctx, `DELETE FROM alert_drill_clocks WHERE expires_at < now() - interval '1 day'`)
	}
	return unavailable(err)
}

func (r *Relay) claim(ctx context.Context, limit int) ([]OutboxMessage, error) {
	if limit == 0 {
		return nil, nil
	}
	rows, err := r.Store.pool.Query(ctx, `UPDATE outbox SET claimed_until = clock_timestamp() + $2::interval, attempts = attempts + 1
		WHERE id IN (SELECT id FROM outbox o
			WHERE delivered_at IS NULL AND available_at <= clock_timestamp()
			  AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
			  AND NOT EXISTS (SELECT FROM outbox e WHERE e.key = o.key AND e.id < o.id AND e.delivered_at IS NULL)
			ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING id, kind, key, payload, attempts`, limit, claimFor)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m OutboxMessage, err error) {
		err = row.Scan(&m.ID, &m.Kind, &m.Key, &m.Payload, &m.Attempts)
		return m, err
	})
}

func (r *Relay) deliver(ctx context.Context, m OutboxMessage) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	handle, ok := r.Handlers[m.Kind]
	err := error(domain.E(domain.Invalid, "unknown_kind", "nothing delivers %s", m.Kind))
	if ok {
		err = handle(ctx, m.ID, m.Payload)
	}
	if err != nil {
		r.Log.Warn("outbox message not delivered", "id", m.ID, "kind", m.Kind, "key", m.Key, "attempt", m.Attempts, "error", err)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.settle(ctx, m, err); err != nil {
		r.Log.Warn("outbox message not settled; it will be delivered again", "id", m.ID, "error", err)
	}
}

func (r *Relay) settle(ctx context.Context, m OutboxMessage, failure error) error {
	var err error
	switch domain.KindOf(failure) {
	case domain.Conflict, domain.NotFound, domain.Invalid:
		_, err = r.Store.pool.Exec(ctx, `UPDATE outbox SET delivered_at = clock_timestamp(), claimed_until = NULL,
			error_code = $2, error = $3 WHERE id = $1`, m.ID, domain.CodeOf(failure), failure.Error())
	default:
		if failure == nil {
			_, err = r.Store.pool.Exec(ctx, `UPDATE outbox SET delivered_at = clock_timestamp(), claimed_until = NULL WHERE id = $1`, m.ID)
			break
		}
		wait := min(time.Duration(1<<min(m.Attempts, 6))*500*time.Millisecond, 30*time.Second)
		_, err = r.Store.pool.Exec(ctx, `UPDATE outbox SET available_at = clock_timestamp() + $2::interval, claimed_until = NULL
			WHERE id = $1`, m.ID, fmt.Sprintf("%d milliseconds", wait.Milliseconds()))
	}
	return err
}

// listen wakes the caller at every notification of a channel until ctx is over. It never gives up on a
// lost connection; callers sweep besides, so a missed notification only costs them a moment.
func (s *Store) listen(ctx context.Context, channel string, wake chan<- struct{}) {
	for ctx.Err() == nil {
		_ = s.listenOnce(ctx, channel, wake)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, channel string, wake chan<- struct{}) error {
	var conn *pgxpool.Conn
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	// A listening connection must not go back to the others.
	raw := conn.Hijack()
	defer func() { _ = raw.Close(context.WithoutCancel(ctx)) }()
	if _, err := raw.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return err
	}
	poke(wake)
	for {
		if _, err := raw.WaitForNotification(ctx); err != nil {
			return err
		}
		poke(wake)
	}
}

func poke(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
