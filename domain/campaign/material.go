package campaign

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lastcall/domain/voucher"
)

// Material is all of a campaign that its approval is of. Whatever of it changes, the digest does, and the approval
// does not hold any more. The weight is no part of it: it says how fast, not what to whom.
type Material struct {
	Campaign  uuid.UUID         `json:"campaign"`
	Name      string            `json:"name"`
	Channel   string            `json:"channel"`
	Template  MaterialTemplate  `json:"template"`
	Variables map[string]string `json:"variables"`         // values that hold for every target
	Voucher   *voucher.Offer    `json:"voucher,omitempty"` // what each target gets; nil: a message, and no more
	SendAt    *time.Time        `json:"send_at,omitempty"` // nil: when it is started
	Revision  int64             `json:"policy_revision"`
	Audience  []AudiencePart    `json:"audience"` // by country, zone and locale
}

// MaterialTemplate is the version of the template that is sent.
type MaterialTemplate struct {
	ID          uuid.UUID         `json:"id"`
	Name        string            `json:"name"`
	Version     int               `json:"version"`
	Category    string            `json:"category"`
	Texts       map[string]string `json:"texts"`
	Variables   json.RawMessage   `json:"variables"`
	HeaderMedia string            `json:"header_media"`
	Headers     map[string]string `json:"headers,omitempty"`
	Footers     map[string]string `json:"footers,omitempty"`
}

// AudiencePart is the targets of one cohort, by number and a digest that no order changes.
type AudiencePart struct {
	Country string `json:"country"`
	Zone    string `json:"zone"`
	Locale  string `json:"locale"`
	Targets int64  `json:"targets"`
	Digest  string `json:"digest"`
}

// Targets is how many there are.
func (m Material) Targets() (n int64) {
	for _, part := range m.Audience {
		n += part.Targets
	}
	return n
}

// Digest is the SHA-256 of its canonical JSON: fields in this order, maps sorted, times in UTC to the microsecond, which
// is what the database keeps.
func (m Material) Digest() []byte {
	if m.SendAt != nil {
		at := m.SendAt.UTC().Truncate(time.Microsecond)
		m.SendAt = &at
	}
	if v := m.Voucher; v != nil && v.ExpiresAt != nil {
		offer, at := *v, v.ExpiresAt.UTC().Truncate(time.Microsecond)
		offer.ExpiresAt = &at
		m.Voucher = &offer
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings, numbers, and JSON that Postgres has checked
	}
	sum := sha256.Sum256(text)
	return sum[:]
}
