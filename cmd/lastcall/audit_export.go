package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func auditExport(o *output) *cobra.Command {
	kind := exportFormat("ndjson")
	var path, from, to string
	var resume bool
	wanted := map[string]*string{"action": new(string), "actor": new(string), "target": new(string), "request_id": new(string)}
	cmd := &cobra.Command{
		Use: "export", Short: "Write the audit log to a file, with its hashes", Args: cobra.NoArgs,
		Long: `Writes what is sealed, in the order of the chain: a JSON object a line, or CSV. The export is in the audit log itself.
One that broke off goes on with --resume where the file ends; give it the same filters.`,
		Example: `  lastcall audit export --out audit.ndjson
  lastcall audit export --format csv --action campaign. --from 2026-11-01 --to 2026-12-01 > november.csv
  lastcall audit export --out audit.ndjson --resume`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"format": {string(kind)}}
			for name, value := range wanted {
				if *value != "" {
					query.Set(name, *value)
				}
			}
			for name, value := range map[string]string{"from": from, "to": to} {
				if value == "" {
					continue
				}
				at, err := parseMoment(value)
				if err != nil {
					return usageError{fmt.Errorf("--%s: %w", name, err)}
				}
				query.Set(name, at.Format(time.RFC3339Nano))
			}
			if resume && path == "" {
				return usageError{errors.New("--resume goes on with the file of --out")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if path == "" {
				return c.exportAudit(cmd.Context(), query, o.sh.stdout)
			}
			file, after, err := openExport(path, kind, resume)
			if err != nil {
				return err
			}
			if after > 0 {
				query.Set("after", strconv.FormatInt(after, 10))
				o.say("going on behind seq %d", after)
			}
			if err := errors.Join(c.exportAudit(cmd.Context(), query, file), file.Sync(), file.Close()); err != nil {
				return fmt.Errorf("%w; --resume goes on where %s ends", err, path)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.Var(&kind, "format", "ndjson or csv")
	flags.StringVar(&path, "out", "", "the file to write (default standard output)")
	flags.BoolVar(&resume, "resume", false, "go on where the file ends")
	flags.StringVar(wanted["action"], "action", "", "only this action, or those that begin with it: campaign.")
	flags.StringVar(wanted["actor"], "actor", "", "only by this actor: an account's id or address, or a token's or a part's name")
	flags.StringVar(wanted["target"], "target", "", "only about this: settings/throttle")
	flags.StringVar(wanted["request_id"], "request", "", "only by this request")
	flags.StringVar(&from, "from", "", "only at or after: 2026-11-01, or 2026-11-01T10:00:00Z")
	flags.StringVar(&to, "to", "", "only before")
	return cmd
}

// exportFormat is how entries are written.
type exportFormat string

func (f *exportFormat) String() string { return string(*f) }
func (f *exportFormat) Type() string   { return "format" }

// Set is pflag.Value.
func (f *exportFormat) Set(s string) error {
	if s != "ndjson" && s != "csv" {
		return errors.New("use ndjson or csv")
	}
	*f = exportFormat(s)
	return nil
}

// parseMoment reads a day, which begins at midnight UTC, or a moment.
func parseMoment(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, errors.New("write 2026-11-01, or 2026-11-01T10:00:00Z")
}

// exportAudit writes the export as it comes.
func (c *apiClient) exportAudit(ctx context.Context, query url.Values, w io.Writer) error {
	res, _, err := c.open(ctx, http.MethodGet, "/audit/export?"+query.Encode(), http.Header{"Accept": {"application/x-ndjson, text/csv"}}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(w, res.Body)
	return brokenOff(err)
}

// openExport opens a file to write an export into, which must not be there, or to go on with behind the last seq
// that is whole in it.
func openExport(path string, kind exportFormat, resume bool) (f *os.File, after int64, err error) {
	if !resume {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			err = fmt.Errorf("%s is there already; --resume goes on with it", path)
		}
		return f, 0, err
	}
	if f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, 0, err
	}
	var end int64
	if kind == "csv" {
		after, end, err = lastOfCSV(f)
	} else {
		after, end, err = lastOfLines(f)
	}
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return f, after, nil
}

// lastOfLines is the seq of the last whole line of JSON, and where it ends.
func lastOfLines(r io.Reader) (seq, end int64, err error) {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return seq, end, nil // what has no end is not whole
		} else if err != nil {
			return 0, 0, err
		}
		var e struct{ Seq int64 }
		if json.Unmarshal(line, &e) != nil || e.Seq <= seq {
			return 0, 0, fmt.Errorf("is no export: look behind seq %d", seq)
		}
		seq, end = e.Seq, end+int64(len(line))
	}
}

// lastOfCSV is the seq of the last whole record, which may have several lines, and where it ends; 0 if there is only
// the header, which is written again then.
func lastOfCSV(f *os.File) (seq, end int64, err error) {
	in := csv.NewReader(f)
	in.ReuseRecord = true
	for first := true; ; first = false {
		record, err := in.Read()
		if err != nil {
			if _, cut := errors.AsType[*csv.ParseError](err); cut || errors.Is(err, io.EOF) {
				return seq, end, nil
			}
			return 0, 0, err
		}
		newline := make([]byte, 1)
		if _, err := f.ReadAt(newline, in.InputOffset()-1); err != nil {
			return 0, 0, err
		}
		if newline[0] != '\n' {
			return seq, end, nil
		}
		if first {
			if record[0] != "seq" {
				return 0, 0, errors.New("is no export")
			}
			continue
		}
		n, err := strconv.ParseInt(record[0], 10, 64)
		if err != nil || n <= seq {
			return 0, 0, fmt.Errorf("is no export: look behind seq %d", seq)
		}
		seq, end = n, in.InputOffset()
	}
}
