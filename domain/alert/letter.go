package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Line is one thing that a notice tells of an alert, as it is when the notice goes.
type Line struct {
	Kind           string // firing, repeat, resolved, acknowledged, test
	AlertID        string
	Title          string
	Subject        string
	Severity       Severity
	State          State
	Since          time.Time // when it fired
	ResolvedAt     *time.Time
	AcknowledgedBy string
	Found          string // the newest sample, for people
	Incident       int    // 0: none
	Runbook        string // "": none
}

// Letter is a notice for people. It holds no phone number, name or message text.
type Letter struct {
	Title string
	Text  string
	Level Severity
	Alert string // the id of its one alert; "": of several, or none
}

// Reference is how a notice names itself: by it one finds it in the channel.
func Reference(number int64) string { return fmt.Sprintf("N-%d", number) }

// Write writes a notice: kind is watchdog or anything else, number is what it is found by.
func Write(kind string, number int64, drill bool, lines []Line) Letter {
	reference := Reference(number)
	if kind == "watchdog" {
		return Letter{Title: "Lastcall is watching", Level: Info,
			Text: "Nothing was told here for a while: nothing that has to be. This is the sign of life that says that it would have come.\n" + reference}
	}
	// What has fired and is over by now is told once, as it is now.
	lines = slices.DeleteFunc(slices.Clone(lines), func(l Line) bool {
		return (l.Kind == "firing" || l.Kind == "repeat") && slices.ContainsFunc(lines, func(o Line) bool { return o.AlertID == l.AlertID && o.Kind == "resolved" })
	})
	w := Letter{Level: Info}
	var said []string
	alerts := map[string]bool{}
	for _, l := range lines {
		alerts[l.AlertID] = true
		said = append(said, l.sentence())
		if l.State == Firing && l.Kind != "acknowledged" && slices.Index(Severities, l.Severity) > slices.Index(Severities, w.Level) {
			w.Level = l.Severity
		}
	}
	switch {
	case len(lines) == 0:
		w.Title = "An alert that is no more"
	case len(alerts) == 1:
		last := lines[len(lines)-1]
		w.Alert, w.Title = last.AlertID, last.heading()
	default:
		w.Title = fmt.Sprintf("%d alerts: %s", len(alerts), lines[0].Title)
	}
	if drill {
		w.Title = "DRILL – " + w.Title
	}
	w.Text = strings.Join(append(said, reference), "\n")
	return w
}

func (l Line) heading() string {
	switch {
	case l.Kind == "resolved" || l.State == Resolved && l.Kind != "acknowledged":
		return "Over: " + l.Title
	case l.Kind == "acknowledged":
		return "Acknowledged: " + l.Title
	case l.Kind == "repeat":
		return "Still: " + l.Title
	}
	return l.Title
}

func (l Line) sentence() string {
	const at = "15:04 UTC"
	s := l.heading()
	if l.Subject != "" && l.Kind != "test" {
		s += " (" + l.Subject + ")"
	}
	switch {
	case l.Kind == "test":
		return s + ": somebody wants to know whether this arrives. Acknowledge it in the panel."
	case l.Kind == "acknowledged":
		return s + " by " + l.AcknowledgedBy
	case l.ResolvedAt != nil:
		return s + fmt.Sprintf(", after %s, at %s", l.ResolvedAt.Sub(l.Since).Round(time.Second), l.ResolvedAt.UTC().Format(at))
	}
	s += fmt.Sprintf(" [%s], since %s", l.Severity, l.Since.UTC().Format(at))
	if l.Found != "" {
		s += ": " + l.Found
	}
	if l.Incident > 0 {
		s += fmt.Sprintf(". INC-%d", l.Incident)
	}
	if l.Runbook != "" {
		s += ", runbook " + l.Runbook
	}
	if l.AcknowledgedBy != "" {
		s += ". Acknowledged by " + l.AcknowledgedBy
	}
	return s
}
