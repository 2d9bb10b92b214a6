package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"lastcall/domain"
	"lastcall/domain/voucher"
)

// VoucherKeys are the keys in a file as they are now: it is looked at before each use, so that a rotation reaches every
// process by itself. It is safe for concurrent use.
type VoucherKeys struct {
	path string

	mu   sync.Mutex
	file fs.FileInfo // as it was read
	keys []voucher.Key
	made *voucher.Keys
	due  time.Time // when another key begins to sign; zero for none
}

// OpenVoucherKeys watches a file, which need not be there yet.
func OpenVoucherKeys(path string) *VoucherKeys { return &VoucherKeys{path: path} }

// Keys returns the keys that vouchers are signed with and verified by at this moment. Errors are domain.Unavailable
// (voucher_keys_missing, voucher_keys_unreadable); they never hold a key.
func (k *VoucherKeys) Keys() (*voucher.Keys, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	file, err := os.Stat(k.path)
	if err != nil {
		return nil, unreadableKeys(k.path, err)
	}
	changed := k.file == nil || !os.SameFile(file, k.file) || !file.ModTime().Equal(k.file.ModTime()) || file.Size() != k.file.Size()
	if !changed && (k.due.IsZero() || now.Before(k.due)) {
		return k.made, nil
	}
	if changed {
		keys, err := readVoucherKeys(k.path)
		if err != nil {
			return nil, err
		}
		k.keys = keys
	}
	made, err := voucher.NewKeys(now, k.keys...)
	if err != nil {
		return nil, unreadableKeys(k.path, err)
	}
	k.file, k.made, k.due = file, made, time.Time{}
	for _, key := range k.keys {
		if key.SignsFrom.After(now) && (k.due.IsZero() || key.SignsFrom.Before(k.due)) {
			k.due = key.SignsFrom
		}
	}
	return made, nil
}

// VoucherKeysFile is where the keys are: as configured, else in the data directory.
func (c *Config) VoucherKeysFile() string {
	if c.Voucher.SigningKeysFile != "" {
		return c.Voucher.SigningKeysFile
	}
	return filepath.Join(c.DataDir, "voucher-keys.json")
}

// EnsureVoucherKeys makes the file with a first key that signs at once, unless it is there.
func EnsureVoucherKeys(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	_, err := RotateVoucherKeys(path, time.Now())
	return err
}

// RotateVoucherKeys adds a key, which verifies at once and signs from then on; the first of all signs at once. It
// makes the file if it is not there.
func RotateVoucherKeys(path string, signsFrom time.Time) (voucher.Key, error) {
	var key voucher.Key
	err := changeVoucherKeys(path, func(keys []voucher.Key) ([]voucher.Key, error) {
		if len(keys) == 0 {
			signsFrom = time.Now()
		}
		key = voucher.NewKey(signsFrom.UTC().Truncate(time.Second))
		return append(keys, key), nil
	})
	return key, err
}

// RetireVoucherKey removes the key with this id: what it signed is no longer ours. Errors are domain.NotFound
// (key_not_found) and domain.Conflict (key_signs) for the key that signs now.
func RetireVoucherKey(path, id string) error {
	return changeVoucherKeys(path, func(keys []voucher.Key) ([]voucher.Key, error) {
		at := slices.IndexFunc(keys, func(key voucher.Key) bool { return key.ID().String() == id })
		if at < 0 {
			return nil, domain.E(domain.NotFound, "key_not_found", "there is no key with the id %.20q", id)
		}
		now, err := voucher.NewKeys(time.Now(), keys...)
		if err != nil {
			return nil, err
		}
		if now.Signs().ID() == keys[at].ID() {
			return nil, domain.E(domain.Conflict, "key_signs", "the key %s signs now: rotate first, and retire it when the new one signs", id)
		}
		return slices.Delete(keys, at, at+1), nil
	})
}

// keptKey is one key in the file.
type keptKey struct {
	ID        string    `json:"id"` // for people: it follows from the seed
	Seed      string    `json:"seed"`
	SignsFrom time.Time `json:"signs_from"`
}

type keptKeys struct {
	Keys []keptKey `json:"keys"`
}

func readVoucherKeys(path string) ([]voucher.Key, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadableKeys(path, err)
	}
	var kept keptKeys
	if json.Unmarshal(content, &kept) != nil { // the error might quote one
		return nil, unreadableKeys(path, errors.New("not the JSON of keys"))
	}
	keys := make([]voucher.Key, len(kept.Keys))
	for i, one := range kept.Keys {
		seed, err := base64.StdEncoding.DecodeString(one.Seed)
		if err == nil {
			keys[i], err = voucher.KeyFromSeed(seed, one.SignsFrom)
		}
		if err != nil || keys[i].ID().String() != one.ID {
			return nil, unreadableKeys(path, fmt.Errorf("key %d is damaged", i+1))
		}
	}
	return keys, nil
}

// changeVoucherKeys replaces the file at once. Of two changes at the same time the second is refused.
func changeVoucherKeys(path string, change func([]voucher.Key) ([]voucher.Key, error)) (err error) {
	lock, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return domain.E(domain.Conflict, "keys_busy", "another change of the keys is under way; if none is, remove %s.new", path)
	}
	if err != nil {
		return fmt.Errorf("write the voucher keys: %w", err)
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
			_ = os.Remove(path + ".new")
		}
	}()
	keys, err := readVoucherKeys(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if keys, err = change(keys); err != nil {
		return err
	}
	var kept keptKeys
	for _, key := range keys {
		kept.Keys = append(kept.Keys, keptKey{key.ID().String(), base64.StdEncoding.EncodeToString(key.Seed()), key.SignsFrom})
	}
	content, err := json.MarshalIndent(kept, "", "  ")
	if err == nil {
		_, err = lock.Write(append(content, '\n'))
	}
	if err == nil {
		err = lock.Sync()
	}
	if err == nil {
		err = lock.Close()
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("write the voucher keys: %w", err)
	}
	return nil
}

func unreadableKeys(path string, cause error) error {
	if errors.Is(cause, fs.ErrNotExist) {
		return domain.E(domain.Unavailable, "voucher_keys_missing",
			"there are no keys to sign vouchers with: run lastcall vouchers rotate-key, or set voucher.signing_keys_file").Because(cause)
	}
	return domain.E(domain.Unavailable, "voucher_keys_unreadable", "the keys that sign vouchers cannot be read from %s", path).Because(cause)
}
