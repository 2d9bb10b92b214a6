// Package kpi is the figures by which people judge how Lastcall does: what each counts, over which time, and when there is
// none to give. It reads nothing; store.KPIs does.
package kpi

import (
	"math"
	"strconv"
	"strings"
	"time"

	"lastcall/domain/policy"
	"lastcall/domain/probe"
)

// Name names a figure, in the API, in addresses and in reviews.
type Name string

// The figures of the dashboard.
const (
	Sent         Name = "sent"
	Delivery     Name = "delivery"
	Blocks       Name = "blocks"
	Vouchers     Name = "vouchers"
	Redemptions  Name = "redemption_failures"
	Availability Name = "availability"
)

// Unit is what a figure's value is counted in.
type Unit string

// The units. A share is a number from 0 to 1.
const (
	Messages     Unit = "messages"
	Decisions    Unit = "decisions"
	VoucherCount Unit = "vouchers"
	Share        Unit = "share"
)

// Figure is one number with all it takes to believe it.
type Figure struct {
	Name    Name     `json:"name" enum:"sent,delivery,blocks,vouchers,redemption_failures,availability"`
	Title   string   `json:"title"`
	Formula string   `json:"formula" doc:"How it is reckoned, in words"`
	Unit    Unit     `json:"unit" enum:"messages,decisions,vouchers,share" doc:"A share is a number from 0 to 1"`
	Value   *float64 `json:"value" doc:"null: there is nothing to reckon with, or it could not be read"`
	Of      int64    `json:"of" doc:"The numerator; of counts the value itself"`
	Among   int64    `json:"among" doc:"The denominator of a share; 0: there is nothing to reckon with"`
	Window
	Parts   []FigurePart `json:"parts" doc:"What it is made of"`
	Problem string       `json:"problem,omitempty" doc:"It could not be read now: a code"`
}

// Window is the time that a figure is about, From inclusive and To exclusive.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// FigurePart is a part of a figure: a reason, a kind, an edge function.
type FigurePart struct {
	Name  string      `json:"name"`
	Title string      `json:"title"`
	N     int64       `json:"n" doc:"How many; of availability the seconds in which it was green"`
	Among int64       `json:"among,omitempty" doc:"Of availability: the seconds that count; 0: nothing is known"`
	State probe.State `json:"state,omitempty" enum:"green,amber,red,unknown" doc:"Of an edge function, now"`
}

// Snapshot is all figures at a moment.
type Snapshot struct {
	At           time.Time `json:"at"`
	Zone         string    `json:"zone" doc:"IANA: of the days"`
	Figures      []Figure  `json:"figures"`
	Days         []Day     `json:"days" doc:"The last 30 days, oldest first; the last is today so far"`
	DaysProblem  string    `json:"days_problem,omitempty" doc:"They could not be read now: a code"`
	Needs        []Need    `json:"needs" doc:"What needs a human now; none is good"`
	NeedsProblem string    `json:"needs_problem,omitempty" doc:"It could not be read now: a code"`
}

// Day is what became of vouchers on a day.
type Day struct {
	Day      string `json:"day" format:"date" doc:"In the zone"`
	Issued   int64  `json:"issued"`
	Redeemed int64  `json:"redeemed"`
}

// Need is something that waits for a human.
type Need struct {
	Kind  NeedKind   `json:"kind" enum:"campaigns,campaign_approvals,override_approvals,template_approvals,approvals,daily_reviews,support_tasks,unsent_vouchers,edge_functions,alerts"`
	N     int64      `json:"n" doc:"How many; counted up to 1000"`
	Since *time.Time `json:"since,omitempty" doc:"Of the oldest"`
	Names []string   `json:"names,omitempty" doc:"Of edge functions: which; of alerts: some of their titles"`
}

// NeedKind is what waits.
type NeedKind string

// What waits for a human, the most pressing first.
const (
	FiringAlerts       NeedKind = "alerts" // that nobody has seen; drills' too, since somebody is to see to them
	RedFunctions       NeedKind = "edge_functions"
	StuckCampaigns     NeedKind = "campaigns"
	CampaignApprovals  NeedKind = "campaign_approvals"
	OverrideApprovals  NeedKind = "override_approvals"
	TemplateApprovals  NeedKind = "template_approvals"
	OtherApprovals     NeedKind = "approvals"
	UnsignedReviews    NeedKind = "daily_reviews"
	OpenSupportTasks   NeedKind = "support_tasks"
	UnsentVouchersNeed NeedKind = "unsent_vouchers"
)

// NeedsCountTo is how far Needs count.
const NeedsCountTo = 1000

// Days is how many days the chart goes back, today included.
const Days = 30

// Quarter is how finely a day's figures are kept: their window begins with a quarter of an hour, so that it is 24 hours and
// up to 15 minutes long.
const Quarter = 15 * time.Minute

// LastDay is the window of the day's figures.
func LastDay(now time.Time) Window {
	return Window{From: now.Add(-24 * time.Hour).UTC().Truncate(Quarter), To: now.UTC()}
}

// LastTime is the last so long, to the moment.
func LastTime(now time.Time, last time.Duration) Window {
	return Window{From: now.Add(-last).UTC(), To: now.UTC()}
}

// DaysOf are the days of the chart, oldest first, and when the first of them begins. A day has 23 hours or 25 where clocks change.
func DaysOf(now time.Time, zone *time.Location) (days []Day, from time.Time) {
	y, m, d := now.In(zone).Date()
	for i := range Days {
		days = append(days, Day{Day: time.Date(y, m, d-Days+1+i, 12, 0, 0, 0, zone).Format(time.DateOnly)})
	}
	return days, time.Date(y, m, d-Days+1, 0, 0, 0, 0, zone)
}

// formulas are what figures are called and how they are reckoned.
var formulas = map[Name]struct {
	title, formula string
	unit           Unit
}{
	Sent:         {"Sent, 24 h", "Messages that WhatsApp took: those of campaigns and single ones.", Messages},
	Delivery:     {"Delivery rate, 24 h", "Of the messages that WhatsApp took in this time, those that have been delivered or read by now. One that is still on its way counts as not delivered.", Share},
	Blocks:       {"Policy blocks, 24 h", "Decisions of the policy that held messages back, each told once to the audit log; a decision may hold many messages.", Decisions},
	Vouchers:     {"Vouchers, 24 h", "Vouchers issued in this time, and vouchers redeemed in this time, whenever they were issued.", VoucherCount},
	Redemptions:  {"Redemption failures, 15 min", "Redemptions that failed by our fault, of those and the redemptions that went through. What the rules refuse does not count.", Share},
	Availability: {"Availability, 24 h", "The share of the time in which the worst critical edge function was green. Time without a probe counts against it; drills do not count, nor does what was before the first probe.", Share},
}

// Names are the figures, in the order people see.
var Names = []Name{Sent, Delivery, Blocks, Vouchers, Redemptions, Availability}

func figure(name Name, w Window) Figure {
	f := formulas[name]
	return Figure{Name: name, Title: f.title, Formula: f.formula, Unit: f.unit, Window: w, Parts: []FigurePart{}}
}

// Count is a figure that is a number of things. Nothing is 0, not unknown.
func Count(name Name, w Window, n int64, parts ...FigurePart) Figure {
	f := figure(name, w)
	value := float64(n)
	f.Value, f.Of = &value, n
	f.Parts = append(f.Parts, parts...)
	return f
}

// Rate is a figure that is a share; of nothing it is unknown, neither 0 nor 1.
func Rate(name Name, w Window, of, among int64, parts ...FigurePart) Figure {
	f := figure(name, w)
	f.Of, f.Among = of, among
	if among > 0 {
		value := float64(of) / float64(among)
		f.Value = &value
	}
	f.Parts = append(f.Parts, parts...)
	return f
}

// Failed is a figure that could not be read, with the code of why.
func Failed(name Name, w Window, code string) Figure {
	f := figure(name, w)
	f.Problem = code
	return f
}

// Worst is the availability of the worst critical edge function; unknown when that of one of them is.
func Worst(w Window, parts []FigurePart) Figure {
	critical := map[string]bool{}
	for _, f := range probe.Functions {
		critical[string(f.Name)] = f.Critical
	}
	var worst *FigurePart
	for i, p := range parts {
		if !critical[p.Name] {
			continue
		}
		if p.Among == 0 {
			return Rate(Availability, w, 0, 0, parts...)
		}
		if worst == nil || p.N*worst.Among < worst.N*p.Among {
			worst = &parts[i]
		}
	}
	if worst == nil {
		return Rate(Availability, w, 0, 0, parts...)
	}
	return Rate(Availability, w, worst.N, worst.Among, parts...)
}

// ReasonTitle is why the policy held something back, for people.
func ReasonTitle(reason string) string {
	if title, ok := reasons[policy.Reason(reason)]; ok {
		return title
	}
	return strings.ReplaceAll(reason, "_", " ")
}

var reasons = map[policy.Reason]string{
	policy.DispatchDisabled:  "Sending is off",
	policy.ChannelSuspended:  "Channel suspended",
	policy.TemplateSuspended: "Template suspended",
	policy.OptOut:            "Opted out",
	policy.NoConsent:         "No consent",
	policy.InQuietHours:      "Quiet hours",
	policy.ChannelSlowed:     "Channel slowed",
	policy.Throttled:         "Throttled",
	policy.FrequencyCapped:   "Frequency cap",
}

// Percent is a share for people, to a tenth, cut off: never 100 % before everything is in, nor 0 % once something is.
func Percent(share float64) string {
	switch {
	case share >= 1:
		return "100 %"
	case share <= 0:
		return "0 %"
	case share < 0.001:
		return "< 0.1 %"
	}
	return strconv.FormatFloat(math.Floor(share*1000+1e-9)/10, 'f', 1, 64) + " %"
}
