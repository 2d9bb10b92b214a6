package config

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"

	"go.yaml.in/yaml/v3"

	"lastcall/domain"
	"lastcall/domain/drill"
)

//go:embed drills/*.yaml
var drills embed.FS

// Drills reads the scenarios that can be drilled, in the order of their names. They are part of the build: one that is wrong
// fails as domain.Invalid, naming its file.
func Drills() ([]drill.Scenario, error) {
	files, err := drills.ReadDir("drills")
	if err != nil {
		return nil, err
	}
	all := make([]drill.Scenario, 0, len(files))
	for _, f := range files {
		raw, err := drills.ReadFile(path.Join("drills", f.Name()))
		if err != nil {
			return nil, err
		}
		s, err := readDrill(raw)
		if err == nil && s.Name+".yaml" != f.Name() {
			err = domain.E(domain.Invalid, "bad_name", "it is %s's file, not %q's", f.Name(), s.Name).About("name")
		}
		if err != nil {
			return nil, fmt.Errorf("drills/%s: %w", f.Name(), err)
		}
		all = append(all, s)
	}
	return all, nil
}

func readDrill(raw []byte) (s drill.Scenario, err error) {
	var written map[string]any
	if err := yaml.Unmarshal(raw, &written); err != nil {
		return s, domain.E(domain.Invalid, "scenario_unreadable", "the scenario is no YAML: %s", err)
	}
	text, err := json.Marshal(written)
	if err != nil {
		return s, err
	}
	return drill.Parse(text)
}
