package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// QuietHours are the hours in which no message goes out, by country (ISO 3166-1 alpha-2). A country that is
// absent has none. In JSON a country's value is
//
//   - one window, every day: {"start":"22:00","end":"06:00"};
//   - one window that starts on some weekdays only: {"start":"22:00","end":"06:00","days":["fri","sat"]};
//   - or several, of which each makes quiet: {"windows":[{"start":"22:00","end":"06:00"},{"start":"00:00","end":"24:00","days":["sun"]}]};
//
// and beside any of these "overrides":[{"locale":"en-MT","channel":"whatsapp","start":"23:00","end":"05:00"}],
// each of one of the same three forms.
type QuietHours map[string]Hours

// Hours are one country's quiet hours. Those of an override stand in place of the country's own: the two never
// add up, and an override without a window means no quiet hours.
type Hours struct {
	Windows   []Window
	Overrides []Override // no two of the same locale and channel
}

// Override is other hours for some of a country's recipients. It fits a recipient when its channel is "" or
// the message's, and its locale is "", the recipient's, or what the recipient's begins with at a hyphen: "en"
// fits "en-MT". At least one of the two is set.
type Override struct {
	Locale  string // BCP 47 in canonical form
	Channel string
	Windows []Window
}

// For returns the windows that hold for a locale and channel. Of the overrides that fit the one of the longest
// locale wins, so any locale goes before none: "en-MT" before "en", "en" before one that names a channel
// only. Of two with the same locale the one that names the channel wins. If none fits, the country's own
// windows hold.
func (h Hours) For(locale, channel string) []Window {
	windows, best := h.Windows, -1
	for _, o := range h.Overrides {
		if rank := o.rank(locale, channel); rank > best {
			windows, best = o.Windows, rank
		}
	}
	return windows
}

// rank is how closely an override fits; -1 if it does not.
func (o Override) rank(locale, channel string) int {
	if o.Channel != "" && o.Channel != channel || o.Locale != "" && o.Locale != locale && !strings.HasPrefix(locale, o.Locale+"-") {
		return -1
	}
	rank := 2 * len(o.Locale)
	if o.Channel != "" {
		rank++
	}
	return rank
}

// Window is a stretch of the day on the recipient's wall clock, from Start until before End. It crosses
// midnight when Start is after End, and belongs to the weekday on which it starts: 22:00 to 06:00 of Friday
// ends on Saturday morning.
type Window struct {
	Start Clock `json:"start"`
	End   Clock `json:"end"` // up to 24:00
	Days  Days  `json:"days,omitzero"`
}

// Clock is a time of day, in minutes since midnight; "22:00" in JSON.
type Clock int

// endOfDay is the midnight at which a day ends.
const endOfDay Clock = 24 * 60

// Days are the weekdays on which a window starts: bit n is time.Weekday(n). Zero is every day.
type Days uint8

const everyDay Days = 1<<7 - 1

// DaysOf are these weekdays; none, or all seven, are every day.
func DaysOf(days ...time.Weekday) (d Days) {
	for _, day := range days {
		d |= 1 << day
	}
	if d == everyDay {
		return 0
	}
	return d
}

// Has reports whether a window starts on this weekday.
func (d Days) Has(day time.Weekday) bool { return d == 0 || d&(1<<day) != 0 }

// dayNames are in the order in which people count.
var dayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// weekday is the day called dayNames[i].
func weekday(i int) time.Weekday { return time.Weekday((i + 1) % 7) }

// MarshalJSON lists the days from Monday on.
func (d Days) MarshalJSON() ([]byte, error) {
	names := []string{}
	for i, name := range dayNames {
		if d.Has(weekday(i)) {
			names = append(names, name)
		}
	}
	return json.Marshal(names)
}

// UnmarshalJSON reads a list of one to seven different days.
func (d *Days) UnmarshalJSON(text []byte) error {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	var days []time.Weekday
	for _, name := range names {
		i := slices.Index(dayNames, name)
		if i < 0 || slices.Contains(days, weekday(i)) {
			return errors.New("use each day once: mon to sun")
		}
		days = append(days, weekday(i))
	}
	if len(days) == 0 {
		return errors.New("there is no day")
	}
	*d = DaysOf(days...)
	return nil
}

// MarshalJSON writes the shortest of the forms: a single window as itself.
func (h Hours) MarshalJSON() ([]byte, error) {
	if len(h.Windows) == 1 {
		return json.Marshal(struct {
			Window
			Overrides []Override `json:"overrides,omitempty"`
		}{h.Windows[0], h.Overrides})
	}
	return json.Marshal(struct {
		Windows   []Window   `json:"windows"`
		Overrides []Override `json:"overrides,omitempty"`
	}{append([]Window{}, h.Windows...), h.Overrides})
}

// MarshalJSON writes the shortest of the forms: a single window as itself.
func (o Override) MarshalJSON() ([]byte, error) {
	type whom struct {
		Locale  string `json:"locale,omitempty"`
		Channel string `json:"channel,omitempty"`
	}
	if len(o.Windows) == 1 {
		return json.Marshal(struct {
			whom
			Window
		}{whom{o.Locale, o.Channel}, o.Windows[0]})
	}
	return json.Marshal(struct {
		whom
		Windows []Window `json:"windows"`
	}{whom{o.Locale, o.Channel}, append([]Window{}, o.Windows...)})
}

// String is the time of day as "22:00".
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c/60, c%60) }

// MarshalText makes JSON of it.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads exactly "HH:MM", 00:00 to 23:59.
func (c *Clock) UnmarshalText(text []byte) error {
	t, err := time.Parse("15:04", string(text))
	if err != nil || len(text) != len("15:04") {
		return errors.New("use a time of day from 00:00 to 23:59")
	}
	*c = Clock(t.Hour()*60 + t.Minute())
	return nil
}

// endClock is a Clock that may be 24:00.
type endClock Clock

// UnmarshalText reads exactly "HH:MM", 00:00 to 24:00.
func (c *endClock) UnmarshalText(text []byte) error {
	if string(text) == endOfDay.String() {
		*c = endClock(endOfDay)
		return nil
	}
	return (*Clock)(c).UnmarshalText(text)
}
