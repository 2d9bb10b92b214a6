// Package domain holds what every room shares: the one error type. What the business is lives in the
// packages below it, one small package a concept.
package domain

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an Error is. The API maps each kind to one HTTP status, the CLI to
// one exit code; nothing else decides either.
type Kind string

// The kinds.
const (
	Invalid         Kind = "invalid"         // the caller's input is wrong: 422, or 400 for bad syntax
	NotFound        Kind = "not_found"       // nothing has this id: 404
	Conflict        Kind = "conflict"        // the state does not allow it: 409
	Stale           Kind = "stale"           // the caller knew an older state: 412
	Unauthenticated Kind = "unauthenticated" // no valid credential: 401
	Forbidden       Kind = "forbidden"       // a valid credential that may not: 403
	TooLarge        Kind = "too_large"       // beyond a limit: 413
	TooMany         Kind = "too_many"        // too often; later, perhaps: 429
	Unavailable     Kind = "unavailable"     // a part of the system does not answer now: 503
	Internal        Kind = "internal"        // our fault: 500
)

// Error is the one error type people see.
type Error struct {
	Kind    Kind
	Code    string // stable and snake_case; scripts may branch on it
	Message string // for people: active, direct, free of secrets and phone numbers
	Field   string // the field, column, key or line it is about, if any
	Cause   error  // for logs only, never shown

	Facts   any           // for programs, as JSON: what Message says in words; free of secrets and phone numbers
	RetryIn time.Duration // when trying again may help; 0 when nobody knows
}

// E makes an Error. The message is a fmt format.
func E(kind Kind, code, message string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(message, args...)}
}

// About names the field the error is about and returns the error.
func (e *Error) About(field string) *Error { e.Field = field; return e }

// Because attaches the cause for logs and returns the error.
func (e *Error) Because(cause error) *Error { e.Cause = cause; return e }

// With attaches what programs may want to know and returns the error.
func (e *Error) With(facts any) *Error { e.Facts = facts; return e }

// After says when trying again may help and returns the error.
func (e *Error) After(d time.Duration) *Error { e.RetryIn = d; return e }

func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.Message
	}
	return e.Message
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the first Error in err's chain, Internal when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// CodeOf returns the code of the first Error in err's chain, "internal" when there is none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return "internal"
}
