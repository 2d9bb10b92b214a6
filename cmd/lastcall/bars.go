package main

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func barsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "bars", "Bars, and what they are made of", barsList(o), barsAdd(o))
}

func barsList(o *output) *cobra.Command {
	var p paging
	var search string
	cmd := &cobra.Command{
		Use: "list", Short: "List bars with their stations, by code", Args: cobra.NoArgs,
		Example: "  lastcall bars list --search kiyovu",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			query := p.query()
			if search != "" {
				query.Set("search", search)
			}
			var page api.BarPage
			if err := c.get(cmd.Context(), "/bars", query, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("code", "name", "country", "zone", "currency", "stations", "address", "id")
				for _, b := range page.Bars {
					codes := make([]string, len(b.Stations))
					for i, s := range b.Stations {
						codes[i] = s.Code
					}
					t.row(b.Code, b.Name, b.Country, b.Zone, b.Currency, strings.Join(codes, ", "), b.Address, b.ID)
				}
			})
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&search, "search", "", "only those whose code, name or address, or a station's code or name, holds this")
	return cmd
}

func barsAdd(o *output) *cobra.Command {
	var n api.NewBar
	var latitude, longitude float64
	cmd := &cobra.Command{
		Use: "add CODE", Short: "Add a bar", Args: cobra.ExactArgs(1),
		Example: `  lastcall bars add ENG --name Engine --country RW --address "KN 4 Ave" --latitude -1.95 --longitude 30.06`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			n.Code = args[0]
			if cmd.Flags().Changed("latitude") {
				n.Latitude = &latitude
			}
			if cmd.Flags().Changed("longitude") {
				n.Longitude = &longitude
			}
			var b api.Bar
			if _, err := c.call(cmd.Context(), http.MethodPost, "/bars", n, &b); err != nil {
				return err
			}
			return o.print(b, func(t *listing) {
				t.row("id", b.ID)
				t.row("code", b.Code)
				t.row("name", b.Name)
				t.row("country", b.Country)
				t.row("zone", b.Zone)
				t.row("currency", b.Currency)
			})
		},
	}
	cmd.Flags().StringVar(&n.Name, "name", "", "the bar's name")
	cmd.Flags().StringVar(&n.Country, "country", "", "where it is, like RW")
	cmd.Flags().StringVar(&n.Address, "address", "", "its street address")
	cmd.Flags().StringVar(&n.Zone, "zone", "", "where its clock is, like Africa/Kigali (default the country's)")
	cmd.Flags().Float64Var(&latitude, "latitude", 0, "degrees, WGS 84")
	cmd.Flags().Float64Var(&longitude, "longitude", 0, "degrees, WGS 84")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.MarkFlagRequired("country")
	return cmd
}
