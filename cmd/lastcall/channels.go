package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func channelsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "channels", "By what messages go, and whether they may", channelsList(o),
		channelsOrder(o, "close", "Let a suspended channel go on", `Ends the suspension of a channel, once what had caused it is mended. Every waiting campaign goes on within a
second. Most suspensions end by themselves; one for spam reports, or one by hand, only so.`,
			`  lastcall channels close whatsapp --reason "new token is in place"`),
		channelsOrder(o, "open", "Suspend a channel", `Nothing more is sent on the channel until somebody closes it again. Its campaigns wait and say why.`,
			`  lastcall channels open whatsapp --reason "wrong prices went out"`))
}

func channelsList(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List channels and how they stand", Args: cobra.NoArgs,
		Example: "  lastcall channels list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.Channels
			if err := c.get(cmd.Context(), "/channels", nil, &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("channel", "state", "since", "tried again", "why")
				for _, ch := range all.Channels {
					channelRow(t, ch)
				}
			})
		},
	}
}

func channelsOrder(o *output, order, short, long, example string) *cobra.Command {
	var word api.Word
	cmd := &cobra.Command{
		Use: order + " NAME", Short: short, Long: long, Example: example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var ch api.Channel
			if _, err := c.call(cmd.Context(), http.MethodPost, "/channels/"+url.PathEscape(args[0])+"/"+order, word, &ch); err != nil {
				return err
			}
			return o.print(ch, func(t *listing) { channelRow(t, ch) })
		},
	}
	reasonFlag(cmd, &word)
	return cmd
}

func channelRow(t *listing, c api.Channel) { t.row(c.Name, c.State, c.OpenedAt, c.RetryAt, c.Why) }

// reasonFlag asks for a reason, without which the command is wrong usage.
func reasonFlag(cmd *cobra.Command, word *api.Word) {
	cmd.Flags().StringVar(&word.Reason, "reason", "", "why, for the audit log; required")
	_ = cmd.MarkFlagRequired("reason")
}

func templatesSuspended(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "suspended", Short: "List the templates that WhatsApp does not take, and why", Args: cobra.NoArgs,
		Example: "  lastcall templates suspended",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.TemplateSuspensions
			if err := c.get(cmd.Context(), "/template-suspensions", nil, &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) { suspensionRows(t, all) })
		},
	}
}

func templatesResume(o *output) *cobra.Command {
	var word api.Word
	cmd := &cobra.Command{
		Use: "resume NAME", Short: "Let a suspended template be sent again", Args: cobra.ExactArgs(1),
		Long: `Ends the suspension of a template in all its languages, once it is mended at WhatsApp; its campaigns go on within
a second. It is not needed when WhatsApp tells by webhook that the template is approved again. Prints what is
still suspended.`,
		Example: `  lastcall templates resume promo_generic --reason "approved again, no webhook came"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var left api.TemplateSuspensions
			if _, err := c.call(cmd.Context(), http.MethodPost, "/templates/"+url.PathEscape(args[0])+"/resume", word, &left); err != nil {
				return err
			}
			return o.print(left, func(t *listing) { suspensionRows(t, left) })
		},
	}
	reasonFlag(cmd, &word)
	return cmd
}

func suspensionRows(t *listing, all api.TemplateSuspensions) {
	if len(all.Suspensions) == 0 {
		return
	}
	t.header("template", "language", "state", "since", "tried again", "why")
	for _, s := range all.Suspensions {
		t.row(s.Name, s.Language, s.State, s.Since, s.RetryAt, s.Why)
	}
}
