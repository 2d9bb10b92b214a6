package workflows

import (
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
)

// Announce looks whether the links of an announcement lead anywhere and, when somebody has ordered it, lets it go if all of
// them do. What it says and who gets it stays in Postgres.
func Announce(ctx workflow.Context, in AnnounceInput) error {
	if _, err := run(ctx, control("do its links lead anywhere?", time.Minute), comms.CheckLinks, activities.AnnouncementLinks{Rollout: in.Rollout, Announcement: in.Announcement}); err != nil {
		return err
	}
	if in.ID == uuid.Nil {
		return nil
	}
	_, err := run(ctx, control("let it go", 10*time.Second), comms.SendAnnouncement, in.ID)
	return err
}

// comms names activities by method value; the worker has the real one.
var comms *activities.Comms
