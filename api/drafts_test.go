package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

func TestChangeDraft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	require.Equal(t, map[string]string{}, c.Variables)
	status, _ := b.do("PATCH", path(c, ""), map[string]any{"name": " Saturday ", "template": "promo", "variables": map[string]string{"name": "all"}}, &c)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "Saturday", c.Name)
	require.Equal(t, map[string]string{"name": "all"}, c.Variables)
	var without api.Campaign
	status, _ = b.do("PATCH", path(c, ""), map[string]any{"variables": map[string]string{}}, &without)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]string{}, without.Variables, "none is not absent")

	for body, code := range map[string]string{
		`{"name": " "}`:              "no_name",
		`{"template": "nowhere"}`:    "template_not_found",
		`{"variables": {"x": "y"}}`:  "unknown_variable",
		`{}`:                         "nothing_to_change",
		`{"name": "a\nb"}`:           "invalid",
		`{"reason": "just because"}`: "nothing_to_change",
	} {
		var p api.Problem
		status, _ := b.do("PATCH", path(c, ""), body, &p)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
		require.Equal(t, code, p.Code, body)
	}
}
