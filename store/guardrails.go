package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
	"lastcall/domain/rollout"
	"lastcall/domain/template"
)

// guard is the phase that the installation is in, and what that forbids. Without a rollout it forbids nothing.
type guard struct {
	rollout string // "": there is none
	phase   rollout.Phase
	rollout.Guardrails
}

// GuardrailFacts are what a refusal of code phase_guardrail tells programs.
type GuardrailFacts struct {
	Rollout   string        `json:"rollout"`
	Phase     rollout.Phase `json:"phase" enum:"staging,pilot,production,live"`
	Guardrail string        `json:"guardrail" enum:"provider,redemptions,bars,stations,support,targets,templates"`
	Limit     int           `json:"limit,omitempty"`
	Would     int64         `json:"would,omitempty" doc:"What it would come to"`
	Target    string        `json:"-"` // what was not done, for the audit log
}

// guard reads the guardrails and keeps the phase as it is until the transaction ends. Whoever counts against a limit
// locks it with UPDATE, so that of several who want the last place one gets it. It is taken after the row that is about to
// change (a campaign, an account), and before the settings.
func (tx *Tx) guard(lock string) (g guard, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT name, phase, guardrails FROM rollouts WHERE ended_at IS NULL FOR `+lock).Scan(&g.rollout, &g.phase, &g.Guardrails)
	if errors.Is(err, pgx.ErrNoRows) {
		return guard{}, nil
	}
	return g, wrap(err, "read guardrails")
}

// refuse is the error of what a guardrail forbids. Who gets it out of a transaction finds it in the audit log.
func (g guard) refuse(facts GuardrailFacts, why string, args ...any) *domain.Error {
	facts.Rollout, facts.Phase = g.rollout, g.phase
	return domain.E(domain.Conflict, rollout.Guardrail, "the rollout is in "+string(g.phase)+": "+why, args...).With(facts)
}

// guardSending makes sure that the phase lets so many messages go with a template; 0: it is one message to one person.
func (tx *Tx) guardSending(s *Store, target string, templateID uuid.UUID, targets int64) error {
	g, err := tx.guard("SHARE")
	if err != nil || g.rollout == "" {
		return err
	}
	if err := g.provider(s, target); err != nil {
		return err
	}
	if g.Targets > 0 && targets > int64(g.Targets) {
		return g.refuse(GuardrailFacts{Guardrail: "targets", Limit: g.Targets, Would: targets, Target: target},
			"a campaign has %d targets at most, and this one has %s", g.Targets, domain.Thousands(targets))
	}
	if g.Templates != rollout.Locked {
		return nil
	}
	var name string
	var status template.Status
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT name, status FROM templates WHERE id = $1`, templateID).Scan(&name, &status); err != nil {
		return notFound(err, "template", templateID)
	}
	if status != template.Locked {
		return g.refuse(GuardrailFacts{Guardrail: "templates", Target: target}, "only locked templates are sent, and %s is %s", name, status).About("template")
	}
	return nil
}

// provider makes sure that nothing is sent for real while only the sandbox may get it.
func (g guard) provider(s *Store, target string) error {
	if g.Provider == rollout.Sandbox && !s.sandbox {
		return g.refuse(GuardrailFacts{Guardrail: "provider", Target: target}, "messages go to the sandbox only, and this installation sends for real")
	}
	return nil
}

// guardTest makes sure that the phase lets somebody send a version of a template to a phone.
func (tx *Tx) guardTest(s *Store, target string) error {
	g, err := tx.guard("SHARE")
	if err == nil {
		err = g.provider(s, target)
	}
	return err
}

// guardSupport makes sure that one more account may sign in with this role.
func (tx *Tx) guardSupport(role access.Role, target string) error {
	if role != access.Support {
		return nil
	}
	g, err := tx.guard("UPDATE")
	if err != nil || g.Support == 0 {
		return err
	}
	var there int64
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FROM accounts WHERE role = 'support' AND disabled_at IS NULL`).Scan(&there); err != nil {
		return err
	}
	if there >= int64(g.Support) {
		return g.refuse(GuardrailFacts{Guardrail: "support", Limit: g.Support, Would: there + 1, Target: target},
			"%d people of support take part at most, and there are %d", g.Support, there).About("role")
	}
	return nil
}

// guardStation makes sure that a station may be used.
func (tx *Tx) guardStation(id uuid.UUID) error {
	g, err := tx.guard("SHARE")
	if err != nil || g.Stations == 0 {
		return err
	}
	var part bool
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT station_takes_part($1)`, id).Scan(&part); err != nil {
		return err
	}
	if !part {
		return g.refuse(GuardrailFacts{Guardrail: "stations", Limit: g.Stations, Target: "station/" + id.String()}, "only stations that take part are used, and this one does not").About("station")
	}
	return nil
}

// toggles makes sure that the phase lets the toggles be so.
func (g guard) toggles(value []byte) error {
	if g.Redemptions != rollout.Mocked {
		return nil
	}
	t, err := policy.ParseToggles(value)
	if err == nil && !t.MockRedemptions {
		err = g.refuse(GuardrailFacts{Guardrail: "redemptions", Target: "settings/toggles"}, "stations only rehearse: mock_redemptions stays on").About("mock_redemptions")
	}
	return err
}

// guardedToggles are the toggles as the phase forces them to be, at a claim: nothing leaves for real while only the
// sandbox may get it.
func (s *Store) guardedToggles(set policy.Settings, provider *string) policy.Settings {
	if provider != nil && *provider == rollout.Sandbox && !s.sandbox {
		set.Toggles.Dispatch = false
	}
	return set
}

// guarded enters in the audit log what a guardrail refused, in a transaction of its own, and returns err.
func (s *Store) guarded(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*domain.Error](err)
	if !ok || refused.Code != rollout.Guardrail {
		return err
	}
	facts, ok := refused.Facts.(GuardrailFacts)
	if !ok {
		return err
	}
	if failed := s.Enter(ctx, audit.Entry{Action: "rollout.guardrail", Target: facts.Target, Diff: map[string]any{"code": rollout.Guardrail,
		"rollout": facts.Rollout, "phase": facts.Phase, "guardrail": facts.Guardrail, "limit": facts.Limit, "would": facts.Would}}); failed != nil {
		return failed
	}
	return err
}
