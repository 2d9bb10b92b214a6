package campaign

import "lastcall/domain"

// Resendable are the states whose targets somebody may order to be sent to again.
var Resendable = []TargetState{FailedT, Unknown}

// CheckResend tells whether what failed or is unknown of a campaign in this status may be sent again: of one
// that has ended. It fails with a domain.Conflict of code wrong_state.
func CheckResend(s Status) error {
	switch {
	case s == Draft:
		return domain.E(domain.Conflict, "wrong_state", "cannot resend: the campaign has not been started")
	case !s.Ended():
		return domain.E(domain.Conflict, "wrong_state", "cannot resend: the campaign is %s; wait until it has ended, or stop it", s)
	}
	return nil
}

// CheckRecover tells whether a campaign in this status may get a new workflow in place of one that is gone: one
// that should be at work, or that failed in its middle. It fails with a domain.Conflict of code wrong_state.
func CheckRecover(s Status) error {
	if s.Active() || s == Failed {
		return nil
	}
	return domain.E(domain.Conflict, "wrong_state", "cannot recover: the campaign is %s", s)
}
