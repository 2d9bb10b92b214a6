package workflows

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
)

// announce starts the workflow of an announcement; one that only looks at its links and is under way is as good.
func (m Messenger) announce(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		Rollout      string `json:"rollout"`
		Announcement string `json:"announcement"`
		ID           string `json:"id"`
	}
	err := json.Unmarshal(payload, &p)
	in := AnnounceInput{Rollout: p.Rollout, Announcement: p.Announcement}
	if err == nil && p.ID != "" {
		in.ID, err = uuid.Parse(p.ID)
	}
	if err != nil {
		return domain.E(domain.Invalid, "bad_payload", "this names no announcement").Because(err)
	}
	options := client.StartWorkflowOptions{ID: AnnouncePreviewID(p.Rollout, p.Announcement), TaskQueue: ControlQueue, StaticSummary: "announcement · " + p.Announcement,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrState.ValueSet("announcing"), AttrNeedsHuman.ValueSet(false))}
	if in.ID != uuid.Nil {
		options.ID, options.WorkflowIDReusePolicy = AnnouncementID(in.ID), enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	}
	_, err = m.client.ExecuteWorkflow(ctx, options, Announce, in)
	if _, started := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); started {
		return nil // by this very message, before a crash
	}
	return err
}

// reviewsChanged tells the workflow of a rollout's reviews to look again, and starts it if it does not run.
func (m Messenger) reviewsChanged(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		Rollout string `json:"rollout"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	_, err := m.client.SignalWithStartWorkflow(ctx, DailyReviewsID(p.Rollout), ReviewsChanged, nil, client.StartWorkflowOptions{
		ID: DailyReviewsID(p.Rollout), TaskQueue: ControlQueue, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:         "daily reviews · " + p.Rollout,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrState.ValueSet("reviewing"), AttrNeedsHuman.ValueSet(false)),
	}, DailyReviews, DailyReviewsInput{Rollout: p.Rollout})
	return err
}
