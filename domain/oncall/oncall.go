// Package oncall says who of Ops is to be woken: a rota of weeks.
package oncall

import (
	"slices"
	"time"
)

// Rota is who is on call, a week each, in turn. A week begins at a local time, so that a change of the clocks makes one an
// hour longer or shorter. The zero value has nobody.
type Rota struct {
	Zone    string   `json:"zone"`   // IANA, whose clocks count
	Starts  string   `json:"starts"` // when the first member's week begins: "2026-11-23T09:00", of the zone's clocks
	Members []string `json:"members"`
	Swaps   []Swap   `json:"swaps,omitempty"`
}

// Swap has somebody else take one week.
type Swap struct {
	Week   string `json:"week"` // any day of it, "2026-12-21"; the week is the one that holds its last minute
	Member string `json:"member"`
}

// Turn is one week of the rota.
type Turn struct {
	Member  string    // an account's address
	From    time.Time // from then on
	Until   time.Time // until before then
	Swapped bool      // it is not whose turn it would be
}

// Formats of Rota.Starts and Swap.Week.
const (
	StartFormat = "2006-01-02T15:04"
	WeekFormat  = "2006-01-02"
)

// At is the turn that holds t; false when nobody is on call then, which is before the start and in an empty rota.
func (r Rota) At(t time.Time) (Turn, bool) {
	start, zone, ok := r.start()
	if !ok || t.Before(start) {
		return Turn{}, false
	}
	// Weeks are counted by the calendar: so many days after the start at the same local time, whatever the clocks did between.
	week := int(t.Sub(start) / (7 * 24 * time.Hour))
	for !t.Before(begin(start, zone, week+1)) {
		week++
	}
	for t.Before(begin(start, zone, week)) {
		week--
	}
	turn := Turn{Member: r.Members[week%len(r.Members)], From: begin(start, zone, week), Until: begin(start, zone, week+1)}
	i := slices.IndexFunc(r.Swaps, func(s Swap) bool {
		day, err := time.ParseInLocation(WeekFormat, s.Week, zone)
		if err != nil {
			return false
		}
		last := time.Date(day.Year(), day.Month(), day.Day(), 23, 59, 0, 0, zone)
		return !last.Before(turn.From) && last.Before(turn.Until)
	})
	if i >= 0 && r.Swaps[i].Member != turn.Member {
		turn.Member, turn.Swapped = r.Swaps[i].Member, true
	}
	return turn, true
}

// Next are the turns from the one that holds t on, n of them; fewer before the start and in an empty rota.
func (r Rota) Next(t time.Time, n int) (all []Turn) {
	start, _, ok := r.start()
	if !ok {
		return nil
	}
	if t.Before(start) {
		t = start
	}
	for len(all) < n {
		turn, ok := r.At(t)
		if !ok {
			break
		}
		all, t = append(all, turn), turn.Until
	}
	return all
}

func (r Rota) start() (time.Time, *time.Location, bool) {
	if len(r.Members) == 0 {
		return time.Time{}, nil, false
	}
	zone, err := time.LoadLocation(r.Zone)
	if err != nil {
		return time.Time{}, nil, false
	}
	start, err := time.ParseInLocation(StartFormat, r.Starts, zone)
	return start, zone, err == nil
}

func begin(start time.Time, zone *time.Location, week int) time.Time {
	return time.Date(start.Year(), start.Month(), start.Day()+7*week, start.Hour(), start.Minute(), 0, 0, zone)
}
