package probe

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	f := Function{Name: Messaging, Slow: 2 * time.Second}
	answered, gone := Finding{Outcome: Answered, Latency: 40 * time.Millisecond}, Finding{Outcome: Unreachable, Detail: "It is gone."}
	down := slices.Repeat([]Outcome{Unreachable}, 30)
	flapping := []Outcome{Unreachable, Answered, Unreachable, Answered, Answered}
	for name, c := range map[string]struct {
		found  Finding
		recent []Outcome
		state  State
		detail string
	}{
		"answers":                         {answered, nil, Green, ""},
		"refuses":                         {Finding{Outcome: Refused, Detail: "Error 190."}, nil, Amber, "Error 190."},
		"not set":                         {Finding{Outcome: NotSet, Detail: "None."}, nil, Amber, "None."},
		"unreachable":                     {gone, nil, Red, "It is gone."},
		"slow":                            {Finding{Outcome: Answered, Latency: 2*time.Second + 1}, nil, Amber, "It answers slowly: in 2s."},
		"as slow as it may be":            {Finding{Outcome: Answered, Latency: 2 * time.Second}, nil, Green, ""},
		"back after an outage":            {answered, down, Green, ""},
		"fails part of the time":          {answered, flapping, Amber, "It answers, and has failed 2 times in the last 5 probes."},
		"fails now, part of the time":     {gone, flapping, Red, "It is gone."},
		"flapped long ago":                {answered, append(slices.Repeat([]Outcome{Answered}, Recent), flapping...), Green, ""},
		"slow, which is told before that": {Finding{Outcome: Answered, Latency: 3 * time.Second}, flapping, Amber, "It answers slowly: in 3s."},
	} {
		state, detail := Classify(f, c.found, c.recent)
		require.Equal(t, c.state, state, name)
		require.Equal(t, c.detail, detail, name)
	}
}

func TestOwnFault(t *testing.T) {
	t.Parallel()
	outside := func(o Outcome) Finding { return Finding{Outcome: o, Outside: true} }
	here := Finding{Outcome: Answered}
	require.True(t, OwnFault([]Finding{here, outside(Unreachable), outside(Unreachable), outside(Unreachable)}))
	require.True(t, OwnFault([]Finding{outside(NotSet), outside(Unreachable), outside(Unreachable), outside(Unreachable)}))
	require.False(t, OwnFault([]Finding{outside(Answered), outside(Unreachable), outside(Unreachable), outside(Unreachable)}), "one was reached")
	require.False(t, OwnFault([]Finding{outside(Refused), outside(Unreachable), outside(Unreachable), outside(Unreachable)}), "who refuses was reached")
	require.False(t, OwnFault([]Finding{here, outside(Unreachable), outside(Unreachable)}), "two may be down at once")
	require.False(t, OwnFault(slices.Repeat([]Finding{{Outcome: Unreachable}}, 5)), "all of it on this machine")
}

func TestWatch(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		pulse  Pulse
		detail string
	}{
		"all is well":            {Pulse{Beat: ago(2 * time.Second), Probed: ago(time.Minute)}, ""},
		"a beat late":            {Pulse{Beat: ago(15 * time.Second), Probed: ago(time.Minute)}, ""},
		"silent":                 {Pulse{Beat: ago(15*time.Second + 1), Probed: ago(time.Minute)}, "No worker has said anything for 15s."},
		"never a worker":         {Pulse{Since: ago(time.Hour)}, "No worker has said anything for 1h0m0s."},
		"just begun to watch":    {Pulse{Since: ago(10 * time.Second)}, ""},
		"nobody probes":          {Pulse{Beat: now, Probed: ago(Stale(Every) + 1)}, "A worker is there, and nothing was probed for 2m15s."},
		"a probe or two late":    {Pulse{Beat: now, Probed: ago(Stale(Every))}, ""},
		"old news at the start":  {Pulse{Beat: ago(time.Hour), Probed: ago(time.Hour), Since: ago(time.Second)}, ""},
		"never probed, and long": {Pulse{Beat: now, Since: ago(time.Hour)}, "A worker is there, and nothing was probed for 1h0m0s."},
	} {
		c.pulse.Now = now
		found := Watch(c.pulse, Every)
		if c.detail == "" {
			require.Nil(t, found, name)
			continue
		}
		require.Equal(t, &Finding{Name: Dispatcher, Outcome: Unreachable, Detail: c.detail, At: now}, found, name)
	}
}

func TestFaultCheck(t *testing.T) {
	t.Parallel()
	good := Fault{Name: Messaging, Kind: Timeout, Share: 1}
	require.NoError(t, good.Check(FaultMost))
	require.NoError(t, Fault{Name: VoucherCard, Kind: Slow, Share: 0.25, Delay: DelayMost}.Check(time.Second))
	require.NoError(t, Fault{Name: Dispatcher, Kind: StopPolling, Share: 1}.Check(time.Minute))
	for code, c := range map[string]struct {
		change func(f *Fault)
		lasts  time.Duration
		field  string
	}{
		"unknown_edge_function": {func(f *Fault) { f.Name = "printer" }, time.Minute, "edge_function"},
		"unknown_fault":         {func(f *Fault) { f.Kind = "gremlin" }, time.Minute, "kind"},
		"no_fault_there":        {func(f *Fault) { f.Kind = StopPolling }, time.Minute, "kind"},
		"bad_share":             {func(f *Fault) { f.Share = 1.01 }, time.Minute, "share"},
		"bad_delay":             {func(f *Fault) { f.Delay = time.Second }, time.Minute, "delay_ms"},
		"bad_duration":          {func(*Fault) {}, FaultMost + 1, "seconds"},
	} {
		f := good
		c.change(&f)
		err := f.Check(c.lasts)
		require.Equal(t, code, domain.CodeOf(err))
		require.Equal(t, c.field, err.(*domain.Error).Field)
	}
	for _, bad := range []Fault{{Name: Database, Kind: Timeout, Share: 1}, {Name: Dispatcher, Kind: Timeout, Share: 1}, {Name: Dispatcher, Kind: StopPolling, Share: 0.5},
		{Name: Messaging, Kind: Timeout}, {Name: Messaging, Kind: Slow, Share: 1}, {Name: Messaging, Kind: Slow, Share: 1, Delay: time.Microsecond}} {
		require.Equal(t, domain.Invalid, domain.KindOf(bad.Check(time.Minute)), "%v", bad)
	}
	require.Equal(t, "bad_duration", domain.CodeOf(good.Check(0)))
}
