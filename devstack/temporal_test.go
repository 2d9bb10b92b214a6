package devstack

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// file starts a workflow that nobody runs, filed under every search attribute we use.
func file(t *testing.T, address, id string) {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: address})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: "nobody",
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword("CampaignId").ValueSet(id),
			temporal.NewSearchAttributeKeyKeyword("Channel").ValueSet("whatsapp"),
			temporal.NewSearchAttributeKeyKeyword("State").ValueSet("paused"),
			temporal.NewSearchAttributeKeyKeyword("Blocker").ValueSet("quiet_hours"),
			temporal.NewSearchAttributeKeyBool("NeedsHuman").ValueSet(true),
		),
	}, "Campaign")
	require.NoError(t, err)
}

func known(t *testing.T, address, id string) error {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: address})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.DescribeWorkflowExecution(t.Context(), id, "")
	return err
}

func TestEphemeralTemporalLeavesNothing(t *testing.T) {
	t.Parallel()
	began := time.Now()
	server, err := Temporal(t.Context(), TemporalOptions{})
	require.NoError(t, err)
	t.Logf("ready in %s", time.Since(began))
	require.Empty(t, server.WebURL())
	file(t, server.Address(), "campaign/1")
	server.Stop(context.Background())
	require.True(t, refuses(server.Address()))
}

func TestDurableTemporalKeepsItsWorkflows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	web, err := freePort()
	require.NoError(t, err)
	o := TemporalOptions{DBFile: filepath.Join(dir, "temporal.db"), Log: filepath.Join(dir, "temporal.log"), WebPort: web}
	require.NoError(t, os.WriteFile(o.DBFile, []byte("half"), 0o600)) // a server died in its first start
	require.NoError(t, os.WriteFile(o.DBFile+".new", nil, 0o600))
	first, err := Temporal(t.Context(), o)
	require.NoError(t, err)
	require.NoFileExists(t, o.DBFile+".new")
	file(t, first.Address(), "campaign/1")
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, first.WebURL(), nil)
	require.NoError(t, err)
	get.Close = true
	answer, err := http.DefaultClient.Do(get)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	first.Stop(context.Background())

	again, err := Temporal(t.Context(), o)
	require.NoError(t, err)
	defer again.Stop(context.Background())
	require.NoError(t, known(t, again.Address(), "campaign/1"))
	require.Error(t, known(t, again.Address(), "campaign/2"))
}
