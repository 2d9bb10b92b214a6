package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
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

	Changes []policy.SettingChange `gorm:"-" json:"changes,omitempty" doc:"In a list of revisions: what this one changed"`
}

// SettingsKeys are the keys that exist.
var SettingsKeys = policy.Keys

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
		if err := set.Apply(key, value); err != nil {
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

// Setting returns one key's newest revision; revision 0 with the default value when it was never set.
func (s *Store) Setting(ctx context.Context, key string) (SettingsRevision, error) {
	if !slices.Contains(SettingsKeys, key) {
		return SettingsRevision{}, new(policy.Settings).Apply(key, nil)
	}
	var rev SettingsRevision
	found := s.orm.WithContext(ctx).Where("key = ?", key).Order("revision DESC").Limit(1).Find(&rev)
	if found.Error != nil {
		return rev, unavailable(found.Error)
	}
	if found.RowsAffected == 0 {
		rev = SettingsRevision{Key: key, Actor: "default", Value: valueOf(s.defaults, key)}
	}
	return rev, nil
}

// valueOf is a key's value in settings, each in the one form in which this Lastcall writes it.
func valueOf(set policy.Settings, key string) json.RawMessage {
	value, _ := json.Marshal(map[string]any{"quiet_hours": set.QuietHours, "missing_zone": set.MissingZone, "consent": set.Consent,
		"throttle": set.Throttle, "frequency_cap": set.FrequencyCap, "toggles": set.Toggles, "campaigns": set.Campaigns, "overrides": set.Overrides,
		"offline_redemptions": set.OfflineRedemptions, "on_call": set.OnCall,
		"announcements": set.Announcements, "daily_review": set.DailyReview}[key])
	return value
}

// differences compares two values of a key, however they are written.
func (s *Store) differences(key string, before, after json.RawMessage) []policy.SettingChange {
	var a, b policy.Settings
	if a.Apply(key, before) != nil || b.Apply(key, after) != nil {
		return policy.Changes(before, after) // one that another Lastcall wrote
	}
	return policy.Changes(valueOf(a, key), valueOf(b, key))
}

// SettingHistory lists a key's revisions, newest first, those before the given one (0: the newest) on, each with
// what it changed.
func (s *Store) SettingHistory(ctx context.Context, key string, before int64, limit int) ([]SettingsRevision, error) {
	if !slices.Contains(SettingsKeys, key) {
		return nil, new(policy.Settings).Apply(key, nil)
	}
	var all []SettingsRevision
	q := s.orm.WithContext(ctx).Where("key = ?", key).Order("revision DESC").Limit(page(limit) + 1)
	if before > 0 {
		q = q.Where("revision < ?", before)
	}
	if err := q.Find(&all).Error; err != nil {
		return nil, unavailable(err)
	}
	for i := range all {
		was := valueOf(s.defaults, key)
		if i+1 < len(all) {
			was = all[i+1].Value
		}
		all[i].Changes = s.differences(key, was, all[i].Value)
	}
	return all[:min(len(all), page(limit))], nil
}

// SettingEdit is a new value of a key that somebody wants.
type SettingEdit struct {
	Key          string
	Value        json.RawMessage
	Reason       string
	Known        *int64   // the revision that it is to replace; nil: whichever
	Acknowledged []string // the codes of the dangers that whoever saves knows of
	Advice       []byte   // of throttle: the digest of the advice by which whoever saves reviewed the caps; nil: it is no review
	reverts      *int64   // the revision whose value it is; nil: none's
	advice       *ThrottleAdvice
}

// SettingConflict is what somebody else saved meanwhile, beside what was to be saved.
type SettingConflict struct {
	Theirs  SettingsRevision       `json:"theirs" doc:"In force"`
	Yours   json.RawMessage        `json:"yours" doc:"Not saved"`
	Changes []policy.SettingChange `json:"changes" doc:"From theirs to yours"`
}

// SettingDanger is why a setting was not saved.
type SettingDanger struct {
	Findings []policy.SettingFinding `json:"findings" doc:"The dangers that were not acknowledged"`
}

// EditSetting checks a value and makes it the newest revision of its key. Running campaigns are told in the same
// transaction and act on it within a second. It fails with domain.Invalid naming the field; with domain.Stale
// and a SettingConflict when Known is not the revision it would replace; and with domain.Conflict, code
// settings_danger, and a SettingDanger when it finds a danger that is not acknowledged. Both refusals are audited. With
// Advice it is a review of the caps: it fails as KeepThrottle does, and keeps one.
func (s *Store) EditSetting(ctx context.Context, e SettingEdit) (SettingsRevision, error) {
	if e.Advice != nil {
		if e.Key != "throttle" {
			return SettingsRevision{}, domain.E(domain.Invalid, "no_advice", "there is advice about throttle only").About("advice")
		}
		if strings.TrimSpace(e.Reason) == "" {
			return SettingsRevision{}, domain.E(domain.Invalid, "no_reason", "say why").About("reason")
		}
		var err error
		if e.advice, err = s.advised(ctx, e.Advice); err != nil {
			return SettingsRevision{}, s.refuseSetting(ctx, e, err)
		}
	}
	for try := 1; ; try++ {
		if err := s.unchanged(ctx, e); err != nil {
			return SettingsRevision{}, s.refuseSetting(ctx, e, err)
		}
		imp, _, _, err := s.targetImpact(ctx, e.Key, e.Value)
		if err != nil {
			return SettingsRevision{}, err
		}
		danger := slices.DeleteFunc(slices.Clone(imp.Findings), func(f policy.SettingFinding) bool {
			return f.Severity != policy.Danger || slices.Contains(e.Acknowledged, f.Code)
		})
		if len(danger) > 0 {
			told := make([]string, len(danger))
			for i, f := range danger {
				told[i] = f.Message
			}
			err := domain.E(domain.Conflict, "settings_danger", "this is dangerous: %s; to save it nevertheless acknowledge it", strings.Join(told, "; "))
			return SettingsRevision{}, s.refuseSetting(ctx, e, err.About(danger[0].Field).With(SettingDanger{danger}))
		}
		rev, err := s.saveSetting(ctx, e, &imp)
		if !errors.Is(err, errOutdated) {
			return rev, err
		}
		if try == 5 { // each time other settings counted, with which something else may be dangerous
			return rev, domain.E(domain.Unavailable, "settings_busy", "others change settings just now; try again")
		}
	}
}

// RevertSetting makes an earlier revision's value (of revision 0: the default) the newest one, like EditSetting. It
// fails with domain.Conflict when that is in force.
func (s *Store) RevertSetting(ctx context.Context, e SettingEdit, revision int64) (SettingsRevision, error) {
	now, err := s.Setting(ctx, e.Key)
	if err != nil {
		return now, err
	}
	old := SettingsRevision{Value: valueOf(s.defaults, e.Key)}
	if revision != 0 {
		if err := s.orm.WithContext(ctx).Where("key = ?", e.Key).First(&old, "revision = ?", revision).Error; err != nil {
			return old, notFound(err, "revision", revision)
		}
	}
	if len(s.differences(e.Key, now.Value, old.Value)) == 0 {
		return now, domain.E(domain.Conflict, "setting_in_force", "this is what is in force already").About("revision")
	}
	e.Value, e.reverts = old.Value, &revision
	return s.EditSetting(ctx, e)
}

// SaveSetting is EditSetting whatever the setting is now and however dangerous the value.
func (s *Store) SaveSetting(ctx context.Context, key string, value json.RawMessage, reason string) (SettingsRevision, error) {
	return s.saveSetting(ctx, SettingEdit{Key: key, Value: value, Reason: reason}, nil)
}

// unchanged fails when the key's newest revision is another than the one that e is to replace.
func (s *Store) unchanged(ctx context.Context, e SettingEdit) error {
	if err := new(policy.Settings).Apply(e.Key, e.Value); err != nil || e.Known == nil && e.advice == nil {
		return err
	}
	now, err := s.Setting(ctx, e.Key)
	if err == nil && e.advice != nil && now.Revision != e.advice.Revision {
		err = errAdvice()
	}
	if err != nil || e.Known == nil || now.Revision == *e.Known {
		return err
	}
	return domain.E(domain.Stale, "setting_changed", "somebody changed this setting in the meantime; look at it again").
		With(SettingConflict{now, e.Value, s.differences(e.Key, now.Value, e.Value)})
}

// refuseSetting enters in the audit log why a setting was not saved, and returns that.
func (s *Store) refuseSetting(ctx context.Context, e SettingEdit, why error) error {
	if kind := domain.KindOf(why); kind != domain.Stale && kind != domain.Conflict {
		return why
	}
	diff := map[string]any{"code": domain.CodeOf(why)}
	if told, ok := errors.AsType[*domain.Error](why); ok {
		if danger, ok := told.Facts.(SettingDanger); ok {
			diff["findings"] = codes(danger.Findings)
		}
	}
	err := s.Write(ctx, func(*Tx) (audit.Entry, error) {
		return audit.Entry{Action: "settings.refused", Target: "settings/" + e.Key, Reason: e.Reason, Diff: diff}, nil
	})
	if err != nil {
		return err
	}
	return why
}

func codes(all []policy.SettingFinding) []string {
	found := []string{}
	for _, f := range all {
		if !slices.Contains(found, f.Code) {
			found = append(found, f.Code)
		}
	}
	return found
}

// saveSetting writes a revision. With an impact it fails with errOutdated when that was not reckoned with the
// settings in force.
func (s *Store) saveSetting(ctx context.Context, e SettingEdit, imp *Impact) (SettingsRevision, error) {
	var set policy.Settings
	if err := set.Apply(e.Key, e.Value); err != nil {
		return SettingsRevision{}, err
	}
	before, err := s.Setting(ctx, e.Key)
	if err != nil {
		return SettingsRevision{}, err
	}
	rev := SettingsRevision{Key: e.Key, Value: e.Value, Actor: audit.ActorFrom(ctx).Name, Reason: e.Reason}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		rev.Revision = 0
		rails, err := tx.guard("SHARE")
		if err != nil {
			return audit.Entry{}, err
		}
		// One writer at a time: a revision must not become visible after a higher one.
		if err := tx.orm.Exec("SELECT pg_advisory_xact_lock(hashtext('settings_revisions'))").Error; err != nil {
			return audit.Entry{}, err
		}
		if imp != nil {
			var newest int64
			err := tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(max(revision), 0) FROM settings_revisions`).Scan(&newest)
			if err == nil && newest != imp.policyRevision {
				err = errOutdated
			}
			if err != nil {
				return audit.Entry{}, err
			}
		}
		if e.Key == "toggles" {
			if err := tx.keepToggles(&rev); err != nil {
				return audit.Entry{}, err
			}
			if err := rails.toggles(rev.Value); err != nil {
				return audit.Entry{}, err
			}
			if err := tx.rolledBack(rev.Value); err != nil {
				return audit.Entry{}, err
			}
		}
		if err := tx.orm.Omit("CreatedAt").Create(&rev).Error; err != nil {
			return audit.Entry{}, err
		}
		if e.Key == "throttle" {
			if err := tx.keepRecipients(set.Throttle); err != nil {
				return audit.Entry{}, err
			}
			if err := tx.reviewed(e, rev.Revision, set.Throttle); err != nil {
				return audit.Entry{}, err
			}
		}
		if err := tx.keepImpact(rev.Revision, e.Key, imp); err != nil {
			return audit.Entry{}, err
		}
		err = tx.tellSettings(rev.Revision)
		if err == nil && e.Key == "daily_review" {
			err = tx.reviewsChanged()
		}
		if err == nil && e.Key == "daily_review" {
			err = tx.reviewsChanged()
		}
		diff := map[string]any{"before": before.Value, "after": rev.Value}
		if e.reverts != nil {
			diff["reverts"] = *e.reverts
		}
		if imp != nil && len(imp.Findings) > 0 {
			diff["findings"] = codes(imp.Findings) // whoever saved knew of the dangers among them
		}
		return audit.Entry{Action: "settings.changed", Target: "settings/" + e.Key, Reason: e.Reason, Revision: rev.Revision, Diff: diff}, err
	})
	if err != nil {
		return rev, err
	}
	return s.Setting(ctx, e.Key)
}

// tellSettings lets every campaign at work hear of a new revision, and every single send that waits.
func (tx *Tx) tellSettings(revision int64) error {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO outbox (kind, key, payload)
		SELECT $1, 'campaign/' || id, jsonb_build_object('campaign_id', id, 'revision', $2::bigint, 'resend', resend) FROM campaigns
		WHERE status NOT IN ('draft', 'done', 'stopped', 'failed')`, KindSettingsChanged, revision)
	if err != nil {
		return err
	}
	return tx.wakeSends("true")
}

// keepToggles lets the toggles that a new revision does not name stay as they are: whoever switches dispatch off does not
// switch redemption on.
func (tx *Tx) keepToggles(rev *SettingsRevision) error {
	return tx.pgx.QueryRow(tx.ctx, `SELECT coalesce((SELECT value FROM settings_revisions WHERE key = 'toggles' ORDER BY revision DESC LIMIT 1), '{}')
		|| $1::jsonb`, []byte(rev.Value)).Scan(&rev.Value)
}
