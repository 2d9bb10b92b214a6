package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func benchCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	b := bench{output: o}
	cmd := &cobra.Command{
		Use: "bench", GroupID: groupCare, Short: "Measure this build on this machine", Args: cobra.NoArgs,
		Long: `Brings up a Postgres, a Temporal, an API and a worker of its own, measures, and removes them again; a running
Lastcall is not touched. What is measured stands beside its limit, as a ratio to something as simple as can be
in the same run, so that machines can be compared; docs/performance.md explains each figure. Exits with 1 when
a limit is missed. On a busy machine the figures say more about its business.`,
		Example: `  lastcall bench
  lastcall bench --only dispatch --output json
  lastcall bench --only million`,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) },
	}
	cmd.Flags().Var(&o.format, "output", "table or json; json prints one object")
	cmd.Flags().StringSliceVar(&b.only, "only", nil, "run only these, of "+strings.Join(benchNames(), ", "))
	cmd.Flags().BoolVar(&b.million, "million", false, "also run a campaign of a million targets")
	cmd.Flags().IntVar(&b.targets, "targets", 100_000, "targets of the campaigns that measure speed; the limits are meant for 100,000 and more")
	cmd.AddCommand(rawClientCommand(sh), benchRaceCommand(sh), benchRedeemCommand(sh))
	return cmd
}

// bench is one run of the benchmarks.
type bench struct {
	*output
	only    []string
	million bool
	targets int
	stack   *benchStack
	report  benchReport
}

// benchReport is what a run found.
type benchReport struct {
	Machine benchMachine  `json:"machine"`
	Figures []benchFigure `json:"figures"`
	Held    bool          `json:"held"` // every limit
	Seconds float64       `json:"seconds"`
}

// benchMachine is where the figures come from.
type benchMachine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// benchFigure is one figure beside its limit.
type benchFigure struct {
	Bench  string             `json:"bench"`
	Name   string             `json:"name"`
	Value  float64            `json:"value"`
	Unit   string             `json:"unit"`
	Limit  float64            `json:"limit"`
	Bound  string             `json:"bound"` // "<=" or ">=": how the value must stand to the limit
	Held   bool               `json:"held"`
	Basis  string             `json:"basis"` // what it was measured from, for people
	Detail map[string]float64 `json:"detail,omitempty"`
}

// benches are the benchmarks in the order they run.
var benches = []struct {
	name string
	asks bool // only when asked for
	run  func(b *bench, ctx context.Context) error
}{
	{"dispatch", false, (*bench).dispatch},
	{"import", false, (*bench).imports},
	{"wake", false, (*bench).wake},
	{"pause", false, (*bench).pause},
	{"throttle", false, (*bench).throttle},
	{"million", true, (*bench).aMillion},
}

func benchNames() (names []string) {
	for _, b := range benches {
		names = append(names, b.name)
	}
	return names
}

func (b *bench) run(ctx context.Context) error {
	for _, name := range b.only {
		if !slices.Contains(benchNames(), name) {
			return usageError{fmt.Errorf("--only %s: use %s", name, strings.Join(benchNames(), ", "))}
		}
	}
	if b.targets < 1 || b.targets > 10_000_000 {
		return usageError{errors.New("--targets must be between 1 and 10,000,000")}
	}
	began := time.Now()
	b.say("starting Postgres, Temporal, the API and a worker")
	var err error
	b.stack, err = openBenchStack(ctx, func(s string) { b.say("  %s", s) })
	defer func() { b.stack.close() }()
	if err != nil {
		return err
	}
	for _, one := range benches {
		if len(b.only) > 0 && !slices.Contains(b.only, one.name) || len(b.only) == 0 && one.asks && !b.million {
			continue
		}
		b.say("%s", one.name)
		if err := one.run(b, ctx); err != nil {
			return fmt.Errorf("bench %s: %w", one.name, err)
		}
	}
	return b.finish(began)
}

// finish says where the figures come from and concludes.
func (b *bench) finish(began time.Time) error {
	r := &b.report
	r.Machine = benchMachine{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()}
	r.Held = !slices.ContainsFunc(r.Figures, func(f benchFigure) bool { return !f.Held })
	r.Seconds = math.Round(time.Since(began).Seconds())
	return b.conclude()
}

// conclude prints the report; a missed limit is an error.
func (b *bench) conclude() error {
	if err := b.print(b.report, func(t *listing) {
		t.header("bench", "figure", "value", "limit", "", "measured")
		t.right(3, 4)
		for _, f := range b.report.Figures {
			verdict := "held"
			if !f.Held {
				verdict = "MISSED"
			}
			t.row(f.Bench, f.Name, measure(f.Value, f.Unit), map[string]string{"<=": "≤ ", ">=": "≥ "}[f.Bound]+measure(f.Limit, f.Unit), verdict, f.Basis)
		}
	}); err != nil {
		return err
	}
	var missed []string
	for _, f := range b.report.Figures {
		if !f.Held {
			missed = append(missed, f.Name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(missed, "; "))
	}
	return nil
}

// measure writes a value with its unit as people read it.
func measure(v float64, unit string) string {
	switch {
	case unit == "%" && v != math.Trunc(v):
		return fmt.Sprintf("%.1f %%", v)
	case v != math.Trunc(v):
		return fmt.Sprintf("%.2f %s", v, unit)
	}
	return fmt.Sprintf("%s %s", thousands(int64(v)), unit)
}

// atLeast and atMost add a figure.
func (b *bench) atLeast(limit float64, f benchFigure) { b.add(">=", limit, f) }
func (b *bench) atMost(limit float64, f benchFigure)  { b.add("<=", limit, f) }

func (b *bench) add(bound string, limit float64, f benchFigure) {
	f.Value = math.Round(f.Value*1000) / 1000
	f.Bound, f.Limit = bound, limit
	f.Held = bound == ">=" && f.Value >= limit || bound == "<=" && f.Value <= limit
	b.report.Figures = append(b.report.Figures, f)
	b.say("  %s: %s (%s)", f.Name, measure(f.Value, f.Unit), f.Basis)
}
