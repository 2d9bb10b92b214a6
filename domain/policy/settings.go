package policy

// ChannelWhatsApp is the WhatsApp Cloud API, so far the only channel.
const ChannelWhatsApp = "whatsapp"

// Settings are one revision of the rules.
type Settings struct {
	Revision   int64
	QuietHours QuietHours
	Throttle   Throttle
	Toggles    Toggles
}

// QuietHours are the hours in which no message goes out, by country (ISO 3166-1 alpha-2). A country that is
// absent has none. JSON: {"RW":{"start":"22:00","end":"06:00"}}.
type QuietHours map[string]Window

// Throttle is how much a channel may send. A channel that is absent may send nothing.
// JSON: {"whatsapp":{"per_minute":60}}.
type Throttle map[string]Cap

// Cap is one channel's limit.
type Cap struct {
	PerMinute int `json:"per_minute"` // messages in any 60 seconds; 0 stops the channel
}

// Toggles switch things on and off.
type Toggles struct {
	Dispatch bool `json:"dispatch"` // whether anything goes out at all
}

// Defaults are the settings of a fresh installation: no quiet hours, 6,000,000 messages a minute, dispatch on.
func Defaults() Settings {
	return Settings{
		QuietHours: QuietHours{},
		Throttle:   Throttle{ChannelWhatsApp: {PerMinute: 6_000_000}},
		Toggles:    Toggles{Dispatch: true},
	}
}
