package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lastcall/api"
)

func accountsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	cmd := group(o, "accounts", "People who may sign in to the panel", accountsInvite(o), accountsInvitations(o),
		accountsResend(o), accountsWithdraw(o), accountsAdd(o), accountsList(o), accountsRole(o), accountsDisable(o), accountsEnable(o),
		accountsEndSessions(o), accountsResetPassword(o), accountsFirstAdmin(o))
	cmd.GroupID = groupCare
	return cmd
}

func accountsAdd(o *output) *cobra.Command {
	n := api.NewAccount{}
	cmd := &cobra.Command{
		Use: "add EMAIL", Short: "Add an account", Args: cobra.ExactArgs(1),
		Long: `Adds an account. Its password is asked for, or is the first line of standard input; it is no argument, because others
see those.`,
		Example: "  lastcall accounts add amina@example.test --name Amina --role ops",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			n.Email = args[0]
			if n.Password, err = readPassword(cmd.InOrStdin(), o.sh.stderr); err != nil {
				return err
			}
			var a api.AccountEntry
			if _, err := c.call(cmd.Context(), http.MethodPost, "/accounts", n, &a); err != nil {
				return err
			}
			return o.printAccount(a)
		},
	}
	cmd.Flags().StringVar(&n.Role, "role", "", "admin, project_lead, ops, support, compliance, finance, viewer or station_operator")
	cmd.Flags().StringVar(&n.Name, "name", "", "the person's name")
	_ = cmd.MarkFlagRequired("role")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func accountsList(o *output) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use: "list", Short: "List accounts, oldest first", Args: cobra.NoArgs,
		Example: "  lastcall accounts list --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.AccountPage
			if err := c.get(cmd.Context(), "/accounts", p.query(), &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("email", "name", "role", "since", "disabled")
				for _, a := range page.Accounts {
					t.row(a.Email, a.Name, a.Role, a.CreatedAt, a.DisabledAt)
				}
			})
		},
	}
	p.flags(cmd)
	return cmd
}

func accountsDisable(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "disable EMAIL", Short: "Keep somebody from signing in, and sign them out", Args: cobra.ExactArgs(1),
		Example: "  lastcall accounts disable amina@example.test",
		RunE:    func(cmd *cobra.Command, args []string) error { return o.setAccount(cmd, args[0], "/disable") },
	}
}

func accountsEnable(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "enable EMAIL", Short: "Let somebody sign in again", Args: cobra.ExactArgs(1),
		Example: "  lastcall accounts enable amina@example.test",
		RunE:    func(cmd *cobra.Command, args []string) error { return o.setAccount(cmd, args[0], "/enable") },
	}
}

func accountsRole(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "role EMAIL ROLE", Short: "Give somebody another role, and sign them out", Args: cobra.ExactArgs(2),
		Example: "  lastcall accounts role amina@example.test project_lead",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, a, err := o.account(cmd, args[0])
			if err != nil {
				return err
			}
			if _, err := c.call(cmd.Context(), http.MethodPut, "/accounts/"+a.ID.String()+"/role", api.NewRole{Role: args[1]}, &a); err != nil {
				return err
			}
			return o.printAccount(a)
		},
	}
}

func accountsEndSessions(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "end-sessions EMAIL", Short: "Sign somebody out everywhere", Args: cobra.ExactArgs(1),
		Example: "  lastcall accounts end-sessions amina@example.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, a, err := o.account(cmd, args[0])
			if err != nil {
				return err
			}
			var done api.Ended
			if _, err := c.call(cmd.Context(), http.MethodPost, "/accounts/"+a.ID.String()+"/end-sessions", nil, &done); err != nil {
				return err
			}
			return o.print(done, func(t *listing) { t.row("sessions ended", done.Ended) })
		},
	}
}

func accountsResetPassword(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "reset-password EMAIL", Short: "Give somebody another password, and sign them out", Args: cobra.ExactArgs(1),
		Long:    "Gives an account another password, which is asked for or read as with add, and ends its sessions and its lock-out.",
		Example: "  lastcall accounts reset-password amina@example.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, a, err := o.account(cmd, args[0])
			if err != nil {
				return err
			}
			password, err := readPassword(cmd.InOrStdin(), o.sh.stderr)
			if err != nil {
				return err
			}
			if _, err := c.call(cmd.Context(), http.MethodPut, "/accounts/"+a.ID.String()+"/password", api.NewPassword{Password: password}, &a); err != nil {
				return err
			}
			return o.printAccount(a)
		},
	}
}

func (o *output) setAccount(cmd *cobra.Command, email, to string) error {
	c, a, err := o.account(cmd, email)
	if err != nil {
		return err
	}
	var now api.AccountEntry
	if _, err := c.call(cmd.Context(), http.MethodPost, "/accounts/"+a.ID.String()+to, nil, &now); err != nil {
		return err
	}
	return o.printAccount(now)
}

func (o *output) printAccount(a api.AccountEntry) error {
	return o.print(a, func(t *listing) {
		t.row("id", a.ID)
		t.row("email", a.Email)
		t.row("name", a.Name)
		t.row("role", a.Role)
		t.row("since", a.CreatedAt)
		t.row("disabled", a.DisabledAt)
	})
}

// account finds an account by its address. It reads the lists, because addresses of calls hold no people's.
func (o *output) account(cmd *cobra.Command, email string) (*apiClient, api.AccountEntry, error) {
	c, err := o.sh.client()
	if err != nil {
		return nil, api.AccountEntry{}, err
	}
	for after := ""; ; {
		query := url.Values{"limit": {"500"}}
		if after != "" {
			query.Set("after", after)
		}
		var page api.AccountPage
		if err := c.get(cmd.Context(), "/accounts", query, &page); err != nil {
			return nil, api.AccountEntry{}, err
		}
		for _, a := range page.Accounts {
			if strings.EqualFold(a.Email, email) {
				return c, a, nil
			}
		}
		if after = page.Next; after == "" {
			return nil, api.AccountEntry{}, fmt.Errorf("there is no account %s", email)
		}
	}
}

// readPassword asks a person twice, unseen, and takes the first line of anything else.
func readPassword(in io.Reader, prompt io.Writer) (string, error) {
	terminal, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(in, 64<<10)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", errors.New("standard input holds no password")
		}
		return line, nil
	}
	ask := func(what string) (string, error) {
		fmt.Fprint(prompt, what)
		typed, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(prompt)
		return string(typed), err
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	again, err := ask("Again: ")
	if err == nil && again != first {
		err = errors.New("these are two different passwords")
	}
	return first, err
}
