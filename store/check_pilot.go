package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/rollout"
)

func init() {
	checks["participants"] = checkParticipants
	checks["dispatcher_tested"] = checkDispatcherTested
	checks["real_redemption"] = checkRealRedemption
}

// checkParticipants proves that the pilot's people are there: stations and bars that take part, no more than the guardrails
// let, each of them with an operator who has signed in; and people of support, each of whom has signed in.
func checkParticipants(ctx context.Context, c checking) (rollout.Evidence, error) {
	var stations, bars, idle, support, away int
	err := c.db.QueryRow(ctx, `WITH part AS (SELECT t.id, t.bar_id FROM rollout_stations e JOIN stations t ON t.id = e.station_id WHERE e.rollout = $1 AND t.deleted_at IS NULL),
			team AS (SELECT id FROM accounts WHERE role = 'support' AND disabled_at IS NULL)
		SELECT (SELECT count(*) FROM part), (SELECT count(DISTINCT bar_id) FROM part),
			(SELECT count(*) FROM part WHERE NOT EXISTS (SELECT FROM station_operators o JOIN audit_log l ON l.actor_id = o.id::text AND l.action = 'station_session.opened' WHERE o.station_id = part.id)),
			(SELECT count(*) FROM team), (SELECT count(*) FROM team WHERE NOT EXISTS (SELECT FROM audit_log l WHERE l.actor_id = team.id::text AND l.action = 'session.opened'))`, c.Name).
		Scan(&stations, &bars, &idle, &support, &away)
	if err != nil {
		return rollout.Evidence{}, err
	}
	g := c.pilots()
	most := func(n, limit int) string {
		if limit == 0 {
			return fmt.Sprint(n)
		}
		return fmt.Sprintf("%d of %d at most", n, limit)
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "everybody who takes part has a role and has signed in", Figures: []rollout.Exhibit{
		{Label: "Bars", Value: most(bars, g.Bars), Link: "/bars"}, {Label: "Stations", Value: most(stations, g.Stations), Link: "/bars"},
		{Label: "Stations where nobody has signed in", Value: fmt.Sprint(idle), Link: "/bars"},
		{Label: "People of support", Value: most(support, g.Support), Link: "/users"}, {Label: "Of them, who never signed in", Value: fmt.Sprint(away), Link: "/users"}}}
	switch {
	case g.Stations > 0 && stations > g.Stations || g.Bars > 0 && bars > g.Bars || g.Support > 0 && support > g.Support:
		e.Outcome, e.Summary = rollout.Failed, "more take part than the pilot lets"
	case stations == 0 || support == 0:
		e.Outcome, e.Summary = rollout.Inconclusive, "nobody takes part yet: enrol stations, and give people the role support"
	case idle+away > 0:
		e.Outcome, e.Summary = rollout.Inconclusive, "somebody who takes part has not signed in yet"
	}
	return e, nil
}

// checkDispatcherTested proves that a campaign of 1 to 20 targets was sent in this phase, to its end.
func checkDispatcherTested(ctx context.Context, c checking) (rollout.Evidence, error) {
	most := c.pilots().Targets
	var id uuid.UUID
	var name string
	var targets, sent, larger int64
	err := c.db.QueryRow(ctx, `SELECT c.id, c.name, k.targets, k.sent FROM campaigns c
		JOIN LATERAL (SELECT sum(targets)::bigint AS targets, sum(sent + delivered + read)::bigint AS sent FROM cohorts WHERE campaign_id = c.id) k ON true
		WHERE c.status = 'done' AND NOT c.is_drill AND c.started_at >= $1 AND k.targets BETWEEN 1 AND $2 AND k.sent > 0 ORDER BY c.finished_at DESC LIMIT 1`,
		c.PhaseSince, most).Scan(&id, &name, &targets, &sent)
	if errors.Is(err, pgx.ErrNoRows) {
		return rollout.Missing(fmt.Sprintf("no campaign with 1 to %d targets was sent to its end in this phase", most)), nil
	}
	if err == nil {
		err = c.db.QueryRow(ctx, `SELECT count(*) FROM campaigns c WHERE NOT c.is_drill AND c.started_at >= $1
			AND (SELECT sum(targets) FROM cohorts WHERE campaign_id = c.id) > $2`, c.PhaseSince, most).Scan(&larger)
	}
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("a campaign of %d targets was sent to its end", targets), Figures: []rollout.Exhibit{
		{Label: "Campaign", Value: name, Link: "/campaigns/" + id.String()}, {Label: "Targets", Value: domain.Thousands(targets)}, {Label: "Sent", Value: domain.Thousands(sent)},
		{Label: "Larger ones in this phase", Value: domain.Thousands(larger)}}, Values: []any{id}}
	if larger > 0 {
		e.Outcome, e.Summary = rollout.Failed, "a larger campaign was started in this phase"
	}
	return e, nil
}

// checkRealRedemption proves that a voucher of a campaign was redeemed in this phase, at a station that takes part, for
// real, and names the campaign, so that its way can be followed.
func checkRealRedemption(ctx context.Context, c checking) (rollout.Evidence, error) {
	var redemption, voucher, campaign uuid.UUID
	var name, station, status string
	var n int64
	err := c.db.QueryRow(ctx, `SELECT r.id, v.id, c.id, c.name, t.code, v.status, count(*) OVER () FROM redemptions r JOIN vouchers v ON v.id = r.voucher_id
		JOIN campaigns c ON c.id = v.campaign_id JOIN stations t ON t.id = r.station_id
		JOIN rollout_stations p ON p.rollout = $1 AND p.station_id = r.station_id
		WHERE r.created_at >= $2 AND NOT c.is_drill AND v.target_id IS NOT NULL ORDER BY r.created_at DESC LIMIT 1`, c.Name, c.PhaseSince).
		Scan(&redemption, &voucher, &campaign, &name, &station, &status, &n)
	if errors.Is(err, pgx.ErrNoRows) {
		return rollout.Missing("no voucher of a campaign was redeemed for real in this phase, at a station that takes part"), nil
	}
	if err != nil {
		return rollout.Evidence{}, err
	}
	return rollout.Evidence{Outcome: rollout.Passed, Summary: "a voucher went from its campaign to the counter", Figures: []rollout.Exhibit{
		{Label: "Campaign", Value: name, Link: "/campaigns/" + campaign.String()}, {Label: "Voucher", Value: strings.ToUpper(status[:1]) + status[1:], Link: "/vouchers?open=" + voucher.String()},
		{Label: "Station", Value: station, Link: "/bars"}, {Label: "Redemptions of campaigns in this phase", Value: domain.Thousands(n)}}, Values: "redeemed"}, nil
}
