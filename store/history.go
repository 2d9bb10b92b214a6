package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/campaign"
	"lastcall/domain/policy"
)

// Event is one thing that happened to a campaign as a whole, as the audit log has it.
type Event struct {
	ID   int64     `json:"id"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind" doc:"created, imported, started, paused, resumed, stopped, needs_human, held, lifted, weight, resent, recovered or ended"`
	What string    `json:"what" doc:"The same for people"`
	By   string    `json:"by,omitempty" doc:"Who did it; absent: Lastcall itself"`
	Note string    `json:"note,omitempty" doc:"Why, in that person's words"`
}

// eventKinds are the actions of the audit log that a campaign's history tells, and what it calls them.
var eventKinds = map[string]string{
	"campaign.created": "created", "campaign.imported": "imported", "campaign.started": "started",
	"campaign.pause_ordered": "paused", "campaign.resume_ordered": "resumed", "campaign.stop_ordered": "stopped",
	"campaign.advanced": "needs_human", "outbound_policy_check": "held", "campaign.weight_changed": "weight",
	"campaign.resent": "resent", "campaign.recovered": "recovered", "campaign.ended": "ended",
}

// History tells what happened to a campaign as a whole, newest first, what came before the event `before`
// (0: from the newest): who ordered what and why, and which rule held whom back.
func (s *Store) History(ctx context.Context, id uuid.UUID, before int64, limit int) ([]Event, error) {
	if _, err := s.Campaign(ctx, id); err != nil {
		return nil, err
	}
	actions := make([]string, 0, len(eventKinds))
	for action := range eventKinds {
		actions = append(actions, action)
	}
	// A workflow repeats a write whose answer was lost, and most of its steps concern nobody.
	rows, err := s.pool.Query(ctx, `SELECT id, created_at, actor_kind, actor, action, coalesce(diff, '{}'), reason FROM audit_log
		WHERE target = $1 AND action = ANY ($2) AND ($3 = 0 OR id < $3)
			AND (action <> 'campaign.advanced' OR coalesce(diff->>'needs_human', '') <> '')
			AND (action <> 'outbound_policy_check' OR coalesce(diff->>'reason', '') <> '`+string(policy.Throttled)+`') -- each minute anew
			AND (action <> 'campaign.ended' OR NOT coalesce((diff->>'again')::boolean, false))
		ORDER BY id DESC LIMIT $4`, target(id), actions, before, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all := []Event{}
	var e AuditEntry
	_, err = pgx.ForEachRow(rows, []any{&e.ID, &e.CreatedAt, &e.ActorKind, &e.Actor, &e.Action, &e.Diff, &e.Reason}, func() error {
		all = append(all, event(e))
		return nil
	})
	return all, unavailable(err)
}

// event is an entry of the audit log in words.
func event(e AuditEntry) Event {
	var diff struct {
		Status     json.RawMessage `json:"status"` // campaign.ended: which; others: from and to
		NeedsHuman string          `json:"needs_human"`
		Why        string          `json:"why"`
		Reason     string          `json:"reason"`
		Country    string          `json:"country"`
		Zone       string          `json:"zone"`
		Targets    int64           `json:"targets"`
		Invalid    int64           `json:"invalid"`
		Duplicates int64           `json:"duplicates"`
		Override   string          `json:"override_id"`
		Until      time.Time       `json:"until"`
	}
	_ = json.Unmarshal(e.Diff, &diff) // our own; what an older release wrote differently is told without
	told := Event{ID: e.ID, At: e.CreatedAt, Kind: eventKinds[e.Action], Note: e.Reason}
	if e.ActorKind != "system" {
		told.By = e.Actor
	}
	if told.Kind == "held" && diff.Override != "" && diff.Reason == "" {
		told.Kind = "lifted"
	}
	switch told.Kind {
	case "lifted":
		told.What = fmt.Sprintf("an override lifts quiet hours until %s (recipients in %s)", diff.Until.UTC().Format("15:04 UTC"), strings.TrimSpace(diff.Country+" "+diff.Zone))
	case "imported":
		told.What = fmt.Sprintf("imported recipients: %d in, %d duplicates, %d invalid", diff.Targets, diff.Duplicates, diff.Invalid)
	case "needs_human":
		told.What = "needs a human: " + diff.NeedsHuman
	case "held":
		if diff.Why == "" {
			diff.Why = strings.ReplaceAll(diff.Reason, "_", " ")
		}
		told.What = "held: " + diff.Why
		if diff.Country != "" {
			told.What += " (recipients in " + strings.TrimSpace(diff.Country+" "+diff.Zone) + ")"
		}
	case "weight":
		told.What = "its weight was changed"
	case "resent":
		told.What = "sending again was ordered"
	case "recovered":
		told.What = "its workflow was restarted"
	case "stopped":
		told.What = "stopped for good"
	case "ended":
		var status campaign.Status
		_ = json.Unmarshal(diff.Status, &status)
		told.What = strings.TrimSuffix("ended: "+string(status), ": ")
	default:
		told.What = told.Kind
	}
	return told
}
