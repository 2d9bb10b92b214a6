package policy

import (
	"time"

	"lastcall/domain/announce"
	"lastcall/domain/oncall"
	"lastcall/domain/review"
)

// ChannelWhatsApp is the WhatsApp Cloud API, so far the only channel.
const ChannelWhatsApp = "whatsapp"

// Settings are one revision of the rules.
type Settings struct {
	Revision     int64            // the newest of all keys
	Revisions    map[string]int64 // of each key that somebody set
	QuietHours   QuietHours
	MissingZone  MissingZone
	Consent      Consent
	Throttle     Throttle
	FrequencyCap FrequencyCap
	Toggles      Toggles
	Campaigns    Campaigns
	Overrides    Overrides

	OfflineRedemptions OfflineRedemptions
	OnCall             oncall.Rota        // who is to be woken
	Announcements      announce.Directory // whom announcements of a rollout go to, and what they link to
	DailyReview        review.Hours       // when somebody looks at how a day of a rollout went
}

// MissingZone says what quiet hours make of a recipient whose zone nobody knows. JSON: {"policy":"hold"}.
type MissingZone struct {
	Policy ZonePolicy `json:"policy"`
}

// ZonePolicy is what happens without a zone where there are quiet hours.
type ZonePolicy string

// The policies. Hold waits until the setting or the quiet hours change; Send takes no heed of quiet hours.
const (
	Hold ZonePolicy = "hold"
	Send ZonePolicy = "send"
)

// Consent says whether marketing needs a recorded opt-in, or goes out with a warning. JSON: {"required":true}.
type Consent struct {
	Required bool `json:"required"`
}

// Throttle is how much a channel may send. A channel that is absent may send nothing.
// JSON: {"whatsapp":{"per_minute":6000,"per_second":80,"tier":2000,"pair_seconds":6}}.
type Throttle map[string]Cap

// Cap is one channel's limits, as the provider receives the messages. All but the first are the provider's own,
// and off at 0.
type Cap struct {
	PerMinute   int `json:"per_minute"`             // messages in any 60 seconds; 0 stops the channel
	PerSecond   int `json:"per_second,omitempty"`   // messages in any second
	Tier        int `json:"tier,omitempty"`         // different recipients in any 24 hours
	PairSeconds int `json:"pair_seconds,omitempty"` // seconds from one message to a recipient to the next
}

// Pair is how long a recipient is left alone after a message; 0: not at all.
func (c Cap) Pair() time.Duration { return time.Duration(c.PairSeconds) * time.Second }

// FrequencyCap is how much one recipient gets, over all campaigns. JSON: {"marketing":{"per_day":1,"per_week":3}}.
type FrequencyCap struct {
	Marketing Frequency `json:"marketing"`
}

// Frequency is how many messages a recipient gets at most. Each limit is off at 0.
type Frequency struct {
	PerDay  int `json:"per_day"`  // in any 24 hours
	PerWeek int `json:"per_week"` // in any 168 hours
}

// Off reports whether there is no limit at all.
func (f Frequency) Off() bool { return f.PerDay <= 0 && f.PerWeek <= 0 }

// Toggles switch things on and off.
type Toggles struct {
	Dispatch        bool `json:"dispatch"`         // whether anything goes out at all
	StationRedeem   bool `json:"station_redeem"`   // whether stations redeem vouchers
	MockRedemptions bool `json:"mock_redemptions"` // whether what they redeem is only rehearsed, as in staging
}

// OfflineRedemptions says whether a station may accept vouchers while it has no connection, and how long ago that may
// have been when it tells. JSON: {"mode":"on","max_age_minutes":720}.
type OfflineRedemptions struct {
	Mode          OfflineMode `json:"mode"`
	MaxAgeMinutes int         `json:"max_age_minutes,omitempty"` // 1 to MaxOfflineAge; needed when on
}

// OfflineMode is whether stations accept vouchers offline.
type OfflineMode string

// The modes.
const (
	OfflineOff OfflineMode = "off"
	OfflineOn  OfflineMode = "on"
)

// MaxOfflineAge is the most minutes that may lie between accepting a voucher offline and telling.
const MaxOfflineAge = 7 * 24 * 60

// MaxAge is how long ago a voucher may have been accepted offline; 0 when none may.
func (o OfflineRedemptions) MaxAge() time.Duration {
	if o.Mode != OfflineOn {
		return 0
	}
	return time.Duration(o.MaxAgeMinutes) * time.Minute
}

// Defaults are the settings of a fresh installation: no quiet hours, who has no zone is held where there are
// some, marketing needs consent, 6,000,000 messages a minute and no other throttle, no frequency cap, dispatch on, every campaign
// approved by a second person, overrides of four hours at most that are decided about within a day, stations redeem, but not offline; announcements go to nobody yet, and
// days are reviewed at nine in Kigali. On the sandbox, where nobody is written to, the store begins
// without the need of consent and of approval.
func Defaults() Settings {
	return Settings{
		QuietHours:  QuietHours{},
		MissingZone: MissingZone{Policy: Hold},
		Consent:     Consent{Required: true},
		Throttle:    Throttle{ChannelWhatsApp: {PerMinute: 6_000_000}},
		Toggles:     Toggles{Dispatch: true, StationRedeem: true},
		Campaigns:   Campaigns{Approval: ApprovalRule{Rule: ApprovalAlways}, MaxLate: Span(2 * time.Hour), ApprovalTTL: Span(24 * time.Hour)},
		Overrides:   Overrides{MaxWindow: Span(4 * time.Hour), RequestTTL: Span(24 * time.Hour)},

		OfflineRedemptions: OfflineRedemptions{Mode: OfflineOff},
		OnCall:             oncall.Rota{Zone: "Africa/Kigali", Starts: "2026-11-23T09:00", Members: []string{}},
		Announcements:      announce.Directory{Lists: map[string][]string{}, Links: map[string]string{}},
		DailyReview:        review.Hours{Zone: "Africa/Kigali", At: "09:00", RemindAt: "12:00"},
	}
}
