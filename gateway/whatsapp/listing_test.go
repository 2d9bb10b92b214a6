package whatsapp

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestTemplateListing(t *testing.T) {
	t.Parallel()
	var asked *http.Request
	answer, status := `{"data":[{"name":"promo_two","language":"rw_RW","status":"REJECTED","category":"UTILITY"},
		{"name":"promo","language":"rw_RW","status":"PAUSED","category":"MARKETING"}]}`, http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	client := New(Config{BaseURL: server.URL, PhoneNumberID: "555", BusinessAccountID: "777", AccessToken: "token"})

	l, listed, err := client.Template(t.Context(), "promo", "rw-RW")
	require.NoError(t, err)
	require.True(t, listed)
	require.Equal(t, Listing{TemplatePaused, "marketing"}, l)
	require.Equal(t, "/v23.0/777/message_templates", asked.URL.Path)
	require.Equal(t, "rw_RW", asked.URL.Query().Get("language"))
	require.Equal(t, "Bearer token", asked.Header.Get("Authorization"))
	_, listed, err = client.Template(t.Context(), "prom", "rw-RW")
	require.NoError(t, err)
	require.False(t, listed, "a part of a name is another name")

	answer, status = `{"error":{"message":"Invalid token","type":"OAuthException","code":190}}`, http.StatusUnauthorized
	_, _, err = client.Template(t.Context(), "promo", "rw-RW")
	var refused *APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 190, refused.Code)
	_, _, err = New(Config{BaseURL: server.URL, PhoneNumberID: "555"}).Template(t.Context(), "promo", "en")
	require.Equal(t, "no_business_account", domain.CodeOf(err))
}
