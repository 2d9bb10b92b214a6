package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
)

func sendCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	n := api.NewSend{Variables: pairs{}}
	var key string
	cmd := &cobra.Command{
		Use: "send MSISDN", Short: "Send a message to one person", GroupID: groupWork, Args: cobra.ExactArgs(1),
		Long: `The policy is asked at once, and nothing lets anybody past it. A blocked message is not sent: the
command tells why and when it may go, and ends with exit code 1. With --when-allowed it waits until then.`,
		Example: `  lastcall send +250781234567 --template promo_generic
  lastcall send +35679123456 --template promo_generic --locale en-MT --when-allowed --output json --as support@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			n.MSISDN = args[0]
			if key == "" {
				key = uuid.NewString()
			}
			one, status, err := c.sendOne(cmd.Context(), n, key)
			if err != nil {
				return err
			}
			return o.sent(cmd.Context(), c, one, status)
		},
	}
	cmd.Flags().StringVar(&n.Template, "template", "", "a template's name, or a version's id")
	_ = cmd.MarkFlagRequired("template") // it exists
	cmd.Flags().Var(pairs(n.Variables), "var", "name=value, a value of the template's, repeatable")
	cmd.Flags().StringVar(&n.Locale, "locale", "", "of the text, like rw-RW (default the contact's)")
	cmd.Flags().StringVar(&n.Country, "country", "", "where a number without + is dialled, like RW")
	cmd.Flags().BoolVar(&n.WhenAllowed, "when-allowed", false, "where it is blocked, wait until it may go")
	cmd.Flags().StringVar(&key, "idempotency-key", "", "the same key again sends nothing again (default a new one)")
	cmd.Flags().Var(&o.format, "output", "table or json; json prints one object")
	return cmd
}

func sendsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "sends", "Messages to one person", sendsList(o), sendsShow(o), sendsCancel(o), sendsResend(o))
}

func sendsList(o *output) *cobra.Command {
	var p paging
	var states []string
	var template, contact string
	cmd := &cobra.Command{
		Use: "list", Short: "List messages to one person, newest first", Args: cobra.NoArgs,
		Example: "  lastcall sends list --state queued\n  lastcall sends list --state failed --template promo_generic --limit 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			q := p.query()
			for _, s := range states {
				q.Add("state", s)
			}
			if template != "" {
				q.Set("template", template)
			}
			if contact != "" {
				q.Set("contact_id", contact)
			}
			var page api.SendPage
			if err := c.get(cmd.Context(), "/sends", q, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("id", "number", "template", "state", "why", "ordered by", "ordered")
				for _, each := range page.Sends {
					t.row(each.SendID, each.MSISDN, each.Template, each.State, each.Meaning, each.RequestedBy, each.CreatedAt)
				}
			})
		},
	}
	p.flags(cmd)
	cmd.Flags().StringSliceVar(&states, "state", nil, "only those in this state: queued, sent, failed, …; repeatable")
	cmd.Flags().StringVar(&template, "template", "", "only with this template")
	cmd.Flags().StringVar(&contact, "contact", "", "only to this contact, by its id")
	return cmd
}

func sendsShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a message and all that happened to it", Args: cobra.ExactArgs(1),
		Example: "  lastcall sends show 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var one api.Send
			if err := c.get(cmd.Context(), "/sends/"+url.PathEscape(args[0]), nil, &one); err != nil {
				return err
			}
			return o.single(one)
		},
	}
}

func sendsCancel(o *output) *cobra.Command {
	var order api.SendOrder
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "Cancel a message that waits", Args: cobra.ExactArgs(1),
		Example: `  lastcall sends cancel 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason "told them by phone"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.orderSend(cmd, args[0], "cancel", order, func(api.Send) error { return nil })
		},
	}
	cmd.Flags().StringVar(&order.Reason, "reason", "", "why, for the timeline and the audit log")
	return cmd
}

func sendsResend(o *output) *cobra.Command {
	var order api.SendOrder
	var whenAllowed bool
	cmd := &cobra.Command{
		Use: "resend ID", Short: "Send a failed message again", Args: cobra.ExactArgs(1),
		Long:    "As a new attempt, through all rules. One whose outcome is unknown may arrive twice: only with --accept-duplicate.",
		Example: `  lastcall sends resend 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --when-allowed`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("when-allowed") {
				order.WhenAllowed = &whenAllowed
			}
			return o.orderSend(cmd, args[0], "resend", order, stopped)
		},
	}
	cmd.Flags().StringVar(&order.Reason, "reason", "", "why, for the timeline and the audit log")
	cmd.Flags().BoolVar(&order.AcceptDuplicate, "accept-duplicate", false, "send an unknown one again although it may arrive twice")
	cmd.Flags().BoolVar(&whenAllowed, "when-allowed", false, "where it is blocked, wait until it may go (default as it was ordered)")
	return cmd
}

// orderSend gives an order about a message and prints it as it is then.
func (o *output) orderSend(cmd *cobra.Command, id, order string, in api.SendOrder, end func(api.Send) error) error {
	c, err := o.sh.client()
	if err != nil {
		return err
	}
	var one api.Send
	if _, err := c.call(cmd.Context(), http.MethodPost, "/sends/"+url.PathEscape(id)+"/"+order, in, &one); err != nil {
		return err
	}
	return errors.Join(o.single(one), end(one))
}

// sendOne sends a message to one person, once: the call may be repeated by what lies between.
func (c *apiClient) sendOne(ctx context.Context, n api.NewSend, key string) (one api.Send, status int, err error) {
	status, err = c.order(ctx, http.MethodPost, "/sends", http.Header{"Idempotency-Key": {key}}, n, &one)
	return one, status, err
}

// sent prints a message that was asked for, and fails when it did not go and does not wait.
func (o *output) sent(ctx context.Context, c *apiClient, one api.Send, status int) error {
	if err := o.single(one); err != nil {
		return err
	}
	if one.Block == nil {
		o.pending(ctx, c, status, "send")
	}
	return stopped(one)
}

// stopped is the failure of a message that did not go and does not wait.
func stopped(one api.Send) error {
	switch one.State {
	case campaign.FailedT, campaign.OptedOut, campaign.Unknown, campaign.Cancelled:
	default:
		return nil
	}
	if one.Block != nil {
		return errors.New("send blocked: " + blockWords(one.Block))
	}
	return errors.New("not sent: " + one.Meaning)
}

// blockWords is a block with the time of the recipient's clock at which it ends.
func blockWords(d *policy.Decision) string {
	if w := d.NextWindow; w != nil {
		if zone, err := contact.LoadZone(w.Zone); err == nil {
			return "quiet hours until " + w.Opens.In(zone).Format("02 Jan 15:04") + " (" + w.Zone + ")"
		}
	}
	return d.Why
}

// single prints a message to one person.
func (o *output) single(one api.Send) error {
	return o.print(one, func(t *listing) {
		t.row("id", one.SendID)
		t.row("number", one.MSISDN)
		t.row("template", one.Template)
		t.row("state", one.State)
		if b := one.Block; b != nil {
			t.row("blocked", blockWords(b))
			for _, also := range b.Also {
				t.row("also", also)
			}
			if b.RetryAfter != nil {
				t.row("retry after", b.RetryAfter)
			}
			t.row("policy revision", b.Revision)
		} else if one.Meaning != "" {
			t.row("why", one.Meaning)
		}
		if one.Advice != "" {
			t.row("advice", one.Advice)
		}
		for _, e := range one.Timeline {
			t.row(shown(e.At), e.What)
		}
	})
}
