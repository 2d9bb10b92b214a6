package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/config"
	"lastcall/domain/probe"
	"lastcall/domain/runbook"
)

// A runbook is read when there is no time: what it says to type must exist, and what it says to check, too.
func TestRunbooksNameCommandsThatExist(t *testing.T) {
	t.Parallel()
	books, err := config.Runbooks()
	require.NoError(t, err)
	command := regexp.MustCompile("`lastcall ([^`]+)`")
	flag := regexp.MustCompile(`--([a-z-]+)`)
	var found int
	for _, b := range books {
		for _, step := range b.Steps {
			if step.Run != nil && step.Run.Do == runbook.Recheck {
				_, known := probe.Find(probe.Name(step.Run.Of))
				require.True(t, known, "%s, step %d: %s", b.Name, step.N, step.Run.Of)
			}
			for _, typed := range command.FindAllStringSubmatch(step.Text, -1) {
				found++
				root := rootCommand(&shell{})
				words := strings.Fields(typed[1])
				cmd, rest, err := root.Find(words)
				require.NoError(t, err, "%s, step %d: %s", b.Name, step.N, typed[0])
				require.NotEqual(t, root, cmd, "%s, step %d: %s", b.Name, step.N, typed[0])
				require.True(t, !cmd.HasSubCommands(), "%s, step %d: %s is no command: %v", b.Name, step.N, typed[0], rest)
				for _, f := range flag.FindAllStringSubmatch(typed[1], -1) {
					require.True(t, cmd.Flags().Lookup(f[1]) != nil || cmd.InheritedFlags().Lookup(f[1]) != nil, "%s, step %d: %s has no --%s", b.Name, step.N, typed[0], f[1])
				}
			}
		}
	}
	require.Greater(t, found, 20)
}
