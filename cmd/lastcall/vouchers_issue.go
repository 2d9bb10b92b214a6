package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
)

// once posts JSON with an idempotency key: the call may be repeated by what lies between.
func (c *apiClient) once(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {uuid.NewString()}}
	_, err = c.send(ctx, http.MethodPost, path, header, bytes.NewReader(body), out)
	return err
}

// validity is how long vouchers are good.
type validity struct {
	until string
	span  time.Duration
}

func (v *validity) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&v.until, "until", "", "when it is worth nothing any more, like 2026-12-31T22:00:00+02:00")
	cmd.Flags().DurationVar(&v.span, "for", 0, "how long it is good from now on, like 72h")
}

func (v *validity) ends() (time.Time, error) {
	switch {
	case v.until != "" && v.span != 0:
		return time.Time{}, usageError{errors.New("give --until or --for, not both")}
	case v.until != "":
		at, err := time.Parse(time.RFC3339, v.until)
		if err != nil {
			return at, usageError{errors.New("--until must be RFC 3339, like 2026-12-31T22:00:00+02:00")}
		}
		return at, nil
	case v.span > 0:
		return time.Now().Add(v.span).UTC().Truncate(time.Second), nil
	}
	return time.Time{}, nil
}

func vouchersIssue(o *output) *cobra.Command {
	var n api.NewVoucher
	var valid validity
	cmd := &cobra.Command{
		Use: "issue NUMBER", Short: "Issue a voucher, and show its code", Args: cobra.ExactArgs(1),
		Long:    "Issues a voucher. Nobody is told of it: its code is for its guest, and whoever has it has the voucher.",
		Example: "  lastcall vouchers issue +250781234567 --amount 2000 --currency RWF --station ENG-001 --for 72h",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if n.ExpiresAt, err = valid.ends(); err != nil {
				return err
			}
			if n.ExpiresAt.IsZero() {
				return usageError{errors.New("say how long it is good: --until or --for")}
			}
			n.MSISDN = args[0]
			var v api.Voucher
			if err := c.once(cmd.Context(), "/vouchers", n, &v); err != nil {
				return err
			}
			return o.printVoucher(v)
		},
	}
	cmd.Flags().StringVar(&n.Amount, "amount", "", "digits, with a point before decimals")
	cmd.Flags().StringVar(&n.Currency, "currency", "RWF", "RWF or EUR")
	cmd.Flags().StringSliceVar(&n.Stations, "station", nil, "a station where it may be redeemed, by code; repeatable; none: all")
	cmd.Flags().StringVar(&n.Reference, "reference", "", "your own: a number gets one voucher of each")
	cmd.Flags().StringVar(&n.Country, "country", "", "where a number without + is dialled, like RW")
	valid.flags(cmd)
	_ = cmd.MarkFlagRequired("amount")
	return cmd
}

func vouchersBatch(o *output) *cobra.Command {
	r := reading{columns: pairs{}}
	var amount, currency, key string
	var stations []string
	var valid validity
	cmd := &cobra.Command{
		Use: "batch FILE", Short: "Issue vouchers from a CSV file", Args: cobra.ExactArgs(1),
		Long: `Issues the vouchers of a CSV file ("-" for standard input), in one transaction: all that its good lines ask for, or, when it
cannot be read to its end, none. Its columns are msisdn, amount, currency, stations (codes with spaces between; "all":
everywhere), expires_at (a time, or a date to whose end it is good where the guest is) and reference. What is the same for
all may be a flag instead. Of lines with the same number, and the same reference if there is one, the first counts. With
the same --key, the same file again issues nothing again.`,
		Example: "  lastcall vouchers batch guests.csv --amount 2000 --currency RWF --for 168h --country RW",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			ends, err := valid.ends()
			if err != nil {
				return err
			}
			file, err := openAudience(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer func() { _ = file.closer.Close() }()
			query, err := url.ParseQuery(r.query())
			if err != nil {
				return err
			}
			for name, value := range map[string]string{"amount": amount, "currency": currency} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if !ends.IsZero() {
				query.Set("expires_at", ends.Format(time.RFC3339))
			}
			query["stations"] = stations
			if key == "" {
				key = uuid.NewString()
			}
			var b api.VoucherBatch
			header := http.Header{"Content-Type": {"text/csv"}, "Idempotency-Key": {key}}
			if _, err := c.send(cmd.Context(), http.MethodPost, "/vouchers/batches?"+query.Encode(), header, io.Reader(file), &b); err != nil {
				if errors.Is(err, errInterrupted) {
					err = errors.New("interrupted; nothing was issued")
				}
				return err
			}
			for _, l := range b.BadLines[:min(10, len(b.BadLines))] {
				o.say("  line %d: %s: %s", l.Line, l.Field, l.Reason)
			}
			return o.print(b, func(t *listing) {
				t.row("batch", b.ID)
				t.row("lines", b.Lines)
				t.row("issued", b.Issued)
				t.row("duplicates", b.Duplicates)
				t.row("invalid", b.Invalid)
			})
		},
	}
	readingFlags(cmd, &r)
	cmd.Flags().StringVar(&amount, "amount", "", "for lines that do not say")
	cmd.Flags().StringVar(&currency, "currency", "", "for lines that do not say: RWF or EUR")
	cmd.Flags().StringSliceVar(&stations, "station", nil, "for lines that do not say: a station, by code; repeatable; none: all")
	cmd.Flags().StringVar(&key, "key", "", "the request's idempotency key")
	valid.flags(cmd)
	return cmd
}

func vouchersList(o *output) *cobra.Command {
	var p paging
	var status, campaign, batch, station, contact string
	cmd := &cobra.Command{
		Use: "list", Short: "List vouchers, newest first; codes and numbers are masked", Args: cobra.NoArgs,
		Example: "  lastcall vouchers list --status sent --limit 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			query := p.query()
			for name, value := range map[string]string{"status": status, "campaign": campaign, "batch": batch, "station": station, "contact": contact} {
				if value != "" {
					query.Set(name, value)
				}
			}
			var page api.VoucherPage
			if err := c.get(cmd.Context(), "/vouchers", query, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("voucher", "code", "number", "amount", "", "status", "scope", "expires")
				t.right(4)
				for _, v := range page.Vouchers {
					t.row(v.ID, v.CodeMasked, v.MSISDN, v.Amount, v.Currency, v.Status, v.Scope, v.ExpiresAt)
				}
			})
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "issued, sent, redeemed, expired or void")
	cmd.Flags().StringVar(&campaign, "campaign", "", "only those of this campaign, by id")
	cmd.Flags().StringVar(&batch, "batch", "", "only those of this file, by id")
	cmd.Flags().StringVar(&station, "station", "", "only those whose scope names this station, by id")
	cmd.Flags().StringVar(&contact, "contact", "", "only those of this contact, by id")
	p.flags(cmd)
	return cmd
}

func vouchersShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a voucher and what became of it", Args: cobra.ExactArgs(1),
		Example: "  lastcall vouchers show 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all struct {
				api.Voucher
				api.VoucherEvents
			}
			path := "/vouchers/" + url.PathEscape(args[0])
			if err := c.get(cmd.Context(), path, nil, &all.Voucher); err != nil {
				return err
			}
			if err := c.get(cmd.Context(), path+"/events", nil, &all.VoucherEvents); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				voucherRows(t, all.Voucher)
				for _, e := range all.Events {
					t.row(e.Status, fmt.Sprint(shown(e.At), " by ", e.By, " ", e.Reason))
				}
			})
		},
	}
}

func vouchersVoid(o *output) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "void ID", Short: "Withdraw a voucher that has not been redeemed; for good", Args: cobra.ExactArgs(1),
		Example: `  lastcall vouchers void 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason "wrong guest"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var v api.Voucher
			if _, err := c.call(cmd.Context(), http.MethodPost, "/vouchers/"+url.PathEscape(args[0])+"/void", api.VoucherReason{Reason: reason}, &v); err != nil {
				return err
			}
			return o.printVoucher(v)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the voucher and the audit log")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func vouchersTotals(o *output) *cobra.Command {
	var campaign string
	cmd := &cobra.Command{
		Use: "totals", Short: "Add vouchers up by currency and state", Args: cobra.NoArgs,
		Example: "  lastcall vouchers totals --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if campaign != "" {
				query.Set("campaign", campaign)
			}
			var all api.VoucherTotals
			if err := c.get(cmd.Context(), "/vouchers/totals", query, &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("currency", "status", "vouchers", "amount")
				t.right(3, 4)
				for _, s := range all.Totals {
					t.row(s.Currency, s.Status, s.Vouchers, s.Amount)
				}
			})
		},
	}
	cmd.Flags().StringVar(&campaign, "campaign", "", "only those of this campaign, by id")
	return cmd
}

func (o *output) printVoucher(v api.Voucher) error {
	return o.print(v, func(t *listing) { voucherRows(t, v) })
}

func voucherRows(t *listing, v api.Voucher) {
	code := v.Code
	if code == "" {
		code = v.CodeMasked
	}
	t.row("voucher", v.ID)
	t.row("code", code)
	t.row("number", v.MSISDN)
	t.row("amount", v.Amount+" "+string(v.Currency))
	t.row("scope", v.Scope)
	t.row("status", v.Status)
	t.row("expires", v.ExpiresAt)
}
