package config

import (
	"bytes"
	_ "embed" // the plan
	"os"
	"time"

	"github.com/spf13/viper"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/announce"
	"lastcall/domain/rollout"
)

//go:embed rollout.yaml
var rolloutPlan []byte

// RolloutPlan reads the plan that rollouts follow: rollout.plan_file, or the one that Lastcall comes with. It fails with
// domain.Invalid when it cannot be read or followed; known tells which checks there are.
func (c *Config) RolloutPlan(known func(check string) bool) (plan rollout.Plan, err error) {
	text := rolloutPlan
	if file := c.Rollout.PlanFile; file != "" {
		if text, err = os.ReadFile(file); err != nil { //nolint:gosec // whoever runs Lastcall says which file
			return plan, domain.E(domain.Invalid, "config_file_unreadable", "may not be read, or is not there").About("rollout.plan_file").Because(err)
		}
	}
	return parsePlan(text, known)
}

func parsePlan(text []byte, known func(string) bool) (plan rollout.Plan, err error) {
	v := viper.New()
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
		return plan, domain.E(domain.Invalid, "config_file_malformed", "is not valid YAML%s", lineOf(err)).About("rollout.plan_file").Because(err)
	}
	var file struct {
		Phases []struct {
			Phase      rollout.Phase      `mapstructure:"phase"`
			Title      string             `mapstructure:"title"`
			Objective  string             `mapstructure:"objective"`
			Guardrails rollout.Guardrails `mapstructure:"guardrails"`
			Items      []struct {
				ID         string        `mapstructure:"id"`
				Text       string        `mapstructure:"text"`
				Kind       rollout.Kind  `mapstructure:"kind"`
				Owner      access.Role   `mapstructure:"owner"`
				Check      string        `mapstructure:"check"`
				Threshold  float64       `mapstructure:"threshold"`
				Every      time.Duration `mapstructure:"every"`
				StaleAfter time.Duration `mapstructure:"stale_after"`
				Quorum     []access.Role `mapstructure:"quorum"`
				Lasts      time.Duration `mapstructure:"lasts"`
				Unwaivable bool          `mapstructure:"unwaivable"`
			} `mapstructure:"items"`
			Announcements []struct {
				ID       string             `mapstructure:"id"`
				Text     string             `mapstructure:"text"`
				Event    announce.Event     `mapstructure:"event"`
				Channels []announce.Channel `mapstructure:"channels"`
				Lists    []string           `mapstructure:"lists"`
				Links    []string           `mapstructure:"links"`
				OnCall   bool               `mapstructure:"on_call"`
				Subject  string             `mapstructure:"subject"`
				Body     string             `mapstructure:"body"`
			} `mapstructure:"announcements"`
		} `mapstructure:"phases"`
		Signals []struct {
			Signal  string `mapstructure:"signal"`
			Text    string `mapstructure:"text"`
			Title   string `mapstructure:"title"`
			Runbook string `mapstructure:"runbook"`
			Watch   []struct {
				Rule     string               `mapstructure:"rule"`
				Title    string               `mapstructure:"title"`
				When     string               `mapstructure:"when"`
				Of       []string             `mapstructure:"of"`
				For      time.Duration        `mapstructure:"for"`
				MinN     int64                `mapstructure:"min_n"`
				Do       rollout.SignalAction `mapstructure:"do"`
				Few      bool                 `mapstructure:"few"`
				Inhibits []string             `mapstructure:"inhibits"`
			} `mapstructure:"watch"`
		} `mapstructure:"signals"`
	}
	if err := v.UnmarshalExact(&file); err != nil {
		return plan, domain.E(domain.Invalid, "bad_plan", "has a field that is unknown or of another kind: %s", err).About("rollout.plan_file")
	}
	for _, of := range file.Phases {
		p := rollout.PhasePlan{Phase: of.Phase, Title: of.Title, Objective: of.Objective, Guardrails: of.Guardrails}
		for _, i := range of.Items {
			p.Items = append(p.Items, rollout.Item{ID: i.ID, Text: i.Text, Kind: i.Kind, Owner: i.Owner, Check: i.Check, Threshold: i.Threshold, Every: i.Every,
				StaleAfter: i.StaleAfter, Quorum: i.Quorum, Lasts: i.Lasts, Unwaived: i.Unwaivable})
		}
		for _, a := range of.Announcements {
			p.Announcements = append(p.Announcements, announce.Announcement(a))
		}
		plan.Phases = append(plan.Phases, p)
	}
	for _, of := range file.Signals {
		s := rollout.Signal{Name: of.Signal, Text: of.Text, Title: of.Title, Runbook: of.Runbook}
		for _, w := range of.Watch {
			s.Watch = append(s.Watch, rollout.Watch{Rule: w.Rule, Title: w.Title, When: w.When, Of: w.Of, For: w.For, MinN: w.MinN, Action: w.Do, Few: w.Few, Inhibits: w.Inhibits})
		}
		plan.Signals = append(plan.Signals, s)
	}
	return plan, plan.Check(known)
}
