package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func contactsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "contacts", "People who may be written to", contactsList(o), contactsAdd(o), contactsOptIn(o), contactsFacets(o),
		contactsImport(o), contactsExport(o), contactsErase(o))
}

func contactsList(o *output) *cobra.Command {
	var p paging
	var which contactChoice
	cmd := &cobra.Command{
		Use: "list", Short: "List contacts; tables show numbers masked", Args: cobra.NoArgs,
		Example: "  lastcall contacts list --tag regular --country RW --limit 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.ContactPage
			q := p.query()
			which.into(q)
			if o.format == formatJSON {
				q.Set("reveal", "true")
			}
			if err := c.get(cmd.Context(), "/contacts", q, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("id", "number", "name", "country", "locale", "zone", "tags", "opted out")
				for _, each := range page.Contacts {
					t.row(each.ID, each.Masked, each.Name, each.Country, each.Locale, each.Zone, each.Tags, map[bool]string{true: "yes"}[each.OptedOut])
				}
			})
		},
	}
	p.flags(cmd)
	which.flags(cmd)
	return cmd
}

// contactChoice says which contacts.
type contactChoice struct {
	country, tag, bar, locale, consent, optedOut string
}

func (w *contactChoice) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.country, "country", "", "only those of this country: ISO 3166-1 alpha-2")
	cmd.Flags().StringVar(&w.tag, "tag", "", "only those with this tag")
	cmd.Flags().StringVar(&w.bar, "bar", "", "only those of this bar: its code")
	cmd.Flags().StringVar(&w.locale, "locale", "", "only those with this language, like rw-RW")
	cmd.Flags().StringVar(&w.consent, "consent", "", "only those whose word about marketing is: agreed, withdrawn or none")
	cmd.Flags().StringVar(&w.optedOut, "opted-out", "", "only those in the opt-out registry (yes), or not in it (no)")
}

func (w *contactChoice) into(q url.Values) {
	for name, v := range map[string]string{"country": w.country, "tag": w.tag, "bar": w.bar, "locale": w.locale, "consent": w.consent, "opted_out": w.optedOut} {
		if v != "" {
			q.Set(name, v)
		}
	}
}

func contactsAdd(o *output) *cobra.Command {
	var n api.NewContact
	cmd := &cobra.Command{
		Use: "add MSISDN", Short: "Add a contact", Args: cobra.ExactArgs(1),
		Example: "  lastcall contacts add +250781234567 --name Amina --locale rw-RW --tag regular",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			n.MSISDN = args[0]
			var p api.Contact
			if _, err := c.call(cmd.Context(), http.MethodPost, "/contacts", n, &p); err != nil {
				return err
			}
			return o.print(p, func(t *listing) {
				t.row("id", p.ID)
				t.row("number", p.Masked)
				t.row("name", p.Name)
				t.row("country", p.Country)
			})
		},
	}
	cmd.Flags().StringVar(&n.Country, "country", "", "where a number without + is dialled, like RW")
	cmd.Flags().StringVar(&n.Name, "name", "", "what to call the person")
	cmd.Flags().StringVar(&n.Locale, "locale", "", "what the person reads, like rw-RW")
	cmd.Flags().StringVar(&n.Zone, "zone", "", "where the person's clock is, like Africa/Kigali (default the country's)")
	cmd.Flags().StringSliceVar(&n.Tags, "tag", nil, "a tag, repeatable")
	cmd.Flags().StringVar(&n.OptInSource, "opted-in-at", "", "where the person agreed to messages, just now")
	return cmd
}

func contactsOptIn(o *output) *cobra.Command {
	var in api.OptIn
	cmd := &cobra.Command{
		Use: "opt-in ID", Short: "Record that a contact agreed to marketing, just now", Args: cobra.ExactArgs(1),
		Long:    "Records the consent that marketing needs where the setting consent requires it.",
		Example: `  lastcall contacts opt-in 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --source "card at the bar"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var p api.Contact
			if _, err := c.call(cmd.Context(), http.MethodPut, "/contacts/"+url.PathEscape(args[0])+"/opt-in", in, &p); err != nil {
				return err
			}
			return o.print(p, func(t *listing) {
				t.row("id", p.ID)
				t.row("number", p.Masked)
				t.row("opted in", p.OptedInAt)
			})
		},
	}
	cmd.Flags().StringVar(&in.Source, "source", "", "where the person agreed to messages")
	_ = cmd.MarkFlagRequired("source") // it exists
	return cmd
}
