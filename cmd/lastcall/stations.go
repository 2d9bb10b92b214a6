package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
)

func stationsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "stations", "Where vouchers are redeemed: people, PINs and devices", stationsList(o), stationsAdd(o), stationsDelete(o),
		stationsOperator(o), stationsPIN(o), stationsEnrol(o))
}

func stationsList(o *output) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use: "list", Short: "List stations, by code", Args: cobra.NoArgs,
		Example: "  lastcall stations list --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.StationPage
			if err := c.get(cmd.Context(), "/stations", p.query(), &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("code", "name", "since", "id", "bar")
				for _, s := range page.Stations {
					t.row(s.Code, s.Name, s.CreatedAt, s.ID, s.BarID)
				}
			})
		},
	}
	p.flags(cmd)
	return cmd
}

func stationsAdd(o *output) *cobra.Command {
	var n api.NewStation
	var bar string
	cmd := &cobra.Command{
		Use: "add CODE", Short: "Add a station to a bar", Args: cobra.ExactArgs(1),
		Example: "  lastcall stations add ENG-001 --bar ENG --name Counter",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.BarPage
			if err := c.get(cmd.Context(), "/bars", url.Values{"search": {bar}, "limit": {"500"}}, &page); err != nil {
				return err
			}
			for _, b := range page.Bars {
				if strings.EqualFold(b.Code, bar) {
					n.BarID = b.ID
				}
			}
			if n.BarID == uuid.Nil {
				return fmt.Errorf("there is no bar %s", bar)
			}
			n.Code = args[0]
			var s api.Station
			if _, err := c.call(cmd.Context(), http.MethodPost, "/stations", n, &s); err != nil {
				return err
			}
			return o.print(s, func(t *listing) {
				t.row("id", s.ID)
				t.row("code", s.Code)
				t.row("name", s.Name)
			})
		},
	}
	cmd.Flags().StringVar(&bar, "bar", "", "the bar's code")
	cmd.Flags().StringVar(&n.Name, "name", "", "what people call it, like Counter")
	_ = cmd.MarkFlagRequired("bar")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func stationsDelete(o *output) *cobra.Command {
	var why api.Deletion
	cmd := &cobra.Command{
		Use: "delete CODE", Short: "Delete a station: its devices and sessions end at once", Args: cobra.ExactArgs(1),
		Example: `  lastcall stations delete ENG-001 --reason "the bar was rebuilt"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := o.station(cmd, args[0])
			if err != nil {
				return err
			}
			var gone api.Toll
			if err := c.get(cmd.Context(), "/stations/"+s.ID.String()+"/impact", nil, &gone); err != nil {
				return err
			}
			if err := c.discard(cmd.Context(), http.MethodDelete, "/stations/"+s.ID.String(), why); err != nil {
				return err
			}
			return o.print(gone, func(t *listing) {
				t.row("people", gone.Operators)
				t.row("devices", gone.Devices)
				t.row("sessions ended", gone.Sessions)
			})
		},
	}
	cmd.Flags().StringVar(&why.Reason, "reason", "", "why, for the audit log")
	return cmd
}

func stationsOperator(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "operator CODE NAME", Short: "Add somebody who works at a station, and print their PIN, once", Args: cobra.ExactArgs(2),
		Example: `  lastcall stations operator ENG-001 "Aline Example"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := o.station(cmd, args[0])
			if err != nil {
				return err
			}
			var told api.OperatorPIN
			if _, err := c.call(cmd.Context(), http.MethodPost, "/stations/"+s.ID.String()+"/operators", api.OperatorName{Name: args[1]}, &told); err != nil {
				return err
			}
			return o.printPIN(told)
		},
	}
}

func stationsPIN(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "pin CODE NAME", Short: "Give somebody who works at a station another PIN, and print it, once", Args: cobra.ExactArgs(2),
		Long:    "Gives an operator another PIN, signs them out, and ends the station's lock-out.",
		Example: `  lastcall stations pin ENG-001 "Aline Example"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := o.station(cmd, args[0])
			if err != nil {
				return err
			}
			var all api.Operators
			if err := c.get(cmd.Context(), "/stations/"+s.ID.String()+"/operators", nil, &all); err != nil {
				return err
			}
			for _, each := range all.Operators {
				if each.Name != args[1] || each.DisabledAt != nil {
					continue
				}
				var told api.OperatorPIN
				if _, err := c.call(cmd.Context(), http.MethodPost, "/operators/"+each.ID.String()+"/pin", nil, &told); err != nil {
					return err
				}
				return o.printPIN(told)
			}
			return fmt.Errorf("nobody of this name may sign in at %s", s.Code)
		},
	}
}

func stationsEnrol(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "enrol CODE DEVICE", Short: "Print a link that enrols one device at a station, within 15 minutes", Args: cobra.ExactArgs(2),
		Example: `  lastcall stations enrol ENG-001 "Counter phone"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := o.station(cmd, args[0])
			if err != nil {
				return err
			}
			var link api.EnrolmentLink
			if _, err := c.call(cmd.Context(), http.MethodPost, "/stations/"+s.ID.String()+"/enrolments", api.NewDevice{Name: args[1]}, &link); err != nil {
				return err
			}
			return o.print(link, func(t *listing) {
				t.row("device", link.Name)
				t.row("link", link.Link)
				t.row("until", link.ExpiresAt)
			})
		},
	}
}

func (o *output) printPIN(told api.OperatorPIN) error {
	return o.print(told, func(t *listing) {
		t.row("name", told.Operator.Name)
		t.row("pin", told.PIN)
	})
}

// station finds a station by its code.
func (o *output) station(cmd *cobra.Command, code string) (*apiClient, api.Station, error) {
	c, err := o.sh.client()
	if err != nil {
		return nil, api.Station{}, err
	}
	var page api.StationPage
	if err := c.get(cmd.Context(), "/stations", url.Values{"search": {code}, "limit": {"500"}}, &page); err != nil {
		return nil, api.Station{}, err
	}
	for _, s := range page.Stations {
		if strings.EqualFold(s.Code, code) {
			return c, s, nil
		}
	}
	return nil, api.Station{}, fmt.Errorf("there is no station %s", code)
}
