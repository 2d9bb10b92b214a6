// Command lastcall is all of Lastcall in one binary: the parts that run and the commands that people use.
// Each command is a file of this package.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"lastcall/config"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// The exit codes.
const (
	exitDone       = 0
	exitFailed     = 1
	exitWrongUsage = 2
)

// run runs one command and returns its exit code. A first Ctrl-C asks the command to end, a second one
// ends the process, unless the command listens to it itself.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, restore := signal.NotifyContext(context.Background(), endSignals()...)
	defer restore()
	context.AfterFunc(ctx, restore)

	sh := &shell{stdout: stdout, stderr: stderr}
	root := rootCommand(sh)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if sh.visitor != nil {
		sh.visitor.signOut()
	}
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, "lastcall: "+strings.ReplaceAll(err.Error(), "\n", "\n  "))
	if _, wrong := errors.AsType[usageError](err); wrong || !sh.ran {
		fmt.Fprintln(stderr, "See: lastcall help")
		return exitWrongUsage
	}
	return exitFailed
}

// endSignals are the signals that ask to end. Who started us with nohup does not mean the terminal's end.
func endSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// shell is what the commands share: where they write and the flags that all of them have.
type shell struct {
	stdout, stderr io.Writer
	configFile     string
	dataDir        string
	ran            bool // a command got past its flags and arguments

	as      string   // the account that commands act as; "": the token
	visitor *visitor // its session, once a command has asked for one
}

// config loads the settings; --data-dir wins over them.
func (sh *shell) config() (*config.Config, error) {
	c, err := config.Load(sh.configFile)
	if err == nil && sh.dataDir != "" {
		c.DataDir = sh.dataDir
	}
	return c, err
}

// usageError is wrong usage that only the command itself can see.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// The groups of commands in the help.
const (
	groupRun  = "run"
	groupWork = "work"
	groupCare = "care"
)

func rootCommand(sh *shell) *cobra.Command {
	root := &cobra.Command{
		Use:   "lastcall",
		Short: "Campaigns for bars and stations",
		Long: `Lastcall sends message campaigns to the guests of bars and stations: each to the right
number, once, and only when it may.

One binary, one Postgres, one Temporal. On a machine of your own, start with

  lastcall up

which brings up everything and needs nothing set up. Settings come from lastcall.yaml and from
LASTCALL_* variables.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.PersistentFlags().StringVar(&sh.configFile, "config", "", "settings file (default lastcall.yaml, if there is one)")
	root.PersistentFlags().StringVar(&sh.dataDir, "data-dir", "", "where lastcall up keeps its state (default .lastcall, also LASTCALL_DATA_DIR)")
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run it:"},
		&cobra.Group{ID: groupWork, Title: "Work with it:"},
		&cobra.Group{ID: groupCare, Title: "Look after it:"},
	)
	root.SetHelpCommandGroupID(groupCare)
	root.AddCommand(upCommand(sh), downCommand(sh), fetchCommand(sh))
	root.AddCommand(serverCommands(sh)...)
	root.AddCommand(clientCommands(sh)...)
	sh.mark(root)
	return root
}

// mark notes when a command runs: an error before that is wrong usage.
func (sh *shell) mark(cmd *cobra.Command) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			sh.ran = true
			return inner(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		sh.mark(child)
	}
}
