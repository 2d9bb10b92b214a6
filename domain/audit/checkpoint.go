package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"lastcall/domain"
)

// MinRetentionDays is the least number of days that entries are kept.
const MinRetentionDays = 90

// CheckpointEvery is how often a checkpoint is made.
const CheckpointEvery = time.Hour

// Checkpoint says, signed, what the chain was: whoever keeps one elsewhere can tell that nothing before it was changed
// or cut off since, whoever owns the database.
type Checkpoint struct {
	Origin    string    // whose log
	Size      int64     // the seq of its last row
	Head      Hash      // that row's hash
	CreatedAt time.Time // to the microsecond
	Signer    ed25519.PublicKey
	Signature []byte
}

// Anchor says, signed, where the chain begins since retention took what was before it: behind row Size, whose hash
// was Head. It has a checkpoint's members and a signature that is good for no checkpoint.
type Anchor Checkpoint

// Key signs checkpoints and anchors.
type Key struct{ private ed25519.PrivateKey }

// NewKey makes a key from its 32 secret bytes.
func NewKey(seed []byte) (Key, error) {
	if len(seed) != ed25519.SeedSize {
		return Key{}, domain.E(domain.Invalid, "bad_key", "must be %d bytes in base64", ed25519.SeedSize)
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// Public is the key that signatures are checked with.
func (k Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Checkpoint signs that the chain of origin ended with head at that time.
func (k Key) Checkpoint(origin string, head Head, at time.Time) Checkpoint {
	c := Checkpoint{Origin: origin, Size: head.Seq, Head: head.Hash, CreatedAt: at.UTC().Truncate(time.Microsecond), Signer: k.Public()}
	c.Signature = ed25519.Sign(k.private, c.message("checkpoint"))
	return c
}

// Anchor signs that the chain of origin begins behind head.
func (k Key) Anchor(origin string, head Head, at time.Time) Anchor {
	c := k.Checkpoint(origin, head, at)
	c.Signature = ed25519.Sign(k.private, c.message("anchor"))
	return Anchor(c)
}

// message is what is signed: six lines.
func (c Checkpoint) message(what string) []byte {
	return fmt.Appendf(nil, "lastcall audit %s v1\n%s\n%d\n%s\n%s\n", what, c.Origin, c.Size, hex.EncodeToString(c.Head[:]),
		c.CreatedAt.UTC().Format(checkpointTime))
}

const checkpointTime = "2006-01-02T15:04:05.000000Z"

// Signed reports whether one of the keys signed it; without keys, whether the key did that it names itself.
func (c Checkpoint) Signed(keys []ed25519.PublicKey) bool { return c.signed("checkpoint", keys) }

// Signed is as a checkpoint's.
func (a Anchor) Signed(keys []ed25519.PublicKey) bool { return Checkpoint(a).signed("anchor", keys) }

func (c Checkpoint) signed(what string, keys []ed25519.PublicKey) bool {
	known := len(keys) == 0 || slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return k.Equal(c.Signer) })
	return known && len(c.Signer) == ed25519.PublicKeySize && ed25519.Verify(c.Signer, c.message(what), c.Signature)
}

// checkpointLine is a checkpoint as a line of JSON.
type checkpointLine struct {
	Origin    string    `json:"origin"`
	Size      int64     `json:"size"`
	Head      string    `json:"head"`
	At        time.Time `json:"time"`
	Signer    []byte    `json:"signer"`
	Signature []byte    `json:"signature"`
}

// MarshalJSON writes the hash in hexadecimal, key and signature in base64.
func (c Checkpoint) MarshalJSON() ([]byte, error) {
	return json.Marshal(checkpointLine{c.Origin, c.Size, hex.EncodeToString(c.Head[:]), c.CreatedAt.UTC(), c.Signer, c.Signature})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Checkpoint) UnmarshalJSON(raw []byte) error {
	var l checkpointLine
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	head, err := hex.DecodeString(l.Head)
	if err != nil || len(head) != len(c.Head) {
		return domain.E(domain.Invalid, "bad_checkpoint", "is no hash").About("head")
	}
	*c = Checkpoint{Origin: l.Origin, Size: l.Size, Head: Hash(head), CreatedAt: l.At, Signer: l.Signer, Signature: l.Signature}
	return nil
}

// ReadCheckpoints reads a file of checkpoints, one a line. It fails with domain.Invalid naming the line. A last line
// without its end was being written when somebody pulled the plug, and is left out.
func ReadCheckpoints(r io.Reader) ([]Checkpoint, error) {
	var all []Checkpoint
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		whole := err == nil
		if err != nil && err != io.EOF {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			var c Checkpoint
			if bad := json.Unmarshal(line, &c); bad == nil {
				all = append(all, c)
			} else if whole {
				return nil, domain.E(domain.Invalid, "bad_checkpoint", "line %d is no checkpoint", n)
			}
		}
		if !whole {
			return all, nil
		}
	}
}

// ParsePublicKey reads an Ed25519 public key in base64.
func ParsePublicKey(s string) (ed25519.PublicKey, error) {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, domain.E(domain.Invalid, "bad_key", "must be a public key of %d bytes in base64", ed25519.PublicKeySize)
	}
	return raw, nil
}
