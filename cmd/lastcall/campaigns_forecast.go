package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lastcall/domain/contact"
	"lastcall/domain/forecast"
	"lastcall/store"
)

func campaignsForecast(o *output) *cobra.Command {
	var at instant
	cmd := &cobra.Command{
		Use: "forecast ID", Short: "Forecast who may be written to, when, and when it will be over", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: `Counts who may be written to at once and whom which rule keeps back, tells when the waves go and when the last
message will have gone, under the settings in force, the channel's ledger and the other campaigns at work. Times
are in the recipients' zone if they share one, else in yours.`,
		Example: "  lastcall campaigns forecast 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --at 2026-12-31T20:00:00+02:00",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if at.time != nil {
				query.Set("at", at.time.Format(time.RFC3339))
			}
			var f store.Forecast
			if err := c.get(cmd.Context(), "/campaigns/"+args[0]+"/forecast", query, &f); err != nil {
				return err
			}
			return o.forecast(f)
		},
	}
	cmd.Flags().Var(&at, "at", "as if it began then, RFC 3339 (default now)")
	return cmd
}

// forecast prints the counts by reason, the picture of the waves, the waves, and the end.
func (o *output) forecast(f store.Forecast) error {
	err := o.print(f, func(t *listing) {
		zone := zoneOf(f.Waves)
		t.header("targets", "what", "until", "why")
		t.right(1)
		t.row(f.Permitted, "permitted", "", "")
		for _, b := range f.Blocked {
			until := ""
			if b.Until != nil {
				until = clock(*b.Until, zone)
			}
			why := b.Why
			if b.Also > 0 {
				why = strings.TrimSpace(fmt.Sprintf("%s (and %s behind another reason)", why, thousands(b.Also)))
			}
			t.row(b.Targets, strings.ReplaceAll(string(b.Reason), "_", " "), until, why)
		}
		t.row(f.Targets, "all, at "+clock(f.At, zone), "", "")
	})
	if err != nil || o.format == formatJSON {
		return err
	}
	for _, lines := range [][]string{picture(f.Forecast), waveLines(f.Waves), ending(f)} {
		if len(lines) > 0 && err == nil {
			_, err = fmt.Fprintln(o.sh.stdout, "\n"+strings.Join(lines, "\n"))
		}
	}
	return err
}

// ending says when it is over, and what that stands on.
func ending(f store.Forecast) (lines []string) {
	switch {
	case f.FinishesAt != nil:
		lines = append(lines, fmt.Sprintf("All gone by %s: %s after the start.", clock(*f.FinishesAt, zoneOf(f.Waves)), lasts(f.FinishesAt.Sub(f.At))))
	case f.Never != nil:
		lines = append(lines, fmt.Sprintf("%s never go, as things stand: %s.", thousands(f.Never.Targets), printable(f.Never.Why)))
	default:
		lines = append(lines, "There is nobody to send to.")
	}
	if f.PeakPerMinute > 0 {
		how := "assumed"
		if f.RateMeasured {
			how = "measured now"
		}
		lines = append(lines, fmt.Sprintf("At most %s in a minute; where no rule limits it, %s a second (%s).",
			thousands(f.PeakPerMinute), thousands(int64(f.AssumedRate+0.5)), how))
	}
	for _, a := range f.Assumes {
		lines = append(lines, "Note: "+printable(a)+".")
	}
	return lines
}

// waveLines is a line a wave: when, how many, who, and why they waited.
func waveLines(waves []forecast.Wave) (lines []string) {
	const most = 30
	zone := zoneOf(waves)
	for i, w := range waves {
		if i == most {
			return append(lines, fmt.Sprintf("… and %d more: --output json has all", len(waves)-most))
		}
		var who []string
		for _, p := range w.Cohorts {
			name := p.Country
			if p.Locale != "" {
				name += " " + p.Locale
			}
			who = append(who, fmt.Sprintf("%s %s", thousands(p.Targets), printable(name)))
		}
		line := fmt.Sprintf("%s to %s  %s", clock(w.From, zone), clock(w.To, zone), strings.Join(who, ", "))
		if w.Waited != "" {
			line += "; had waited: " + strings.ReplaceAll(string(w.Waited), "_", " ")
		}
		if w.Merged > 0 {
			line += fmt.Sprintf(" (%d waves)", w.Merged)
		}
		lines = append(lines, line)
	}
	return lines
}

// picture draws how many go when, a bar an hour, or so, that begins on the full hour of the zone.
func picture(f forecast.Forecast) (lines []string) {
	if len(f.Steps) < 2 {
		return nil
	}
	const most, width = 36, 40
	zone := zoneOf(f.Waves)
	first, last := f.Steps[0].At, f.Steps[len(f.Steps)-1].At
	bars := func(unit time.Duration) (edges []time.Time) {
		day := first.In(zone)
		for at := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone); ; {
			next := at.Add(unit)
			if unit >= 24*time.Hour { // which may last an hour less or more
				next = at.AddDate(0, 0, int(unit/(24*time.Hour)))
			}
			if next.After(first) {
				edges = append(edges, at)
			}
			if at = next; !at.Before(last) || len(edges) > most {
				return append(edges, at)
			}
		}
	}
	var edges []time.Time
	layout := "Mon 02 Jan 15:04"
	for _, unit := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour} {
		if edges = bars(unit); len(edges) <= most+1 {
			switch {
			case unit < time.Minute:
				layout = "15:04:05"
			case unit >= 24*time.Hour:
				layout = "Mon 02 Jan 2006"
			}
			break
		}
	}
	counts, highest := make([]int64, len(edges)-1), int64(1)
	for i := range counts {
		counts[i] = sentBy(f.Steps, edges[i+1]) - sentBy(f.Steps, edges[i])
		highest = max(highest, counts[i])
	}
	for i, n := range counts {
		bar := strings.Repeat("█", int((n*width+highest-1)/highest))
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %9s %s", edges[i].In(zone).Format(layout), thousands(n), bar), " "))
	}
	return append(lines, "times of "+zone.String())
}

// sentBy is how many have gone by then.
func sentBy(steps []forecast.Step, t time.Time) int64 {
	for i, s := range steps {
		if s.At.Before(t) {
			continue
		}
		if i == 0 || s.At.Equal(t) {
			return s.SentTotal
		}
		before := steps[i-1]
		share := float64(t.Sub(before.At)) / float64(s.At.Sub(before.At))
		return before.SentTotal + int64(share*float64(s.SentTotal-before.SentTotal)+0.5)
	}
	return steps[len(steps)-1].SentTotal
}

// zoneOf is the recipients' zone if they share one that is known, else the reader's.
func zoneOf(waves []forecast.Wave) *time.Location {
	shared := ""
	for _, w := range waves {
		for _, p := range w.Cohorts {
			if p.Zone == "" || shared != "" && p.Zone != shared {
				return time.Local
			}
			shared = p.Zone
		}
	}
	if zone, err := contact.LoadZone(shared); err == nil {
		return zone
	}
	return time.Local
}

// clock is an instant in a zone, with the zone.
func clock(t time.Time, zone *time.Location) string {
	if t.Year() != time.Now().Year() {
		return t.In(zone).Format("Mon 02 Jan 2006 15:04:05 MST")
	}
	return t.In(zone).Format("Mon 02 Jan 15:04:05 MST")
}

// lasts is a duration as people say it.
func lasts(d time.Duration) string {
	d = d.Round(time.Second)
	days, d := d/(24*time.Hour), d%(24*time.Hour)
	if days == 0 {
		return d.String()
	}
	return fmt.Sprintf("%dd%s", days, d)
}
