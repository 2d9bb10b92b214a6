// Package delivery tells what became of a message and why: what the provider's error codes mean and what to do
// about each, and the story of one target from its campaign's start to the answer to "why was this not sent?".
// Its words are for people and hold no number, name or message text.
package delivery

import "fmt"

// Lookup returns what the catalogue knows about a code of the WhatsApp Cloud API. Of a code that is not in it,
// only that it is final: what the provider refused for a reason unknown to us is not sent again by itself.
func Lookup(code int) Error {
	for _, e := range catalogue {
		if e.First <= code && code <= e.Last {
			return e
		}
	}
	return Error{First: code, Last: code, Then: Final, Diagnosis: Diagnosis{
		Meaning: fmt.Sprintf("WhatsApp refused the message with code %d, which the catalogue does not know", code),
		Advice:  "Look the code up in WhatsApp's error reference before sending again."}}
}

// Hopeless reports whether the same message to the same recipient will most likely end the same way, however long
// one waits: the recipient cannot or may not be reached, or the message's own values are at fault.
func Hopeless(reason string, code int) bool {
	if code == 0 && reason != "provider_refused" {
		return reasons[reason].Scope == Parameters
	}
	e := Lookup(code)
	return e.Then == Final && (e.Scope == User || e.Scope == Parameters)
}

// Catalogue returns all that is known, in the order of the codes.
func Catalogue() []Error { return append([]Error(nil), catalogue...) }

// Error is one code of the provider, or a range of codes that mean the same.
type Error struct {
	First, Last int // inclusive; the same for a single code
	Then        Then
	Diagnosis
}

// Diagnosis is what an error means and what to do about it.
type Diagnosis struct {
	Scope   Scope  `json:"scope,omitempty" enum:"rate,pair,user,template,parameters,number,account,provider" doc:"Whom it concerns; absent if nobody knows"`
	Meaning string `json:"meaning" doc:"What happened, in plain words"`
	Advice  string `json:"advice,omitempty" doc:"What to do about it"`
}

// Scope is whom an error concerns: what else will fail for the same reason.
type Scope string

// The scopes.
const (
	Rate       Scope = "rate"       // all that the number or account sends now, for a while
	Pair       Scope = "pair"       // this sender and this recipient, for a while
	User       Scope = "user"       // this recipient
	Template   Scope = "template"   // every campaign with this template
	Parameters Scope = "parameters" // this message: its values do not fit the template
	Number     Scope = "number"     // all that our number sends
	Account    Scope = "account"    // all that the account sends: access, payment, standing
	Provider   Scope = "provider"   // all that goes through the provider now
)

// Then is what a code says about the attempt it answers.
type Then string

// What a code may say about an attempt.
const (
	Final  Then = "final"  // refused; the same message would be refused again
	Again  Then = "again"  // refused for now: certainly not sent, worth another try after a while
	Unsure Then = "unsure" // it may have been sent all the same; only a receipt can tell
)

// catalogue is in the order of the codes; ranges do not overlap.
var catalogue = []Error{
	one(0, Account, Final, "WhatsApp does not accept our access token",
		"Make a new system-user token and restart the workers with it as LASTCALL_WHATSAPP_ACCESS_TOKEN; sending goes on by itself."),
	one(1, Provider, Unsure, "WhatsApp had an internal fault; the message may have been sent all the same",
		"Wait for the receipt. Check WhatsApp's status page if it goes on."),
	one(2, Provider, Unsure, "WhatsApp was down for a moment; the message may have been sent all the same",
		"Wait for the receipt. Check WhatsApp's status page if it goes on."),
	one(3, Account, Final, "our app lacks the capability or permission for this call",
		"Give the app the whatsapp_business_messaging permission; sending goes on by itself."),
	one(4, Rate, Again, "our app made too many calls to WhatsApp",
		"Nothing to do: it is tried again, more slowly. If it lasts, lower the channel's throttle."),
	one(10, Account, Final, "our access token lacks a permission, or has lost it",
		"Check the permissions of the system user and its token; sending goes on by itself."),
	one(190, Account, Final, "our access token has expired or was revoked",
		"Make a new system-user token and restart the workers with it as LASTCALL_WHATSAPP_ACCESS_TOKEN; sending goes on by itself."),
	some(200, 299, Account, Final, "our access token lacks a permission for this account or number",
		"Check the permissions of the system user and its token; sending goes on by itself."),
	one(368, Account, Final, "the account is blocked for a time because it broke a policy",
		"See the reason in WhatsApp Manager and appeal or wait there; sending goes on by itself."),
	one(80007, Rate, Again, "the business account made too many calls to WhatsApp",
		"Nothing to do: it is tried again, more slowly. If it lasts, lower the channel's throttle."),
	one(130429, Rate, Again, "our number sends faster than WhatsApp allows it to",
		"Nothing to do: it is tried again, more slowly. If it lasts, lower the channel's throttle."),
	one(130472, User, Final, "the recipient is in an experiment of WhatsApp's that gets no marketing messages",
		"Do not send again. Reach this guest another way, such as by SMS."),
	one(130497, Account, Final, "the account may not send to the recipient's country",
		"Stop the campaigns to that country, or ask WhatsApp to lift the restriction; the others go on by themselves."),
	one(131000, Provider, Unsure, "WhatsApp failed without knowing why; the message may have been sent all the same",
		"Wait for the receipt. Check WhatsApp's status page if it goes on."),
	one(131005, Account, Final, "our access token may not do this, or has lost the permission",
		"Check the permissions of the system user and its token; sending goes on by itself."),
	one(131016, Provider, Again, "WhatsApp is overloaded and took nothing",
		"Nothing to do: it is tried again. Check WhatsApp's status page if it lasts."),
	one(131026, User, Final, "the message cannot be delivered to this number: it is not on WhatsApp, its app is too old, or it has not accepted WhatsApp's terms",
		"Do not send again. Check the number with the guest, or reach them by SMS."),
	one(131031, Account, Final, "the account is locked, for breaking a policy or because its data could not be verified",
		"See the reason in WhatsApp Manager and have it unlocked there; sending goes on by itself."),
	one(131042, Account, Final, "the account's payment method does not work",
		"Mend the payment in WhatsApp Manager; sending goes on by itself."),
	one(131047, User, Final, "the recipient has not written to us for more than 24 hours, so only an approved template may be sent",
		"Send an approved template instead of free text."),
	one(131048, Number, Final, "our number is restricted because too many of its messages were blocked or reported as spam",
		"Check the number's quality in WhatsApp Manager, and write only to guests who asked for it; then close the channel's suspension by hand."),
	one(131049, User, Final, "WhatsApp holds back marketing messages to this recipient, who got many lately",
		"Do not send again for at least 24 hours, or reach this guest by SMS."),
	one(131050, User, Final, "the recipient has opted out of marketing messages from us",
		"Do not send again: the opt-out is final."),
	one(131053, Parameters, Final, "the picture, video or file of the message could not be fetched or is not of a kind WhatsApp takes",
		"Check that the template's header media opens from the internet, in a format and size WhatsApp takes; then send what failed again."),
	one(131056, Pair, Again, "too many messages to this one recipient in a short time",
		"Nothing to do: this target waits and is tried again; others go on."),
	one(131057, Number, Again, "our number is in maintenance, as when its throughput is being raised",
		"Nothing to do: it is tried again in about a minute."),
	one(131064, Account, Final, "the account may not send for now because its templates broke WhatsApp's policy",
		"See the violations in WhatsApp Manager and mend the templates; sending goes on by itself."),
	one(132000, Parameters, Final, "the message has more or fewer values than the template has variables",
		"Compare the template's variables here with those in WhatsApp Manager, then send what failed again."),
	one(132001, Template, Final, "the template does not exist in this language, or is not approved",
		"Check its name, language and status in WhatsApp Manager; its campaigns go on once it is approved, or resumed by hand."),
	one(132005, Parameters, Final, "the text is too long once its variables are filled in",
		"Shorten the values, then send what failed again."),
	one(132007, Template, Final, "the template's text breaks a policy of WhatsApp's",
		"See the reason in WhatsApp Manager, change the text and have it approved again."),
	one(132008, Parameters, Final, "a value of the message does not fit its variable in the template",
		"Correct the value, then send what failed again."),
	one(132012, Parameters, Final, "a value of the message has another format than its variable in the template",
		"Correct the value's format, then send what failed again."),
	one(132015, Template, Final, "the template is paused because its quality is low",
		"Wait until WhatsApp makes it active again, or improve it; its campaigns go on by themselves."),
	one(132016, Template, Final, "the template is disabled for good because its quality stayed low",
		"Make a new template with another text and have it approved."),
	some(133000, 133999, Number, Final, "our number is not properly registered with the Cloud API",
		"Register the number in WhatsApp Manager, once, as trying again and again locks it; then close the channel's suspension by hand."),
}

func one(code int, scope Scope, then Then, meaning, advice string) Error {
	return some(code, code, scope, then, meaning, advice)
}

func some(first, last int, scope Scope, then Then, meaning, advice string) Error {
	return Error{first, last, then, Diagnosis{scope, meaning, advice}}
}
