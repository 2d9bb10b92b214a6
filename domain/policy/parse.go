package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"

	"lastcall/domain"
)

// ParseThrottle reads the JSON of Throttle, in which every channel must have its per_minute; another limit that
// is absent is off. Everything wrong with it comes as domain.Invalid errors, joined, each naming its field
// ("whatsapp.per_minute"); their codes are bad_json, duplicate_field, unknown_field, missing_field,
// unknown_channel and bad_cap.
func ParseThrottle(text []byte) (Throttle, error) {
	const longest = 3600
	var p problems
	throttle := Throttle{}
	channels, ok := p.object("", text)
	for _, channel := range channels {
		if channel.name != ChannelWhatsApp {
			p.add(channel.name, "unknown_channel", "there is no such channel; there is %s", ChannelWhatsApp)
			continue
		}
		var limit Cap
		limits := []target{
			{name: "per_minute", into: &limit.PerMinute, use: "use a whole number of messages, 0 to stop the channel"},
			{name: "per_second", into: &limit.PerSecond, optional: true, use: "use a whole number of messages, 0 for no limit"},
			{name: "tier", into: &limit.Tier, optional: true, use: "use a whole number of recipients, 0 for no limit"},
			{name: "pair_seconds", into: &limit.PairSeconds, optional: true, use: "use a whole number of seconds up to 3600, 0 for no limit"},
		}
		if p.fields(channel, "bad_cap", "", limits...) {
			for _, l := range limits {
				if n := *l.into.(*int); n < 0 || l.name == "pair_seconds" && n > longest {
					p.add(path(channel.name, l.name), "bad_cap", "%s", l.use)
				}
			}
		}
		throttle[channel.name] = limit
	}
	if _, there := throttle[ChannelWhatsApp]; ok && !there {
		p.add(ChannelWhatsApp, "missing_field", "is missing")
	}
	return throttle, p.err()
}

// ParseToggles reads the JSON of Toggles, in which dispatch must be set; another toggle that is absent is as by default.
// Everything wrong with it comes as domain.Invalid errors, joined, each naming its field; their codes are bad_json,
// duplicate_field, unknown_field, missing_field and bad_toggle.
func ParseToggles(text []byte) (Toggles, error) {
	var p problems
	t := Toggles{StationRedeem: true}
	p.fields(member{value: text}, "bad_toggle", "use true or false", target{name: "dispatch", into: &t.Dispatch},
		target{name: "station_redeem", into: &t.StationRedeem, optional: true},
		target{name: "mock_redemptions", into: &t.MockRedemptions, optional: true})
	return t, p.err()
}

// ParseOfflineRedemptions reads the JSON of OfflineRedemptions. Everything wrong with it comes as domain.Invalid errors,
// joined, each naming its field; their codes are bad_json, duplicate_field, unknown_field, missing_field, bad_mode and
// bad_age.
func ParseOfflineRedemptions(text []byte) (OfflineRedemptions, error) {
	const useMode, useAge = "use off or on, in quotes", "use whole minutes, 1 to 10080"
	var p problems
	var o OfflineRedemptions
	age := target{name: "max_age_minutes", into: &o.MaxAgeMinutes, optional: true, code: "bad_age", use: useAge}
	if !p.fields(member{value: text}, "bad_mode", useMode, target{name: "mode", into: &o.Mode}, age) {
		return o, p.err()
	}
	switch {
	case o.Mode != OfflineOff && o.Mode != OfflineOn:
		p.add("mode", "bad_mode", useMode)
	case o.MaxAgeMinutes < 0 || o.MaxAgeMinutes > MaxOfflineAge, o.Mode == OfflineOn && o.MaxAgeMinutes == 0:
		p.add("max_age_minutes", "bad_age", useAge)
	}
	return o, p.err()
}

// ParseMissingZone reads the JSON of MissingZone. Everything wrong with it comes as domain.Invalid errors,
// joined, each naming its field; their codes are bad_json, duplicate_field, unknown_field, missing_field and
// bad_policy.
func ParseMissingZone(text []byte) (MissingZone, error) {
	const use = "use hold or send, in quotes"
	var p problems
	var m MissingZone
	if p.fields(member{value: text}, "bad_policy", use, target{name: "policy", into: &m.Policy}) && m.Policy != Hold && m.Policy != Send {
		p.add("policy", "bad_policy", use)
	}
	return m, p.err()
}

// ParseConsent reads the JSON of Consent. Everything wrong with it comes as domain.Invalid errors, joined,
// each naming its field; their codes are bad_json, duplicate_field, unknown_field, missing_field and bad_toggle.
func ParseConsent(text []byte) (Consent, error) {
	var p problems
	var c Consent
	p.fields(member{value: text}, "bad_toggle", "use true or false", target{name: "required", into: &c.Required})
	return c, p.err()
}

// ParseFrequencyCap reads the JSON of FrequencyCap; a limit that is absent is off. Everything wrong with it
// comes as domain.Invalid errors, joined, each naming its field ("marketing.per_day"); their codes are
// bad_json, duplicate_field, unknown_field, missing_field and bad_cap.
func ParseFrequencyCap(text []byte) (FrequencyCap, error) {
	const use, most = "use a whole number of messages up to 10000, 0 for no limit", 10_000
	var p problems
	var c FrequencyCap
	var marketing json.RawMessage
	if !p.fields(member{value: text}, "bad_json", "this is not a JSON object", target{name: "marketing", into: &marketing}) {
		return c, p.err()
	}
	limits := []target{{name: "per_day", into: &c.Marketing.PerDay, optional: true}, {name: "per_week", into: &c.Marketing.PerWeek, optional: true}}
	if p.fields(member{"marketing", marketing}, "bad_cap", use, limits...) {
		for _, l := range limits {
			if n := *l.into.(*int); n < 0 || n > most {
				p.add("marketing."+l.name, "bad_cap", use)
			}
		}
	}
	return c, p.err()
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

// target is a field of an object, and where its value goes.
type target struct {
	name     string
	into     any
	optional bool   // it may be absent
	code     string // of the problem of a value that does not fit; "": the object's
	use      string // what that problem says
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
// target that is not optional a field. A value that does not fit is a problem of the given code and message.
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
			p.add(path(m.name, f.name), cmp.Or(targets[i].code, code), "%s", cmp.Or(targets[i].use, message))
		}
	}
	for _, t := range targets {
		if !t.optional && !slices.ContainsFunc(members, func(f member) bool { return f.name == t.name }) {
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
