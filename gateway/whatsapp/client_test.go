package whatsapp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const accepted = `{"messaging_product":"whatsapp","contacts":[{"input":"+250788000012","wa_id":"250788000012"}],` +
	`"messages":[{"id":"wamid.A","message_status":"accepted"}]}`

var message = TemplateMessage{
	To: "+250788000012", Template: "promo_generic", Language: "rw-RW",
	Parameters: []Parameter{{"name", "Aline \"A\"\n😀"}}, CallbackData: "campaign/target/1",
}

func TestSend(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		_ = json.NewDecoder(r.Body).Decode(&body)
		_, _ = io.WriteString(w, accepted)
	}))
	defer server.Close()
	client := New(Config{BaseURL: server.URL + "/graph/", PhoneNumberID: "555", AccessToken: "token"})

	answer, err := client.Send(t.Context(), message)
	require.NoError(t, err)
	require.Equal(t, Accepted{MessageID: "wamid.A", Status: "accepted"}, answer)
	require.Equal(t, Sent, Classify(err))
	require.Equal(t, "POST /graph/v23.0/555/messages", got.Method+" "+got.URL.Path)
	require.Equal(t, "Bearer token", got.Header.Get("Authorization"))
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Equal(t, map[string]any{
		"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+250788000012", "type": "template",
		"template": map[string]any{
			"name": "promo_generic", "language": map[string]any{"code": "rw_RW"},
			"components": []any{map[string]any{"type": "body", "parameters": []any{
				map[string]any{"type": "text", "parameter_name": "name", "text": "Aline \"A\"\n😀"},
			}}},
		},
		"biz_opaque_callback_data": "campaign/target/1",
	}, body)
}

// TestSendAnswers is the truth table of Send, against a server that answers with raw bytes.
func TestSendAnswers(t *testing.T) {
	t.Parallel()
	full := func(status, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
	long := func(body string, lie int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body)+lie, body)
	}
	const refusal = `{"error":{"message":"no +250788000012","type":"OAuthException","code":%d,"error_subcode":7,"fbtrace_id":"T"}}`
	for name, c := range map[string]struct {
		answer string // what the server writes after it read the request
		then   string // close (default), reset or hang
		want   Outcome
	}{
		"accepted":                       {answer: full("200 OK", accepted), want: Sent},
		"accepted, 201":                  {answer: full("201 Created", accepted), want: Sent},
		"accepted, chunked":              {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(accepted), accepted), want: Sent},
		"closes without a word":          {want: Unknown},
		"resets":                         {then: "reset", want: Unknown},
		"hangs":                          {then: "hang", want: Unknown},
		"hangs within the head":          {answer: "HTTP/1.1 200 OK\r\nContent-", then: "hang", want: Unknown},
		"hangs within the body":          {answer: long(accepted, 0)[:90], then: "hang", want: Unknown},
		"half a body, then closes":       {answer: long(accepted, 0)[:90], want: Unknown},
		"half a body, then resets":       {answer: long(accepted, 0)[:90], then: "reset", want: Unknown},
		"body shorter than it says":      {answer: long(accepted, 10), want: Unknown},
		"body longer than it says":       {answer: long(accepted, -10), want: Unknown},
		"chunks end early":               {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(accepted), accepted), want: Unknown},
		"not HTTP":                       {answer: "hello +250788000012\r\n\r\n", want: Unknown},
		"200 with rubbish":               {answer: full("200 OK", "<html>+250788000012"), want: Unknown},
		"200 with an empty body":         {answer: full("200 OK", ""), want: Unknown},
		"200 without an id":              {answer: full("200 OK", `{"messages":[]}`), want: Unknown},
		"200 with an empty id":           {answer: full("200 OK", `{"messages":[{"id":""}]}`), want: Unknown},
		"200 with a number for an id":    {answer: full("200 OK", `{"messages":[{"id":250788000012}]}`), want: Unknown},
		"200 with more than 64 KiB":      {answer: full("200 OK", accepted+strings.Repeat(" ", 64<<10)), want: Unknown},
		"500 with rubbish":               {answer: full("500 Internal Server Error", "oops"), want: Unknown},
		"502 of a proxy":                 {answer: full("502 Bad Gateway", "{}"), want: Unknown},
		"500 with an id is no success":   {answer: full("500 Internal Server Error", accepted), want: Unknown},
		"redirect is not followed":       {answer: "HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", want: Unknown},
		"error without a code":           {answer: full("400 Bad Request", `{"error":{"message":"?"}}`), want: Unknown},
		"500 with the provider's words":  {answer: full("500 Internal Server Error", fmt.Sprintf(refusal, 131026)), want: Failed},
		"refused user":                   {answer: full("400 Bad Request", fmt.Sprintf(refusal, 131026)), want: Failed},
		"refused token, code 0":          {answer: full("401 Unauthorized", fmt.Sprintf(refusal, 0)), want: Failed},
		"refused though HTTP 200":        {answer: full("200 OK", fmt.Sprintf(refusal, 132001)), want: Failed},
		"too fast":                       {answer: full("400 Bad Request", fmt.Sprintf(refusal, 130429)), want: Retry},
		"provider does not know, either": {answer: full("500 Internal Server Error", fmt.Sprintf(refusal, 131000)), want: Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			address := rawServer(t, func(conn net.Conn) {
				readRequest(conn)
				requests.Add(1)
				_, _ = io.WriteString(conn, c.answer)
				switch c.then {
				case "reset":
					_ = conn.(*net.TCPConn).SetLinger(0)
				case "hang":
					_, _ = conn.Read(make([]byte, 1)) // until the client gives up
				}
			})
			client := New(Config{BaseURL: "http://" + address, PhoneNumberID: "1", Timeout: 200 * time.Millisecond})
			if c.then != "hang" {
				client.config.Timeout = 10 * time.Second
			}

			began := time.Now()
			answer, err := client.Send(t.Context(), message)
			require.Less(t, time.Since(began), 9*time.Second)
			require.Equal(t, c.want, Classify(err), "%v", err)
			require.EqualValues(t, 1, requests.Load(), "one request only")
			if c.want == Sent {
				require.Equal(t, "wamid.A", answer.MessageID)
				return
			}
			require.Zero(t, answer)
			require.NotContains(t, err.Error(), "788000012")
			require.NotErrorIs(t, err, ErrNotSent)
			if api, ok := errors.AsType[*APIError](err); ok {
				require.NotErrorIs(t, err, ErrUnknown)
				require.Equal(t, "no +250788000012", api.Detail())
				require.Equal(t, APIError{api.Code, 7, api.HTTPStatus, "OAuthException", "T", api.detail}, *api)
			} else {
				require.ErrorIs(t, err, ErrUnknown)
			}
		})
	}
}

func TestSendNeverLeft(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	var requests atomic.Int32
	plain := rawServer(t, func(conn net.Conn) {
		if readRequest(conn) {
			requests.Add(1)
		}
	})
	over, cancel := context.WithCancel(t.Context())
	cancel()

	for name, c := range map[string]struct {
		base string
		ctx  context.Context
	}{
		"closed port":          {base: "http://" + closed.Addr().String()},
		"no such host":         {base: "http://nowhere.invalid"},
		"no TLS there":         {base: "https://" + plain},
		"context already over": {base: "http://" + plain, ctx: over},
		"no URL":               {base: "graph.facebook.com"},
		"unreadable URL":       {base: "http://%zz"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.ctx == nil {
				c.ctx = t.Context()
			}
			client := New(Config{BaseURL: c.base, PhoneNumberID: "1"})
			_, err := client.Send(c.ctx, message)
			require.ErrorIs(t, err, ErrNotSent)
			require.NotErrorIs(t, err, ErrUnknown)
			require.Equal(t, NotSent, Classify(err))
			require.ErrorIs(t, client.Ping(c.ctx), ErrNotSent)
		})
	}
	require.Zero(t, requests.Load())
}

// A call that waits for one of MaxConns connections until its context is over was never sent.
func TestSendNoFreeConnection(t *testing.T) {
	t.Parallel()
	busy, release := make(chan struct{}), make(chan struct{})
	address := rawServer(t, func(conn net.Conn) {
		readRequest(conn)
		close(busy)
		<-release
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+accepted)
	})
	client := New(Config{BaseURL: "http://" + address, PhoneNumberID: "1", MaxConns: 1})
	first := make(chan error, 1)
	go func() {
		_, err := client.Send(context.Background(), message)
		first <- err
	}()
	<-busy
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := client.Send(ctx, message)
	require.ErrorIs(t, err, ErrNotSent)
	close(release)
	require.NoError(t, <-first)
}

// A kept connection that takes no byte any more is replaced; when the new one is refused, nothing left.
func TestSendOnDeadKeptConnection(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	address := rawServer(t, func(conn net.Conn) {
		for readRequest(conn) {
			requests.Add(1)
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(accepted), accepted)
		}
	})
	for name, c := range map[string]struct {
		redial bool
		want   Outcome
	}{
		"provider is back": {redial: true, want: Sent},
		"provider is gone": {redial: false, want: NotSent},
	} {
		t.Run(name, func(t *testing.T) {
			requests.Store(0)
			client := New(Config{BaseURL: "http://" + address, PhoneNumberID: "1"})
			var kept *fragileConn
			client.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if kept != nil && !c.redial {
					return nil, errors.New("refused")
				}
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				kept = &fragileConn{Conn: conn}
				return kept, err
			}
			_, err := client.Send(t.Context(), message)
			require.NoError(t, err)
			kept.dead.Store(true)
			_, err = client.Send(t.Context(), message)
			require.Equal(t, c.want, Classify(err), "%v", err)
			want := 1
			if c.redial {
				want = 2
			}
			require.EqualValues(t, want, requests.Load())
		})
	}
}

// fragileConn refuses every byte once it is dead.
type fragileConn struct {
	net.Conn
	dead atomic.Bool
}

func (c *fragileConn) Write(b []byte) (int, error) {
	if c.dead.Load() {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(b)
}

// Four sends at once, again and again, take four connections in all.
func TestSendKeepsConnections(t *testing.T) {
	t.Parallel()
	const atOnce = 4
	var connections atomic.Int32
	arrived, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(w, accepted)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := New(Config{BaseURL: server.URL, PhoneNumberID: "1", MaxConns: atOnce})
	for range 20 {
		var wg sync.WaitGroup
		for range atOnce {
			wg.Go(func() {
				if _, err := client.Send(context.Background(), message); err != nil {
					t.Error(err)
				}
			})
		}
		for range atOnce {
			<-arrived
		}
		for range atOnce {
			release <- struct{}{}
		}
		wg.Wait()
	}
	// One more is allowed for: a send may find its predecessor's connection not yet put back.
	require.LessOrEqual(t, connections.Load(), int32(atOnce+1))
}

func TestPing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		check  func(*testing.T, error)
	}{
		"good":      {200, `{"id":"1","verified_name":"Bar"}`, func(t *testing.T, err error) { require.NoError(t, err) }},
		"bad token": {401, `{"error":{"code":190}}`, func(t *testing.T, err error) { require.ErrorAs(t, err, new(*APIError)) }},
		"a portal":  {200, `<html>`, func(t *testing.T, err error) { require.ErrorIs(t, err, ErrUnknown) }},
		"no id":     {200, `{}`, func(t *testing.T, err error) { require.ErrorIs(t, err, ErrUnknown) }},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/v23.0/1" || r.Header.Get("Authorization") != "Bearer token" {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			c.check(t, New(Config{BaseURL: server.URL, PhoneNumberID: "1", AccessToken: "token"}).Ping(t.Context()))
		})
	}
}

// rawServer accepts connections, hands each to serve and closes it afterwards.
func rawServer(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// readRequest reads one whole request and says whether there was one.
func readRequest(conn net.Conn) bool {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, accepted)
	}))
	defer server.Close()
	client := New(Config{BaseURL: server.URL, PhoneNumberID: "1", MaxConns: 64})
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.Send(context.Background(), message); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestSendStartsInTimeOrNotAtAll(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	arrived := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-held
		_, _ = io.WriteString(w, `{"messages":[{"id":"wamid.1"}]}`)
	}))
	t.Cleanup(server.Close)
	client := New(Config{BaseURL: server.URL, PhoneNumberID: "555", AccessToken: "token", MaxConns: 1})
	first := make(chan error, 1)
	go func() {
		_, err := client.Send(t.Context(), TemplateMessage{To: "+250780000001", StartBy: time.Now().Add(20 * time.Millisecond)})
		first <- err
	}()
	<-arrived // it has the only connection, and started in time: it may take as long as it takes

	_, err := client.Send(t.Context(), TemplateMessage{To: "+250780000002", StartBy: time.Now().Add(50 * time.Millisecond)})
	require.ErrorIs(t, err, ErrNotSent)
	close(held)
	require.NoError(t, <-first)
	require.Empty(t, arrived, "the second never left")
}

// TestSecondTryStartsInTimeToo: a kept connection that proves dead is replaced, which may take its time.
func TestSecondTryStartsInTimeToo(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 4)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		_, _ = io.WriteString(w, accepted)
	}))
	t.Cleanup(server.Close)
	client := New(Config{BaseURL: server.URL, PhoneNumberID: "555", AccessToken: "token"})
	slow := make(chan struct{})
	var dials atomic.Int64
	client.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			select {
			case <-slow:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &dyingConn{Conn: conn}, err
	}
	_, err := client.Send(t.Context(), TemplateMessage{To: "+250780000001"})
	require.NoError(t, err)
	<-arrived
	began := time.Now()
	_, err = client.Send(t.Context(), TemplateMessage{To: "+250780000002", StartBy: began.Add(100 * time.Millisecond)})
	require.ErrorIs(t, err, ErrNotSent)
	require.Less(t, time.Since(began), 5*time.Second, "it gave up when it was too late, not when the call timed out")
	require.EqualValues(t, 2, dials.Load())
	close(slow)
	require.Empty(t, arrived)
}

// dyingConn carries one request; the next finds it dead before a byte is written.
type dyingConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *dyingConn) Write(p []byte) (int, error) {
	if c.writes.Add(1) > 1 {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}
