package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"lastcall/api"
	"lastcall/domain/audience"
	"lastcall/domain/campaign"
)

// campaignView shows a campaign as it moves.
type campaignView interface {
	show(c api.Campaign)
	say(message string)
	end()
}

// campaignProgress is a bar on a terminal, else lines.
func (o *output) campaignProgress() campaignView {
	if o.live() {
		return &campaignBar{progress: mpb.New(mpb.WithOutput(o.sh.stderr), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond))}
	}
	return &campaignLines{output: o}
}

// campaignBar is a bar split from the left: what has gone out or ended of all targets.
type campaignBar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	meter    meter
	text     atomic.Pointer[string] // what stands beside the bar
}

func (b *campaignBar) show(c api.Campaign) {
	b.meter.add(time.Now(), settled(c))
	text := " " + b.meter.describe(c)
	b.text.Store(&text)
	if b.bar == nil {
		b.bar = b.progress.New(max(c.Targets, 1), barStyle(),
			mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string {
				return fmt.Sprintf("%s / %s ", thousands(s.Current), thousands(s.Total))
			})),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return *b.text.Load() })))
	}
	b.bar.SetCurrent(settled(c))
}

func barStyle() mpb.BarStyleComposer {
	return mpb.BarStyle().Lbound("▕").Filler("█").Tip("█").Padding("░").Rbound("▏")
}

func (b *campaignBar) say(message string) { _, _ = b.progress.Write([]byte(message + "\n")) }

func (b *campaignBar) end() {
	if b.bar != nil {
		b.bar.Abort(false)
		b.bar.Wait()
	}
	b.progress.Shutdown()
}

// campaignLines writes a line when something changed, at most every two seconds, and for each new status.
type campaignLines struct {
	*output
	meter  meter
	last   string
	status campaign.Status
	at     time.Time
}

func (l *campaignLines) show(c api.Campaign) {
	l.meter.add(time.Now(), settled(c))
	line := fmt.Sprintf("%s / %s %s", thousands(settled(c)), thousands(c.Targets), l.meter.describe(c))
	if line == l.last || c.Status == l.status && time.Since(l.at) < 2*time.Second {
		return
	}
	l.last, l.status, l.at = line, c.Status, time.Now()
	l.output.say("%s", line)
}

func (l *campaignLines) say(message string) { l.output.say("%s", message) }
func (l *campaignLines) end()               {}

// settled is how many targets have gone out or never will.
func settled(c api.Campaign) int64 { return c.Targets - c.Queued - c.Sending }

// meter measures the rate of the last ten seconds.
type meter struct{ samples []sample }

type sample struct {
	at time.Time
	n  int64
}

func (m *meter) add(at time.Time, n int64) {
	m.samples = append(m.samples, sample{at, n})
	for len(m.samples) > 2 && at.Sub(m.samples[0].at) > 10*time.Second {
		m.samples = m.samples[1:]
	}
}

// rate is targets a second.
func (m *meter) rate() float64 {
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	if span := last.at.Sub(first.at).Seconds(); span > 0 {
		return float64(last.n-first.n) / span
	}
	return 0
}

// describe says what a campaign does, how fast, how long it will take, and what it waits for.
func (m *meter) describe(c api.Campaign) string {
	parts := []string{string(c.Status)}
	rate := m.rate()
	switch {
	case c.Status == campaign.Scheduled && c.SendAt != nil && time.Until(*c.SendAt) > 0:
		parts = append(parts, fmt.Sprint("sends from ", shown(c.SendAt)))
	case c.Status == campaign.Settling && c.Sent+c.Unknown > 0:
		parts = append(parts, fmt.Sprintf("waits for %s receipts", thousands(c.Sent+c.Unknown)))
	case c.Status == campaign.Running && rate > 0:
		parts = append(parts, speed(rate))
		if left := c.Queued + c.Sending; left > 0 && len(c.Waiting) == 0 {
			parts = append(parts, "about "+time.Duration(math.Ceil(float64(left)/rate)*float64(time.Second)).String()+" left")
		}
	}
	if c.Status == campaign.Running {
		for _, w := range c.Waiting {
			parts = append(parts, "waits: "+waits(w))
		}
	}
	if c.FinishesAt != nil && len(c.Waiting) > 0 {
		parts = append(parts, fmt.Sprint("all gone by ", shown(c.FinishesAt)))
	}
	if c.Failed > 0 {
		parts = append(parts, thousands(c.Failed)+" failed")
	}
	if c.Unknown > 0 {
		parts = append(parts, thousands(c.Unknown)+" unknown")
	}
	return strings.Join(parts, " · ")
}

func speed(rate float64) string {
	if rate < 2 {
		return fmt.Sprintf("%.0f/min", rate*60)
	}
	return thousands(int64(rate)) + "/s"
}

// upload shows how much of a file has been sent.
type upload struct {
	progress *mpb.Progress
	bar      *mpb.Bar
}

// uploadProgress is a bar by bytes on a terminal, nothing elsewhere.
func (o *output) uploadProgress(file *audienceFile) *upload {
	u := &upload{}
	if !o.live() {
		return u
	}
	u.progress = mpb.New(mpb.WithOutput(o.sh.stderr), mpb.WithWidth(40))
	name := mpb.PrependDecorators(decor.Name("import "+printable(file.name)+" "), decor.CountersKibiByte("% .1f / % .1f "))
	if file.size == 0 {
		name = mpb.PrependDecorators(decor.Name("import "+printable(file.name)+" "), decor.CurrentKibiByte("% .1f "))
	}
	u.bar = u.progress.New(file.size, barStyle(), name,
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), " % .1f"), decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 6})),
		mpb.BarRemoveOnComplete())
	return u
}

// reader is from, seen by the bar.
func (u *upload) reader(from io.Reader) io.Reader {
	if u.bar == nil {
		return from
	}
	return u.bar.ProxyReader(from)
}

// importView shows an import while the workflow is at it.
type importView struct {
	*output
	progress *mpb.Progress // nil: no terminal
	bar      *mpb.Bar
	text     atomic.Pointer[string] // what stands beside the bar
	phase    audience.Phase
}

// importProgress is a bar by bytes on a terminal, a line a phase elsewhere.
func (o *output) importProgress() *importView {
	v := &importView{output: o}
	if o.live() {
		v.progress = mpb.New(mpb.WithOutput(o.sh.stderr), mpb.WithWidth(40))
	}
	return v
}

func (v *importView) show(i api.Import) {
	changed := i.Phase != v.phase
	v.phase = i.Phase
	if v.progress == nil {
		if changed {
			v.say("import: %s", i.Phase)
		}
		return
	}
	text := fmt.Sprintf(" %s · %s lines", i.Phase, thousands(i.Lines))
	v.text.Store(&text)
	if v.bar == nil {
		v.bar = v.progress.New(max(i.Bytes, 1), barStyle(), mpb.PrependDecorators(decor.Name("import ")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return *v.text.Load() })))
	}
	v.bar.SetCurrent(min(i.StagedBytes, i.Bytes-1)) // a bar that is full would end before the merge does
}

func (v *importView) end() {
	if v.bar != nil {
		v.bar.Abort(true)
		v.bar.Wait()
	}
	if v.progress != nil {
		v.progress.Shutdown()
	}
}

func (u *upload) end() {
	if u.bar != nil {
		u.bar.Abort(true)
		u.bar.Wait()
		u.progress.Shutdown()
	}
}
