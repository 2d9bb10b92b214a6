package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/store"
)

func settingsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "settings", "Quiet hours, consent, throttle, frequency cap, toggles", settingsList(o), settingsGet(o), settingsSet(o),
		settingsImpact(o), settingsHistory(o), settingsRevert(o))
}

func settingsList(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show all settings", Args: cobra.NoArgs,
		Example: "  lastcall settings list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.Settings
			if err := c.get(cmd.Context(), "/settings", nil, &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("key", "value", "revision", "by", "since")
				for _, s := range all.Settings {
					revision(t, s)
				}
			})
		},
	}
}

func settingsGet(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "get KEY", Short: "Show a setting", Args: cobra.ExactArgs(1), ValidArgs: store.SettingsKeys,
		Example: "  lastcall settings get quiet_hours --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got store.SettingsRevision
			if err := c.get(cmd.Context(), "/settings/"+url.PathEscape(args[0]), nil, &got); err != nil {
				return err
			}
			return o.print(got, func(t *listing) { revision(t, got) })
		},
	}
}

func settingsSet(o *output) *cobra.Command {
	var reason string
	var known []string
	cmd := &cobra.Command{
		Use: "set KEY JSON", Short: "Change a setting; campaigns that run act on it within a second", Args: cobra.ExactArgs(2),
		Long: `Changes a setting to the JSON given ("-" for standard input). What is dangerous, like quiet hours whose start and
end seem swapped, is refused unless it is acknowledged; settings impact tells before. The keys are

  quiet_hours    {"RW":{"start":"22:00","end":"06:00"}}       when nobody in a country is written to
  missing_zone   {"policy":"hold"}                            who has no known zone there: hold or send
  consent        {"required":true}                            whether marketing needs a recorded opt-in
  throttle       {"whatsapp":{"per_minute":60}}               how much a channel may send; 0 stops it
  frequency_cap  {"marketing":{"per_day":1,"per_week":3}}     how much one recipient gets; 0 is no limit
  toggles        {"dispatch":true}                            whether anything goes out at all; also station_redeem,
                                                              whether stations redeem vouchers, and mock_redemptions,
                                                              whether they only rehearse it; those not named stay as they are
  offline_redemptions  {"mode":"on","max_age_minutes":720}    whether, and how long ago, stations may have accepted
                                                              vouchers without a connection; off by default
  campaigns      {"approval":"always","max_late":"2h","approval_ttl":"24h"}
                                                              which campaigns a second person approves: never,
                                                              always or {"above":10000} targets; how late an approved
                                                              one may begin; and how long an approval lasts
  overrides      {"max_window":"4h","request_ttl":"24h"}      how long an override may hold, up to 24h, and how
                                                              long a request waits for a decision

  on_call        {"zone":"Africa/Kigali","starts":"2026-11-23T09:00","members":["ops@example.com"]}
                                                              who is to be woken, a week each in turn; alerts go to them
  announcements  {"lists":{"ops":["ops@example.com"]},"links":{"faq":"https://example.com/faq"}}
                                                              whom announcements of a rollout go to, and where they link
  daily_review   {"zone":"Africa/Kigali","at":"09:00","remind_at":"12:00"}
                                                              when the days of a rollout are reviewed, and missing
                                                              reviews reminded of

A throttle may also hold the provider's own limits, each off when absent: messages in any second, different
recipients in any 24 hours, and seconds between two messages to one recipient:

  {"whatsapp":{"per_minute":6000,"per_second":80,"tier":2000,"pair_seconds":6}}

A window of quiet hours may be for the weekdays on which it starts, there may be several, and a locale or a
channel may have hours of its own in place of its country's; of those that fit, the longest locale wins, then
the one that names the channel:

  {"MT":{"windows":[{"start":"22:00","end":"07:00","days":["mon","tue","wed","thu","fri","sat"]},
                    {"start":"00:00","end":"24:00","days":["sun"]}],
         "overrides":[{"locale":"en","start":"23:00","end":"06:00"}]}}`,
		Example: `  lastcall settings set quiet_hours '{"RW":{"start":"22:00","end":"06:00"}}' --reason "neighbours"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := settingValue(cmd, args[1])
			if err != nil {
				return err
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var saved store.SettingsRevision
			_, err = c.call(cmd.Context(), http.MethodPut, "/settings/"+url.PathEscape(args[0]), api.NewSetting{Value: value, Reason: reason, Acknowledged: known}, &saved)
			if err != nil {
				return dangers(err)
			}
			return o.print(saved, func(t *listing) { revision(t, saved) })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	cmd.Flags().StringSliceVar(&known, "acknowledge", nil, acknowledgeUsage)
	return cmd
}

func revision(t *listing, s store.SettingsRevision) {
	if s.Revision == 0 {
		t.row(s.Key, string(s.Value), "", s.Actor, "")
		return
	}
	t.row(s.Key, string(s.Value), s.Revision, s.Actor, s.CreatedAt)
}
