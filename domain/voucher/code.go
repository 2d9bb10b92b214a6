package voucher

import (
	"crypto/rand"
	"strings"
	"unicode"

	"lastcall/domain"
)

// alphabet is Crockford's base 32: no I, L, O and U, so that nothing is mistaken for 1 and 0, and no word comes out.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// CodeLength is the number of characters of a code, the check character among them.
const CodeLength = 8

// Code is a voucher's short code as it is kept: 8 characters of Crockford's base 32. Seven are random, 2^35 of them; the
// last one is a check character. Whoever has it has the voucher: it is in no log and in no address.
//
// The check character makes c1·a^7 + c2·a^6 + … + c7·a + c8 zero in the field of 32 elements, a Reed-Solomon code with one
// check symbol. No two places have the same weight and none has weight zero, so one wrong character, two that changed
// places, next to each other or not, and a doubled one that doubles another are always noticed.
type Code string

// NewCode makes a random code.
func NewCode() Code {
	var raw [CodeLength - 1]byte
	_, _ = rand.Read(raw[:]) // never fails
	var code [CodeLength]byte
	for i, b := range raw {
		code[i] = alphabet[b%32] // 256 is a multiple of 32
	}
	code[CodeLength-1] = alphabet[syndrome(code[:CodeLength-1])]
	return Code(code[:])
}

// ParseCode reads a code as people write it: in lower case, with spaces and dashes anywhere, I and L for 1, O for 0. It
// fails with domain.Invalid about "code", code bad_code, when it is none, which a slip of the finger makes of it.
func ParseCode(text string) (Code, error) {
	var code [CodeLength]byte
	n := 0
	for _, r := range text {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || unicode.Is(unicode.Cf, r) {
			continue
		}
		c := normal(r)
		if n == CodeLength || strings.IndexByte(alphabet, c) < 0 {
			return "", badCode()
		}
		code[n] = c
		n++
	}
	if n < CodeLength || syndrome(code[:CodeLength-1]) != strings.IndexByte(alphabet, code[CodeLength-1]) {
		return "", badCode()
	}
	return Code(code[:]), nil
}

func badCode() error {
	return domain.E(domain.Invalid, "bad_code", "this is no code: look at it again").About("code")
}

// normal is the character of the alphabet that r is meant to be, or one that is not in it.
func normal(r rune) byte {
	switch r = unicode.ToUpper(r); {
	case r == 'I' || r == 'L':
		return '1'
	case r == 'O':
		return '0'
	case r > unicode.MaxASCII:
		return '?'
	}
	return byte(r)
}

// String is the code as people see it, K7QM-42XD.
func (c Code) String() string {
	if len(c) != CodeLength {
		return string(c)
	}
	return string(c[:4]) + "-" + string(c[4:])
}

// Masked is as much of the code as helps to recognise it, K7QM-••••.
func (c Code) Masked() string {
	if len(c) != CodeLength {
		return "••••-••••"
	}
	return string(c[:4]) + "-••••"
}

// syndrome is the check character, as a number, of the characters before it: their sum, each times a to the power of its
// distance from the check character, which itself counts once.
func syndrome(text []byte) int {
	sum := 0
	for _, c := range text {
		sum = times(sum ^ strings.IndexByte(alphabet, c))
	}
	return sum
}

// times multiplies by a in the field of 32 elements, whose polynomial is x^5 + x^2 + 1: all 31 powers of a differ.
func times(n int) int {
	n <<= 1
	if n >= 32 {
		n ^= 0b100101
	}
	return n
}
