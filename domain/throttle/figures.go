package throttle

// Measure is one number that the advice is by.
type Measure struct {
	Name  string   `json:"name" enum:"sent,delivered,rate_errors,pair_errors,spam_errors,opt_outs,busiest_minute,busiest_second,busiest_day,full_minutes,waits"`
	Title string   `json:"title"`
	N     int64    `json:"n" doc:"How many"`
	Of    int64    `json:"of,omitempty" doc:"Of a share: among how many messages. Of a use: the cap; absent: none"`
	Share *float64 `json:"share" doc:"From 0 to 1; null: it is no share, or of fewer messages than say anything"`
}

// Told are the figures for people.
func (f Figures) Told() []Measure {
	share := func(name, title string, n, of int64) Measure {
		told := Measure{Name: name, Title: title, N: n, Of: of}
		if of >= Enough {
			s := part(n, of)
			told.Share = &s
		}
		return told
	}
	return []Measure{
		{Name: "sent", Title: "Messages that WhatsApp took", N: f.Sent},
		share("delivered", "Of them, arrived", f.Delivered, f.Sent),
		share("rate_errors", "Refused for their rate", f.RateErrors, f.Tried()),
		share("pair_errors", "Refused for coming too soon to the same person", f.PairErrors, f.Tried()),
		share("spam_errors", "Refused after people had reported messages", f.SpamErrors, f.Tried()),
		share("opt_outs", "Opted out within 48 hours of a message", f.OptOuts, f.Sent),
		{Name: "busiest_minute", Title: "In the busiest minute", N: f.BusiestMinute, Of: int64(f.Caps.PerMinute)},
		{Name: "busiest_second", Title: "In the busiest second", N: f.BusiestSecond, Of: int64(f.Caps.PerSecond)},
		{Name: "busiest_day", Title: "In the busiest 24 hours", N: f.BusiestDay, Of: int64(f.Caps.Tier)},
		{Name: "full_minutes", Title: "Minutes with nine tenths of the cap or more", N: f.FullMinutes},
		{Name: "waits", Title: "Batches that waited for permits", N: f.Waits},
	}
}
