package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
)

func vouchersResend(o *output) *cobra.Command {
	order := api.VoucherResend{Variables: pairs{}}
	var key string
	cmd := &cobra.Command{
		Use: "resend ID", Short: "Send a voucher to its guest again", Args: cobra.ExactArgs(1),
		Long: `Sends the same voucher, with the same code, in a message of its own that obeys every rule; one that was never sent, too. By
default it says what its campaign says. A guest who may have it already gets it only with --accept-duplicate.`,
		Example: `  lastcall vouchers resend 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason "has another phone now"
  lastcall vouchers resend 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --template voucher_gift --when-allowed`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if key == "" {
				key = uuid.NewString()
			}
			one, status, err := c.resendVoucher(cmd.Context(), args[0], order, key)
			if err != nil {
				return err
			}
			return o.sent(cmd.Context(), c, one, status)
		},
	}
	cmd.Flags().StringVar(&order.Template, "template", "", "a template's name, or a version's id (default the campaign's)")
	cmd.Flags().Var(pairs(order.Variables), "var", "name=value, what the template asks for besides, repeatable")
	cmd.Flags().StringVar(&order.Locale, "locale", "", "of the text, like rw-RW (default the guest's)")
	cmd.Flags().StringVar(&order.Reason, "reason", "", "why, for the audit log")
	cmd.Flags().BoolVar(&order.AcceptDuplicate, "accept-duplicate", false, "send it although the guest may have it already")
	cmd.Flags().BoolVar(&order.WhenAllowed, "when-allowed", false, "where it is blocked, wait until it may go")
	cmd.Flags().StringVar(&key, "idempotency-key", "", "the same key again sends nothing again (default a new one)")
	return cmd
}

// resendVoucher sends a voucher to its guest, once: the call may be repeated by what lies between.
func (c *apiClient) resendVoucher(ctx context.Context, id string, order api.VoucherResend, key string) (one api.Send, status int, err error) {
	body, err := json.Marshal(order)
	if err != nil {
		return one, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {key}}
	status, err = c.send(ctx, http.MethodPost, "/vouchers/"+url.PathEscape(id)+"/resend", header, bytes.NewReader(body), &one)
	return one, status, err
}

func vouchersTold(o *output) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use: "told ID", Short: "Note that a voucher's guest was told of it in another way", Args: cobra.ExactArgs(1),
		Long: `Notes that a guest whose voucher was not sent, or did not arrive, was told of it otherwise, as on the phone. The note goes into
the audit log: no number, no code.`,
		Example: `  lastcall vouchers told 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --note "called them"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if note == "" {
				return usageError{errors.New("say how they were told: --note")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var v api.Voucher
			if _, err := c.call(cmd.Context(), http.MethodPost, "/vouchers/"+url.PathEscape(args[0])+"/sent", api.VoucherNote{Note: note}, &v); err != nil {
				return err
			}
			return o.printVoucher(v)
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "how, for the audit log")
	return cmd
}
