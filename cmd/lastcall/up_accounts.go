package main

import (
	"crypto/rand"
	"encoding/json"
	"strings"

	"lastcall/domain/access"
	"lastcall/fixtures"
	"lastcall/store"
)

// upAccount is an account that up made. Its password is the one it was made with: up never changes it back.
type upAccount struct {
	Email    string      `json:"email"`
	Password string      `json:"password"`
	Role     access.Role `json:"role"`
	Station  string      `json:"station,omitempty"` // the code with which its PIN signs in, on a device enrolled there
	PIN      string      `json:"pin,omitempty"`
}

// fixtureAccounts are the accounts that up makes: those of the staging set, one a role, and then a second of those whose word
// must not be their own last.
var fixtureAccounts = func() []store.NewAccount {
	all := fixtures.Accounts()
	for _, a := range all {
		switch access.Role(a.Role) {
		case access.ProjectLead, access.Support, access.Finance:
			name, domain, _ := strings.Cut(a.Email, "@")
			all = append(all, store.NewAccount{Email: name + ".two@" + domain, Name: a.Name + " two", Role: a.Role})
		}
	}
	return append(all, store.NewAccount{Email: probeEmail, Name: "Panel probe", Role: string(access.Viewer)})
}()

// probeEmail is the account with which a worker signs in to the panel from outside, to see whether people could.
const probeEmail = "probe@lastcall.test"

// accounts are the accounts of this data directory, with the passwords they are made with.
func (s *secrets) accounts() []store.NewAccount {
	all := make([]store.NewAccount, len(fixtureAccounts))
	for i, a := range fixtureAccounts {
		a.Password = s.AccountPasswords[a.Email]
		all[i] = a
	}
	return all
}

// makeAccountPasswords makes the passwords that are missing and says whether there were any. The admin's stands in
// admin_password where an older version kept it.
func (s *secrets) makeAccountPasswords() (made bool) {
	if s.AccountPasswords == nil {
		s.AccountPasswords = map[string]string{}
	}
	if s.AdminPassword != "" {
		s.AccountPasswords[fixtureAccounts[0].Email], s.AdminPassword, made = s.AdminPassword, "", true
	}
	for _, a := range fixtureAccounts {
		if s.AccountPasswords[a.Email] == "" {
			s.AccountPasswords[a.Email], made = rand.Text(), true // 26 letters and digits: people type it
		}
	}
	return made
}

// upAccounts are the accounts as up.json lists them.
func (s *secrets) upAccounts() []upAccount {
	var all []upAccount
	for _, a := range s.accounts() {
		all = append(all, upAccount{Email: a.Email, Password: a.Password, Role: access.Role(a.Role)})
	}
	return all
}

// bootstrapAccounts is how migrate is told to make them.
func (s *secrets) bootstrapAccounts() string {
	raw, _ := json.Marshal(s.accounts()) // strings: it cannot fail
	return string(raw)
}
