package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// What every phase of a rehearsal has: a gate that is refused before it opens, items that come to be passed, signatures.

// board is the rollout as it is now.
func (r *rehearsal) board(ctx context.Context) (b api.Rollout, err error) {
	err = r.as(access.Viewer).get(ctx, "/rollout", nil, &b)
	return b, err
}

// tooEarly orders to open a gate before anything of its phase is done: it is refused with what is missing, and that is in the
// audit log.
func (r *rehearsal) tooEarly(from rollout.Phase, who *apiClient) act {
	return act{"the gate to " + string(from.Next()) + " is refused", func(ctx context.Context) (string, error) {
		_, err := who.call(ctx, http.MethodPost, "/rollout/advance", api.GateAdvance{From: from, Reason: "rehearsal: before anything is done"}, &api.Rollout{})
		missing, err := missingOf(err)
		if err != nil {
			return "", err
		}
		k := claims{evidence: evidence{}}
		r.smoke.audited(ctx, &k, "rollout.refused", "rollout/"+r.name)
		r.result.Gates = append(r.result.Gates, rehearsedGate{To: from.Next(), Missing: missing})
		r.result.RefusedOnce++
		return fmt.Sprintf("%d are missing: %s", len(missing), items(missing)), k.err
	}}
}

// missingOf is what a gate was refused for; an error when it was not refused, or for something else.
func missingOf(err error) ([]rollout.Open, error) {
	problem, ok := errors.AsType[*api.Problem](err)
	if !ok || problem.Code != rollout.GateShut {
		return nil, fmt.Errorf("instead of being refused as %s: %w", rollout.GateShut, orNone(err))
	}
	raw, err := json.Marshal(problem.Facts)
	if err != nil {
		return nil, err
	}
	var facts store.GateFacts
	if err := json.Unmarshal(raw, &facts); err != nil || len(facts.Open) == 0 {
		return nil, fmt.Errorf("the refusal does not tell what is missing: %s", problem.Detail)
	}
	return facts.Open, nil
}

func items(all []rollout.Open) string {
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.Item
	}
	return strings.Join(names, ", ")
}

// opens waits until every item of the phase is passed and has somebody open the next one, which looks at all of them anew.
// What has become stale meanwhile, or was red for a moment, is waited for again.
func (r *rehearsal) opens(from rollout.Phase, who *apiClient) act {
	return act{string(from.Next()) + " opens", func(ctx context.Context) (string, error) {
		for end := time.Now().Add(90 * time.Second); ; {
			b, err := r.board(ctx)
			if err != nil {
				return "", err
			}
			if b.Phase == string(from.Next()) {
				return r.opened(from, b), nil
			}
			if b.Gate == nil {
				return "", fmt.Errorf("the rollout is in %s", b.Phase)
			}
			if len(b.Gate.Open) == 0 && !b.Gate.Ordered {
				_, err := who.call(ctx, http.MethodPost, "/rollout/advance", api.GateAdvance{From: from, Reason: "rehearsal"}, &b)
				if problem, ok := errors.AsType[*api.Problem](err); err != nil && !(ok && (problem.Code == rollout.GateShut || problem.Code == rollout.GateAsked)) {
					return "", err
				}
			}
			if time.Now().After(end) {
				return "", fmt.Errorf("still missing: %s", told(b.Gate.Open))
			}
			if err := pause(ctx, 500*time.Millisecond); err != nil {
				return "", err
			}
		}
	}}
}

func told(all []rollout.Open) string {
	said := make([]string, len(all))
	for i, o := range all {
		said[i] = o.Item + " (" + o.Why + ")"
	}
	return strings.Join(said, "; ")
}

// opened notes what the phase that is over came to.
func (r *rehearsal) opened(from rollout.Phase, b api.Rollout) string {
	passed, waived := 0, 0
	for _, p := range b.Phases {
		if p.Phase != from {
			continue
		}
		r.result.Items += len(p.Items)
		for _, item := range p.Items {
			switch item.Outcome {
			case rollout.Passed:
				passed++
			case rollout.Waived:
				waived++
			}
		}
	}
	for i := range r.result.Gates {
		if r.result.Gates[i].To == from.Next() {
			r.result.Gates[i].Opened = true
		}
	}
	r.result.ItemsPassed += passed
	r.result.ItemsWaived += waived
	r.result.Phase = b.Phase
	return fmt.Sprintf("%d items passed, %d waived", passed, waived)
}

// proved waits until an item is passed and tells what was found.
func (r *rehearsal) proved(ctx context.Context, id string, within time.Duration) (string, error) {
	for end := time.Now().Add(within); ; {
		var item api.RolloutItem
		if _, err := r.as(access.Ops).call(ctx, http.MethodPost, itemPath(id)+"/prove", nil, &item); err != nil {
			return "", err
		}
		if item.Outcome == rollout.Passed && item.Evidence != nil {
			return item.Evidence.Summary, nil
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("%s is %s: %s", id, item.Outcome, item.Why)
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return "", err
		}
	}
}

// proves is proved as an act.
func (r *rehearsal) proves(id string, within time.Duration) act {
	return act{id, func(ctx context.Context) (string, error) { return r.proved(ctx, id, within) }}
}

// signs has somebody sign an item as it is, and waits until that counts.
func (r *rehearsal) signs(ctx context.Context, who *apiClient, seat access.Role, id, note string) error {
	for end := time.Now().Add(20 * time.Second); ; {
		item, err := r.sign(ctx, who, id, note)
		if err != nil || slices.Contains(item.Signed, seat) {
			return err
		}
		if err := r.as(access.Viewer).get(ctx, itemPath(id), nil, &item); err != nil || slices.Contains(item.Signed, seat) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the signature of %s does not count: %s", seat, item.Why)
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}

func (r *rehearsal) sign(ctx context.Context, who *apiClient, id, note string) (item api.RolloutItem, err error) {
	if err := r.as(access.Viewer).get(ctx, itemPath(id), nil, &item); err != nil {
		return item, err
	}
	digest := item.Digest
	if digest == "" {
		digest = strings.Repeat("0", 64)
	}
	_, err = who.call(ctx, http.MethodPost, itemPath(id)+"/sign-off", api.ItemSignOff{Note: note, Digest: digest}, &item)
	if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Code == rollout.SignedTwice {
		err = nil // the answer to the first time was that it is on its way
	}
	return item, err
}

// refused makes sure that something is refused with a code.
func refusedAs(err error, code string) error {
	problem, ok := errors.AsType[*api.Problem](err)
	if !ok || problem.Code != code {
		return fmt.Errorf("instead of being refused as %s: %w", code, orNone(err))
	}
	return nil
}
