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
	Panel       Name = "panel" // a sign-in from outside
	Database    Name = "database"
)

// Function is an edge function.
type Function struct {
	Name     Name
	Critical bool   // red for long is a signal to roll back
	Title    string // for people
	Impact   string // what is lost while it is red, and what still works
}

// Every is how often each is probed.
const Every = time.Minute

// Stale is how long after its last probe an edge function's state is unknown.
const Stale = 2*Every + 15*time.Second

// Functions is the registry, in the order people see.
var Functions = []Function{
	{Messaging, true, "WhatsApp messaging", "Nothing is sent. Campaigns hold what they have and go on by themselves; stations still redeem."},
	{Dispatcher, true, "Campaign dispatcher", "Campaigns cannot start or go on. What was sent stays sent; stations still redeem."},
	{VoucherCard, false, "Voucher cards", "You can still issue vouchers; recipients see the code as text."},
	{Payments, false, "Payment link", "Vouchers show no link to pay by. They are issued and redeemed as before."},
	{OpsChannel, false, "Ops channel", "Ops are told by mail only. Alerts wait for the channel; none is lost."},
	{Mail, false, "Mail", "Invitations, resets and notices wait. The Ops channel still works."},
	{Panel, false, "Panel sign-in", "Support may be unable to sign in. Campaigns go on; stations still redeem."},
	{Database, true, "Database", "Nothing works until it answers again. Nothing that was committed is lost."},
}
