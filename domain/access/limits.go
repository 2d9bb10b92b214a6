package access

import "time"

// Limit is how often somebody may ask for something: Burst times at once, and then once every Every.
type Limit struct {
	Name  string // as the audit log and the database know it
	Burst int
	Every time.Duration
}

// The limits. Signing in has lock-outs of its own, which grow.
var (
	ResetsPerAccount   = Limit{"password_resets_account", 3, 20 * time.Minute}
	ResetsPerAddress   = Limit{"password_resets_address", 10, 5 * time.Minute}
	LinksPerAddress    = Limit{"links_address", 20, time.Minute}
	InvitationsPerUser = Limit{"invitations", 30, 2 * time.Minute}
	MailsPerInvitee    = Limit{"invitation_mails", 3, 20 * time.Minute}
	ImportsPerUser     = Limit{"imports", 100, 2 * time.Second}
	RefusalsEntered    = Limit{"refusals_entered", 10, time.Minute} // of one client, in the audit log
)

// How long links are good for, from the moment their mail is written.
const (
	InvitationLasts = 72 * time.Hour
	ResetLasts      = time.Hour
)

// How long a token of one's own lasts.
const (
	TokenLasts    = 90 * 24 * time.Hour // unless its owner says otherwise
	TokenLastsMax = 365 * 24 * time.Hour
)
