package main

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/store"
)

func campaignsAudience(o *output) *cobra.Command {
	var f api.ContactFilter
	var all, count bool
	cmd := &cobra.Command{
		Use: "audience ID", Short: "Add contacts to a campaign's audience", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: `Adds the contacts that match to a campaign that has not been started. Each flag may be repeated: a contact
must match every kind of flag that is given, by one of its values; --all-tags wants every tag.
lastcall contacts facets lists the values there are.`,
		Example: `  lastcall campaigns audience 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --tag regular --tag vip --country RW --count
  lastcall campaigns audience 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --bar ENG-001 --locale rw-RW`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if all && len(f.Tags) > 0 {
				f.TagsMatch = "all"
			}
			path := "/campaigns/" + args[0] + "/audience"
			if count {
				var n store.AudienceCount
				if _, err := c.call(cmd.Context(), http.MethodPost, path+"/count", f, &n); err != nil {
					return err
				}
				return o.print(n, func(t *listing) {
					t.row("contacts", n.Contacts)
					t.row("targets", n.Targets)
					t.row("duplicates", n.Duplicates)
					t.row("invalid", n.Invalid)
					t.row("opted out", n.OptedOut)
					t.row("no consent", n.NoConsent)
				})
			}
			var done api.Import
			body, err := json.Marshal(f)
			if err != nil {
				return err
			}
			// A million contacts take what they take.
			if _, err := c.send(cmd.Context(), http.MethodPost, path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body), &done); err != nil {
				return err
			}
			return o.importReport(done)
		},
	}
	cmd.Flags().StringSliceVar(&f.Tags, "tag", nil, "contacts with this tag")
	cmd.Flags().BoolVar(&all, "all-tags", false, "contacts with every --tag, not just one of them")
	cmd.Flags().StringSliceVar(&f.Bars, "bar", nil, "contacts of the bar with this code")
	cmd.Flags().StringSliceVar(&f.Countries, "country", nil, "contacts in this country, like RW")
	cmd.Flags().StringSliceVar(&f.Locales, "locale", nil, "contacts who read this, like rw-RW")
	cmd.Flags().BoolVar(&count, "count", false, "only count them")
	return cmd
}

func contactsFacets(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "facets", Short: "Count contacts by tag, bar, country and locale", Args: cobra.NoArgs,
		Example: "  lastcall contacts facets",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var f store.Facets
			if err := c.get(cmd.Context(), "/contacts/facets", nil, &f); err != nil {
				return err
			}
			return o.print(f, func(t *listing) {
				t.header("kind", "value", "name", "contacts")
				t.right(4)
				for _, kind := range []struct {
					name   string
					values []store.Facet
				}{{"tag", f.Tags}, {"bar", f.Bars}, {"country", f.Countries}, {"locale", f.Locales}} {
					for _, v := range kind.values {
						t.row(kind.name, v.Value, v.Name, v.Contacts)
					}
				}
			})
		},
	}
}
