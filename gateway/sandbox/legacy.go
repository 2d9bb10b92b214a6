package sandbox

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

// legacy stands in for the tooling that served before Lastcall: it is on or off, and says which.
type legacy struct {
	mu   sync.Mutex
	file string
	said legacyState
}

type legacyState struct {
	State    string `json:"state"`
	Rollback string `json:"rollback,omitempty"`
}

func (l *legacy) open(dir string) error {
	l.file, l.said = filepath.Join(dir, "legacy.json"), legacyState{State: "off"}
	kept, err := os.ReadFile(l.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(kept, &l.said)
	}
	return err
}

func (s *Server) getLegacy(w http.ResponseWriter, _ *http.Request) {
	s.legacy.mu.Lock()
	defer s.legacy.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.legacy.said)
}

func (s *Server) postLegacy(w http.ResponseWriter, r *http.Request) {
	var to legacyState
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&to); err != nil || to.State != "on" && to.State != "off" {
		http.Error(w, `say {"state":"on"} or {"state":"off"}`, http.StatusBadRequest)
		return
	}
	s.legacy.mu.Lock()
	kept, err := json.Marshal(to)
	if err == nil {
		err = os.WriteFile(s.legacy.file, kept, 0o600)
	}
	if err == nil {
		s.legacy.said = to
	}
	s.legacy.mu.Unlock()
	if err != nil {
		http.Error(w, "it cannot be kept", http.StatusInternalServerError)
		return
	}
	s.getLegacy(w, r)
}
