package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/access"
)

func tokensCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	cmd := group(o, "tokens", "API tokens of one's own", tokensCreate(o), tokensList(o), tokensRevoke(o))
	cmd.GroupID = groupCare
	cmd.Long = `Tokens by which a program acts in your place, with the permissions you give it and for as long as you say. They are
made by an account that is signed in: with --as, or in the panel under Profile.`
	return cmd
}

func tokensCreate(o *output) *cobra.Command {
	n := api.NewToken{}
	var scopes []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a token; it is shown once", Args: cobra.ExactArgs(1),
		Example: "  lastcall tokens create nightly --scope campaigns.read,sends.read --days 30 --as viewer@lastcall.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			n.Name = args[0]
			for _, s := range scopes {
				n.Scopes = append(n.Scopes, access.Permission(s))
			}
			var made api.CreatedToken
			if _, err := c.call(cmd.Context(), http.MethodPost, "/profile/tokens", n, &made); err != nil {
				return err
			}
			return o.print(made, func(t *listing) {
				t.row("name", made.Name)
				t.row("scopes", strings.Join(made.Scopes, ", "))
				t.row("good until", made.ExpiresAt)
				t.row("token", made.Secret)
			})
		},
	}
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "a permission of your role, like campaigns.read; several with commas")
	cmd.Flags().IntVar(&n.Days, "days", 90, "how long it lasts, 365 at most")
	_ = cmd.MarkFlagRequired("scope")
	return cmd
}

func tokensList(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List your tokens, newest first", Args: cobra.NoArgs,
		Example: "  lastcall tokens list --as viewer@lastcall.test",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, all, err := o.ownTokens(cmd)
			if err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("name", "scopes", "made", "good until", "last use")
				for _, one := range all.Tokens {
					t.row(one.Name, strings.Join(one.Scopes, ", "), one.CreatedAt, one.ExpiresAt, one.LastUsedAt)
				}
			})
		},
	}
}

func tokensRevoke(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a token of yours at once", Args: cobra.ExactArgs(1),
		Example: "  lastcall tokens revoke nightly --as viewer@lastcall.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, all, err := o.ownTokens(cmd)
			if err != nil {
				return err
			}
			for _, one := range all.Tokens {
				if one.Name != args[0] {
					continue
				}
				res, _, err := c.open(cmd.Context(), http.MethodDelete, "/profile/tokens/"+one.ID.String(), http.Header{}, nil)
				if err != nil {
					return err
				}
				_ = res.Body.Close()
				return o.print(one, func(t *listing) { t.row("revoked", one.Name) })
			}
			return fmt.Errorf("you have no token named %s", args[0])
		},
	}
}

func (o *output) ownTokens(cmd *cobra.Command) (*apiClient, api.Tokens, error) {
	var all api.Tokens
	c, err := o.sh.client()
	if err == nil {
		err = c.get(cmd.Context(), "/profile/tokens", nil, &all)
	}
	return c, all, err
}
