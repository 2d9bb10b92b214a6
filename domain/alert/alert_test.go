package alert

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain"
)

var t0 = time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

// play steps a rule through what was found at these seconds and returns the states it went through.
func play(r Rule, found ...struct {
	at int
	v  Verdict
}) (states []State) {
	s := Status{State: Ok}
	for _, f := range found {
		s = r.Step(s, f.v, nil, at(f.at))
		states = append(states, s.State)
	}
	return states
}

type found = struct {
	at int
	v  Verdict
}

func TestClocks(t *testing.T) {
	t.Parallel()
	r := Rule{For: time.Minute, Keep: 30 * time.Second}
	for name, one := range map[string]struct {
		found []found
		want  []State
	}{
		"fires when it has held for long enough": {[]found{{0, Holds}, {59, Holds}, {60, Holds}}, []State{Pending, Pending, Firing}},
		"begins anew when it was clear":          {[]found{{0, Holds}, {59, Clear}, {60, Holds}, {119, Holds}}, []State{Pending, Ok, Pending, Pending}},
		"no data stops no clock":                 {[]found{{0, Holds}, {30, Unknown}, {60, Unknown}}, []State{Pending, Pending, Firing}},
		"no data begins no clock":                {[]found{{0, Unknown}, {600, Unknown}, {601, Holds}}, []State{Ok, Ok, Pending}},
		"no data resolves nothing":               {[]found{{0, Holds}, {60, Holds}, {61, Unknown}, {100_000, Unknown}}, []State{Pending, Firing, Firing, Firing}},
		"resolves when it was clear for a while": {[]found{{0, Holds}, {60, Holds}, {70, Clear}, {99, Clear}, {100, Clear}}, []State{Pending, Firing, Firing, Firing, Resolved}},
		"flapping is one alert":                  {[]found{{0, Holds}, {60, Holds}, {70, Clear}, {90, Holds}, {110, Clear}, {139, Clear}, {140, Clear}}, []State{Pending, Firing, Firing, Firing, Firing, Firing, Resolved}},
		"being clear must be seen all the while": {[]found{{0, Holds}, {60, Holds}, {70, Clear}, {80, Unknown}, {101, Clear}, {131, Clear}}, []State{Pending, Firing, Firing, Firing, Firing, Resolved}},
	} {
		require.Equal(t, one.want, play(r, one.found...), name)
	}
	require.Equal(t, []State{Firing, Resolved}, play(Rule{}, found{0, Holds}, found{1, Clear}), "without clocks at once")

	since := at(-61)
	s := r.Step(Status{State: Ok}, Holds, &since, at(0))
	require.Equal(t, Firing, s.State, "the source knows since when")
	require.Equal(t, since, s.PendingSince)
}

// Whatever is found, in whatever order: nothing fires early, nothing ends unseen.
func TestClocksHoldForAnySequence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := Rule{For: time.Duration(rapid.IntRange(0, 120).Draw(t, "for")) * time.Second, Keep: time.Duration(rapid.IntRange(0, 60).Draw(t, "keep")) * time.Second}
		s, now := Status{State: Ok}, t0
		var bad, well time.Time // since when it was not seen clear after it held; since when it was seen clear without a break
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "later")) * time.Second)
			v := rapid.SampledFrom([]Verdict{Holds, Clear, Unknown}).Draw(t, "verdict")
			was := s
			s = r.Step(was, v, nil, now)
			if v == Clear && well.IsZero() {
				well = now
			} else if v != Clear {
				well = time.Time{}
			}
			open := was.State == Pending || was.State == Firing
			if v == Holds && !open {
				bad = now
			}
			if was.State != Firing && s.State == Firing && now.Sub(bad) < r.For {
				t.Fatalf("fired %s after it began, before %s", now.Sub(bad), r.For)
			}
			if was.State == Firing && s.State == Resolved && (v != Clear || now.Sub(well) < r.Keep) {
				t.Fatalf("resolved by %s, %s after it was first clear", v, now.Sub(well))
			}
			if was.State == Firing && s.State != Firing && s.State != Resolved {
				t.Fatalf("what fired became %s", s.State)
			}
			if v == Unknown && was.State == Firing && s.State != Firing {
				t.Fatal("no data ended an alert")
			}
		}
	})
}

func TestJudge(t *testing.T) {
	t.Parallel()
	c, err := ParseCondition("redemption_failure_rate > 5%")
	require.NoError(t, err)
	r := Rule{When: c, MinN: 50}
	require.Equal(t, Holds, r.Judge(Sample{Known: true, Value: 0.06, N: 50}))
	require.Equal(t, Clear, r.Judge(Sample{Known: true, Value: 0.05, N: 60}), "5 % is not more than 5 %")
	require.Equal(t, Unknown, r.Judge(Sample{Known: true, Value: 1, N: 49}), "too few to say")
	require.Equal(t, Clear, r.Judge(Sample{Known: true, Value: 0, N: 1}), "well is well, of however few")
	require.Equal(t, Unknown, r.Judge(Sample{Value: 0, N: 100}), "no data is not clear")

	c, err = ParseCondition("edge_function is red")
	require.NoError(t, err)
	r = Rule{When: c, Subjects: []string{"messaging"}}
	require.True(t, r.About(Sample{Source: EdgeFunction, Subject: "messaging"}))
	require.False(t, r.About(Sample{Source: EdgeFunction, Subject: "mail"}))
	for state, want := range map[float64]Verdict{0: Clear, 1: Clear, 2: Holds} {
		require.Equal(t, want, r.Judge(Sample{Known: true, Value: state}))
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Condition{
		"outbox_age > 2m":                {OutboxAge, 120, ">"},
		"edge_function is amber":         {EdgeFunction, 1, "is"},
		"send_failure_rate > 20%":        {SendFailureRate, 0.2, ">"},
		"wrong_codes > 100":              {WrongCodes, 100, ">"},
		"redemption_failure_rate > 0.5%": {RedemptionFailureRate, 0.005, ">"},
	} {
		got, err := ParseCondition(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		require.Equal(t, text, map[bool]string{true: text, false: got.String()}[text == "outbox_age > 2m"])
	}
	for text, code := range map[string]string{
		"outbox_age":                   "bad_condition",
		"weather > 3":                  "unknown_source",
		"outbox_age > soon":            "bad_threshold",
		"outbox_age is red":            "bad_condition",
		"edge_function > 1":            "bad_condition",
		"edge_function is green":       "bad_threshold",
		"edge_function is unknown":     "bad_threshold",
		"send_failure_rate > 20":       "bad_threshold",
		"send_failure_rate > 100%":     "bad_threshold",
		"send_failure_rate > NaN%":     "bad_threshold",
		"wrong_codes > -1":             "bad_threshold",
		"campaigns_needing_a_human > ": "bad_condition",
	} {
		_, err := ParseCondition(text)
		require.Equal(t, code, domain.CodeOf(err), text)
	}
}

func TestLetters(t *testing.T) {
	t.Parallel()
	red := Line{Kind: "firing", AlertID: "a", Title: "WhatsApp messaging is down", Subject: "messaging", Severity: Critical, State: Firing, Since: t0,
		Found: "no answer", Incident: 12, Runbook: "messaging-failures"}
	w := Write("firing", 17, false, []Line{red})
	require.Equal(t, Letter{Title: "WhatsApp messaging is down", Level: Critical, Alert: "a",
		Text: "WhatsApp messaging is down (messaging) [critical], since 22:00 UTC: no answer. INC-12, runbook messaging-failures\nN-17"}, w)
	require.Equal(t, "DRILL – WhatsApp messaging is down", Write("firing", 17, true, []Line{red}).Title)

	over, end := red, at(90)
	over.Kind, over.State, over.ResolvedAt = "resolved", Resolved, &end
	was := red
	was.State, was.ResolvedAt = Resolved, &end
	w = Write("firing", 18, false, []Line{was, over})
	require.Equal(t, "Over: WhatsApp messaging is down (messaging), after 1m30s, at 22:01 UTC\nN-18", w.Text, "what is over when it is told is told once")
	require.Equal(t, Info, w.Level)

	other := red
	other.AlertID, other.Title = "b", "Mail is down"
	w = Write("firing", 19, false, []Line{red, other})
	require.Equal(t, "2 alerts: WhatsApp messaging is down", w.Title)
	require.Empty(t, w.Alert)
	require.Contains(t, Write("watchdog", 20, false, nil).Text, "N-20")
}
