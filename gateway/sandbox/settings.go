package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"time"

	"lastcall/domain"
)

// settings say what the sandbox reports of the messages it accepted. The shares are of all messages,
// from 0 to 1; which ones is decided by a hash of the message id, so that it stays decided. The same
// messages come first in every share: who read a message also got it, and the failed come from the end.
type settings struct {
	Sent             float64 `json:"sent"`
	Delivered        float64 `json:"delivered"`
	Read             float64 `json:"read"`   // of those delivered at most
	Failed           float64 `json:"failed"` // reported instead of delivered
	SentDelayMS      int64   `json:"sent_delay_ms"`
	DeliveredDelayMS int64   `json:"delivered_delay_ms"`
	ReadDelayMS      int64   `json:"read_delay_ms"`
	webhookTrouble
	limitSettings
}

// webhookTrouble is what befalls statuses on the way: shares of them, decided by a hash. All off by default.
type webhookTrouble struct {
	Twice     float64 `json:"webhook_twice"`     // come twice, the second time within the window
	Reordered float64 `json:"webhook_reordered"` // are late by a random part of the window
	WindowMS  int64   `json:"webhook_window_ms"`
	Delayed   float64 `json:"webhook_delayed"` // are late by webhook_delay_ms
	DelayMS   int64   `json:"webhook_delay_ms"`
}

// limitSettings are the provider's limits; 0 is off.
type limitSettings struct {
	RatePerSecond  int64   `json:"rate_per_second"`  // messages in any one second; 130429
	PairIntervalMS int64   `json:"pair_interval_ms"` // between two messages to one recipient; 131056
	PairBurst      int64   `json:"pair_burst"`       // how many may come at once before that, ≥ 1
	TierRecipients int64   `json:"tier_recipients"`  // different recipients in any 24 hours
	TierCode       int64   `json:"tier_code"`        // the error beyond, since it is not established which one it is
	UserCapped     float64 `json:"user_capped"`      // share of recipients who get no more marketing now; 131049
	UserStopped    float64 `json:"user_stopped"`     // share of recipients who stopped marketing; 131050
}

func defaultSettings() settings {
	return settings{Sent: 1, Delivered: 1, Read: 0.6, SentDelayMS: 100, DeliveredDelayMS: 500, ReadDelayMS: 1500,
		limitSettings: limitSettings{PairBurst: 1, TierCode: spamLimited}}
}

// with returns the settings with those named in raw replaced. Errors are domain.Invalid: settings_not_readable
// for an unknown setting or a wrong type, out_of_range about the setting.
func (s settings) with(raw []byte) (settings, error) {
	if err := decodeObject(raw, &s); err != nil {
		return s, domain.E(domain.Invalid, "settings_not_readable", "The settings must be one JSON object of known settings: %s.", err)
	}
	for _, share := range []struct {
		name  string
		value float64
	}{{"sent", s.Sent}, {"delivered", s.Delivered}, {"read", s.Read}, {"failed", s.Failed},
		{"webhook_twice", s.Twice}, {"webhook_reordered", s.Reordered}, {"webhook_delayed", s.Delayed},
		{"user_capped", s.UserCapped}, {"user_stopped", s.UserStopped}} {
		if share.value < 0 || share.value > 1 {
			return s, domain.E(domain.Invalid, "out_of_range", "A share lies between 0 and 1.").About(share.name)
		}
	}
	for _, delay := range []struct {
		name  string
		value int64
	}{{"webhook_window_ms", s.WindowMS}, {"webhook_delay_ms", s.DelayMS}, {"pair_interval_ms", s.PairIntervalMS},
		{"sent_delay_ms", s.SentDelayMS}, {"delivered_delay_ms", s.DeliveredDelayMS}, {"read_delay_ms", s.ReadDelayMS}} {
		if delay.value < 0 || delay.value > (24*time.Hour).Milliseconds() {
			return s, domain.E(domain.Invalid, "out_of_range", "A delay lies between 0 and 86400000 milliseconds.").About(delay.name)
		}
	}
	for _, count := range []struct {
		name        string
		value       int64
		least, most int64
	}{{"rate_per_second", s.RatePerSecond, 0, 100_000}, {"pair_burst", s.PairBurst, 1, 1000},
		{"tier_recipients", s.TierRecipients, 0, 100_000_000}, {"tier_code", s.TierCode, 1, maxErrorCode}} {
		if count.value < count.least || count.value > count.most {
			return s, domain.E(domain.Invalid, "out_of_range", "This lies between %d and %d.", count.least, count.most).About(count.name)
		}
	}
	return s, nil
}

// settingsFile keeps the settings across restarts.
type settingsFile struct {
	mu   sync.Mutex
	path string
	now  settings
}

func (f *settingsFile) open(path string) error {
	f.path, f.now = path, defaultSettings()
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.now, err = f.now.with(raw)
	return err
}

func (f *settingsFile) get() settings {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// change keeps the settings with those named in raw replaced, after apply has put them in force.
func (f *settingsFile) change(raw []byte, apply func(settings) error) (settings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, err := f.now.with(raw)
	if err == nil {
		err = apply(changed)
	}
	if err != nil {
		return f.now, err
	}
	content, err := json.Marshal(changed)
	if err != nil {
		return f.now, err
	}
	if err := replaceFile(f.path, content); err != nil {
		return f.now, err
	}
	f.now = changed
	return changed, nil
}

func (s *Server) getSettings(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.settings.get())
}

// putSettings changes the settings named in the body and answers with all of them.
func (s *Server) putSettings(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.writeError(w, domain.E(domain.Invalid, "settings_not_readable", "The body must be at most 64 KiB and arrive whole.").Because(err))
		return
	}
	changed, err := s.settings.change(raw, func(now settings) error { return s.limits.set(now, s.inbox.journal) })
	if err != nil {
		s.writeError(w, err)
		return
	}
	s.changed.send()
	writeJSON(w, http.StatusOK, changed)
}
