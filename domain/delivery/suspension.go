package delivery

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Cause is why a channel is suspended: what kind of fault keeps everything it sends from going.
type Cause string

// The causes.
const (
	Trouble      Cause = "trouble"      // the provider is down, or cannot be reached
	Access       Cause = "access"       // our token or its permissions
	Standing     Cause = "account"      // the account is locked, blocked, or has not paid
	Spam         Cause = "spam"         // our number was reported too often
	Registration Cause = "registration" // our number is not registered; trying again locks it
	ByOperator   Cause = "operator"     // somebody suspended it
)

// SuspendsChannel says whether one refusal with this code suspends the channel, and for which cause.
func SuspendsChannel(code int) (Cause, bool) {
	e := Lookup(code)
	switch {
	case e.Then != Final || e.Scope != Number && e.Scope != Account:
		return "", false
	case code == 131048:
		return Spam, true
	case e.Scope == Number:
		return Registration, true
	case code == 368, code == 130497, code == 131031, code == 131042, code == 131064:
		return Standing, true
	}
	return Access, true
}

// NeedsHuman reports whether somebody has to mend something before the channel can go on.
func (c Cause) NeedsHuman() bool { return c != Trouble && c != ByOperator }

// Graver reports whether c is to take than's place as why a channel is suspended: what a person must mend is
// graver than what passes, and what only a person may end graver still.
func (c Cause) Graver(than Cause) bool { return gravity[c] > gravity[than] }

var gravity = map[Cause]int{Trouble: 1, Access: 2, Standing: 2, Spam: 3, Registration: 3, ByOperator: 4}

// ProvedByPing reports whether a sign of life is proof enough that the cause has gone, without a message.
func (c Cause) ProvedByPing() bool { return c == Access }

// ProvedByAnswer reports whether any answer to a message is such a proof, even one that refuses it.
func (c Cause) ProvedByAnswer() bool { return c == Trouble }

// Ladder says when a suspended channel is tried again: after First, after twice as long with every failure in a
// row, and after Most at last. Each wait is drawn between that and half as much again, so that workers do not
// come back all at once; never more than Most.
type Ladder struct{ First, Most time.Duration }

// Wait is the wait after so many failures (1: it has just been suspended).
func (l Ladder) Wait(failures int) time.Duration { return Jitter(l.step(failures), l.Most) }

func (l Ladder) step(failures int) time.Duration {
	d := l.First
	for range min(failures, 40) - 1 {
		if d >= l.Most {
			break
		}
		d *= 2
	}
	return min(d, l.Most)
}

// Jitter draws a wait between d and half as much again, at most most.
func Jitter(d, most time.Duration) time.Duration {
	return min(d+time.Duration(rand.Float64()*float64(d)/2), most)
}

// Ladders are when suspended channels are tried again, by cause.
type Ladders struct {
	Trouble Ladder // short: an outage ends at any moment
	Others  Ladder
}

// DefaultLadders: trouble from five seconds to five minutes, all else from a minute to an hour.
var DefaultLadders = Ladders{
	Trouble: Ladder{5 * time.Second, 5 * time.Minute},
	Others:  Ladder{time.Minute, time.Hour},
}

// Wait is the wait for a cause after so many failures; 0 when only a person may say that it is over.
func (l Ladders) Wait(c Cause, failures int) time.Duration {
	switch c {
	case Trouble:
		return l.Trouble.Wait(failures)
	case Access, Standing:
		return l.Others.Wait(failures)
	}
	return 0
}

// Relapse is how soon after it went on a channel's next suspension counts as the same trouble, so that the
// ladder goes on where it was.
const Relapse = 10 * time.Minute

// ChannelWhy says why a channel is suspended, in words that go after "…: ".
func ChannelWhy(channel string, c Cause, code int, note string) string {
	why := channel + " is suspended: "
	switch c {
	case ByOperator:
		return why + "an operator suspended it" + noted(note)
	case Trouble:
		return why + "WhatsApp does not answer, or answers with errors; it is tried again by itself"
	}
	e := Lookup(code)
	return fmt.Sprintf("%sWhatsApp %d: %s. %s", why, code, e.Meaning, e.Advice)
}

func noted(note string) string {
	if note == "" {
		return ""
	}
	return " (" + note + ")"
}

// TemplateState is how a template stands with the provider.
type TemplateState string

// The states. Only an active template can be sent.
const (
	TemplateActive   TemplateState = "active"
	TemplatePaused   TemplateState = "paused"   // for hours, because of its quality
	TemplateDisabled TemplateState = "disabled" // for good
	TemplateRejected TemplateState = "rejected" // not approved, or the provider found fault with its text
	TemplateDeleted  TemplateState = "deleted"  // gone
)

// SuspendsTemplate says whether one refusal with this code suspends the template, and how it stands then.
func SuspendsTemplate(code int) (TemplateState, bool) {
	switch code {
	case 132001, 132007:
		return TemplateRejected, true
	case 132015:
		return TemplatePaused, true
	case 132016:
		return TemplateDisabled, true
	}
	return "", false
}

// TemplatePause is how long the provider pauses a template the nth time; after that it disables it.
func TemplatePause(n int) time.Duration {
	if n <= 1 {
		return 3 * time.Hour
	}
	return 6 * time.Hour
}

// TemplateWhy says why a template cannot be sent, in words that go after "…: ". Language is empty for all.
func TemplateWhy(name, language string, s TemplateState, code int, note string) string {
	what := "template " + name
	if language != "" {
		what += " in " + language
	}
	switch s {
	case TemplatePaused:
		what += " is paused by WhatsApp because its quality is low"
	case TemplateDisabled:
		what += " is disabled by WhatsApp for good"
	case TemplateDeleted:
		what += " was deleted at WhatsApp"
	default:
		what += " is not approved by WhatsApp"
		if code != 0 {
			what = "template " + name + ": " + Lookup(code).Meaning
		}
	}
	if code != 0 {
		what += coded(code)
	}
	return what + noted(note)
}

// TemplateAdvice is what to do about it.
func TemplateAdvice(s TemplateState) string {
	switch s {
	case TemplatePaused:
		return "It goes on by itself when WhatsApp makes it active again, and is tried after hours; or resume it by hand."
	case TemplateDisabled, TemplateDeleted:
		return "Stop its campaigns and use another template; or, if it is there again, resume it by hand."
	}
	return "See the reason in WhatsApp Manager; it goes on by itself once it is approved, or resume it by hand."
}
