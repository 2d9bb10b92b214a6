package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/payment"
)

func paymentsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "payments", "How bars pay: what one of Finance writes, another confirms", paymentsShow(o), paymentsSet(o), paymentsConfirm(o))
}

func paymentsShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show how bars pay, and how that was", Args: cobra.NoArgs,
		Example: "  lastcall payments show --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var p api.Payments
			if err := c.get(cmd.Context(), "/payments", nil, &p); err != nil {
				return err
			}
			return o.print(p, func(t *listing) {
				if len(p.History) > 0 {
					t.header("revision", "state", "revolut", "instructions", "by", "since", "confirmed by")
				}
				for _, r := range p.History {
					t.paymentRow(r)
				}
			})
		},
	}
}

func paymentsSet(o *output) *cobra.Command {
	var n api.NewPayments
	cmd := &cobra.Command{
		Use: "set JSON", Short: `Write how bars pay, as a draft ("-" for standard input)`, Args: cobra.ExactArgs(1),
		Example: `  lastcall payments set '{"revolut_link":"https://revolut.me/lastcall","instructions":[{"country":"RW","currency":"RWF","text":"By the 5th"}]}' --reason "new account"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			value := []byte(args[0])
			if args[0] == "-" {
				var err error
				if value, err = io.ReadAll(cmd.InOrStdin()); err != nil {
					return fmt.Errorf("read standard input: %w", err)
				}
			}
			if err := json.Unmarshal(value, &n.Value); err != nil {
				return usageError{errors.New("the value is not JSON of this form")}
			}
			if n.Value.Instructions == nil {
				n.Value.Instructions = []payment.Instruction{}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var saved api.PaymentRevision
			if _, err := c.call(cmd.Context(), http.MethodPut, "/payments", n, &saved); err != nil {
				return err
			}
			return o.print(saved, func(t *listing) { t.paymentRow(saved) })
		},
	}
	cmd.Flags().StringVar(&n.Reason, "reason", "", "why, for the history")
	return cmd
}

func paymentsConfirm(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "confirm REVISION", Short: "Put a draft in force that another account wrote", Args: cobra.ExactArgs(1),
		Example: "  lastcall payments confirm 3",
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.Trim(args[0], "0123456789") != "" || args[0] == "" {
				return usageError{errors.New("a revision is a number")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var now api.PaymentRevision
			if _, err := c.call(cmd.Context(), http.MethodPost, "/payments/"+args[0]+"/confirm", nil, &now); err != nil {
				return err
			}
			return o.print(now, func(t *listing) { t.paymentRow(now) })
		},
	}
}

func (t *listing) paymentRow(r api.PaymentRevision) {
	var told []string
	for _, i := range r.Value.Instructions {
		told = append(told, i.Country+" "+i.Currency)
	}
	t.row(r.Revision, r.State, r.Value.RevolutLink, told, r.Author, r.CreatedAt, r.ConfirmedBy)
}
