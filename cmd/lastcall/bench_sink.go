package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// benchSink stands in for the provider as cheaply as can be, so that what is measured is the sender: it
// reads just enough HTTP/1.1 to find the end of a request, notes when it came, and answers after the delay.
type benchSink struct {
	listener net.Listener
	delay    atomic.Int64 // nanoseconds before each answer

	mu       sync.Mutex
	received []time.Time   // of the messages, in order
	awaited  int           // how many somebody waits for; 0: nobody does
	reached  chan struct{} // closed when they have come
}

func startBenchSink() (*benchSink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for messages: %w", err)
	}
	s := &benchSink{listener: listener}
	go s.serve()
	return s, nil
}

func (s *benchSink) url() string { return "http://" + s.listener.Addr().String() }
func (s *benchSink) close()      { _ = s.listener.Close() }

func (s *benchSink) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		go s.converse(conn)
	}
}

// converse answers the requests of one connection until the other side closes it.
func (s *benchSink) converse(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 4<<10)
	var out []byte
	for {
		message, err := readRequest(in)
		if err != nil {
			return
		}
		body := `{"id":"bench"}`
		if message {
			n := s.note()
			body = `{"messaging_product":"whatsapp","messages":[{"id":"wamid.` + strconv.Itoa(n) + `"}]}`
			if delay := time.Duration(s.delay.Load()); delay > 0 {
				time.Sleep(delay)
			}
		}
		out = append(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
		out = strconv.AppendInt(out, int64(len(body)), 10)
		out = append(append(out, "\r\n\r\n"...), body...)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// readRequest reads one request and says whether it was a message, which is what is posted.
func readRequest(in *bufio.Reader) (message bool, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		if first {
			message = bytes.HasPrefix(line, []byte("POST "))
			continue
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return false, err
			}
		}
	}
	_, err = in.Discard(length)
	return message, err
}

// note counts a message and returns how many there were.
func (s *benchSink) note() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, time.Now())
	if len(s.received) == s.awaited {
		close(s.reached)
		s.awaited = 0
	}
	return len(s.received)
}

// reset forgets what came and answers after delay from now on.
func (s *benchSink) reset(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = nil
	s.delay.Store(int64(delay))
}

// times are when the messages came.
func (s *benchSink) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// await waits until n messages have come and returns when the last of them did. One may wait at a time.
func (s *benchSink) await(ctx context.Context, n int) (time.Time, error) {
	reached := make(chan struct{})
	s.mu.Lock()
	if len(s.received) >= n {
		close(reached)
	} else {
		s.awaited, s.reached = n, reached
	}
	s.mu.Unlock()
	select {
	case <-reached:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited = 0
	if have := len(s.received); have < n {
		return time.Time{}, fmt.Errorf("only %s of %s messages have come: %w", thousands(int64(have)), thousands(int64(n)), context.Cause(ctx))
	}
	return s.received[n-1], nil
}

// rawBody is a message as a campaign sends it.
const rawBody = `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+250780000000","type":"template",` +
	`"template":{"name":"promo_generic","language":{"code":"en"},"components":[{"type":"body","parameters":[` +
	`{"type":"text","parameter_name":"name","text":"there"}]}]},` +
	`"biz_opaque_callback_data":"01890a5d-ac96-774b-bcce-b302099a8057/1000000/1"}`

// rawClientCommand is the raw client as a process of its own, as the worker is one.
func rawClientCommand(sh *shell) *cobra.Command {
	var url string
	var n, connections int
	cmd := &cobra.Command{Use: "raw-client", Hidden: true, Args: cobra.NoArgs, Short: "Post messages as fast as can be",
		Example: "  lastcall bench raw-client --url http://127.0.0.1:8701 --messages 1000 --connections 256",
		RunE: func(cmd *cobra.Command, _ []string) error {
			rate, err := rawClient(cmd.Context(), url, n, connections)
			if err == nil {
				_, err = fmt.Fprintln(sh.stdout, rate)
			}
			return err
		}}
	cmd.Flags().StringVar(&url, "url", "", "where")
	cmd.Flags().IntVar(&n, "messages", 50_000, "how many")
	cmd.Flags().IntVar(&connections, "connections", 256, "over how many connections")
	return cmd
}

// raw runs the raw client and returns how many messages a second it sent.
func (s *benchStack) raw(ctx context.Context, n, connections int) (rate float64, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, "bench", "raw-client", "--url", s.sink.url(), "--messages", strconv.Itoa(n), "--connections", strconv.Itoa(connections))
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("raw client: %w", err)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// rawClient posts n messages over so many connections with nothing but net/http around them, and returns
// how many a second went.
func rawClient(ctx context.Context, url string, n, connections int) (float64, error) {
	transport := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	post := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v23.0/bench/messages", strings.NewReader(rawBody))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer bench")
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return errors.Join(err, res.Body.Close())
	}
	began := time.Now()
	var left atomic.Int64
	left.Store(int64(n))
	posting, ctx := errgroup.WithContext(ctx)
	for range connections {
		posting.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := post(ctx); err != nil {
					return fmt.Errorf("raw client: %w", err)
				}
			}
			return nil
		})
	}
	err := posting.Wait()
	return float64(n) / time.Since(began).Seconds(), err
}
