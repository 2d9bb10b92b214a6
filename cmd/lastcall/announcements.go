package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func rolloutAnnouncements(o *output) *cobra.Command {
	var of string
	cmd := &cobra.Command{
		Use: "announcements", Short: "List what a rollout tells people, and what went out", Args: cobra.NoArgs,
		Example: "  lastcall rollout announcements --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			path, err := announcementsPath(cmd, c, of)
			if err != nil {
				return err
			}
			var got api.RolloutAnnouncements
			if err := c.get(cmd.Context(), path, nil, &got); err != nil {
				return err
			}
			return o.print(got, func(t *listing) {
				t.header("announcement", "goes out in", "before", "state", "last sent", "by", "why not now")
				for _, a := range got.Announcements {
					if len(a.Runs) == 0 {
						t.row(a.ID, a.Phase, a.Before, a.State, "", "", a.WhyNot)
						continue
					}
					t.row(a.ID, a.Phase, a.Before, a.State, a.Runs[0].At, a.Runs[0].By.Email, a.WhyNot)
				}
			})
		},
	}
	cmd.Flags().StringVar(&of, "rollout", "", "whose (default the one that is under way)")
	return cmd
}

func rolloutAnnounce(o *output) *cobra.Command {
	var body api.AnnouncementOrder
	var of string
	var preview bool
	cmd := &cobra.Command{
		Use: "announce ANNOUNCEMENT", Short: "Send an announcement of the plan", Args: cobra.ExactArgs(1),
		Long: `Sends an announcement of the plan to its lists and to the Ops channel. Its links are looked at first, and it does not go out
when one of them leads nowhere. With --preview it shows what would go out, and looks at the links; nothing is sent. Who is on
a list and where a link leads is the setting announcements.`,
		Example: `  lastcall rollout announce staging-ready --preview --as ops@lastcall.test
  lastcall rollout announce staging-ready --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			path, err := announcementsPath(cmd, c, of)
			if err != nil {
				return err
			}
			path += "/" + url.PathEscape(args[0])
			var got api.RolloutAnnouncement
			if preview || body.Digest == "" {
				if _, err := c.call(cmd.Context(), http.MethodPost, path+"/preview", nil, &got); err != nil || preview {
					return orPrint(err, func() error { return o.announcement(got) })
				}
				body.Digest = got.Digest
			}
			status, err := c.call(cmd.Context(), http.MethodPost, path+"/send", body, &got)
			if err != nil {
				return err
			}
			o.pending(cmd.Context(), c, status, "announce")
			return o.announcement(got)
		},
	}
	cmd.Flags().StringVar(&of, "rollout", "", "whose (default the one that is under way)")
	cmd.Flags().StringVar(&body.Digest, "digest", "", "of what you looked at (default as it is now)")
	cmd.Flags().BoolVar(&preview, "preview", false, "show it and look at its links, and send nothing")
	return cmd
}

// orPrint is err, or what printing comes to.
func orPrint(err error, print func() error) error {
	if err != nil {
		return err
	}
	return print()
}

// announcementsPath is the address of a rollout's announcements; of the one that is under way for "".
func announcementsPath(cmd *cobra.Command, c *apiClient, name string) (string, error) {
	if name == "" {
		var now api.Rollout
		if err := c.get(cmd.Context(), "/rollout", nil, &now); err != nil {
			return "", err
		}
		if name = now.Name; name == "" {
			return "", fmt.Errorf("no rollout is under way")
		}
	}
	return "/rollouts/" + url.PathEscape(name) + "/announcements", nil
}

// announcement prints an announcement as it would go out, with its links and what went out.
func (o *output) announcement(a api.RolloutAnnouncement) error {
	return o.print(a, func(t *listing) {
		t.row("announcement", a.ID)
		t.row("state", a.State)
		if a.WhyNot != "" {
			t.row("not now", a.WhyNot)
		}
		for _, list := range a.Lists {
			t.row("to "+list.Name, strings.Join(list.Addresses, ", "))
		}
		for _, link := range a.Links {
			said := "not looked at"
			if link.CheckedAt != nil {
				said = "leads somewhere"
			}
			if link.Problem != "" {
				said = link.Problem
			}
			t.row(link.Name, link.URL+" ("+said+")")
		}
		t.row("subject", a.Subject)
		t.row("text", a.Body)
		t.row("digest", a.Digest)
		for _, run := range a.Runs {
			t.row(run.State, fmt.Sprintf("%s, %s, to %d addresses", run.By.Email, shown(run.At), run.To))
			for _, m := range run.Messages {
				said := m.Outcome
				if said == "" {
					said = "on its way"
				}
				t.row("  "+strings.TrimSpace(string(m.Channel)+" "+m.List), fmt.Sprintf("message %d, %s", m.OutboxID, said))
			}
		}
	})
}
