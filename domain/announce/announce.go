// Package announce is what a rollout tells people, and when: announcements are lines of its plan, written from templates, to
// lists and with links that are settings.
package announce

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"lastcall/domain"
)

// Announcement is one line of a plan's communication: it goes out in the phase in whose plan it stands, and the next phase
// does not open before it has.
type Announcement struct {
	ID       string    `json:"id"`
	Text     string    `json:"text"` // the plan's words
	Event    Event     `json:"event"`
	Channels []Channel `json:"channels"`
	Lists    []string  `json:"lists,omitempty"`   // who gets it by mail: names of Directory.Lists
	Links    []string  `json:"links,omitempty"`   // what it must link to: names of Directory.Links
	OnCall   bool      `json:"on_call,omitempty"` // it names who of Ops is on call
	Subject  string    `json:"subject"`           // of a mail, and the title in the Ops channel
	Body     string    `json:"body"`              // a text/template of Facts
}

// Event is what an announcement waits for.
type Event string

// The events.
const (
	PhaseReady Event = "phase_ready" // every item of the phase is passed or waived
	PhaseBegun Event = "phase_begun" // nothing: it may go out at any time in the phase
)

// Channel is a way in which an announcement goes.
type Channel string

// The channels.
const (
	Mail Channel = "mail"
	Ops  Channel = "ops" // the Ops channel
)

// Directory is whom announcements go to and what they link to, by the names that plans use. It is the setting
// announcements: {"lists":{"ops":["ops@example.com"]},"links":{"faq":"https://example.com/faq"}}.
type Directory struct {
	Lists map[string][]string `json:"lists"` // addresses
	Links map[string]string   `json:"links"` // whole addresses, http or https
}

// Facts are what a template may tell.
type Facts struct {
	Rollout string // its name
	Phase   string // the title of the phase in which it goes out
	Next    string // of the phase that opens after it
	Links   map[string]string
	Contact Contact // zero: nobody is on call
}

// Contact is who of Ops is on call.
type Contact struct {
	Name, Email string
	Until       string // for people, with its zone
}

// The codes of what keeps an announcement from going out.
const (
	NotFound  = "announcement_not_found"
	Missing   = "announcement_missing"    // a phase does not open before it went out
	Early     = "announcement_early"      // its event has not come
	Sent      = "announcement_sent"       // it went out already
	Going     = "announcement_going"      // it is on its way
	Changed   = "announcement_changed"    // it is not what was looked at any more
	NoList    = "announcement_no_list"    // a list has nobody
	NoLink    = "announcement_no_link"    // a link is not set
	NoContact = "announcement_no_contact" // nobody is on call
	DeadLink  = "announcement_link"       // a link does not lead anywhere
	NoChannel = "announcement_no_channel" // nothing is set that could carry it
)

// Names is what lists, links and announcements may be called.
var Names = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// Check makes sure that an announcement can be written at all.
func (a Announcement) Check() error {
	switch {
	case !Names.MatchString(a.ID):
		return errors.New("an announcement needs a name of its own, of lower-case letters, digits and -")
	case strings.TrimSpace(a.Text) == "" || strings.TrimSpace(a.Subject) == "" || strings.TrimSpace(a.Body) == "":
		return errors.New("it says nothing")
	case a.Event != PhaseReady && a.Event != PhaseBegun:
		return fmt.Errorf("%q is no event", a.Event)
	case len(a.Channels) == 0 || slices.ContainsFunc(a.Channels, func(c Channel) bool { return c != Mail && c != Ops }):
		return errors.New("it goes by mail, to the Ops channel, or both")
	case slices.Contains(a.Channels, Mail) != (len(a.Lists) > 0):
		return errors.New("mail goes to lists, and nothing else does")
	}
	for _, name := range slices.Concat(a.Lists, a.Links) {
		if !Names.MatchString(name) {
			return fmt.Errorf("%q is no name of a list or a link", name)
		}
	}
	sample := Facts{Rollout: "lastcall", Phase: "Staging", Next: "Pilot", Links: map[string]string{}}
	for _, link := range a.Links {
		sample.Links[link] = "https://example.com/" + link
	}
	if a.OnCall {
		sample.Contact = Contact{"Ada", "ada@example.com", "30 Nov, 09:00 (Kigali)"}
	}
	text, err := a.write(sample)
	if err != nil {
		return fmt.Errorf("its text cannot be written: %w", err)
	}
	for _, link := range sample.Links {
		if !strings.Contains(text.Body, link) {
			return errors.New("it does not tell a link that it needs")
		}
	}
	if a.OnCall && !strings.Contains(text.Body, sample.Contact.Email) {
		return errors.New("it does not tell who is on call")
	}
	return nil
}

// Letter is an announcement as it goes out.
type Letter struct {
	Subject  string              `json:"subject"`
	Body     string              `json:"body"`
	Channels []Channel           `json:"channels"`
	Lists    map[string][]string `json:"lists"`
	Links    map[string]string   `json:"links"`
}

// Digest is SHA-256 of all that people get, and who gets it.
func (l Letter) Digest() []byte {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // texts
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// To counts the addresses that get it by mail; one that is on two lists counts twice, and gets it once.
func (l Letter) To() int {
	all := map[string]bool{}
	for _, list := range l.Lists {
		for _, address := range list {
			all[address] = true
		}
	}
	return len(all)
}

// Write writes an announcement with what is in the directory and with who is on call. What is missing comes as domain.Conflict
// errors, joined, of code NoList, NoLink or NoContact; the letter is as whole as it can be then.
func (a Announcement) Write(f Facts, d Directory) (Letter, error) {
	var missing []error
	lack := func(code, message string, args ...any) {
		missing = append(missing, domain.E(domain.Conflict, code, message, args...))
	}
	lists := map[string][]string{}
	for _, name := range a.Lists {
		if lists[name] = d.Lists[name]; len(lists[name]) == 0 {
			lists[name] = []string{}
			lack(NoList, "the list %s has nobody: the setting announcements says who is on it", name)
		}
	}
	f.Links = map[string]string{}
	for _, name := range a.Links {
		if f.Links[name] = d.Links[name]; f.Links[name] == "" {
			f.Links[name] = "(" + strings.ReplaceAll(name, "_", " ") + " is missing)"
			lack(NoLink, "the link %s is not set: the setting announcements says where it leads", name)
		}
	}
	if a.OnCall && f.Contact.Email == "" {
		f.Contact = Contact{"(nobody)", "(nobody)", "(never)"}
		lack(NoContact, "nobody of Ops is on call: the setting on_call says who is")
	}
	l, err := a.write(f)
	if err != nil {
		return l, domain.E(domain.Internal, "announcement_template", "the text cannot be written").Because(err)
	}
	l.Channels, l.Lists, l.Links = a.Channels, lists, map[string]string{}
	for _, name := range a.Links {
		if d.Links[name] != "" {
			l.Links[name] = d.Links[name]
		}
	}
	return l, errors.Join(missing...)
}

func (a Announcement) write(f Facts) (l Letter, err error) {
	for _, part := range []struct {
		text string
		into *string
	}{{a.Subject, &l.Subject}, {a.Body, &l.Body}} {
		t, err := template.New(a.ID).Option("missingkey=error").Parse(part.text)
		if err != nil {
			return l, err
		}
		var out strings.Builder
		if err := t.Execute(&out, f); err != nil {
			return l, err
		}
		*part.into = strings.TrimSpace(out.String())
	}
	l.Subject = strings.Join(strings.Fields(l.Subject), " ")
	return l, nil
}

// Until is a moment as an announcement tells it.
func Until(t time.Time, zone *time.Location) string {
	name := zone.String()
	if i := strings.LastIndex(name, "/"); i >= 0 {
		name = strings.ReplaceAll(name[i+1:], "_", " ")
	}
	return t.In(zone).Format("2 Jan, 15:04") + " (" + name + ")"
}
