// Package supervise keeps the processes of one `lastcall up`: each in a process group of its own, back
// within a second when it is killed, and written down with its start time, so that the next `up` or
// `down` recognises and stops what a killed one left behind.
package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Supervisor runs the processes of one data directory. There is one of a directory at a time.
type Supervisor struct {
	dir     string
	lock    *flock.Flock
	observe func(Event)

	mu       sync.Mutex
	children []*Child // in the order they were started
	running  []Record // what runs of them
	orphans  []Record // what a killed supervisor of this directory left behind
}

// HeldError says that a living process supervises the directory.
type HeldError struct {
	Dir string
	PID int // 0 when it has not said yet
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("lastcall up already runs for %s (process %d); lastcall down stops it", e.Dir, e.PID)
}

// state is the file that outlives a killed supervisor.
type state struct {
	Up        Record   `json:"up"`
	Processes []Record `json:"processes"`
}

// Open makes this process the supervisor of dir, which it creates if need be. The error is a *HeldError
// when there is another. observe hears of every start and end; it may be nil.
func Open(dir string, observe func(Event)) (*Supervisor, error) {
	if err := os.MkdirAll(dir, dirMode()); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	s := &Supervisor{dir: dir, observe: observe, lock: flock.New(filepath.Join(dir, "up.lock"), flock.SetPermissions(0o600))}
	locked, err := s.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	old, readErr := readState(dir)
	if !locked {
		held := &HeldError{Dir: dir}
		if old.Up.alive() {
			held.PID = old.Up.PID
		}
		return nil, held
	}
	s.orphans = slices.DeleteFunc(old.Processes, func(r Record) bool { return !r.alive() })
	if err := errors.Join(readErr, s.save()); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	return s, nil
}

// dirMode is 0711 for root, whose Postgres runs as another user that must reach its directory inside,
// and 0700 for everyone else.
func dirMode() fs.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

// StopOrphans stops what a killed supervisor of this directory left behind, the last started first, each
// as it wants to be stopped, and returns their names. When ctx is done it hurries.
func (s *Supervisor) StopOrphans(ctx context.Context) (names []string, err error) {
	for len(s.orphans) > 0 {
		last := len(s.orphans) - 1
		if err := s.orphans[last].stop(ctx); err != nil {
			return names, err
		}
		names = append(names, s.orphans[last].Name)
		s.orphans = s.orphans[:last]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return names, s.save()
}

// Run starts a process and writes it down.
func (s *Supervisor) Run(command Command) (*Child, error) {
	c := newChild(command, s.heard)
	if err := c.start(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.children = append(s.children, c)
	return c, nil
}

// Shutdown stops every process, the last started first. When ctx is done it hurries: what is being
// stopped then, and what follows, gets no time to finish its work.
func (s *Supervisor) Shutdown(ctx context.Context) {
	s.mu.Lock()
	children := slices.Clone(s.children)
	s.mu.Unlock()
	for _, c := range slices.Backward(children) {
		c.Stop(ctx)
	}
}

// Close ends the supervision; nothing may run any more.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if len(s.running)+len(s.orphans) == 0 {
		err = os.Remove(filepath.Join(s.dir, stateFile))
	}
	return errors.Join(err, s.lock.Unlock())
}

// heard keeps the state file true.
func (s *Supervisor) heard(e Event) {
	s.mu.Lock()
	if e.Record != nil {
		s.running = append(s.running, *e.Record)
	} else {
		s.running = slices.DeleteFunc(s.running, func(r Record) bool { return r.PID == e.PID })
	}
	e.Err = errors.Join(e.Err, s.save())
	s.mu.Unlock()
	if s.observe != nil {
		s.observe(e)
	}
}

const stateFile = "processes.json"

func readState(dir string) (st state, err error) {
	content, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &st)
	}
	if err != nil {
		err = fmt.Errorf("read what ran before: %w", err)
	}
	return st, err
}

func (s *Supervisor) save() error {
	st := state{Up: recordOf("up", os.Getpid(), nil), Processes: slices.Concat(s.orphans, s.running)}
	content, err := json.MarshalIndent(st, "", "  ")
	if err == nil {
		err = Replace(filepath.Join(s.dir, stateFile), content)
	}
	if err != nil {
		return fmt.Errorf("write down what runs: %w", err)
	}
	return nil
}

// Takedown stops whatever runs for dir: the supervisor, which then stops its processes, or what a killed
// one left behind. It returns when all of it is gone, with false if there was nothing, or with ctx's error.
// The files named are removed from dir: what a killed supervisor could not tidy up.
func Takedown(ctx context.Context, dir string, files ...string) (bool, error) {
	asked := 0
	for {
		s, err := Open(dir, nil)
		if err == nil {
			names, err := s.StopOrphans(ctx)
			for _, name := range files {
				_ = os.Remove(filepath.Join(dir, name)) // it need not be there
			}
			return asked != 0 || len(names) > 0, errors.Join(err, s.Close())
		}
		held, ok := errors.AsType[*HeldError](err)
		if !ok {
			return false, err
		}
		if held.PID != 0 && held.PID != asked {
			if err := terminate(held.PID); err != nil {
				return false, err
			}
			asked = held.PID
		}
		select {
		case <-ctx.Done():
			return true, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
