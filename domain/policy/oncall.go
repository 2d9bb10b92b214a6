package policy

import (
	"encoding/json"
	"fmt"
	"time"

	"lastcall/domain/access"
	"lastcall/domain/oncall"
)

// ParseOnCall reads the JSON of the rota: {"zone":"Africa/Kigali","starts":"2026-11-23T09:00","members":["ops@example.com"]}, with
// swaps if any; no members: nobody is on call. Everything wrong with it comes as domain.Invalid errors, joined, each naming its
// field; their codes are bad_json, duplicate_field, unknown_field, missing_field, bad_zone, bad_time and bad_email.
func ParseOnCall(text []byte) (oncall.Rota, error) {
	const useZone, useStart = `use a zone's name, such as "Africa/Kigali"`, `use the zone's local time, such as "2026-11-23T09:00"`
	const most = 52
	var p problems
	var r oncall.Rota
	var swaps []json.RawMessage
	if !p.fields(member{value: text}, "bad_json", "this does not fit", target{name: "zone", into: &r.Zone, code: "bad_zone", use: useZone},
		target{name: "starts", into: &r.Starts, code: "bad_time", use: useStart}, target{name: "members", into: &r.Members, code: "bad_email", use: "use a list of addresses"},
		target{name: "swaps", into: &swaps, optional: true, code: "bad_json", use: "use a list of week and member"}) {
		return r, p.err()
	}
	zone, err := time.LoadLocation(r.Zone)
	if err != nil || r.Zone == "" || r.Zone == "Local" {
		p.add("zone", "bad_zone", useZone)
		zone = time.UTC
	}
	if at, err := time.ParseInLocation(oncall.StartFormat, r.Starts, zone); err != nil || at.Year() < 2000 || at.Year() > 2200 {
		p.add("starts", "bad_time", useStart)
	}
	person := func(field, address string) {
		if got, err := access.ParseEmail(address); err != nil || got != address {
			p.add(field, "bad_email", "use an account's address, in small letters")
		}
	}
	if len(r.Members) > most || len(swaps) > most {
		p.add("members", "bad_json", "use at most %d members and %d swaps", most, most)
		return r, p.err()
	}
	for i, m := range r.Members {
		person(fmt.Sprintf("members[%d]", i), m)
	}
	for i, raw := range swaps {
		var s oncall.Swap
		field := fmt.Sprintf("swaps[%d]", i)
		if p.fields(member{field, raw}, "bad_json", "use text", target{name: "week", into: &s.Week}, target{name: "member", into: &s.Member}) {
			if _, err := time.Parse(oncall.WeekFormat, s.Week); err != nil {
				p.add(field+".week", "bad_time", `use a day of the week, such as "2026-12-21"`)
			}
			person(field+".member", s.Member)
		}
		r.Swaps = append(r.Swaps, s)
	}
	return r, p.err()
}
