package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain/payment"
	"lastcall/domain/probe"
	"lastcall/domain/rollout"
)

func init() { checks["payments"] = checkPayments }

// checkPayments shows how Finance wants to be paid, for Finance to attest: what is in force, as somebody else confirmed it.
// A newer draft, or another link or instruction, is another evidence.
func checkPayments(ctx context.Context, c checking) (rollout.Evidence, error) {
	var revision, newest int64
	var value []byte
	var author, by string
	var at time.Time
	err := c.db.QueryRow(ctx, `SELECT revision, value, author, confirmed_by, confirmed_at, (SELECT max(revision) FROM payment_settings_revisions)
		FROM payment_settings_revisions WHERE state = 'confirmed' ORDER BY revision DESC LIMIT 1`).Scan(&revision, &value, &author, &by, &at, &newest)
	if errors.Is(err, pgx.ErrNoRows) {
		return rollout.Missing("Finance has confirmed no payment settings"), nil
	}
	var terms payment.Terms
	if err == nil {
		err = json.Unmarshal(value, &terms)
	}
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("revision %d of the payment settings is in force", revision), Values: []any{revision, terms}, Figures: []rollout.Exhibit{
		{Label: "Revolut link", Value: orNone(terms.RevolutLink), Link: "/payments"}, {Label: "Instructions", Value: fmt.Sprintf("%d countries and currencies", len(terms.Instructions)), Link: "/payments"},
		{Label: "Written by", Value: author}, {Label: "Confirmed by", Value: fmt.Sprintf("%s, %s", by, at.UTC().Format("2 Jan 2006, 15:04 UTC"))}}}
	var link *probe.State
	err = c.db.QueryRow(ctx, `SELECT (SELECT CASE WHEN checked_at > clock_timestamp() - $1::interval THEN state ELSE 'unknown' END FROM edge_functions WHERE name = $2)`,
		c.store.Stale(), probe.Payments).Scan(&link)
	if err != nil {
		return rollout.Evidence{}, err
	}
	told := "not probed"
	if link != nil {
		told = string(*link)
	}
	e.Figures = append(e.Figures, rollout.Exhibit{Label: "The link, as last probed", Value: told, Link: "/integrations"})
	switch {
	case newest != revision:
		e.Outcome, e.Summary = rollout.Inconclusive, fmt.Sprintf("revision %d is a draft that nobody has confirmed", newest)
	case terms.RevolutLink == "" || len(terms.Instructions) == 0:
		e.Outcome, e.Summary = rollout.Failed, "the link or the instructions are missing"
	case link != nil && *link == probe.Red:
		e.Outcome, e.Summary = rollout.Failed, "the Revolut link does not answer"
	}
	return e, nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
