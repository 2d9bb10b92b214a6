package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain"
	"lastcall/domain/throttle"
	"lastcall/store"
)

func rolloutAdvice(o *output) *cobra.Command {
	var keep, apply bool
	var reason, digest string
	var known []string
	cmd := &cobra.Command{
		Use: "advice", Short: "Show what the pilot's figures say about the throttle's caps; keep the caps, or apply it", Args: cobra.NoArgs,
		Long: `Shows what was sent since the pilot began (without one: in 30 days), and what that says about each cap of the throttle. Of fewer
than 50 messages nothing is known. --keep says that you reviewed the caps and leaves them as they are; --apply saves all that
is proposed (settings impact throttle tells before what it would mean). Either is the review that a rollout asks for. What
is proposed must still be what you looked at: pass its --digest, or what is proposed now counts.`,
		Example: `  lastcall rollout advice
  lastcall rollout advice --keep --reason "the pilot was calm" --as ops@lastcall.test
  lastcall rollout advice --apply --reason "as the pilot showed" --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keep && apply {
				return usageError{errors.New("--keep and --apply contradict each other")}
			}
			if (keep || apply) && strings.TrimSpace(reason) == "" {
				return usageError{errors.New("--reason is needed: say why")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var now store.ThrottleAdvice
			if err := c.get(cmd.Context(), "/settings/throttle/advice", nil, &now); err != nil {
				return err
			}
			if digest == "" {
				digest = now.Digest
			}
			switch {
			case keep:
				var r store.ThrottleReview
				if _, err := c.call(cmd.Context(), http.MethodPost, "/settings/throttle/review", api.ThrottleKept{Advice: digest, Reason: reason}, &r); err != nil {
					return err
				}
				return o.print(r, func(t *listing) {
					t.header("reviewed", "by", "at", "reason")
					t.row(r.Verdict, r.Actor, r.CreatedAt, r.Reason)
				})
			case apply:
				value, err := json.Marshal(now.Proposed)
				if err != nil {
					return err
				}
				var saved store.SettingsRevision
				if _, err := c.call(cmd.Context(), http.MethodPut, "/settings/throttle", api.NewSetting{Value: value, Reason: reason, Acknowledged: known, Advice: digest}, &saved); err != nil {
					return dangers(err)
				}
				return o.print(saved, func(t *listing) { revision(t, saved) })
			}
			return o.advice(now)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "you reviewed the caps, and they stay")
	cmd.Flags().BoolVar(&apply, "apply", false, "save all that is proposed")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for everybody; needed with --keep and --apply")
	cmd.Flags().StringVar(&digest, "digest", "", "of the advice that you looked at (default as it is now)")
	cmd.Flags().StringSliceVar(&known, "acknowledge", nil, acknowledgeUsage)
	return cmd
}

// advice prints the figures, and then what they say about each cap.
func (o *output) advice(a store.ThrottleAdvice) error {
	if a.Rollout != "" {
		o.say("%s, since the pilot of %s began, %s", a.Channel, a.Rollout, shown(a.From))
	} else {
		o.say("%s, of the last 30 days", a.Channel)
	}
	for _, f := range a.Figures {
		said := domain.Thousands(f.N)
		if f.Of > 0 {
			said += " of " + domain.Thousands(f.Of)
		}
		if f.Share != nil {
			said += " (" + strconv.FormatFloat(100**f.Share, 'f', 1, 64) + " %)"
		}
		o.say("  %s: %s", f.Title, said)
	}
	if err := o.print(a, func(t *listing) {
		t.header("cap", "now", "proposed", "advice", "n", "why")
		t.right(2, 3, 5)
		for _, p := range a.Proposals {
			proposed := "unknown"
			if p.Proposed != nil {
				proposed = domain.Thousands(int64(*p.Proposed))
			}
			t.row(p.Setting, domain.Thousands(int64(p.Now)), proposed, p.Verdict, p.N, strings.Join(p.Reasons, "; "))
		}
	}); err != nil {
		return err
	}
	if r := a.Review; r != nil {
		o.say("reviewed and %s by %s, %s: %s", r.Verdict, r.Actor, shown(r.CreatedAt), r.Reason)
	} else if len(throttle.Tightens(a.Proposals)) > 0 {
		o.say("the figures speak against caps: lastcall rollout advice --apply saves what is proposed")
	}
	return nil
}
