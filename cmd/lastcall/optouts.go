package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func optOutsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "optouts", "Numbers that want no messages", optOutsAdd(o), optOutsRemove(o), optOutsList(o))
}

func optOutsAdd(o *output) *cobra.Command {
	var n numbers
	cmd := &cobra.Command{
		Use: "add NUMBER…", Short: "Opt numbers out, all or none", Args: n.args,
		Example: "  lastcall optouts add +250781234567 +35699123456 --reason \"asked at the bar\"\n  lastcall optouts add --file numbers.txt --country RW",
		RunE: func(cmd *cobra.Command, args []string) error {
			var done api.OptOutsAdded
			if err := n.post(cmd, o, args, "/opt-outs", &done); err != nil {
				return err
			}
			return o.print(done, func(t *listing) {
				t.row("given", done.Given)
				t.row("added", done.Added)
			})
		},
	}
	n.flags(cmd)
	return cmd
}

func optOutsRemove(o *output) *cobra.Command {
	var n numbers
	cmd := &cobra.Command{
		Use: "remove NUMBER…", Short: "Take numbers out that asked for messages again", Args: n.args,
		Long: `Only for people who asked for messages again, in so many words: say where with --reason. It takes an admin or
Compliance; who writes to single people takes nobody out. Whoever writes START does so alone.`,
		Example: "  lastcall optouts remove +250781234567 --reason \"opted in again on the phone\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			var done api.OptOutsRemoved
			if err := n.post(cmd, o, args, "/opt-outs/remove", &done); err != nil {
				return err
			}
			return o.print(done, func(t *listing) {
				t.row("given", done.Given)
				t.row("removed", done.Removed)
			})
		},
	}
	n.flags(cmd)
	return cmd
}

func optOutsList(o *output) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use: "list", Short: "List the registry, oldest first; it holds no numbers", Args: cobra.NoArgs,
		Example: "  lastcall optouts list --limit 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.OptOutPage
			if err := c.get(cmd.Context(), "/opt-outs", p.query(), &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("digest", "source", "reason", "since")
				for _, e := range page.OptOuts {
					t.row(e.Digest, e.Source, e.Reason, e.CreatedAt)
				}
			})
		},
	}
	p.flags(cmd)
	return cmd
}

// numbers are the phone numbers of a command: its arguments, or the lines of a file.
type numbers struct {
	file    string
	country string
	reason  string
}

func (n *numbers) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.file, "file", "", `a file with a number a line, "-" for standard input`)
	cmd.Flags().StringVar(&n.country, "country", "", "where numbers without + are dialled, like RW")
	cmd.Flags().StringVar(&n.reason, "reason", "", "why, for the registry and the audit log")
}

func (n *numbers) args(_ *cobra.Command, args []string) error {
	if (len(args) == 0) == (n.file == "") {
		return errors.New("give numbers, or a file of them with --file")
	}
	return nil
}

// post sends the numbers. An error names the line or the argument, as the API knows only places in a list.
func (n *numbers) post(cmd *cobra.Command, o *output, args []string, path string, out any) error {
	c, err := o.sh.client()
	if err != nil {
		return err
	}
	place := func(i int) string { return fmt.Sprintf("number %d", i+1) }
	if n.file != "" {
		var lines []int
		if args, lines, err = readLines(n.file, cmd.InOrStdin()); err != nil {
			return err
		}
		if len(args) == 0 {
			return fmt.Errorf("%s holds no numbers", n.file)
		}
		place = func(i int) string { return fmt.Sprintf("line %d", lines[i]) }
	}
	_, err = c.call(cmd.Context(), http.MethodPost, path, api.Numbers{Numbers: args, Country: n.country, Reason: n.reason}, out)
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	translate := func(s string) string {
		return numbersIndex.ReplaceAllStringFunc(s, func(found string) string {
			i, err := strconv.Atoi(numbersIndex.FindStringSubmatch(found)[1])
			if err != nil || i >= len(args) {
				return found
			}
			return place(i)
		})
	}
	p.Field, p.Detail = translate(p.Field), translate(p.Detail)
	return p
}

var numbersIndex = regexp.MustCompile(`numbers\[(\d{1,9})\]`)

// readLines reads the lines of a file that are not blank, with their numbers.
func readLines(path string, stdin io.Reader) (texts []string, lines []int, err error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	scanner := bufio.NewScanner(in)
	for line := 1; scanner.Scan(); line++ {
		if text := strings.TrimSpace(scanner.Text()); text != "" {
			texts, lines = append(texts, text), append(lines, line)
		}
	}
	return texts, lines, scanner.Err()
}
