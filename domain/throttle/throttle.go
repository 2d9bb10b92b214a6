// Package throttle advises on how much a channel may send, by what became of the messages that went: it proposes a value of
// each cap, says why, and says so when too little has gone to know. It decides nothing; store.ThrottleAdvice has the figures.
package throttle

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"lastcall/domain"
	"lastcall/domain/policy"
)

// Advise says of each cap what the figures say about it, in the order of Settings.
func Advise(f Figures) []Proposal {
	advise := map[Setting]func(Figures) Proposal{PerMinute: perMinute, PerSecond: perSecond, Tier: tier, PairSeconds: pairSeconds}
	all := make([]Proposal, len(Settings))
	for i, s := range Settings {
		p := Proposal{Setting: s, Now: f.now(s), Verdict: Unknown, N: f.Tried()}
		if p.N < Enough {
			p = p.because("%s were handed to WhatsApp; %d are needed to know", messages(p.N), Enough)
		} else {
			p = advise[s](f)
		}
		all[i] = p
	}
	return all
}

// Setting is one cap of a channel, by its name in the setting throttle.
type Setting string

// The caps.
const (
	PerMinute   Setting = "per_minute"
	PerSecond   Setting = "per_second"
	Tier        Setting = "tier"
	PairSeconds Setting = "pair_seconds"
)

// Settings are all of them.
var Settings = []Setting{PerMinute, PerSecond, Tier, PairSeconds}

// Title is the cap for people.
func (s Setting) Title() string {
	return map[Setting]string{PerMinute: "messages a minute", PerSecond: "messages a second", Tier: "people a day", PairSeconds: "seconds between two to a person"}[s]
}

// Verdict is what the figures say about a cap.
type Verdict string

// The verdicts. To tighten is to let less go: of a pause, to make it longer.
const (
	Keep    Verdict = "keep"
	Tighten Verdict = "tighten"
	Loosen  Verdict = "loosen"
	Unknown Verdict = "unknown" // too few messages went
)

// Proposal is what the figures say about one cap.
type Proposal struct {
	Setting  Setting  `json:"setting" enum:"per_minute,per_second,tier,pair_seconds"`
	Now      int      `json:"now" doc:"In force; 0: of per_minute nothing goes, of the others no limit"`
	Proposed *int     `json:"proposed" doc:"null: too little is known to propose anything"`
	Verdict  Verdict  `json:"verdict" enum:"keep,tighten,loosen,unknown" doc:"To tighten is to let less go"`
	Reasons  []string `json:"reasons" doc:"Sentences, with their figures"`
	N        int64    `json:"n" doc:"Messages that were handed to WhatsApp, by which it is reckoned"`
}

// What the rules reckon with. Shares are of messages.
const (
	Enough    = 50   // messages from which a share says anything
	RefusedAt = 0.01 // refused for their rate: from there on a cap is too high
	ArrivedAt = 0.90 // arrived: below, no cap is loosened
	LeftAt    = 0.02 // followed by an opt-out within Left: above, no cap is loosened, and nobody new is written to
	FullAt    = 0.90 // of a cap, used: from there on it may be in the way
)

// Left is how long after a message an opt-out counts as its answer.
const Left = 48 * time.Hour

// What WhatsApp lets a number do, by its documentation: messages a second unless the number was upgraded, seconds between two
// to one person, and people in 24 hours on each step of the ladder, the last step being without limit.
const (
	numberPerSecond = 80
	pairPause       = 6
	longestPause    = 3600 // that the setting takes
)

var ladder = []int{250, 2_000, 10_000, 100_000}

// Figures are what went by a channel between two instants.
type Figures struct {
	From, To time.Time
	Caps     policy.Cap // in force now

	Sent       int64 // messages that WhatsApp took
	Delivered  int64 // of them, those that have arrived
	RateErrors int64 // refusals for the rate of a number, an app or an account: 130429, 4, 80007
	PairErrors int64 // refusals for the rate to one person: 131056
	SpamErrors int64 // refusals because people had blocked or reported messages: 131048
	OptOuts    int64 // people who opted out within Left of a message

	BusiestMinute int64 // permits in the fullest minute of the clock
	BusiestSecond int64 // permits in the fullest second of the clock
	BusiestDay    int64 // permits in the fullest 24 hours: no fewer than people
	FullMinutes   int64 // minutes in which FullAt of per_minute or more was granted
	Waits         int64 // batches of campaigns that waited for a permit
}

// Tried is how many messages were handed to WhatsApp, refusals for their rate included.
func (f Figures) Tried() int64 { return f.Sent + f.RateErrors + f.PairErrors + f.SpamErrors }

func (f Figures) now(s Setting) int {
	return map[Setting]int{PerMinute: f.Caps.PerMinute, PerSecond: f.Caps.PerSecond, Tier: f.Caps.Tier, PairSeconds: f.Caps.PairSeconds}[s]
}

// perMinute follows what the number took: less where it was refused, no more than anything has shown, and more only where
// the cap was in the way and nothing speaks against it.
func perMinute(f Figures) Proposal {
	p := f.keep(PerMinute)
	ceiling := max(numberPerSecond*60, grown(f.BusiestMinute, 5, 4))
	if p.Now == 0 {
		return p.because("the channel is stopped")
	}
	return f.rate(p, "minute", f.BusiestMinute, ceiling)
}

func perSecond(f Figures) Proposal {
	p := f.keep(PerSecond)
	ceiling := max(numberPerSecond, grown(f.BusiestSecond, 5, 4))
	if p.Now == 0 && f.refused() < RefusedAt {
		if f.Caps.PerMinute <= numberPerSecond {
			return p.because("a whole minute's %s are no more than WhatsApp takes in a second", domain.Thousands(int64(f.Caps.PerMinute)))
		}
		return p.propose(Tighten, ceiling).because("without it a whole minute's %s may go in one second; WhatsApp takes %d from a number, and the busiest second had %s",
			domain.Thousands(int64(f.Caps.PerMinute)), numberPerSecond, domain.Thousands(f.BusiestSecond))
	}
	return f.rate(p, "second", f.BusiestSecond, ceiling)
}

// rate is the advice about so many a minute or a second.
func (f Figures) rate(p Proposal, span string, busiest int64, ceiling int) Proposal {
	switch less := max(1, int(busiest*4/5)); {
	case f.refused() >= RefusedAt:
		p = p.because("WhatsApp refused %s of %s for their rate (%s); the busiest %s had %s", domain.Thousands(f.RateErrors), messages(f.Tried()),
			share(f.refused()), span, domain.Thousands(busiest))
		if p.Now == 0 || less < p.Now {
			return p.propose(Tighten, less).because("four fifths of that leave room")
		}
		return p.because("the cap is below four fifths of that already")
	case p.Now > ceiling:
		return p.propose(Tighten, ceiling).because("WhatsApp takes %d a second from a number unless it was upgraded, and the busiest %s had %s: nothing has shown that more goes",
			numberPerSecond, span, domain.Thousands(busiest))
	case f.Waits > 0 && float64(busiest) >= FullAt*float64(p.Now):
		p = p.because("campaigns waited for permits %s times, and the busiest %s had %s of %s", domain.Thousands(f.Waits), span, domain.Thousands(busiest), domain.Thousands(int64(p.Now)))
		if against := f.against(); len(against) > 0 {
			p.Reasons = append(p.Reasons, against...)
			return p
		}
		if more := min(ceiling, grown(int64(p.Now), 3, 2)); more > p.Now {
			return p.propose(Loosen, more).because("nothing was refused for its rate, and what went arrived")
		}
		return p.because("WhatsApp takes no more from a number, unless it was upgraded")
	}
	return p.because("the busiest %s had %s of %s, and nothing was refused for its rate", span, domain.Thousands(busiest), domain.Thousands(int64(p.Now)))
}

// tier looks at how many people are new in a day: no more than were tried while people leave.
func tier(f Figures) Proposal {
	p := f.keep(Tier)
	day := fmt.Sprintf("the busiest 24 hours had %s", messages(f.BusiestDay))
	step, next := 0, 0
	for i := len(ladder) - 1; i >= 0; i-- {
		if int64(ladder[i]) >= f.BusiestDay {
			step = ladder[i]
		}
		if ladder[i] > p.Now {
			next = ladder[i]
		}
	}
	switch {
	case f.left() > LeftAt || f.SpamErrors > 0:
		p.Reasons = append(p.Reasons, f.complaints()...)
		if step > 0 && (p.Now == 0 || step < p.Now) {
			return p.propose(Tighten, step).because("%s: until fewer leave, no more people a day than were tried", day)
		}
		return p.because("%s: the cap lets no more than were tried", day)
	case p.Now > 0 && next > 0 && f.Waits > 0 && float64(f.BusiestDay) >= FullAt*float64(p.Now):
		p = p.because("%s, and the cap is %s people", day, domain.Thousands(int64(p.Now)))
		if against := f.against(); len(against) > 0 {
			p.Reasons = append(p.Reasons, against...)
			return p
		}
		return p.propose(Loosen, next).because("the next step of WhatsApp's, once its Manager shows that the number has it")
	}
	return p.because("%s; what WhatsApp lets this number is in its Manager", day)
}

// pairSeconds follows refusals for one person's rate.
func pairSeconds(f Figures) Proposal {
	p := f.keep(PairSeconds)
	if float64(f.PairErrors) < RefusedAt*float64(f.Tried()) {
		return p.because("WhatsApp refused %s of %s for coming too soon after another to the same person", domain.Thousands(f.PairErrors), messages(f.Tried()))
	}
	p = p.because("WhatsApp refused %s of %s for coming too soon after another to the same person; it wants %d seconds between two", domain.Thousands(f.PairErrors),
		messages(f.Tried()), pairPause)
	if p.Now < pairPause {
		return p.propose(Tighten, pairPause)
	}
	return p.propose(Tighten, min(2*p.Now, longestPause)).because("the pause of %d is not enough", p.Now)
}

// against is what speaks against letting more go.
func (f Figures) against() (why []string) {
	if f.Sent < Enough {
		return []string{fmt.Sprintf("no cap is loosened by %s", messages(f.Sent))}
	}
	if arrived := float64(f.Delivered) / float64(f.Sent); arrived < ArrivedAt {
		why = append(why, fmt.Sprintf("no cap is loosened while only %s of %s arrive", share(arrived), messages(f.Sent)))
	}
	return append(why, f.complaints()...)
}

// complaints are what people think of the messages.
func (f Figures) complaints() (why []string) {
	if f.left() > LeftAt {
		why = append(why, fmt.Sprintf("%s opted out within %d hours of a message: %s of %s", people(f.OptOuts), int(Left.Hours()), share(f.left()), messages(f.Sent)))
	}
	if f.SpamErrors > 0 {
		why = append(why, fmt.Sprintf("WhatsApp refused %s because people had blocked or reported messages", messages(f.SpamErrors)))
	}
	return why
}

func (f Figures) refused() float64 { return part(f.RateErrors, f.Tried()) }
func (f Figures) left() float64    { return part(f.OptOuts, f.Sent) }

func part(some, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(some) / float64(of)
}

func (f Figures) keep(s Setting) Proposal {
	now := f.now(s)
	return Proposal{Setting: s, Now: now, Proposed: &now, Verdict: Keep, Reasons: []string{}, N: f.Tried()}
}

func (p Proposal) because(format string, args ...any) Proposal {
	p.Reasons = append(p.Reasons, fmt.Sprintf(format, args...))
	return p
}

func (p Proposal) propose(v Verdict, value int) Proposal {
	p.Verdict, p.Proposed = v, &value
	return p
}

// grown is n times a/b, rounded down to two digits, and never below n.
func grown(n int64, a, b int64) int {
	more, unit := n*a/b, int64(1)
	for more/unit >= 100 {
		unit *= 10
	}
	return int(max(n, more/unit*unit))
}

func messages(n int64) string { return counted(n, "message", "messages") }
func people(n int64) string   { return counted(n, "person", "people") }

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return domain.Thousands(n) + " " + many
}

func share(s float64) string { return fmt.Sprintf("%.1f %%", 100*s) }

// Tightens are the caps that the advice would tighten.
func Tightens(all []Proposal) []Setting {
	found := []Setting{}
	for _, p := range all {
		if p.Verdict == Tighten {
			found = append(found, p.Setting)
		}
	}
	return found
}

// Apply is c with what is proposed.
func Apply(c policy.Cap, all []Proposal) policy.Cap {
	into := map[Setting]*int{PerMinute: &c.PerMinute, PerSecond: &c.PerSecond, Tier: &c.Tier, PairSeconds: &c.PairSeconds}
	for _, p := range all {
		if p.Proposed != nil {
			*into[p.Setting] = *p.Proposed
		}
	}
	return c
}

// Digest is SHA-256 of what is proposed, and of the caps and the pilot that it is about: not of the figures, which change with
// each message.
func Digest(from time.Time, caps policy.Cap, all []Proposal) []byte {
	type gist struct {
		Setting  Setting
		Proposed *int
		Verdict  Verdict
	}
	said := make([]gist, len(all))
	for i, p := range all {
		said[i] = gist{p.Setting, p.Proposed, p.Verdict}
	}
	text, err := json.Marshal([]any{from.UTC(), caps, said})
	if err != nil {
		panic(err) // numbers and names
	}
	sum := sha256.Sum256(text)
	return sum[:]
}
