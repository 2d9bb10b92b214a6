package drill_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/drill"
	"lastcall/domain/policy"
	"lastcall/domain/probe"
)

// outage is a scenario that expects everything.
func outage() drill.Scenario {
	m := func(n int) policy.Span { return policy.Span(time.Duration(n) * time.Minute) }
	s := func(n int) policy.Span { return policy.Span(time.Duration(n) * time.Second) }
	return drill.Scenario{
		Name: "outage", Title: "Gone", Story: "All is gone.",
		SteadyState: []drill.SteadyCondition{{EdgeFunction: probe.Messaging, State: []probe.State{probe.Green}}},
		Fault:       drill.Injection{EdgeFunction: probe.Messaging, Kind: "reset", Share: 1, For: m(40)}, Traffic: true, ProbeEvery: m(1),
		Expect: []drill.Expectation{
			{Event: drill.Detected, Within: m(3), Weight: 20, Key: true, State: []probe.State{probe.Red}},
			{Event: drill.Alerted, Within: m(5), Weight: 25, Rule: "messaging-red", Hold: m(1), Channel: "ops"},
			{Event: drill.Acknowledged, Within: m(20), Weight: 15},
			{Event: drill.Mitigated, Within: m(8), Weight: 15, Rule: "critical-red-long", Hold: m(2)},
			{Event: drill.Recovered, Within: m(3), Weight: 15, Key: true},
			{Event: drill.Steady, Within: m(6), Weight: 10},
		},
		Fast: drill.FastDrill{FaultFor: s(100), ProbeEvery: s(2), Hold: s(4), Within: map[drill.Event]policy.Span{drill.Detected: s(20), drill.Alerted: s(60),
			drill.Acknowledged: s(70), drill.Mitigated: s(70), drill.Recovered: s(30), drill.Steady: s(60)}},
	}
}

func TestAScenarioIsChecked(t *testing.T) {
	t.Parallel()
	require.NoError(t, outage().Check())
	for name, c := range map[string]struct {
		change func(*drill.Scenario)
		code   string
		field  string
	}{
		"an unknown fault":                {func(s *drill.Scenario) { s.Fault.Kind = "earthquake" }, "unknown_fault", "fault.kind"},
		"an unknown function":             {func(s *drill.Scenario) { s.Fault.EdgeFunction = "coffee" }, "unknown_edge_function", "fault.edge_function"},
		"stops what it cannot":            {func(s *drill.Scenario) { s.Fault.Kind = "stop_polling" }, "no_fault_there", "fault.kind"},
		"no share":                        {func(s *drill.Scenario) { s.Fault.Share = 0 }, "bad_share", "fault.share"},
		"a share above all":               {func(s *drill.Scenario) { s.Fault.Share = 1.5 }, "bad_share", "fault.share"},
		"slow, but by how much?":          {func(s *drill.Scenario) { s.Fault.Kind = "slow" }, "bad_delay", "fault.delay"},
		"for ever":                        {func(s *drill.Scenario) { s.Fault.For = policy.Span(3 * time.Hour) }, "bad_duration", "fault.for"},
		"the database":                    {func(s *drill.Scenario) { s.Fault.EdgeFunction = probe.Database }, "no_fault_there", "fault.edge_function"},
		"a deadline under the interval":   {func(s *drill.Scenario) { s.Expect[0].Within = policy.Span(30 * time.Second) }, "threshold_too_short", "expect.detected"},
		"a clock under the interval":      {func(s *drill.Scenario) { s.Expect[1].Hold = policy.Span(30 * time.Second) }, "threshold_too_short", "expect.alerted.hold"},
		"fast, a deadline too short":      {func(s *drill.Scenario) { s.Fast.Within[drill.Detected] = policy.Span(time.Second) }, "threshold_too_short", "expect.detected"},
		"fast, a clock too short":         {func(s *drill.Scenario) { s.Fast.Hold = policy.Span(time.Second) }, "threshold_too_short", "expect.alerted.hold"},
		"fast, without a deadline":        {func(s *drill.Scenario) { delete(s.Fast.Within, drill.Steady) }, "bad_expectation", "fast.within"},
		"awaited beyond the fault":        {func(s *drill.Scenario) { s.Expect[2].Within = policy.Span(time.Hour) }, "bad_expectation", "expect.acknowledged"},
		"probed all the time":             {func(s *drill.Scenario) { s.ProbeEvery = policy.Span(time.Millisecond) }, "bad_interval", "probe_every"},
		"101 points":                      {func(s *drill.Scenario) { s.Expect[0].Weight++ }, "bad_weights", "expect"},
		"nothing":                         {func(s *drill.Scenario) { s.Expect[0].Weight = 0 }, "bad_weights", "expect"},
		"in no order":                     {func(s *drill.Scenario) { s.Expect[0], s.Expect[1] = s.Expect[1], s.Expect[0] }, "bad_expectation", "expect"},
		"twice":                           {func(s *drill.Scenario) { s.Expect[1] = s.Expect[0] }, "bad_expectation", "expect"},
		"never steady again":              {func(s *drill.Scenario) { s.Expect = s.Expect[:5]; s.Expect[0].Weight += 10 }, "bad_expectation", "expect"},
		"an alert of no rule":             {func(s *drill.Scenario) { s.Expect[1].Rule = "" }, "bad_expectation", "expect.alerted"},
		"an alert nowhere":                {func(s *drill.Scenario) { s.Expect[1].Channel = "pigeon" }, "bad_expectation", "expect.alerted"},
		"mitigates what?":                 {func(s *drill.Scenario) { s.Traffic = false }, "bad_expectation", "traffic"},
		"detects green":                   {func(s *drill.Scenario) { s.Expect[0].State = []probe.State{probe.Green} }, "unknown_state", "expect.detected"},
		"steady while red":                {func(s *drill.Scenario) { s.SteadyState[0].State = []probe.State{probe.Red} }, "unknown_state", "steady_state"},
		"no steady state":                 {func(s *drill.Scenario) { s.SteadyState = nil }, "bad_expectation", "steady_state"},
		"a name that nobody can type":     {func(s *drill.Scenario) { s.Name = "Out Age" }, "bad_name", "name"},
		"without a word what it is about": {func(s *drill.Scenario) { s.Story = "" }, "bad_name", "title"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := outage()
			c.change(&s)
			err := s.Check()
			require.Equal(t, c.code, domain.CodeOf(err), "%v", err)
			var told *domain.Error
			require.ErrorAs(t, err, &told)
			require.Equal(t, c.field, told.Field)
		})
	}
}

func TestAScenarioIsReadStrictly(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(outage())
	require.NoError(t, err)
	again, err := drill.Parse(raw)
	require.NoError(t, err)
	require.Equal(t, outage(), again)
	for _, bad := range []string{`{"name":"x","surprise":1}`, string(raw) + "{}", `[]`} {
		_, err := drill.Parse([]byte(bad))
		require.Equal(t, "scenario_unreadable", domain.CodeOf(err), bad)
	}
	_, err = drill.Find([]drill.Scenario{outage()}, "flood")
	require.Equal(t, "unknown_scenario", domain.CodeOf(err))
	require.ErrorContains(t, err, "outage")
}

var began = time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)

// record is of a drill whose fault was there after a second, and gone after 500 s, with these events so many seconds later.
func record(seen map[drill.Event]float64) drill.Record {
	injected, reverted := began.Add(time.Second), began.Add(501*time.Second)
	r := drill.Record{Scenario: outage(), State: drill.Completed, CreatedAt: began, InjectedAt: &injected, RevertedAt: &reverted}
	for _, e := range drill.Events {
		after, ok := seen[e]
		from := injected
		if e.After() {
			from = reverted
		}
		entry := drill.JournalEntry{Phase: drill.Run, Name: string(e), Type: drill.Seen, Status: drill.Success, At: from.Add(time.Duration(after * float64(time.Second)))}
		if !ok {
			entry.Status = drill.Failure
		}
		r.Entries = append(r.Entries, entry)
	}
	return r
}

func all() map[drill.Event]float64 {
	return map[drill.Event]float64{drill.Detected: 61, drill.Alerted: 130, drill.Acknowledged: 400, drill.Mitigated: 200, drill.Recovered: 30, drill.Steady: 50}
}

func TestTheScore(t *testing.T) {
	t.Parallel()
	without := func(events ...drill.Event) map[drill.Event]float64 {
		seen := all()
		for _, e := range events {
			delete(seen, e)
		}
		return seen
	}
	with := func(e drill.Event, after float64) map[drill.Event]float64 {
		seen := all()
		seen[e] = after
		return seen
	}
	for name, c := range map[string]struct {
		seen   map[drill.Event]float64
		others []string
		score  int
		capped bool
	}{
		"all in time":                         {all(), nil, 100, false},
		"at the very deadline":                {with(drill.Detected, 180), nil, 100, false},
		"a moment late, of a key expectation": {with(drill.Detected, 180.001), nil, 50, true},
		"late, of another":                    {with(drill.Acknowledged, 1300), nil, 92, false},
		"nobody acknowledged":                 {without(drill.Acknowledged), nil, 85, false},
		"no alert: it scores nothing for it":  {without(drill.Alerted, drill.Acknowledged), nil, 60, false},
		"the right alert, but not alone":      {all(), []string{"guess-storm"}, 87, false},
		"never healed: capped":                {without(drill.Recovered), nil, 50, true},
		"never detected, all else went well":  {without(drill.Detected), nil, 50, true},
		"capped lower by what is missing":     {without(drill.Detected, drill.Alerted, drill.Acknowledged), nil, 40, false},
		"nothing was measured":                {nil, nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(c.seen)
			r.Others = c.others
			v := r.Judge()
			require.Equal(t, c.score, v.Score)
			require.Equal(t, c.capped, v.Capped != "", v.Capped)
			require.LessOrEqual(t, v.Score, 100)
			sum := 0
			for _, p := range v.Parts {
				require.NotEmpty(t, p.Why)
				sum += p.Weight
			}
			require.Equal(t, 100, sum)
			require.Equal(t, c.score < 100, r.Journal(began.Add(time.Hour)).Deviated)
		})
	}
}

// A drill that never ran scores nothing, whatever its journal claims to have seen.
func TestWhatNeverRanScoresNothing(t *testing.T) {
	t.Parallel()
	r := record(all())
	r.InjectedAt, r.RevertedAt, r.State = nil, nil, drill.Failed
	j := r.Journal(began.Add(time.Minute))
	require.Zero(t, j.Score)
	require.Nil(t, j.DetectedAfter)
	require.False(t, j.Deviated, "it has not begun: it failed")
	for _, p := range j.Parts {
		require.Equal(t, "never run", p.Why)
	}
}

func TestTheJournal(t *testing.T) {
	t.Parallel()
	r := record(all())
	r.Entries = append([]drill.JournalEntry{
		{Phase: drill.Before, Name: "messaging is green", Type: drill.Looked, Status: drill.Success, At: began},
		{Phase: drill.Run, Name: "inject the fault", Type: drill.Action, Status: drill.Success, At: began.Add(time.Second)}}, r.Entries...)
	r.Entries = append(r.Entries, drill.JournalEntry{Phase: drill.Rollbacks, Name: "take the fault away", Type: drill.Action, Status: drill.Success, At: began.Add(501 * time.Second)},
		drill.JournalEntry{Phase: drill.AfterAll, Name: "messaging is green", Type: drill.Looked, Status: drill.Success, At: began.Add(600 * time.Second)})
	ended := began.Add(601 * time.Second)
	r.EndedAt = &ended
	j := r.Journal(began.Add(time.Hour))
	require.InDelta(t, 601, j.Duration, 0.001)
	require.InDelta(t, 61, *j.DetectedAfter, 0.001)
	require.InDelta(t, 30, *j.RecoveredAfter, 0.001, "from the end of the fault")
	require.True(t, j.SteadyStates.Before.Met)
	require.True(t, j.SteadyStates.After.Met)
	require.Len(t, j.Run, 7)
	require.Len(t, j.Rollbacks, 1)
	require.False(t, j.Deviated)
	require.Equal(t, outage(), j.Experiment)

	raw, err := json.Marshal(j)
	require.NoError(t, err)
	var told map[string]any
	require.NoError(t, json.Unmarshal(raw, &told))
	for _, key := range []string{"experiment", "status", "deviated", "score", "detected_after", "alerted_after", "acknowledged_after", "mitigated_after",
		"recovered_after", "steady_states", "run", "rollbacks", "start", "end", "duration"} {
		require.Contains(t, told, key)
	}

	// Steady after all else, but not at the end: it deviated.
	r.Entries[len(r.Entries)-1].Status = drill.Failure
	require.True(t, r.Journal(ended).Deviated)
}

// An event that was told before its fault by another clock took no time, not less than none.
func TestNothingTakesLessThanNoTime(t *testing.T) {
	t.Parallel()
	require.Zero(t, *record(map[drill.Event]float64{drill.Detected: -0.2}).Journal(began).DetectedAfter)
}
