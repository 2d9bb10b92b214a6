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
	API             string         `json:"api"`
	TemporalWeb     string         `json:"temporal_web,omitempty"`
	TemporalAddress string         `json:"temporal_address"`
	Sandbox         string         `json:"sandbox,omitempty"`
	DatabaseURL     string         `json:"database_url"` // the owner's
	Token           string         `json:"token"`
	Accounts        []upAccount    `json:"accounts"`
	Stations        []upStation    `json:"stations,omitempty"`
	PIDs            map[string]int `json:"pids"` // up, api, worker and what else runs
}

// upAccount is an account that up made. Its password is the one it was made with: up never changes it back.
type upAccount struct {
	Email    string      `json:"email"`
	Password string      `json:"password"`
	Role     access.Role `json:"role"`
}

// upStation is a station where somebody may sign in, on a device that an admin has enrolled there. Its PIN is the one it
// was made with, too.
type upStation struct {
	Station string      `json:"station"` // its code
	PIN     string      `json:"pin"`
	Role    access.Role `json:"role"`
}

const adminEmail = "admin@lastcall.test"

// writeUpFile replaces up.json. Its caller holds u.mu.
func (u *up) writeUpFile() error {
	content, err := json.MarshalIndent(upFile{
		Ready: true, API: u.at.api, TemporalWeb: u.at.temporalWeb, TemporalAddress: u.at.temporalAddress, Sandbox: u.at.sandbox,
		DatabaseURL: u.at.databaseOwner, Token: u.secrets.Token,
		Accounts: []upAccount{{adminEmail, u.secrets.AdminPassword, access.Admin}}, Stations: u.stations(), PIDs: maps.Clone(u.pids),
	}, "", "  ")
	if err == nil {
		err = supervise.Replace(filepath.Join(u.dir, upFileName), content)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", upFileName, err)
	}
	return nil
}

// stations are where fixtures.Places lets somebody sign in; none when real people are written to.
func (u *up) stations() []upStation {
	if u.realWhatsApp() {
		return nil
	}
	return []upStation{{fixtures.FirstStation, u.secrets.StationPIN, access.StationOperator}}
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
	AdminPassword       string `json:"admin_password"`
	StationPIN          string `json:"station_pin"`
	WhatsAppAccessToken string `json:"whatsapp_access_token"`
	WhatsAppAppSecret   string `json:"whatsapp_app_secret"`
	WhatsAppVerifyToken string `json:"whatsapp_verify_token"`
	VoucherCard         string `json:"voucher_card"`
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

	before := s
	for _, secret := range []*string{&s.Pepper, &s.OwnerPassword, &s.AppPassword, &s.WhatsAppAccessToken, &s.WhatsAppAppSecret, &s.WhatsAppVerifyToken, &s.VoucherCard} {
		if *secret == "" {
			*secret = rand.Text() + rand.Text() // 52 letters and digits
		}
	}
	if s.AdminPassword == "" {
		s.AdminPassword = rand.Text() // 26 letters and digits: people type it
	}
	if s.StationPIN == "" {
		s.StationPIN = place.NewPIN()
	}
	if s.Token == "" {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		s.Token = "lc_" + base64.RawURLEncoding.EncodeToString(random)
	}
	if s == before {
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
