package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"lastcall/config"
)

// Every Lastcall service of docker-compose.yml must start with the settings it is given there.
func TestComposeFileConfiguresEveryService(t *testing.T) {
	content, err := os.ReadFile("../docker-compose.yml")
	require.NoError(t, err)
	withDefaults := regexp.MustCompile(`\$\{\w+:-([^}]*)\}`).ReplaceAll(content, []byte("$1"))
	var compose struct {
		Services map[string]struct {
			Image       string
			Environment map[string]string
			Ports       []string
		}
	}
	require.NoError(t, yaml.Unmarshal(withDefaults, &compose))

	whatsApp := []string{"whatsapp.phone_number_id", "whatsapp.access_token", "whatsapp.app_secret", "whatsapp.verify_token"}
	dispatcher := append([]string{"database.url", "temporal.address", "pepper", "api.public_url", "ops.webhook_url", "mail.address",
		"voucher_card.base_url", "voucher_card.secret"}, whatsApp...)
	needs := map[string][]string{
		"migrate": {"database.url", "pepper"}, "api": dispatcher, "worker": dispatcher, "keys": nil,
		"sandbox": append([]string{"sandbox.listen", "sandbox.smtp_listen", "api.public_url", "voucher_card.secret"}, whatsApp...),
	}
	for name, service := range compose.Services {
		for _, port := range service.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s publishes %s", name, port)
		}
		if service.Image != "lastcall" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			isolate(t)
			for variable, value := range service.Environment {
				t.Setenv(variable, value)
			}
			c, err := config.Load("")
			require.NoError(t, err)
			require.Contains(t, needs, name)
			require.NoError(t, c.Need(needs[name]...))
		})
		delete(needs, name)
	}
	require.Empty(t, needs, "every service is there")
}
