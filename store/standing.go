package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"lastcall/domain/delivery"
	"lastcall/domain/policy"
	"lastcall/domain/template"
)

// standing is what holds back the messages of a campaign: its channel, its template. The SQL function of this
// name makes it; nothing is held back where that is null.
type standing struct {
	Channel  *ChannelState     `json:"channel"`
	Template *templateStanding `json:"template"`
}

// templateStanding is a template of which at least one language is suspended, or a version that was retired.
type templateStanding struct {
	Name    string            `json:"name"`
	Version int               `json:"version"`
	Retired bool              `json:"retired"`
	Locales map[string]string `json:"locales"` // of its texts; without the texts
	States  []TemplateState   `json:"states"`
}

// parseStanding reads what the SQL function standing made.
func parseStanding(raw []byte) (s standing, err error) {
	if len(raw) == 0 {
		return s, nil
	}
	return s, wrap(json.Unmarshal(raw, &s), "standing")
}

// standingOf reads what holds back a channel and a template (nil: none) now.
func (s *Store) standingOf(ctx context.Context, channel string, template *uuid.UUID) (standing, error) {
	var held []byte
	if err := s.pool.QueryRow(ctx, `SELECT standing($1, $2)`, channel, template).Scan(&held); err != nil {
		return standing{}, unavailable(err)
	}
	return parseStanding(held)
}

// suspensions are what the policy has to know about a recipient with this locale.
func (s standing) suspensions(locale string, now time.Time) (all []policy.Suspension) {
	if s.Channel != nil {
		all = s.Channel.suspensions(now)
	}
	if t := s.Template; t != nil && t.Retired {
		return append(all, policy.Suspension{Reason: policy.TemplateSuspended, NeedsHuman: true,
			Why: fmt.Sprintf("version %d of template %s is retired. Stop the campaign; another can be made with another version", t.Version, t.Name)})
	}
	if t := s.Template.of(locale); t != nil && t.State != delivery.TemplateActive {
		all = append(all, t.suspension())
	}
	return all
}

// of is the state that counts for a recipient with this locale: of the language that the text would be in, else
// of all. Nil: the provider never said anything.
func (t *templateStanding) of(locale string) *TemplateState {
	if t == nil {
		return nil
	}
	language := template.Template{Texts: t.Locales}.Locale(locale)
	var found *TemplateState
	for i, s := range t.States {
		if s.Language == language || s.Language == "" && found == nil {
			found = &t.States[i]
		}
	}
	return found
}

// check adds to a preflight what the provider holds back: a problem if no recipient could be written to with the
// template, else a warning. A suspended channel is worth a warning: the campaign waits until it goes on.
func (s standing) check(c *Check, locales []string, now time.Time) {
	seen := map[string]bool{}
	var found []Finding
	suspended := 0
	for _, locale := range locales {
		t := s.Template.of(locale)
		if t == nil || t.State == delivery.TemplateActive {
			continue
		}
		suspended++
		if !seen[t.Language] {
			seen[t.Language] = true
			found = append(found, Finding{string(policy.TemplateSuspended), t.suspension().Why})
		}
	}
	if suspended > 0 && suspended == len(locales) {
		c.Problems = append(c.Problems, found...)
	} else {
		c.Warnings = append(c.Warnings, found...)
	}
	if s.Channel != nil && s.Channel.State != ChannelClosed {
		c.Warnings = append(c.Warnings, Finding{string(policy.ChannelSuspended), s.Channel.Why() + "; the campaign will wait until it goes on"})
	}
}

// Trial is what one message is to prove.
type Trial struct {
	Channel  string // the suspended channel; "" for none
	Cause    delivery.Cause
	Template string // the suspended template; "" for none
	Language string // the template's that is tried
}

// On reports whether there is anything to prove.
func (t Trial) On() bool { return t != Trial{} }

// heldBack lets a claim go no further while the provider holds everything back: it says so in c, or gives the
// lane the trial when its time has come. Of what the lane has a trial for, nothing is held back from it.
func (tx *Tx) heldBack(c *Claim, l Lane, w *window, cohorts []Cohort) (said bool, err error) {
	if ch := w.standing.Channel; ch != nil {
		switch {
		case ch.State == ChannelClosed: // slowed; not worth telling the audit log
			for _, k := range cohorts {
				sub := w.subject(k)
				sub.Suspensions = ch.suspensions(w.now)
				(*waits)(&c.Waits).add(w.settings.Clock(sub, w.now), k.Counts.Queued)
			}
			return len(c.Waits) > 0, nil
		case ch.TrialBy != nil && *ch.TrialBy == l.holder():
			c.Trial.Channel, c.Trial.Cause, w.standing.Channel = ch.Channel, ch.Cause, nil
		case ch.RetryAt != nil && !ch.RetryAt.After(w.now):
			got, err := tx.tryChannel(l, ch.Channel)
			if c.Busy = !got; got {
				c.Probe = ch
			}
			return true, err
		default:
			return false, nil // the policy says the rest
		}
	}
	if w.standing.Template != nil && w.standing.Template.Retired {
		return false, nil // no trial proves anything
	}
	for _, k := range cohorts {
		t := w.standing.Template.of(k.Locale)
		if t == nil || t.State != delivery.TemplatePaused || t.RetryAt == nil {
			continue
		}
		mine := t.TrialBy != nil && *t.TrialBy == l.holder()
		if !mine && !t.RetryAt.After(w.now) {
			if mine, err = tx.tryTemplate(l, *t); err != nil {
				return false, err
			}
		}
		if mine {
			c.Trial.Template, c.Trial.Language = t.Name, t.Language
			t.State = delivery.TemplateActive
			return false, nil
		}
	}
	return false, nil
}

// tried leaves of the open cohorts those that a trial of a template is about.
func (s standing) tried(t Trial, cohorts []Cohort, open []int16) []int16 {
	if t.Template == "" {
		return open
	}
	var left []int16
	for _, k := range cohorts {
		if slices.Contains(open, k.ID) && s.Template.of(k.Locale) != nil && s.Template.of(k.Locale).Language == t.Language {
			left = append(left, k.ID)
		}
	}
	return left
}

// trialLasts is how long a lane has for a trial before another may try.
const trialLasts = 30 * time.Second

// holder names the lane and its attempt in a trial.
func (l Lane) holder() string { return fmt.Sprintf("%s/%s/%d", l.Campaign, l.owner(), l.Fence) }
