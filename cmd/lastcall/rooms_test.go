package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rooms says which other rooms each may import, directly. An arrow that is not here runs backwards.
var rooms = map[string][]string{
	"domain":       {"domain"},
	"store":        {"domain", "store"},
	"gateway":      {"domain", "gateway"},
	"activities":   {"domain", "store", "gateway"},
	"workflows":    {"domain", "activities"},
	"worker":       {"workflows", "activities"},
	"api":          {"domain", "store", "workflows", "gateway/whatsapp"},
	"fixtures":     {"domain", "store"},
	"config":       {"domain"},
	"devstack":     {"config", "devstack"},
	"ui":           {},
	"cmd/lastcall": {"domain", "store", "gateway", "activities", "workflows", "worker", "api", "fixtures", "config", "devstack", "ui"},
	// Tests' helpers stand on what they help to test.
	"store/storetest": {"store", "devstack", "domain"},
}

// pure are the rooms that know nothing but the standard library and pureMayUse.
var pure = []string{"domain"}

var pureMayUse = []string{"github.com/nyaruka/phonenumbers", "github.com/google/uuid", "golang.org/x/text", "github.com/shopspring/decimal"}

func TestArrowsNeverRunBackwards(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "lastcall/...")
	out, err := list.Output()
	require.NoError(t, err)
	seen := map[string]bool{}
	for packages := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		from := room(strings.TrimPrefix(p.ImportPath, "lastcall/"))
		require.Contains(t, rooms, from, "%s is in no room of the house", p.ImportPath)
		seen[from] = true
		for _, imported := range p.Imports {
			if to, ours := strings.CutPrefix(imported, "lastcall/"); ours {
				require.True(t, slices.ContainsFunc(rooms[from], func(may string) bool { return to == may || strings.HasPrefix(to, may+"/") }),
					"%s must not import %s", p.ImportPath, imported)
			} else if slices.Contains(pure, from) && strings.Contains(imported, ".") {
				require.True(t, slices.ContainsFunc(pureMayUse, func(may string) bool { return strings.HasPrefix(imported, may) }),
					"%s has no business with %s", p.ImportPath, imported)
			}
		}
	}
	for name := range rooms {
		require.True(t, seen[name], "the room %s is gone", name)
	}
}

// room is the room a package stands in: the longest that has a rule of its own.
func room(path string) string {
	best := ""
	for name := range rooms {
		if (path == name || strings.HasPrefix(path, name+"/")) && len(name) > len(best) {
			best = name
		}
	}
	return best
}
