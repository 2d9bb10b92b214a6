package store

import (
	"context"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
)

// Recover gives a campaign whose workflow is gone a new run of it, which is checked and goes on with what is
// queued, as the gate says. It returns the outbox message that starts the run. The caller has looked that no
// workflow is open; the run is not started beside one. It fails with domain.Conflict when the campaign needs no
// workflow, or when an order to it is still on its way.
func (s *Store) Recover(ctx context.Context, id uuid.UUID, reason string) (message int64, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		c, err := tx.lockCampaign(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := campaign.CheckRecover(c.Status); err != nil {
			return audit.Entry{}, err
		}
		pending, err := tx.pending(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if pending {
			return audit.Entry{}, domain.E(domain.Conflict, "order_pending", "an order to the campaign is on its way to Temporal: wait for its effect")
		}
		counts, err := tx.counts(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.guardSending(s, target(id), c.TemplateID, counts.Queued); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.change(id, map[string]any{"status": campaign.Scheduled, "needs_human": "", "finished_at": nil, "report": nil}); err != nil {
			return audit.Entry{}, err
		}
		message, err = tx.send(KindRecoverCampaign, target(id), RecoverCampaign{
			StartCampaign: StartCampaign{CampaignID: id, Name: c.Name, SendAt: c.SendAt, Targets: counts.Queued, Resend: c.Resend, ApprovalID: c.ApprovalID},
			Paused:        c.Gate == campaign.GatePaused, Stopped: c.Gate == campaign.GateStopped})
		return audit.Entry{Action: "campaign.recovered", Target: target(id), Reason: reason, Diff: map[string]any{
			"status": []campaign.Status{c.Status, campaign.Scheduled}, "resend": c.Resend, "gate": c.Gate,
			"queued": counts.Queued, "sending": counts.Sending}}, err
	})
	return message, err
}

// pending reports whether a message to the campaign's workflow has not been delivered.
func (tx *Tx) pending(id uuid.UUID) (pending bool, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM outbox WHERE key = $1 AND delivered_at IS NULL)`, target(id)).Scan(&pending)
	return pending, err
}
