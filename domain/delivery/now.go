package delivery

import (
	"strings"
	"time"

	"lastcall/domain/campaign"
	"lastcall/domain/policy"
)

// Now is how a target stands: the answer to "why was this not sent?".
type Now struct {
	State     campaign.TargetState `json:"state"`
	Answer    string               `json:"answer" doc:"The question answered in words"`
	WaitsFor  string               `json:"waits_for,omitempty" doc:"start, send_at, resume, recover, a policy reason, provider_retry, turn, answer or receipt; absent when nothing will happen any more"`
	Until     *time.Time           `json:"until,omitempty" doc:"When what it waits for comes; absent if nobody knows"`
	Also      []string             `json:"also,omitempty" doc:"What it would wait for as well"`
	Decision  *policy.Decision     `json:"decision,omitempty" doc:"Of a queued target: what the policy says about it now"`
	Diagnosis *Diagnosis           `json:"diagnosis,omitempty" doc:"Of a failed or unknown one: what happened and what to do about it"`
}

// Campaign is what of the target's campaign decides about it.
type Campaign struct {
	Status     campaign.Status
	Gate       campaign.Gate
	SendAt     *time.Time
	NeedsHuman string
}

// Live is what the policy says now about a target that is queued.
type Live struct {
	At       time.Time // of the database
	Decision policy.Decision
}

// now answers; told is the story so far.
func (f Facts) now(told []Moment) Now {
	n := Now{State: f.State}
	diagnose := func() Diagnosis {
		d := Diagnose(f.Reason, f.ErrorCode)
		n.Diagnosis = &d
		return d
	}
	switch f.State {
	case campaign.Queued:
		f.waits(&n, told)
	case campaign.Sending:
		n.WaitsFor, n.Answer = "answer", "It is being sent: WhatsApp's answer is awaited."
	case campaign.Sent:
		n.WaitsFor, n.Answer = "receipt", "It was sent: WhatsApp accepted it, and has not told yet that it was delivered."
	case campaign.Delivered:
		n.Answer = "It was sent and delivered."
	case campaign.Read:
		n.Answer = "It was sent, delivered and read."
	case campaign.FailedT:
		d := diagnose()
		n.Answer = "Not sent: "
		if f.SentAt != nil {
			n.Answer = "Sent but not delivered: "
		}
		n.Answer += sentences(d.Meaning+coded(f.ErrorCode), d.Advice)
	case campaign.Unknown:
		d := diagnose()
		n.WaitsFor, n.Answer = "receipt", sentences("Perhaps sent: "+d.Meaning, d.Advice)
	case campaign.OptedOut:
		n.Answer = "Not sent: the number had opted out when its turn came."
		if f.ErrorCode != 0 {
			d := diagnose()
			n.Answer = "Not sent: " + sentences(d.Meaning+coded(f.ErrorCode), d.Advice)
		}
	case campaign.Cancelled:
		n.Answer = "Not sent: the campaign was stopped" + by(told, CampaignStopped) + " before its turn came."
	}
	return n
}

// waits says why a queued target has not been sent. The first of the obstacles is the answer, in the order in
// which the engine meets them; the others are named beside it.
func (f Facts) waits(n *Now, told []Moment) {
	d, c := f.Live.Decision, f.Campaign
	n.Decision = &d
	obstacle := func(waitsFor, why string, until *time.Time) {
		if n.WaitsFor == "" && n.Answer == "" {
			n.WaitsFor, n.Until, n.Answer = waitsFor, until, "Not sent yet: "+sentences(why, "")
			return
		}
		n.Also = append(n.Also, waitsFor)
	}
	switch {
	case c.Status == campaign.Draft:
		obstacle("start", "the campaign has not been started", nil)
	case c.Status.Ended():
		n.Answer = "Not sent, and it will not be: " + sentences("the campaign is "+string(c.Status)+needs(c.NeedsHuman), "")
	case c.Gate == campaign.GateStopped:
		n.Answer = "Not sent, and it will not be: " + sentences("the campaign is being stopped"+by(told, CampaignStopped), "")
	case c.Gate == campaign.GatePaused:
		obstacle("resume", "the campaign is paused"+by(told, CampaignPaused), nil)
	case c.Status == campaign.Paused:
		obstacle("resume", "the campaign is paused until somebody resumes it"+needs(c.NeedsHuman), nil)
	case c.NeedsHuman != "":
		obstacle("recover", "nothing goes on in the campaign"+needs(c.NeedsHuman), nil)
	case c.SendAt != nil && c.SendAt.After(f.Live.At):
		obstacle("send_at", "the campaign is to begin later", c.SendAt)
	}
	if n.Answer != "" && n.WaitsFor == "" {
		n.Decision = nil // nothing will be decided any more
		return
	}
	if !d.Permitted {
		if d.Reason == policy.OptOut && n.WaitsFor == "" {
			n.Answer = "Not sent, and it will not be: the number has opted out, so it is left out when its turn comes."
			return
		}
		obstacle(string(d.Reason), d.Why, d.RetryAfter)
		for _, also := range d.Also {
			n.Also = append(n.Also, string(also))
		}
	}
	if f.NotBefore != nil && f.NotBefore.After(f.Live.At) && f.Reason != string(policy.Throttled) { // which the decision tells
		why := "it is tried again in a moment"
		if f.Reason != "" {
			why = Diagnose(f.Reason, f.ErrorCode).Meaning + coded(f.ErrorCode) + "; it is tried again"
		}
		obstacle("provider_retry", why, f.NotBefore)
	}
	if n.WaitsFor == "" {
		obstacle("turn", "nothing stands in its way; its turn comes next in its campaign", nil)
	}
}

// by names who last did what the kind says, and why, if it is told.
func by(told []Moment, k Kind) string {
	for i := len(told) - 1; i >= 0; i-- {
		if m := told[i]; m.Kind == k {
			words := ""
			if m.By != "" {
				words = " by " + m.By
			}
			if m.Note != "" {
				words += " (" + m.Note + ")"
			}
			return words
		}
	}
	return ""
}

func needs(human string) string {
	if human == "" {
		return ""
	}
	return "; it needs a human: " + human
}

// sentences makes one of each text, the first of which may lack its end.
func sentences(first, second string) string {
	first = strings.TrimRight(first, ".") + "."
	if second == "" {
		return first
	}
	return first + " " + second
}
