// Package audit says what an audit entry is and carries who acts from the edge of the system, where
// people are recognised, to the transaction, where the entry is written.
package audit

import "context"

// Entry is one line of the audit log: who did what to what, and why.
type Entry struct {
	Action   string // verb in the past, dotted by concept: campaign.started, opt_out.added
	Target   string // what it was done to: "campaign/<id>", "settings/throttle"
	Diff     any    // what changed, as JSON; never a phone number or a message text
	Reason   string // the person's words, where asked for
	Revision int64  // the policy revision that decided, where one did
}

// Actor is whoever acts.
type Actor struct {
	Kind string // "account" for a person, "token" for a program, "system" for Lastcall's own doings
	Name string // the account's address, the token's name, or the part of the system
	ID   string // the account's id; "" for the others

	Token string // the name of the account's token that acts in its place; "" where people do
}

// EntryName is who acts, as the audit log names them.
func (a Actor) EntryName() string {
	if a.Token != "" {
		return a.Name + " (token " + a.Token + ")"
	}
	return a.Name
}

// LogName is who acts, as logs may know it: people by their id only.
func (a Actor) LogName() string {
	if a.ID != "" {
		return a.Kind + "/" + a.ID
	}
	return a.Name
}

// System is the actor of what Lastcall does by itself, named by part.
func System(part string) Actor { return Actor{Kind: "system", Name: part} }

type contextKey int

const (
	actorKey contextKey = iota
	requestKey
)

// WithActor returns a context whose writes are entered as done by a.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey, a)
}

// ActorFrom returns who acts in ctx; system "lastcall" when nobody was named.
func ActorFrom(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey).(Actor); ok {
		return a
	}
	return System("lastcall")
}

// WithRequestID returns a context whose writes are entered with this request id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey, id)
}

// RequestIDFrom returns the request id of ctx, or "".
func RequestIDFrom(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}
