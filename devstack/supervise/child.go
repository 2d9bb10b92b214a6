package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Command is a process to run.
type Command struct {
	Name string // what people call it: "worker"
	Path string
	Args []string
	Dir  string              // working directory; default this process's
	Env  []string            // the whole environment; default this process's
	Log  string              // the file its output is appended to, 0600
	As   *syscall.Credential // whom it runs as; default as this process
	Stop []Step              // how it is stopped; default SIGTERM and 30 s. What is left then is killed
}

// Step is a signal and how long it may take to work.
type Step struct {
	Signal syscall.Signal `json:"signal"`
	Wait   time.Duration  `json:"wait"`
}

// Event tells that a process started, ended or could not be started.
type Event struct {
	Name   string
	PID    int
	Record *Record       // of a start; nil for an end
	Err    error         // how it ended; nil for a start
	Again  time.Duration // after an end: when it is started again; 0: it is not
}

// Restarting waits between restartFirst and restartLast, doubling for a process that does not live
// settled long. restartLast keeps even a crash loop to "back within a second".
const (
	restartFirst = 100 * time.Millisecond
	restartLast  = 800 * time.Millisecond
	settled      = 5 * time.Second
)

// Child is a process kept by a Supervisor, or one started by Start.
type Child struct {
	command Command
	observe func(Event)
	quit    chan struct{} // closed when it is to stop
	done    chan struct{} // closed when it has ended for good

	mu      sync.Mutex
	cmd     *exec.Cmd // the latest
	keep    bool
	stopped bool
	err     error // how the latest ended
}

// Start runs a process without a Supervisor: nobody writes it down.
func Start(command Command) (*Child, error) {
	c := newChild(command, func(Event) {})
	if err := c.start(); err != nil {
		return nil, err
	}
	return c, nil
}

func newChild(command Command, observe func(Event)) *Child {
	if len(command.Stop) == 0 {
		command.Stop = []Step{{syscall.SIGTERM, 30 * time.Second}}
	}
	return &Child{command: command, observe: observe, quit: make(chan struct{}), done: make(chan struct{})}
}

func (c *Child) start() error {
	if err := c.spawn(); err != nil {
		close(c.done)
		return err
	}
	go c.watch()
	return nil
}

// PID is the process's id now, 0 before its first start. It is also the id of its process group.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// Keep has the process restarted whenever it ends from now on, until Stop. Before, an end is for good:
// what cannot start should be told, not tried for ever.
func (c *Child) Keep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep = true
}

// Done is closed when the process has ended for good.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err is how the process ended: nil for exit status 0. Use it after Done.
func (c *Child) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Failure says how the process ended, with the end of its log. Use it after Done.
func (c *Child) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	how := "exit status 0"
	if c.err != nil {
		how = c.err.Error()
	}
	return fmt.Errorf("%s ended: %s\nthe end of %s:\n%s", c.command.Name, how, c.command.Log, Tail(c.command.Log, 2048))
}

// Stop stops the process as its Command says and returns when it is gone. When ctx is done the first
// step's time is over at once.
func (c *Child) Stop(ctx context.Context) {
	c.mu.Lock()
	if !c.stopped {
		c.stopped = true
		close(c.quit)
	}
	process := c.cmd.Process
	c.mu.Unlock()

	hurry := ctx.Done()
	for _, step := range c.command.Stop {
		_ = process.Signal(step.Signal) // it may be gone already
		select {
		case <-c.done:
			return
		case <-hurry:
			hurry = nil
		case <-time.After(step.Wait):
		}
	}
	_ = syscall.Kill(-process.Pid, syscall.SIGKILL)
	<-c.done
}

// spawn starts the process once and tells of it.
func (c *Child) spawn() error {
	log, err := openLog(c.command.Log)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.command.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.command.Path, c.command.Args...)
	cmd.Dir, cmd.Env = c.command.Dir, c.command.Env
	cmd.Stdout, cmd.Stderr = log, log // files, not pipes: an orphan must be able to go on writing
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.command.As}

	c.mu.Lock()
	if c.stopped {
		err = errors.New("it is to stop")
	} else if err = cmd.Start(); err == nil {
		c.cmd = cmd
	}
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("start %s: %w", c.command.Name, err)
	}
	record := recordOf(c.command.Name, cmd.Process.Pid, c.command.Stop)
	c.observe(Event{Name: c.command.Name, PID: record.PID, Record: &record})
	return nil
}

// watch waits for the process's ends and restarts it.
func (c *Child) watch() {
	defer close(c.done)
	delay := restartFirst
	for {
		pid, began := c.cmd.Process.Pid, time.Now()
		err := c.cmd.Wait()
		if time.Since(began) > settled {
			delay = restartFirst
		}

		c.mu.Lock()
		c.err = err
		again := c.keep && !c.stopped
		c.mu.Unlock()
		if !again {
			c.observe(Event{Name: c.command.Name, PID: pid, Err: err})
			return
		}
		c.observe(Event{Name: c.command.Name, PID: pid, Err: err, Again: delay})
		for again {
			select {
			case <-c.quit:
				return
			case <-time.After(delay):
			}
			delay = min(2*delay, restartLast)
			if err := c.spawn(); err != nil {
				c.observe(Event{Name: c.command.Name, PID: pid, Err: err, Again: delay})
				continue
			}
			again = false
		}
	}
}

const logLimit = 32 << 20 // a log larger than this at a start moves to <log>.old

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// Tail is the end of a file from a line's beginning on, at most limit bytes; empty if it cannot be read.
func Tail(path string, limit int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	_, seekErr := f.Seek(-limit, io.SeekEnd)
	content, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	if _, rest, ok := bytes.Cut(content, []byte("\n")); ok && seekErr == nil {
		content = rest // the first line is cut
	}
	return string(bytes.TrimSpace(content))
}
