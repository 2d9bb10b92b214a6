package activities

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"

	"lastcall/domain/audience"
	"lastcall/store"
)

// Imports are the activities of the import workflow.
type Imports struct {
	Store *store.Store
	Log   *slog.Logger
}

// StageImport reads an uploaded file from where it was last read to. It returns before the file's end when the worker is
// stopping, or when another attempt is at it: whoever calls again goes on.
func (a *Imports) StageImport(ctx context.Context, id uuid.UUID) (store.ImportStep, error) {
	defer beating(ctx)()
	stop := activity.GetWorkerStopChannel(ctx)
	step, err := a.Store.StageImport(ctx, id, func() bool {
		select {
		case <-stop:
			return false
		default:
			return ctx.Err() == nil
		}
	})
	if errors.Is(err, store.ErrFenced) {
		a.Log.Info("import fenced out", "import", id)
		return store.ImportStep{Phase: audience.Staging}, nil
	}
	if err == nil {
		err = ctx.Err()
	}
	return step, err
}

// MergeImport makes targets of what was staged, in one transaction, and returns the phase the import is in then: staging
// when the rows are gone and have to be staged again.
func (a *Imports) MergeImport(ctx context.Context, id uuid.UUID) (audience.Phase, error) {
	defer beating(ctx)()
	phase, err := a.Store.MergeImport(ctx, id)
	if err != nil && ctx.Err() != nil {
		return phase, ctx.Err()
	}
	return phase, err
}

// FailImportInput is why an import cannot go on.
type FailImportInput struct {
	ImportID uuid.UUID `json:"import_id"`
	Code     string    `json:"code"`
	Problem  string    `json:"problem"`
}

// FailImport ends an import that cannot go on.
func (a *Imports) FailImport(ctx context.Context, in FailImportInput) (Nothing, error) {
	return Nothing{}, a.Store.FailImport(ctx, in.ImportID, in.Code, in.Problem)
}

// CleanImport removes the file of an import that has ended.
func (a *Imports) CleanImport(ctx context.Context, id uuid.UUID) (Nothing, error) {
	defer beating(ctx)()
	return Nothing{}, a.Store.CleanImport(ctx, id)
}

// beating heartbeats for an activity that waits for the database, until the returned function is called.
func beating(ctx context.Context) (end func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		beat := time.NewTicker(time.Second)
		defer beat.Stop()
		for {
			activity.RecordHeartbeat(ctx)
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-beat.C:
			}
		}
	})
	return func() { close(done); running.Wait() }
}
