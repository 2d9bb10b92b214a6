package api_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

// The panel's client is generated from this file.
func TestThePanelKnowsTheAPIAsItIs(t *testing.T) {
	t.Parallel()
	known, err := os.ReadFile("../ui/openapi.json")
	require.NoError(t, err)
	require.Equal(t, string(api.Document())+"\n", string(known), "run make ui and commit what it changes")
}
