package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/policy"
	"lastcall/store"
)

func settingsImpact(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "impact KEY JSON", Short: "Tell what a new value would mean, without saving it", Args: cobra.ExactArgs(2),
		Long: `Tells by the policy that decides, over all campaigns at work and all contacts, who would wait or go instead and
until when, when each campaign would finish, and what is suspicious about the value ("-" for standard input).
A danger must be acknowledged by who saves the value: settings set --acknowledge CODE.`,
		Example: `  lastcall settings impact quiet_hours '{"RW":{"start":"22:00","end":"06:00"}}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := settingValue(cmd, args[1])
			if err != nil {
				return err
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var imp store.Impact
			if _, err := c.call(cmd.Context(), http.MethodPost, "/settings/"+url.PathEscape(args[0])+"/impact", api.SettingTrial{Value: value}, &imp); err != nil {
				return err
			}
			return o.impact(imp)
		},
	}
}

// impact prints what a value would mean: in sentences, by campaign, and what is suspicious.
func (o *output) impact(imp store.Impact) error {
	if o.format == formatJSON {
		return o.print(imp, nil)
	}
	for _, s := range imp.Summary {
		if _, err := fmt.Fprintln(o.sh.stdout, printable(s)); err != nil {
			return err
		}
	}
	for _, f := range imp.Findings {
		if _, err := fmt.Fprintf(o.sh.stdout, "%s %s: %s\n", f.Severity, f.Code, printable(f.Message)); err != nil {
			return err
		}
	}
	if len(imp.Campaigns) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(o.sh.stdout)
	return o.print(imp, func(t *listing) {
		t.header("campaign", "status", "queued", "go now", "would go", "ends", "would end")
		t.right(3, 4, 5)
		for _, c := range imp.Campaigns {
			t.row(c.Name, c.Status, c.Effect.Targets, c.Effect.Before, c.Effect.After, c.FinishesBefore, c.FinishesAfter)
		}
	})
}

func settingsHistory(o *output) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "history KEY", Short: "List what a setting was: who changed what, when and why", Args: cobra.ExactArgs(1), ValidArgs: store.SettingsKeys,
		Example: "  lastcall settings history quiet_hours --limit 5",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.SettingsRevisions
			if err := c.get(cmd.Context(), "/settings/"+url.PathEscape(args[0])+"/revisions", url.Values{"limit": {strconv.Itoa(limit)}}, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("revision", "by", "since", "what", "before", "after", "reason")
				for _, r := range page.Revisions {
					if len(r.Changes) == 0 {
						t.row(strconv.FormatInt(r.Revision, 10), r.Actor, r.CreatedAt, "nothing", "", "", r.Reason)
					}
					for _, ch := range r.Changes {
						t.row(strconv.FormatInt(r.Revision, 10), r.Actor, r.CreatedAt, ch.Field, string(ch.Before), string(ch.After), r.Reason)
					}
				}
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many revisions at most, up to 1000")
	return cmd
}

func settingsRevert(o *output) *cobra.Command {
	var back api.SettingReversal
	cmd := &cobra.Command{
		Use: "revert KEY REVISION", Short: "Go back to an earlier revision of a setting", Args: cobra.ExactArgs(2),
		Long:    `Saves a new revision with the value of an earlier one; 0 is the default.`,
		Example: `  lastcall settings revert quiet_hours 12 --reason "the neighbours moved"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if back.Revision, err = strconv.ParseInt(args[1], 10, 64); err != nil || back.Revision < 0 {
				return usageError{errors.New("the revision is not a number; settings history lists them")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var saved store.SettingsRevision
			if _, err := c.call(cmd.Context(), http.MethodPost, "/settings/"+url.PathEscape(args[0])+"/revert", back, &saved); err != nil {
				return dangers(err)
			}
			return o.print(saved, func(t *listing) { revision(t, saved) })
		},
	}
	cmd.Flags().StringVar(&back.Reason, "reason", "", "why, for the audit log (required)")
	cmd.Flags().StringSliceVar(&back.Acknowledged, "acknowledge", nil, acknowledgeUsage)
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

const acknowledgeUsage = "the codes of the dangers that you know of, like " + policy.InvertedWindow

// dangers adds to a refusal how to save the setting nevertheless.
func dangers(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Code != "settings_danger" {
		return err
	}
	raw, _ := json.Marshal(p.Facts)
	var facts store.SettingDanger
	if json.Unmarshal(raw, &facts) == nil {
		for _, f := range facts.Findings {
			p.Detail += " --acknowledge " + f.Code
		}
	}
	return p
}

// settingValue is a setting's JSON as an argument, or from standard input.
func settingValue(cmd *cobra.Command, arg string) (json.RawMessage, error) {
	value := []byte(arg)
	if arg == "-" {
		var err error
		if value, err = io.ReadAll(cmd.InOrStdin()); err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
	}
	if !json.Valid(value) {
		return nil, usageError{errors.New("the value is not JSON")}
	}
	return value, nil
}
