// Package probe is what Lastcall knows of its edge functions: the services it leans on, which of them are critical, and
// what a probe may say of each.
package probe

import "time"

// State is what the last probe found.
type State string

// The states. Amber answers, but refuses, is slow, or fails part of the time; red is unreachable, timed out or not
// deployed; unknown has no recent probe, and is never taken for green.
const (
	Green   State = "green"
	Amber   State = "amber"
	Red     State = "red"
	Unknown State = "unknown"
)

// Name names an edge function, in the database, in rules and in drills.
type Name string

// The registry's names.
const (
	Messaging   Name = "messaging"    // the WhatsApp Cloud API
	Dispatcher  Name = "dispatcher"   // workers that poll the task queues
	VoucherCard Name = "voucher-card" // draws vouchers
	Payments    Name = "payments"     // the Revolut link
	OpsChannel  Name = "ops-channel"  // where Ops are told
	Mail        Name = "mail"
	Panel       Name = "panel"       // a sign-in from outside
	Redemptions Name = "redemptions" // stations that redeem vouchers
	Database    Name = "database"
)

// Function is an edge function.
type Function struct {
	Name     Name
	Critical bool          // red for long is a signal to roll back
	Slow     time.Duration // an answer that takes longer is amber
	Title    string        // for people
	Impact   string        // what is lost while it is red, and what still works
}

// Every is how often each is probed, unless the configuration says otherwise.
const Every = time.Minute

// Stale is how long after its last probe an edge function's state is unknown, probed so often.
func Stale(every time.Duration) time.Duration { return 2*every + 15*time.Second }

// OutageAfter is how long an edge function is red until the audit log has it as an outage.
const OutageAfter = 30 * time.Minute

// Kept is how long results are kept.
const Kept = 90 * 24 * time.Hour

// Functions is the registry, in the order people see.
var Functions = []Function{
	{Messaging, true, 2 * time.Second, "WhatsApp messaging", "Nothing is sent. Campaigns hold what they have and go on by themselves; stations still redeem."},
	{Dispatcher, true, 2 * time.Second, "Campaign dispatcher", "Campaigns cannot start or go on. What was sent stays sent; stations still redeem."},
	{VoucherCard, false, 2 * time.Second, "Voucher cards", "You can still issue vouchers; recipients see the code as text."},
	{Payments, false, 3 * time.Second, "Payment link", "The link to pay by does not open. Vouchers are issued and redeemed as before."},
	{OpsChannel, false, 3 * time.Second, "Ops channel", "Ops are told by mail only. Alerts wait for the channel; none is lost."},
	{Mail, false, 3 * time.Second, "Mail", "Invitations, resets and notices wait. The Ops channel still works."},
	{Panel, false, 3 * time.Second, "Panel sign-in", "Support may be unable to sign in. Campaigns go on; stations still redeem."},
	{Redemptions, false, 500 * time.Millisecond, "Station redemptions", "Stations cannot redeem vouchers, or not all of them; the same voucher can be tried again. Messages still go."},
	{Database, true, 500 * time.Millisecond, "Database", "Nothing works until it answers again. Nothing that was committed is lost."},
}

// Find returns the function of a name.
func Find(name Name) (Function, bool) {
	for _, f := range Functions {
		if f.Name == name {
			return f, true
		}
	}
	return Function{}, false
}
