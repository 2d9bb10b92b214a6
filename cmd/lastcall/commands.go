package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// clientCommands are the commands that people use; they speak to the API.
func clientCommands(sh *shell) []*cobra.Command {
	all := []*cobra.Command{dashboardCommand(sh), campaignsCommand(sh), templatesCommand(sh), channelsCommand(sh), contactsCommand(sh), sendCommand(sh), sendsCommand(sh),
		optOutsCommand(sh), settingsCommand(sh), policyCommand(sh), barsCommand(sh), stationsCommand(sh), paymentsCommand(sh), accountsCommand(sh),
		tokensCommand(sh), vouchersCommand(sh), auditCommand(sh), overridesCommand(sh), rolloutCommand(sh), reviewsCommand(sh), alertsCommand(sh), incidentsCommand(sh), smokeCommand(sh), probesCommand(sh), faultsCommand(sh), drillCommand(sh)}
	for _, cmd := range all {
		cmd.PersistentFlags().StringVar(&sh.as, "as", "", "act as this account of lastcall up, by its address and its password in up.json")
	}
	return all
}

// serverCommands are the parts that run, each alone, and what looks after the database.
func serverCommands(sh *shell) []*cobra.Command {
	return []*cobra.Command{apiCommand(sh), workerCommand(sh), sandboxCommand(sh), migrateCommand(sh), fixturesCommand(sh), benchCommand(sh), openapiCommand(sh)}
}

// group is a command that only holds others. All of them print a table or JSON.
func group(out *output, use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, GroupID: groupWork, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.PersistentFlags().Var(&out.format, "output", "table or json; json prints one object")
	cmd.AddCommand(commands...)
	return cmd
}

// format is how results are printed.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

// Set is pflag.Value.
func (f *format) Set(s string) error {
	if s != string(formatTable) && s != string(formatJSON) {
		return fmt.Errorf("use %s or %s", formatTable, formatJSON)
	}
	*f = format(s)
	return nil
}

// pairs collects name=value flags.
type pairs map[string]string

func (p pairs) String() string { return "" }
func (p pairs) Type() string   { return "name=value" }

// Set is pflag.Value.
func (p pairs) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" || value == "" {
		return fmt.Errorf("write name=value")
	}
	if _, twice := p[name]; twice {
		return fmt.Errorf("%s is given twice", name)
	}
	p[name] = value
	return nil
}

// paging is one page of a list.
type paging struct {
	limit int
	after string
}

func (p *paging) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&p.limit, "limit", 100, "at most this many, 500 at most")
	cmd.Flags().StringVar(&p.after, "after", "", "the next of the page before")
}

func (p *paging) query() url.Values {
	query := url.Values{"limit": {strconv.Itoa(p.limit)}}
	if p.after != "" {
		query.Set("after", p.after)
	}
	return query
}
