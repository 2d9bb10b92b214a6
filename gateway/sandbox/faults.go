package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lastcall/domain"
)

// faults are what is wrong with the provider now. They live in memory only: a restart ends them all.
type faults struct {
	mu     sync.Mutex               // of those who change the list
	active atomic.Pointer[[]*fault] // nil for none, so that a healthy provider pays one load; never changed in place
}

// fault is one thing that is wrong, until it ends by itself.
type fault struct {
	kind    string
	scope   string  // whose: of scopes
	share   float64 // of the requests that it concerns
	code    int     // of faultError
	latency time.Duration
	until   time.Time
	hits    atomic.Int64 // requests struck so far
}

// The kinds of fault. All but latency exclude one another in one request.
const (
	faultOutage  = "outage"              // the connection is closed without an answer, and nothing is stored
	faultReset   = "reset"               // the request is read, then the connection is reset (TCP RST), and nothing is stored
	faultRate    = "rate_limit"          // error 130429
	faultError   = "error"               // the given error
	faultTimeout = "accept_then_timeout" // stored, and reported by webhook, but never answered
	faultSlow    = "slow_body"           // stored; the answer comes a byte a second
	faultWrong   = "wrong_body"          // stored; the answer is no JSON, shorter than it says, or endless, in turn
	faultLatency = "latency"             // comes on top: everything takes that much longer
)

// What a fault can befall, by the names that probes use.
const (
	scopeMessaging = "messaging"
	scopeCard      = "voucher-card"
	scopeOps       = "ops-channel"
)

var scopes = []string{scopeMessaging, scopeCard, scopeOps}

// What a notice to the Ops channel may meet: nothing that stores it without saying so.
var opsFaults = []string{faultOutage, faultLatency, faultRate, faultError, faultReset}

var faultKinds = []string{faultOutage, faultLatency, faultRate, faultError, faultTimeout, faultReset, faultSlow, faultWrong}

const (
	maxFault     = 24 * time.Hour
	maxErrorCode = 9_999_999
)

// blow is what strikes one request; the zero blow is none.
type blow struct {
	kind    string // "" for none
	code    int
	turn    int64 // how many requests the same fault struck before
	latency time.Duration
}

// strike draws what happens to a request of a scope. One that wants nothing done meets outages and latency only.
func (f *faults) strike(scope string, does bool) blow {
	list := f.active.Load()
	if list == nil {
		return blow{}
	}
	now := time.Now()
	lot, sum := rand.Float64(), 0.0
	var b blow
	concerns := func(one *fault) bool {
		return one.scope == scope && one.until.After(now) && one.kind != faultLatency && (does || one.kind == faultOutage)
	}
	for _, one := range *list {
		if one.scope == scope && one.kind == faultLatency && one.until.After(now) && rand.Float64() < one.share {
			one.hits.Add(1)
			b.latency = one.latency
		}
		if concerns(one) {
			sum += one.share
		}
	}
	lot *= max(sum, 1) // shares that add up to more than 1 are scaled down
	for _, one := range *list {
		if !concerns(one) {
			continue
		}
		if lot < one.share {
			b.kind, b.code, b.turn = one.kind, one.code, one.hits.Add(1)-1
			return b
		}
		lot -= one.share
	}
	return b
}

// set begins a fault. It takes the place of one of the same scope and kind (and code, for errors).
func (f *faults) set(one *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(f.live(), func(other *fault) bool {
		return other.scope == one.scope && other.kind == one.kind && other.code == one.code
	})
	list = append(list, one)
	slices.SortFunc(list, func(a, b *fault) int {
		return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.kind, b.kind), cmp.Compare(a.code, b.code))
	})
	f.active.Store(&list)
}

// list returns the faults that have not ended, and forgets the others.
func (f *faults) list() []*fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.live()
	if len(list) == 0 {
		f.active.Store(nil)
	}
	return list
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active.Store(nil)
}

// live is a list of its own.
func (f *faults) live() []*fault {
	list := f.active.Load()
	if list == nil {
		return nil
	}
	now := time.Now()
	return slices.DeleteFunc(slices.Clone(*list), func(one *fault) bool { return !one.until.After(now) })
}

// readFault reads {"kind","scope","share","code","for","latency"}. Errors are domain.Invalid: fault_not_readable,
// unknown_kind, unknown_scope, and required, not_wanted, not_a_duration or out_of_range about the field.
func readFault(raw []byte) (*fault, error) {
	wanted := struct {
		Kind    string   `json:"kind"`
		Scope   string   `json:"scope"` // messaging if absent
		Share   *float64 `json:"share"` // 1 if absent
		Code    *int     `json:"code"`
		For     string   `json:"for"`
		Latency string   `json:"latency"`
	}{}
	if err := decodeObject(raw, &wanted); err != nil {
		return nil, domain.E(domain.Invalid, "fault_not_readable", "A fault must be a JSON object of kind, scope, share, code, for and latency: %s.", err)
	}
	one := &fault{kind: wanted.Kind, scope: cmp.Or(wanted.Scope, scopeMessaging), share: 1}
	if !slices.Contains(faultKinds, one.kind) {
		return nil, domain.E(domain.Invalid, "unknown_kind", "The kind must be one of %s.", strings.Join(faultKinds, ", ")).About("kind")
	}
	if !slices.Contains(scopes, one.scope) {
		return nil, domain.E(domain.Invalid, "unknown_scope", "The scope must be one of %s.", strings.Join(scopes, ", ")).About("scope")
	}
	if one.scope == scopeOps && !slices.Contains(opsFaults, one.kind) {
		return nil, domain.E(domain.Invalid, "unknown_kind", "The kind of a fault of %s must be one of %s.", scopeOps, strings.Join(opsFaults, ", ")).About("kind")
	}
	if wanted.Share != nil {
		one.share = *wanted.Share
	}
	if one.share < 0 || one.share > 1 {
		return nil, domain.E(domain.Invalid, "out_of_range", "A share lies between 0 and 1.").About("share")
	}
	switch isError := one.kind == faultError; {
	case isError && wanted.Code == nil:
		return nil, domain.E(domain.Invalid, "required", "Say which error code.").About("code")
	case !isError && wanted.Code != nil:
		return nil, domain.E(domain.Invalid, "not_wanted", "Only the kind error has a code.").About("code")
	case isError && (*wanted.Code < 0 || *wanted.Code > maxErrorCode):
		return nil, domain.E(domain.Invalid, "out_of_range", "A code lies between 0 and %d.", maxErrorCode).About("code")
	case isError && one.scope != scopeMessaging && (*wanted.Code < 400 || *wanted.Code > 599):
		return nil, domain.E(domain.Invalid, "out_of_range", "The code of %s is an HTTP status from 400 to 599.", one.scope).About("code")
	case isError:
		one.code = *wanted.Code
	}
	lasts, err := readDuration("for", wanted.For)
	if err != nil {
		return nil, err
	}
	one.until = time.Now().Add(lasts)
	if one.kind == faultLatency {
		if one.latency, err = readDuration("latency", wanted.Latency); err != nil {
			return nil, err
		}
	} else if wanted.Latency != "" {
		return nil, domain.E(domain.Invalid, "not_wanted", "Only the kind latency has a latency.").About("latency")
	}
	return one, nil
}

func readDuration(field, text string) (time.Duration, error) {
	if text == "" {
		return 0, domain.E(domain.Invalid, "required", "Say how long, such as 30s.").About(field)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, domain.E(domain.Invalid, "not_a_duration", "This must be a duration such as 200ms, 30s or 5m.").About(field)
	}
	if d <= 0 || d > maxFault {
		return 0, domain.E(domain.Invalid, "out_of_range", "This must be more than 0 and at most 24h.").About(field)
	}
	return d, nil
}

// shownFault is a fault as GET /faults and the page show it.
type shownFault struct {
	Kind    string  `json:"kind"`
	Scope   string  `json:"scope"`
	Share   float64 `json:"share"`
	Code    *int    `json:"code,omitempty"`
	Latency string  `json:"latency,omitempty"`
	Left    string  `json:"left"` // until it ends, such as 12.3s
	Hits    int64   `json:"hits"` // requests struck so far
}

func (f *faults) show() []shownFault {
	out := []shownFault{}
	for _, one := range f.list() {
		shown := shownFault{Kind: one.kind, Scope: one.scope, Share: one.share, Left: time.Until(one.until).Round(time.Millisecond).String(), Hits: one.hits.Load()}
		switch one.kind {
		case faultError:
			shown.Code = &one.code
		case faultLatency:
			shown.Latency = one.latency.String()
		}
		out = append(out, shown)
	}
	return out
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.faults.show())
}

// putFault begins a fault and answers with all that are active.
func (s *Server) putFault(w http.ResponseWriter, r *http.Request) {
	raw, err := s.readBody(w, r)
	if err != nil {
		s.writeError(w, err)
		return
	}
	one, err := readFault(raw)
	if err != nil {
		s.writeError(w, err)
		return
	}
	s.faults.set(one)
	writeJSON(w, http.StatusOK, s.faults.show())
}

func (s *Server) deleteFaults(w http.ResponseWriter, _ *http.Request) {
	s.faults.clear()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, domain.E(domain.Invalid, "body_not_readable", "The body must be at most 64 KiB and arrive whole.").Because(err)
	}
	return raw, nil
}

// decodeObject reads exactly one JSON object of known fields.
func decodeObject(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("something follows it")
	}
	return nil
}
