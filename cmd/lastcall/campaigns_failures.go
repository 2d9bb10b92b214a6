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
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func campaignsFailures(o *output) *cobra.Command {
	chosen := failuresFormat{formatTable}
	cmd := &cobra.Command{
		Use: "failures ID", Short: "Tell what failed and what to do about it", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: `Counts what failed, by reason and by the provider's code, with what each means and what to do about it. With
--output csv it writes every target that failed, one a line, as a file that can be imported again; with
--output json both, as one object.`,
		Example: `  lastcall campaigns failures 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f
  lastcall campaigns failures 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --output csv > failures.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if chosen.format == formatCSV {
				return c.failuresCSV(cmd.Context(), args[0], o.sh.stdout)
			}
			var r api.FailureReport
			if err := c.get(cmd.Context(), "/campaigns/"+args[0]+"/failures", nil, &r); err != nil {
				return err
			}
			if chosen.format == formatJSON {
				return c.failuresJSON(cmd.Context(), r, o.sh.stdout)
			}
			return o.print(r, func(t *listing) {
				t.header("targets", "code", "reason", "scope", "what it means and what to do")
				t.right(1, 2)
				for _, f := range r.Failures {
					t.row(f.Targets, number(f.ErrorCode), f.Reason, f.Scope, diagnosis(f.Diagnosis))
				}
			})
		},
	}
	cmd.Flags().Var(&chosen, "output", "table, json or csv; json prints one object, csv a line a target")
	return cmd
}

// failuresFormat is how failures are printed: beside a table and JSON as a file, too.
type failuresFormat struct{ format }

const formatCSV format = "csv"

// Set is pflag.Value.
func (f *failuresFormat) Set(s string) error {
	if s == string(formatCSV) {
		f.format = formatCSV
		return nil
	}
	if f.format.Set(s) != nil {
		return errors.New("use table, json or csv")
	}
	return nil
}

// failuresFile opens the export. Whoever reads it sees an error where it broke off.
func (c *apiClient) failuresFile(ctx context.Context, id string) (io.ReadCloser, error) {
	res, _, err := c.open(ctx, http.MethodGet, "/campaigns/"+id+"/failures.csv", http.Header{"Accept": {"text/csv"}}, nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// failuresCSV writes the export as it comes.
func (c *apiClient) failuresCSV(ctx context.Context, id string, w io.Writer) error {
	file, err := c.failuresFile(ctx, id)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(w, file)
	return brokenOff(err)
}

// failuresJSON prints the report with every target that failed as one JSON object, however many there are.
func (c *apiClient) failuresJSON(ctx context.Context, r api.FailureReport, w io.Writer) error {
	file, err := c.failuresFile(ctx, r.CampaignID.String())
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	lines := csv.NewReader(file)
	names, err := lines.Read()
	if err != nil {
		return brokenOff(err)
	}
	head, err := json.Marshal(r)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	_, _ = out.Write(head[:len(head)-1]) // Flush tells the error
	_, _ = out.WriteString(`,"targets":[`)
	for separator := ""; ; separator = "," {
		cells, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return brokenOff(err)
		}
		_, _ = out.WriteString(separator)
		for i, name := range names {
			_, _ = fmt.Fprintf(out, "%c%q:", "{,"[min(i, 1)], name)
			_, _ = out.Write(jsonCell(name, cells[i]))
		}
		_ = out.WriteByte('}')
	}
	_, _ = out.WriteString("]}\n")
	return out.Flush()
}

// jsonCell is a cell of the export in JSON: numbers as such, an empty one as null, texts without the apostrophe that
// keeps spreadsheets from obeying them.
func jsonCell(name, text string) []byte {
	if text == "" {
		return []byte("null")
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && slices.Contains([]string{"target_id", "error_code", "attempts"}, name) {
		return strconv.AppendInt(nil, n, 10)
	}
	if len(text) > 1 && text[0] == '\'' && strings.ContainsRune("=+-@\t\r\n", rune(text[1])) {
		text = text[1:]
	}
	raw, _ := json.Marshal(text) // a string: it cannot fail
	return raw
}

func brokenOff(err error) error {
	if err != nil {
		return fmt.Errorf("the export broke off, what came is not all: %w", err)
	}
	return nil
}
