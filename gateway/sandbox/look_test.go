package sandbox

import (
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/gateway/mail"
	"lastcall/gateway/opschannel"
)

func TestOpsChannel(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	channel := opschannel.New(w.url + "/ops/webhook")
	require.NoError(t, channel.Post(t.Context(), opschannel.Notice{Title: "R&B <paused>", Text: "two\n*lines", Link: "http://x.test/?a&b", Level: opschannel.Critical}))
	status, body := w.do(http.MethodPost, "/ops/webhook", "{\n\"text\": \"plain\"\n}")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ok", body)

	for body, want := range map[string]string{"{": "invalid_payload", "{}": "no_text"} {
		status, answer := w.do(http.MethodPost, "/ops/webhook", body)
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, want, answer)
	}
	for _, look := range []world{w, start(t, Config{Dir: w.config.Dir})} {
		got := decode[[]struct {
			entry
			notice
		}](t, second(look.do(http.MethodGet, "/ops-channel.json", "")))
		require.Len(t, got, 2)
		require.Equal(t, "R&B <paused>\ntwo\n*lines\nOpen in Lastcall: http://x.test/?a&b", got[0].Text)
		require.Equal(t, "#D64545", got[0].Color)
		require.WithinDuration(t, time.Now(), got[0].ReceivedAt, time.Minute)
		require.EqualValues(t, 2, got[1].ID)
		require.JSONEq(t, `{"text":"plain"}`, string(got[1].Payload))
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	w := start(t, Config{SMTPAddr: "127.0.0.1:0"})
	sender := mail.New(mail.Config{Address: w.SMTPAddr(), From: "Lastcall <lastcall@bar.test>"})
	require.NoError(t, sender.Send(t.Context(), mail.Message{
		To: []string{"a@bar.test", "b@bar.test"}, Subject: "Café report", Text: "Murakoze 😀\n.\nend\n",
	}))
	for _, raw := range []string{
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n" +
			"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n" +
			"--y\r\nContent-Type: text/html\r\n\r\n<p>no</p>\r\n" +
			"--y\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nTXVy\r\nYWtv\r\nemU=\r\n--y--\r\n--x--\r\n",
		"Content-Type: text/html\r\n\r\n<p>only</p>\r\n",
		"Subject: =?broken\r\n\r\nno type\r\n",
	} {
		require.NoError(t, smtp.SendMail(w.SMTPAddr(), nil, "x@bar.test", []string{"y@bar.test"}, []byte(raw)))
	}
	require.ErrorContains(t, smtp.SendMail(w.SMTPAddr(), nil, "x@bar.test", []string{"y@bar.test"}, []byte("no mail\r\n")), "554")
	require.ErrorContains(t, smtp.SendMail(w.SMTPAddr(), nil, "x@bar.test", []string{"y@bar.test"}, []byte("Content-Type: a/\r\n\r\n")), "554")

	want := []letter{
		{"lastcall@bar.test", []string{"a@bar.test", "b@bar.test"}, "Café report", "Murakoze 😀\n.\nend\n"},
		{"x@bar.test", []string{"y@bar.test"}, "", "Murakoze"},
		{"x@bar.test", []string{"y@bar.test"}, "", ""},
		{"x@bar.test", []string{"y@bar.test"}, "=?broken", "no type\n"},
	}
	for _, look := range []world{w, start(t, Config{Dir: w.config.Dir})} {
		got := decode[[]struct {
			entry
			letter
		}](t, second(look.do(http.MethodGet, "/mail.json", "")))
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i], got[i].letter)
		}
	}
	w.stop()
	_, err := net.Dial("tcp", w.SMTPAddr())
	require.Error(t, err, "the port is free after Run")
}

func TestPage(t *testing.T) {
	t.Parallel()
	w := start(t, Config{SMTPAddr: "127.0.0.1:0"})
	status, empty := w.do(http.MethodGet, "/", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, empty, "No message yet.")
	require.Contains(t, empty, "No notice yet.")
	require.Contains(t, empty, "No mail yet.")

	for range 60 {
		w.send("+250788000012", "c/1/1")
	}
	require.NoError(t, opschannel.New(w.url+"/ops/webhook").Post(t.Context(), opschannel.Notice{Title: "Paused", Text: "<script>", Level: opschannel.Warn}))
	require.NoError(t, mail.New(mail.Config{Address: w.SMTPAddr(), From: "a@bar.test"}).Send(t.Context(), mail.Message{To: []string{"b@bar.test"}, Subject: "Report <1>"}))
	_, full := w.do(http.MethodGet, "/", "")
	require.Contains(t, full, "<b>60</b>messages received")
	require.Contains(t, full, `class="alarm"><b>59</b>duplicates`)
	require.Contains(t, full, "<td>60</td>")
	require.Contains(t, full, "<td>11</td>")
	require.NotContains(t, full, "<td>10</td>", "the latest 50")
	require.Less(t, strings.Index(full, "<td>60</td>"), strings.Index(full, "<td>59</td>"), "newest first")
	require.Contains(t, full, "78• ••• 012")
	require.NotContains(t, full, "788000012")
	require.Contains(t, full, "&lt;b&gt;")
	require.NotContains(t, full, "<b>\n</td>")
	require.Contains(t, full, "&lt;script&gt;")
	require.Contains(t, full, "border-left-color: #E8762D")
	require.Contains(t, full, "Report &lt;1&gt;")

	status, _ = w.do(http.MethodGet, "/nothing", "")
	require.Equal(t, http.StatusNotFound, status)
}
