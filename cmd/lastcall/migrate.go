package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/config"
	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/fixtures"
	"lastcall/store"
)

const (
	// bootstrapVariable holds an API token that is made valid after migrating.
	bootstrapVariable = "LASTCALL_BOOTSTRAP_TOKEN"
	// bootstrapAdminVariable holds ADDRESS:PASSWORD of an admin account that is made after migrating, unless it is there.
	bootstrapAdminVariable = "LASTCALL_BOOTSTRAP_ADMIN"
	// bootstrapAccountsVariable holds accounts as JSON, each made after migrating unless it is there: how up makes its own.
	bootstrapAccountsVariable = "LASTCALL_BOOTSTRAP_ACCOUNTS"
	// bootstrapPINVariable holds the PIN of an operator of the staging set, which is loaded after migrating where it never was:
	// how up loads it.
	bootstrapPINVariable = "LASTCALL_BOOTSTRAP_PIN"
)

func migrateCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	cmd := group(o, "migrate", "Bring the database's schema up to date", migrateUp(o), migrateDown(o), migrateStatus(o))
	cmd.GroupID = groupCare
	cmd.Long = `Works on the schema of database.url, whose role must own the database and may create roles. Two at once wait
for each other.`
	return cmd
}

// migrated is what migrating did.
type migrated struct {
	Steps     int `json:"steps"`
	Templates int `json:"templates"` // starter templates added
}

func migrateUp(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Bring the schema to the newest version", Args: cobra.NoArgs,
		Long: `Brings the schema to the newest version. With a pepper set it also adds the starter templates that are
missing, makes the token in ` + bootstrapVariable + ` valid, if there is one, and the admin account in
` + bootstrapAdminVariable + ` (ADDRESS:PASSWORD), if there is one and the address has no account yet.`,
		Example: "  LASTCALL_DATABASE_URL=postgres://owner:…@db/lastcall lastcall migrate up",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.migrateConfig()
			if err != nil {
				return err
			}
			token := os.Getenv(bootstrapVariable)
			accounts, err := bootstrapAccounts()
			if err != nil {
				return err
			}
			if token != "" || len(accounts) > 0 {
				if err := c.Need("pepper"); err != nil {
					return err
				}
			}
			var done migrated
			if done.Steps, err = store.MigrateUp(cmd.Context(), c.Database.URL.Reveal()); err != nil {
				return err
			}
			if c.Pepper != "" {
				ctx := audit.WithActor(cmd.Context(), audit.System("migrate"))
				if done.Templates, err = furnish(ctx, c, token, accounts); err != nil {
					return err
				}
			}
			return o.print(done, func(t *listing) {
				t.row("steps taken", done.Steps)
				t.row("templates added", done.Templates)
			})
		},
	}
}

// furnish puts in what a fresh database needs to be of use.
func furnish(ctx context.Context, c *config.Config, token string, accounts []store.NewAccount) (templates int, err error) {
	st, err := openStore(ctx, c, "migrate")
	if err != nil {
		return 0, err
	}
	defer st.Close()
	if templates, err = fixtures.Starter(ctx, st); err != nil {
		return 0, fmt.Errorf("starter templates: %w", err)
	}
	if token != "" {
		err = st.EnsureToken(ctx, "up", token)
	}
	for _, a := range accounts {
		if err != nil {
			return templates, err
		}
		if err = st.EnsureAccount(ctx, a); err != nil {
			err = fmt.Errorf("make the account %s: %w", a.Email, err)
		}
	}
	if pin := os.Getenv(bootstrapPINVariable); pin != "" && err == nil {
		set, err := fixtures.Staging(pin, nil) // it has accounts of its own
		if err == nil {
			err = fixtures.Once(ctx, st, set)
		}
		if err != nil {
			return templates, fmt.Errorf("the staging set: %w", err)
		}
	}
	return templates, err
}

// bootstrapAccounts are the accounts that the environment asks for. Its errors quote none of it: it holds passwords.
func bootstrapAccounts() (all []store.NewAccount, err error) {
	if raw := os.Getenv(bootstrapAccountsVariable); raw != "" && json.Unmarshal([]byte(raw), &all) != nil {
		return nil, fmt.Errorf("%s is no list of accounts", bootstrapAccountsVariable)
	}
	if email, password, _ := strings.Cut(os.Getenv(bootstrapAdminVariable), ":"); email != "" {
		all = append(all, store.NewAccount{Email: email, Name: "Admin", Role: string(access.Admin), Password: password})
	}
	return all, nil
}

func migrateDown(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Take the newest step back; its data is lost", Args: cobra.NoArgs,
		Example: "  lastcall migrate down",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.migrateConfig()
			if err != nil {
				return err
			}
			if err := store.MigrateDown(cmd.Context(), c.Database.URL.Reveal()); err != nil {
				return err
			}
			return o.migrations(cmd.Context(), c)
		},
	}
}

func migrateStatus(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show which steps the schema has taken", Args: cobra.NoArgs,
		Example: "  lastcall migrate status --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.migrateConfig()
			if err != nil {
				return err
			}
			return o.migrations(cmd.Context(), c)
		},
	}
}

func (o *output) migrateConfig() (*config.Config, error) {
	c, err := o.sh.config()
	if err != nil {
		return nil, err
	}
	return c, c.Need("database.url")
}

// migrations prints the steps, oldest first.
func (o *output) migrations(ctx context.Context, c *config.Config) error {
	all, err := store.MigrateStatus(ctx, c.Database.URL.Reveal())
	if err != nil {
		return err
	}
	return o.print(struct {
		Migrations []store.Migration `json:"migrations"`
	}{all}, func(t *listing) {
		t.header("version", "name", "applied")
		for _, m := range all {
			t.row(m.Version, m.Name, m.Applied)
		}
	})
}
