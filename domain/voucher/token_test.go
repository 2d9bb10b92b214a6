package voucher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	noon    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	atBar   = Claims{uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), TokenStation, uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8058"), noon.Add(time.Hour)}
	ofSeed  = func(b byte) Key { k, _ := KeyFromSeed([]byte(strings.Repeat(string(rune(b)), 32)), noon); return k }
	oldKey  = ofSeed('a')
	someKey = ofSeed('b')
)

func keysOf(t testing.TB, keys ...Key) *Keys {
	t.Helper()
	k, err := NewKeys(noon, keys...)
	require.NoError(t, err)
	return k
}

func TestTokensSayWhatWasSigned(t *testing.T) {
	t.Parallel()
	keys := keysOf(t, oldKey)
	rapid.Check(t, func(t *rapid.T) {
		c := Claims{Scope: rapid.SampledFrom([]TokenScope{TokenAll, TokenSet, TokenStation}).Draw(t, "scope")}
		id := rapid.SliceOfN(rapid.Byte(), 16, 16)
		copy(c.Voucher[:], id.Draw(t, "voucher"))
		if c.Scope == TokenStation {
			copy(c.Station[:], id.Draw(t, "station"))
		}
		c.Expires = time.Unix(rapid.Int64Range(1, maxExpiry).Draw(t, "expires"), 0).UTC()
		token := keys.Sign(c)
		if keys.Sign(c) != token {
			t.Fatal("two tokens for the same claims")
		}
		got, err := keys.Verify(token, c.Expires.Add(-time.Nanosecond))
		if err != nil || got != c {
			t.Fatalf("got %v and %v for %v", got, err, c)
		}
		got, err = keys.Verify(token, c.Expires)
		if err != ErrTokenExpired || got != c { //nolint:errorlint // the very error
			t.Fatalf("got %v and %v after the expiry", got, err)
		}
	})
}

// The token of these claims and this key, for ever: stations verify it with code of their own.
func TestATokenIsWrittenLikeThis(t *testing.T) {
	t.Parallel()
	token := keysOf(t, oldKey).Sign(atBar)
	require.Equal(t, "AGR4OYPFAGEQUXNMSZ3UXPGOWMBATGUAK4BQDCIKLWWJM52LXTHLGAQJTKAFQADLAQ4NAJDGESAX74SVOKC6JPTFI2JY2AZI735JJXEKHBUYUZ7OLK4MBZPLG2OIJBAUOK5O5ZCHYOKJ6QO6NAADQ4UZT2XUFFTJ56XTYG5HQYCQ", token)
	require.Len(t, token, 172)
	all := atBar
	all.Scope, all.Station = TokenAll, uuid.Nil
	require.Len(t, keysOf(t, oldKey).Sign(all), 146)
}

func TestVerifyTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	keys := keysOf(t, oldKey)
	token := keys.Sign(atBar)
	forged := func(change func(b []byte)) string {
		b, err := tokenText.DecodeString(token)
		require.NoError(t, err)
		change(b)
		return tokenText.EncodeToString(b)
	}
	cases := map[string]struct {
		token string
		want  error
	}{
		"as signed":            {token, nil},
		"nothing":              {"", ErrTokenMalformed},
		"no base 32":           {"0" + token[1:], ErrTokenMalformed},
		"a short code":         {"K7QM42XD", ErrTokenMalformed},
		"small letters":        {strings.ToLower(token), ErrTokenMalformed},
		"a blank before":       {" " + token, ErrTokenMalformed},
		"a line break within":  {token[:9] + "\n" + token[9:], ErrTokenMalformed},
		"a letter less":        {token[:len(token)-1], ErrTokenMalformed},
		"a letter more":        {token + "A", ErrTokenMalformed},
		"padding":              {token + "====", ErrTokenMalformed},
		"leftover bits":        {token[:len(token)-1] + nextLetter(token), ErrTokenMalformed},
		"very long":            {strings.Repeat("A", 1<<20), ErrTokenMalformed},
		"another version":      {forged(func(b []byte) { b[0] = 2 }), ErrTokenMalformed},
		"no scope":             {forged(func(b []byte) { b[headSize-1] = 0 }), ErrTokenMalformed},
		"a scope too short":    {forged(func(b []byte) { b[headSize-1] = byte(TokenAll) }), ErrTokenMalformed},
		"another key's id":     {forged(func(b []byte) { b[1] ^= 1 }), ErrTokenUnknownKey},
		"signed by a stranger": {keysOf(t, someKey).Sign(atBar), ErrTokenUnknownKey},
		"another voucher":      {forged(func(b []byte) { b[5] ^= 1 }), ErrTokenForged},
		"another station":      {forged(func(b []byte) { b[headSize] ^= 1 }), ErrTokenForged},
		"a later expiry":       {forged(func(b []byte) { b[headSize+16] ^= 1 }), ErrTokenForged},
		"another signature":    {forged(func(b []byte) { b[len(b)-40] ^= 1 }), ErrTokenForged},
		"S beyond the order":   {forged(addOrder), ErrTokenForged},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := keys.Verify(c.token, noon)
			require.Equal(t, c.want, err)
			require.Equal(t, err == nil, got == atBar)
		})
	}
}

// nextLetter is the token's last letter with a bit set that stands for nothing.
func nextLetter(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	return string(alphabet[strings.IndexByte(alphabet, token[len(token)-1])+1])
}

// addOrder adds the group's order to the signature's S: the classic second spelling of one signature.
func addOrder(b []byte) {
	order := [32]byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	s, carry := b[len(b)-32:], 0
	for i := range s {
		carry += int(s[i]) + int(order[i])
		s[i], carry = byte(carry), carry>>8
	}
}

// No change of one bit of a token is ever taken.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	keys := keysOf(t, oldKey)
	b, err := tokenText.DecodeString(keys.Sign(atBar))
	require.NoError(t, err)
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		_, err := keys.Verify(tokenText.EncodeToString(b), noon)
		require.Error(t, err, "bit %d", i)
		b[i/8] ^= 1 << (i % 8)
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	newer := someKey
	newer.SignsFrom = noon.Add(time.Hour)
	before := keysOf(t, newer, oldKey)
	require.Equal(t, oldKey.ID(), before.Signs().ID(), "a key waits until it signs")
	after, err := NewKeys(newer.SignsFrom, newer, oldKey)
	require.NoError(t, err)
	require.Equal(t, newer.ID(), after.Signs().ID())
	require.Equal(t, []KeyID{oldKey.ID(), newer.ID()}, []KeyID{after.List()[0].ID(), after.List()[1].ID()})

	late := atBar
	late.Expires = noon.Add(48 * time.Hour)
	_, err = after.Verify(before.Sign(late), noon)
	require.NoError(t, err, "an older key still verifies")
	_, err = before.Verify(after.Sign(late), noon)
	require.NoError(t, err, "a newer one verifies before it signs")
	_, err = keysOf(t, newer).Verify(before.Sign(late), noon)
	require.Equal(t, ErrTokenUnknownKey, err, "a retired one does not")

	_, err = NewKeys(noon)
	require.EqualError(t, err, "There is no key to sign vouchers with.")
	_, err = NewKeys(noon, oldKey, oldKey)
	require.ErrorContains(t, err, oldKey.ID().String())
	_, err = KeyFromSeed(make([]byte, 31), noon)
	require.ErrorContains(t, err, "32 bytes")
	require.NotEqual(t, NewKey(noon).ID(), NewKey(noon).ID())
}

func TestKeysPrintAsTheirID(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		require.Equal(t, oldKey.ID().String(), fmt.Sprintf(verb, oldKey))
		require.NotContains(t, fmt.Sprintf(verb, &oldKey), fmt.Sprintf("%x", oldKey.Seed()[:4]))
	}
}

func FuzzVerify(f *testing.F) {
	keys := keysOf(f, oldKey, someKey)
	set := Claims{Voucher: atBar.Voucher, Scope: TokenSet, Expires: atBar.Expires}
	for _, seed := range []string{"", "A", keys.Sign(atBar), keys.Sign(set), strings.ToLower(keys.Sign(set)), strings.Repeat("A", 172)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := keys.Verify(token, noon)
		switch err {
		case nil, ErrTokenExpired: // whatever is taken is what we would have signed, by one of our keys
			if keysOf(t, oldKey).Sign(c) != token && keysOf(t, someKey).Sign(c) != token {
				t.Fatalf("%q is taken and is none of our spellings", token)
			}
		case ErrTokenMalformed, ErrTokenUnknownKey, ErrTokenForged:
			if c != (Claims{}) {
				t.Fatalf("claims %v beside %v", c, err)
			}
		default:
			t.Fatalf("an error of no name: %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	keys := keysOf(b, oldKey)
	token := keys.Sign(atBar)
	for b.Loop() {
		if _, err := keys.Verify(token, noon); err != nil {
			b.Fatal(err)
		}
	}
}
