package voucher

import "time"

// A code is guessed by whoever tries many: seven random characters make that hopeless, these limits make it visible.
const (
	// FreeGuesses is how many wrong codes within GuessWindow a device may send; the last of them locks its code entry.
	FreeGuesses = 5
	// GuessWindow is within what time, and for how long code entry is locked after the last wrong code.
	GuessWindow = 15 * time.Minute
	// StationGuesses is how many wrong codes all devices of a station may send within StationWindow.
	StationGuesses = 50
	// StationWindow is within what time.
	StationWindow = 24 * time.Hour
	// StormGuesses is how many wrong codes within GuessWindow, over all stations, are a storm of which Ops is told.
	StormGuesses = 20
	// StormQuiet is how long Ops is told of no other storm.
	StormQuiet = time.Hour
)

// Locked is for how long a device's code entry is locked at now; 0 when it is not. wrong are the times of its wrong codes,
// newest first; those after the first FreeGuesses do not matter.
func Locked(wrong []time.Time, now time.Time) time.Duration {
	if len(wrong) < FreeGuesses || wrong[0].Sub(wrong[FreeGuesses-1]) > GuessWindow {
		return 0
	}
	return max(0, wrong[0].Add(GuessWindow).Sub(now))
}

// ClockSkew is how far a device's clock may be from the database's.
const ClockSkew = 5 * time.Minute
