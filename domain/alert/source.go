package alert

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/probe"
)

// Unit is what a source counts in, and how a condition writes its threshold.
type Unit string

// The units.
const (
	ByState Unit = "state"    // green, amber, red: a condition says "is red"
	Seconds Unit = "duration" // > 2m
	Share   Unit = "share"    // > 5%
	Count   Unit = "count"    // > 10
)

// Source is something that is measured.
type Source struct {
	Name     string
	Title    string // for people
	Unit     Unit
	Every    time.Duration // between two looks; no rule's clock is shorter
	Subjects []string      // what it is about; none: all of Lastcall
}

// Look is how often the engine looks at what the database itself knows.
const Look = 5 * time.Second

// Window is what shares are reckoned over.
const Window = 15 * time.Minute

// The sources' names.
const (
	EdgeFunction          = "edge_function"
	DispatcherSilence     = "dispatcher_silence"
	OutboxAge             = "outbox_age"
	NoticeAge             = "notice_age"
	SendFailureRate       = "send_failure_rate"
	RedemptionFailureRate = "redemption_failure_rate"
	WrongCodes            = "wrong_codes"
	CampaignsStuck        = "campaigns_needing_a_human"
	PolicyBlocks          = "policy_block_rate"
	SendsPastForecast     = "sends_past_forecast"
	SendsPastCap          = "sends_past_cap"
)

// Sources are all that is measured.
var Sources = []Source{
	{EdgeFunction, "What the last probe found", ByState, probe.Every, functions()},
	{DispatcherSilence, "Since a worker last said that it is there", Seconds, Look, nil},
	{OutboxAge, "Age of the oldest effect that was not delivered", Seconds, Look, nil},
	{NoticeAge, "Age of the oldest notice that a channel did not take", Seconds, Look, []string{string(OpsChannel), string(Mail)}},
	{SendFailureRate, "Messages that failed, of those tried in 15 minutes", Share, time.Minute, nil},
	{RedemptionFailureRate, "Redemptions that failed by our fault, of those tried in 15 minutes", Share, Look, nil},
	{WrongCodes, "Wrong voucher codes in 15 minutes", Count, Look, nil},
	{CampaignsStuck, "Campaigns that somebody has to mend", Count, Look, nil},
	{PolicyBlocks, "Recipients that a changed rule holds back beyond what was accepted when it was saved, of all decided about since", Share, Look, nil},
	{SendsPastForecast, "Messages tried since a rule was changed, beyond those that were said to go", Share, Look, nil},
	{SendsPastCap, "Messages let go in the last minute, beyond the cap", Share, Look, nil},
}

func functions() []string {
	names := make([]string, len(probe.Functions))
	for i, f := range probe.Functions {
		names[i] = string(f.Name)
	}
	return names
}

// SourceOf is the source of a name.
func SourceOf(name string) (Source, bool) {
	i := slices.IndexFunc(Sources, func(s Source) bool { return s.Name == name })
	if i < 0 {
		return Source{}, false
	}
	return Sources[i], true
}

// states in order of how bad they are; their index is the sample's value.
var states = []probe.State{probe.Green, probe.Amber, probe.Red}

// StateValue is a probe's state as a sample's value, and whether it says anything.
func StateValue(s probe.State) (value float64, known bool) {
	i := slices.Index(states, s)
	return float64(max(i, 0)), i >= 0
}

// Show is a value for people, in the source's unit.
func (s Source) Show(value float64) string {
	switch s.Unit {
	case ByState:
		return string(states[min(max(int(value), 0), len(states)-1)])
	case Seconds:
		return time.Duration(value * float64(time.Second)).Round(time.Second).String()
	case Share:
		return strconv.FormatFloat(math.Round(value*1000)/10, 'f', -1, 64) + " %"
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}

// Condition is what makes a sample bad: "redemption_failure_rate > 5%", "edge_function is red".
type Condition struct {
	Source    string
	Threshold float64 // in the source's unit; a state's index
	Op        string  // ">" or "is", which is exactly that bad
}

func (c Condition) holds(value float64) bool {
	if c.Op == "is" {
		return value == c.Threshold
	}
	return value > c.Threshold
}

// String is the condition as it is written.
func (c Condition) String() string {
	source, _ := SourceOf(c.Source)
	return fmt.Sprintf("%s %s %s", c.Source, c.Op, strings.ReplaceAll(source.Show(c.Threshold), " ", ""))
}

// ParseCondition reads a condition: a source, "is" or ">", and a threshold in the source's unit. Errors are domain.Invalid:
// bad_condition, unknown_source and bad_threshold, without a field.
func ParseCondition(text string) (Condition, error) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return Condition{}, domain.E(domain.Invalid, "bad_condition", `write a source, "is" or ">", and a threshold, like "outbox_age > 2m"`)
	}
	source, ok := SourceOf(words[0])
	if !ok {
		return Condition{}, domain.E(domain.Invalid, "unknown_source", "there is no source %q", words[0])
	}
	c := Condition{Source: source.Name, Op: words[1]}
	if want := map[bool]string{true: "is", false: ">"}[source.Unit == ByState]; c.Op != want {
		return Condition{}, domain.E(domain.Invalid, "bad_condition", "%s is compared with %q", source.Name, want)
	}
	bad := domain.E(domain.Invalid, "bad_threshold", "%q is no %s", words[2], source.Unit)
	switch source.Unit {
	case ByState:
		i := slices.Index(states, probe.State(words[2]))
		if i < 1 {
			return Condition{}, domain.E(domain.Invalid, "bad_threshold", "use amber or red")
		}
		c.Threshold = float64(i)
	case Seconds:
		d, err := time.ParseDuration(words[2])
		if err != nil || d < 0 {
			return Condition{}, bad
		}
		c.Threshold = d.Seconds()
	case Share:
		number, percent := strings.CutSuffix(words[2], "%")
		f, err := strconv.ParseFloat(number, 64)
		if !percent || err != nil || !(f >= 0 && f < 100) {
			return Condition{}, bad
		}
		c.Threshold = f / 100
	case Count:
		n, err := strconv.ParseUint(words[2], 10, 32)
		if err != nil {
			return Condition{}, bad
		}
		c.Threshold = float64(n)
	}
	return c, nil
}
