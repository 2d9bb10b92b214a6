package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

func init() {
	checks["audit_capture"] = checkAuditCapture
	checks["audit_retention"] = checkAuditRetention
}

// checkAuditCapture proves that the audit log gets writes and policy blocks: it writes an entry and waits until that is
// sealed, finds the newest block since the rollout began, and verifies the chain from the older of the two to its end.
func checkAuditCapture(ctx context.Context, c checking) (rollout.Evidence, error) {
	if err := c.store.Enter(ctx, audit.Entry{Action: "rollout.audit_probed", Target: c.target()}); err != nil {
		return rollout.Evidence{}, err
	}
	written, err := c.sealed(ctx)
	if err != nil {
		return rollout.Evidence{}, err
	}
	if written == 0 {
		return rollout.Evidence{Outcome: rollout.Failed, Summary: fmt.Sprintf("an entry was not sealed within %s: does the sealer run?", sealWithin)}, nil
	}
	var block int64
	var at time.Time
	var reason string
	err = c.db.QueryRow(ctx, `SELECT seq, created_at, coalesce(diff ->> 'reason', '') FROM audit_log
		WHERE action = 'outbound_policy_check' AND coalesce(diff ->> 'reason', '') <> '' AND seq IS NOT NULL AND created_at >= $1 ORDER BY id DESC LIMIT 1`, c.StartedAt).
		Scan(&block, &at, &reason)
	if errors.Is(err, pgx.ErrNoRows) {
		return rollout.Missing("no policy block since the rollout began: lastcall smoke policy makes some"), nil
	}
	if err != nil {
		return rollout.Evidence{}, err
	}
	verdict, err := c.store.VerifyAudit(ctx, Verification{From: min(block, written)})
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "a write and a policy block are in the verified chain", Figures: []rollout.Exhibit{
		{Label: "Write", Value: fmt.Sprintf("entry %d, sealed", written), Link: "/audit?action=rollout.audit_probed"},
		{Label: "Block", Value: fmt.Sprintf("entry %d, %s, %s", block, reason, at.UTC().Format("2 Jan 15:04 UTC")), Link: "/audit?action=outbound_policy_check"},
		{Label: "Verified", Value: fmt.Sprintf("%d entries from %d on", verdict.Sealed, min(block, written))}}, Values: []any{verdict.OK}}
	if !verdict.OK {
		e.Outcome, e.Summary = rollout.Failed, "the audit log does not verify: "+verdict.Detail
	}
	return e, nil
}

const sealWithin = 15 * time.Second // the sealer comes every second or two

// sealed waits for the newest entry of this check to be sealed and returns its seq; 0: it was not in time.
func (c checking) sealed(ctx context.Context) (seq int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, sealWithin)
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		err = c.db.QueryRow(ctx, `SELECT coalesce(seq, 0) FROM audit_log WHERE action = 'rollout.audit_probed' AND target = $1 ORDER BY id DESC LIMIT 1`, c.target()).Scan(&seq)
		if err == nil && seq > 0 {
			return seq, nil
		}
		if err != nil && ctx.Err() == nil {
			return 0, unavailable(err)
		}
		select {
		case <-ctx.Done():
			return 0, nil
		case <-look.C:
		}
	}
}

// checkAuditRetention proves that entries are kept for 90 days at least: by the configuration, and by what is there.
func checkAuditRetention(ctx context.Context, c checking) (rollout.Evidence, error) {
	const least = 90
	if c.store.retention == 0 {
		return rollout.Missing("nobody told this process how long entries are kept"), nil
	}
	var oldest, installed time.Time
	var pruned bool
	err := c.db.QueryRow(ctx, `SELECT coalesce((SELECT created_at FROM audit_log ORDER BY id LIMIT 1), clock_timestamp()), (SELECT created_at FROM installation),
		EXISTS (SELECT FROM audit_anchors)`).Scan(&oldest, &installed, &pruned)
	if err != nil {
		return rollout.Evidence{}, err
	}
	days := int(c.Now.Sub(oldest).Hours() / 24)
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("entries are kept for %d days", c.store.retention), Figures: []rollout.Exhibit{
		{Label: "Kept for", Value: fmt.Sprintf("%d days, by the configuration", c.store.retention)},
		{Label: "Oldest entry", Value: fmt.Sprintf("%d days old", days), Link: "/audit"}}, Values: []any{c.store.retention}}
	switch {
	case c.store.retention < least:
		e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("entries are kept for %d days, and %d are needed", c.store.retention, least)
	case pruned && days < least:
		e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("entries younger than %d days are gone", least)
	}
	return e, nil
}
