package store

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

// StartRehearsal begins a rehearsal: a rollout of its own from the same plan, whose durations pass `factor` times as fast. It
// fails as StartRollout does, with domain.Forbidden of code rollout_rehearsal_sandbox where messages go to people, and with
// domain.Invalid of code rollout_rehearsal_name when its name does not begin with "rehearsal-", or the factor is not between
// 2 and 100,000.
func (s *Store) StartRehearsal(ctx context.Context, name string, plan rollout.Plan, factor int, reason string) error {
	if factor < 2 || factor > rollout.MostFactor {
		return domain.E(domain.Invalid, rollout.NotOne, "a rehearsal is 2 to %d times as fast", rollout.MostFactor).About("factor")
	}
	return s.startRollout(ctx, name, plan.Faster(factor), reason)
}

// rehearsed makes sure that a rollout is called a rehearsal if it is one, and is none where messages go to people.
func (r Rollout) rehearsed(s *Store) error {
	switch {
	case strings.HasPrefix(r.Name, rollout.RehearsalPrefix) != (r.Factor > 1):
		return domain.E(domain.Invalid, rollout.NotOne, "rehearsals are called %s…, and nothing else is", rollout.RehearsalPrefix).About("name")
	case r.Factor > 1 && !s.sandbox:
		return domain.E(domain.Forbidden, rollout.NotHere, "messages go to people here: rehearse where they go to the sandbox")
	}
	return nil
}

// faster is how long something lasts in this rollout that lasts d in one that is no rehearsal.
func (r Rollout) faster(d time.Duration) time.Duration { return d / time.Duration(max(r.Factor, 1)) }

// restoreSettings puts back every setting that is not as it was when a rehearsal began, each as a revision of its own.
func (tx *Tx) restoreSettings(s *Store, r Rollout) error {
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtext('settings_revisions'))`); err != nil {
		return err
	}
	var before, newest int64
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT settings_before, (SELECT coalesce(max(revision), 0) FROM settings_revisions) FROM rollouts WHERE name = $1`, r.Name).
		Scan(&before, &newest); err != nil {
		return err
	}
	was, err := s.settingsAt(tx.ctx, tx.pgx, before)
	if err != nil {
		return err
	}
	is, err := s.settingsAt(tx.ctx, tx.pgx, newest)
	if err != nil {
		return err
	}
	var last int64
	for _, key := range SettingsKeys {
		value, now := valueOf(was, key), valueOf(is, key)
		if bytes.Equal(value, now) {
			continue
		}
		rev := SettingsRevision{Key: key, Value: value, Actor: audit.ActorFrom(tx.ctx).Name, Reason: "as it was before the rehearsal"}
		if err := tx.orm.Omit("CreatedAt").Create(&rev).Error; err != nil {
			return err
		}
		if key == "throttle" {
			if err := tx.keepRecipients(was.Throttle); err != nil {
				return err
			}
		}
		if err := tx.enter(audit.Entry{Action: "settings.changed", Target: "settings/" + key, Reason: rev.Reason, Revision: rev.Revision,
			Diff: map[string]json.RawMessage{"before": now, "after": value}}); err != nil {
			return err
		}
		last = rev.Revision
	}
	if last == 0 {
		return nil
	}
	return tx.tellSettings(last)
}

// expireRehearsal ends a rehearsal that nobody has ended in time.
func (s *Store) expireRehearsal(ctx context.Context, name string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		r, err := readRollout(tx.ctx, tx.pgx, `r.name = $1 FOR UPDATE OF r`, name)
		if err != nil || r.EndedAt != nil {
			return err
		}
		entry, err := tx.endRollout(s, r, "a rehearsal lasts no longer")
		if err != nil {
			return err
		}
		return tx.enter(entry)
	})
}
