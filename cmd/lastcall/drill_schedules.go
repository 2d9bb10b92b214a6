package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"lastcall/api"
	"lastcall/store"
	"lastcall/workflows"
)

func drillSchedule(o *output) *cobra.Command {
	var want api.NewDrillSchedule
	var pause, resume bool
	cmd := &cobra.Command{
		Use: "schedule NAME", Short: "Have a drill begin by itself each week", Args: cobra.ExactArgs(1),
		Long: `Begins a drill of this scenario on these days at this time of the zone's clocks, as if somebody began it by hand: what would be
refused then is refused, and said in the Ops channel. A scenario has one schedule; another takes its place. --pause and --resume alone
leave the rest as it is.`,
		Example: `  lastcall drill schedule messaging-outage --on monday,thursday --at 10:00 --zone Africa/Kigali --fast --reason "practice"
  lastcall drill schedule messaging-outage --pause --reason "the festival"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if pause || resume {
				all, err := drillSchedules(cmd.Context(), c)
				if err != nil {
					return err
				}
				i := slices.IndexFunc(all, func(s api.DrillSchedule) bool { return s.Scenario == args[0] })
				if i < 0 {
					return fmt.Errorf("%s has no schedule: lastcall drill schedule %s --on DAYS --at TIME --zone ZONE", args[0], args[0])
				}
				reason := want.Reason
				want = api.NewDrillSchedule{Days: all[i].Days, At: all[i].At, Zone: all[i].Zone, Fast: all[i].Fast, Paused: pause, Reason: reason}
			}
			if slices.Equal(want.Days, []string{"daily"}) {
				want.Days = nil
				for d := time.Sunday; d <= time.Saturday; d++ {
					want.Days = append(want.Days, strings.ToLower(d.String()))
				}
			}
			var made api.DrillSchedule
			if _, err := c.call(cmd.Context(), http.MethodPut, "/drill-schedules/"+url.PathEscape(args[0]), want, &made); err != nil {
				return err
			}
			return o.print(made, func(t *listing) { scheduleRows(t, []api.DrillSchedule{made}) })
		},
	}
	cmd.Flags().StringSliceVar(&want.Days, "on", nil, "days of the week, such as monday,thursday; or daily")
	cmd.Flags().StringVar(&want.At, "at", "", "time of the zone's clocks, such as 10:00")
	cmd.Flags().StringVar(&want.Zone, "zone", "Africa/Kigali", "IANA time zone")
	cmd.Flags().BoolVar(&want.Fast, "fast", false, "fast drills: within minutes, with thresholds of seconds")
	cmd.Flags().StringVar(&want.Reason, "reason", "from the command line", "for the audit log, and of each drill")
	cmd.Flags().BoolVar(&pause, "pause", false, "begin none until --resume")
	cmd.Flags().BoolVar(&resume, "resume", false, "go on")
	cmd.MarkFlagsMutuallyExclusive("pause", "resume")
	cmd.MarkFlagsMutuallyExclusive("pause", "on")
	cmd.MarkFlagsMutuallyExclusive("resume", "on")
	return cmd
}

func drillUnschedule(o *output) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "unschedule NAME", Short: "Have a drill begin by itself no more", Args: cobra.ExactArgs(1),
		Example: "  lastcall drill unschedule messaging-outage",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var left api.DrillSchedules
			if _, err := c.call(cmd.Context(), http.MethodDelete, "/drill-schedules/"+url.PathEscape(args[0])+"?"+url.Values{"reason": {reason}}.Encode(), nil, &left); err != nil {
				return err
			}
			return o.print(left, func(t *listing) { scheduleRows(t, left.Schedules) })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "from the command line", "for the audit log")
	return cmd
}

func drillSchedules(ctx context.Context, c *apiClient) ([]api.DrillSchedule, error) {
	var all api.DrillSchedules
	return all.Schedules, c.get(ctx, "/drill-schedules", nil, &all)
}

func scheduleRows(t *listing, all []api.DrillSchedule) {
	t.header("name", "on", "at", "zone", "fast", "next", "last")
	for _, s := range all {
		next, last := any("paused"), any("")
		if s.Next != nil {
			next = *s.Next
		}
		if s.LastDue != nil {
			last = *s.LastDue
		}
		if s.LastRefused != "" {
			last = "refused: " + s.LastRefused
		}
		t.row(s.Scenario, strings.Join(s.Days, ","), s.At, s.Zone, s.Fast, next, last)
	}
}

// drillScheduleHandler has Temporal follow what is wanted when this is delivered.
func drillScheduleHandler(st *store.Store, temporal client.Client) store.Handler {
	return func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var of store.ScheduleDrill
		if err := json.Unmarshal(payload, &of); err != nil {
			return err
		}
		d, err := st.ScheduleOfDrill(ctx, of.Scenario)
		if err != nil {
			return err
		}
		if d == nil {
			return workflows.UnscheduleDrills(ctx, temporal, of.Scenario)
		}
		return workflows.ScheduleDrills(ctx, temporal, d.Schedule)
	}
}
