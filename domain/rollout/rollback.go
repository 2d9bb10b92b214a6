package rollout

// RollbackState is how far a rollback is.
type RollbackState string

// The states. It is open until it is recovered from or abandoned; only one is open at a time.
const (
	RollbackRunning    RollbackState = "running"    // steps are being taken
	RollbackDone       RollbackState = "done"       // everything was read back
	RollbackRecovering RollbackState = "recovering" // toggles are as they were; smoke tests and a signature come next
	RollbackRecovered  RollbackState = "recovered"
	RollbackAbandoned  RollbackState = "abandoned" // the rollout has ended, or another rollback took its place
)

// RollbackStates are all of them.
var RollbackStates = []RollbackState{RollbackRunning, RollbackDone, RollbackRecovering, RollbackRecovered, RollbackAbandoned}

// RollbackStep is one thing that a rollback, or the recovery from it, consists of.
type RollbackStep string

// The steps, in order: first those of the rollback, then those of the recovery.
const (
	PauseCampaigns RollbackStep = "pause_campaigns"
	DispatchOff    RollbackStep = "dispatch_off"
	RedemptionsOff RollbackStep = "redemptions_off" // only where it was asked for
	OpenIncident   RollbackStep = "open_incident"
	NotifyOps      RollbackStep = "notify_ops"
	LegacyOn       RollbackStep = "legacy_on" // by its webhook, read back; without one Ops sign that it answers
	Readback       RollbackStep = "readback"  // toggles are effective, and nothing is in flight

	RestoreToggles RollbackStep = "restore_toggles"
	SmokePassed    RollbackStep = "smoke"
	SignedOff      RollbackStep = "sign_off" // by another person than whoever asked
	LegacyOff      RollbackStep = "legacy_off"
	Announced      RollbackStep = "announce"
)

// StepTitles say for people what each step is.
var StepTitles = map[RollbackStep]string{PauseCampaigns: "Pause all campaigns", DispatchOff: "Dispatch off", RedemptionsOff: "Station redemptions off",
	OpenIncident: "Open an incident", NotifyOps: "Tell Ops", LegacyOn: "Legacy tooling on", Readback: "Read back that nothing goes any more",
	RestoreToggles: "Toggles as they were", SmokePassed: "Smoke tests passed", SignedOff: "Signed by another person", LegacyOff: "Legacy tooling off", Announced: "Announced"}

// RollbackSteps are those of a rollback.
func RollbackSteps(redemptionsOff bool) []RollbackStep {
	steps := []RollbackStep{PauseCampaigns, DispatchOff, RedemptionsOff, OpenIncident, NotifyOps, LegacyOn, Readback}
	if !redemptionsOff {
		steps = append(steps[:2], steps[3:]...)
	}
	return steps
}

// RecoverySteps are those of the recovery.
var RecoverySteps = []RollbackStep{RestoreToggles, SmokePassed, SignedOff, LegacyOff, Announced}

// RecoverySmoke are the smoke tests that must pass before somebody signs that a rollback is over: the ways by which messages leave and
// vouchers are redeemed.
var RecoverySmoke = map[string][]int{
	"admin":   {1, 3, 10, 12, 15, 19},
	"station": {21, 22, 23, 24, 26},
}

// The codes of refusals about rollbacks. The audit log tells them as rollout.refused.
const (
	RollbackOpen    = "rollout_rollback_open"    // one is
	RollbackPhase   = "rollout_rollback_phase"   // there is nothing to roll back yet
	RollbackNotDone = "rollout_rollback_state"   // it is not at the point where this could be done
	RollbackBurns   = "rollout_rollback_signal"  // a signal still holds
	RollbackSmoke   = "rollout_rollback_smoke"   // no smoke tests have passed since
	RollbackLegacy  = "rollout_rollback_legacy"  // nobody is asked to sign that
	RollbackToggles = "rollout_rollback_toggles" // they stay off until somebody recovered
)
