package devstack

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lastcall/devstack/supervise"
)

// awaitPredecessor waits until the server that had this cluster is gone. One that was killed a moment ago
// lingers until its parent takes notice, and Postgres would take it for alive and refuse to start. Where
// nobody takes notice, as in a container without an init, its lock file is removed: the dead hold no data.
func (c *cluster) awaitPredecessor(ctx context.Context) error {
	lock := filepath.Join(c.data(), "postmaster.pid")
	for until := time.Now().Add(5 * time.Second); ; {
		pid := holder(lock)
		if pid == 0 || syscall.Kill(pid, 0) != nil {
			return nil
		}
		if time.Now().After(until) {
			if !supervise.Alive(pid) {
				return os.Remove(lock)
			}
			return nil // alive: Postgres says so better than we could
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// holder is the process that a lock file names, 0 for none.
func holder(lock string) int {
	content, err := os.ReadFile(lock)
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, _ := strconv.Atoi(first) // 0 if it names none
	return pid
}
