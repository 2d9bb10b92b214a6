package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThrottleExcessLooksAtEveryWindow(t *testing.T) {
	t.Parallel()
	at := func(seconds ...float64) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, time.Unix(0, int64(s*1e9)))
		}
		return times
	}
	for name, tt := range map[string]struct {
		times  []time.Time
		excess int
	}{
		"none":                       {nil, 0},
		"as many as may":             {at(0, 0, 0), 0},
		"a minute apart":             {at(0, 0, 0, 60, 60, 60), 0},
		"a hair less than a minute":  {at(0, 0, 0, 59.999), 1},
		"across full minutes":        {at(50, 51, 52, 61, 62), 2},
		"the excess is in the midst": {at(0, 100, 101, 102, 103, 200), 1},
	} {
		require.Equal(t, tt.excess, throttleExcess(tt.times, 3), name)
	}
}

func TestThrottleUse(t *testing.T) {
	t.Parallel()
	var times []time.Time
	for cycle := range 3 {
		for i := range 10 {
			times = append(times, time.Unix(0, 0).Add(time.Duration(cycle)*61*time.Second+time.Duration(i)*time.Millisecond))
		}
	}
	require.InDelta(t, 60.0/61, throttleUse(times, 10, 2), 1e-9)
}

func TestBenchSinkTakesWhatTheRawClientSends(t *testing.T) {
	t.Parallel()
	sink, err := startBenchSink()
	require.NoError(t, err)
	t.Cleanup(sink.close)
	const delay, n, connections = 20 * time.Millisecond, 100, 10
	sink.reset(delay)
	rate, err := rawClient(t.Context(), sink.url(), n, connections)
	require.NoError(t, err)
	require.Len(t, sink.times(), n)
	require.LessOrEqual(t, rate, float64(connections)/delay.Seconds(), "it cannot be quicker than its connections")
	last, err := sink.await(t.Context(), n)
	require.NoError(t, err)
	require.Equal(t, sink.times()[n-1], last)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = sink.await(over, n+1)
	require.ErrorContains(t, err, "only 100 of 101")
}

func TestNumbersFileIsWhole(t *testing.T) {
	t.Parallel()
	all, err := io.ReadAll(&numbersFile{rows: 3000})
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(all)), "\n")
	require.Len(t, lines, 3001)
	require.Equal(t, "+250780002999,Guest", lines[3000])
}

func TestPeakMemory(t *testing.T) {
	t.Parallel()
	most, err := peakMemory(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, most, int64(1<<20))
	_, err = peakMemory(-1)
	require.Error(t, err)
}

func TestMissedLimitIsAFailure(t *testing.T) {
	t.Parallel()
	var out, said bytes.Buffer
	b := bench{output: newOutput(&shell{stdout: &out, stderr: &said})}
	b.format = formatJSON
	b.atLeast(40, benchFigure{Bench: "import", Name: "import of COPY", Value: 40, Unit: "%"})
	b.atMost(4, benchFigure{Bench: "dispatch", Name: "history events", Value: 3.38})
	require.NoError(t, b.conclude())
	b.atMost(1, benchFigure{Bench: "pause", Name: "pause", Value: 1.001, Unit: "s"})
	out.Reset()
	require.ErrorContains(t, b.conclude(), "missed: pause")
	var report benchReport
	require.NoError(t, json.Unmarshal(out.Bytes(), &report))
	require.Equal(t, []bool{true, true, false}, []bool{report.Figures[0].Held, report.Figures[1].Held, report.Figures[2].Held})
}

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	for _, wrong := range [][]string{{"--only", "everything"}, {"--targets", "0"}, {"now"}} {
		var out, said bytes.Buffer
		require.Equal(t, exitWrongUsage, run(append([]string{"bench"}, wrong...), &out, &said), "%v: %s", wrong, said.String())
	}
}

// TestBenchRuns runs two small benches for real. Their limits are meant for a quiet machine, so a missed
// one is no failure here; that each was measured is.
func TestBenchRuns(t *testing.T) {
	t.Setenv(programVariable, "1") // its children are this binary
	var out, said bytes.Buffer
	code := run([]string{"bench", "--only", "wake,dispatch,import", "--targets", "2000", "--output", "json"}, &out, &said)
	require.Contains(t, []int{exitDone, exitFailed}, code)
	var report benchReport
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), said.String())
	require.Len(t, report.Figures, 7)
	for _, f := range report.Figures {
		require.Positive(t, f.Value, f.Name)
	}
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	for _, entry := range left {
		require.False(t, strings.Contains(said.String(), entry.Name()) && strings.HasPrefix(entry.Name(), "lastcall-bench-"), "%s is left", entry.Name())
	}
}
