package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lastcall/api"
)

// offerFlags are the flags that say which voucher each target gets.
type offerFlags struct {
	amount, currency, valid, until string
	stations                       []string
}

func (f *offerFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.amount, "voucher", "", "give each target a voucher of this amount: digits, with a point before decimals")
	cmd.Flags().StringVar(&f.currency, "currency", "RWF", "of the vouchers: RWF or EUR")
	cmd.Flags().StringVar(&f.valid, "valid", "", "how long a voucher is good after its target's turn has come, like 7d or 36h")
	cmd.Flags().StringVar(&f.until, "until", "", "when all vouchers are worth nothing any more, like 2026-12-31T22:00:00+02:00")
	cmd.Flags().StringSliceVar(&f.stations, "stations", nil, "where vouchers may be redeemed, station codes with commas between; none: everywhere")
}

// offer is what the flags ask for, nil for no vouchers.
func (f *offerFlags) offer() (*api.NewCampaignOffer, error) {
	if f.amount == "" {
		if f.valid != "" || f.until != "" || len(f.stations) > 0 {
			return nil, usageError{errors.New("--valid, --until and --stations are about vouchers: say what they are worth with --voucher")}
		}
		return nil, nil
	}
	o := &api.NewCampaignOffer{Amount: f.amount, Currency: f.currency, Stations: f.stations}
	switch {
	case (f.valid == "") == (f.until == ""):
		return nil, usageError{errors.New("say how long the vouchers are good: --valid or --until")}
	case f.until != "":
		at, err := time.Parse(time.RFC3339, f.until)
		if err != nil {
			return nil, usageError{errors.New("--until must be RFC 3339, like 2026-12-31T22:00:00+02:00")}
		}
		o.ExpiresAt = &at
	default:
		span, err := parseSpan(f.valid)
		if err != nil {
			return nil, usageError{fmt.Errorf("--valid: %w", err)}
		}
		o.ValidSeconds = int64(span / time.Second)
	}
	return o, nil
}

// parseSpan reads a duration; days, too, which time has none of.
func parseSpan(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 10_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	span, err := time.ParseDuration(text)
	if err != nil || span < time.Second {
		return 0, errors.New("use a span like 7d, 36h or 90m")
	}
	return span, nil
}

func vouchersUnsent(o *output) *cobra.Command {
	var p paging
	var campaign string
	cmd := &cobra.Command{
		Use: "unsent", Short: "List the vouchers that did not come to their guests, and why", Args: cobra.NoArgs,
		Long: `Lists the vouchers whose message finally failed, or of which nobody knows, as long as they can be redeemed. Send one of
them again, or the campaign's failed targets: each keeps its voucher and code. Or tell its guest otherwise, and note it.`,
		Example: `  lastcall vouchers unsent
  lastcall vouchers resend 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f
  lastcall campaigns resend 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --failed --reason "mended"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			query := p.query()
			if campaign != "" {
				query.Set("campaign", campaign)
			}
			var page api.UnsentPage
			if err := c.get(cmd.Context(), "/vouchers/unsent", query, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("voucher", "number", "amount", "", "campaign", "message", "why")
				t.right(3)
				for _, v := range page.Vouchers {
					t.row(v.Voucher.ID, v.Voucher.MSISDN, v.Voucher.Amount, v.Voucher.Currency, v.Voucher.CampaignID, v.TargetState, diagnosis(v.Diagnosis))
				}
			})
		},
	}
	cmd.Flags().StringVar(&campaign, "campaign", "", "only those of this campaign, by id")
	p.flags(cmd)
	return cmd
}

// offer tells which voucher a campaign gives, and what became of them.
func (t *listing) offer(c api.Campaign) {
	v := c.Voucher
	if v == nil {
		return
	}
	where := "everywhere"
	if n := len(v.Stations); n > 0 {
		where = fmt.Sprintf("at %d stations", n)
	}
	until := "for " + (time.Duration(v.ValidSeconds) * time.Second).String()
	if v.ExpiresAt != nil {
		until = "until " + fmt.Sprint(shown(*v.ExpiresAt))
	}
	t.row("voucher", fmt.Sprintf("%s %s each, %s, %s", v.Amount, v.Currency, where, until))
	if c.Report == nil || c.Report.Vouchers == nil {
		return
	}
	f := c.Report.Vouchers
	t.row("vouchers", fmt.Sprintf("%s worth %s %s: %s sent (%s as cards), %s redeemed, %s expired, %s not come to their guests",
		thousands(f.Made), f.MadeValue, f.Currency, thousands(f.Sent), thousands(f.Cards), thousands(f.Redeemed), thousands(f.Expired), thousands(f.Unsent)))
}
