package store

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
)

// SettingsRevision is one saved value of one settings key. The newest of each key counts; none is
// ever changed.
type SettingsRevision struct {
	Revision  int64           `gorm:"primaryKey;autoIncrement" json:"revision"`
	Key       string          `json:"key"`
	Value     json.RawMessage `gorm:"type:jsonb" json:"value"`
	Actor     string          `json:"actor"`
	Reason    string          `json:"reason"`
	CreatedAt time.Time       `json:"created_at"`
}

// SettingsKeys are the keys that exist.
var SettingsKeys = []string{"quiet_hours", "missing_zone", "consent", "throttle", "frequency_cap", "toggles", "offline_redemptions"}

// settingsCache holds the newest settings read, by revision: the engine asks with every chunk.
type settingsCache struct {
	last atomic.Pointer[policy.Settings]
}

// Settings returns the settings in force.
func (s *Store) Settings(ctx context.Context) (policy.Settings, error) {
	var revision int64
	err := s.pool.QueryRow(ctx, `SELECT coalesce(max(revision), 0) FROM settings_revisions`).Scan(&revision)
	if err != nil {
		return policy.Settings{}, unavailable(err)
	}
	return s.settingsAt(ctx, s.pool, revision)
}

// settingsAt returns the settings of a revision, from the cache when it is the last one read.
func (s *Store) settingsAt(ctx context.Context, db querier, revision int64) (policy.Settings, error) {
	if last := s.settings.last.Load(); last != nil && last.Revision == revision {
		return *last, nil
	}
	set := s.defaults
	set.Revisions = map[string]int64{}
	rows, err := db.Query(ctx, `SELECT DISTINCT ON (key) key, value, revision FROM settings_revisions
		WHERE revision <= $1 ORDER BY key, revision DESC`, revision)
	if err != nil {
		return set, unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var value json.RawMessage
		var since int64
		if err := rows.Scan(&key, &value, &since); err != nil {
			return set, err
		}
		set.Revisions[key] = since
		if err := apply(&set, key, value); err != nil {
			// Perhaps a newer Lastcall wrote it: no reason to give a campaign up for good.
			return set, domain.E(domain.Internal, "stored_setting", "the stored setting %s cannot be read", key).Because(err)
		}
	}
	set.Revision = revision
	if err := rows.Err(); err != nil {
		return set, unavailable(err)
	}
	s.settings.last.Store(&set)
	return set, nil
}

func apply(set *policy.Settings, key string, value json.RawMessage) (err error) {
	switch key {
	case "quiet_hours":
		set.QuietHours, err = policy.ParseQuietHours(value)
	case "missing_zone":
		set.MissingZone, err = policy.ParseMissingZone(value)
	case "consent":
		set.Consent, err = policy.ParseConsent(value)
	case "frequency_cap":
		set.FrequencyCap, err = policy.ParseFrequencyCap(value)
	case "throttle":
		set.Throttle, err = policy.ParseThrottle(value)
	case "toggles":
		set.Toggles, err = policy.ParseToggles(value)
	case "offline_redemptions":
		set.OfflineRedemptions, err = policy.ParseOfflineRedemptions(value)
	default:
		err = domain.E(domain.NotFound, "settings_key_not_found", "there is no settings key %q; the keys are %v", key, SettingsKeys)
	}
	return err
}

// Setting returns one key's newest revision; revision 0 with the default value when it was never set.
func (s *Store) Setting(ctx context.Context, key string) (SettingsRevision, error) {
	if !slices.Contains(SettingsKeys, key) {
		return SettingsRevision{}, apply(&policy.Settings{}, key, nil)
	}
	var rev SettingsRevision
	found := s.orm.WithContext(ctx).Where("key = ?", key).Order("revision DESC").Limit(1).Find(&rev)
	if found.Error != nil {
		return rev, unavailable(found.Error)
	}
	if found.RowsAffected == 0 {
		rev = SettingsRevision{Key: key, Actor: "default"}
		d := s.defaults
		rev.Value, _ = json.Marshal(map[string]any{"quiet_hours": d.QuietHours, "missing_zone": d.MissingZone, "consent": d.Consent,
			"throttle": d.Throttle, "frequency_cap": d.FrequencyCap, "toggles": d.Toggles,
			"offline_redemptions": d.OfflineRedemptions}[key])
	}
	return rev, nil
}

// SettingHistory lists a key's revisions, newest first, those before the given one (0: the newest) on.
func (s *Store) SettingHistory(ctx context.Context, key string, before int64, limit int) ([]SettingsRevision, error) {
	if !slices.Contains(SettingsKeys, key) {
		return nil, apply(&policy.Settings{}, key, nil)
	}
	var all []SettingsRevision
	q := s.orm.WithContext(ctx).Where("key = ?", key).Order("revision DESC").Limit(page(limit))
	if before > 0 {
		q = q.Where("revision < ?", before)
	}
	return all, unavailable(q.Find(&all).Error)
}

// SaveSetting is ReplaceSetting whatever the setting is now.
func (s *Store) SaveSetting(ctx context.Context, key string, value json.RawMessage, reason string) (SettingsRevision, error) {
	return s.ReplaceSetting(ctx, key, value, reason, nil)
}

// ReplaceSetting checks value and makes it the newest revision of key. Running campaigns are told in the
// same transaction and act on it within a second. It fails with domain.Invalid naming the field, and with
// domain.Stale when known, if given, is not the revision it would replace.
func (s *Store) ReplaceSetting(ctx context.Context, key string, value json.RawMessage, reason string, known *int64) (SettingsRevision, error) {
	if err := apply(&policy.Settings{}, key, value); err != nil {
		return SettingsRevision{}, err
	}
	before, err := s.Setting(ctx, key)
	if err != nil {
		return SettingsRevision{}, err
	}
	rev := SettingsRevision{Key: key, Value: value, Actor: audit.ActorFrom(ctx).Name, Reason: reason}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		rev.Revision = 0
		// One writer at a time: a revision must not become visible after a higher one.
		if err := tx.orm.Exec("SELECT pg_advisory_xact_lock(hashtext('settings_revisions'))").Error; err != nil {
			return audit.Entry{}, err
		}
		if known != nil {
			var newest int64
			err := tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(max(revision), 0) FROM settings_revisions WHERE key = $1`, key).Scan(&newest)
			if err == nil && newest != *known {
				err = domain.E(domain.Stale, "setting_changed", "somebody changed this setting in the meantime; look at it again")
			}
			if err != nil {
				return audit.Entry{}, err
			}
		}
		if key == "toggles" {
			if err := tx.keepToggles(&rev); err != nil {
				return audit.Entry{}, err
			}
		}
		if err := tx.orm.Omit("CreatedAt").Create(&rev).Error; err != nil {
			return audit.Entry{}, err
		}
		if key == "throttle" {
			var set policy.Settings
			if err := apply(&set, key, value); err != nil {
				return audit.Entry{}, err
			}
			if err := tx.keepRecipients(set.Throttle); err != nil {
				return audit.Entry{}, err
			}
		}
		// Every campaign at work hears of it.
		_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO outbox (kind, key, payload)
			SELECT $1, 'campaign/' || id, jsonb_build_object('campaign_id', id, 'revision', $2::bigint, 'resend', resend) FROM campaigns
			WHERE status NOT IN ('draft', 'done', 'stopped', 'failed')`, KindSettingsChanged, rev.Revision)
		return audit.Entry{Action: "settings.changed", Target: "settings/" + key, Reason: reason, Revision: rev.Revision,
			Diff: map[string]json.RawMessage{"before": before.Value, "after": rev.Value}}, err
	})
	if err != nil {
		return rev, err
	}
	return s.Setting(ctx, key)
}

// keepToggles lets the toggles that a new revision does not name stay as they are: whoever switches dispatch off does not
// switch redemption on.
func (tx *Tx) keepToggles(rev *SettingsRevision) error {
	return tx.pgx.QueryRow(tx.ctx, `SELECT coalesce((SELECT value FROM settings_revisions WHERE key = 'toggles' ORDER BY revision DESC LIMIT 1), '{}')
		|| $1::jsonb`, []byte(rev.Value)).Scan(&rev.Value)
}
