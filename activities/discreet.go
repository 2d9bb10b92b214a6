package activities

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
)

// Discreet is err as a history may keep it: our own words and codes, never the text of a database or a
// provider, which may repeat a number. What no repetition mends is marked so.
func Discreet(err error) error {
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return app
	}
	if e, ok := errors.AsType[*domain.Error](err); ok {
		switch e.Kind {
		case domain.Conflict, domain.NotFound, domain.Invalid, domain.Forbidden:
			return temporal.NewNonRetryableApplicationError(e.Message, e.Code, nil)
		}
		return temporal.NewApplicationError(e.Message, e.Code)
	}
	code := "internal"
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		code = "postgres_" + pg.Code
	}
	return temporal.NewApplicationError("an internal error; the worker's log tells more", code)
}
