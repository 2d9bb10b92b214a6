package delivery

import "strings"

// Diagnose explains why a target failed, went back to the queue or became unknown: by the provider's code, else
// by our own reason. A provider's refusal without a code is its code 0, which is not stored as one.
func Diagnose(reason string, code int) Diagnosis {
	if d, ok := reasons[reason]; ok && reason == "retries_exhausted" { // the last code says what was wrong, not that it is over
		if code != 0 {
			d.Meaning += ", for the last time because " + Lookup(code).Meaning
		}
		return d
	}
	if code != 0 || reason == "provider_refused" {
		return Lookup(code).Diagnosis
	}
	if d, ok := reasons[reason]; ok {
		return d
	}
	return Diagnosis{Meaning: strings.ReplaceAll(reason, "_", " ")}
}

// reasons are our own, where the provider gave no code.
var reasons = map[string]Diagnosis{
	"permit_void": {Rate, "its permit ran out before the sending could begin, and nothing was sent",
		"Nothing to do: it is tried again with a new permit."},
	"provider_busy": {Rate, "WhatsApp took nothing for the moment",
		"Nothing to do: it is tried again."},
	"rate_limited": {Rate, "WhatsApp asked for a slower pace, and nothing was sent",
		"Nothing to do: it is tried again. If it lasts, lower the channel's throttle."},
	"number_maintenance": {Number, "our number is in maintenance, and nothing was sent",
		"Nothing to do: it is tried again in about a minute."},
	"channel_suspended": {Number, "the channel was suspended, and nothing was sent",
		"See why with the channels; the target goes on with them."},
	"template_suspended": {Template, "WhatsApp does not take the template, and nothing was sent",
		"It goes on when WhatsApp takes the template again, or when somebody resumes it by hand."},
	"retries_exhausted": {Provider, "it was tried as often as the settings allow, and WhatsApp never took it",
		"Once WhatsApp works again, send what failed again: none of these tries sent anything."},
	"provider_unreachable": {Provider, "WhatsApp could not be reached, and nothing was sent",
		"It is tried again. If it lasts, check the network and WhatsApp's status page."},
	"provider_failed": {Provider, "WhatsApp took the message and could not deliver it, without saying why",
		"Send it again if it still matters."},
	"no_answer": {Provider, "WhatsApp gave no usable answer after the message may have left",
		"Wait for the receipt, which may come days later. Sending again may make it arrive twice."},
	"worker_lost": {Provider, "our worker was lost in the middle of sending, and nobody can tell whether the message left",
		"Wait for the receipt, which may come days later. Sending again may make it arrive twice."},
	"no_consent": {User, "the guest has no recorded consent to marketing, which the settings require",
		"Record the opt-in, then send what failed again."},
	"erased": {User, "the guest was erased before their turn",
		"Nothing to do: nobody knows their number any more."},
	"voucher_over": {Parameters, "the voucher had ended before its message could go: it was spent, withdrawn, or out of date",
		"Nothing was sent. Issue another voucher if the guest is to have one."},
	"missing_variable": {Parameters, "a value that the template needs is missing",
		"Add the value to the file or give it for all targets, then send what failed again."},
}
