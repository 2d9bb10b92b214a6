package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
)

// Report is what is left of a campaign when it has ended.
type Report struct {
	Counts   campaign.Counts `json:"counts"`
	Failures []Failures      `json:"failures"`
	Seconds  float64         `json:"seconds"` // from the order to start, or to send again, until the end

	Vouchers *CampaignVouchers `json:"vouchers,omitempty"` // of a campaign that gives vouchers, as they were at its end
}

// Failures is how many targets failed for one reason, and what to do about it.
type Failures struct {
	Reason    string `json:"reason"`
	ErrorCode int    `json:"error_code,omitempty"` // the provider's
	Targets   int64  `json:"targets"`
	delivery.Diagnosis
}

// Finish writes the report and ends the campaign; the Ops channel and those who get reports are told in
// the same transaction, unless it is a drill's. Doing it again changes nothing. Ending as campaign.Failed says why in needsHuman.
func (s *Store) Finish(ctx context.Context, id uuid.UUID, to campaign.Status, needsHuman string) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		c, err := tx.lockCampaign(id)
		if err != nil || c.Status == to {
			return audit.Entry{Action: "campaign.ended", Target: target(id), Diff: map[string]any{"status": to, "again": true}}, err
		}
		if !c.Status.May(to) {
			return audit.Entry{}, wrongState(c.Status, to)
		}
		r, err := tx.report(c)
		if err != nil {
			return audit.Entry{}, err
		}
		body, err := json.Marshal(r)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.change(id, map[string]any{"status": to, "report": body, "needs_human": needsHuman, "finished_at": databaseTime}); err != nil {
			return audit.Entry{}, err
		}
		entry := audit.Entry{Action: "campaign.ended", Target: target(id), Diff: map[string]any{"status": to, "report": r}}
		if c.IsDrill {
			return entry, nil // its drill tells how it went
		}
		level := "info"
		if r.Counts.Unknown > 0 || to == campaign.Failed {
			level = "warn"
		}
		title := fmt.Sprintf("Campaign %s: %s", to, c.Name)
		if _, err := tx.send(KindOpsNotice, target(id)+"/ops", OpsNotice{Title: title, Text: r.String(), Level: level}); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.send(KindMail, target(id)+"/mail", Mail{Subject: title, Text: r.String()}); err != nil {
			return audit.Entry{}, err
		}
		return entry, nil
	})
}

func (tx *Tx) report(c Campaign) (Report, error) {
	r := Report{Failures: []Failures{}}
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT extract(epoch FROM clock_timestamp() - coalesce(
			(SELECT created_at FROM resends WHERE campaign_id = c.id AND n = c.resend), c.started_at))::float8
		FROM campaigns c WHERE c.id = $1`, c.ID).Scan(&r.Seconds); err != nil {
		return r, err
	}
	var err error
	if r.Counts, err = tx.counts(c.ID); err != nil {
		return r, err
	}
	all, err := failures(tx.ctx, tx.pgx, c.ID)
	r.Failures = append(r.Failures, all...)
	if err == nil {
		r.Vouchers, err = campaignVouchers(tx.ctx, tx.pgx, c)
	}
	return r, err
}

// counts adds up a campaign's cohorts.
func (tx *Tx) counts(id uuid.UUID) (all campaign.Counts, err error) {
	var cohorts []Cohort
	err = tx.orm.Where("campaign_id = ?", id).Find(&cohorts).Error
	for _, k := range cohorts {
		all.Add(k.Counts)
	}
	return all, err
}

// String is the report in a few words: the counts, then a line for each kind of failure.
func (r Report) String() string {
	c := r.Counts
	text := fmt.Sprintf("%d targets: %d accepted (%d delivered, %d read), %d failed, %d opted out, %d cancelled.",
		c.Targets, c.Accepted(), c.Delivered+c.Read, c.Read, c.Failed, c.OptedOut, c.Cancelled)
	if c.Unknown > 0 {
		text += fmt.Sprintf(" %d UNKNOWN: nobody can tell whether they were sent.", c.Unknown)
	}
	if v := r.Vouchers; v != nil {
		text += fmt.Sprintf("\n%d vouchers worth %s %s: %d sent (%d as cards, %d as text), %d redeemed, %d expired, %d void.",
			v.Made, v.MadeValue, v.Currency, v.Sent, v.Cards, v.Texts, v.Redeemed, v.Expired, v.Void)
		if v.Unsent > 0 {
			text += fmt.Sprintf(" %d have not come to their guests: Support has them.", v.Unsent)
		}
	}
	for _, f := range r.Failures {
		text += fmt.Sprintf("\n%d failed: %s", f.Targets, f.Meaning)
		if f.ErrorCode != 0 {
			text += fmt.Sprintf(" (WhatsApp's code %d)", f.ErrorCode)
		}
		text += "."
		if f.Advice != "" {
			text += " " + f.Advice
		}
	}
	return text
}
