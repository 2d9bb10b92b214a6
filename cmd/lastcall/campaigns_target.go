package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/delivery"
)

func campaignsTarget(o *output) *cobra.Command {
	var q api.TargetQuery
	cmd := &cobra.Command{
		Use: "target ID MSISDN", Short: "Tell why one number was or was not sent to", Args: cobra.MatchAll(cobra.ExactArgs(2), campaignIDs),
		Long: `Tells all that happened to one target, oldest first: attempts, errors with what to do about them, receipts,
and what held it in the queue. The last line answers the question: why was this not sent? Of a target that is
still queued it says what the engine that sends would decide this moment.`,
		Example: "  lastcall campaigns target 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f +250781234567",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			q.MSISDN = args[1]
			var found api.Target
			if _, err := c.call(cmd.Context(), http.MethodPost, "/campaigns/"+args[0]+"/targets/find", q, &found); err != nil {
				return err
			}
			var t api.TargetTimeline
			if err := c.get(cmd.Context(), fmt.Sprintf("/campaigns/%s/targets/%d/timeline", args[0], found.ID), nil, &t); err != nil {
				return err
			}
			return o.timeline(t)
		},
	}
	cmd.Flags().StringVar(&q.Country, "country", "", "where a number without + is dialled, like RW")
	return cmd
}

// timeline prints what happened to a target, and the answer as the last line.
func (o *output) timeline(t api.TargetTimeline) error {
	err := o.print(t, func(l *listing) {
		l.header("time", "what happened to "+t.Target.Masked)
		for _, m := range t.Moments {
			what := m.What
			if m.By != "" {
				what += " by " + m.By
			}
			if m.Note != "" {
				what += ": " + m.Note
			}
			if m.PolicyRevision != 0 {
				what += " (policy revision " + strconv.FormatInt(m.PolicyRevision, 10) + ")"
			}
			l.row(m.At, what)
			if d := m.Diagnosis; d != nil {
				l.row("", "  "+d.Meaning)
				if d.Advice != "" {
					l.row("", "  "+d.Advice)
				}
			}
		}
	})
	if err != nil || o.format == formatJSON {
		return err
	}
	_, err = fmt.Fprintln(o.sh.stdout, "\n"+printable(answer(t.Now)))
	return err
}

// answer is how a target stands, in one line.
func answer(n delivery.Now) string {
	line := n.Answer
	if n.Until != nil {
		line += fmt.Sprintf(" Until %v.", shown(*n.Until))
	}
	for i, also := range n.Also {
		switch i {
		case 0:
			line += " It also waits for: "
		default:
			line += ", "
		}
		line += also
		if i == len(n.Also)-1 {
			line += "."
		}
	}
	return line
}

// diagnosis is an error in words, with what to do about it.
func diagnosis(d delivery.Diagnosis) string {
	if d.Advice == "" {
		return d.Meaning
	}
	return d.Meaning + ". " + d.Advice
}
