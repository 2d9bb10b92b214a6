package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"lastcall/domain"
	"lastcall/domain/contact"
)

// SettingFinding is what is suspicious about settings that are otherwise well-formed.
type SettingFinding struct {
	Code     string   `json:"code" doc:"Stable; a danger is acknowledged by it"`
	Severity Severity `json:"severity" enum:"warning,danger"`
	Field    string   `json:"field,omitempty" doc:"What it is about, like RW or whatsapp.per_minute; absent: the whole setting"`
	Message  string   `json:"message" doc:"For people"`
}

// Severity says what a finding asks for.
type Severity string

// The severities. A warning is shown; a danger must be acknowledged by whoever saves.
const (
	Warning Severity = "warning"
	Danger  Severity = "danger"
)

// The codes of findings.
const (
	HardlyOpen         = "hardly_open"         // danger: less than an hour a day is left to send in
	InvertedWindow     = "inverted_window"     // danger: quiet by day, open at night
	WholeDay           = "whole_day"           // warning: a window of 23 hours or more
	OverlappingWindows = "overlapping_windows" // warning: some of a window says nothing new
	HoursRemoved       = "hours_removed"       // warning: a country has no quiet hours any more
	SeveralZones       = "several_zones"       // warning: who has no known zone there is held at any hour
	NightWithoutZone   = "night_without_zone"  // danger: who has no known zone there is written to at night
	ConsentOff         = "consent_off"         // danger: marketing goes to who never agreed
	ChannelStopped     = "channel_stopped"     // warning: nothing goes out by a channel
	CapJump            = "cap_jump"            // ten times as much as before, or more; a danger where many targets are queued, else a warning
	CapDrop            = "cap_drop"            // warning: a tenth of what it was, or less
	CapOff             = "cap_off"             // warning: a limit that there was is gone
	RatesMismatch      = "rates_mismatch"      // warning: the second's limit keeps from ever reaching the minute's
	WeekBelowDay       = "week_below_day"      // warning: the week's limit keeps from ever reaching the day's
	BlocksMasses       = "blocks_masses"       // danger, of the toggle a warning: many targets would wait that may go now
	ReleasesMasses     = "releases_masses"     // danger, of the toggle a warning: many targets would go that wait now
)

// Lint says what is suspicious about a key's new value: about the settings with it, which are to follow those
// before, and about what it does to the targets that are queued now. What was so before is no news and left out.
func Lint(key string, before, after Settings, m Masses) []SettingFinding {
	jump := Warning
	if m.Waiting+m.Ready >= massTargets {
		jump = Danger
	}
	known := before.lint()
	found := slices.DeleteFunc(after.lint(), func(f SettingFinding) bool { return slices.Contains(known, f) })
	for _, country := range slices.Sorted(maps.Keys(before.QuietHours)) {
		if len(before.QuietHours[country].Windows) > 0 && len(after.QuietHours[country].Windows) == 0 {
			found = append(found, SettingFinding{HoursRemoved, Warning, country, country + " has no quiet hours any more: people there are written to at night, too"})
		}
	}
	for _, channel := range slices.Sorted(maps.Keys(before.Throttle)) {
		was, is := before.Throttle[channel], after.Throttle[channel]
		if was.PerMinute > 0 && is.PerMinute <= 0 {
			found = append(found, SettingFinding{ChannelStopped, Warning, channel + ".per_minute", "0 a minute stops " + channel + ": nothing goes out by it until somebody sets another limit"})
		} else {
			found = append(found, lintCap(channel+".per_minute", was.PerMinute, is.PerMinute, jump)...)
		}
		found = append(found, lintCap(channel+".per_second", was.PerSecond, is.PerSecond, jump)...)
		found = append(found, lintCap(channel+".tier", was.Tier, is.Tier, jump)...)
		if was.PairSeconds > 0 && is.PairSeconds <= 0 {
			found = append(found, SettingFinding{CapOff, Warning, channel + ".pair_seconds", fmt.Sprintf("the pause of %d seconds between two messages to one person is gone", was.PairSeconds)})
		}
	}
	was, is := before.FrequencyCap.Marketing, after.FrequencyCap.Marketing
	found = append(found, lintCap("marketing.per_day", was.PerDay, is.PerDay, jump)...)
	found = append(found, lintCap("marketing.per_week", was.PerWeek, is.PerWeek, jump)...)
	if before.Consent.Required && !after.Consent.Required {
		found = append(found, SettingFinding{ConsentOff, Danger, "required", "marketing would go to people of whom no agreement is recorded; the law may forbid that"})
	}
	return append(found, m.lint(key)...)
}

// Masses are how many targets a change makes wait, or lets go, at once. Thousands in one stroke are what somebody
// who mistyped would not have wanted.
type Masses struct {
	Waiting  int64 // targets that wait now
	Ready    int64 // targets that may go now
	Blocked  int64 // of Ready: those that would wait, or end unsent
	Released int64 // of Waiting: those that might go
}

// What is many: at least so many, and at least that share of those it could concern.
const (
	massTargets = 1000
	massShare   = 0.2
)

// lint warns of a change to key that blocks or releases many targets at once. Of the toggle, by which somebody does
// just that, it only tells.
func (m Masses) lint(key string) []SettingFinding {
	severity := Danger
	if key == "toggles" {
		severity = Warning
	}
	many := func(n, of int64) bool { return n >= massTargets && float64(n) >= massShare*float64(of) }
	var found []SettingFinding
	if many(m.Blocked, m.Ready) {
		found = append(found, SettingFinding{BlocksMasses, severity, "", fmt.Sprintf("%s of the %s targets that may go now would not", domain.Thousands(m.Blocked), domain.Thousands(m.Ready))})
	}
	if many(m.Released, m.Waiting) {
		found = append(found, SettingFinding{ReleasesMasses, severity, "", fmt.Sprintf("%s of the %s targets that wait now would go at once", domain.Thousands(m.Released), domain.Thousands(m.Waiting))})
	}
	return found
}

// lint says what is suspicious about settings whatever they were.
func (s Settings) lint() (found []SettingFinding) {
	for _, country := range slices.Sorted(maps.Keys(s.QuietHours)) {
		hours := s.QuietHours[country]
		found = append(found, lintWindows(country, hours.Windows)...)
		for i, o := range hours.Overrides {
			found = append(found, lintWindows(fmt.Sprintf("%s.overrides[%d]", country, i), o.Windows)...)
		}
		if _, one := contact.CountryZones()[country]; one || !hours.any() {
			continue
		}
		if s.MissingZone.Policy == Send {
			found = append(found, SettingFinding{NightWithoutZone, Danger, country, country + " has several time zones: people whose zone nobody knows are written to at night, too"})
		} else {
			found = append(found, SettingFinding{SeveralZones, Warning, country, country + " has several time zones: people whose zone nobody knows are not written to at any hour"})
		}
	}
	for _, channel := range slices.Sorted(maps.Keys(s.Throttle)) {
		if c := s.Throttle[channel]; c.PerSecond > 0 && c.PerSecond*60 < c.PerMinute {
			found = append(found, SettingFinding{RatesMismatch, Warning, channel + ".per_second",
				fmt.Sprintf("%s a second are %s a minute: the %s a minute are never reached", domain.Thousands(c.PerSecond), domain.Thousands(c.PerSecond*60), domain.Thousands(c.PerMinute))})
		}
	}
	if f := s.FrequencyCap.Marketing; f.PerWeek > 0 && f.PerDay > f.PerWeek {
		found = append(found, SettingFinding{WeekBelowDay, Warning, "marketing.per_day", fmt.Sprintf("%d a week leave no room for %d a day", f.PerWeek, f.PerDay)})
	}
	return found
}

// any reports whether there is a window at all.
func (h Hours) any() bool {
	return len(h.Windows) > 0 || slices.ContainsFunc(h.Overrides, func(o Override) bool { return len(o.Windows) > 0 })
}

func lintWindows(field string, all []Window) (found []SettingFinding) {
	const long, day = 23 * 60, 11 * 60
	week := windows(all).week()
	open, covered := 0, Clock(0)
	for _, quiet := range week {
		if !quiet {
			open++
		}
	}
	if hardly := 7 * (int(endOfDay) - long); len(all) > 0 && open <= hardly {
		return []SettingFinding{{HardlyOpen, Danger, field, fmt.Sprintf("%s are left to send in, in a whole week", (time.Duration(open) * time.Minute).String())}}
	}
	for _, w := range all {
		for i := range dayNames {
			if w.Days.Has(weekday(i)) {
				covered += w.length()
			}
		}
		switch {
		case w.length() >= long:
			found = append(found, SettingFinding{WholeDay, Warning, field, fmt.Sprintf("%s to %s is a whole day, or nearly", w.Start, w.End)})
		case w.Start < 12*60 && w.End > 12*60 && w.Start < w.End && w.length() >= day:
			found = append(found, SettingFinding{InvertedWindow, Danger, field, fmt.Sprintf("%s to %s is quiet by day and open at night: were start and end swapped?", w.Start, w.End)})
		}
	}
	if int(covered) > len(week)-open {
		found = append(found, SettingFinding{OverlappingWindows, Warning, field, "some of its windows overlap"})
	}
	return found
}

// lintCap looks at a limit that is off at 0.
func lintCap(field string, was, is int, jump Severity) []SettingFinding {
	const much = 10
	switch {
	case was <= 0 || is < 0:
		return nil
	case is == 0:
		return []SettingFinding{{CapOff, Warning, field, fmt.Sprintf("the limit of %s is gone", domain.Thousands(was))}}
	case is >= was*much:
		return []SettingFinding{{CapJump, jump, field, fmt.Sprintf("%s is %s times what it was, %s", domain.Thousands(is), domain.Thousands(is/was), domain.Thousands(was))}}
	case is*much <= was:
		return []SettingFinding{{CapDrop, Warning, field, fmt.Sprintf("%s is a tenth of what it was, %s, or less", domain.Thousands(is), domain.Thousands(was))}}
	}
	return nil
}

// length is how long the window lasts on a day without clock changes, in minutes.
func (w Window) length() Clock {
	if w.End < w.Start {
		return w.End - w.Start + endOfDay
	}
	return w.End - w.Start
}
