package sandbox

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func (w world) fault(body string) []shownFault {
	w.t.Helper()
	status, answer := w.do(http.MethodPut, "/faults", body)
	require.Equal(w.t, http.StatusOK, status, answer)
	return decode[[]shownFault](w.t, answer)
}

func TestFaultsAreSetListedAndEnded(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	list := func() string { return second(w.do(http.MethodGet, "/faults", "")) }
	require.Equal(t, "[]\n", list())
	w.fault(`{"kind":"outage","share":0.25,"for":"30s"}`)
	w.fault(`{"kind":"latency","latency":"200ms","for":"1m"}`)
	w.fault(`{"kind":"error","code":131026,"share":0,"for":"1h"}`)
	w.fault(`{"kind":"error","code":0,"share":0,"for":"1h"}`)
	got := w.fault(`{"kind":"outage","share":0,"for":"24h"}`) // instead of the first
	code, zero := 131026, 0
	left := func(i int, most time.Duration) string {
		d, err := time.ParseDuration(got[i].Left)
		require.NoError(t, err)
		require.Greater(t, d, most-time.Minute/2)
		require.LessOrEqual(t, d, most)
		return got[i].Left
	}
	require.Equal(t, []shownFault{
		{Kind: "error", Scope: "messaging", Share: 0, Code: &zero, Left: left(0, time.Hour)},
		{Kind: "error", Scope: "messaging", Share: 0, Code: &code, Left: left(1, time.Hour)},
		{Kind: "latency", Scope: "messaging", Share: 1, Latency: "200ms", Left: left(2, time.Minute)},
		{Kind: "outage", Scope: "messaging", Share: 0, Left: left(3, 24*time.Hour)},
	}, got)
	_, page := w.do(http.MethodGet, "/", "")
	for _, shown := range []string{"<h2>Faults</h2>", "<td>error 131026</td>", "<td>error 0</td>", "<td>latency 200ms</td><td>100 %</td>", "<td>outage</td><td>0 %</td>"} {
		require.Contains(t, page, shown)
	}
	w.send("+250788000001", "c/1/1")
	require.EqualValues(t, 1, decode[[]shownFault](t, list())[2].Hits)

	again := start(t, Config{Dir: w.config.Dir})
	require.Equal(t, "[]\n", second(again.do(http.MethodGet, "/faults", "")), "a restart ends them")
	status, _ := w.do(http.MethodDelete, "/faults", "")
	require.Equal(t, http.StatusNoContent, status)
	require.Equal(t, "[]\n", list())
	require.NotContains(t, second(w.do(http.MethodGet, "/", "")), "Faults")
}

func TestFaultsRefused(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	for body, want := range map[string]string{
		``: "fault_not_readable ", `[]`: "fault_not_readable ", `{"kind":"reset","for":"1s"} {}`: "fault_not_readable ",
		`{"kind":"reset","for":"1s","sure":true}`: "fault_not_readable ", `{"kind":"reset","for":30}`: "fault_not_readable ",
		`null`: "unknown_kind kind", `{"for":"1s"}`: "unknown_kind kind", `{"kind":"or","for":"1s"}`: "unknown_kind kind",
		`{"kind":"reset","share":1.1,"for":"1s"}`: "out_of_range share", `{"kind":"reset","share":-0.1,"for":"1s"}`: "out_of_range share",
		`{"kind":"error","for":"1s"}`: "required code", `{"kind":"reset","code":1,"for":"1s"}`: "not_wanted code",
		`{"kind":"error","code":-1,"for":"1s"}`: "out_of_range code", `{"kind":"error","code":10000000,"for":"1s"}`: "out_of_range code",
		`{"kind":"reset","scope":"mail","for":"1s"}`:                       "unknown_scope scope",
		`{"kind":"error","code":131026,"scope":"voucher-card","for":"1s"}`: "out_of_range code",
		`{"kind":"reset"}`: "required for", `{"kind":"reset","for":"soon"}`: "not_a_duration for", `{"kind":"reset","for":"0s"}`: "out_of_range for",
		`{"kind":"reset","for":"-1s"}`: "out_of_range for", `{"kind":"reset","for":"25h"}`: "out_of_range for",
		`{"kind":"latency","for":"1s"}`: "required latency", `{"kind":"reset","latency":"1s","for":"1s"}`: "not_wanted latency",
		`{"kind":"latency","latency":"x","for":"1s"}`: "not_a_duration latency", strings.Repeat(" ", maxBody+1): "body_not_readable ",
	} {
		status, answer := w.do(http.MethodPut, "/faults", body)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
		got := decode[map[string]string](t, answer)
		require.Equal(t, want, got["code"]+" "+got["field"], body)
	}
	require.Equal(t, "[]\n", second(w.do(http.MethodGet, "/faults", "")))
}

// A fault ends by itself, to the nanosecond, whether anybody looks or not.
func TestFaultsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f faults
		for _, body := range []string{`{"kind":"reset","for":"30s"}`, `{"kind":"latency","latency":"1s","for":"10s"}`} {
			one, err := readFault([]byte(body))
			require.NoError(t, err)
			f.set(one)
		}
		require.Equal(t, blow{kind: faultReset, latency: time.Second}, f.strike(scopeMessaging, true))
		require.Equal(t, blow{latency: time.Second}, f.strike(scopeMessaging, false), "a reset concerns messages only")
		time.Sleep(10 * time.Second)
		require.Equal(t, blow{kind: faultReset, turn: 1}, f.strike(scopeMessaging, true))
		require.Equal(t, []shownFault{{Kind: "reset", Scope: "messaging", Share: 1, Left: "20s", Hits: 2}}, f.show())
		time.Sleep(20*time.Second - 1)
		require.Equal(t, blow{kind: faultReset, turn: 2}, f.strike(scopeMessaging, true))
		time.Sleep(time.Nanosecond)
		require.Zero(t, f.strike(scopeMessaging, true))
		require.Empty(t, f.show())
		require.Nil(t, f.active.Load(), "a healthy provider pays one load again")
	})
}

// Each fault gets its share of all requests; more than all is shared out.
func TestFaultShares(t *testing.T) {
	t.Parallel()
	const requests = 50_000
	for name, c := range map[string]struct{ shares, want map[string]float64 }{
		"beside one another": {map[string]float64{"reset": 0.2, "outage": 0.1, "slow_body": 0.3}, map[string]float64{"reset": 0.2, "outage": 0.1, "slow_body": 0.3, "": 0.4}},
		"more than all":      {map[string]float64{"reset": 1, "outage": 0.5, "slow_body": 0.5}, map[string]float64{"reset": 0.5, "outage": 0.25, "slow_body": 0.25}},
		"all of them":        {map[string]float64{"reset": 1}, map[string]float64{"reset": 1}},
		"none of them":       {map[string]float64{"reset": 0}, map[string]float64{"": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f faults
			for kind, share := range c.shares {
				f.set(&fault{scope: scopeMessaging, kind: kind, share: share, until: time.Now().Add(time.Hour)})
			}
			f.set(&fault{scope: scopeMessaging, kind: faultLatency, share: 0.5, latency: time.Second, until: time.Now().Add(time.Hour)})
			got, late := map[string]float64{}, 0.0
			for range requests {
				b := f.strike(scopeMessaging, true)
				got[b.kind] += 1.0 / requests
				late += b.latency.Seconds() / requests
			}
			require.Len(t, got, len(c.want))
			for kind, want := range c.want {
				require.InDelta(t, want, got[kind], 0.012, kind)
			}
			require.InDelta(t, 0.5, late, 0.012)
		})
	}
}

// What goes over the wire, seen without an HTTP client.
func TestFaultsOnTheWire(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   string
		answer string // what the answer begins with
		ends   error  // how reading ends
		stored int64
	}{
		"outage":     {faultOutage, "", io.EOF, 0},
		"reset":      {faultReset, "", syscall.ECONNRESET, 0},
		"slow":       {faultSlow, "HTTP/1.1 200 OK\r\n", context.DeadlineExceeded, 1},
		"no answer":  {faultTimeout, "", context.DeadlineExceeded, 1},
		"wrong body": {faultWrong, "HTTP/1.1 200 OK\r\n", context.DeadlineExceeded, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, Config{})
			w.fault(fmt.Sprintf(`{"kind":%q,"for":"1m"}`, c.kind))
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			const body = `{"messaging_product":"whatsapp","to":"250788000012","type":"template","template":{"name":"a","language":{"code":"en"}}}`
			_, err = fmt.Fprintf(conn, "POST /v23.0/555/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			require.NoError(t, err)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
			raw, err := io.ReadAll(conn)
			switch c.ends {
			case io.EOF:
				require.NoError(t, err)
			case context.DeadlineExceeded:
				var timeout net.Error
				require.ErrorAs(t, err, &timeout)
				require.True(t, timeout.Timeout())
			default:
				require.ErrorIs(t, err, c.ends)
			}
			require.True(t, strings.HasPrefix(string(raw), c.answer) && (c.answer != "" || len(raw) == 0), "%q", raw)
			require.Equal(t, c.stored, w.stats().Received)
		})
	}
}

// A sandbox that is shut down keeps nobody waiting, however long the fault would.
func TestFaultsDoNotOutliveTheSandbox(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"kind":"accept_then_timeout","for":"1h"}`, `{"kind":"slow_body","for":"1h"}`, `{"kind":"latency","latency":"1h","for":"1h"}`,
	} {
		w := start(t, Config{})
		w.fault(body)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = w.client.Send(context.Background(), newMessage("+250788000001", "c/1/1"))
		}()
		require.Eventually(t, func() bool { return decode[[]shownFault](t, second(w.do(http.MethodGet, "/faults", "")))[0].Hits == 1 }, 10*time.Second, time.Millisecond)
		began := time.Now()
		w.stop()
		<-done
		require.Less(t, time.Since(began), 5*time.Second)
	}
}

// Where there is no connection to reset, the request is cut off all the same.
func TestResetWithoutConnection(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { reset(httptest.NewRecorder()) })
}
