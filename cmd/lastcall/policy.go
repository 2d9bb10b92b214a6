package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/contact"
)

func policyCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "policy", "Whether a message may go out", policyExplain(o))
}

func policyExplain(o *output) *cobra.Command {
	var q api.Question
	var at instant
	cmd := &cobra.Command{
		Use: "explain MSISDN", Short: "Explain whether a number may be written to, and if not, why and until when", Args: cobra.ExactArgs(1),
		Long: `Asks the engine that sends. Nothing is sent and no permit is used. For another instant than now, the
throttle is judged by what the channel has left now, the frequency cap by what has been sent by now.`,
		Example: "  lastcall policy explain +250781234567\n  lastcall policy explain 0781234567 --country RW --at 2026-12-31T23:30:00+02:00 --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			q.MSISDN, q.At = args[0], at.time
			var e api.Explanation
			if _, err := c.call(cmd.Context(), http.MethodPost, "/policy/explain", q, &e); err != nil {
				return err
			}
			return o.print(e, func(t *listing) { explanation(t, e) })
		},
	}
	cmd.Flags().StringVar(&q.Channel, "channel", "whatsapp", "by which channel")
	cmd.Flags().StringVar(&q.Country, "country", "", "where a number without + is dialled, like RW")
	cmd.Flags().StringVar(&q.Kind, "kind", "marketing", "what the message is: marketing or utility")
	cmd.Flags().StringVar(&q.Locale, "locale", "", "what the recipient reads, like en-MT (default the contact's)")
	cmd.Flags().Var(&at, "at", "for which instant, RFC 3339 (default now)")
	return cmd
}

func explanation(t *listing, e api.Explanation) {
	if e.Permitted {
		t.row("permitted", "yes")
	} else {
		t.row("permitted", "no: "+e.Why)
		t.row("reason", e.Reason)
		for _, also := range e.Also {
			t.row("also", also)
		}
	}
	if e.RetryAfter != nil {
		t.row("retry after", e.RetryAfter)
	}
	if w := e.NextWindow; w != nil {
		const clock = "02 Jan 15:04 MST"
		opens, closes := w.Opens, w.Closes
		if zone, err := contact.LoadZone(w.Zone); err == nil {
			opens, closes = opens.In(zone), closes.In(zone)
		}
		t.row("next window", opens.Format(clock)+" to "+closes.Format(clock)+", "+w.Zone)
	}
	zone := e.Zone
	if zone == "" {
		zone = "unknown"
	}
	t.row("country, zone", e.Country+", "+zone)
	if e.Kind == "marketing" {
		consent := "none recorded"
		if e.OptedInAt != nil {
			consent = "since " + e.OptedInAt.UTC().Format("2 Jan 2006 15:04 MST")
		}
		t.row("consent", consent)
	}
	t.row("policy revision", e.Revision)
}
