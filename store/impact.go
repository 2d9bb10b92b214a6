package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/forecast"
	"lastcall/domain/policy"
)

// Impact is what a setting's new value would mean, before it is saved: by the policy that decides, over the
// campaigns at work and the contacts.
type Impact struct {
	Key       string                  `json:"key"`
	Revision  int64                   `json:"revision" doc:"Of the key: the one that would be replaced"`
	At        time.Time               `json:"at"`
	Changes   []policy.SettingChange  `json:"changes" doc:"Field by field; none: it is what is in force"`
	Findings  []policy.SettingFinding `json:"findings" doc:"What is suspicious; a danger must be acknowledged by who saves"`
	Summary   []string                `json:"summary" doc:"The effect in sentences, the most important first"`
	Targets   forecast.Effect         `json:"targets" doc:"On what is queued of campaigns that have begun"`
	Campaigns []CampaignImpact        `json:"campaigns" doc:"Each campaign at work with something queued"`
	Contacts  forecast.Effect         `json:"contacts" doc:"On marketing to all contacts"`
	Next      *forecast.Effect        `json:"next,omitempty" doc:"If it changes nothing now: on the contacts when it first does, within eight days"`

	Estimated bool `json:"estimated,omitempty" doc:"Who agreed was looked up for a sample of the targets: there are too many of them"`

	policyRevision int64
	accepted       accepted
}

// CampaignImpact is what a change would mean for one campaign.
type CampaignImpact struct {
	ID             uuid.UUID       `json:"campaign_id" format:"uuid"`
	Name           string          `json:"name"`
	Status         campaign.Status `json:"status"`
	Effect         forecast.Effect `json:"effect" doc:"When it begins, or now"`
	FinishesBefore *time.Time      `json:"finishes_before,omitempty" doc:"As it is; absent: never, or it is paused"`
	FinishesAfter  *time.Time      `json:"finishes_after,omitempty"`
}

// Impact tells what value would mean for a key. It fails like EditSetting when the value is no good. Like the
// claims' waits it reckons with cohorts: of quiet hours, toggles and throttles it counts those who opted out, or never
// agreed, as if they went; a change of consent looks at each recipient, or at a sample of more than 100,000, and
// one of the frequency cap at those who were written to lately.
func (s *Store) Impact(ctx context.Context, key string, value json.RawMessage) (Impact, error) {
	imp, before, after, err := s.targetImpact(ctx, key, value)
	if err != nil {
		return imp, err
	}
	contacts, err := s.contactCrowds(ctx)
	if err != nil {
		return imp, err
	}
	imp.Contacts = forecast.Compare(before, after, contacts, imp.At)
	if len(imp.Contacts.Moves) == 0 && len(imp.Changes) > 0 {
		if at := forecast.Differs(before, after, contacts, imp.At); !at.IsZero() {
			next := forecast.Compare(before, after, contacts, at)
			imp.Next = &next
		}
	}
	imp.Summary = imp.sentences()
	return imp, nil
}

// targetImpact is Impact without the contacts and the sentences.
func (s *Store) targetImpact(ctx context.Context, key string, value json.RawMessage) (imp Impact, before, after policy.Settings, err error) {
	if before, err = s.Settings(ctx); err != nil {
		return imp, before, after, err
	}
	after = before
	if err = after.Apply(key, value); err != nil {
		return imp, before, after, err
	}
	imp = Impact{Key: key, Revision: before.Revisions[key], Campaigns: []CampaignImpact{}, policyRevision: before.Revision,
		Changes: policy.Changes(valueOf(before, key), valueOf(after, key))}
	if err = s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&imp.At); err != nil {
		return imp, before, after, unavailable(err)
	}
	queues, err := s.queues(ctx, key, before, after, imp.At)
	if err != nil {
		return imp, before, after, err
	}
	var marketing int64
	for _, q := range queues {
		for _, c := range q.crowds {
			if q.load.Marketing {
				marketing += c.Targets
			}
		}
	}
	imp.Estimated = key == "consent" && marketing > exactly
	ends, err := s.ends(ctx, before, after, queues, imp.At)
	if err != nil {
		return imp, before, after, err
	}
	var begun, coming []forecast.Crowd
	for i, q := range queues {
		c := CampaignImpact{ID: q.id, Name: q.name, Status: q.status, Effect: forecast.Compare(before, after, q.crowds, laterOf(imp.At, q.from))}
		c.FinishesBefore, c.FinishesAfter = ends[i][0], ends[i][1]
		imp.Campaigns = append(imp.Campaigns, c)
		if q.sends {
			coming = append(coming, q.crowds...)
		}
		if q.sends && !q.from.After(imp.At) {
			begun = append(begun, q.crowds...)
		}
	}
	t := forecast.Compare(before, after, begun, imp.At)
	imp.Targets, imp.accepted = t, accept(before, after, begun, coming, imp.At)
	imp.Findings = append([]policy.SettingFinding{}, policy.Lint(key, before, after,
		policy.Masses{Waiting: t.Targets - t.Before, Ready: t.Before, Blocked: t.Blocked, Released: t.Freed})...)
	return imp, before, after, nil
}

// queue is what a campaign at work has still to send.
type queue struct {
	id      uuid.UUID
	name    string
	status  campaign.Status
	sends   bool // it is neither paused nor settling
	drill   bool
	from    time.Time // its send time; zero: at once
	channel string
	load    forecast.Load // with the cohorts' places, without groups
	cohorts []int16       // the ids of load.Cohorts
	crowds  []forecast.Crowd
	of      []int // each crowd's place in load.Cohorts and cohorts
}

// queues reads the campaigns at work that have something queued, in the crowds that the settings before and after tell
// apart.
func (s *Store) queues(ctx context.Context, key string, before, after policy.Settings, now time.Time) ([]queue, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.id, c.name, c.status, c.gate, c.send_at, c.channel, t.category = 'marketing', c.weight::float8,
			standing(c.channel, t.id), c.is_drill, k.id, k.country, k.zone, k.locale, k.queued, `+liftColumns+`
		FROM campaigns c JOIN templates t ON t.id = c.template_id JOIN cohorts k ON k.campaign_id = c.id AND k.queued > 0`+joinLift+`
		WHERE c.status NOT IN ('draft', 'done', 'stopped', 'failed') AND c.gate <> 'stopped' ORDER BY c.id, k.id`)
	if err != nil {
		return nil, unavailable(err)
	}
	var all []queue
	var q queue
	var gate campaign.Gate
	var sendAt *time.Time
	var held []byte
	var cohort int16
	var k forecast.Cohort
	var n int64
	var stood standing
	var lift liftRow
	_, err = pgx.ForEachRow(rows, append([]any{&q.id, &q.name, &q.status, &gate, &sendAt, &q.channel, &q.load.Marketing, &q.load.Weight,
		&held, &q.drill, &cohort, &k.Country, &k.Zone, &k.Locale, &n}, lift.into()...), func() (err error) {
		if len(all) == 0 || all[len(all)-1].id != q.id {
			q.load.Lift = lift.lift(now)
			q.from = instant(sendAt)
			q.load.From = q.from
			q.sends = gate == campaign.GateOpen && q.status != campaign.Paused && q.status != campaign.Settling
			if stood, err = parseStanding(held); err != nil {
				return err
			}
			all = append(all, q)
		}
		of := &all[len(all)-1]
		of.crowds = append(of.crowds, forecast.Crowd{From: of.from, Targets: n, Subject: policy.Subject{Channel: of.channel, Country: k.Country, Zone: k.Zone,
			Locale: k.Locale, Marketing: of.load.Marketing, OptedIn: true, Suspensions: stood.suspensions(k.Locale, now), Lift: of.load.Lift}})
		of.of = append(of.of, len(of.cohorts))
		of.load.Cohorts, of.cohorts = append(of.load.Cohorts, k), append(of.cohorts, cohort)
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	switch key {
	case "consent":
		return all, s.divide(ctx, all, (*Tx).agreed)
	case "frequency_cap":
		return all, s.divide(ctx, all, func(tx *Tx, ids []uuid.UUID, _ int64) (pgx.Rows, error) { return tx.tired(ids, before, after, now) })
	}
	return all, nil
}

// part is how many of a cohort's targets have something in common.
type part struct {
	campaign uuid.UUID
	cohort   int16
	out, in  bool
	was, is  *time.Time // when the frequency cap lets them go, before and after
	n        int64
}

// divide divides the crowds of marketing campaigns as the rows of parts say; who is in none has agreed, and had
// nothing lately.
func (s *Store) divide(ctx context.Context, all []queue, read func(tx *Tx, ids []uuid.UUID, queued int64) (pgx.Rows, error)) error {
	var ids []uuid.UUID
	var queued int64
	type place struct{ queue, crowd int }
	at := map[uuid.UUID]map[int16]place{}
	for i, q := range all {
		if !q.load.Marketing {
			continue
		}
		ids, at[q.id] = append(ids, q.id), map[int16]place{}
		for j, k := range q.cohorts {
			at[q.id][k] = place{i, j}
			queued += q.crowds[j].Targets
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return s.inTx(ctx, func(tx *Tx) error {
		if _, err := tx.pgx.Exec(ctx, `SET LOCAL work_mem = '64MB'`); err != nil {
			return err
		}
		rows, err := read(tx, ids, queued)
		if err != nil {
			return err
		}
		parts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p part, err error) {
			return p, row.Scan(&p.campaign, &p.cohort, &p.out, &p.in, &p.was, &p.is, &p.n)
		})
		if err != nil {
			return err
		}
		for _, p := range parts {
			w, ok := at[p.campaign][p.cohort]
			if !ok { // it was empty a moment ago
				continue
			}
			q := &all[w.queue]
			c := q.crowds[w.crowd]
			p.n = min(p.n, c.Targets)
			q.crowds[w.crowd].Targets -= p.n
			c.Subject.OptedOut, c.Subject.OptedIn, c.Subject.CappedUntil, c.CappedAfter, c.Targets = p.out, p.in, instant(p.was), instant(p.is), p.n
			q.crowds, q.of = append(q.crowds, c), append(q.of, w.crowd)
		}
		return nil
	})
}

// exactly is up to how many targets a change of consent looks at each of them; of more it looks at some sampled.
const (
	exactly = 100_000
	sampled = 20_000
)

// agreed counts who of the queued targets never agreed to marketing, or has opted out. Of many it is an estimate from a
// sample: to join a million targets with a million contacts takes five seconds.
func (tx *Tx) agreed(ids []uuid.UUID, queued int64) (pgx.Rows, error) {
	if queued <= exactly {
		return tx.pgx.Query(tx.ctx, `SELECT q.campaign_id, q.cohort, o.msisdn_hash IS NOT NULL, p.msisdn IS NOT NULL, NULL::timestamptz, NULL::timestamptz, count(*)
			FROM queued_targets q LEFT JOIN opt_outs o ON o.msisdn_hash = q.msisdn_hash
			LEFT JOIN contacts p ON p.msisdn = q.msisdn AND p.opted_in_at IS NOT NULL
			WHERE q.campaign_id = ANY ($1) AND (o.msisdn_hash IS NOT NULL OR p.msisdn IS NULL) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`, ids)
	}
	percent := 100 * float64(sampled) / float64(queued)
	return tx.pgx.Query(tx.ctx, `WITH seen AS MATERIALIZED (SELECT t.campaign_id, t.cohort,
				(SELECT true FROM opt_outs o WHERE o.msisdn_hash = t.msisdn_hash) IS NOT NULL AS out, -- EXISTS would hash them all
				(SELECT true FROM contacts p WHERE p.msisdn = t.msisdn AND p.opted_in_at IS NOT NULL) IS NOT NULL AS agreed
			FROM targets t TABLESAMPLE SYSTEM ($2) WHERE t.campaign_id = ANY ($1) AND t.state = 'queued')
		SELECT k.campaign_id, k.id, g.out, g.agreed, NULL::timestamptz, NULL::timestamptz, round(k.queued * g.n / g.of)::bigint
		FROM cohorts k JOIN (SELECT s.*, sum(n) OVER (PARTITION BY campaign_id, cohort) AS of
			FROM (SELECT campaign_id, cohort, out, agreed, count(*) AS n FROM seen GROUP BY 1, 2, 3, 4) s) g ON g.campaign_id = k.campaign_id AND g.cohort = k.id
		WHERE g.out OR NOT g.agreed ORDER BY 1, 2, 3, 4`, ids, percent)
}

// tired counts who of the queued targets had enough lately, by the frequency cap before or after. When it lets
// them go is rounded up to five minutes, as in forecasts.
func (tx *Tx) tired(ids []uuid.UUID, before, after policy.Settings, now time.Time) (pgx.Rows, error) {
	was, is := before.FrequencyCap.Marketing, after.FrequencyCap.Marketing
	return tx.pgx.Query(tx.ctx, recentCampaigns+`, had AS (SELECT m.msisdn,
				greatest(m.at[nullif($2::int, 0)] + interval '24 hours 1 second', m.at[nullif($4::int, 0)] + interval '168 hours 1 second') AS was,
				greatest(m.at[nullif($5::int, 0)] + interval '24 hours 1 second', m.at[nullif($6::int, 0)] + interval '168 hours 1 second') AS is
			FROM (SELECT t.msisdn, array_agg(t.sending_at ORDER BY t.sending_at DESC) AS at FROM recent r
				JOIN targets t ON t.campaign_id = r.id AND t.sending_at > r.since AND t.state IN ('sending', 'sent', 'delivered', 'read', 'unknown')
				GROUP BY t.msisdn) m)
		SELECT q.campaign_id, q.cohort, false, true, date_bin('5 minutes', h.was + interval '5 minutes', '2000-01-01Z'),
			date_bin('5 minutes', h.is + interval '5 minutes', '2000-01-01Z'), count(*)
		FROM had h JOIN queued_targets q ON q.msisdn = h.msisdn AND q.campaign_id = ANY ($7)
		WHERE greatest(h.was, h.is) > $1 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6`,
		now, was.PerDay, max(was.PerWeek, is.PerWeek), was.PerWeek, is.PerDay, is.PerWeek, ids)
}

// ends says of each queue when it will have gone under the settings before, and after.
func (s *Store) ends(ctx context.Context, before, after policy.Settings, all []queue, now time.Time) ([][2]*time.Time, error) {
	ends := make([][2]*time.Time, len(all))
	for when, set := range []policy.Settings{before, after} {
		in := forecast.Input{Settings: set, Channel: policy.ChannelWhatsApp, Now: now}
		if err := s.channelNow(ctx, &in); err != nil {
			return nil, err
		}
		var loads []forecast.Load
		var whose []int
		for i, q := range all {
			if q.sends && q.channel == in.Channel {
				loads, whose = append(loads, q.under(when == 1)), append(whose, i)
			}
		}
		if len(loads) == 0 {
			return ends, nil
		}
		in.Own, in.Start, in.Others = loads[0], loads[0].From, loads[1:]
		for i, end := range forecast.Finish(in) {
			if !end.IsZero() {
				end = roundUp(end, end.Sub(now))
				ends[whose[i]][when] = &end
			}
		}
	}
	return ends, nil
}

// under is a queue as the forecast takes it, with its crowds by the settings after, or before.
func (q queue) under(after bool) forecast.Load {
	l := q.load
	l.Cohorts = append([]forecast.Cohort{}, l.Cohorts...)
	for i, c := range q.crowds {
		g := forecast.Group{Targets: c.Targets, OptedOut: c.Subject.OptedOut, OptedIn: c.Subject.OptedIn, CappedUntil: c.Subject.CappedUntil}
		if after {
			g.CappedUntil = c.CappedAfter
		}
		l.Cohorts[q.of[i]].Groups = append(l.Cohorts[q.of[i]].Groups, g)
	}
	return l
}

// contactCrowds are all contacts as marketing's recipients. Who had enough lately is not looked for.
func (s *Store) contactCrowds(ctx context.Context) ([]forecast.Crowd, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.country, c.zone, c.locale, c.opted_in_at IS NOT NULL, count(*) - count(o.msisdn_hash), count(o.msisdn_hash)
		FROM contacts c LEFT JOIN opt_outs o ON o.msisdn_hash = c.msisdn_hash GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`)
	if err != nil {
		return nil, unavailable(err)
	}
	zones := contact.CountryZones()
	var all []forecast.Crowd
	var out int64
	c := forecast.Crowd{Subject: policy.Subject{Channel: policy.ChannelWhatsApp, Marketing: true}}
	sub := &c.Subject
	_, err = pgx.ForEachRow(rows, []any{&sub.Country, &sub.Zone, &sub.Locale, &sub.OptedIn, &c.Targets, &out}, func() error {
		one := c
		if one.Subject.Zone == "" {
			one.Subject.Zone = zones[sub.Country]
		}
		all = append(all, one)
		if out > 0 {
			one.Subject.OptedOut, one.Targets = true, out
			all = append(all, one)
		}
		return nil
	})
	return all, unavailable(err)
}

// sentences tell the impact to people.
func (imp Impact) sentences() []string {
	const most = 12
	var all []string
	begun := 0
	for _, c := range imp.Campaigns {
		if len(c.Effect.Moves) > 0 && !c.Effect.At.After(imp.At) && c.Status != campaign.Paused {
			begun++
		}
	}
	whose := fmt.Sprintf(" of %d running campaigns", begun)
	if begun == 1 {
		whose = " of one running campaign"
	}
	all = append(all, imp.Targets.Sentences("targets", whose)...)
	for _, c := range imp.Campaigns {
		when := ""
		switch {
		case c.Effect.At.After(imp.At):
			when = ", scheduled for " + c.Effect.At.UTC().Format("Mon 2 Jan 15:04 MST") + ","
		case c.Status == campaign.Paused:
			when = ", which is paused,"
		default:
			continue
		}
		all = append(all, c.Effect.Sentences("targets", fmt.Sprintf(" of “%s”%s", c.Name, when))...)
	}
	all = append(all, imp.Contacts.Sentences("contacts", "")...)
	if imp.Next != nil {
		for _, s := range imp.Next.Sentences("contacts", "") {
			all = append(all, "from "+imp.Next.At.Format("Mon 2 Jan 15:04 MST")+" on "+s)
		}
	}
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more such changes", len(all)-most))
	}
	if len(all) == 0 {
		return []string{"nobody would be written to at another time: who may go, and who waits, stays as it is"}
	}
	all[0] = "with this change " + all[0]
	if imp.Estimated {
		all = append(all, fmt.Sprintf("the targets are estimated from a sample of %s", domain.Thousands(sampled)))
	}
	return all
}

func laterOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
