package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that no output shows: fmt, JSON, YAML and slog print dots, whatever the verb.
type Secret string

const dots = "••••"

// Reveal is the secret itself, for who must use it.
func (s Secret) Reveal() string { return string(s) }

// String is dots, or nothing when the secret is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return dots
}

// Format prints String for every verb: a Stringer alone would show the secret to %d.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText is what JSON and YAML write.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is what slog writes.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
