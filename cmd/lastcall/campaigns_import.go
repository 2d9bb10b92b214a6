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

func campaignsImport(o *output) *cobra.Command {
	r := reading{columns: pairs{}}
	var resume bool
	cmd := &cobra.Command{
		Use: "import ID FILE", Short: "Import recipients into a campaign", Args: cobra.MatchAll(cobra.ExactArgs(2), campaignIDs),
		Long: `Imports recipients from a CSV file ("-" for standard input) into a campaign that has not been started:
all of the file or, when it cannot be read to its end, none of it. A file of more than 8 MiB is uploaded in
parts, and imported by a workflow: it survives restarts of either side, and when the upload is broken off,
--resume goes on with it. The limits are ` + audience.Limits + `.`,
		Example: `  lastcall campaigns import 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f guests.csv --country RW --map msisdn=Mobile
  lastcall campaigns import 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f million.csv --resume`,
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
			done, err := o.importFile(cmd.Context(), c, args[0], file, r, resume)
			if err != nil {
				return err
			}
			o.imported(done)
			return o.importReport(done)
		},
	}
	readingFlags(cmd, &r)
	cmd.Flags().BoolVar(&resume, "resume", false, "upload in parts, leaving out those that have arrived already")
	return cmd
}

// importReport prints what became of an import.
func (o *output) importReport(i api.Import) error {
	return o.print(i, func(t *listing) {
		t.row("import", i.ImportID)
		t.row("lines", i.Lines)
		t.row("targets", i.Targets)
		t.row("duplicates", i.Duplicates)
		t.row("invalid", i.Invalid)
	})
}

// inOneRequest is up to what size a file goes in one request: within a second or two, and lost is not much.
const inOneRequest = 8 << 20

// importFile takes a file into a campaign, with a bar on terminals: a small one in one request, a larger one in parts.
func (o *output) importFile(ctx context.Context, c *apiClient, id string, file *audienceFile, r reading, resume bool) (done api.Import, err error) {
	small, err := file.small(inOneRequest)
	if err != nil {
		return done, err
	}
	if !small || resume {
		u := uploading{output: o, client: c, campaign: id, file: file, reading: r}
		return u.run(ctx, resume)
	}
	progress := o.uploadProgress(file)
	defer progress.end()
	header := http.Header{"Content-Type": {"text/csv"}}
	_, err = c.send(ctx, http.MethodPost, "/campaigns/"+id+"/imports?"+r.query(), header, progress.reader(file), &done)
	if errors.Is(err, errInterrupted) {
		err = errors.New("interrupted; nothing was imported")
	}
	return done, err
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

// imported tells what became of a file, with the first of its bad lines.
func (o *output) imported(i api.Import) {
	o.say("lines %s: targets %s, duplicates %s, invalid %s", thousands(i.Lines), thousands(i.Targets), thousands(i.Duplicates), thousands(i.Invalid))
	o.leftOut(i.IgnoredColumns, i.BadLines, i.Invalid)
}

// leftOut says what of a file was not used: columns, and the first of so many bad lines.
func (o *output) leftOut(ignored []string, bad []store.ImportLine, invalid int64) {
	if len(ignored) > 0 {
		o.say("columns that nothing uses: %s", printable(strings.Join(ignored, ", ")))
	}
	const some = 10
	for _, l := range bad[:min(some, len(bad))] {
		field := ""
		if l.Field != "" {
			field = l.Field + ": "
		}
		o.say("  line %d: %s%s", l.Line, field, l.Reason)
	}
	if invalid > some {
		o.say("  … and %s more", thousands(invalid-some))
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

// small reports whether the file has at most so many bytes; what was read of it is read again by who sends it.
func (f *audienceFile) small(most int64) (bool, error) {
	var head bytes.Buffer
	n, err := io.CopyN(&head, f.Reader, most+1)
	f.Reader = io.MultiReader(&head, f.Reader)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n <= most, err
}

// Close closes the file.
func (f *audienceFile) Close() { _ = f.closer.Close() }
