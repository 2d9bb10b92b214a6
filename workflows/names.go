// Package workflows orchestrates: what happens in which order, what waits for what, who may interrupt.
// It holds no rule and touches no outside; both are a call away. This file has every id, name and type
// that others need to speak with a workflow.
package workflows

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain/probe"
)

// The task queues. Dispatch has its own, so that a flood of sends never delays an order.
const (
	ControlQueue  = "control"
	DispatchQueue = "dispatch"
)

// CampaignID is the id of a campaign's first workflow.
func CampaignID(id uuid.UUID) string { return "campaign/" + id.String() }

// ResendID is the id of the workflow that looks after a campaign's nth resend; the first workflow's for 0.
func ResendID(id uuid.UUID, n int) string {
	if n == 0 {
		return CampaignID(id)
	}
	return fmt.Sprintf("%s/resend/%d", CampaignID(id), n)
}

// ImportID is the id of an import's workflow.
func ImportID(id uuid.UUID) string { return "import/" + id.String() }

// SendID is the id of the workflow of a single send; of its nth resend, if n is not 0.
func SendID(id uuid.UUID, n int) string {
	if n == 0 {
		return "send/" + id.String()
	}
	return fmt.Sprintf("send/%s/resend/%d", id, n)
}

// SendInput starts a single send, or carries it on in a new run.
type SendInput struct {
	SendID uuid.UUID `json:"send_id"`
	Run    int       `json:"run,omitempty"`   // how often it was ordered again
	Tries  int       `json:"tries,omitempty"` // made so far; 0 at the start
}

// LookAgain tells a single send that what it waits for may have passed.
const LookAgain = "look-again"

// ImportInput starts an import of a file that was uploaded.
type ImportInput struct {
	ImportID uuid.UUID `json:"import_id"`
}

// OverrideID is the id of an override's workflow.
func OverrideID(id uuid.UUID) string { return "override/" + id.String() }

// OverrideInput starts the workflow of a request that stands in Postgres.
type OverrideInput struct {
	OverrideID uuid.UUID `json:"override_id"`
}

// RolloutID is the id of a rollout's workflow.
func RolloutID(name string) string { return "rollout/" + name }

// RolloutInput starts the workflow of a rollout that stands in Postgres.
type RolloutInput struct {
	Name string `json:"name"`
}

// RolloutChanged tells a rollout to look again. It understands Decide, too.
const RolloutChanged = "changed"

// AnnouncementID is the id of the workflow that sends an announcement.
func AnnouncementID(id uuid.UUID) string { return "announcement/" + id.String() }

// AnnouncePreviewID is the id of the workflow that looks at the links of an announcement of a rollout's plan.
func AnnouncePreviewID(rollout, announcement string) string {
	return "announcement/" + rollout + "/" + announcement
}

// AnnounceInput starts either of them.
type AnnounceInput struct {
	Rollout      string    `json:"rollout"`
	Announcement string    `json:"announcement"` // of the plan
	ID           uuid.UUID `json:"id,omitzero"`  // of the order to send it; zero: its links are looked at, no more
}

// DailyReviewsID is the id of the workflow of a rollout's daily reviews.
func DailyReviewsID(rollout string) string { return "daily-review/" + rollout }

// DailyReviewsInput starts it, or carries it on in a new run.
type DailyReviewsInput struct {
	Rollout string `json:"rollout"`
}

// ReviewsChanged tells it to look again.
const ReviewsChanged = "changed"

// RollbackID is the id of a rollback's workflow.
func RollbackID(id uuid.UUID) string { return "rollback/" + id.String() }

// RollbackInput starts the workflow of a rollback that stands in Postgres.
type RollbackInput struct {
	RollbackID uuid.UUID `json:"rollback_id"`
}

// RollbackChanged tells a rollback to look again.
const RollbackChanged = "changed"

// DrillID is the id of a drill's workflow.
func DrillID(id uuid.UUID) string { return "drill/" + id.String() }

// DrillInput starts the workflow of a drill that stands in Postgres.
type DrillInput struct {
	DrillID uuid.UUID `json:"drill_id"`
}

// DrillScheduleID is the id of the schedule that begins drills of a scenario.
func DrillScheduleID(scenario string) string { return "drills/" + scenario }

// ScheduledDrillInput says of which scenario a drill is due.
type ScheduledDrillInput struct {
	Scenario string `json:"scenario"`
}

// The messages an override understands.
const (
	Decide          = "decide" // Decided
	OverrideChanged = "changed"
)

// Decided tells an override that somebody has decided about it. It is a claim: the override looks the decision up, and one
// that is not there, or is of something else, changes nothing.
type Decided struct {
	ApprovalID string `json:"approval_id"`
}

// ProbesSchedule is the id of the schedule that probes all edge functions.
const ProbesSchedule = "probes"

// ProbeID is the id of the workflow that probes one edge function because somebody asked for it.
func ProbeID(name probe.Name) string { return "probe/" + string(name) }

// ProbeInput says what to probe.
type ProbeInput struct {
	Only probe.Name `json:"only,omitempty"` // "": all
}

// The messages a campaign understands. Orders are Updates: they answer when they have taken effect.
const (
	OrderPause      = "pause"
	OrderResume     = "resume"
	OrderStop       = "stop"
	SettingsChanged = "settings-changed"
	Approve         = "approve" // Approved
	QueryState      = "state"
)

// Approved tells a campaign that somebody has approved it. It is a claim: the campaign looks the approval up, and one
// that is not there, or is of something else, changes nothing.
type Approved struct {
	ApprovalID string `json:"approval_id"`
}

// CampaignInput starts a campaign, or carries it on in a new run.
type CampaignInput struct {
	CampaignID uuid.UUID     `json:"campaign_id"`
	SendAt     *time.Time    `json:"send_at,omitempty"`  // nil: at once
	Resend     int           `json:"resend,omitempty"`   // which resend of it; 0: the first sending
	Approval   string        `json:"approval,omitempty"` // the id of the approval with which it was started
	State      CampaignState `json:"state,omitzero"`     // zero at the start, but for the orders that stand when it is recovered
}

// The search attributes by which Ops find a workflow in Temporal Web.
var (
	AttrCampaignID = temporal.NewSearchAttributeKeyKeyword("CampaignId")
	AttrChannel    = temporal.NewSearchAttributeKeyKeyword("Channel")
	AttrState      = temporal.NewSearchAttributeKeyKeyword("State")
	AttrBlocker    = temporal.NewSearchAttributeKeyKeyword("Blocker") // why nothing goes now, a policy reason
	AttrNeedsHuman = temporal.NewSearchAttributeKeyBool("NeedsHuman")
)

// SearchAttributes are all of them; they are registered wherever Temporal runs.
var SearchAttributes = []temporal.SearchAttributeKey{AttrCampaignID, AttrChannel, AttrState, AttrBlocker, AttrNeedsHuman}
