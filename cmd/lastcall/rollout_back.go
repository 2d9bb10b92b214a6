package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/approval"
	"lastcall/domain/rollout"
)

// rolloutBack are the commands about signals, rollbacks and recoveries.
func rolloutBack(o *output) []*cobra.Command {
	return []*cobra.Command{rolloutSignals(o), rolloutRollBack(o), rolloutRollbacks(o), rolloutRecover(o), rolloutSignRecovery(o), rolloutSignLegacy(o)}
}

func rolloutSignals(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "signals", Short: "Show the signals to roll back, with their clocks", Args: cobra.NoArgs, Example: "  lastcall rollout signals --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, name, err := o.rolloutName(cmd)
			if err != nil {
				return err
			}
			var got api.RolloutSignals
			if err := c.get(cmd.Context(), rolloutPath(name, "signals"), nil, &got); err != nil {
				return err
			}
			if !got.Watched {
				o.say("the rollout is in %s: signals are watched from the pilot on", got.Phase)
			}
			return o.print(got, func(t *listing) {
				t.header("signal", "state", "since", "found", "trips", "when", "then")
				for _, s := range got.Signals {
					trips := ""
					if s.TripsAt != nil {
						trips = "in " + s.TripsAt.Sub(got.Now).Round(time.Second).String()
					}
					t.row(s.Name, s.State, s.Since, s.Detail, trips, s.Threshold, s.Action)
				}
			})
		},
	}
}

func rolloutRollBack(o *output) *cobra.Command {
	var body api.NewRollback
	cmd := &cobra.Command{
		Use: "roll-back", Short: "Roll back: nothing goes any more, and the legacy tooling serves", Args: cobra.NoArgs,
		Long: `Pauses all campaigns, switches dispatch off and the legacy tooling on, opens an incident, and reads back that nothing goes any
more. The rollout stays in its phase, and no gate opens until somebody has recovered. With --rehearsal the same steps are
taken, to see that they work.`,
		Example: `  lastcall rollout roll-back --reason "guests got the wrong vouchers" --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(body.Reason) == "" {
				return usageError{errors.New("--reason is needed: say why")}
			}
			c, name, err := o.rolloutName(cmd)
			if err != nil {
				return err
			}
			return o.rollbackOrder(cmd, c, rolloutPath(name, "rollbacks"), body, "roll-back")
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; needed")
	cmd.Flags().BoolVar(&body.RedemptionsOff, "redemptions-off", false, "stations redeem nothing, either")
	cmd.Flags().BoolVar(&body.Rehearsal, "rehearsal", false, "mark it as a rehearsal")
	return cmd
}

func rolloutRollbacks(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "rollbacks [ROLLBACK]", Short: "List rollbacks, or show one with its steps", Args: cobra.MaximumNArgs(1), Example: "  lastcall rollout rollbacks",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				c, err := o.sh.client()
				if err != nil {
					return err
				}
				var got api.Rollback
				if err := c.get(cmd.Context(), "/rollbacks/"+url.PathEscape(args[0]), nil, &got); err != nil {
					return err
				}
				return o.rollback(got)
			}
			c, name, err := o.rolloutName(cmd)
			if err != nil {
				return err
			}
			var got api.Rollbacks
			if err := c.get(cmd.Context(), rolloutPath(name, "rollbacks"), nil, &got); err != nil {
				return err
			}
			return o.print(got, func(t *listing) {
				t.header("rollback", "state", "began", "by", "reason", "time to safe", "rehearsal")
				for _, b := range got.Rollbacks {
					t.row(b.ID, b.State, b.StartedAt, b.By, b.Reason, toSafe(b), b.Rehearsal)
				}
			})
		},
	}
}

func rolloutRecover(o *output) *cobra.Command {
	var body api.RolloutReason
	cmd := &cobra.Command{
		Use: "recover [ROLLBACK]", Short: "Ask to recover from a rollback: toggles are as they were", Args: cobra.MaximumNArgs(1),
		Long: `Asks to recover from the rollback that is open: the toggles are as they were before it, campaigns stay paused. Then smoke tests
must pass (lastcall smoke), and another person sign (lastcall rollout sign-recovery).`,
		Example: `  lastcall rollout recover --reason "the wrong vouchers are void" --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(body.Reason) == "" {
				return usageError{errors.New("--reason is needed: say why it may")}
			}
			c, b, err := o.openRollback(cmd, args)
			if err != nil {
				return err
			}
			return o.rollbackOrder(cmd, c, "/rollbacks/"+b.ID.String()+"/recovery", body, "recover")
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why it may; needed")
	return cmd
}

func rolloutSignRecovery(o *output) *cobra.Command {
	var body api.RecoverySignature
	var reject bool
	cmd := &cobra.Command{
		Use: "sign-recovery [ROLLBACK]", Short: "Sign that a rollback is over, as another person than who asked", Args: cobra.MaximumNArgs(1),
		Example: `  lastcall rollout sign-recovery --note "seen the smoke tests" --as project.lead@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(body.Note) == "" {
				return usageError{errors.New("--note is needed: say what you sign it by")}
			}
			if body.Verdict = approval.Approved; reject {
				body.Verdict = approval.Rejected
			}
			c, b, err := o.openRollback(cmd, args)
			if err != nil {
				return err
			}
			if body.Digest == "" {
				if body.Digest = b.Digest; body.Digest == "" {
					body.Digest = strings.Repeat("0", 64) // nobody asks; the API says so
				}
			}
			return o.rollbackOrder(cmd, c, "/rollbacks/"+b.ID.String()+"/recovery/sign-off", body, "sign-recovery")
		},
	}
	cmd.Flags().StringVar(&body.Note, "note", "", "what you sign it by; needed")
	cmd.Flags().StringVar(&body.Digest, "digest", "", "of what you looked at (default as it is now)")
	cmd.Flags().BoolVar(&reject, "reject", false, "say that it is not over: everything is off again")
	return cmd
}

func rolloutSignLegacy(o *output) *cobra.Command {
	var body api.LegacySignature
	cmd := &cobra.Command{
		Use: "sign-legacy [ROLLBACK]", Short: "Sign that the legacy tooling answers, or is off again: where no webhook says so", Args: cobra.MaximumNArgs(1),
		Example: `  lastcall rollout sign-legacy --note "sent one, it arrived" --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(body.Note) == "" {
				return usageError{errors.New("--note is needed: say how you know")}
			}
			c, b, err := o.openRollback(cmd, args)
			if err != nil {
				return err
			}
			return o.rollbackOrder(cmd, c, "/rollbacks/"+b.ID.String()+"/legacy", body, "sign-legacy")
		},
	}
	cmd.Flags().StringVar(&body.Note, "note", "", "how you know; needed")
	return cmd
}

func rolloutPath(name, of string) string { return "/rollouts/" + url.PathEscape(name) + "/" + of }

// rolloutName is the name of the rollout that is under way.
func (o *output) rolloutName(cmd *cobra.Command) (*apiClient, string, error) {
	c, err := o.sh.client()
	if err != nil {
		return nil, "", err
	}
	var now api.Rollout
	if err := c.get(cmd.Context(), "/rollout", nil, &now); err != nil {
		return nil, "", err
	}
	if now.Name == "" {
		return nil, "", errors.New("no rollout is under way")
	}
	return c, now.Name, nil
}

// openRollback is the rollback that is named, or the newest of the rollout.
func (o *output) openRollback(cmd *cobra.Command, args []string) (*apiClient, api.Rollback, error) {
	var b api.Rollback
	if len(args) == 1 {
		c, err := o.sh.client()
		if err == nil {
			err = c.get(cmd.Context(), "/rollbacks/"+url.PathEscape(args[0]), nil, &b)
		}
		return c, b, err
	}
	c, name, err := o.rolloutName(cmd)
	if err != nil {
		return c, b, err
	}
	var all api.Rollbacks
	if err := c.get(cmd.Context(), rolloutPath(name, "rollbacks"), nil, &all); err != nil {
		return c, b, err
	}
	if len(all.Rollbacks) == 0 {
		return c, b, errors.New("nobody has rolled it back")
	}
	return c, all.Rollbacks[0], nil
}

// rollbackOrder orders something about a rollback and prints what it is then.
func (o *output) rollbackOrder(cmd *cobra.Command, c *apiClient, path string, body any, order string) error {
	var got api.Rollback
	status, err := c.call(cmd.Context(), http.MethodPost, path, body, &got)
	if err != nil {
		return err
	}
	o.pending(cmd.Context(), c, status, order)
	return o.rollback(got)
}

func toSafe(b api.Rollback) string {
	if b.TimeToSafe == nil {
		return ""
	}
	return fmt.Sprintf("%.1f s", *b.TimeToSafe)
}

// rollback prints a rollback with its steps, and says what comes next.
func (o *output) rollback(b api.Rollback) error {
	o.say("%s: %s, by %s: %s", b.ID, b.State, b.By, b.Reason)
	if err := o.print(b, func(t *listing) {
		t.header("step", "state", "at", "what came of it")
		for _, s := range b.Steps {
			t.row(s.Title, s.State, s.DoneAt, s.Detail)
		}
	}); err != nil {
		return err
	}
	switch {
	case b.LegacyAsked:
		o.say("switch the legacy tooling by hand; then lastcall rollout sign-legacy")
	case b.State == rollout.RollbackDone:
		o.say("safe after %s; lastcall rollout recover asks to recover", toSafe(b))
	case b.State == rollout.RollbackRecovering:
		o.say("lastcall smoke, and then another person: lastcall rollout sign-recovery")
	}
	return nil
}
