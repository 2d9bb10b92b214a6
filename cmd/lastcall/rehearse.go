package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/rollout"
)

// rehearsalFactor makes a day of the plan a minute.
const rehearsalFactor = 1440

func rolloutRehearse(o *output) *cobra.Command {
	factor := rehearsalFactor
	cmd := &cobra.Command{
		Use: "rehearse", Short: "Walk a rollout from staging to live, and break it, within minutes", Args: cobra.NoArgs,
		Long: `Walks a rollout of its own, rehearsal-…, by the configured plan from staging to live on a running lastcall up: people of each role
prove, sign and open each gate over the API, and each gate is refused once before. Campaigns are sent, vouchers redeemed and an
outage is drilled, all on the sandbox: it is refused where messages go to people, and while a rollout is under way. Durations of the
plan pass --factor times as fast; no clock is told anything else.

Settings are saved on the way, and others who work there obey them meanwhile; at the end, also when it is interrupted, they are as
they were and the rehearsal is over. What a killed one left, the next one takes away. The exit code is 0 only if everything was as
the plan wants it.`,
		Example: "  lastcall rollout rehearse\n  lastcall rollout rehearse --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if factor < 2 || factor > rollout.MostFactor {
				return usageError{fmt.Errorf("--factor takes 2 to %d", rollout.MostFactor)}
			}
			r, err := newRehearsal(o, factor)
			if err != nil {
				return err
			}
			return r.run(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&factor, "factor", factor, "so many times as fast do the plan's durations pass")
	return cmd
}

// rehearsal is one run.
type rehearsal struct {
	*output
	up     upFile
	dir    string // of the data, where the lock is
	factor int
	name   string
	people map[access.Role][]*apiClient
	smoke  *panelSmoke // its ways to make bars, phones and faults, and to take them away
	began  time.Time
	begun  bool           // the rollout is there
	beside sync.WaitGroup // what goes on beside the steps

	mu     sync.Mutex // guards what follows: some steps go side by side
	result rehearsalResult
	phone  *counterPhone // at the counter of the pilot's station

	campaigns []string // of the pilot, whose vouchers are redeemed
}

// rehearsalResult is what a run prints. Times are in seconds.
type rehearsalResult struct {
	Rehearsal      string          `json:"rehearsal"`
	Factor         int             `json:"factor"`
	Phase          string          `json:"phase"` // the last that it came to
	Items          int             `json:"items"`
	ItemsPassed    int             `json:"items_passed"`
	ItemsWaived    int             `json:"items_waived"`
	RefusedOnce    int             `json:"refused_once"` // gates that were refused before they opened
	SignalsTripped int             `json:"signals_tripped"`
	RolledBack     int             `json:"rolled_back"`
	Recovered      int             `json:"recovered"`
	TimeToSafe     float64         `json:"time_to_safe"` // of the slowest rollback
	Seconds        float64         `json:"seconds"`
	OK             bool            `json:"ok"`
	Gates          []rehearsedGate `json:"gates"`
	Steps          []rehearsedStep `json:"steps"`
}

// rehearsedGate is a gate with what it was refused for.
type rehearsedGate struct {
	To      rollout.Phase  `json:"to"`
	Missing []rollout.Open `json:"missing"` // when it was refused
	Opened  bool           `json:"opened"`
}

// rehearsedStep is one thing that was done, and what was seen of it.
type rehearsedStep struct {
	Phase   string  `json:"phase"`
	Step    string  `json:"step"`
	OK      bool    `json:"ok"`
	Seen    string  `json:"seen"`
	At      float64 `json:"at"` // after the beginning
	Seconds float64 `json:"seconds"`
}

// act is something to be done in a rehearsal. It tells what it saw.
type act struct {
	name string
	do   func(ctx context.Context) (seen string, err error)
}

// run walks it all, and leaves everything as it was whatever happens.
func (r *rehearsal) run(ctx context.Context) (err error) {
	lock := flock.New(filepath.Join(r.dir, "rehearsal.lock"), flock.SetPermissions(0o600))
	if free, err := lock.TryLock(); err != nil || !free {
		return errors.Join(errors.New("a rehearsal is under way here: one at a time"), err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	defer func() {
		for _, all := range r.people {
			for _, c := range all {
				c.visitor.signOut()
			}
		}
	}()
	r.began = time.Now()
	walked := r.walk(ctx)
	undone := r.leave(context.WithoutCancel(ctx))
	if ctx.Err() != nil {
		walked = errInterrupted
	}
	r.result.OK = walked == nil && undone == nil
	r.result.Seconds = seconds(time.Since(r.began))
	return errors.Join(r.report(), walked, undone)
}

// walk is the story of a rehearsal.
func (r *rehearsal) walk(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer r.beside.Wait() // it puts back what it changed
	defer cancel()
	for _, part := range [][]act{r.beforehand(), r.staging(), r.pilot(), r.production(), r.live()} {
		for _, a := range part {
			if err := r.act(ctx, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// act does one thing and tells of it with its time.
func (r *rehearsal) act(ctx context.Context, a act) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	began := time.Now()
	seen, err := a.do(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	step := rehearsedStep{Phase: r.result.Phase, Step: a.name, OK: err == nil, Seen: seen, At: seconds(began.Sub(r.began)), Seconds: seconds(time.Since(began))}
	mark := "✓"
	if err != nil {
		mark, step.Seen = "✗", err.Error()
		err = fmt.Errorf("%s, %s: %w", r.result.Phase, a.name, err)
	}
	r.result.Steps = append(r.result.Steps, step)
	r.say("%s %6.1fs %-10s %s%s", mark, seconds(time.Since(r.began)), step.Phase, step.Step, inBrackets(step.Seen, step.Seconds))
	return err
}

func inBrackets(seen string, took float64) string {
	if seen != "" {
		seen = ": " + seen
	}
	return fmt.Sprintf("%s (%.1f s)", seen, took)
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// leave ends the rehearsal, which puts the settings back, and takes away what it made. Interrupted or not, it has a minute.
func (r *rehearsal) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var errs []error
	if r.begun {
		errs = append(errs, r.end(ctx, "the rehearsal is over"))
	}
	return errors.Join(append(errs, r.smoke.clean(ctx))...)
}

// end ends the rollout that is under way, if it is a rehearsal.
func (r *rehearsal) end(ctx context.Context, reason string) error {
	_, err := r.as(access.ProjectLead).call(ctx, http.MethodPost, "/rollout/end", api.RolloutReason{Reason: reason}, &api.Rollout{})
	if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Code == rollout.NotBegun {
		return nil
	}
	return err
}

// report prints the result.
func (r *rehearsal) report() error {
	out := r.result
	return r.print(out, func(t *listing) {
		t.header("phase", "step", "", "seconds", "what was seen")
		t.right(4)
		for _, s := range out.Steps {
			t.row(s.Phase, s.Step, map[bool]string{true: "✓", false: "✗"}[s.OK], fmt.Sprintf("%.1f", s.Seconds), s.Seen)
		}
		t.row("", "", "", "", "")
		t.row(out.Phase, fmt.Sprintf("%d of %d items passed", out.ItemsPassed, out.Items), "", fmt.Sprintf("%.1f", out.Seconds),
			fmt.Sprintf("%d waived; %d gates were refused once; %d signals tripped, %d rolled back, %d recovered; safe within %.1f s",
				out.ItemsWaived, out.RefusedOnce, out.SignalsTripped, out.RolledBack, out.Recovered, out.TimeToSafe))
	})
}

// newRehearsal finds out where Lastcall is, and who there are to rehearse with.
func newRehearsal(o *output, factor int) (*rehearsal, error) {
	up, err := o.sh.readUpFile()
	if err != nil {
		return nil, err
	}
	c, err := o.sh.config()
	if err != nil {
		return nil, err
	}
	// What the smoke tests print is not of this command; what they say goes on as lines of its own.
	silent := newOutput(&shell{stdout: io.Discard, stderr: io.Discard, configFile: o.sh.configFile, dataDir: o.sh.dataDir})
	r := &rehearsal{output: o, up: up, dir: c.DataDir, factor: factor, people: map[access.Role][]*apiClient{},
		name:  fmt.Sprintf("%s%s", rollout.RehearsalPrefix, time.Now().UTC().Format("20060102-150405")),
		smoke: &panelSmoke{output: silent, smokeSettings: smokeSettings{why: "rehearsal", found: map[string]json.RawMessage{}}, base: up.API, people: map[access.Role]*apiClient{}}}
	r.result = rehearsalResult{Rehearsal: r.name, Factor: factor, Phase: "none", Gates: []rehearsedGate{}, Steps: []rehearsedStep{}}
	for _, a := range up.Accounts {
		if a.Email == probeEmail || a.Station != "" {
			continue
		}
		person := &apiClient{base: up.API, visitor: &visitor{credentials: api.Credentials{Email: a.Email, Password: a.Password}}}
		r.people[a.Role] = append(r.people[a.Role], person)
		if r.smoke.people[a.Role] == nil {
			r.smoke.people[a.Role] = person
		}
	}
	for role, least := range map[access.Role]int{access.Admin: 1, access.ProjectLead: 2, access.Ops: 1, access.Support: 1, access.Compliance: 1, access.Finance: 2, access.Viewer: 1} {
		if len(r.people[role]) < least {
			return nil, fmt.Errorf("up.json has %d accounts of the role %s, and a rehearsal takes %d", len(r.people[role]), role, least)
		}
	}
	r.smoke.admin = r.as(access.Admin)
	return r, nil
}

// as is somebody of a role; the second of it where their word must not be their own last.
func (r *rehearsal) as(role access.Role, which ...int) *apiClient {
	n := 0
	if len(which) > 0 {
		n = which[0]
	}
	return r.people[role][n]
}
