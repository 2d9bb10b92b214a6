package sandbox

import (
	"bytes"
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
}

func defaultSettings() settings {
	return settings{Sent: 1, Delivered: 1, Read: 0.6, SentDelayMS: 100, DeliveredDelayMS: 500, ReadDelayMS: 1500}
}

// with returns the settings with those named in raw replaced. Errors are domain.Invalid: settings_not_readable
// for an unknown setting or a wrong type, out_of_range about the setting.
func (s settings) with(raw []byte) (settings, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, domain.E(domain.Invalid, "settings_not_readable", "The settings must be a JSON object of known settings: %s.", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return s, domain.E(domain.Invalid, "settings_not_readable", "The settings must be one JSON object.")
	}
	for _, share := range []struct {
		name  string
		value float64
	}{{"sent", s.Sent}, {"delivered", s.Delivered}, {"read", s.Read}, {"failed", s.Failed}} {
		if share.value < 0 || share.value > 1 {
			return s, domain.E(domain.Invalid, "out_of_range", "A share lies between 0 and 1.").About(share.name)
		}
	}
	for _, delay := range []struct {
		name  string
		value int64
	}{{"sent_delay_ms", s.SentDelayMS}, {"delivered_delay_ms", s.DeliveredDelayMS}, {"read_delay_ms", s.ReadDelayMS}} {
		if delay.value < 0 || delay.value > (24*time.Hour).Milliseconds() {
			return s, domain.E(domain.Invalid, "out_of_range", "A delay lies between 0 and 86400000 milliseconds.").About(delay.name)
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

func (f *settingsFile) change(raw []byte) (settings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, err := f.now.with(raw)
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
	changed, err := s.settings.change(raw)
	if err != nil {
		s.writeError(w, err)
		return
	}
	s.changed.send()
	writeJSON(w, http.StatusOK, changed)
}
