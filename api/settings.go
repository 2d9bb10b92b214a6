package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/store"
)

// Settings are the newest revision of each key.
type Settings struct {
	Settings []store.SettingsRevision `json:"settings"`
}

// SettingsRevisions are one page of what a setting was.
type SettingsRevisions struct {
	Revisions []store.SettingsRevision `json:"revisions"`
	Next      string                   `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// setting answers with a revision, by which its next writer can say what they knew.
type setting struct {
	ETag string `header:"ETag"`
	Body store.SettingsRevision
}

func settingOf(rev store.SettingsRevision) *setting {
	return &setting{ETag: fmt.Sprintf("%q", strconv.FormatInt(rev.Revision, 10)), Body: rev}
}

// NewSetting is a new value of a key.
type NewSetting struct {
	Value        json.RawMessage `json:"value" doc:"quiet_hours: {\"RW\":{\"start\":\"22:00\",\"end\":\"06:00\"}}, and see quiet_hours in the documentation; missing_zone: {\"policy\":\"hold\"}; consent: {\"required\":true}; frequency_cap: {\"marketing\":{\"per_day\":1,\"per_week\":3}}; throttle: {\"whatsapp\":{\"per_minute\":60}}; toggles: {\"dispatch\":true,\"station_redeem\":true,\"mock_redemptions\":false}, those not named stay as they are; offline_redemptions: {\"mode\":\"on\",\"max_age_minutes\":720}; campaigns: {\"approval\":{\"above\":10000},\"max_late\":\"2h\",\"approval_ttl\":\"24h\"}, approval being also never or always; on_call: {\"zone\":\"Africa/Kigali\",\"starts\":\"2026-11-23T09:00\",\"members\":[\"ops@example.com\"]}, a week each in turn; announcements: {\"lists\":{\"ops\":[\"ops@example.com\"]},\"links\":{\"faq\":\"https://example.com/faq\"}}; daily_review: {\"zone\":\"Africa/Kigali\",\"at\":\"09:00\",\"remind_at\":\"12:00\"}"`
	Reason       string          `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log"`
	Acknowledged []string        `json:"acknowledged,omitempty" maxItems:"32" doc:"The codes of the dangers that whoever saves it knows of"`
	Advice       string          `json:"advice,omitempty" pattern:"^[0-9a-f]{64}$" patternDescription:"64 hexadecimal digits" doc:"Of throttle: the digest of the advice by which whoever saves reviewed the caps. It is kept as a review then, and needs a reason; advice_changed, status 412, when the advice is another by now"`
}

// SettingTrial is a value whose impact is to be told.
type SettingTrial struct {
	Value json.RawMessage `json:"value"`
}

// SettingReversal goes back to an earlier revision.
type SettingReversal struct {
	Revision     int64    `json:"revision" minimum:"0" doc:"Whose value is to count again; 0: the default"`
	Reason       string   `json:"reason" minLength:"1" maxLength:"500" doc:"Why, for the audit log"`
	Acknowledged []string `json:"acknowledged,omitempty" maxItems:"32" doc:"The codes of the dangers that whoever saves it knows of"`
}

// IfMatch says which revision somebody knew.
type IfMatch struct {
	Match string `header:"If-Match" doc:"The ETag of the revision that this one is to replace; absent: whichever"`
}

// known is that revision; nil: whichever.
func (m IfMatch) known() (*int64, error) {
	if m.Match == "" || m.Match == "*" {
		return nil, nil
	}
	n, err := strconv.ParseInt(strings.Trim(m.Match, `"`), 10, 64)
	if err != nil {
		return nil, domain.E(domain.Invalid, "bad_etag", "pass the setting's ETag, unchanged").About("If-Match")
	}
	return &n, nil
}

// SettingsKey is the part of an address that names a key.
type SettingsKey struct {
	Key string `path:"key" example:"quiet_hours" doc:"quiet_hours, missing_zone, consent, throttle, frequency_cap, toggles, campaigns, overrides, offline_redemptions, on_call, announcements or daily_review"`
}

const settingRefusals = "With If-Match it fails as `setting_changed`, status 412, when the setting is not any more what its caller knew; " +
	"its facts are `theirs`, what is in force, `yours`, and the `changes` from the one to the other. It fails as `settings_danger`, status 409, when its " +
	"impact finds a danger whose code is not acknowledged; its facts are the `findings`."

const quietHoursDoc = `The quiet hours of a country are one window, every day (` + "`" + `{"start":"22:00","end":"06:00"}` + "`" + `) or on the
weekdays on which it starts (` + "`" + `"days":["fri","sat"]` + "`" + `), or a list of them (` + "`" + `"windows":[…]` + "`" + `); an end may be 24:00. Beside it, ` +
	"`" + `"overrides":[{"locale":"en","channel":"whatsapp",…}]` + "`" + ` has hours that stand in place of the country's: of those that fit the one of the
longest locale, then the one that names the channel.`

func (s *server) settings() {
	tags := []string{"Settings"}
	register(s, access.SettingsRead, huma.Operation{OperationID: "list-settings", Method: http.MethodGet, Path: "/settings", Tags: tags,
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
	register(s, access.SettingsRead, huma.Operation{OperationID: "get-setting", Method: http.MethodGet, Path: "/settings/{key}", Tags: tags,
		Summary: "Get a setting", Description: "Its ETag is its revision, for the If-Match of who changes it."},
		func(ctx context.Context, in *SettingsKey) (*setting, error) {
			rev, err := s.Store.Setting(ctx, in.Key)
			return settingOf(rev), err
		})
	register(s, access.SettingsRead, huma.Operation{OperationID: "list-setting-revisions", Method: http.MethodGet, Path: "/settings/{key}/revisions", Tags: tags,
		Summary: "List what a setting was", Description: "Newest first, each with who, when, why, and what it changed."},
		func(ctx context.Context, in *struct {
			SettingsKey
			After int64 `query:"after" minimum:"1" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body SettingsRevisions }, error) {
			all, err := s.Store.SettingHistory(ctx, in.Key, in.After, in.fetch())
			all, next := cut(all, in.Limit, func(r store.SettingsRevision) string { return strconv.FormatInt(r.Revision, 10) })
			return &struct{ Body SettingsRevisions }{SettingsRevisions{append([]store.SettingsRevision{}, all...), next}}, err
		})
	register(s, access.SettingsWrite, huma.Operation{OperationID: "put-setting", Method: http.MethodPut, Path: "/settings/{key}", Tags: tags,
		Summary: "Change a setting", Description: "Saves a new revision. Campaigns that run act on it within a second. " + settingRefusals + "\n\n" + quietHoursDoc},
		func(ctx context.Context, in *struct {
			SettingsKey
			IfMatch
			Body NewSetting
		}) (*setting, error) {
			known, err := in.known()
			if err != nil {
				return nil, err
			}
			advice, err := adviceSeen(in.Body.Advice)
			if err != nil {
				return nil, err
			}
			rev, err := s.Store.EditSetting(ctx, store.SettingEdit{Key: in.Key, Value: in.Body.Value, Reason: in.Body.Reason, Known: known, Acknowledged: in.Body.Acknowledged, Advice: advice})
			return settingOf(rev), err
		})
	register(s, access.SettingsWrite, huma.Operation{OperationID: "tell-setting-impact", Method: http.MethodPost, Path: "/settings/{key}/impact", Tags: tags,
		Summary: "Tell what a new value would mean, without saving it",
		Description: "By the policy that decides: for each campaign at work and for all contacts, who would wait or go instead, until when and why; " +
			"when each campaign would finish; and what is suspicious about the value."},
		func(ctx context.Context, in *struct {
			SettingsKey
			Body SettingTrial
		}) (*struct{ Body store.Impact }, error) {
			imp, err := s.Store.Impact(ctx, in.Key, in.Body.Value)
			return &struct{ Body store.Impact }{imp}, err
		})
	register(s, access.SettingsWrite, huma.Operation{OperationID: "revert-setting", Method: http.MethodPost, Path: "/settings/{key}/revert", Tags: tags,
		Summary: "Go back to an earlier revision", Description: "Saves a new revision with the value of the earlier one. " + settingRefusals},
		func(ctx context.Context, in *struct {
			SettingsKey
			IfMatch
			Body SettingReversal
		}) (*setting, error) {
			known, err := in.known()
			if err != nil {
				return nil, err
			}
			rev, err := s.Store.RevertSetting(ctx, store.SettingEdit{Key: in.Key, Reason: in.Body.Reason, Known: known, Acknowledged: in.Body.Acknowledged}, in.Body.Revision)
			return settingOf(rev), err
		})
}
