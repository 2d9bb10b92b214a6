package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"lastcall/domain/campaign"
	"lastcall/domain/policy"
)

// Stats are figures about all of Lastcall, for those who watch it. They name nobody.
type Stats struct {
	Channels  []ChannelStats
	Campaigns int64           // active, and no drill's
	Targets   campaign.Counts // theirs
	Workers   int64           // that are there
	Outbox    int64           // messages not delivered yet; counted up to StatsCountTo
	Alerts    []AlertCount    // that fire
	Webhooks  int64           // not applied yet; counted up to StatsCountTo
}

// ChannelStats are figures about a channel's permits. A cap of 0 but the minute's is off, and its use is then 0.
type ChannelStats struct {
	Channel    string
	Granted    int64 // permits, ever
	PerMinute  int64
	UsedMinute int64 // of the permits, by the ledger's window
	PerSecond  int64
	UsedSecond int64
	Tier       int64
	UsedTier   int64 // recipients
	Wanting    int64 // campaigns that want more permits than they get
	Singles    int64 // single sends that wait for a permit
}

// StatsCountTo is how far Stats counts what may pile up.
const StatsCountTo = 100_000

// Stats reads the figures. It counts no targets: it reads the counts that are kept.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	var st Stats
	set, err := s.Settings(ctx)
	if err != nil {
		return st, err
	}
	t := &st.Targets
	err = s.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM campaigns WHERE status NOT IN ('draft', 'done', 'stopped', 'failed') AND NOT is_drill),
			(SELECT count(*) FROM workers WHERE seen_at > clock_timestamp() - $1::interval),
			(SELECT count(*) FROM (SELECT FROM outbox WHERE delivered_at IS NULL LIMIT $2) o),
			(SELECT count(*) FROM (SELECT FROM webhook_inbox WHERE error IS NULL LIMIT $2) w), k.*
		FROM (SELECT coalesce(sum(targets), 0)::bigint, coalesce(sum(queued), 0)::bigint, coalesce(sum(sending), 0)::bigint,
			coalesce(sum(sent), 0)::bigint, coalesce(sum(delivered), 0)::bigint, coalesce(sum(read), 0)::bigint, coalesce(sum(failed), 0)::bigint,
			coalesce(sum(opted_out), 0)::bigint, coalesce(sum(unknown), 0)::bigint, coalesce(sum(cancelled), 0)::bigint
			FROM cohorts WHERE campaign_id IN (SELECT id FROM campaigns WHERE status NOT IN ('draft', 'done', 'stopped', 'failed') AND NOT is_drill)) k`,
		WorkerSilent, StatsCountTo).Scan(&st.Campaigns, &st.Workers, &st.Outbox, &st.Webhooks,
		&t.Targets, &t.Queued, &t.Sending, &t.Sent, &t.Delivered, &t.Read, &t.Failed, &t.OptedOut, &t.Unknown, &t.Cancelled)
	if err != nil {
		return st, unavailable(err)
	}
	if st.Alerts, err = s.AlertCounts(ctx); err != nil {
		return st, err
	}
	for channel, limits := range set.Throttle {
		some, err := s.channelStats(ctx, channel, limits)
		if err != nil {
			return st, err
		}
		st.Channels = append(st.Channels, some...)
	}
	return st, nil
}

// ChannelStats reads a channel's figures alone. It fails with domain.NotFound when there is no such channel.
func (s *Store) ChannelStats(ctx context.Context, channel string) (ChannelStats, error) {
	set, err := s.Settings(ctx)
	if err != nil {
		return ChannelStats{}, err
	}
	found, err := s.channelStats(ctx, channel, set.Throttle[channel])
	if err == nil && len(found) == 0 {
		err = notFound(pgx.ErrNoRows, "channel", channel)
	}
	if err != nil {
		return ChannelStats{}, err
	}
	return found[0], nil
}

// channelStats are the figures of the channel, if there is one of this name.
func (s *Store) channelStats(ctx context.Context, channel string, limits policy.Cap) ([]ChannelStats, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.name, c.cumulative, $2::bigint, b.used_minute, $3::bigint, coalesce(b.used_second, 0), $4::bigint, coalesce(b.used_tier, 0),
			(SELECT count(*) FROM permit_wants w JOIN campaigns x ON x.id = w.campaign_id AND x.gate = 'open' AND x.finished_at IS NULL
				WHERE w.channel = c.name AND w.wants_until > t.now),
			(SELECT count(*) FROM permit_singles w WHERE w.channel = c.name AND w.waits_until > t.now)
		FROM channels c, LATERAL (SELECT permit_clock() AS now) t, LATERAL permit_budget(c.name, $2, $3, $4, t.now) b WHERE c.name = $1`,
		channel, limits.PerMinute, limits.PerSecond, limits.Tier)
	if err != nil {
		return nil, unavailable(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ChannelStats])
	return found, unavailable(err)
}
