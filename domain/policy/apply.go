package policy

import "lastcall/domain"

// Apply makes a key's JSON part of the settings. It fails with what the key's parser says, and with domain.NotFound, code
// settings_key_not_found, for a key that there is not.
func (s *Settings) Apply(key string, value []byte) (err error) {
	switch key {
	case "quiet_hours":
		s.QuietHours, err = ParseQuietHours(value)
	case "missing_zone":
		s.MissingZone, err = ParseMissingZone(value)
	case "consent":
		s.Consent, err = ParseConsent(value)
	case "frequency_cap":
		s.FrequencyCap, err = ParseFrequencyCap(value)
	case "throttle":
		s.Throttle, err = ParseThrottle(value)
	case "toggles":
		s.Toggles, err = ParseToggles(value)
	case "campaigns":
		s.Campaigns, err = ParseCampaigns(value)
	case "overrides":
		s.Overrides, err = ParseOverrides(value)
	case "offline_redemptions":
		s.OfflineRedemptions, err = ParseOfflineRedemptions(value)
	case "on_call":
		s.OnCall, err = ParseOnCall(value)
	case "announcements":
		s.Announcements, err = ParseAnnouncements(value)
	case "daily_review":
		s.DailyReview, err = ParseDailyReview(value)
	default:
		err = domain.E(domain.NotFound, "settings_key_not_found", "there is no settings key %q; the keys are %v", key, Keys)
	}
	return err
}

// Keys are the keys of the settings, each of which is saved by itself.
var Keys = []string{"quiet_hours", "missing_zone", "consent", "throttle", "frequency_cap", "toggles", "campaigns", "overrides", "offline_redemptions", "on_call",
	"announcements", "daily_review"}
