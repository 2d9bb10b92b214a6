package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Record is a process written down. A pid alone is no identity, since ids are reused; the pid and the
// start time are.
type Record struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Started string `json:"started"` // compared, never parsed
	Stop    []Step `json:"stop,omitempty"`
}

func recordOf(name string, pid int, stop []Step) Record {
	return Record{Name: name, PID: pid, Started: startOf(pid), Stop: stop}
}

// alive says whether this very process still runs.
func (r Record) alive() bool { return r.PID > 0 && r.Started != "" && startOf(r.PID) == r.Started }

// stop ends a process that is not our child. The error says that it survives even a kill.
func (r Record) stop(ctx context.Context) error {
	hurry := ctx.Done()
	for _, step := range append(r.Stop, Step{syscall.SIGKILL, 10 * time.Second}) {
		if !r.alive() {
			return nil
		}
		target := r.PID
		if step.Signal == syscall.SIGKILL {
			target = -r.PID // with what it started
		}
		if err := syscall.Kill(target, step.Signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop %s (process %d): %w", r.Name, r.PID, err)
		}
		for deadline := time.After(step.Wait); r.alive(); {
			select {
			case <-hurry:
				hurry = nil
			case <-deadline:
			case <-time.After(20 * time.Millisecond):
				continue
			}
			break
		}
	}
	if r.alive() {
		return fmt.Errorf("%s (process %d) does not end", r.Name, r.PID)
	}
	return nil
}

func terminate(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop lastcall up (process %d): %w", pid, err)
	}
	return nil
}

// Alive reports whether a process runs. One that has ended and only waits for its parent does not.
func Alive(pid int) bool { return startOf(pid) != "" }

// startOf is when the process started, empty if there is none or it has ended and only waits for its
// parent. On Linux it is the boot and the clock ticks since then, which no change of the clock moves;
// elsewhere what ps says.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
		fields := strings.Fields(rest) // from the third on: the state first, the start time as the 22nd
		if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
			return ""
		}
		return strings.TrimSpace(string(boot)) + "/" + fields[19]
	}
	if _, noProc := os.Stat("/proc/self/stat"); noProc == nil {
		return ""
	}
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	stateAndStart := strings.Fields(string(out))
	if err != nil || len(stateAndStart) < 2 || strings.HasPrefix(stateAndStart[0], "Z") {
		return ""
	}
	return strings.Join(stateAndStart[1:], " ")
}

// Replace writes a file so that a reader sees the old content or the new, never a part. It is readable
// by its owner only.
func Replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
