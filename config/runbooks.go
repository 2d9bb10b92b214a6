package config

import (
	"embed"
	"strings"

	"lastcall/domain"
	"lastcall/domain/runbook"
)

//go:embed runbooks/*.md
var runbookFiles embed.FS

// Runbooks are what to do when something is wrong, by name.
func Runbooks() ([]runbook.Runbook, error) {
	entries, err := runbookFiles.ReadDir("runbooks")
	if err != nil {
		return nil, err
	}
	all := make([]runbook.Runbook, len(entries))
	for i, e := range entries {
		text, err := runbookFiles.ReadFile("runbooks/" + e.Name())
		if err != nil {
			return nil, err
		}
		if all[i], err = runbook.Parse(strings.TrimSuffix(e.Name(), ".md"), text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// RunbooksDigest is what a review of all runbooks is bound to; domain.Internal when they cannot be read.
func RunbooksDigest() (string, error) {
	all, err := Runbooks()
	if err != nil {
		return "", domain.E(domain.Internal, "runbooks", "the runbooks cannot be read").Because(err)
	}
	return runbook.Digest(all), nil
}
