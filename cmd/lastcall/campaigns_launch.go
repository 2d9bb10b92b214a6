package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/audience"
	"lastcall/domain/voucher"
	"lastcall/store"
)

func campaignsLaunch(o *output) *cobra.Command {
	l := launch{output: o, new: api.NewCampaign{Variables: pairs{}}, reading: reading{columns: pairs{}}}
	cmd := &cobra.Command{
		Use: "launch FILE", Short: "Create a campaign, import its recipients and start it", Args: cobra.ExactArgs(1),
		Long: `Creates a campaign, imports its recipients from a CSV file ("-" for standard input) and starts it.
The file begins with a header; the column of phone numbers is called msisdn, phone, number or mobile,
or is named by --map msisdn=COLUMN. Lines that cannot be used are reported and left out.`,
		Example: `  lastcall campaigns launch guests.csv --template promo_generic --watch
  lastcall campaigns launch guests.csv --template promo_generic --country RW --map msisdn=Mobile --at 2026-12-31T20:00:00+02:00
  lastcall campaigns launch guests.csv --template voucher_gift --voucher 2000 --currency RWF --valid 7d --stations ENG-001 --watch`,
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&l.new.Name, "name", "", "what to call it (default the file's name)")
	templateFlags(cmd, &l.new)
	l.offer.flags(cmd)
	readingFlags(cmd, &l.reading)
	cmd.Flags().Var(&l.at, "at", "when to begin sending, RFC 3339 (default now)")
	cmd.Flags().BoolVar(&l.watch, "watch", false, "watch it until it has ended")
	return cmd
}

// launch is one campaign on its way from a file to its start.
type launch struct {
	*output
	new     api.NewCampaign
	offer   offerFlags
	reading reading
	at      instant
	watch   bool
}

func (l *launch) run(cmd *cobra.Command, path string) error {
	ctx := cmd.Context()
	if l.new.Name == "" {
		if path == "-" {
			return usageError{errors.New("--name is needed when the recipients come from standard input")}
		}
		l.new.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	c, err := l.sh.client()
	if err != nil {
		return err
	}
	if l.new.Voucher, err = l.offer.offer(); err != nil {
		return err
	}
	file, err := openAudience(path, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer file.Close()
	if err := l.check(ctx, c, file); err != nil {
		return err
	}

	made, err := c.create(ctx, l.new)
	if err != nil {
		return err
	}
	id := made.CampaignID.String()
	imported, err := l.importFile(ctx, c, id, file, l.reading, false)
	if err != nil {
		return fmt.Errorf("%w\nthe campaign is a draft without targets: %s", err, id)
	}
	l.imported(imported)
	if imported.Targets == 0 {
		return errors.Join(l.show(ctx, c, id), fmt.Errorf("no line of the file gave a target; the campaign stays a draft: %s", id))
	}
	started, err := l.start(ctx, c, id, l.at.time)
	if err != nil {
		return fmt.Errorf("%w\nthe campaign is ready but not started: lastcall campaigns start %s", err, id)
	}
	if !l.watch {
		return l.campaign(started)
	}
	return l.follow(ctx, c, id)
}

// check finds what is wrong with the template or the file's header before anything is made.
func (l *launch) check(ctx context.Context, c *apiClient, file *audienceFile) error {
	var t store.Template
	if err := c.get(ctx, "/templates/"+url.PathEscape(l.new.Template), nil, &t); err != nil {
		return err
	}
	if !t.Status.Sendable() {
		return fmt.Errorf("template %s is %s; it must be approved before it is sent", t.Name, t.Status)
	}
	variables := t.Variables
	if l.new.Voucher != nil {
		variables = voucher.Asked(variables)
	}
	return file.check(audience.Options{Columns: l.reading.columns, Country: l.reading.country, Variables: variables, Fixed: l.new.Variables})
}

// show prints the campaign as it is now.
func (o *output) show(ctx context.Context, c *apiClient, id string) error {
	var got api.Campaign
	if err := c.get(ctx, "/campaigns/"+id, nil, &got); err != nil {
		return err
	}
	return o.campaign(got)
}
