package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestVoucherKeysRotate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	synctest.Test(t, func(t *testing.T) {
		watched := OpenVoucherKeys(path)
		_, err := watched.Keys()
		require.Equal(t, "voucher_keys_missing", domain.CodeOf(err))

		require.NoError(t, EnsureVoucherKeys(path))
		first, err := watched.Keys()
		require.NoError(t, err)
		require.NoError(t, EnsureVoucherKeys(path), "once is enough")
		same, err := watched.Keys()
		require.NoError(t, err)
		require.Same(t, first, same, "nothing has changed")
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())

		added, err := RotateVoucherKeys(path, time.Now().Add(time.Hour))
		require.NoError(t, err)
		waiting, err := watched.Keys()
		require.NoError(t, err)
		require.Len(t, waiting.List(), 2, "it verifies at once")
		require.Equal(t, first.Signs().ID(), waiting.Signs().ID(), "and signs later")
		err = RetireVoucherKey(path, first.Signs().ID().String())
		require.Equal(t, "key_signs", domain.CodeOf(err))

		time.Sleep(time.Hour) // of the bubble
		now, err := watched.Keys()
		require.NoError(t, err)
		require.Equal(t, added.ID(), now.Signs().ID(), "without anybody touching the file")

		require.NoError(t, RetireVoucherKey(path, first.Signs().ID().String()))
		last, err := watched.Keys()
		require.NoError(t, err)
		require.Len(t, last.List(), 1)
		require.Equal(t, domain.NotFound, domain.KindOf(RetireVoucherKey(path, "00000000")))
	})
}

func TestVoucherKeysThatAreDamagedAreNotShown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	key, err := RotateVoucherKeys(path, time.Now())
	require.NoError(t, err)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, content := range map[string]string{
		"no JSON":       string(good[:len(good)-10]),
		"no keys":       `{"keys":[]}`,
		"another id":    strings.Replace(string(good), key.ID().String(), "00000000", 1),
		"a short seed":  `{"keys":[{"id":"` + key.ID().String() + `","seed":"c2VjcmV0"}]}`,
		"twice the key": strings.Replace(string(good), `"keys": [`, `"keys": [`+strings.TrimSuffix(strings.SplitN(string(good), "[", 2)[1], "]\n}\n")+",", 1),
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := OpenVoucherKeys(path).Keys()
		require.Equal(t, "voucher_keys_unreadable", domain.CodeOf(err), name)
		require.NotContains(t, fmt.Sprintf("%v %v", err, err.(*domain.Error).Cause), "c2VjcmV0")
		if name != "no keys" && name != "twice the key" {
			_, err = RotateVoucherKeys(path, time.Now())
			require.Equal(t, "voucher_keys_unreadable", domain.CodeOf(err), "%s: a rotation does not throw keys away", name)
		}
	}
	require.NoError(t, os.WriteFile(path, good, 0o600))
	require.NoError(t, os.WriteFile(path+".new", nil, 0o600))
	_, err = RotateVoucherKeys(path, time.Now())
	require.Equal(t, "keys_busy", domain.CodeOf(err))
}

func TestTheFirstKeySignsAtOnce(t *testing.T) {
	t.Parallel()
	key, err := RotateVoucherKeys(filepath.Join(t.TempDir(), "keys.json"), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.False(t, key.SignsFrom.After(time.Now()))
}

func TestVoucherKeysFile(t *testing.T) {
	t.Parallel()
	c := Defaults()
	require.Equal(t, filepath.Join(".lastcall", "voucher-keys.json"), c.VoucherKeysFile())
	c.Voucher.SigningKeysFile = "/run/secrets/keys"
	require.Equal(t, "/run/secrets/keys", c.VoucherKeysFile())
}
