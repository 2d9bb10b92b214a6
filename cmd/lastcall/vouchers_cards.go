package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/config"
)

func vouchersPreview(o *output) *cobra.Command {
	var preview api.CardPreview
	var expires, file string
	cmd := &cobra.Command{
		Use: "preview", Short: "Draw a voucher's card, as a specimen", Args: cobra.NoArgs,
		Long: `Draws the card that goes out with a voucher, marked as a specimen. Without the function that draws cards it
says why, and what messages say meanwhile.`,
		Example: "  lastcall vouchers preview --amount 5000 --currency RWF --locale rw-RW --output card.png",
		RunE: func(cmd *cobra.Command, _ []string) error {
			preview.ExpiresAt = time.Now().Add(7 * 24 * time.Hour)
			if expires != "" {
				at, err := time.Parse(time.RFC3339, expires)
				if err != nil {
					return usageError{errors.New("--expires must be RFC 3339, such as 2026-11-30T18:00:00+02:00")}
				}
				preview.ExpiresAt = at
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			body, err := json.Marshal(preview)
			if err != nil {
				return err
			}
			header := http.Header{"Content-Type": {"application/json"}, "Accept": {"image/png, application/problem+json"}}
			res, _, err := c.open(cmd.Context(), http.MethodPost, "/vouchers/preview", header, bytes.NewReader(body))
			if err != nil {
				if p, ok := errors.AsType[*api.Problem](err); ok && p.Text != "" {
					o.say("messages say instead: %s", p.Text)
				}
				return err
			}
			defer res.Body.Close()
			picture, err := io.ReadAll(res.Body)
			if err != nil {
				return c.silent(err)
			}
			if err := os.WriteFile(file, picture, 0o644); err != nil { //nolint:gosec // a specimen, for anybody
				return fmt.Errorf("write the card: %w", err)
			}
			o.say("%s: %d bytes", file, len(picture))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&preview.Amount, "amount", "5000", "decimal")
	f.StringVar(&preview.Currency, "currency", "RWF", "RWF or EUR")
	f.StringVar(&expires, "expires", "", "RFC 3339; default in a week")
	f.StringVar(&preview.Locale, "locale", "en", "of the words: en, rw, fr, mt, with or without a country")
	f.StringVar(&preview.Zone, "zone", "", "in which the expiry is shown; default the country's of the locale, else UTC")
	f.StringVar(&preview.Bar, "bar", "", "who gives it; default an example")
	f.StringSliceVar(&preview.Stations, "station", nil, "where it is redeemed; default everywhere")
	f.StringVar(&file, "output", "card.png", "the file to write")
	return cmd
}

func vouchersKeys(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "keys", Short: "List the keys that vouchers are verified by", Args: cobra.NoArgs,
		Example: "  lastcall vouchers keys",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.StationKeys
			if err := c.get(cmd.Context(), "/station/keys", nil, &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("id", "signs from", "public key")
				for _, key := range all.Keys {
					t.row(key.ID, key.SignsFrom, key.PublicKey)
				}
			})
		},
	}
}

func vouchersRotateKey(o *output) *cobra.Command {
	var signsIn time.Duration
	var first bool
	cmd := &cobra.Command{
		Use: "rotate-key", Short: "Add a key to sign vouchers with", Args: cobra.NoArgs,
		Long: `Adds a key to the file voucher.signing_keys_file. Everybody takes it at once, and it signs in an hour, when every
process and every station knows it. The older ones go on verifying what they signed. The first key of all signs
at once.`,
		Example: "  lastcall vouchers rotate-key",
		RunE: func(*cobra.Command, []string) error {
			if signsIn < 0 {
				return usageError{errors.New("--signs-in must not be negative")}
			}
			c, err := o.sh.config()
			if err != nil {
				return err
			}
			if first {
				if err := config.EnsureVoucherKeys(c.VoucherKeysFile()); err != nil {
					return err
				}
				o.say("there is a key in %s", c.VoucherKeysFile())
				return nil
			}
			key, err := config.RotateVoucherKeys(c.VoucherKeysFile(), time.Now().Add(signsIn))
			if err != nil {
				return err
			}
			return o.print(rotatedKey{key.ID().String(), key.SignsFrom}, func(t *listing) {
				t.row("key", key.ID().String())
				t.row("signs from", key.SignsFrom)
			})
		},
	}
	cmd.Flags().DurationVar(&signsIn, "signs-in", time.Hour, "how long it only verifies")
	cmd.Flags().BoolVar(&first, "first", false, "only if there is no key yet")
	return cmd
}

type rotatedKey struct {
	ID        string    `json:"id"`
	SignsFrom time.Time `json:"signs_from"`
}

func vouchersRetireKey(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "retire-key ID", Short: "Take a key away: what it signed is no longer ours", Args: cobra.ExactArgs(1),
		Long: `Removes a key from the file voucher.signing_keys_file, for good. The QR codes that it signed are refused from then
on; short codes go on working. The key that signs now cannot be retired: rotate first.`,
		Example: "  lastcall vouchers retire-key 9f4c21ab",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := o.sh.config()
			if err != nil {
				return err
			}
			if err := config.RetireVoucherKey(c.VoucherKeysFile(), args[0]); err != nil {
				return err
			}
			o.say("retired %s", args[0])
			return nil
		},
	}
}
