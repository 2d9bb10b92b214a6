package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The alert rules for those who run Prometheus are right by promtool, which is fetched where it is missing, and stand on
// metrics that there are.
func TestPrometheusAlerts(t *testing.T) {
	const at = "../../deploy/prometheus"
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = at
		var says strings.Builder
		cmd.Stderr = &says
		out, err := cmd.Output()
		require.NoError(t, err, "%s%s", out, says.String())
		return string(out)
	}
	promtool := strings.TrimSpace(run("./promtool.sh"))
	require.Contains(t, run(promtool, "check", "rules", "alerts.yml"), "SUCCESS")
	run(promtool, "test", "rules", "alerts_test.yml")

	rules, err := os.ReadFile(at + "/alerts.yml")
	require.NoError(t, err)
	tests, err := os.ReadFile(at + "/alerts_test.yml")
	require.NoError(t, err)
	for _, name := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		require.Regexp(t, `alertname: `+name[1]+`\n +exp_alerts:`, string(tests), "the rule is seen to fire")
		require.Regexp(t, `alertname: `+name[1]+`\}`, string(tests), "the rule is seen to keep quiet")
	}
	sources, err := os.ReadFile("../../api/metrics.go")
	require.NoError(t, err)
	more, err := os.ReadFile("../../api/metrics_flow.go")
	require.NoError(t, err)
	for _, metric := range regexp.MustCompile(`lastcall_(\w+)`).FindAllStringSubmatch(string(rules), -1) {
		require.Contains(t, string(sources)+string(more), `desc("`+metric[1]+`"`)
	}
}
