package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The test binary is also the program: with programVariable it is lastcall itself, and with childVariable
// the processes that up starts are played by fake ones.
const (
	programVariable = "TEST_IS_LASTCALL"
	childVariable   = "TEST_FAKES_CHILDREN"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" && len(os.Args) > 1 && playChild(os.Args[1]) {
		return
	}
	if os.Getenv(programVariable) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestExitCodes(t *testing.T) {
	t.Chdir(t.TempDir())
	tests := map[string]struct {
		args []string
		code int
		out  string
		err  string
	}{
		"help":              {[]string{"help"}, exitDone, "Run it:", ""},
		"nothing":           {nil, exitDone, "lastcall up", ""},
		"help of a command": {[]string{"down", "--help"}, exitDone, "lastcall down --data-dir", ""},
		"unknown command":   {[]string{"upp"}, exitWrongUsage, "", `unknown command "upp"`},
		"unknown flag":      {[]string{"up", "--prot-base", "1"}, exitWrongUsage, "", "--prot-base"},
		"too many words":    {[]string{"down", "now"}, exitWrongUsage, "", "now"},
		"impossible port":   {[]string{"up", "--port-base", "65535"}, exitWrongUsage, "", "--port-base must be between 1 and 65529"},
		"missing settings":  {[]string{"up", "--config", "none.yaml"}, exitFailed, "", "none.yaml: there is no such file"},
		"nothing to stop":   {[]string{"down", "--data-dir", "none"}, exitDone, "nothing runs for none", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out, err bytes.Buffer
			require.Equal(t, tt.code, run(tt.args, &out, &err), err.String())
			require.Contains(t, out.String(), tt.out)
			require.Contains(t, err.String(), tt.err)
		})
	}
}
