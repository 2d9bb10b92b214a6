package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/store"
)

// Settings are the newest revision of each key.
type Settings struct {
	Settings []store.SettingsRevision `json:"settings"`
}

// NewSetting is a new value of a key.
type NewSetting struct {
	Value  json.RawMessage `json:"value" doc:"quiet_hours: {\"RW\":{\"start\":\"22:00\",\"end\":\"06:00\"}}, and see quiet_hours in the documentation; missing_zone: {\"policy\":\"hold\"}; consent: {\"required\":true}; frequency_cap: {\"marketing\":{\"per_day\":1,\"per_week\":3}}; throttle: {\"whatsapp\":{\"per_minute\":60}}; toggles: {\"dispatch\":true}"`
	Reason string          `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log"`
}

// SettingsKey is the part of an address that names a key.
type SettingsKey struct {
	Key string `path:"key" example:"quiet_hours" doc:"quiet_hours, missing_zone, consent, throttle, frequency_cap or toggles"`
}

const quietHoursDoc = `The quiet hours of a country are one window, every day (` + "`" + `{"start":"22:00","end":"06:00"}` + "`" + `) or on the
weekdays on which it starts (` + "`" + `"days":["fri","sat"]` + "`" + `), or a list of them (` + "`" + `"windows":[…]` + "`" + `); an end may be 24:00. Beside it, ` +
	"`" + `"overrides":[{"locale":"en","channel":"whatsapp",…}]` + "`" + ` has hours that stand in place of the country's: of those that fit the one of the
longest locale, then the one that names the channel.`

func (s *server) settings() {
	tags := []string{"Settings"}
	register(s, huma.Operation{OperationID: "list-settings", Method: http.MethodGet, Path: "/settings", Tags: tags,
		Summary: "List settings", Description: "The newest revision of each key; revision 0 is a default that nobody has changed."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body Settings }, error) {
			var out struct{ Body Settings }
			for _, key := range store.SettingsKeys {
				rev, err := s.Store.Setting(ctx, key)
				if err != nil {
					return nil, err
				}
				out.Body.Settings = append(out.Body.Settings, rev)
			}
			return &out, nil
		})
	register(s, huma.Operation{OperationID: "get-setting", Method: http.MethodGet, Path: "/settings/{key}", Tags: tags,
		Summary: "Get a setting"},
		func(ctx context.Context, in *SettingsKey) (*struct{ Body store.SettingsRevision }, error) {
			rev, err := s.Store.Setting(ctx, in.Key)
			return &struct{ Body store.SettingsRevision }{rev}, err
		})
	register(s, huma.Operation{OperationID: "put-setting", Method: http.MethodPut, Path: "/settings/{key}", Tags: tags,
		Summary: "Change a setting", Description: "Saves a new revision. Campaigns that run act on it within a second.\n\n" + quietHoursDoc},
		func(ctx context.Context, in *struct {
			SettingsKey
			Body NewSetting
		}) (*struct{ Body store.SettingsRevision }, error) {
			rev, err := s.Store.SaveSetting(ctx, in.Key, in.Body.Value, in.Body.Reason)
			return &struct{ Body store.SettingsRevision }{rev}, err
		})
}
