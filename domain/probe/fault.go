package probe

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
)

// Fault is put in an edge function's way on purpose, until it ends by itself.
type Fault struct {
	ID    uuid.UUID
	Name  Name // of the edge function
	Kind  FaultKind
	Share float64       // of the calls, more than 0, at most 1
	Delay time.Duration // of Slow, else 0
	Left  time.Duration // until it ends by itself, when it was read
}

// FaultKind is how calls fail.
type FaultKind string

// The kinds.
const (
	Timeout     FaultKind = "timeout"      // no answer until the caller gives up
	Reset       FaultKind = "reset"        // the connection is reset
	RateLimited FaultKind = "rate_limited" // 429, in the provider's words
	ServerError FaultKind = "server_error" // 503, in the provider's words
	Slow        FaultKind = "slow"         // the answer comes Delay later
	WrongBody   FaultKind = "wrong_body"   // a success that makes no sense
	StopPolling FaultKind = "stop_polling" // workers take nothing from the queue of dispatch; of the dispatcher only
)

// FaultKinds are all of them.
var FaultKinds = []FaultKind{Timeout, Reset, RateLimited, ServerError, Slow, WrongBody, StopPolling}

// The bounds of faults.
const (
	FaultMost = 2 * time.Hour // how long one lasts at most
	DelayMost = time.Minute   // of Slow
)

// Check says what is wrong with a fault that is to last for so long: domain.Invalid about edge_function, kind, share, delay_ms
// or seconds.
func (f Fault) Check(lasts time.Duration) error {
	wrong := func(field, code, message string, args ...any) error {
		return domain.E(domain.Invalid, code, message, args...).About(field)
	}
	if _, ok := Find(f.Name); !ok {
		return wrong("edge_function", "unknown_edge_function", "there is no edge function %q", f.Name)
	}
	known := false
	for _, k := range FaultKinds {
		known = known || k == f.Kind
	}
	switch {
	case !known:
		return wrong("kind", "unknown_fault", "there is no fault %q", f.Kind)
	case f.Name == Database:
		return wrong("edge_function", "no_fault_there", "the database has no faults: the faults themselves are in it")
	case f.Name == Redemptions && f.Kind != ServerError && f.Kind != Slow:
		return wrong("kind", "no_fault_there", "%s does not fit %s: they have %s and %s only", f.Kind, f.Name, ServerError, Slow)
	case (f.Name == Dispatcher) != (f.Kind == StopPolling):
		return wrong("kind", "no_fault_there", "%s does not fit %s: %s", f.Kind, f.Name, fits(f.Name))
	case !(f.Share > 0 && f.Share <= 1):
		return wrong("share", "bad_share", "the share of the calls must be more than 0 and at most 1")
	case f.Kind == StopPolling && f.Share != 1:
		return wrong("share", "bad_share", "workers either poll or not: the share must be 1")
	case (f.Kind == Slow) != (f.Delay != 0):
		return wrong("delay_ms", "bad_delay", "a delay belongs to slow, and to nothing else")
	case f.Delay < 0 || f.Delay > DelayMost || f.Delay%time.Millisecond != 0:
		return wrong("delay_ms", "bad_delay", "the delay must be whole milliseconds, and at most %s", DelayMost)
	case lasts < time.Second || lasts > FaultMost:
		return wrong("seconds", "bad_duration", "a fault lasts for a second at least and two hours at most")
	}
	return nil
}

func fits(n Name) string {
	if n == Dispatcher {
		return fmt.Sprintf("it has %s only", StopPolling)
	}
	return fmt.Sprintf("%s is of the %s only", StopPolling, Dispatcher)
}
