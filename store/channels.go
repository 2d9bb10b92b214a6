package store

import (
	"context"
	"time"

	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
)

// ChannelState is a channel's circuit breaker. While it is open nothing is granted; when RetryAt has come one
// lane tries, with one target at a time, and its success closes it for everybody.
type ChannelState struct {
	Channel     string         `gorm:"primaryKey" json:"channel"`
	State       string         `json:"state"` // ChannelClosed, ChannelOpen or ChannelHalfOpen
	Cause       delivery.Cause `json:"cause"`
	Code        int            `json:"code"`     // the provider's, 0 for none
	Failures    int            `json:"failures"` // openings in a row, with no long good time between
	Reason      string         `json:"reason"`   // of whoever opened or closed it by hand
	OpenedAt    *time.Time     `json:"opened_at"`
	RetryAt     *time.Time     `json:"retry_at"` // nil while open: only by hand
	TrialBy     *string        `json:"trial_by"`
	ChangedAt   time.Time      `json:"changed_at"`
	SlowedUntil *time.Time     `json:"slowed_until"`
	SlowedCode  int            `json:"slowed_code"`
}

// The states of a channel.
const (
	ChannelClosed   = "closed"    // messages go
	ChannelOpen     = "open"      // suspended
	ChannelHalfOpen = "half_open" // suspended, and a lane is trying
)

// Why says why the channel is suspended, for people; "" when it is not.
func (c ChannelState) Why() string {
	if c.State == ChannelClosed {
		return ""
	}
	return delivery.ChannelWhy(c.Channel, c.Cause, c.Code, c.Reason)
}

func (c ChannelState) suspensions(now time.Time) []policy.Suspension {
	if c.State != ChannelClosed {
		s := policy.Suspension{Reason: policy.ChannelSuspended, Why: c.Why(), NeedsHuman: c.Cause.NeedsHuman()}
		if c.RetryAt != nil {
			s.Until = *c.RetryAt
		}
		return []policy.Suspension{s}
	}
	if c.SlowedUntil != nil && c.SlowedUntil.After(now) {
		return []policy.Suspension{{Reason: policy.ChannelSlowed, Why: delivery.Lookup(c.SlowedCode).Meaning, Until: *c.SlowedUntil}}
	}
	return nil
}

// Channels lists how the channels stand.
func (s *Store) Channels(ctx context.Context) ([]ChannelState, error) {
	var all []ChannelState
	return all, unavailable(s.orm.WithContext(ctx).Order("channel").Find(&all).Error)
}

// Channel tells how one channel stands.
func (s *Store) Channel(ctx context.Context, name string) (c ChannelState, err error) {
	err = s.orm.WithContext(ctx).First(&c, "channel = ?", name).Error
	return c, notFound(err, "channel", name)
}

// Trip is what makes a channel suspended: what a send found out.
type Trip struct {
	Cause delivery.Cause
	Code  int       // the provider's, 0 for none
	Since time.Time // of the database: when the claim was made whose send found it out; zero: it is so now
}

// SuspendChannel opens the breaker of a channel for what a lane found out, and reports whether that was news. It
// is none when it is open already, unless the lane had the trial, or what it found out is graver; and none when
// it was closed after the claim: then it may be mended.
func (s *Store) SuspendChannel(ctx context.Context, l Lane, channel string, t Trip, ladders delivery.Ladders) (news bool, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		news, err = tx.suspendChannel(l, channel, t, ladders)
		return err
	})
	return news, err
}

func (tx *Tx) suspendChannel(l Lane, channel string, t Trip, ladders delivery.Ladders) (news bool, err error) {
	c, now, err := tx.lockChannelState(channel)
	if err != nil {
		return false, err
	}
	trial := c.State == ChannelHalfOpen && *c.TrialBy == l.holder()
	graver := c.State != ChannelClosed && t.Cause.Graver(c.Cause)
	fresh := c.State == ChannelClosed
	switch {
	case fresh && !t.Since.IsZero() && c.ChangedAt.After(t.Since), !fresh && !trial && !graver:
		return false, nil
	case fresh && now.Sub(c.ChangedAt) > delivery.Relapse, graver:
		c.Failures = 0
	}
	c.Failures++
	if fresh {
		c.OpenedAt = &now
	}
	if fresh || graver { // else the first cause stays the one to mend
		c.Cause, c.Code = t.Cause, t.Code
	}
	c.State, c.Reason, c.TrialBy, c.RetryAt, c.ChangedAt = ChannelOpen, "", nil, nil, now
	if wait := ladders.Wait(c.Cause, c.Failures); wait > 0 {
		at := now.Add(wait)
		c.RetryAt = &at
	}
	if err := tx.orm.Save(&c).Error; err != nil {
		return false, err
	}
	if fresh || graver {
		if err := tx.notify("channel/"+channel, "Channel suspended: "+channel, c.Why(), "critical"); err != nil {
			return false, err
		}
		if err := tx.wakeChannel(channel); err != nil {
			return false, err
		}
	}
	return true, tx.enter(audit.Entry{Action: "channel.suspended", Target: "channel/" + channel,
		Diff: map[string]any{"cause": c.Cause, "code": c.Code, "failures": c.Failures, "retry_at": c.RetryAt}})
}

// ChannelPassed closes the breaker after a trial that went well, and wakes every campaign of the channel. It
// does nothing when the trial is not l's any more.
func (s *Store) ChannelPassed(ctx context.Context, l Lane, channel string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		c, now, err := tx.lockChannelState(channel)
		if err != nil || c.State != ChannelHalfOpen || *c.TrialBy != l.holder() {
			return err
		}
		return tx.closeChannel(c, now, "", "a trial went well")
	})
}

// CloseChannel lets a suspended channel go on, because somebody says that it may: domain.Conflict when it is not
// suspended.
func (s *Store) CloseChannel(ctx context.Context, channel, reason string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		c, now, err := tx.lockChannelState(channel)
		if err != nil {
			return err
		}
		if c.State == ChannelClosed {
			return domain.E(domain.Conflict, "wrong_state", "channel %s is not suspended", channel)
		}
		c.Failures = 0
		return tx.closeChannel(c, now, reason, reason)
	})
}

func (tx *Tx) closeChannel(c ChannelState, now time.Time, reason, why string) error {
	diff := map[string]any{"cause": c.Cause, "code": c.Code, "opened_at": c.OpenedAt, "why": why}
	text := "It was " + delivery.ChannelWhy(c.Channel, c.Cause, c.Code, c.Reason)
	c.State, c.Cause, c.Code, c.Reason, c.RetryAt, c.TrialBy, c.ChangedAt = ChannelClosed, "", 0, reason, nil, nil, now
	err := tx.orm.Save(&c).Error
	if err == nil {
		err = tx.notify("channel/"+c.Channel, "Channel goes on: "+c.Channel, text, "info")
	}
	if err == nil {
		err = tx.wakeChannel(c.Channel)
	}
	if err != nil {
		return err
	}
	return tx.enter(audit.Entry{Action: "channel.resumed", Target: "channel/" + c.Channel, Reason: reason, Diff: diff})
}

// OpenChannel suspends a channel until somebody closes it: domain.Conflict when somebody did already.
func (s *Store) OpenChannel(ctx context.Context, channel, reason string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		c, now, err := tx.lockChannelState(channel)
		if err != nil {
			return err
		}
		if c.State != ChannelClosed && c.Cause == delivery.ByOperator {
			return domain.E(domain.Conflict, "wrong_state", "channel %s is suspended by hand already", channel)
		}
		diff := map[string]any{"cause": []delivery.Cause{c.Cause, delivery.ByOperator}}
		if c.State == ChannelClosed {
			c.OpenedAt = &now
		}
		c.State, c.Cause, c.Code, c.Failures, c.Reason, c.RetryAt, c.TrialBy, c.ChangedAt = ChannelOpen, delivery.ByOperator, 0, 1, reason, nil, nil, now
		if err := tx.orm.Save(&c).Error; err != nil {
			return err
		}
		if err := tx.notify("channel/"+channel, "Channel suspended: "+channel, c.Why(), "warn"); err != nil {
			return err
		}
		if err := tx.wakeChannel(channel); err != nil {
			return err
		}
		return tx.enter(audit.Entry{Action: "channel.suspended", Target: "channel/" + channel, Reason: reason, Diff: diff})
	})
}

// SlowChannel grants nothing on a channel for so long, because the provider asked for a pause with this code.
func (s *Store) SlowChannel(ctx context.Context, channel string, code int, wait time.Duration) error {
	_, err := s.pool.Exec(ctx, `UPDATE channel_states SET slowed_code = $2,
		slowed_until = greatest(slowed_until, clock_timestamp() + make_interval(secs => $3)) WHERE channel = $1`, channel, code, wait.Seconds())
	return unavailable(err)
}

// tryChannel gives a lane the trial of a suspended channel whose time has come, unless another was quicker.
func (tx *Tx) tryChannel(l Lane, channel string) (got bool, err error) {
	done, err := tx.pgx.Exec(tx.ctx, `UPDATE channel_states SET state = 'half_open', trial_by = $2,
			retry_at = clock_timestamp() + make_interval(secs => $3)
		WHERE channel = $1 AND state <> 'closed' AND retry_at <= clock_timestamp()`, channel, l.holder(), trialLasts.Seconds())
	return done.RowsAffected() == 1, err
}

// lockChannelState reads a channel's state and keeps others off it until the transaction ends. It also tells
// the database's time.
func (tx *Tx) lockChannelState(name string) (c ChannelState, now time.Time, err error) {
	err = tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&c, "channel = ?", name).Error
	if err == nil {
		err = tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp()`).Scan(&now)
	}
	return c, now, notFound(err, "channel", name)
}

func (tx *Tx) notify(key, title, text, level string) error {
	_, err := tx.send(KindOpsNotice, key+"/ops", OpsNotice{Title: title, Text: text, Level: level})
	return err
}

// wakeChannel tells every campaign of a channel to look again.
func (tx *Tx) wakeChannel(channel string) error { return tx.wake(`channel = $2`, channel) }

// wake tells campaigns at work, and single sends that wait, to look again: what they wait for may have passed, or changed.
func (tx *Tx) wake(which string, arg any) error {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO outbox (kind, key, payload)
		SELECT $1, 'campaign/' || id, jsonb_build_object('campaign_id', id, 'revision', 0, 'resend', resend) FROM campaigns
		WHERE status NOT IN ('draft', 'done', 'stopped', 'failed') AND `+which, KindSettingsChanged, arg)
	if err != nil {
		return wrap(err, "wake campaigns")
	}
	return tx.wakeSends(which, arg)
}
