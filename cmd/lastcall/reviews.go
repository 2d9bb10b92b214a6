package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func reviewsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "reviews", "How the days of a rollout went, and who looked", reviewsList(o), reviewsShow(o), reviewsSign(o))
}

func reviewsList(o *output) *cobra.Command {
	var p paging
	var of string
	var open bool
	cmd := &cobra.Command{
		Use: "list", Short: "List daily reviews, newest first", Args: cobra.NoArgs, Example: "  lastcall reviews list --open",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := p.query()
			if of != "" {
				query.Set("rollout", of)
			}
			if open {
				query.Set("open", "true")
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.ReviewPage
			if err := c.get(cmd.Context(), "/reviews", query, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("day", "rollout", "state", "opened", "signed", "by", "id")
				for _, v := range page.Reviews {
					by := ""
					if v.SignedBy != nil {
						by = v.SignedBy.Email
					}
					t.row(v.Day, v.Rollout, v.State, v.OpenedAt, v.SignedAt, by, v.ID)
				}
			})
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&of, "rollout", "", "only of this one")
	cmd.Flags().BoolVar(&open, "open", false, "only those that nobody has signed")
	return cmd
}

func reviewsShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show DAY", Short: "Show a daily review with its figures", Args: cobra.ExactArgs(1),
		Long: "Shows how a day went. DAY is a day like 2026-11-24, or the review's id.", Example: "  lastcall reviews show 2026-11-24",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			v, err := reviewOf(cmd, c, args[0])
			if err != nil {
				return err
			}
			return o.review(v)
		},
	}
}

func reviewsSign(o *output) *cobra.Command {
	var body api.ReviewSignature
	cmd := &cobra.Command{
		Use: "sign DAY", Short: "Say that you have looked at a day", Args: cobra.ExactArgs(1),
		Long: `Signs the review of a day. It takes somebody of ops or support who did not open the phase. DAY is a day like 2026-11-24, or
the review's id.`,
		Example: `  lastcall reviews sign 2026-11-24 --notes "two throttled campaigns, nothing else" --as support@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(body.Notes) == "" {
				return usageError{errors.New("--notes is needed: say what you have seen")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			v, err := reviewOf(cmd, c, args[0])
			if err != nil {
				return err
			}
			if body.Digest == "" {
				body.Digest = v.Digest
			}
			var signed api.DailyReview
			if _, err := c.call(cmd.Context(), http.MethodPost, "/reviews/"+v.ID.String()+"/sign", body, &signed); err != nil {
				return err
			}
			return o.review(signed)
		},
	}
	cmd.Flags().StringVar(&body.Notes, "notes", "", "what you have seen; needed")
	cmd.Flags().StringVar(&body.Digest, "digest", "", "of what you looked at (default as it is)")
	return cmd
}

// reviewOf finds a review by its id, or the newest of a day.
func reviewOf(cmd *cobra.Command, c *apiClient, named string) (v api.DailyReview, err error) {
	var page api.ReviewPage
	if err := c.get(cmd.Context(), "/reviews", map[string][]string{"limit": {"500"}}, &page); err != nil {
		return v, err
	}
	for _, one := range page.Reviews {
		if one.Day == named || one.ID.String() == named {
			return v, c.get(cmd.Context(), "/reviews/"+one.ID.String(), nil, &v)
		}
	}
	return v, fmt.Errorf("no review of %q has been opened", named)
}

// review prints a review with what it shows.
func (o *output) review(v api.DailyReview) error {
	return o.print(v, func(t *listing) {
		t.row("day", v.Day)
		t.row("rollout", v.Rollout+", "+string(v.Phase))
		t.row("state", v.State)
		t.row("about", fmt.Sprintf("%s to %s", shown(v.From), shown(v.To)))
		if v.SignedBy != nil {
			t.row("signed", fmt.Sprintf("%s as %s, %s: %s", v.SignedBy.Email, v.Role, shown(*v.SignedAt), v.Notes))
		}
		if s := v.Snapshot; s != nil {
			for _, f := range s.KPIs.Figures {
				t.row(f.Title, figureValue(f))
			}
			for _, b := range s.Blocks {
				t.row("held back: "+b.Title, b.N)
			}
			for _, f := range s.Failures {
				t.row(strings.TrimSpace(fmt.Sprintf("failed: %s %s", f.Reason, codeOf(f.ErrorCode))), f.N)
			}
			for _, a := range s.Audit {
				t.row("audit: "+a.Action, a.N)
			}
		}
		t.row("digest", v.Digest)
	})
}

func codeOf(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
