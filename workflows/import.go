package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/audience"
)

// Import takes an uploaded file into its campaign: it stages its lines, merges them as a whole, and removes the file. It
// survives the loss of any process; a cancelled or failed import leaves nothing.
func Import(ctx workflow.Context, in ImportInput) error {
	i := &importRun{ImportInput: in}
	err := i.run(ctx)
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err != nil {
		err = errors.Join(err, i.fail(ctx, err))
	}
	_, left := run(ctx, batch("removes the file", time.Hour), imports.CleanImport, in.ImportID)
	return errors.Join(err, left)
}

// imports names activities by method value; the worker has the real one.
var imports *activities.Imports

type importRun struct{ ImportInput }

// run is the story of an import.
func (i *importRun) run(ctx workflow.Context) error {
	phase := audience.Staging
	for !phase.Ended() {
		if err := i.show(ctx, phase); err != nil {
			return err
		}
		var err error
		if phase == audience.Staging {
			phase, err = i.stage(ctx)
		} else {
			phase, err = run(ctx, batch("merges", 24*time.Hour), imports.MergeImport, i.ImportID)
		}
		if err != nil {
			return err
		}
	}
	return i.show(ctx, phase)
}

// stage reads the file on, and returns what comes next.
func (i *importRun) stage(ctx workflow.Context) (audience.Phase, error) {
	step, err := run(ctx, batch("stages lines", 24*time.Hour), imports.StageImport, i.ImportID)
	if err == nil && step.Ready {
		return audience.Merging, nil
	}
	return step.Phase, err
}

// fail ends an import that cannot go on. One that was cancelled in Postgres has ended there already, and stays as it is.
func (i *importRun) fail(ctx workflow.Context, why error) error {
	in := activities.FailImportInput{ImportID: i.ImportID, Code: "internal", Problem: "the workflow failed"}
	if app := (*temporal.ApplicationError)(nil); errors.As(why, &app) {
		in.Code, in.Problem = app.Type(), app.Message()
	} else if temporal.IsCanceledError(why) {
		in.Code, in.Problem = "cancelled", "the workflow was cancelled from outside"
	}
	_, err := run(ctx, control("fails", time.Minute), imports.FailImport, in)
	return errors.Join(err, i.show(ctx, audience.Failed))
}

// show tells Ops in Temporal Web where the import is.
func (i *importRun) show(ctx workflow.Context, phase audience.Phase) error {
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**%s** · the figures are in Postgres", phase))
	return workflow.UpsertTypedSearchAttributes(ctx, AttrState.ValueSet(string(phase)))
}
