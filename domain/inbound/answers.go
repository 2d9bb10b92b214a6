package inbound

import (
	"strings"
	"time"
)

// Answer says which text a command is answered with.
type Answer string

// The answers.
const (
	Stopped  Answer = "stopped"   // nothing more will come
	Started  Answer = "started"   // messages come again
	Joined   Answer = "joined"    // messages come from a bar
	StillOut Answer = "still_out" // staff keep the number off: START and JOIN do not lift that
	NoSuch   Answer = "no_such"   // JOIN with a token that is none, or is no longer one
)

const (
	// AnswerWithin is how long after a message it is answered: free text may be sent for 24 hours, and one takes
	// a moment to get there.
	AnswerWithin = 23 * time.Hour
	// AnswerAgain is how long the same person is not given the same answer again, so that two machines never talk.
	AnswerAgain = 24 * time.Hour
)

// Text is an answer in a language, a BCP 47 locale of which the beginning counts; English where it has none. Place is
// the bar that was joined.
func (a Answer) Text(locale, place string) string {
	language, _, _ := strings.Cut(locale, "-")
	text, ok := answers[a][language]
	if !ok {
		text = answers[a]["en"]
	}
	return strings.ReplaceAll(text, "{{bar}}", place)
}

// answers name the word that undoes them, in their language.
var answers = map[Answer]map[string]string{
	Stopped: {
		"en": "You will get no more messages from us. If you want them again, write START.",
		"fr": "Vous ne recevrez plus de messages de notre part. Pour en recevoir à nouveau, écrivez START.",
		"rw": "Nta butumwa bwacu uzongera kubona. Niba wifuza kongera kububona, andika TANGIRA.",
		"mt": "Mhux se tirċievi aktar messaġġi mingħandna. Jekk terġa' tridhom, ikteb IBDA.",
	},
	Started: {
		"en": "You will get our messages again. To stop them, write STOP.",
		"fr": "Vous recevrez de nouveau nos messages. Pour les arrêter, écrivez STOP.",
		"rw": "Uzongera kubona ubutumwa bwacu. Kubuhagarika, andika HAGARIKA.",
		"mt": "Se terġa' tirċievi l-messaġġi tagħna. Biex twaqqafhom, ikteb IEQAF.",
	},
	Joined: {
		"en": "Welcome to {{bar}}: you will get its messages here. To stop them, write STOP.",
		"fr": "Bienvenue chez {{bar}} : vous recevrez ici ses messages. Pour les arrêter, écrivez STOP.",
		"rw": "Murakaza neza kuri {{bar}}: muzajya mubona ubutumwa bwayo hano. Kubuhagarika, andika HAGARIKA.",
		"mt": "Merħba għand {{bar}}: se tirċievi l-messaġġi tagħhom hawn. Biex twaqqafhom, ikteb IEQAF.",
	},
	StillOut: {
		"en": "We have noted it, but our staff were asked to keep this number off our messages. Please talk to us at the bar.",
		"fr": "C'est noté, mais notre équipe a été priée de ne plus écrire à ce numéro. Parlez-nous-en au bar.",
		"rw": "Twabyanditse, ariko abakozi bacu basabwe kutandikira iyi nimero. Tuvugishe ku kabari.",
		"mt": "Innutajnieh, iżda l-istaff tagħna ntalbu ma jiktbux lil dan in-numru. Kellimna fil-bar.",
	},
	NoSuch: {
		"en": "This code is not valid any more. Please ask at the bar for a new one.",
		"fr": "Ce code n'est plus valable. Demandez-en un nouveau au bar.",
		"rw": "Iyi kode ntigikora. Saba indi nshya ku kabari.",
		"mt": "Dan il-kodiċi m'għadux validu. Itlob wieħed ġdid fil-bar.",
	},
}
