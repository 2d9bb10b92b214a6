package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/store"
)

func contactsImport(o *output) *cobra.Command {
	r := reading{columns: pairs{}}
	var tags []string
	var replace bool
	var consent string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Add or change contacts from a CSV file", Args: cobra.ExactArgs(1),
		Long: `Takes contacts from a CSV file ("-" for standard input): all of its good lines or, when it cannot be read to its
end, none. By number they are added or changed; what the file leaves empty stays. Its columns may be msisdn, name,
country, locale, zone, tags (with ; or | between them), bar, opted_in_at and opt_in_source. Consent needs its source.`,
		Example: `  lastcall contacts import guests.csv --country RW --map msisdn=Mobile --tag club
  lastcall contacts import club.csv --consent-source "membership form 2026"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			file, err := openAudience(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer file.Close()
			query, err := url.ParseQuery(r.query())
			if err != nil {
				return err
			}
			query["tag"] = tags
			if replace {
				query.Set("tags_mode", "replace")
			}
			if consent != "" {
				query.Set("consent_source", consent)
			}
			progress := o.uploadProgress(file)
			var done store.ContactImport
			_, err = c.send(cmd.Context(), http.MethodPost, "/contacts/imports?"+query.Encode(), http.Header{"Content-Type": {"text/csv"}}, progress.reader(file), &done)
			progress.end()
			if errors.Is(err, errInterrupted) {
				return errors.New("interrupted; nothing was imported")
			}
			if err != nil {
				return err
			}
			o.leftOut(done.IgnoredColumns, done.BadLines, done.Invalid)
			return o.print(done, func(t *listing) {
				for _, each := range []struct {
					what string
					n    int64
				}{{"lines", done.Lines}, {"added", done.Added}, {"changed", done.Changed}, {"same", done.Same}, {"duplicates", done.Duplicates},
					{"invalid", done.Invalid}, {"consents", done.Consents}, {"withdrawn", done.Withdrawn}, {"opted out", done.OptedOut}} {
					t.row(each.what, each.n)
				}
			})
		},
	}
	cmd.Flags().StringVar(&r.country, "country", "", "where numbers without + are dialled, like RW")
	cmd.Flags().Var(r.columns, "map", "field=column: which column holds a field; repeatable")
	cmd.Flags().StringSliceVar(&tags, "tag", nil, "a tag that every contact of the file gets, repeatable")
	cmd.Flags().BoolVar(&replace, "replace-tags", false, "tags take the place of those a contact has")
	cmd.Flags().StringVar(&consent, "consent-source", "", "where everybody in the file agreed to marketing")
	return cmd
}

func contactsExport(o *output) *cobra.Command {
	var which contactChoice
	var to string
	cmd := &cobra.Command{
		Use: "export", Short: "Write contacts, with their numbers, as CSV that can be imported again", Args: cobra.NoArgs,
		Long:    "Writes CSV to standard output, or to a new file that only its owner may read. That it was made is in the audit log.",
		Example: "  lastcall contacts export --tag vip --file vip.csv",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			which.into(query)
			res, _, err := c.open(cmd.Context(), http.MethodGet, "/contacts.csv?"+query.Encode(), http.Header{"Accept": {"text/csv"}}, nil)
			if err != nil {
				return err
			}
			defer func() { _ = res.Body.Close() }()
			out := o.sh.stdout
			if to != "" {
				file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
				if err != nil {
					return err
				}
				defer func() { _ = file.Close() }()
				out = file
			}
			_, err = io.Copy(out, res.Body)
			return brokenOff(err)
		},
	}
	which.flags(cmd)
	cmd.Flags().StringVar(&to, "file", "", "a file to make; default standard output")
	return cmd
}

func contactsErase(o *output) *cobra.Command {
	var in api.EraseNumber
	cmd := &cobra.Command{
		Use: "erase MSISDN", Short: "Forget the person with this number, for good", Args: cobra.ExactArgs(1),
		Long: `Removes the contact and what they said about marketing; in campaigns the number becomes a pseudonym that leads
nowhere, and the counts stay true. What is still queued is cancelled. The keyed hash of who opted out stays: it must be
honoured should anybody import the number again. It cannot be undone.`,
		Example: `  lastcall contacts erase +250781234567 --reason "asked by mail on 23 November"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			in.MSISDN = args[0]
			var done store.Erasure
			if _, err := c.call(cmd.Context(), http.MethodPost, "/contacts/erase", in, &done); err != nil {
				return err
			}
			return o.print(done, func(t *listing) {
				t.row("contact", fmt.Sprint(done.Contact))
				t.row("consents", done.Consents)
				t.row("messages", done.Targets)
				t.row("cancelled", done.Queued)
				t.row("opt-out kept", fmt.Sprint(done.OptedOut))
			})
		},
	}
	cmd.Flags().StringVar(&in.Country, "country", "", "where a number without + is dialled, like RW")
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for the audit log; without number or name")
	_ = cmd.MarkFlagRequired("reason") // it exists
	return cmd
}
