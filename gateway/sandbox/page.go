package sandbox

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lastcall/domain/contact"
)

// latest is how many of each the page shows.
const latest = 50

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"masked":  func(to string) string { return contact.MSISDN(to).Masked() },
	"percent": func(share float64) string { return strconv.FormatFloat(100*share, 'f', -1, 64) + " %" },
	"clock":   func(at time.Time) string { return at.Format("15:04:05.000") },
}).Parse(pageHTML))

// getPage shows what the outside world has received, newest first.
func (s *Server) getPage(w http.ResponseWriter, _ *http.Request) {
	var view struct {
		Stats    stats
		Settings settings
		Webhooks bool
		Faults   []shownFault
		States   []templateState // of templates that cannot be sent
		Messages []struct {
			entry
			message
		}
		Notices []struct {
			entry
			notice
		}
		Mails []struct {
			entry
			letter
		}
	}
	view.Stats, view.Settings, view.Webhooks = s.inbox.stats(), s.settings.get(), s.config.WebhookURL != ""
	view.Faults = s.faults.show()
	view.States = slices.DeleteFunc(s.templates.list(), func(t templateState) bool { return t.Status == templateApproved })
	err := s.inbox.journal.newest(latest, &view.Messages)
	if err == nil {
		err = s.ops.newest(latest, &view.Notices)
	}
	if err == nil {
		err = s.mails.newest(latest, &view.Mails)
	}
	if err != nil {
		s.writeError(w, err)
		return
	}
	slices.Reverse(view.Messages)
	slices.Reverse(view.Notices)
	slices.Reverse(view.Mails)
	var html bytes.Buffer
	if err := page.Execute(&html, view); err != nil {
		s.writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:")
	_, _ = html.WriteTo(w)
}

// entry is what every line of a journal starts with.
type entry struct {
	ID         int64     `json:"id"`
	ReceivedAt time.Time `json:"received_at"`
}

// newest decodes the last n lines, oldest first, into a pointer to a slice.
func (j *journal) newest(n int64, into any) error {
	lines, err := j.after(max(j.last()-n, 0), -1)
	if err != nil {
		return err
	}
	defer lines.Close()
	var array bytes.Buffer
	if err := lines.writeArray(&array); err != nil {
		return err
	}
	return json.Unmarshal(array.Bytes(), into)
}
