package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/approval"
	"lastcall/domain/rollout"
)

func rolloutCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "rollout", "From a trial to everybody: phases, what must be so, and gates", append(rolloutBack(o), rolloutStatus(o), rolloutStart(o), rolloutShow(o), rolloutProve(o),
		rolloutSignOff(o), rolloutWaive(o), rolloutAdvance(o), rolloutAnnouncements(o), rolloutAnnounce(o), rolloutAdvice(o), rolloutRehearse(o),
		rolloutStation(o, "enrol", http.MethodPut, "Let a station take part: while only some do, no other redeems vouchers"),
		rolloutStation(o, "withdraw", http.MethodDelete, "Take a station out"),
		rolloutLed(o, "revise", "/rollout/plan", "Follow the configured plan from now on", `Follows the configured plan from now on. Of the phases that have begun it may change nothing. Signatures and waivers are
of one version of the plan: they are void, and must be given anew.`),
		rolloutLed(o, "end", "/rollout/end", "End the rollout: its guardrails hold no more", "Ends the rollout, in staging, when it is live, or when it was rolled back."))...)
}

func rolloutStatus(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the phase, every item and what the gate waits for", Args: cobra.NoArgs, Example: "  lastcall rollout status --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Rollout
			if err := c.get(cmd.Context(), "/rollout", nil, &got); err != nil {
				return err
			}
			return o.rollout(got)
		},
	}
}

func rolloutStart(o *output) *cobra.Command {
	var n api.NewRollout
	cmd := &cobra.Command{
		Use: "start", Short: "Begin a rollout, in staging", Args: cobra.NoArgs,
		Long: `Begins a rollout by the configured plan (rollout.plan_file, else the one that Lastcall comes with). From then on its guardrails
hold: in staging messages go to the sandbox only, and stations only rehearse. Whoever begins it signs nothing in staging.`,
		Example: `  lastcall rollout start --reason "Kigali opens in March" --as admin@lastcall.test`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(n.Reason) == "" {
				return usageError{errors.New("--reason is needed: say what it is for")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Rollout
			if _, err := c.call(cmd.Context(), http.MethodPost, "/rollout", n, &got); err != nil {
				return err
			}
			return o.rollout(got)
		},
	}
	cmd.Flags().StringVar(&n.Name, "name", "lastcall", "of which there never was one")
	cmd.Flags().StringVar(&n.Reason, "reason", "", "for everybody; needed")
	return cmd
}

func rolloutShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show ITEM", Short: "Show an item, with its evidence and who signed", Args: cobra.ExactArgs(1), Example: "  lastcall rollout show audit-capture",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.RolloutItem
			if err := c.get(cmd.Context(), itemPath(args[0]), nil, &got); err != nil {
				return err
			}
			return o.rolloutItem(got)
		},
	}
}

func rolloutProve(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "prove ITEM", Short: "Look at an item now", Args: cobra.ExactArgs(1), Example: "  lastcall rollout prove policies --as ops@lastcall.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.itemOrder(cmd, args[0], "/prove", nil)
		},
	}
}

func rolloutSignOff(o *output) *cobra.Command {
	var body api.ItemSignOff
	var reject bool
	cmd := &cobra.Command{
		Use: "sign-off ITEM", Short: "Attest an item, in your role's seat", Args: cobra.ExactArgs(1),
		Long: `Attests an item, or says with --reject that it is not so. The signature is bound to the evidence as it is now, or to that of
--digest: when that changes it is void. Whoever opened the phase signs nothing in it.`,
		Example: `  lastcall rollout sign-off runbooks --note "read and tried, all seven" --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(body.Note) == "" {
				return usageError{errors.New("--note is needed: say what you attest it by")}
			}
			if body.Verdict = approval.Approved; reject {
				body.Verdict = approval.Rejected
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if body.Digest == "" {
				var now api.RolloutItem
				if err := c.get(cmd.Context(), itemPath(args[0]), nil, &now); err != nil {
					return err
				}
				if body.Digest = now.Digest; body.Digest == "" {
					body.Digest = strings.Repeat("0", 64) // nobody has looked at it yet; the API says what is wrong
				}
			}
			return o.itemOrder(cmd, args[0], "/sign-off", body)
		},
	}
	cmd.Flags().StringVar(&body.Note, "note", "", "what you attest it by: a sentence, or a link; needed")
	cmd.Flags().StringVar(&body.Digest, "digest", "", "of the evidence that you looked at (default as it is now)")
	cmd.Flags().BoolVar(&reject, "reject", false, "say that it is not so")
	return cmd
}

func rolloutWaive(o *output) *cobra.Command {
	var body api.RolloutReason
	cmd := &cobra.Command{
		Use: "waive ITEM", Short: "Waive an item, for everybody to see", Args: cobra.ExactArgs(1), Long: "Waives an item. It takes a project lead; everybody sees it, and why, for good.",
		Example: `  lastcall rollout waive incident-drill --reason "done on paper, 12 March" --as project.lead@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(body.Reason) == "" {
				return usageError{errors.New("--reason is needed: say why")}
			}
			return o.itemOrder(cmd, args[0], "/waive", body)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; needed")
	return cmd
}

func rolloutAdvance(o *output) *cobra.Command {
	var body api.GateAdvance
	var from string
	cmd := &cobra.Command{
		Use: "advance", Short: "Open the next phase", Args: cobra.NoArgs,
		Long:    "Opens the next phase, if every item of this one is passed or waived: each is looked at anew first. Else it says what is missing.",
		Example: `  lastcall rollout advance --reason "as agreed on Monday" --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if body.From = rollout.Phase(from); from == "" {
				var now api.Rollout
				if err := c.get(cmd.Context(), "/rollout", nil, &now); err != nil {
					return err
				}
				if now.Gate == nil {
					return fmt.Errorf("the rollout is %s: there is no gate", now.Phase)
				}
				body.From = rollout.Phase(now.Phase)
			}
			var got api.Rollout
			status, err := c.call(cmd.Context(), http.MethodPost, "/rollout/advance", body, &got)
			if err != nil {
				return err
			}
			o.pending(cmd.Context(), c, status, "advance")
			return o.rollout(got)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the phase whose gate it is (default the present one)")
	cmd.Flags().StringVar(&body.Reason, "reason", "", "for everybody")
	return cmd
}

func rolloutStation(o *output, name, method, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " STATION", Short: short, Args: cobra.ExactArgs(1), Example: "  lastcall rollout " + name + " ENG-001 --as admin@lastcall.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := o.station(cmd, args[0])
			if err != nil {
				return err
			}
			var got api.Rollout
			if _, err := c.call(cmd.Context(), method, "/rollout/stations/"+s.ID.String(), nil, &got); err != nil {
				return err
			}
			return o.print(got.Stations, func(t *listing) {
				t.header("takes part", "name", "bar", "since")
				for _, s := range got.Stations {
					t.row(s.Code, s.Name, s.Bar, s.EnrolledAt)
				}
			})
		},
	}
}

// rolloutLed is what a project lead does to the whole rollout.
func rolloutLed(o *output, name, path, short, long string) *cobra.Command {
	var body api.RolloutReason
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs, Long: long + " It takes a project lead.",
		Example: "  lastcall rollout " + name + ` --reason "as agreed" --as project.lead@lastcall.test`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(body.Reason) == "" {
				return usageError{errors.New("--reason is needed: say why")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Rollout
			if _, err := c.call(cmd.Context(), http.MethodPost, path, body, &got); err != nil {
				return err
			}
			return o.rollout(got)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; needed")
	return cmd
}

func itemPath(item string) string { return "/rollout/items/" + url.PathEscape(item) }

// itemOrder orders something about an item and prints what it is then.
func (o *output) itemOrder(cmd *cobra.Command, item, order string, body any) error {
	c, err := o.sh.client()
	if err != nil {
		return err
	}
	var got api.RolloutItem
	status, err := c.call(cmd.Context(), http.MethodPost, itemPath(item)+order, body, &got)
	if err != nil {
		return err
	}
	o.pending(cmd.Context(), c, status, strings.TrimPrefix(order, "/"))
	return o.rolloutItem(got)
}

// rollout prints a rollout: the items of its phase, and of those that were before.
func (o *output) rollout(r api.Rollout) error {
	if r.Phase != "none" {
		o.say("%s: %s, since %s, plan version %d", r.Name, r.Phase, shown(*r.PhaseSince), r.PlanVersion)
	} else {
		o.say("no rollout is under way; this is the plan")
	}
	if err := o.print(r, func(t *listing) {
		t.header("phase", "item", "kind", "outcome", "owner", "what is open")
		for _, p := range r.Phases {
			for _, i := range p.Items {
				t.row(p.Phase, i.ID, i.Kind, i.Outcome, i.Owner, i.Why)
			}
		}
	}); err != nil || r.Gate == nil {
		return err
	}
	switch {
	case r.Gate.Ordered:
		o.say("%s is being opened: every item is looked at anew", r.Gate.To)
	case len(r.Gate.Open) == 0:
		o.say("nothing is missing: lastcall rollout advance opens %s", r.Gate.To)
	default:
		o.say("%s does not open before %d more are passed", r.Gate.To, len(r.Gate.Open))
	}
	return nil
}

// rolloutItem prints an item with its evidence.
func (o *output) rolloutItem(i api.RolloutItem) error {
	return o.print(i, func(t *listing) {
		t.row("item", i.ID)
		t.row("text", i.Text)
		t.row("outcome", i.Outcome)
		if i.Why != "" {
			t.row("open", i.Why)
		}
		t.row("owner", i.Owner)
		if e := i.Evidence; e != nil {
			t.row("found", e.Summary)
			for _, f := range e.Figures {
				t.row(f.Label, f.Value)
			}
			t.row("looked at", i.ProvedAt)
			t.row("digest", i.Digest)
		}
		for _, g := range i.Signatures {
			said := string(g.Verdict) + " as " + string(g.Seat)
			if g.Seat == "" {
				said = "waived"
			}
			if g.Problem != "" {
				said += ", void: " + g.Problem
			}
			t.row(said, fmt.Sprintf("%s, %s: %s", g.By.Email, shown(g.At), g.Reason))
		}
	})
}
