package policy

import (
	"fmt"
	"net/url"
	"time"

	"lastcall/domain/access"
	"lastcall/domain/announce"
	"lastcall/domain/review"
)

// ParseAnnouncements reads the JSON of announce.Directory: {"lists":{"ops":["ops@example.com"]},"links":{"faq":"https://example.com/faq"}}.
// Everything wrong with it comes as domain.Invalid errors, joined, each naming its field; their codes are bad_json,
// duplicate_field, unknown_field, missing_field, bad_name, bad_email and bad_link.
func ParseAnnouncements(text []byte) (announce.Directory, error) {
	const useName, useLink = "use small letters, digits, - and _, 40 at most", `use a whole address, such as "https://example.com/faq"`
	const most = 100
	var p problems
	d := announce.Directory{Lists: map[string][]string{}, Links: map[string]string{}}
	if !p.fields(member{value: text}, "bad_json", "this does not fit",
		target{name: "lists", into: &d.Lists, code: "bad_email", use: `use a list of addresses for each name, such as {"ops":["ops@example.com"]}`},
		target{name: "links", into: &d.Links, code: "bad_link", use: `use an address for each name, such as {"faq":"https://example.com/faq"}`}) {
		return d, p.err()
	}
	for name, list := range d.Lists {
		field := path("lists", name)
		if !announce.Names.MatchString(name) {
			p.add(field, "bad_name", useName)
		}
		if len(list) > most {
			p.add(field, "bad_email", "use at most %d addresses: a mailing list is one", most)
		}
		for i, address := range list {
			if got, err := access.ParseEmail(address); err != nil || got != address {
				p.add(fmt.Sprintf("%s[%d]", field, i), "bad_email", "use an address, in small letters")
			}
		}
	}
	for name, link := range d.Links {
		field := path("links", name)
		if !announce.Names.MatchString(name) {
			p.add(field, "bad_name", useName)
		}
		if u, err := url.Parse(link); err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || len(link) > 500 {
			p.add(field, "bad_link", useLink)
		}
	}
	if len(d.Lists) > most || len(d.Links) > most {
		p.add("lists", "bad_json", "use at most %d lists and %d links", most, most)
	}
	return d, p.err()
}

// ParseDailyReview reads the JSON of review.Hours: {"zone":"Africa/Kigali","at":"09:00","remind_at":"12:00"}. Everything wrong
// with it comes as domain.Invalid errors, joined, each naming its field; their codes are bad_json, duplicate_field,
// unknown_field, missing_field, bad_zone and bad_time.
func ParseDailyReview(text []byte) (review.Hours, error) {
	const useZone, useHour = `use a zone's name, such as "Africa/Kigali"`, `use a local time, such as "09:00"`
	var p problems
	var h review.Hours
	if !p.fields(member{value: text}, "bad_time", useHour, target{name: "zone", into: &h.Zone, code: "bad_zone", use: useZone},
		target{name: "at", into: &h.At}, target{name: "remind_at", into: &h.RemindAt}) {
		return h, p.err()
	}
	if _, err := time.LoadLocation(h.Zone); err != nil || h.Zone == "" || h.Zone == "Local" {
		p.add("zone", "bad_zone", useZone)
	}
	for _, f := range []struct{ name, value string }{{"at", h.At}, {"remind_at", h.RemindAt}} {
		if at, err := time.Parse(review.HourFormat, f.value); err != nil || at.Format(review.HourFormat) != f.value {
			p.add(f.name, "bad_time", useHour)
		}
	}
	if p.err() == nil && h.RemindAt <= h.At {
		p.add("remind_at", "bad_time", "use a later time of the same day")
	}
	return h, p.err()
}
