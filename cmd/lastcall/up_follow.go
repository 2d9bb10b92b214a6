package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lastcall/fixtures"
)

const (
	stopSignal = syscall.SIGTERM
	drainTime  = 30 * time.Second // what a worker may take to finish what it is sending
)

// surviveClosedOutput keeps `lastcall up | head` from ending us with everything left running: a write to a
// closed pipe then only fails.
func surviveClosedOutput() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// announce writes up.json and tells where everything is.
func (u *up) announce(took time.Duration) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.writeUpFile(); err != nil {
		return err
	}
	u.ready = true
	out := u.sh.stdout
	fmt.Fprintf(out, "\nready in %.1f s\n\n", took.Seconds())
	printPart(u.sh, "panel", u.at.public)
	for i, a := range u.secrets.accounts() {
		what := ""
		if i == 0 {
			what = "sign in"
		}
		printPart(u.sh, what, fmt.Sprintf("%-30s %s", a.Email, a.Password))
	}
	printPart(u.sh, "station app", u.at.public+"/station/")
	if !u.realWhatsApp() {
		printPart(u.sh, "", fixtures.FirstStation+"  PIN "+u.secrets.StationPIN)
	}
	if u.secure.on {
		printPart(u.sh, "certificate", "SHA-256 "+u.secure.fingerprint)
	}
	printPart(u.sh, "API docs", u.at.public+"/api/v1/docs")
	if u.at.sandbox != "" {
		printPart(u.sh, "sandbox inbox", u.at.sandbox)
	}
	if u.at.temporalWeb != "" {
		note := ""
		if u.config.Temporal.Address == "" {
			note = " (its write actions are on: the development server cannot switch them off)"
		}
		printPart(u.sh, "Temporal Web", u.at.temporalWeb+note)
	}
	printPart(u.sh, "token", u.secrets.Token)
	printPart(u.sh, "logs", u.log("*"))
	fmt.Fprintf(out, "\nCtrl-C stops it all. What happens from here on:\n\n")
	return nil
}

// follow prints what the children log from now on, until ctx is done.
func (u *up) follow(ctx context.Context) {
	tails := []*tail{}
	for _, name := range []string{"sandbox", "api", "worker"} {
		tails = append(tails, newTail(name, u.log(name)))
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, t := range tails {
			t.copy(u.sh.stdout)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tail copies the whole lines that are added to a log.
type tail struct {
	name, path string
	offset     int64
}

func newTail(name, path string) *tail {
	t := &tail{name: name, path: path}
	if info, err := os.Stat(path); err == nil {
		t.offset = info.Size()
	}
	return t
}

// copy prints the new lines. A log that is gone or became shorter starts from its beginning.
func (t *tail) copy(out io.Writer) {
	f, err := os.Open(t.path)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() < t.offset {
		t.offset = 0
	}
	content, err := io.ReadAll(io.NewSectionReader(f, t.offset, 1<<20))
	if err != nil {
		return
	}
	for {
		line, rest, whole := bytes.Cut(content, []byte("\n"))
		if !whole {
			return
		}
		fmt.Fprintf(out, "%-7s │ %s\n", t.name, line)
		t.offset += int64(len(line)) + 1
		content = rest
	}
}
