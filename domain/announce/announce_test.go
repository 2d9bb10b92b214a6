package announce_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/announce"
)

var launch = announce.Announcement{ID: "launch", Text: "We launch.", Event: announce.PhaseReady, Channels: []announce.Channel{announce.Mail, announce.Ops},
	Lists: []string{"ops", "engineering"}, Links: []string{"runbook"}, OnCall: true, Subject: "Launch of\n {{.Rollout}}",
	Body: "{{.Phase}} is over, {{.Next}} begins.\n{{.Links.runbook}}\n{{.Contact.Name}} <{{.Contact.Email}}> until {{.Contact.Until}}"}

var facts = announce.Facts{Rollout: "kigali", Phase: "Production", Next: "Live", Contact: announce.Contact{Name: "Ada", Email: "ada@example.com", Until: "1 Dec"}}

func TestALetterIsWrittenFromTheDirectory(t *testing.T) {
	t.Parallel()
	require.NoError(t, launch.Check())
	d := announce.Directory{Lists: map[string][]string{"ops": {"ops@example.com", "ada@example.com"}, "engineering": {"eng@example.com", "ada@example.com"}, "others": {"x@example.com"}},
		Links: map[string]string{"runbook": "https://example.com/run", "faq": "https://example.com/faq"}}
	l, err := launch.Write(facts, d)
	require.NoError(t, err)
	require.Equal(t, "Launch of kigali", l.Subject, "a subject is one line")
	require.Equal(t, "Production is over, Live begins.\nhttps://example.com/run\nAda <ada@example.com> until 1 Dec", l.Body)
	require.Equal(t, map[string]string{"runbook": "https://example.com/run"}, l.Links, "no other link is looked at")
	require.NotContains(t, l.Lists, "others")
	require.Equal(t, 3, l.To(), "who is on two lists is one")

	same, err := launch.Write(facts, d)
	require.NoError(t, err)
	require.Equal(t, l.Digest(), same.Digest())
	d.Lists["ops"] = []string{"ops@example.com"}
	other, err := launch.Write(facts, d)
	require.NoError(t, err)
	require.NotEqual(t, l.Digest(), other.Digest(), "who gets it is of what is looked at")
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	nobody := facts
	nobody.Contact = announce.Contact{}
	l, err := launch.Write(nobody, announce.Directory{Lists: map[string][]string{"ops": {"ops@example.com"}}})
	require.Equal(t, domain.Conflict, domain.KindOf(err))
	for _, said := range []string{"engineering", "runbook", "on call"} {
		require.ErrorContains(t, err, said)
	}
	require.NotContains(t, err.Error(), "list ops")
	require.Contains(t, l.Body, "(runbook is missing)", "it can be looked at all the same")
	require.Empty(t, l.Links)
}

func TestAnnouncementsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*announce.Announcement){
		"no name":           func(a *announce.Announcement) { a.ID = "The Launch" },
		"says nothing":      func(a *announce.Announcement) { a.Body = " " },
		"no event":          func(a *announce.Announcement) { a.Event = "someday" },
		"no channel":        func(a *announce.Announcement) { a.Channels = nil },
		"another channel":   func(a *announce.Announcement) { a.Channels = append(a.Channels, "pigeon") },
		"mail to nobody":    func(a *announce.Announcement) { a.Lists = nil },
		"lists, no mail":    func(a *announce.Announcement) { a.Channels = []announce.Channel{announce.Ops} },
		"a bad list":        func(a *announce.Announcement) { a.Lists = []string{"All of Ops"} },
		"no template":       func(a *announce.Announcement) { a.Body += "{{" },
		"an unknown fact":   func(a *announce.Announcement) { a.Body += "{{.Weather}}" },
		"an unneeded link":  func(a *announce.Announcement) { a.Body += "{{.Links.faq}}" },
		"a link untold":     func(a *announce.Announcement) { a.Links = append(a.Links, "faq") },
		"on call is untold": func(a *announce.Announcement) { a.Body = "{{.Links.runbook}}" },
	} {
		bad := launch
		change(&bad)
		require.Error(t, bad.Check(), name)
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Africa/Kigali")
	require.NoError(t, err)
	require.Equal(t, "30 Nov, 09:00 (Kigali)", announce.Until(time.Date(2026, 11, 30, 7, 0, 0, 0, time.UTC), zone))
}
