package rollout

import "lastcall/domain/access"

// Toggle is a switch with which one rolls back, as it is documented.
type Toggle struct {
	Name  string      `json:"name"` // in the setting "toggles"
	Does  string      `json:"does"`
	Owner access.Role `json:"owner"`
}

// Owners is the owner, as Names takes it.
func (t Toggle) Owners() []access.Role { return []access.Role{t.Owner} }

// Toggles are all of them.
var Toggles = []Toggle{
	{"dispatch", "Off: nothing more goes out, of campaigns and single messages alike; what waits is kept and goes when it is on again.", access.Ops},
	{"station_redeem", "Off: stations redeem nothing, and say so; vouchers stay valid.", access.Ops},
}
