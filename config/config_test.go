package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/config"
	"lastcall/domain"
)

// isolate gives the test a working directory and an environment without settings.
func isolate(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "LASTCALL_") {
			t.Setenv(name, "") // restored after the test
			require.NoError(t, os.Unsetenv(name))
		}
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	path, err := filepath.Abs(name)
	require.NoError(t, err)
	return path
}

func TestDefaultsNeedNothing(t *testing.T) {
	isolate(t)
	c, err := config.Load("")
	require.NoError(t, err)
	require.Equal(t, ".lastcall", c.DataDir)
	require.Equal(t, "http://127.0.0.1:8700", c.API.PublicURL)
	require.Equal(t, 5*time.Minute, c.Dispatch.BatchTime)
	require.False(t, c.Configured("api.listen"))
}

func TestVariableWinsOverFileOverDefault(t *testing.T) {
	isolate(t)
	write(t, "lastcall.yaml", `
data_dir: /srv/lastcall
database:
# url: postgres://…
temporal: {address: "temporal:7233"}
whatsapp: {phone_number_id: 106540352242922}
dispatch: {lanes: 8, batch_time: 90s}
mail:
  reports: [ops@example.com, lead@example.com]
`)
	t.Setenv("LASTCALL_DISPATCH_LANES", "2")
	t.Setenv("LASTCALL_API_LISTEN", "127.0.0.1:9000")
	t.Setenv("LASTCALL_LOG_LEVEL", "") // empty is unset
	t.Setenv("LASTCALL_API", "http://elsewhere")

	c, err := config.Load("")
	require.NoError(t, err)
	require.Equal(t, "/srv/lastcall", c.DataDir)
	require.Equal(t, "temporal:7233", c.Temporal.Address)
	require.Equal(t, "106540352242922", c.WhatsApp.PhoneNumberID)
	require.Equal(t, 2, c.Dispatch.Lanes)
	require.Equal(t, 90*time.Second, c.Dispatch.BatchTime)
	require.Equal(t, 64, c.Dispatch.Concurrency)
	require.Equal(t, []string{"ops@example.com", "lead@example.com"}, c.Mail.Reports)
	require.Equal(t, "http://127.0.0.1:9000", c.API.PublicURL, "follows api.listen")
	require.Equal(t, "info", c.Log.Level)
	for key, want := range map[string]bool{
		"data_dir": true, "dispatch.lanes": true, "api.listen": true, "temporal.address": true,
		"dispatch.concurrency": false, "log.level": false, "api.public_url": false, "database.url": false,
	} {
		require.Equal(t, want, c.Configured(key), key)
	}
}

func TestListFromVariable(t *testing.T) {
	isolate(t)
	t.Setenv("LASTCALL_MAIL_REPORTS", "a@example.com, b@example.com,")
	c, err := config.Load("")
	require.NoError(t, err)
	require.Equal(t, []string{"a@example.com", "b@example.com"}, c.Mail.Reports)
}

func TestEveryMistakeAtOnceByKey(t *testing.T) {
	tests := map[string]struct {
		file      string
		variables map[string]string
		want      []string
	}{
		"unknown keys of the file": {
			file: "dispach: {lanes: 3}\nlog: {colour: red}\napi: 3\n",
			want: []string{
				"api: there is no such setting",
				"dispach.lanes: there is no such setting",
				"log.colour: there is no such setting",
			},
		},
		"unknown variables": {
			variables: map[string]string{"LASTCALL_DATABSE_URL": "x", "LASTCALL_LANES": "3"},
			want:      []string{"LASTCALL_DATABSE_URL: there is no such setting", "LASTCALL_LANES: there is no such setting"},
		},
		"values of the wrong type": {
			file:      "dispatch: {lanes: many, concurrency: 2.5, batch_time: 300}\nlog: {level: [a]}\n",
			variables: map[string]string{"LASTCALL_DATABASE_MAX_CONNS": "1e3"},
			want: []string{
				"database.max_conns: must be a whole number",
				"dispatch.batch_time: must be a duration such as \"90s\" or \"10m\"",
				"dispatch.concurrency: must be a whole number",
				"dispatch.lanes: must be a whole number",
				"log.level: must be text",
			},
		},
		"values out of range": {
			variables: map[string]string{
				"LASTCALL_API_LISTEN": "8700", "LASTCALL_TEMPORAL_ADDRESS": "temporal:99999", "LASTCALL_API_PUBLIC_URL": "lastcall.example",
				"LASTCALL_DISPATCH_LANES": "0", "LASTCALL_RECONCILE_AFTER": "-1s", "LASTCALL_LOG_FORMAT": "xml", "LASTCALL_MAIL_TLS": "ssl",
				"LASTCALL_PEPPER": "short", "LASTCALL_DATABASE_URL": "mysql://h/d", "LASTCALL_WHATSAPP_VERSION": "23",
				"LASTCALL_API_TRUSTED_PROXIES":      "10.0.0.0/8, proxy, ::1",
				"LASTCALL_WHATSAPP_PHONE_NUMBER_ID": "+25078", "LASTCALL_MAIL_REPORTS": "a@example.com,nobody",
			},
			want: []string{
				"api.listen: must be host:port",
				"api.public_url: must be an http:// or https:// address",
				"api.trusted_proxies: entry 2 must be an address or a network such as 10.0.0.0/8",
				"database.url: must be postgres://user:password@host:port/database",
				"dispatch.lanes: must be at least 1",
				"log.format: must be one of text, json",
				"mail.reports: entry 2 must be a mail address",
				"mail.tls: must be one of none, starttls, tls",
				"pepper: must have at least 32 characters",
				"reconcile.after: must be longer than 0",
				"temporal.address: must be host:port",
				"whatsapp.phone_number_id: must be the id of the sender, digits only",
				"whatsapp.version: must be a version such as v23.0",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			if tt.file != "" {
				write(t, "lastcall.yaml", tt.file)
			}
			for k, v := range tt.variables {
				t.Setenv(k, v)
			}
			_, err := config.Load("")
			require.Error(t, err)
			require.ElementsMatch(t, tt.want, strings.Split(err.Error(), "\n"))
			require.Equal(t, domain.Invalid, domain.KindOf(err))
		})
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	for name, content := range map[string]string{
		"wrong type":  "pepper: {value: hunter2hunter2}\nwhatsapp: {access_token: [hunter2]}\n",
		"wrong value": "pepper: hunter2\ndatabase: {url: 'mysql://u:hunter2@h'}\n",
		"broken file": "pepper: \"hunter2\nlog: {level: \"hunter2\n",
		"not a map":   "hunter2hunter2",
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			_, err := config.Load(write(t, "own.yaml", content))
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestFileAskedForMustExist(t *testing.T) {
	isolate(t)
	_, err := config.Load("nowhere.yaml")
	require.EqualError(t, err, "nowhere.yaml: there is no such file")
}

func TestNeed(t *testing.T) {
	isolate(t)
	t.Setenv("LASTCALL_PEPPER", strings.Repeat("p", 32))
	c, err := config.Load("")
	require.NoError(t, err)
	require.NoError(t, c.Need("pepper", "api.listen", "dispatch.lanes"))
	require.EqualError(t, c.Need("pepper", "database.url", "temporal.address", "colour"), strings.Join([]string{
		"database.url: is needed and not set; set LASTCALL_DATABASE_URL, or database.url in lastcall.yaml",
		"temporal.address: is needed and not set; set LASTCALL_TEMPORAL_ADDRESS, or temporal.address in lastcall.yaml",
		"colour: there is no such setting",
	}, "\n"))
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	const hidden = "correct horse battery staple correct"
	c := config.Defaults()
	c.Pepper, c.Database.URL = hidden, "postgres://u:"+hidden+"@h/d"

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		require.NotContains(t, fmt.Sprintf(verb, *c), hidden, verb)
		require.Equal(t, "••••", fmt.Sprintf(verb, c.Pepper), verb)
	}
	out, err := json.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(out), hidden)

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "pepper", c.Pepper, "all", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "pepper", c.Pepper, "all", c)
	require.NotContains(t, log.String(), hidden)

	require.Equal(t, hidden, c.Pepper.Reveal())
	require.Empty(t, config.Secret("").String(), "an unset secret is seen to be unset")
}

func TestSandboxIsWhatSpeaksPlainHTTP(t *testing.T) {
	for url, want := range map[string]bool{"http://127.0.0.1:8701": true, "http://sandbox:8701": true, "https://graph.facebook.com": false} {
		require.Equal(t, want, config.WhatsApp{BaseURL: url}.Sandbox(), url)
	}
}
