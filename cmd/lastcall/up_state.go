package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"lastcall/devstack"
	"lastcall/devstack/supervise"
	"lastcall/domain/access"
	"lastcall/domain/place"
	"lastcall/fixtures"
)

const (
	upFileName      = "up.json"
	secretsFileName = "secrets.json"
)

// upFile is up.json, which tells scripts and the command line where everything is. It is there while up
// is ready.
type upFile struct {
	Ready           bool           `json:"ready"`
	API             string         `json:"api"`     // as this machine reaches it
	Public          string         `json:"public"`  // as people do
	Station         string         `json:"station"` // the station app
	TemporalWeb     string         `json:"temporal_web,omitempty"`
	TemporalAddress string         `json:"temporal_address"`
	Sandbox         string         `json:"sandbox,omitempty"`
	DatabaseURL     string         `json:"database_url"` // the owner's
	Token           string         `json:"token"`
	Accounts        []upAccount    `json:"accounts"`
	PIDs            map[string]int `json:"pids"` // up, api, worker and what else runs
}

// writeUpFile replaces up.json. Its caller holds u.mu.
func (u *up) writeUpFile() error {
	content, err := json.MarshalIndent(upFile{
		Ready: true, API: u.at.api, Public: u.at.public, Station: u.at.public + "/station/", TemporalWeb: u.at.temporalWeb, TemporalAddress: u.at.temporalAddress, Sandbox: u.at.sandbox,
		DatabaseURL: u.at.databaseOwner, Token: u.secrets.Token,
		Accounts: u.accounts(), PIDs: maps.Clone(u.pids),
	}, "", "  ")
	if err == nil {
		err = supervise.Replace(filepath.Join(u.dir, upFileName), content)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", upFileName, err)
	}
	return nil
}

// accounts are the accounts as up.json lists them. Who works at a station has no address to sign in with, but its code and
// a PIN; none where real people are written to.
func (u *up) accounts() []upAccount {
	all := u.secrets.upAccounts()
	for i := range all {
		if all[i].Role == access.StationOperator && !u.realWhatsApp() {
			all[i].Station, all[i].PIN = fixtures.FirstStation, u.secrets.StationPIN
		}
	}
	return all
}

// heard keeps up.json's pids true and tells what ends unasked and comes back.
func (u *up) heard(e supervise.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if e.Record != nil {
		u.pids[e.Name] = e.PID
	} else {
		delete(u.pids, e.Name)
	}
	if u.stopping || !u.ready {
		return
	}
	if err := u.writeUpFile(); err != nil {
		e.Err = errors.Join(e.Err, err)
	}
	now := time.Now().Format(time.TimeOnly)
	switch {
	case e.Record != nil && e.Err == nil:
		fmt.Fprintf(u.sh.stdout, "%s %s is back (process %d)\n", now, e.Name, e.PID)
	case e.Record == nil && e.Again > 0:
		fmt.Fprintf(u.sh.stdout, "%s %s ended (%s); restarting it\n", now, e.Name, reason(e.Err))
	default:
		fmt.Fprintf(u.sh.stdout, "%s %s: %s\n", now, e.Name, reason(e.Err))
	}
}

func reason(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// secrets are made once for a data directory. Who configures a secret of their own has it used instead.
type secrets struct {
	Pepper              string `json:"pepper"`
	OwnerPassword       string `json:"database_owner_password"`
	AppPassword         string `json:"database_app_password"`
	Token               string `json:"token"`
	StationPIN          string `json:"station_pin"`
	WhatsAppAccessToken string `json:"whatsapp_access_token"`
	WhatsAppAppSecret   string `json:"whatsapp_app_secret"`
	WhatsAppVerifyToken string `json:"whatsapp_verify_token"`
	VoucherCard         string `json:"voucher_card"`

	AccountPasswords map[string]string `json:"account_passwords"`        // by address
	AdminPassword    string            `json:"admin_password,omitempty"` // where versions with one account kept it
}

// loadSecrets reads the secrets of a data directory, making what is missing.
func loadSecrets(dir string) (secrets, error) {
	path := filepath.Join(dir, secretsFileName)
	var s secrets
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if devstack.HasCluster(dir) {
			return s, fmt.Errorf("%s is gone, and the database in %s cannot be opened without it: "+
				"bring it back, or remove %s to begin anew", secretsFileName, dir, dir)
		}
	case err != nil:
		return s, fmt.Errorf("read the secrets: %w", err)
	default:
		if err := json.Unmarshal(content, &s); err != nil {
			return s, fmt.Errorf("read the secrets: %s is damaged", path) // the error might quote one
		}
	}

	made := s.makeAccountPasswords()
	for _, secret := range []*string{&s.Pepper, &s.OwnerPassword, &s.AppPassword, &s.WhatsAppAccessToken, &s.WhatsAppAppSecret, &s.WhatsAppVerifyToken, &s.VoucherCard} {
		if *secret == "" {
			*secret, made = rand.Text()+rand.Text(), true // 52 letters and digits
		}
	}
	if s.StationPIN == "" {
		s.StationPIN, made = place.NewPIN(), true
	}
	if s.Token == "" {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		s.Token, made = "lc_"+base64.RawURLEncoding.EncodeToString(random), true
	}
	if !made {
		return s, nil
	}
	content, err = json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = supervise.Replace(path, content)
	}
	if err != nil {
		return s, fmt.Errorf("keep the secrets: %w", err)
	}
	return s, nil
}
