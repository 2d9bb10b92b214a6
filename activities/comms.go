package activities

import (
	"context"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"lastcall/domain/audit"
	"lastcall/gateway/links"
	"lastcall/store"
)

// Comms are the activities of announcements and daily reviews.
type Comms struct {
	Store *store.Store
}

// AnnouncementLinks names the announcement whose links are looked at.
type AnnouncementLinks struct {
	Rollout      string `json:"rollout"`
	Announcement string `json:"announcement"`
}

// CheckLinks looks whether the links of an announcement lead anywhere, side by side, keeps what it found, and returns how many
// do not. That one does not is a result, not an error.
func (a *Comms) CheckLinks(ctx context.Context, in AnnouncementLinks) (dead int, err error) {
	all, private, err := a.Store.LinksOf(ctx, in.Rollout, in.Announcement)
	if err != nil {
		return 0, err
	}
	problems := make([]string, len(all))
	checker := links.Checker{Private: private}
	var looking errgroup.Group
	looking.SetLimit(8)
	for i, link := range all {
		looking.Go(func() error {
			problems[i] = checker.Check(ctx, link)
			return ctx.Err() // the worker stops: that says nothing about the link
		})
	}
	if err := looking.Wait(); err != nil {
		return 0, err
	}
	found := map[string]string{}
	for i, link := range all {
		if found[link] = problems[i]; problems[i] != "" {
			dead++
		}
	}
	return dead, a.Store.RecordLinks(ctx, found)
}

// SendAnnouncement lets an announcement go whose links lead somewhere, and tells whether it went.
func (a *Comms) SendAnnouncement(ctx context.Context, id uuid.UUID) (went bool, err error) {
	return a.Store.AnnouncementGoes(audit.WithActor(ctx, audit.System("announcements")), id)
}

// ReviewsStep is how it stands about the reviews of a rollout.
type ReviewsStep struct {
	Over     bool          `json:"over,omitempty"`     // no day of the phase is reviewed
	Opened   int           `json:"opened,omitempty"`   // by this step
	Reminded int           `json:"reminded,omitempty"` // by this step
	Open     int           `json:"open"`               // that nobody has signed
	Wait     time.Duration `json:"wait,omitempty"`     // until the next one opens or is reminded of, by the database's clock; 0: none will be
}

// StepReviews opens the reviews that are due and reminds of those that nobody has signed.
func (a *Comms) StepReviews(ctx context.Context, rollout string) (ReviewsStep, error) {
	step, err := a.Store.StepReviews(audit.WithActor(ctx, audit.System("reviews")), rollout)
	return ReviewsStep(step), err
}
