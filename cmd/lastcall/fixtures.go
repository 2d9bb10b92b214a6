package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lastcall/config"
	"lastcall/domain"
	"lastcall/domain/place"
	"lastcall/fixtures"
	"lastcall/store"
)

func fixturesCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	cmd := group(o, "fixtures", "The staging set: load it, verify it, take it out", fixturesLoad(o), fixturesVerify(o), fixturesTeardown(o))
	cmd.GroupID = groupCare
	cmd.Long = `Works on the database of database.url, else on that of the lastcall up of the data directory, which loads the set by itself
when it is new. What the set is, docs/DATA_FIXTURES_PLAN.md tells: everybody in it is made up.`
	return cmd
}

// fixturesLoaded is what loading prints. Passwords and the PIN are shown this once.
type fixturesLoaded struct {
	Added    map[string]int         `json:"added"`
	Accounts []madeAccount          `json:"accounts"`
	Removed  *store.FixturesRemoved `json:"removed,omitempty"`
	Station  *fixtureStation        `json:"station,omitempty"`
}

type madeAccount struct {
	Email    string `json:"email"`
	Role     string `json:"role"`
	Password string `json:"password"`
}

type fixtureStation struct {
	Code string `json:"code"`
	PIN  string `json:"pin"`
}

func fixturesLoad(o *output) *cobra.Command {
	var fresh bool
	cmd := &cobra.Command{
		Use: "load", Short: "Add what is missing of the staging set, in one transaction", Args: cobra.NoArgs,
		Long: `Adds what is missing of the staging set; what is there stays as it is, whoever made it, and what was deleted stays deleted. It
may be run again and again. The passwords of the accounts that it makes, and the PIN of the first station's operator, are shown
once. Refused where messages go to the real WhatsApp. --fresh takes the set out first, as teardown does: its redemptions are then
of today again.`,
		Example: "  lastcall fixtures load\n  lastcall fixtures load --fresh --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := o.fixtures(cmd.Context())
			if err != nil {
				return err
			}
			defer w.Close()
			if !w.sandbox {
				return domain.E(domain.Forbidden, "real_provider", "messages go to the real WhatsApp here (whatsapp.base_url): the staging set is for the sandbox")
			}
			var out fixturesLoaded
			if fresh {
				gone, err := w.teardown(cmd.Context(), stopWithin)
				if err != nil {
					return err
				}
				out.Removed = &gone
			}
			done, err := w.LoadFixtures(cmd.Context(), w.set)
			if err != nil {
				return err
			}
			out.Added = done.Added
			out.Accounts = []madeAccount{}
			for _, a := range w.set.Accounts {
				if slices.Contains(done.Accounts, a.Email) {
					out.Accounts = append(out.Accounts, madeAccount{a.Email, a.Role, a.Password})
				}
			}
			if slices.Contains(done.Stations, fixtures.FirstStation) {
				out.Station = &fixtureStation{fixtures.FirstStation, w.set.PIN(fixtures.FirstStation)}
			}
			return o.print(out, func(t *listing) {
				for _, kind := range slices.Sorted(maps.Keys(out.Added)) {
					t.row(kind+" added", out.Added[kind])
				}
				for _, a := range out.Accounts {
					t.row(a.Email, a.Password)
				}
				if out.Station != nil {
					t.row(out.Station.Code, "PIN "+out.Station.PIN)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&fresh, "fresh", false, "take the set out first; this wants the database's owner")
	return cmd
}

func fixturesVerify(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Is the staging set there as it should be?", Args: cobra.NoArgs,
		Long: `Looks at every row of the staging set: counts, relations and hygiene (nobody real). Each deviation is named; the exit code is 1
if there is one.`,
		Example: "  lastcall fixtures verify --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := o.fixtures(cmd.Context())
			if err != nil {
				return err
			}
			defer w.Close()
			v, err := w.VerifyFixtures(cmd.Context(), w.set)
			if err != nil {
				return err
			}
			if err := o.print(v, func(t *listing) {
				for _, kind := range slices.Sorted(maps.Keys(v.Counts)) {
					t.row(kind, v.Counts[kind], "")
				}
				for _, d := range v.Deviations {
					t.row(d.Check, d.What, d.Detail)
				}
			}); err != nil {
				return err
			}
			if !v.OK {
				return fmt.Errorf("the staging set deviates in %d things", len(v.Deviations))
			}
			return nil
		},
	}
}

// stopWithin is how long the set's campaign may take to end.
const stopWithin = time.Minute

func fixturesTeardown(o *output) *cobra.Command {
	wait := stopWithin
	cmd := &cobra.Command{
		Use: "teardown", Short: "Take the staging set out, and nothing else", Args: cobra.NoArgs,
		Long: `Stops the set's campaign, which takes a worker, and then deletes the set's rows in one transaction, with what hangs on them. What
rows that are not of the set refer to stays, and is named; an account that stays may not sign in any more. The audit log stays as
it is, and tells of it. This wants the owner of the database: nobody who serves may delete what is append-only.`,
		Example: "  lastcall fixtures teardown\n  LASTCALL_DATABASE_URL=postgres://owner:…@db/lastcall lastcall fixtures teardown --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := o.fixtures(cmd.Context())
			if err != nil {
				return err
			}
			defer w.Close()
			gone, err := w.teardown(cmd.Context(), wait)
			if err != nil {
				return err
			}
			return o.print(gone, func(t *listing) {
				for _, kind := range slices.Sorted(maps.Keys(gone.Removed)) {
					t.row(kind+" removed", gone.Removed[kind], "")
				}
				for _, k := range gone.Kept {
					t.row("kept", k.What, k.Why)
				}
			})
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", wait, "for the set's campaign to end")
	return cmd
}

// stagingWork is a database to work on and the set.
type stagingWork struct {
	*store.Store
	set     store.Fixtures
	sandbox bool // messages go nowhere
}

// fixtures opens the database with the set: that of the settings, else that of lastcall up.
func (o *output) fixtures(ctx context.Context) (w stagingWork, err error) {
	c, err := o.sh.config()
	if err != nil {
		return w, err
	}
	pin := place.NewPIN()
	if c.Database.URL == "" {
		up, err := o.sh.readUpFile()
		if err != nil {
			return w, fmt.Errorf("no database.url is set, and %w", err)
		}
		secrets, err := loadSecrets(c.DataDir)
		if err != nil {
			return w, err
		}
		c.Database.URL, pin = config.Secret(up.DatabaseURL), secrets.StationPIN
		if c.Pepper == "" {
			c.Pepper = config.Secret(secrets.Pepper)
		}
		if up.Sandbox != "" && !realWhatsApp(c) {
			c.WhatsApp.BaseURL = up.Sandbox
		}
	}
	passwords := map[string]string{}
	for _, a := range fixtures.Accounts() {
		passwords[a.Email] = rand.Text()
	}
	if w.set, err = fixtures.Staging(pin, passwords); err != nil {
		return w, err
	}
	w.sandbox = c.WhatsApp.Sandbox()
	w.Store, err = openStore(ctx, c, "fixtures")
	return w, err
}

// teardown stops what is under way of the set, and takes the set out.
func (w stagingWork) teardown(ctx context.Context, wait time.Duration) (store.FixturesRemoved, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := w.StopFixtures(waiting, w.set); err != nil {
		return store.FixturesRemoved{}, errors.Join(err, ctx.Err())
	}
	return w.RemoveFixtures(ctx, w.set)
}
