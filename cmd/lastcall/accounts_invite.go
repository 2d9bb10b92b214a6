package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/audit"
)

func accountsInvite(o *output) *cobra.Command {
	n := api.NewInvitation{}
	cmd := &cobra.Command{
		Use: "invite EMAIL", Short: "Mail somebody a link to make an account", Args: cobra.ExactArgs(1),
		Long:    `Mails a link that is good once and for 72 hours. Behind it they choose their password.`,
		Example: "  lastcall accounts invite amina@example.test --name Amina --role ops",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			n.Email = args[0]
			var i api.Invitation
			if _, err := c.call(cmd.Context(), http.MethodPost, "/invitations", n, &i); err != nil {
				return err
			}
			return o.printInvitation(i)
		},
	}
	cmd.Flags().StringVar(&n.Role, "role", "", "admin, project_lead, ops, support, compliance, finance, viewer or station_operator")
	cmd.Flags().StringVar(&n.Name, "name", "", "the person's name")
	_ = cmd.MarkFlagRequired("role")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func accountsInvitations(o *output) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use: "invitations", Short: "List open invitations, oldest first", Args: cobra.NoArgs,
		Example: "  lastcall accounts invitations --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.InvitationPage
			if err := c.get(cmd.Context(), "/invitations", p.query(), &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("email", "name", "role", "sent", "link ends")
				for _, i := range page.Invitations {
					t.row(i.Email, i.Name, i.Role, i.SentAt, i.ExpiresAt)
				}
			})
		},
	}
	p.flags(cmd)
	return cmd
}

func accountsResend(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "resend EMAIL", Short: "Send an invitation again, with a new link", Args: cobra.ExactArgs(1),
		Example: "  lastcall accounts resend amina@example.test",
		RunE:    func(cmd *cobra.Command, args []string) error { return o.setInvitation(cmd, args[0], "/resend") },
	}
}

func accountsWithdraw(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "withdraw EMAIL", Short: "Withdraw an invitation; its link ends", Args: cobra.ExactArgs(1),
		Example: "  lastcall accounts withdraw amina@example.test",
		RunE:    func(cmd *cobra.Command, args []string) error { return o.setInvitation(cmd, args[0], "/withdraw") },
	}
}

// setInvitation finds an open invitation by its address, in the lists, because addresses of calls hold no people's.
func (o *output) setInvitation(cmd *cobra.Command, email, to string) error {
	c, err := o.sh.client()
	if err != nil {
		return err
	}
	for after := ""; ; {
		query := url.Values{"limit": {"500"}}
		if after != "" {
			query.Set("after", after)
		}
		var page api.InvitationPage
		if err := c.get(cmd.Context(), "/invitations", query, &page); err != nil {
			return err
		}
		for _, i := range page.Invitations {
			if strings.EqualFold(i.Email, email) {
				if _, err := c.call(cmd.Context(), http.MethodPost, "/invitations/"+i.ID.String()+to, nil, &i); err != nil {
					return err
				}
				return o.printInvitation(i)
			}
		}
		if after = page.Next; after == "" {
			return fmt.Errorf("there is no open invitation of %s", email)
		}
	}
}

func (o *output) printInvitation(i api.Invitation) error {
	return o.print(i, func(t *listing) {
		t.row("id", i.ID)
		t.row("email", i.Email)
		t.row("name", i.Name)
		t.row("role", i.Role)
	})
}

// firstAdmin is the link by which the first admin comes in.
type firstAdmin struct {
	Email     string    `json:"email"`
	Link      string    `json:"link"`
	ExpiresAt time.Time `json:"expires_at"`
}

func accountsFirstAdmin(o *output) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "first-admin EMAIL", Short: "Print the link by which a new installation's first admin comes in", Args: cobra.ExactArgs(1),
		Long: `Prints a link that is good once and for 72 hours, under api.public_url. Behind it the first admin chooses a password;
everybody else is invited by an admin. Printed again, the link before ends. While there is an admin it is refused.

It works on the database, as migrate does: it needs database.url and pepper, and no API.`,
		Example: "  LASTCALL_DATABASE_URL=postgres://…@db/lastcall lastcall accounts first-admin amina@example.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.sh.as != "" {
				return usageError{errors.New("--as is for commands that speak to the API")}
			}
			c, err := o.sh.config()
			if err != nil {
				return err
			}
			if err := c.Need("database.url", "pepper"); err != nil {
				return err
			}
			ctx := audit.WithActor(cmd.Context(), audit.System("first-admin"))
			st, err := openStore(ctx, c, "first-admin")
			if err != nil {
				return err
			}
			defer st.Close()
			i, token, err := st.FirstAdmin(ctx, args[0], name)
			if err != nil {
				return err
			}
			made := firstAdmin{i.Email, welcomeLink(c, token), *i.ExpiresAt}
			return o.print(made, func(t *listing) {
				t.row("email", made.Email)
				t.row("link", made.Link)
				t.row("good until", made.ExpiresAt)
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "Admin", "the person's name, which they may change")
	return cmd
}
