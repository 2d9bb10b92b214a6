package store

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/campaign"
	"lastcall/domain/forecast"
	"lastcall/domain/policy"
)

// Forecast is what will become of a campaign's queued targets.
type Forecast struct {
	CampaignID uuid.UUID       `json:"campaign_id" format:"uuid"`
	Status     campaign.Status `json:"status"`
	Assumes    []string        `json:"assumes,omitempty" doc:"What is taken for granted that is not so now"`
	forecast.Forecast
}

// Forecast reckons with the settings in force: a campaign that has not been started from at, or at once, one that
// has from its send time. A time that is past is now.
func (s *Store) Forecast(ctx context.Context, id uuid.UUID, at *time.Time) (Forecast, error) {
	set, err := s.Settings(ctx)
	if err != nil {
		return Forecast{}, err
	}
	return s.ForecastUnder(ctx, set, id, at)
}

// ForecastUnder reckons with settings that need not be saved.
func (s *Store) ForecastUnder(ctx context.Context, set policy.Settings, id uuid.UUID, at *time.Time) (Forecast, error) {
	f := Forecast{CampaignID: id}
	in := forecast.Input{Settings: set}
	var gate campaign.Gate
	var sendAt *time.Time
	var lift liftRow
	err := s.pool.QueryRow(ctx, `SELECT c.status, c.gate, c.channel, c.send_at, t.category = 'marketing', c.weight::float8, clock_timestamp(), `+liftColumns+`
		FROM campaigns c JOIN templates t ON t.id = c.template_id`+joinLift+`WHERE c.id = $1`, id).
		Scan(append([]any{&f.Status, &gate, &in.Channel, &sendAt, &in.Own.Marketing, &in.Own.Weight, &in.Now}, lift.into()...)...)
	if err != nil {
		return f, notFound(err, "campaign", id)
	}
	if in.Own.Lift = lift.lift(in.Now); in.Own.Lift.ID != "" {
		f.Assumes = append(f.Assumes, in.Own.Lift.String())
	}
	for _, t := range []*time.Time{at, sendAt} {
		if t != nil && t.After(in.Start) {
			in.Start = *t
		}
	}
	switch {
	case f.Status == campaign.Draft:
		f.Assumes = append(f.Assumes, "the campaign has not been started: reckoned as if it were")
	case f.Status == campaign.Paused || gate == campaign.GatePaused:
		f.Assumes = append(f.Assumes, "the campaign is paused: reckoned as if it were resumed")
	case f.Status.Ended() || gate == campaign.GateStopped || f.Status == campaign.Settling:
		f.Assumes = append(f.Assumes, "the campaign sends nothing any more")
	}
	err = s.inTx(ctx, func(tx *Tx) (err error) {
		in.Own.Cohorts, err = tx.groups(set, id, in.Own.Marketing, in.Now)
		return err
	})
	if err != nil {
		return f, err
	}
	live, err := s.loads(ctx, in.Channel)
	if err != nil {
		return f, err
	}
	for _, l := range live {
		if l.id != id {
			in.Others = append(in.Others, l.Load)
		}
	}
	if err := s.channelNow(ctx, &in); err != nil {
		return f, err
	}
	f.Forecast = forecast.Make(in)
	return f, nil
}

// groups reads a campaign's queued targets as the rules for one recipient tell them apart. The time at which the
// frequency cap lets somebody go is rounded up to five minutes, so that a million targets are a few hundred groups;
// that of the provider to ten seconds.
func (tx *Tx) groups(set policy.Settings, id uuid.UUID, marketing bool, now time.Time) ([]forecast.Cohort, error) {
	// Everybody who was written to lately is sorted, up to some hundred thousand in memory.
	if _, err := tx.pgx.Exec(tx.ctx, `SET LOCAL work_mem = '64MB'`); err != nil {
		return nil, err
	}
	limit := set.FrequencyCap.Marketing
	with, until, heard, args := "", "NULL::timestamptz", "", []any{id}
	if marketing && !limit.Off() {
		// cappedUntil asks for each recipient; of all of a campaign's it is faster to join.
		newest := "array_agg(t.sending_at ORDER BY t.sending_at DESC)"
		if limit.PerDay <= 1 && limit.PerWeek <= 1 {
			newest = "ARRAY[max(t.sending_at)]" // the others do not count
		}
		with, until, args = recentCampaigns, "h.until", []any{now, limit.PerDay, limit.PerWeek, id}
		heard = `LEFT JOIN (SELECT m.msisdn, greatest(m.at[nullif($2::int, 0)] + interval '24 hours 1 second',
				m.at[nullif($3::int, 0)] + interval '168 hours 1 second') AS until
			FROM (SELECT t.msisdn, ` + newest + ` AS at FROM recent r
				JOIN targets t ON t.campaign_id = r.id AND t.sending_at > r.since AND t.state IN ('sending', 'sent', 'delivered', 'read', 'unknown')
				GROUP BY t.msisdn) m) h ON h.msisdn = q.msisdn AND h.until > $1`
	}
	campaignID := map[bool]string{true: "$4", false: "$1"}[heard != ""]
	rows, err := tx.pgx.Query(tx.ctx, with+` SELECT k.id, k.country, k.zone, k.locale, g.opted_out, g.opted_in, g.until, g.retry, g.n
		FROM (SELECT q.cohort, o.msisdn_hash IS NOT NULL AS opted_out, p.msisdn IS NOT NULL AS opted_in,
				date_bin('5 minutes', `+until+` + interval '5 minutes', '2000-01-01Z') AS until,
				CASE WHEN q.policy_revision IS NULL THEN date_bin('10 seconds', q.not_before + interval '10 seconds', '2000-01-01Z') END AS retry,
				count(*) AS n
			FROM queued_targets q LEFT JOIN opt_outs o ON o.msisdn_hash = q.msisdn_hash
			LEFT JOIN contacts p ON p.msisdn = q.msisdn AND p.opted_in_at IS NOT NULL `+heard+`
			WHERE q.campaign_id = `+campaignID+` GROUP BY 1, 2, 3, 4, 5) g
		JOIN cohorts k ON k.campaign_id = `+campaignID+` AND k.id = g.cohort ORDER BY k.id, g.until, g.retry`, args...)
	if err != nil {
		return nil, err
	}
	var all []forecast.Cohort
	var last, cohort int16
	var k forecast.Cohort
	var g forecast.Group
	var capped, retry *time.Time
	_, err = pgx.ForEachRow(rows, []any{&cohort, &k.Country, &k.Zone, &k.Locale, &g.OptedOut, &g.OptedIn, &capped, &retry, &g.Targets}, func() error {
		if len(all) == 0 || cohort != last {
			all, last = append(all, k), cohort
		}
		g.CappedUntil, g.NotBefore = instant(capped), instant(retry)
		of := &all[len(all)-1]
		of.Groups = append(of.Groups, g)
		return nil
	})
	return all, err
}

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// load is a campaign that wants permits.
type load struct {
	id uuid.UUID
	forecast.Load
	cohorts []int16 // the ids of Load.Cohorts
}

// loads reads the campaigns at work on a channel, by their cohorts alone: who of them opted out or has had enough
// is not looked for.
func (s *Store) loads(ctx context.Context, channel string) ([]load, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.id, c.send_at, t.category = 'marketing', c.weight::float8, k.id, k.country, k.zone, k.locale, k.queued, clock_timestamp(), `+liftColumns+`
		FROM campaigns c JOIN templates t ON t.id = c.template_id JOIN cohorts k ON k.campaign_id = c.id AND k.queued > 0`+joinLift+`
		WHERE c.status NOT IN ('draft', 'done', 'stopped', 'failed') AND c.status IN ('scheduled', 'preflight', 'running')
			AND c.gate = 'open' AND c.channel = $1 ORDER BY c.id, k.id`, channel)
	if err != nil {
		return nil, unavailable(err)
	}
	var all []load
	var id uuid.UUID
	var l load
	var sendAt *time.Time
	var cohort int16
	var k forecast.Cohort
	g := forecast.Group{OptedIn: true}
	var now time.Time
	var lift liftRow
	_, err = pgx.ForEachRow(rows, append([]any{&id, &sendAt, &l.Marketing, &l.Weight, &cohort, &k.Country, &k.Zone, &k.Locale, &g.Targets, &now}, lift.into()...), func() error {
		if len(all) == 0 || all[len(all)-1].id != id {
			l.id, l.From, l.Lift = id, instant(sendAt), lift.lift(now)
			all = append(all, l)
		}
		of := &all[len(all)-1]
		k.Groups = []forecast.Group{g}
		of.Cohorts, of.cohorts = append(of.Cohorts, k), append(of.cohorts, cohort)
		return nil
	})
	return all, unavailable(err)
}

// channelNow reads what the channel's ledger holds, and from it how fast the dispatch is now.
func (s *Store) channelNow(ctx context.Context, in *forecast.Input) error {
	in.Limits = forecast.LimitsOf(in.Settings, in.Channel)
	rows, err := s.pool.Query(ctx, `SELECT max(granted_at), sum(n)::bigint FROM permits WHERE channel = $1 AND granted_at > $2::timestamptz - $3::interval
		GROUP BY date_trunc('second', granted_at) ORDER BY 1`, in.Channel, in.Now, forecast.Window)
	if err != nil {
		return unavailable(err)
	}
	if in.Ledger, err = pgx.CollectRows(rows, pgx.RowToStructByPos[forecast.Use]); err != nil {
		return unavailable(err)
	}
	if in.Limits.Tier > 0 {
		rows, err := s.pool.Query(ctx, `SELECT max(granted_at), count(*) FROM recent_recipients WHERE channel = $1 AND granted_at > $2::timestamptz - interval '24 hours'
			GROUP BY date_bin('1 minute', granted_at, '2000-01-01Z') ORDER BY 1`, in.Channel, in.Now)
		if err != nil {
			return unavailable(err)
		}
		if in.TierUse, err = pgx.CollectRows(rows, pgx.RowToStructByPos[forecast.Use]); err != nil {
			return unavailable(err)
		}
	}
	in.Rate, in.RateMeasured = forecast.Measure(in.Ledger, in.Limits, in.Now)
	if !in.RateMeasured {
		in.Rate = cmp.Or(s.assumedRate, forecast.AssumedRate)
	}
	return nil
}

// finishes says of the campaigns at work when each will have sent everything, by their cohorts alone.
func (s *Store) finishes(ctx context.Context, channel string, held map[uuid.UUID]map[int16]heldBy) (map[uuid.UUID]time.Time, error) {
	in := forecast.Input{Channel: channel}
	live, err := s.loads(ctx, channel)
	if err != nil || len(live) == 0 {
		return nil, err
	}
	if in.Settings, _, in.Now, err = s.rules(ctx, channel, ""); err != nil {
		return nil, err
	}
	if err := s.channelNow(ctx, &in); err != nil {
		return nil, err
	}
	for i, l := range live {
		for j, id := range l.cohorts {
			if h := held[l.id][id]; h.targets > 0 {
				g := &l.Load.Cohorts[j].Groups[0]
				g.Targets -= min(h.targets, g.Targets)
				l.Load.Cohorts[j].Groups = append(l.Load.Cohorts[j].Groups, forecast.Group{Targets: h.targets, OptedIn: true, CappedUntil: h.until})
			}
		}
		if i == 0 {
			in.Own, in.Start = l.Load, l.From
		} else {
			in.Others = append(in.Others, l.Load)
		}
	}
	ends := map[uuid.UUID]time.Time{}
	for i, end := range forecast.Finish(in) {
		if !end.IsZero() {
			ends[live[i].id] = roundUp(end, end.Sub(in.Now))
		}
	}
	return ends, nil
}

// roundUp rounds an instant that is so far away, so that who watches is not told of changes that are none.
func roundUp(t time.Time, away time.Duration) time.Time {
	unit := time.Second
	switch {
	case away > time.Hour:
		unit = time.Minute
	case away > 2*time.Minute:
		unit = 10 * time.Second
	}
	return t.Add(unit - 1).Truncate(unit)
}
