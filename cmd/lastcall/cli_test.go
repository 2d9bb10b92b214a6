package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/domain/template"
	"lastcall/store"
	"lastcall/store/storetest"
)

// TestScripts runs the scripts in testdata against an API whose campaigns have a workflow played by play. Those
// in a directory below share an API of their own: rules changes settings, and the others mind what they are.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"testdata", "testdata/alone", "testdata/ahead", "testdata/rules"} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			scripts(t, dir)
		})
	}
}

func scripts(t *testing.T, dir string) {
	base, token := startAPI(t)
	self, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "lastcall")))
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv(programVariable, "yes")
			env.Setenv("LASTCALL_API", base)
			env.Setenv("LASTCALL_TOKEN", token)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "id": id},
	})
}

// exits runs a program that must end with an exit code: exits CODE PROGRAM ARGUMENT…
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if failed, ok := err.(*exec.ExitError); ok {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != code {
		ts.Fatalf("exited with %d, want %d", got, code)
	}
}

// id sets $ID to the campaign on the last standard output.
func id(ts *testscript.TestScript, _ bool, _ []string) {
	found := regexp.MustCompile(`"campaign_id":"([^"]+)"`).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("no campaign_id in stdout")
	}
	ts.Setenv("ID", found[1])
}

// people starts an API with an account of each role, <role>@lastcall.test, that --as signs in with by what is in dir; c is nobody's
// client, and lastcall runs the command line there and says what it must exit with.
func people(t *testing.T, roles ...access.Role) (c apiClient, dir string, lastcall func(want int, args ...string) (out, errs string)) {
	t.Helper()
	base, token := startAPI(t)
	const password = "correct horse battery"
	c, dir = apiClient{base: base, token: token}, t.TempDir()
	up := upFile{API: base, Token: token}
	for _, role := range roles {
		email := string(role) + "@lastcall.test"
		up.Accounts = append(up.Accounts, upAccount{Email: email, Password: password, Role: role})
		_, err := c.call(t.Context(), http.MethodPost, "/accounts", api.NewAccount{Email: email, Name: "N", Role: string(role), Password: password}, &api.AccountEntry{})
		require.NoError(t, err)
	}
	content, err := json.Marshal(up)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, upFileName), content, 0o600))
	return c, dir, func(want int, args ...string) (out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"--data-dir", dir}, args...), &stdout, &stderr)
		require.Equal(t, want, code, "%s\n%s", stdout.String(), stderr.String())
		return stdout.String(), stderr.String()
	}
}

func startAPI(t *testing.T) (base, token string) {
	t.Helper()
	st := storetest.New(t)
	token = "a token of the command line's tests"
	require.NoError(t, st.EnsureToken(t.Context(), "cli", token))
	for name, status := range map[string]template.Status{"promo": template.Approved, "sketch": template.Draft} {
		_, err := st.EnsureTemplate(t.Context(), template.Template{Name: name, Version: 1, Category: template.Marketing, Status: status,
			Texts: map[string]string{"en": "Hello {{name}}"}, Variables: []template.Variable{{Name: "name", Default: "there"}}})
		require.NoError(t, err)
	}
	quiet := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	played := make(chan struct{})
	relay := store.Relay{Store: st, Log: quiet, Handlers: play(st)}
	go func() { defer close(played); relay.Run(ctx) }()
	well := func(context.Context) error { return nil }
	gone := func(context.Context, uuid.UUID, int) (bool, error) { return false, nil } // what play does ends at once
	server := httptest.NewServer(api.New(api.Deps{Store: st, Log: quiet, Temporal: well, Messaging: well, WorkflowOpen: gone, Mail: true}))
	t.Cleanup(func() { server.Close(); cancel(); <-played })
	return server.URL, token
}

// play does what workflows would do: campaigns that start now are done at once, unless they need a human, and decisions
// about overrides take effect.
func play(st *store.Store) map[string]store.Handler {
	return map[string]store.Handler{
		store.KindStartImport: importing(st),
		store.KindStartCampaign: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var p store.StartCampaign
			if err := json.Unmarshal(payload, &p); err != nil || p.SendAt != nil {
				return err
			}
			if p.Name == "needs a human" {
				return st.Advance(ctx, p.CampaignID, campaign.Paused, "the template was retired")
			}
			ends := store.Result{State: campaign.Sent}
			if p.Name == "fails" && p.Resend == 0 {
				ends = store.Result{State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026}
			}
			if err := dispatch(ctx, st, p.CampaignID, ends); err != nil {
				return err
			}
			if err := st.Advance(ctx, p.CampaignID, campaign.Settling, ""); err != nil {
				return err
			}
			return st.Finish(ctx, p.CampaignID, campaign.Done, "")
		},
		store.KindStartOverride:   func(context.Context, int64, json.RawMessage) error { return nil },
		store.KindOverrideChanged: func(context.Context, int64, json.RawMessage) error { return nil },
		store.KindDecideOverride: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var p store.DecideOverride
			if err := json.Unmarshal(payload, &p); err != nil {
				return err
			}
			_, err := st.DecidedOverride(ctx, p.OverrideID, p.ApprovalID.String())
			return err
		},
		store.KindRecoverCampaign: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var p store.RecoverCampaign
			if err := json.Unmarshal(payload, &p); err != nil {
				return err
			}
			return st.Advance(ctx, p.CampaignID, campaign.Paused, "")
		},
		store.KindOrderCampaign: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var p store.OrderCampaign
			if err := json.Unmarshal(payload, &p); err != nil {
				return err
			}
			switch p.Order {
			case "pause":
				return st.Advance(ctx, p.CampaignID, campaign.Paused, "")
			case "resume":
				return st.Advance(ctx, p.CampaignID, campaign.Scheduled, "")
			}
			if _, err := st.CancelQueued(ctx, p.CampaignID, 100); err != nil {
				return err
			}
			if err := st.Advance(ctx, p.CampaignID, campaign.Settling, ""); err != nil {
				return err
			}
			return st.Finish(ctx, p.CampaignID, campaign.Stopped, "")
		},
	}
}

// importing does what an import's workflow does.
func importing(st *store.Store) store.Handler {
	return func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var p store.StartImport
		if err := json.Unmarshal(payload, &p); err != nil {
			return err
		}
		if _, err := st.StageImport(ctx, p.ImportID, func() bool { return true }); err != nil {
			return errors.Join(st.FailImport(ctx, p.ImportID, domain.CodeOf(err), err.Error()), st.CleanImport(ctx, p.ImportID))
		}
		if _, err := st.MergeImport(ctx, p.ImportID); err != nil {
			return err
		}
		return st.CleanImport(ctx, p.ImportID)
	}
}

// dispatch sends to every target of a campaign; all sends end the same way.
func dispatch(ctx context.Context, st *store.Store, id uuid.UUID, ends store.Result) error {
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		if err := st.Advance(ctx, id, to, ""); err != nil {
			return err
		}
	}
	lane := store.Lane{Campaign: id, Run: "run", Batch: 1, Fence: 1}
	if _, err := st.TakeLane(ctx, lane); err != nil {
		return err
	}
	claim, err := st.Claim(ctx, lane, 100)
	for err == nil && claim.Busy { // a script changed settings meanwhile
		claim, err = st.Claim(ctx, lane, 100)
	}
	if err != nil {
		return err
	}
	var results []store.Result
	for _, t := range claim.Targets {
		ends.Target = t.ID
		results = append(results, ends)
	}
	_, err = st.Record(ctx, lane, results)
	return err
}

// Every command tells what it is for and how it is used.
func TestHelp(t *testing.T) {
	t.Parallel()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			require.NotEmpty(t, child.Short, child.CommandPath())
			if !child.HasSubCommands() {
				require.Contains(t, child.Example, child.CommandPath())
			}
			walk(child)
		}
	}
	walk(rootCommand(&shell{}))
}
