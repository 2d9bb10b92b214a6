package voucher_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/voucher"
)

const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// The check is linear: whether a slip is noticed depends on its place and on how the characters differ, not on the rest
// of the code. So every place with every pair of characters is every slip there is; more codes only make sure of that.
func TestEveryTypingSlipIsNoticed(t *testing.T) {
	t.Parallel()
	for range 50 {
		code := string(voucher.NewCode())
		for at := range code {
			for _, wrong := range []byte(letters) {
				if wrong != code[at] {
					refused(t, code[:at]+string(wrong)+code[at+1:], "one wrong character in "+code)
				}
			}
		}
	}
	slips := 0
	for _, a := range []byte(letters) {
		for _, b := range []byte(letters) {
			for at := range voucher.CodeLength - 1 { // of places that stand beside each other, the check character's too
				if code, ok := with(a, b, at, at+1); ok && a != b {
					refused(t, code[:at]+string(b)+string(a)+code[at+2:], "two that changed places in "+code)
					slips++
				}
				if code, ok := with(a, a, at, at+1); ok && a != b {
					refused(t, code[:at]+string(b)+string(b)+code[at+2:], "a doubled one in "+code)
				}
			}
		}
	}
	require.Equal(t, 32*31*(voucher.CodeLength-1), slips)
}

func refused(t *testing.T, text, why string) {
	t.Helper()
	_, err := voucher.ParseCode(text)
	require.Equal(t, "bad_code", domain.CodeOf(err), why)
}

// with is a right code that has a and b in these places.
func with(a, b byte, at, next int) (string, bool) {
	text := []byte(strings.Repeat("7", voucher.CodeLength))
	text[at], text[next] = a, b
	free := 0 // a place that may hold what makes it right
	for free == at || free == next {
		free++
	}
	for _, c := range []byte(letters) {
		text[free] = c
		if _, err := voucher.ParseCode(string(text)); err == nil {
			return string(text), true
		}
	}
	return "", false
}

func TestCodesAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	var code voucher.Code
	for !strings.ContainsRune(string(code), '0') || !strings.ContainsRune(string(code), '1') {
		code = voucher.NewCode()
	}
	for _, written := range []string{
		string(code), code.String(), strings.ToLower(code.String()), " " + strings.Join(strings.Split(string(code), ""), " ") + "\n",
		strings.ReplaceAll(string(code), "0", "O"), strings.ReplaceAll(string(code), "0", "o"),
		strings.ReplaceAll(string(code), "1", "I"), strings.ReplaceAll(string(code), "1", "l"), strings.ReplaceAll(code.String(), "-", "\u2013"),
	} {
		got, err := voucher.ParseCode(written)
		require.NoError(t, err, "%q", written)
		require.Equal(t, code, got)
	}
	for _, wrong := range []string{"", "K7QM", string(code) + "0", string(code[:7]) + "U", string(code[:7]), "ÄÖÜ", strings.Repeat("0", 7) + "\u0660"} {
		refused(t, wrong, wrong)
	}
	require.Len(t, code.String(), 9)
	require.Equal(t, string(code[:4])+"-••••", code.Masked())
	require.Equal(t, "••••-••••", voucher.Code("").Masked())
}

func TestNewCodesUseTheWholeAlphabetAndAreRight(t *testing.T) {
	t.Parallel()
	seen := map[voucher.Code]bool{}
	var used [256]int
	for range 10_000 {
		code := voucher.NewCode()
		_, err := voucher.ParseCode(string(code))
		require.NoError(t, err)
		seen[code] = true
		for _, c := range []byte(code) {
			used[c]++
		}
	}
	require.Greater(t, len(seen), 9_990)
	for _, c := range []byte(letters) {
		require.InDelta(t, 2500, used[c], 400, "%c", c)
	}
}
