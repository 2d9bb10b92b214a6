package voucher

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var writeVectors = flag.Bool("vectors", false, "TestStationVectors writes the file instead of checking it")

// The station app reads codes and tokens without a connection, in another language. What both make of the same texts is
// in one file, which ui/src/station tests itself against, too.
func TestStationVectors(t *testing.T) {
	const file = "../../ui/src/station/vectors.json"
	type key struct {
		ID     string `json:"id"`
		Public string `json:"public_key"`
	}
	type token struct {
		Token   string `json:"token"`
		Wrong   string `json:"wrong,omitempty"`
		Voucher string `json:"voucher,omitempty"`
		Scope   string `json:"scope,omitempty"`
		Station string `json:"station,omitempty"`
		Expires int64  `json:"expires,omitempty"` // ms
	}
	var vectors struct {
		Keys   []key           `json:"keys"`
		Tokens []token         `json:"tokens"`
		Codes  map[string]bool `json:"codes"`
	}
	keys := keysOf(t, oldKey, someKey)
	for _, k := range keys.List() {
		vectors.Keys = append(vectors.Keys, key{k.ID().String(), base64.StdEncoding.EncodeToString(k.Public())})
	}
	good := keys.Sign(atBar)
	everywhere, some := atBar, atBar
	everywhere.Scope, some.Scope = TokenAll, TokenSet
	forged := []byte(good)
	forged[60] ^= 'A' ^ 'B' // another expiry or station under the same signature
	if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", rune(forged[60])) {
		forged[60] = 'A'
	}
	for _, text := range []string{good, keys.Sign(everywhere), keys.Sign(some), keysOf(t, ofSeed('c')).Sign(atBar), string(forged),
		"", "HELLO", strings.ToLower(good), good + "A", good[:len(good)-1], good + "======", "A" + good, strings.Repeat("A", 500)} {
		c, err := keys.Verify(text, noon)
		one := token{Token: text}
		switch {
		case err == nil:
			one.Voucher, one.Scope, one.Expires = c.Voucher.String(), c.Scope.String(), c.Expires.UnixMilli()
			if c.Scope == TokenStation {
				one.Station = c.Station.String()
			}
		case errors.Is(err, ErrTokenUnknownKey):
			one.Wrong = "unknown_key"
		case errors.Is(err, ErrTokenForged):
			one.Wrong = "forged"
		default:
			one.Wrong = "malformed"
		}
		vectors.Tokens = append(vectors.Tokens, one)
	}
	vectors.Codes = map[string]bool{}
	texts := []string{"K7QM-42XD", "k7qm 42xd", "K7QM42X", "K7QM42XDD", "K7QM-42XE", "7KQM-42XD", "0000-0000", "OOOO-OOOO", "", "K7QM–42XD", "K7QM-42Xß",
		"1000-000A", "UUUU-UUUU", "IL00-0000"}
	for _, start := range []string{"K7QM42X", "1000000", "0010A0Z", "ZZZZZZZ", "0123456"} {
		check := string(alphabet[syndrome([]byte(start))])
		texts = append(texts, start+check, strings.ToLower(start[:3]+" - "+start[3:]+check), start[1:2]+start[:1]+start[2:]+check)
	}
	for _, text := range texts {
		_, err := ParseCode(text)
		vectors.Codes[text] = err == nil
	}
	made, err := json.MarshalIndent(vectors, "", "  ")
	require.NoError(t, err)
	if *writeVectors {
		require.NoError(t, os.WriteFile(file, append(made, '\n'), 0o600))
	}
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.JSONEq(t, string(made), string(kept))
}
