package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/alert"
	"lastcall/domain/probe"
)

// alertSamples measures every source by the database's clock. A source that cannot be read is unknown, and keeps no other from
// being read. What drills make is left out, but for edge functions, where the sample says whose it is.
func (s *Store) alertSamples(ctx context.Context, now time.Time) ([]alert.Sample, error) {
	var all []alert.Sample
	var failed error
	for _, source := range alert.Sources {
		measure := alertSources[source.Name]
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		got, err := measure(within, s, now)
		cancel()
		if err != nil {
			failed, got = wrap(err, "measure "+source.Name), nil
		}
		for _, subject := range missing(source, got) {
			got = append(got, alert.Sample{Subject: subject, Detail: "nobody has measured it"})
		}
		for _, one := range got {
			one.Source = source.Name
			if one.At.IsZero() {
				one.At = now
			}
			all = append(all, one)
		}
	}
	return all, failed
}

// missing are a source's subjects of which nothing was said.
func missing(source alert.Source, got []alert.Sample) (subjects []string) {
	said := map[string]bool{}
	for _, one := range got {
		said[one.Subject] = true
	}
	want := source.Subjects
	if len(want) == 0 {
		want = []string{""}
	}
	for _, subject := range want {
		if !said[subject] {
			subjects = append(subjects, subject)
		}
	}
	return subjects
}

// alertSources say how each source of domain/alert is measured.
var alertSources = map[string]func(context.Context, *Store, time.Time) ([]alert.Sample, error){
	alert.EdgeFunction:          edgeFunctionSamples,
	alert.DispatcherSilence:     dispatcherSilence,
	alert.OutboxAge:             outboxAge,
	alert.NoticeAge:             noticeAge,
	alert.SendFailureRate:       sendFailureRate,
	alert.RedemptionFailureRate: redemptionFailureRate,
	alert.WrongCodes:            wrongCodes,
	alert.CampaignsStuck:        campaignsStuck,
	alert.PolicyBlocks:          policyBlocks,
	alert.SendsPastForecast:     sendsPastForecast,
	alert.SendsPastCap:          sendsPastCap,
}

// edgeFunctionSamples read what the last probes found. One that is stale says nothing. While a fault is put in the way on
// purpose, and until the next probe after it, what is found is a drill's.
func edgeFunctionSamples(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	rows, err := s.pool.Query(ctx, `SELECT e.name, CASE WHEN e.checked_at > $1::timestamptz - $2::interval THEN e.state ELSE 'unknown' END, e.since,
			e.checked_at, e.detail, coalesce((SELECT coalesce(f.drill_id::text, 'trial') FROM faults f WHERE f.edge_function = e.name
				AND (coalesce(f.ended_at, f.expires_at) > $1 OR e.is_drill AND f.created_at > $1::timestamptz - interval '3 hours') ORDER BY f.created_at DESC LIMIT 1), '')
		FROM edge_functions e`, now, s.Stale())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (one alert.Sample, err error) {
		var state probe.State
		var checked *time.Time
		var since time.Time
		if err := row.Scan(&one.Subject, &state, &since, &checked, &one.Detail, &one.DrillID); err != nil {
			return one, err
		}
		one.Value, one.Known = alert.StateValue(state)
		one.Since = &since
		if checked != nil {
			one.At = *checked
		}
		return one, nil
	})
}

// dispatcherSilence is how long ago a worker last said that it is there. One that stops takes its word back: without any,
// it is as long as anything, since nobody knows when.
func dispatcherSilence(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	var seen *time.Time
	if err := s.pool.QueryRow(ctx, `SELECT max(seen_at) FROM workers`).Scan(&seen); err != nil {
		return nil, err
	}
	if seen == nil {
		return []alert.Sample{{Value: (24 * time.Hour).Seconds(), Known: true, Detail: "there is no worker"}}, nil
	}
	silence := now.Sub(*seen)
	return []alert.Sample{{Value: silence.Seconds(), Since: seen, Known: true, Detail: fmt.Sprintf("a worker was last seen %s ago", silence.Round(time.Second))}}, nil
}

// outboxAge is of what takes effect in Lastcall. Notices, mails and answers wait for others: they have noticeAge, and the probes.
func outboxAge(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	var oldest []time.Time
	err := s.pool.QueryRow(ctx, `SELECT array(SELECT created_at FROM outbox WHERE delivered_at IS NULL AND kind NOT LIKE 'mail%' AND kind <> ALL ($1)
		ORDER BY created_at LIMIT 1)`, []string{KindOpsNotice, KindAlertNotice, KindReply}).Scan(&oldest)
	if err != nil || len(oldest) == 0 {
		return []alert.Sample{{Known: true}}, err
	}
	return []alert.Sample{{Value: now.Sub(oldest[0]).Seconds(), Known: true}}, nil
}

func noticeAge(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	rows, err := s.pool.Query(ctx, `SELECT c, (SELECT min(created_at) FROM alert_notices WHERE channel = c AND delivered_at IS NULL AND attempts > 0)
		FROM unnest($1::text[]) c`, alert.Channels)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (alert.Sample, error) {
		one := alert.Sample{Known: true}
		var oldest *time.Time
		err := row.Scan(&one.Subject, &oldest)
		if oldest != nil {
			one.Value, one.Detail = now.Sub(*oldest).Seconds(), "it is tried again, twice a minute at least"
		}
		return one, err
	})
}

// sendFailureRate compares what campaigns have sent with what they had sent a Window ago, which is counted each minute, and
// adds single sends. Counts are kept by cohort: no target is looked at.
func sendFailureRate(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	_, err := s.pool.Exec(ctx, `WITH forgotten AS (DELETE FROM alert_counts WHERE at < $1::timestamptz - 2 * $2::interval)
		INSERT INTO alert_counts (at, campaign_id, done, failed)
		SELECT $1, c.id, sum(k.sent + k.delivered + k.read + k.failed + k.unknown), sum(k.failed) FROM campaigns c JOIN cohorts k ON k.campaign_id = c.id
		WHERE NOT c.is_drill AND c.status <> 'draft' AND (c.finished_at IS NULL OR c.finished_at > $1::timestamptz - $2::interval)
			AND NOT EXISTS (SELECT FROM alert_counts o WHERE o.at > $1::timestamptz - interval '59 seconds')
		GROUP BY c.id`, now, alert.Window)
	if err != nil {
		return nil, err
	}
	var done, failed, sends, sendsFailed int64
	err = s.pool.QueryRow(ctx, `SELECT coalesce(sum(greatest(n.done - coalesce(b.done, 0), n.failed - coalesce(b.failed, 0), 0)), 0)::bigint,
			coalesce(sum(greatest(n.failed - coalesce(b.failed, 0), 0)), 0)::bigint
		FROM (SELECT c.id, c.started_at, sum(k.sent + k.delivered + k.read + k.failed + k.unknown) AS done, sum(k.failed) AS failed
			FROM campaigns c JOIN cohorts k ON k.campaign_id = c.id
			WHERE NOT c.is_drill AND c.status <> 'draft' AND (c.finished_at IS NULL OR c.finished_at > $1::timestamptz - $2::interval) GROUP BY c.id) n
		LEFT JOIN LATERAL (SELECT a.done, a.failed FROM alert_counts a WHERE a.campaign_id = n.id AND a.at > $1::timestamptz - $2::interval - interval '1 minute'
			AND n.started_at < $1::timestamptz - $2::interval ORDER BY a.at LIMIT 1) b ON true`, now, alert.Window).Scan(&done, &failed)
	if err == nil {
		err = s.pool.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE state = 'failed') FROM sends
			WHERE state IN ('sent', 'delivered', 'read', 'failed', 'unknown') AND id > $1 AND NOT is_drill`, idAt(now.Add(-alert.Window))).Scan(&sends, &sendsFailed)
	}
	if err != nil {
		return nil, err
	}
	return []alert.Sample{share(failed+sendsFailed, done+sends, "messages failed")}, nil
}

// idAt is a version 7 id that is greater than all made before t.
func idAt(t time.Time) (id uuid.UUID) {
	ms := t.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

// redemptionFailureRate counts only failures of ours: what the rules refuse is the business at work. What a fault makes of
// redemptions on purpose is a sample of its own.
func redemptionFailureRate(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	one, err := redemptions(ctx, s.pool, now.Add(-alert.Window), false)
	if err != nil {
		return nil, err
	}
	drilled, err := drilledRedemptions(ctx, s, now)
	return append(drilled, one), err
}

// redemptions is the rate of failures since then, with or without those that drills and faults on purpose made.
func redemptions(ctx context.Context, db querier, since time.Time, drills bool) (alert.Sample, error) {
	var done, failed int64
	err := db.QueryRow(ctx, `SELECT (SELECT count(*) FROM redemptions WHERE created_at > $1),
		(SELECT count(*) FROM redemption_refusals WHERE at > $1 AND kind = 'system' AND NOT mock AND ($2 OR NOT is_drill))`, since, drills).Scan(&done, &failed)
	return share(failed, done+failed, "redemptions failed by our fault"), err
}

// share is a sample of so many among n; without any it says nothing.
func share(some, n int64, what string) alert.Sample {
	one := alert.Sample{N: n, Known: n > 0, Detail: fmt.Sprintf("%d of %d %s", some, n, what)}
	if n > 0 {
		one.Value = float64(some) / float64(n)
	}
	return one
}

func wrongCodes(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	one := alert.Sample{Known: true}
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM (SELECT FROM redemption_refusals WHERE code = 'wrong_code' AND at > $1 AND NOT mock AND NOT is_drill LIMIT 10000) g`,
		now.Add(-alert.Window)).Scan(&one.Value)
	return []alert.Sample{one}, err
}

func campaignsStuck(ctx context.Context, s *Store, _ time.Time) ([]alert.Sample, error) {
	one := alert.Sample{Known: true}
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM campaigns WHERE status NOT IN ('draft', 'done', 'stopped', 'failed') AND needs_human <> '' AND NOT is_drill`).Scan(&one.Value)
	return []alert.Sample{one}, err
}
