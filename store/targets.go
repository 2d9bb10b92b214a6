package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
)

// Target is one recipient of one campaign.
type Target struct {
	ID          int64     `gorm:"primaryKey;autoIncrement"`
	CampaignID  uuid.UUID `gorm:"type:uuid"`
	Cohort      int16
	MSISDN      contact.MSISDN  `gorm:"column:msisdn"`
	MSISDNHash  []byte          `gorm:"column:msisdn_hash"`
	Variables   json.RawMessage `gorm:"type:jsonb"`
	State       campaign.TargetState
	NotBefore   *time.Time // queued: not again before then
	Reason      *string    // queued with NotBefore, failed, unknown: why
	Owner       *string    // sending: "<run>/<lane>/<batch>"
	Fence       *int       // sending: the owner's attempt
	Attempt     int        // how often it was marked sending
	ProviderID  *string
	ErrorCode   *int // the provider's
	SendingAt   *time.Time
	SentAt      *time.Time
	DeliveredAt *time.Time
	ReadAt      *time.Time
	EndedAt     *time.Time // failed, opted_out, unknown, cancelled

	PolicyRevision *int64 // queued with NotBefore by the frequency cap: its revision that decided

	// By the database, for its indexes.
	Again bool    `gorm:"->"` // queued, and tried or held before
	Ended *string `gorm:"->"` // State, off the way from queued to read
}

// TargetEvent is something off a target's happy path.
type TargetEvent struct {
	ID        int64 `gorm:"primaryKey;autoIncrement"`
	TargetID  int64
	At        time.Time
	Kind      string // requeued, failed, opted_out, unknown, settled, late_receipt
	Attempt   int
	Reason    string
	ErrorCode *int
}

// Cohort is the targets of a campaign that share every rule that looks at the clock.
type Cohort struct {
	CampaignID    uuid.UUID `gorm:"type:uuid;primaryKey"`
	ID            int16     `gorm:"primaryKey"`
	Country       string    `gorm:"type:char(2)"`
	Zone          string    // IANA, "" if unknown
	Locale        string
	Counts        campaign.Counts `gorm:"embedded"`
	BlockedReason policy.Reason
	BlockedUntil  *time.Time
	QueueFrom     int64      // no fresh target has a lower id
	OverrideID    *uuid.UUID `gorm:"type:uuid"` // by which it goes in quiet hours, as it was told to the audit log last
}

// override is the id of the override by which it was told to go; "" for none.
func (c Cohort) override() string {
	if c.OverrideID == nil {
		return ""
	}
	return c.OverrideID.String()
}

func (c Cohort) subject(channel string) policy.Subject {
	return policy.Subject{Channel: channel, Country: c.Country, Zone: c.Zone, Locale: c.Locale}
}

// Targets lists a campaign's targets in the order of their ids, those after the id `after`; state "" lists
// all states.
func (s *Store) Targets(ctx context.Context, id uuid.UUID, state campaign.TargetState, after int64, limit int) ([]Target, error) {
	if _, err := s.Campaign(ctx, id); err != nil {
		return nil, err
	}
	all := []Target{}
	// Each cohort's in order, then the first of them: no index has the order of all.
	which := ""
	switch state {
	case "":
	case campaign.FailedT, campaign.OptedOut, campaign.Unknown, campaign.Cancelled:
		which = "AND t.ended = @state"
	default:
		which = "AND t.state = @state"
	}
	err := s.orm.WithContext(ctx).Raw(`SELECT t.* FROM cohorts k, LATERAL (SELECT * FROM targets t WHERE t.campaign_id = k.campaign_id
			AND t.cohort = k.id AND t.id > @after `+which+` ORDER BY t.id LIMIT @limit) t
		WHERE k.campaign_id = @id ORDER BY t.id LIMIT @limit`,
		map[string]any{"id": id, "after": after, "state": state, "limit": page(limit)}).Scan(&all).Error
	return all, unavailable(err)
}

// Cohorts lists a campaign's cohorts with their counts.
func (s *Store) Cohorts(ctx context.Context, id uuid.UUID) ([]Cohort, error) {
	var all []Cohort
	err := s.orm.WithContext(ctx).Where("campaign_id = ?", id).Order("id").Find(&all).Error
	return all, unavailable(err)
}
