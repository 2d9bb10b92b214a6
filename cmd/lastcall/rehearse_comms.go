package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/announce"
	"lastcall/domain/rollout"
)

// What a rehearsal tells people, and how its days are reviewed.

// directory says who is told what, and who is on call, as Ops does in the settings; the rehearsal's end takes it back.
func (r *rehearsal) directory(ctx context.Context) (string, error) {
	lists, links := map[string][]string{}, map[string]string{}
	all, err := r.announcements(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range all {
		for _, l := range a.Lists {
			lists[l.Name] = []string{l.Name + "@example.com"}
		}
		for _, l := range a.Links {
			links[l.Name] = r.up.Sandbox + "/?" + url.Values{"page": {l.Name}}.Encode()
		}
	}
	value, err := json.Marshal(announce.Directory{Lists: lists, Links: links})
	if err != nil {
		return "", err
	}
	ops := &smokeSettings{admin: r.as(access.Ops), why: "rehearsal", found: map[string]json.RawMessage{}}
	if err := ops.save(ctx, "announcements", value); err != nil {
		return "", err
	}
	rota := fmt.Appendf(nil, `{"zone":"Africa/Kigali","starts":%q,"members":[%q]}`, time.Now().AddDate(0, 0, -1).Format("2006-01-02")+"T09:00", "ops@lastcall.test")
	return fmt.Sprintf("%d lists, %d links", len(lists), len(links)), ops.save(ctx, "on_call", rota)
}

func (r *rehearsal) announcements(ctx context.Context) ([]api.RolloutAnnouncement, error) {
	var all api.RolloutAnnouncements
	err := r.as(access.Viewer).get(ctx, "/rollouts/"+r.name+"/announcements", nil, &all)
	return all.Announcements, err
}

// announces sends what a phase tells people: the gate stays shut for nothing else before, and it is no viewer's to send.
func (r *rehearsal) announces(from rollout.Phase) act {
	return act{"announcements", func(ctx context.Context) (string, error) {
		lead := r.as(access.ProjectLead)
		if err := r.ready(ctx, announce.Missing); err != nil {
			return "", err
		}
		missing, err := missingOf(errOf(lead.call(ctx, http.MethodPost, "/rollout/advance", api.GateAdvance{From: from, Reason: "rehearsal: nobody was told"}, &api.Rollout{})))
		if err != nil {
			return "", err
		}
		all, err := r.announcements(ctx)
		if err != nil {
			return "", err
		}
		var seen []string
		for _, a := range all {
			if a.Phase != from {
				continue
			}
			to, err := r.announced(ctx, lead, a)
			if err != nil {
				return "", fmt.Errorf("%s: %w", a.ID, err)
			}
			seen = append(seen, fmt.Sprintf("%s to %d", a.ID, to))
		}
		if len(seen) != len(missing) {
			return "", fmt.Errorf("the gate missed %s, and %s went out", told(missing), strings.Join(seen, ", "))
		}
		return strings.Join(seen, ", ") + "; before it the gate was refused", nil
	}}
}

// ready waits until nothing is missing at the gate but what has this code.
func (r *rehearsal) ready(ctx context.Context, but string) error {
	var left []rollout.Open
	err := r.smoke.until(ctx, time.Minute, "every item to be passed", func(ctx context.Context) (bool, error) {
		b, err := r.board(ctx)
		if err != nil || b.Gate == nil {
			return false, err
		}
		left = left[:0]
		for _, o := range b.Gate.Open {
			if o.Code != but {
				left = append(left, o)
			}
		}
		return len(left) == 0, nil
	})
	if err != nil && len(left) > 0 {
		err = fmt.Errorf("%w: %s", err, told(left))
	}
	return err
}

// announced previews an announcement, with its links looked at, and sends it as it was seen.
func (r *rehearsal) announced(ctx context.Context, who *apiClient, a api.RolloutAnnouncement) (to int, err error) {
	at := "/rollouts/" + r.name + "/announcements/" + a.ID
	if err := refusedAs(errOf(r.as(access.Viewer).call(ctx, http.MethodPost, at+"/send", api.AnnouncementOrder{Digest: a.Digest}, &a)), "role_may_not"); err != nil {
		return 0, err
	}
	if _, err := who.call(ctx, http.MethodPost, at+"/preview", nil, &a); err != nil {
		return 0, err
	}
	for _, l := range a.Links {
		if l.Problem != "" {
			return 0, fmt.Errorf("the link %s: %s", l.Name, l.Problem)
		}
	}
	if _, err := who.call(ctx, http.MethodPost, at+"/send", api.AnnouncementOrder{Digest: a.Digest}, &a); err != nil {
		return 0, err
	}
	err = r.smoke.until(ctx, 30*time.Second, "it to have gone out", func(ctx context.Context) (bool, error) {
		all, err := r.announcements(ctx)
		for _, now := range all {
			if now.ID == a.ID && now.State == "sent" {
				to = now.Runs[0].To
				return true, err
			}
		}
		return false, err
	})
	return to, err
}

// reviewsDays signs the review of each day of the pilot as it opens, beside what else goes on, until the next phase opens. It is
// Support who looks; whoever only reads signs nothing.
func (r *rehearsal) reviewsDays(ctx context.Context) (string, error) {
	r.beside.Go(func() {
		refused := false
		for pause(ctx, 300*time.Millisecond) == nil {
			if err := r.reviewed(ctx, &refused); err != nil && ctx.Err() == nil && !passing(err) {
				r.say("a daily review could not be signed: %s", err)
			}
		}
	})
	return "beside what follows", nil
}

// reviewed signs the reviews that are open. The first one a viewer tries to sign before.
func (r *rehearsal) reviewed(ctx context.Context, refused *bool) error {
	support := r.as(access.Support)
	var page api.ReviewPage
	if err := support.get(ctx, "/reviews", url.Values{"rollout": {r.name}, "open": {"true"}}, &page); err != nil {
		return err
	}
	for _, v := range page.Reviews {
		at, n := "/reviews/"+v.ID.String()+"/sign", api.ReviewSignature{Notes: "Looked at: figures, blocks, failures and the audit log", Digest: v.Digest}
		if !*refused {
			if err := refusedAs(errOf(r.as(access.Viewer).call(ctx, http.MethodPost, at, n, &v)), "role_may_not"); err != nil {
				return err
			}
			*refused = true
		}
		_, err := support.call(ctx, http.MethodPost, at, n, &v)
		if problem, ok := errors.AsType[*api.Problem](err); err != nil && (!ok || problem.Code != "rollout_phase" && problem.Code != "review_signed") {
			return err
		}
	}
	return nil
}
