package opschannel

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestPost(t *testing.T) {
	t.Parallel()
	type attachment struct{ Color, Fallback, Text string }
	var got struct {
		Text        string
		Attachments []attachment
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Attachments = nil
		_ = json.NewDecoder(r.Body).Decode(&got)
		_, _ = w.Write([]byte("ok"))
	}))
	defer server.Close()
	channel := New(server.URL)

	require.NoError(t, channel.Post(t.Context(), Notice{Title: "Campaign <paused>", Text: "R&B night", Link: "http://x.test/?a=1&b", Level: Critical}))
	require.Equal(t, "*Campaign &lt;paused&gt;*", got.Text)
	body := "R&amp;B night\n<http://x.test/?a=1&amp;b|Open in Lastcall>"
	require.Equal(t, []attachment{{"#D64545", body, body}}, got.Attachments)

	for level, color := range map[Level]string{Info: "#F2A33A", Warn: "#E8762D", "": "#F2A33A"} {
		require.NoError(t, channel.Post(t.Context(), Notice{Title: "T", Text: "x", Level: level}))
		require.Equal(t, []attachment{{color, "x", "x"}}, got.Attachments)
	}
}

func TestPostFails(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	defer refusing.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct{ url, code string }{
		"refused": {refusing.URL + "/services/SECRET", "ops_channel_down"},
		"gone":    {gone.URL + "/services/SECRET", "ops_channel_down"},
		"no URL":  {"http://SECRET%zz", "ops_channel_down"},
		"not set": {"", "ops_channel_not_set"},
	} {
		t.Run(name, func(t *testing.T) {
			err := New(c.url).Post(t.Context(), Notice{Title: "T"})
			var e *domain.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, domain.Unavailable, e.Kind)
			require.Equal(t, c.code, e.Code)
			require.NotContains(t, err.Error(), "SECRET")
			if e.Cause != nil {
				require.NotContains(t, e.Cause.Error(), "SECRET")
			}
		})
	}
}
