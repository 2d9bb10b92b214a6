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
	Value  json.RawMessage `json:"value" doc:"quiet_hours: {\"RW\":{\"start\":\"22:00\",\"end\":\"06:00\"}}; throttle: {\"whatsapp\":{\"per_minute\":60}}; toggles: {\"dispatch\":true}"`
	Reason string          `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log"`
}

// SettingsKey is the part of an address that names a key.
type SettingsKey struct {
	Key string `path:"key" example:"quiet_hours" doc:"quiet_hours, throttle or toggles"`
}

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
		Summary: "Change a setting", Description: "Saves a new revision. Campaigns that run act on it within a second."},
		func(ctx context.Context, in *struct {
			SettingsKey
			Body NewSetting
		}) (*struct{ Body store.SettingsRevision }, error) {
			rev, err := s.Store.SaveSetting(ctx, in.Key, in.Body.Value, in.Body.Reason)
			return &struct{ Body store.SettingsRevision }{rev}, err
		})
}
