package contact

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Pepper is the installation's secret that turns phone numbers into the hashes the opt-out registry keeps.
// Whoever loses it loses the registry: no other pepper gives the same hashes.
type Pepper []byte

// Hash stands for a number in the opt-out registry: HMAC-SHA256 of its E.164 form, 32 bytes.
func (p Pepper) Hash(m MSISDN) []byte { return p.mac(string(m)) }

// HashID stands for an id that holds a number, as those of the provider's messages do. It is no number's hash: 32 bytes.
func (p Pepper) HashID(id string) []byte { return p.mac("id " + id) }

// Fingerprint recognises the pepper without revealing it, so that a registry can refuse the wrong one. It is
// no number's hash: numbers begin with "+". 32 bytes.
func (p Pepper) Fingerprint() []byte { return p.mac("lastcall pepper") }

func (p Pepper) mac(text string) []byte {
	h := hmac.New(sha256.New, p)
	h.Write([]byte(text))
	return h.Sum(nil)
}
