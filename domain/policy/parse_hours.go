package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lastcall/domain/contact"
)

// ParseQuietHours reads the JSON of QuietHours, in any of its forms. Everything wrong with it comes as
// domain.Invalid errors, joined, each naming its field ("RW.start", "MT.overrides[0].windows[1].days"); their
// codes are bad_json, duplicate_field, unknown_field, missing_field, unknown_country, bad_clock, bad_days,
// empty_window, never_open, bad_locale, unknown_channel, no_scope and duplicate_override.
func ParseQuietHours(text []byte) (QuietHours, error) {
	var p problems
	hours := QuietHours{}
	countries, _ := p.object("", text)
	for _, country := range countries {
		if !contact.ValidCountry(country.name) {
			p.add(country.name, "unknown_country", "no country has this code; use ISO 3166-1 alpha-2 in capitals, like RW")
			continue
		}
		var overrides json.RawMessage
		h := Hours{Windows: p.windows(country, target{name: "overrides", into: &overrides, optional: true, code: "bad_json", use: "this is not a list"})}
		if overrides != nil {
			h.Overrides = p.overrides(country.name+".overrides", overrides)
		}
		hours[country.name] = h
	}
	return hours, p.err()
}

// windows reads the one window in m, or its list "windows", and the fields beside.
func (p *problems) windows(m member, beside ...target) []Window {
	var look problems // whoever reads the object says what is wrong with it
	members, _ := look.object(m.name, m.value)
	if !slices.ContainsFunc(members, func(f member) bool { return f.name == "windows" }) {
		w, ok := p.window(m, beside...)
		return p.open(m.name, []Window{w}, ok)
	}
	var list json.RawMessage
	if !p.fields(m, "bad_json", "this is not a list", append(beside, target{name: "windows", into: &list})...) {
		return nil
	}
	var all []Window
	fine := true
	for _, each := range p.list(path(m.name, "windows"), list) {
		w, ok := p.window(each)
		all, fine = append(all, w), fine && ok
	}
	return p.open(m.name, all, fine)
}

// window reads a single window, which is the object m but for the fields beside.
func (p *problems) window(m member, beside ...target) (w Window, ok bool) {
	ok = p.fields(m, "bad_clock", "use a time of day in quotes, 00:00 to 23:59; an end may be 24:00", append([]target{
		{name: "start", into: &w.Start}, {name: "end", into: (*endClock)(&w.End)},
		{name: "days", into: &w.Days, optional: true, code: "bad_days", use: `use a list of weekdays, each once: "mon" to "sun"`},
	}, beside...)...)
	if ok && w.Start == w.End {
		p.add(m.name, "empty_window", "start and end are the same time")
		return w, false
	}
	return w, ok
}

// open refuses windows that leave no minute of the week to send in.
func (p *problems) open(field string, all []Window, fine bool) []Window {
	if fine && len(all) > 0 && windows(all).neverOpen() {
		p.add(field, "never_open", "no minute of the week is left to send in; to stop a channel set its throttle to 0")
	}
	return all
}

// neverOpen reports whether the windows cover every minute of a week without clock changes.
func (all windows) neverOpen() bool {
	week := all.week()
	return !slices.Contains(week[:], false)
}

// week tells of each minute of a week without clock changes, from Monday on, whether it is quiet.
func (all windows) week() (quiet [7 * endOfDay]bool) {
	for _, w := range all {
		for i := range dayNames {
			if w.Days.Has(weekday(i)) {
				for minute := range w.length() {
					quiet[(Clock(i)*endOfDay+w.Start+minute)%Clock(len(quiet))] = true
				}
			}
		}
	}
	return quiet
}

const (
	useLocale  = "use BCP 47 in canonical form, like rw-RW, en-MT or en"
	useChannel = "there is no such channel; there is " + ChannelWhatsApp
)

func (p *problems) overrides(field string, list json.RawMessage) (all []Override) {
	for _, each := range p.list(field, list) {
		var o Override
		before := len(*p)
		o.Windows = p.windows(each, target{name: "locale", into: &o.Locale, optional: true, code: "bad_locale", use: useLocale},
			target{name: "channel", into: &o.Channel, optional: true, code: "unknown_channel", use: useChannel})
		if len(*p) > before {
			continue
		}
		same := func(other Override) bool { return o.Locale == other.Locale && o.Channel == other.Channel }
		switch {
		case o.Locale == "" && o.Channel == "":
			p.add(each.name, "no_scope", "name a locale, a channel or both")
		case o.Locale != "" && !contact.ValidLocale(o.Locale):
			p.add(each.name+".locale", "bad_locale", useLocale)
		case o.Channel != "" && o.Channel != ChannelWhatsApp:
			p.add(each.name+".channel", "unknown_channel", useChannel)
		case slices.ContainsFunc(all, same):
			p.add(each.name, "duplicate_override", "another one has the same locale and channel")
		default:
			all = append(all, o)
		}
	}
	return all
}

// list reads a JSON list; its members are named by their place.
func (p *problems) list(field string, text json.RawMessage) (members []member) {
	var all []json.RawMessage
	if !strings.HasPrefix(string(text), "[") || json.Unmarshal(text, &all) != nil {
		p.add(field, "bad_json", "this is not a list")
	}
	for i, value := range all {
		members = append(members, member{fmt.Sprintf("%s[%d]", field, i), value})
	}
	return members
}
