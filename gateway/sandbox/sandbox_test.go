package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/contact"
	"lastcall/gateway/whatsapp"
)

var credentials = whatsapp.Config{PhoneNumberID: "555", AccessToken: "token", AppSecret: "secret"}

// world is a sandbox that serves and runs.
type world struct {
	*Server
	t      testing.TB
	url    string
	client *whatsapp.Client
	stop   func() // ends Run and HTTP, leaves the files as a kill would
}

func start(t testing.TB, c Config) world {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c.WhatsApp = credentials
	server, err := New(c)
	require.NoError(t, err)
	web := httptest.NewServer(server.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stopped := false
	config := credentials
	config.BaseURL = web.URL
	w := world{Server: server, t: t, url: web.URL, client: whatsapp.New(config), stop: func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-done)
			web.Close()
		}
	}}
	t.Cleanup(func() {
		w.stop()
		server.Close()
	})
	return w
}

// send hands over one message and returns its id.
func (w world) send(to, key string) string {
	w.t.Helper()
	accepted, err := w.client.Send(context.Background(), newMessage(to, key))
	require.NoError(w.t, err)
	return accepted.MessageID
}

func newMessage(to, key string) whatsapp.TemplateMessage {
	return whatsapp.TemplateMessage{
		To: contact.MSISDN(to), Template: "promo_generic", Language: "rw-RW",
		Parameters: []whatsapp.Parameter{{Name: "name", Text: "Aline\n<b>"}}, CallbackData: key,
	}
}

// do makes one request and returns its status and body.
func (w world) do(method, path, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	require.NoError(w.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	return res.StatusCode, string(raw)
}

func (w world) stats() stats {
	w.t.Helper()
	_, body := w.do(http.MethodGet, "/stats.json", "")
	return decode[stats](w.t, body)
}

// received is one message as /inbox.json shows it.
type received struct {
	entry
	message
}

func (w world) messages(query string) []received {
	w.t.Helper()
	_, body := w.do(http.MethodGet, "/inbox.json"+query, "")
	return decode[[]received](w.t, body)
}

func decode[T any](t testing.TB, body string) T {
	t.Helper()
	var v T
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&v), body)
	return v
}

func TestMessages(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	require.JSONEq(t, `{"received":0,"unique_recipients":0,"duplicates":0}`, second(w.do(http.MethodGet, "/stats.json", "")))
	require.Equal(t, "[]\n", second(w.do(http.MethodGet, "/inbox.json", "")))
	require.NoError(t, w.client.Ping(t.Context()))

	before := time.Now().Truncate(time.Microsecond)
	a := w.send("+250788000012", "campaign/a/1")
	b := w.send("+35699000001", "")
	require.Regexp(t, `^wamid\.[0-9A-F]{32}$`, a)
	require.NotEqual(t, a, b)

	got := w.messages("")
	require.Len(t, got, 2)
	require.Equal(t, message{
		MessageID: a, To: "+250788000012", Template: "promo_generic", Language: "rw_RW",
		Parameters: []parameter{{"name", "Aline\n<b>"}}, CallbackData: "campaign/a/1",
	}, got[0].message)
	require.Equal(t, []int64{1, 2}, []int64{got[0].ID, got[1].ID})
	require.False(t, got[0].ReceivedAt.Before(before) || got[1].ReceivedAt.Before(got[0].ReceivedAt) || time.Now().Before(got[1].ReceivedAt))

	for query, want := range map[string][]string{
		"?after=0": {a, b}, "?after=1": {b}, "?after=2": {}, "?after=9223372036854775807": {},
		"?limit=1": {a}, "?limit=0": {}, "?after=1&limit=5": {b}, "?limit=2": {a, b},
	} {
		ids := []string{}
		for _, m := range w.messages(query) {
			ids = append(ids, m.MessageID)
		}
		require.Equal(t, want, ids, query)
	}
	for _, query := range []string{"?after=x", "?limit=-1"} {
		status, body := w.do(http.MethodGet, "/inbox.json"+query, "")
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Contains(t, body, "not_a_number")
	}
}

func second(_ int, body string) string { return body }

func TestMessagesWithMedia(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	m := newMessage("+250788000012", "k")
	for _, media := range []string{"https://x.test/a.png", "https://x.test/a.mp4", "https://x.test/a.pdf", "12345"} {
		m.HeaderMedia = media
		_, err := w.client.Send(t.Context(), m)
		require.NoError(t, err)
	}
	for i, media := range []string{"https://x.test/a.png", "https://x.test/a.mp4", "https://x.test/a.pdf", "12345"} {
		require.Equal(t, media, w.messages("")[i].HeaderMedia)
	}
}

func TestMessagesRefused(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	const good = `{"messaging_product":"whatsapp","to":"250788000012","type":"template","template":{"name":"a","language":{"code":"en"}}}`
	for name, c := range map[string]struct {
		token, path, body string
		status, code      int
	}{
		"no token":           {path: "/v23.0/555/messages", body: good, status: 401, code: 190},
		"wrong token":        {token: "Bearer tokem", path: "/v23.0/555/messages", body: good, status: 401, code: 190},
		"not a bearer":       {token: "token", path: "/v23.0/555/messages", body: good, status: 401, code: 190},
		"another number":     {token: "Bearer token", path: "/v23.0/556/messages", body: good, status: 400, code: 100},
		"no version":         {token: "Bearer token", path: "/23/555/messages", body: good, status: 400, code: 100},
		"no JSON":            {token: "Bearer token", path: "/v23.0/555/messages", body: good[:90], status: 400, code: 100},
		"another product":    {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, `"whatsapp"`, `"sms"`, 1), status: 400, code: 100},
		"letters for digits": {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, "250788000012", "250 788", 1), status: 400, code: 131009},
		"too few digits":     {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, "250788000012", "+250788", 1), status: 400, code: 131009},
		"too many digits":    {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, "250788000012", "2507880000120000", 1), status: 400, code: 131009},
		"a picture":          {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, `"type":"template"`, `"type":"image"`, 1), status: 400, code: 131051},
		"no text":            {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, `"type":"template"`, `"type":"text"`, 1), status: 400, code: 100},
		"text unasked":       {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, `"type":"template"`, `"type":"text","text":{"body":"hi"}`, 1), status: 400, code: 131047},
		"no template name":   {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, `"name":"a"`, `"name":""`, 1), status: 400, code: 100},
		"no language":        {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, `"en"`, `""`, 1), status: 400, code: 100},
		"long callback data": {token: "Bearer token", path: "/v23.0/555/messages", body: strings.Replace(good, `{`, `{"biz_opaque_callback_data":"`+strings.Repeat("x", 513)+`",`, 1), status: 400, code: 100},
		"too large":          {token: "Bearer token", path: "/v23.0/555/messages", body: good + strings.Repeat(" ", maxBody), status: 400, code: 100},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(c.body))
			if c.token != "" {
				req.Header.Set("Authorization", c.token)
			}
			res := httptest.NewRecorder()
			w.Handler().ServeHTTP(res, req)
			require.Equal(t, c.status, res.Code, res.Body)
			var body struct {
				Error struct {
					Message, Type, FBTraceID string `json:",omitempty"`
					Code                     int
				}
			}
			require.NoError(t, json.Unmarshal(bytes.ReplaceAll(res.Body.Bytes(), []byte("_"), nil), &body))
			require.Equal(t, c.code, body.Error.Code)
			require.Equal(t, "OAuthException", body.Error.Type)
			require.NotEmpty(t, body.Error.Message)
			require.NotEmpty(t, body.Error.FBTraceID)
		})
	}
	require.Zero(t, w.stats())
	badToken := credentials
	badToken.BaseURL, badToken.AccessToken = w.url, "other"
	require.ErrorContains(t, whatsapp.New(badToken).Ping(t.Context()), "190")
}

// A message that cannot be stored is neither accepted nor counted; the caller may try again.
func TestMessageNotStored(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	require.NoError(t, w.inbox.journal.file.Close())
	_, err := w.client.Send(t.Context(), newMessage("+250788000012", "k"))
	require.Equal(t, whatsapp.Retry, whatsapp.Classify(err))
	require.Zero(t, w.stats())
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sends [][3]string // to, template, key
		want  stats
	}{
		"another attempt at the same target": {[][3]string{{"+2507881", "a", "c/t/1"}, {"+2507881", "a", "c/t/2"}}, stats{2, 1, 1}},
		"the same attempt":                   {[][3]string{{"+2507881", "a", "c/t/1"}, {"+2507881", "a", "c/t/1"}}, stats{2, 1, 1}},
		"thrice":                             {[][3]string{{"+2507881", "a", "c/t/1"}, {"+2507881", "a", "c/t/2"}, {"+2507881", "a", "c/t/3"}}, stats{3, 1, 2}},
		"with and without +":                 {[][3]string{{"+2507881", "a", "c/t/1"}, {"2507881", "a", "c/t/2"}}, stats{2, 1, 1}},
		"another template, same key":         {[][3]string{{"+2507881", "a", "c/t/1"}, {"+2507881", "b", "c/t/2"}}, stats{2, 1, 1}},
		"another target":                     {[][3]string{{"+2507881", "a", "c/t/1"}, {"+2507881", "a", "c/u/1"}}, stats{2, 1, 0}},
		"another campaign":                   {[][3]string{{"+2507881", "a", "c/t/1"}, {"+2507881", "a", "d/t/1"}}, stats{2, 1, 0}},
		"another recipient":                  {[][3]string{{"+2507881", "a", "c/t/1"}, {"+2507882", "a", "c/t/1"}}, stats{2, 2, 0}},
		"leading zero":                       {[][3]string{{"02507881", "a", "c/t/1"}, {"2507881", "a", "c/t/1"}}, stats{2, 2, 0}},
		"no slash in the key":                {[][3]string{{"+2507881", "a", "k"}, {"+2507881", "a", "k"}, {"+2507881", "a", "l"}}, stats{3, 1, 1}},
		"no key, same template":              {[][3]string{{"+2507881", "a", ""}, {"+2507881", "a", ""}}, stats{2, 1, 1}},
		"no key, another template":           {[][3]string{{"+2507881", "a", ""}, {"+2507881", "b", ""}}, stats{2, 1, 0}},
		"a template is not a key":            {[][3]string{{"+2507881", "a", ""}, {"+2507881", "a", "a/1"}}, stats{2, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, Config{})
			for _, send := range c.sends {
				m := newMessage(send[0], send[2])
				m.Template = send[1]
				_, err := w.client.Send(t.Context(), m)
				require.NoError(t, err)
			}
			require.Equal(t, c.want, w.stats())
			w.stop()
			require.Equal(t, c.want, start(t, Config{Dir: w.config.Dir}).stats(), "counted again after a restart")
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := start(t, Config{SMTPAddr: "127.0.0.1:0"})
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, c := range map[string]struct {
		config Config
		code   string
	}{
		"no dir":     {Config{WhatsApp: credentials}, "sandbox_config"},
		"no number":  {Config{Dir: dir, WhatsApp: whatsapp.Config{AccessToken: "t"}}, "sandbox_config"},
		"no token":   {Config{Dir: dir, WhatsApp: whatsapp.Config{PhoneNumberID: "5"}}, "sandbox_config"},
		"no secret":  {Config{Dir: dir, WebhookURL: "http://x.test", WhatsApp: whatsapp.Config{PhoneNumberID: "5", AccessToken: "t"}}, "sandbox_config"},
		"port taken": {Config{Dir: dir, SMTPAddr: other.SMTPAddr(), WhatsApp: credentials}, "sandbox_mail"},
		"no place":   {Config{Dir: file, WhatsApp: credentials}, "sandbox_state"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.config)
			require.Equal(t, c.code, domain.CodeOf(err), fmt.Sprint(err))
		})
	}
}
