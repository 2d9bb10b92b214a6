package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/audience"
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
  lastcall campaigns launch guests.csv --template promo_generic --country RW --map msisdn=Mobile --at 2026-12-31T20:00:00+02:00`,
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&l.new.Name, "name", "", "what to call it (default the file's name)")
	templateFlags(cmd, &l.new)
	readingFlags(cmd, &l.reading)
	cmd.Flags().Var(&l.at, "at", "when to begin sending, RFC 3339 (default now)")
	cmd.Flags().BoolVar(&l.watch, "watch", false, "watch it until it has ended")
	return cmd
}

// launch is one campaign on its way from a file to its start.
type launch struct {
	*output
	new     api.NewCampaign
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
	imported, err := l.importFile(ctx, c, id, file, l.reading)
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
	return file.check(audience.Options{Columns: l.reading.columns, Country: l.reading.country, Variables: t.Variables, Fixed: l.new.Variables})
}

// show prints the campaign as it is now.
func (o *output) show(ctx context.Context, c *apiClient, id string) error {
	var got api.Campaign
	if err := c.get(ctx, "/campaigns/"+id, nil, &got); err != nil {
		return err
	}
	return o.campaign(got)
}

func campaignsImport(o *output) *cobra.Command {
	r := reading{columns: pairs{}}
	cmd := &cobra.Command{
		Use: "import ID FILE", Short: "Import recipients into a campaign", Args: cobra.MatchAll(cobra.ExactArgs(2), campaignIDs),
		Long: `Imports recipients from a CSV file ("-" for standard input) into a campaign that has not been started:
all of the file or, when it cannot be read to its end, none of it.`,
		Example: "  lastcall campaigns import 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f guests.csv --country RW --map msisdn=Mobile",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			file, err := openAudience(args[1], cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer file.Close()
			done, err := o.importFile(cmd.Context(), c, args[0], file, r)
			if err != nil {
				return err
			}
			o.imported(done)
			return o.print(done, func(t *listing) {
				t.row("import", done.ImportID)
				t.row("lines", done.Lines)
				t.row("targets", done.Targets)
				t.row("duplicates", done.Duplicates)
				t.row("invalid", done.Invalid)
			})
		},
	}
	readingFlags(cmd, &r)
	return cmd
}

// reading is how a file is to be read.
type reading struct {
	country string
	columns pairs // field → column
}

func readingFlags(cmd *cobra.Command, r *reading) {
	cmd.Flags().StringVar(&r.country, "country", "", "where numbers without + are dialled, like RW")
	cmd.Flags().Var(r.columns, "map", "field=column: which column holds msisdn, name, locale, zone, country or a variable; repeatable")
}

func (r reading) query() string {
	query := url.Values{}
	if r.country != "" {
		query.Set("country", r.country)
	}
	for field, column := range r.columns {
		query.Add("map", field+":"+column)
	}
	return query.Encode()
}

// importFile streams a file to the API, with a bar on terminals.
func (o *output) importFile(ctx context.Context, c *apiClient, id string, file *audienceFile, r reading) (done api.Import, err error) {
	progress := o.uploadProgress(file)
	defer progress.end()
	header := http.Header{"Content-Type": {"text/csv"}}
	_, err = c.send(ctx, http.MethodPost, "/campaigns/"+id+"/imports?"+r.query(), header, progress.reader(file), &done)
	if errors.Is(err, errInterrupted) {
		err = errors.New("interrupted; nothing was imported")
	}
	return done, err
}

// imported tells what became of a file, with the first of its bad lines.
func (o *output) imported(i api.Import) {
	o.say("lines %s: targets %s, duplicates %s, invalid %s", thousands(i.Lines), thousands(i.Targets), thousands(i.Duplicates), thousands(i.Invalid))
	if len(i.IgnoredColumns) > 0 {
		o.say("columns that nothing uses: %s", printable(strings.Join(i.IgnoredColumns, ", ")))
	}
	const some = 10
	for _, l := range i.BadLines[:min(some, len(i.BadLines))] {
		field := ""
		if l.Field != "" {
			field = l.Field + ": "
		}
		o.say("  line %d: %s%s", l.Line, field, l.Reason)
	}
	if i.Invalid > some {
		o.say("  … and %s more", thousands(i.Invalid-some))
	}
}

// audienceFile is a file of recipients whose header can be looked at before it is sent.
type audienceFile struct {
	io.Reader
	name   string
	size   int64 // 0: unknown
	closer io.Closer
}

func openAudience(path string, stdin io.Reader) (*audienceFile, error) {
	if path == "-" {
		return &audienceFile{Reader: stdin, name: "standard input", closer: io.NopCloser(nil)}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	file := &audienceFile{Reader: f, name: filepath.Base(path), closer: f}
	if info.Mode().IsRegular() {
		file.size = info.Size()
	}
	return file, nil
}

// check reads the header; what was read of the file is read again by who sends it.
func (f *audienceFile) check(o audience.Options) error {
	var head bytes.Buffer
	_, err := audience.NewReader(io.TeeReader(f.Reader, &head), o)
	f.Reader = io.MultiReader(&head, f.Reader)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// Close closes the file.
func (f *audienceFile) Close() { _ = f.closer.Close() }
