package access

import (
	"maps"
	"slices"
)

// Permission is one thing that somebody may do. Each route of the API declares the one it takes; roles have them by
// the table below, and nothing else decides.
type Permission string

// Two permissions that no role has to grant.
const (
	Everyone Permission = ""          // whoever calls, without signing in
	SignedIn Permission = "signed_in" // whoever is recognised
)

// The permissions that roles grant, by what they are about.
const (
	CampaignsRead    Permission = "campaigns.read"
	CampaignsWrite   Permission = "campaigns.write"   // drafts, audiences and imports
	CampaignsRun     Permission = "campaigns.run"     // start, pause, resume, stop, send again
	CampaignsApprove Permission = "campaigns.approve" // let another's campaign start

	OverridesRead    Permission = "overrides.read"
	OverridesRequest Permission = "overrides.request"
	OverridesDecide  Permission = "overrides.decide"

	TemplatesRead   Permission = "templates.read"
	TemplatesWrite  Permission = "templates.write"
	TemplatesReview Permission = "templates.review" // approve and lock another's
	TemplatesTest   Permission = "templates.test"   // send one to a phone, and compare with what WhatsApp lists

	ContactsRead   Permission = "contacts.read" // numbers masked
	ContactsWrite  Permission = "contacts.write"
	ContactsReveal Permission = "contacts.reveal" // whole numbers; each look is in the audit log
	ContactsErase  Permission = "contacts.erase"
	OptOutsRead    Permission = "opt_outs.read"
	OptOutsWrite   Permission = "opt_outs.write" // enter into the registry
	OptOutsLift    Permission = "opt_outs.lift"  // take out of it; not for who writes to single people

	SendsRead  Permission = "sends.read"
	SendsWrite Permission = "sends.write" // single messages

	SmokeRead  Permission = "smoke.read"
	SmokeWrite Permission = "smoke.write" // record what smoke tests found

	DrillsRead Permission = "drills.read"
	DrillsRun  Permission = "drills.run" // begin and stop incidents on purpose

	SettingsRead  Permission = "settings.read"
	SettingsWrite Permission = "settings.write"
	ChannelsRun   Permission = "channels.run" // suspend and resume channels and templates

	ThrottleReview Permission = "throttle.review" // say that the caps were looked at with the advice at hand, and stay

	VouchersRead   Permission = "vouchers.read"
	VouchersIssue  Permission = "vouchers.issue"
	VouchersVoid   Permission = "vouchers.void"
	VouchersTotals Permission = "vouchers.totals" // sums and exports of value

	BarsRead      Permission = "bars.read"
	BarsWrite     Permission = "bars.write"
	DevicesManage Permission = "devices.manage" // operators, their PINs, and devices of stations
	StationUse    Permission = "station.use"    // the app of one station

	PaymentsRead    Permission = "payments.read"
	PaymentsWrite   Permission = "payments.write"
	PaymentsConfirm Permission = "payments.confirm"

	RolloutRead Permission = "rollout.read"
	RolloutRun  Permission = "rollout.run"  // begin one, open its gates, choose who takes part
	RolloutSign Permission = "rollout.sign" // attest an item, in one's own role's seat
	RolloutLead Permission = "rollout.lead" // waive an item, change the plan, end it
	ReviewsSign Permission = "reviews.sign" // attest that one has looked at how a day of a rollout went

	RolloutRollBack Permission = "rollout.roll_back" // and ask to recover
	RolloutRecover  Permission = "rollout.recover"   // sign another's recovery

	ProbesRead    Permission = "probes.read"
	ProbesCheck   Permission = "probes.check"  // have an edge function probed now
	FaultsInject  Permission = "faults.inject" // make edge functions fail on purpose, and switch that off
	DashboardRead Permission = "dashboard.read"

	AlertsRead     Permission = "alerts.read"
	AlertsAck      Permission = "alerts.ack" // and test them
	IncidentsRead  Permission = "incidents.read"
	IncidentsWrite Permission = "incidents.write"

	AccountsManage Permission = "accounts.manage"
	AuditRead      Permission = "audit.read"
	AuditExport    Permission = "audit.export"
)

// staff is who works in the panel.
var staff = []Role{Admin, ProjectLead, Ops, Support, Compliance, Finance, Viewer}

// granted is who may do what.
var granted = map[Permission][]Role{
	SignedIn: Roles,

	CampaignsRead:    staff,
	CampaignsWrite:   {Admin, Ops},
	CampaignsRun:     {Admin, Ops},
	CampaignsApprove: {Admin, ProjectLead},

	OverridesRead:    staff,
	OverridesRequest: {Admin, ProjectLead, Ops, Support},
	OverridesDecide:  {ProjectLead},

	TemplatesRead:   staff,
	TemplatesWrite:  {Admin, Ops},
	TemplatesReview: {Compliance},
	TemplatesTest:   {Admin, Ops, Compliance},

	ContactsRead:   staff,
	ContactsWrite:  {Admin, Support},
	ContactsReveal: {Admin, Support},
	ContactsErase:  {Admin, Support, Compliance},
	OptOutsRead:    staff,
	OptOutsWrite:   {Admin, Support, Compliance},
	OptOutsLift:    {Admin, Compliance},

	SendsRead:  staff,
	SendsWrite: {Admin, Support},

	SmokeRead:  staff,
	SmokeWrite: {Admin, Ops},

	DrillsRead: staff,
	DrillsRun:  {Admin, Ops},

	SettingsRead:  staff,
	SettingsWrite: {Admin, Ops},
	ChannelsRun:   {Admin, Ops},

	ThrottleReview: {Admin, ProjectLead, Ops},

	VouchersRead:   staff,
	VouchersIssue:  {Admin, Support},
	VouchersVoid:   {Admin, Support},
	VouchersTotals: {Admin, Finance},

	BarsRead:      staff,
	BarsWrite:     {Admin},
	DevicesManage: {Admin},
	StationUse:    {StationOperator},

	PaymentsRead:    staff,
	PaymentsWrite:   {Finance},
	PaymentsConfirm: {Finance},

	RolloutRead: staff,
	RolloutRun:  {Admin, ProjectLead, Ops},
	RolloutSign: {ProjectLead, Ops, Compliance, Finance},
	RolloutLead: {ProjectLead},
	ReviewsSign: {Ops, Support},

	RolloutRollBack: {Admin, ProjectLead, Ops},
	RolloutRecover:  {ProjectLead, Ops},

	ProbesRead:    staff,
	ProbesCheck:   {Admin, Ops},
	FaultsInject:  {Admin, Ops},
	DashboardRead: staff,

	AlertsRead:     staff,
	AlertsAck:      {Admin, ProjectLead, Ops},
	IncidentsRead:  staff,
	IncidentsWrite: {Admin, ProjectLead, Ops},

	AccountsManage: {Admin},
	AuditRead:      {Admin, Compliance},
	AuditExport:    {Admin, Compliance},
}

// May reports whether a role grants a permission. One that the table does not know is nobody's.
func May(r Role, p Permission) bool {
	return p == Everyone || slices.Contains(granted[p], r)
}

// Permissions are all that roles grant, in order.
func Permissions() []Permission { return slices.Sorted(maps.Keys(granted)) }

// Known reports whether a route may declare p.
func Known(p Permission) bool {
	_, ok := granted[p]
	return ok || p == Everyone
}

// PermissionsOf are the permissions that a role grants, in order.
func PermissionsOf(r Role) []Permission {
	return slices.DeleteFunc(Permissions(), func(p Permission) bool { return !May(r, p) })
}
