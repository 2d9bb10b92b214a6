package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lastcall/domain"
	"lastcall/domain/kpi"
	edge "lastcall/domain/probe"
)

func dashboardCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	var zone string
	cmd := &cobra.Command{
		Use: "dashboard", Short: "Show how Lastcall does, and what needs a human now", GroupID: groupWork, Args: cobra.NoArgs,
		Long: `Shows the figures of the panel's dashboard, each with its window, and what waits for a human. A share of nothing is
"no data", never 0 %. The figures of a day begin with a quarter of an hour. With --output json also the formulas and the
vouchers issued and redeemed on each of the last 30 days, in --zone.`,
		Example: "  lastcall dashboard\n  lastcall dashboard --zone Africa/Kigali --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var snap kpi.Snapshot
			if err := c.get(cmd.Context(), "/dashboard", url.Values{"zone": {zone}}, &snap); err != nil {
				return err
			}
			if err := o.print(snap, func(t *listing) {
				t.header("figure", "value", "made of", "since")
				for _, f := range snap.Figures {
					t.row(f.Title, figureValue(f), figureParts(f), f.From)
				}
			}); err != nil || o.format == formatJSON {
				return err
			}
			return o.needs(snap)
		},
	}
	cmd.Flags().StringVar(&zone, "zone", "UTC", "whose days the 30 days are, like Africa/Kigali")
	cmd.Flags().Var(&o.format, "output", "table or json; json prints one object")
	return cmd
}

// needs prints what waits for a human.
func (o *output) needs(snap kpi.Snapshot) error {
	_, _ = fmt.Fprintln(o.sh.stdout)
	if snap.NeedsProblem != "" {
		_, err := fmt.Fprintf(o.sh.stdout, "What needs a human cannot be read now: %s\n", snap.NeedsProblem)
		return err
	}
	if len(snap.Needs) == 0 {
		_, err := fmt.Fprintln(o.sh.stdout, "Nothing needs a human now.")
		return err
	}
	return o.print(snap.Needs, func(t *listing) {
		t.header("needs a human now", "how many", "oldest")
		for _, n := range snap.Needs {
			what := needTitles[n.Kind]
			if len(n.Names) > 0 {
				what += ": " + strings.Join(n.Names, ", ")
			}
			t.row(what, n.N, n.Since)
		}
	})
}

var needTitles = map[kpi.NeedKind]string{
	kpi.RedFunctions:       "edge functions that are red",
	kpi.StuckCampaigns:     "campaigns that wait for somebody to mend something",
	kpi.CampaignApprovals:  "campaigns to approve",
	kpi.OverrideApprovals:  "overrides to decide",
	kpi.TemplateApprovals:  "templates to review",
	kpi.OtherApprovals:     "other decisions",
	kpi.UnsignedReviews:    "days of the rollout to review",
	kpi.OpenSupportTasks:   "offline vouchers for Support",
	kpi.UnsentVouchersNeed: "vouchers that did not come to their guests",
}

// figureValue is a figure in a cell.
func figureValue(f kpi.Figure) string {
	switch {
	case f.Problem != "":
		return "cannot be read: " + f.Problem
	case f.Value == nil:
		return "no data"
	case f.Unit == kpi.Share:
		return kpi.Percent(*f.Value)
	}
	return domain.Thousands(f.Of) + " " + string(f.Unit)
}

// figureParts is what a figure is made of, in a cell.
func figureParts(f kpi.Figure) string {
	var parts []string
	if f.Name == kpi.Availability && !slices.ContainsFunc(f.Parts, func(p kpi.FigurePart) bool { return p.Among > 0 }) {
		return "nothing was probed in this time"
	}
	for _, p := range f.Parts {
		switch {
		case f.Name != kpi.Availability:
			parts = append(parts, domain.Thousands(p.N)+" "+strings.ToLower(p.Title))
		case p.Among == 0:
			parts = append(parts, p.Name+" no data")
		case p.N < p.Among || p.State != edge.Green:
			parts = append(parts, fmt.Sprintf("%s %s of %s, now %s", p.Name, kpi.Percent(float64(p.N)/float64(p.Among)), time.Duration(p.Among)*time.Second, p.State))
		}
	}
	if f.Name == kpi.Delivery && f.Among > 0 {
		parts = append(parts, domain.Thousands(f.Of)+" of "+domain.Thousands(f.Among))
	}
	return strings.Join(parts, ", ")
}
