package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/gateway/whatsapp"
)

// TestMain lets this test binary be the sandbox that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SANDBOX_TO_KILL"); dir != "" {
		serveUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) {
	server, err := New(Config{Dir: dir, WhatsApp: credentials})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, server.Handler()))
}

// Every message answered for is there after kill -9, in the counts too.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	answered := map[string]bool{}
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SANDBOX_TO_KILL="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		address, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)

		config := credentials
		config.BaseURL = "http://" + strings.TrimSpace(address)
		client := whatsapp.New(config)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for lane := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					to := fmt.Sprintf("+25078%d%d%05d", round, lane, i)
					accepted, err := client.Send(context.Background(), newMessage(to, "c/"+to+"/1"))
					if err != nil {
						return
					}
					mu.Lock()
					answered[accepted.MessageID] = true
					if len(answered) == 1000*(round+1) {
						_ = cmd.Process.Kill() // SIGKILL, with messages in flight
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Error(t, cmd.Wait())
	}

	w := start(t, Config{Dir: dir})
	messages := w.messages("")
	kept := map[string]bool{}
	for i, m := range messages {
		kept[m.MessageID] = true
		require.EqualValues(t, i+1, m.ID)
	}
	require.Len(t, kept, len(messages))
	for id := range answered {
		require.True(t, kept[id], "answered, then lost")
	}
	require.GreaterOrEqual(t, len(answered), 3000)
	require.Equal(t, stats{Received: int64(len(messages)), UniqueRecipients: int64(len(messages))}, w.stats())
}

func TestReopenWithoutClose(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	w.send("+250788000001", "c/1/1")
	w.send("+250788000001", "c/1/2")
	log := filepath.Join(w.config.Dir, "messages.jsonl")
	whole, err := os.ReadFile(log)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(whole), "\n")
	for name, tail := range map[string]string{
		"clean": "", "torn in a string": `{"id":3,"received_at":"20`, "only torn of its newline": strings.Replace(strings.TrimSpace(lines[2]), `"id":2`, `"id":3`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "messages.jsonl"), []byte(string(whole)+tail), 0o600))
			again := start(t, Config{Dir: dir})
			require.Equal(t, stats{2, 1, 1}, again.stats())
			again.send("+250788000002", "c/2/1")
			require.Len(t, again.messages(""), 3)
			require.Equal(t, stats{3, 2, 1}, start(t, Config{Dir: dir}).stats(), "and once more, beside the one still open")
		})
	}
	for name, content := range map[string]string{
		"a line is no JSON": lines[0] + "rubbish\n" + lines[2], "no first line": "", "another file": "{}\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "messages.jsonl"), []byte(content), 0o600))
			_, err := New(Config{Dir: dir, WhatsApp: credentials})
			require.Equal(t, "sandbox_state", domain.CodeOf(err))
		})
	}
}

// What a short write left beyond the end is covered by the next line, or dropped.
func TestShortWrite(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	w.send("+250788000001", "c/1/1")
	long := strings.Repeat("x", 1000)
	_, err := w.inbox.journal.file.WriteAt([]byte(long), w.inbox.journal.size)
	require.NoError(t, err)
	w.send("+250788000002", "c/2/1")
	require.Len(t, w.messages(""), 2)
	require.Equal(t, stats{2, 2, 0}, start(t, Config{Dir: w.config.Dir}).stats())
}

func TestDeleteInbox(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	w.send("+250788000001", "c/1/1")
	w.send("+250788000001", "c/1/2")
	status, _ := w.do(http.MethodDelete, "/inbox", "")
	require.Equal(t, http.StatusNoContent, status)
	require.Zero(t, w.stats())
	require.Empty(t, w.messages(""))
	raw, err := os.ReadFile(filepath.Join(w.config.Dir, "messages.jsonl"))
	require.NoError(t, err)
	require.NotContains(t, string(raw), "250788", "gone from the disk")

	again := start(t, Config{Dir: w.config.Dir})
	require.Zero(t, again.stats())
	again.send("+250788000001", "c/1/3")
	require.Equal(t, stats{1, 1, 0}, again.stats(), "what was deleted counts for nothing")
	require.EqualValues(t, 3, again.messages("")[0].ID, "ids go on")
}

// A message answered before a DELETE began is gone after it, one sent after it ended is there, and
// inbox and counts agree at every moment.
func TestDeleteInboxWhileMessagesArrive(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	client := w.client
	ctx, cancel := context.WithCancel(context.Background())
	type sending struct{ began, answered time.Time }
	var mu sync.Mutex
	sent := map[string]sending{}
	var count atomic.Int64
	var wg sync.WaitGroup
	for lane := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				to := fmt.Sprintf("+250788%d%05d", lane, i)
				began := time.Now()
				accepted, err := client.Send(context.Background(), newMessage(to, "c/"+to+"/1"))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				sent[accepted.MessageID] = sending{began, time.Now()}
				mu.Unlock()
				count.Add(1)
			}
		})
	}
	var began, ended time.Time
	for round := range int64(20) {
		require.Eventually(t, func() bool { return count.Load() > 50*(round+1) }, 10*time.Second, time.Millisecond)
		began = time.Now()
		status, _ := w.do(http.MethodDelete, "/inbox", "")
		ended = time.Now()
		require.Equal(t, http.StatusNoContent, status)
	}
	require.Eventually(t, func() bool { return count.Load() > 1100 }, 10*time.Second, time.Millisecond)
	cancel()
	wg.Wait()

	for _, look := range []world{w, start(t, Config{Dir: w.config.Dir})} {
		kept := map[string]bool{}
		last := int64(0)
		for _, m := range look.messages("") {
			kept[m.MessageID] = true
			require.True(t, last == 0 || m.ID == last+1)
			last = m.ID
		}
		require.Equal(t, stats{Received: int64(len(kept)), UniqueRecipients: int64(len(kept))}, look.stats())
		require.EqualValues(t, len(sent), last, "every message had an id of its own")
		require.NotEmpty(t, kept)
		for id, s := range sent {
			if s.answered.Before(began) {
				require.False(t, kept[id], "answered before the last DELETE")
			}
			if s.began.After(ended) {
				require.True(t, kept[id], "sent after the last DELETE")
			}
		}
	}
}
