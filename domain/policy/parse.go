package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// ParseQuietHours reads the JSON of QuietHours. Everything wrong with it comes as domain.Invalid errors,
// joined, each naming its field ("RW.start"); their codes are bad_json, duplicate_field, unknown_field,
// missing_field, unknown_country, bad_clock and empty_window.
func ParseQuietHours(text []byte) (QuietHours, error) {
	var p problems
	hours := QuietHours{}
	countries, _ := p.object("", text)
	for _, country := range countries {
		if !contact.ValidCountry(country.name) {
			p.add(country.name, "unknown_country", "no country has this code; use ISO 3166-1 alpha-2 in capitals, like RW")
			continue
		}
		var w Window
		ok := p.fields(country, "bad_clock", "use a time of day in quotes, 00:00 to 23:59",
			target{"start", &w.Start}, target{"end", &w.End})
		if ok && w.Start == w.End {
			p.add(country.name, "empty_window", "start and end are the same time")
		}
		hours[country.name] = w
	}
	return hours, p.err()
}

// ParseThrottle reads the JSON of Throttle, in which every channel must have its cap. Everything wrong with
// it comes as domain.Invalid errors, joined, each naming its field ("whatsapp.per_minute"); their codes are
// bad_json, duplicate_field, unknown_field, missing_field, unknown_channel and bad_cap.
func ParseThrottle(text []byte) (Throttle, error) {
	const use = "use a whole number of messages, 0 to stop the channel"
	var p problems
	throttle := Throttle{}
	channels, ok := p.object("", text)
	for _, channel := range channels {
		if channel.name != ChannelWhatsApp {
			p.add(channel.name, "unknown_channel", "there is no such channel; there is %s", ChannelWhatsApp)
			continue
		}
		var limit Cap
		if p.fields(channel, "bad_cap", use, target{"per_minute", &limit.PerMinute}) && limit.PerMinute < 0 {
			p.add(channel.name+".per_minute", "bad_cap", use)
		}
		throttle[channel.name] = limit
	}
	if _, there := throttle[ChannelWhatsApp]; ok && !there {
		p.add(ChannelWhatsApp, "missing_field", "is missing")
	}
	return throttle, p.err()
}

// ParseToggles reads the JSON of Toggles, in which every toggle must be set. Everything wrong with it comes
// as domain.Invalid errors, joined, each naming its field; their codes are bad_json, duplicate_field,
// unknown_field, missing_field and bad_toggle.
func ParseToggles(text []byte) (Toggles, error) {
	var p problems
	var t Toggles
	p.fields(member{value: text}, "bad_toggle", "use true or false", target{"dispatch", &t.Dispatch})
	return t, p.err()
}

// problems collects what is wrong with a document.
type problems []error

func (p *problems) add(field, code, message string, args ...any) {
	*p = append(*p, domain.E(domain.Invalid, code, message, args...).About(field))
}

func (p problems) err() error { return errors.Join(p...) }

// member is a name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// target is a field that an object must have, and where its value goes.
type target struct {
	name string
	into any
}

// object reads a JSON object, in its order. Unlike encoding/json it refuses a name that comes twice.
func (p *problems) object(field string, text []byte) (members []member, ok bool) {
	text = bytes.TrimSpace(text)
	if !json.Valid(text) || text[0] != '{' {
		p.add(field, "bad_json", "this is not a JSON object")
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(text)) // of valid text: none of the calls below can fail
	_, _ = dec.Token()                            // the brace
	for dec.More() {
		var m member
		name, _ := dec.Token()
		m.name = name.(string)
		_ = dec.Decode(&m.value)
		if slices.ContainsFunc(members, func(o member) bool { return o.name == m.name }) {
			p.add(path(field, m.name), "duplicate_field", "is there twice")
			continue
		}
		members = append(members, m)
	}
	return members, true
}

// fields reads the object in m into targets and reports whether all went well: every field is a target, every
// target a field. A value that does not fit is a problem of the given code and message.
func (p *problems) fields(m member, code, message string, targets ...target) bool {
	before := len(*p)
	members, ok := p.object(m.name, m.value)
	if !ok {
		return false
	}
	for _, f := range members {
		i := slices.IndexFunc(targets, func(t target) bool { return t.name == f.name })
		switch {
		case i < 0:
			p.add(path(m.name, f.name), "unknown_field", "there is no such field")
		case string(f.value) == "null" || json.Unmarshal(f.value, targets[i].into) != nil:
			p.add(path(m.name, f.name), code, "%s", message)
		}
	}
	for _, t := range targets {
		if !slices.ContainsFunc(members, func(f member) bool { return f.name == t.name }) {
			p.add(path(m.name, t.name), "missing_field", "is missing")
		}
	}
	return len(*p) == before
}

// path names a field in an object that may itself be a field.
func path(object, field string) string {
	if object == "" {
		return field
	}
	return object + "." + field
}
