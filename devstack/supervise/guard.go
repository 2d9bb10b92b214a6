package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Guard is a child that does not outlive this process, and its directory with it: for tests, whose
// process may be killed at any time. (Linux could do it with Pdeathsig, but that fires when the *thread*
// that started the child ends, which Go decides.)
type Guard struct {
	*Child
	dir     string
	watcher *exec.Cmd
	pipe    *os.File
}

// watching is a shell that waits until this process, the only one to hold the pipe, is gone, and then
// ends the child and removes its directory.
const watching = `trap '' HUP INT TERM QUIT
read -r _
kill -s "$2" "$1" 2>/dev/null
n=0
while kill -0 "$1" 2>/dev/null && [ "$n" -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
kill -s KILL "$1" 2>/dev/null
rm -rf -- "$3"`

// StartGuarded starts a child that ends, by signal or else by force, when this process does, however it
// does. dir is removed then, and by Stop.
func StartGuarded(command Command, signal syscall.Signal, dir string) (*Guard, error) {
	child, err := Start(command)
	if err != nil {
		return nil, err
	}
	g := &Guard{Child: child, dir: dir}
	read, write, err := os.Pipe()
	if err == nil {
		g.pipe = write
		g.watcher = exec.Command("/bin/sh", "-c", watching, "sh", strconv.Itoa(child.PID()), strconv.Itoa(int(signal)), dir)
		g.watcher.Stdin = read
		g.watcher.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		err = g.watcher.Start()
		_ = read.Close()
	}
	if err != nil {
		g.Stop(context.Background())
		return nil, fmt.Errorf("guard %s: %w", command.Name, err)
	}
	return g, nil
}

// Stop stops the child, removes the directory and ends the guard.
func (g *Guard) Stop(ctx context.Context) {
	g.Child.Stop(ctx)
	_ = os.RemoveAll(g.dir)
	if g.watcher != nil && g.watcher.Process != nil {
		_ = g.watcher.Process.Kill()
		_ = g.watcher.Wait()
	}
	if g.pipe != nil {
		_ = g.pipe.Close()
	}
}
