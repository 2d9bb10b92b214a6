package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/announce"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// RolloutAnnouncements are what a rollout tells people, in the order of its plan.
type RolloutAnnouncements struct {
	Rollout       string                `json:"rollout"`
	Announcements []RolloutAnnouncement `json:"announcements"`
}

// RolloutAnnouncement is one line of the plan's communication, as it would go out now, and what became of it.
type RolloutAnnouncement struct {
	ID       string             `json:"id"`
	Text     string             `json:"text" doc:"The plan's words"`
	Event    announce.Event     `json:"event" enum:"phase_ready,phase_begun" doc:"What it waits for: that every item of its phase is passed or waived, or nothing"`
	Phase    rollout.Phase      `json:"phase" enum:"staging,pilot,production" doc:"In which it goes out"`
	Before   rollout.Phase      `json:"before" enum:"pilot,production,live" doc:"The phase that does not open before it has"`
	State    string             `json:"state" enum:"not_sent,checking,sending,sent,refused,undelivered" doc:"Of the last time that it was sent: its links are looked at, it is on its way, it went out, a link leads nowhere, or nothing could carry it"`
	Channels []announce.Channel `json:"channels"`
	Lists    []AnnouncementList `json:"lists" doc:"Who gets it by mail"`
	Links    []AnnouncementLink `json:"links"`
	Subject  string             `json:"subject"`
	Body     string             `json:"body"`
	Digest   string             `json:"digest" doc:"SHA-256 of all that people get and who gets it, in hex: whoever sends it sends it back"`
	MaySend  bool               `json:"may_send" doc:"Whether it may be sent now"`
	WhyNot   string             `json:"why_not,omitempty"`
	Code     string             `json:"code,omitempty" doc:"The same for programs"`
	Runs     []AnnouncementRun  `json:"runs" doc:"Each time somebody had it sent, newest first"`
}

// AnnouncementList is a list with who is on it.
type AnnouncementList struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
}

// AnnouncementLink is a link and whether it leads anywhere.
type AnnouncementLink struct {
	Name      string     `json:"name"`
	URL       string     `json:"url" doc:"\"\": it is not set"`
	Problem   string     `json:"problem,omitempty" doc:"What was wrong with it when it was last looked at"`
	CheckedAt *time.Time `json:"checked_at,omitempty" doc:"Absent: nobody has looked"`
}

// AnnouncementRun is one time that somebody had an announcement sent.
type AnnouncementRun struct {
	ID       uuid.UUID          `json:"id" format:"uuid"`
	State    string             `json:"state" enum:"checking,sending,sent,refused,undelivered"`
	Problem  string             `json:"problem,omitempty" doc:"Of refused: why"`
	By       Somebody           `json:"by"`
	At       time.Time          `json:"at"`
	Digest   string             `json:"digest" doc:"Of what went out"`
	Subject  string             `json:"subject"`
	Body     string             `json:"body"`
	To       int                `json:"to" doc:"How many addresses got it by mail"`
	Messages []AnnouncementPart `json:"messages"`
}

// AnnouncementPart is one message of it.
type AnnouncementPart struct {
	Channel     announce.Channel `json:"channel" enum:"mail,ops"`
	List        string           `json:"list,omitempty"`
	Recipients  int              `json:"recipients" doc:"Addresses; 0 for the Ops channel"`
	OutboxID    int64            `json:"outbox_id" doc:"The message that carries it"`
	DeliveredAt *time.Time       `json:"delivered_at,omitempty"`
	Outcome     string           `json:"outcome,omitempty" enum:"delivered,no_channel,refused" doc:"Absent: it is on its way"`
}

// AnnouncementOrder has an announcement sent.
type AnnouncementOrder struct {
	Digest string `json:"digest" pattern:"^[0-9a-f]{64}$" patternDescription:"64 hexadecimal digits" doc:"Of what you looked at"`
}

// AnnouncementPath names an announcement of it.
type AnnouncementPath struct {
	RolloutPath
	ID string `path:"announcement" maxLength:"40" example:"staging-ready"`
}

type announcementOutput struct {
	Status int
	Body   RolloutAnnouncement
}

func (s *server) announcements() {
	tags := []string{"Rollout"}
	wrong := append([]int{http.StatusForbidden, http.StatusNotFound, http.StatusPreconditionFailed}, refusals...)
	register(s, access.RolloutRead, huma.Operation{OperationID: "list-rollout-announcements", Method: http.MethodGet, Path: "/rollouts/{name}/announcements", Tags: tags,
		Summary: "What a rollout tells people, and what went out", Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *RolloutPath) (*struct{ Body RolloutAnnouncements }, error) {
			all, err := s.Store.Announcements(ctx, in.Name)
			out := RolloutAnnouncements{Rollout: in.Name, Announcements: make([]RolloutAnnouncement, len(all))}
			for i, a := range all {
				out.Announcements[i] = announcementOf(a)
			}
			return &struct{ Body RolloutAnnouncements }{out}, err
		})
	register(s, access.RolloutRun, huma.Operation{OperationID: "preview-rollout-announcement", Method: http.MethodPost, Path: "/rollouts/{name}/announcements/{announcement}/preview", Tags: tags,
		Summary: "An announcement as it would go out, with its links looked at now", Errors: wrong, Responses: s.acceptedAs(reflect.TypeFor[RolloutAnnouncement]()),
		Description: "Answers 200 once its links were looked at; 202 when that takes longer than 5 s."},
		func(ctx context.Context, in *AnnouncementPath) (*announcementOutput, error) {
			message, since, err := s.Store.CheckAnnouncement(ctx, in.Name, in.ID)
			if err != nil {
				return nil, err
			}
			status, err := s.within(ctx, message, func(ctx context.Context) (bool, error) {
				a, err := s.announcement(ctx, in)
				return !slices.ContainsFunc(a.Links, func(l store.AnnouncementLink) bool { return l.CheckedAt == nil || l.CheckedAt.Before(since) }), err
			})
			if err != nil {
				return nil, err
			}
			a, err := s.announcement(ctx, in)
			return &announcementOutput{status, announcementOf(a)}, err
		})
	register(s, access.RolloutRun, huma.Operation{OperationID: "send-rollout-announcement", Method: http.MethodPost, Path: "/rollouts/{name}/announcements/{announcement}/send", Tags: tags,
		Summary: "Send an announcement, as you looked at it", Errors: wrong, Responses: s.acceptedAs(reflect.TypeFor[RolloutAnnouncement]()),
		Description: "Its links are looked at first; `announcement_link`, status 409, when one leads nowhere. Fails as `announcement_changed`, status 412, when it is not what you " +
			"looked at any more, and with status 409 as `announcement_early`, `announcement_sent`, `announcement_going`, `announcement_no_list`, `announcement_no_link`, `announcement_no_contact`, " +
			"`announcement_no_channel` or `rollout_phase`. A token sends nothing. Answers 200 once it was delivered to everybody; 202 when it is on its way."},
		func(ctx context.Context, in *struct {
			AnnouncementPath
			Body AnnouncementOrder
		}) (*announcementOutput, error) {
			seen, err := hex.DecodeString(in.Body.Digest)
			if err != nil {
				return nil, domain.E(domain.Invalid, "bad_digest", "use 64 hexadecimal digits").About("digest")
			}
			id, message, err := s.Store.SendAnnouncement(ctx, in.Name, in.ID, seen)
			if err != nil {
				return nil, err
			}
			status, err := s.within(ctx, message, func(ctx context.Context) (bool, error) {
				a, err := s.announcement(ctx, &in.AnnouncementPath)
				for _, run := range a.Runs {
					switch {
					case run.ID != id:
					case run.State == "refused":
						return false, domain.E(domain.Conflict, announce.DeadLink, "it did not go out: %s", run.Problem)
					case run.Failed():
						return false, domain.E(domain.Conflict, announce.NoChannel, "not everybody got it: no mail server or Ops channel is set, or it was refused")
					default:
						return run.Out(), err
					}
				}
				return false, err
			})
			if err != nil {
				return nil, err
			}
			a, err := s.announcement(ctx, &in.AnnouncementPath)
			return &announcementOutput{status, announcementOf(a)}, err
		})
}

func (s *server) announcement(ctx context.Context, in *AnnouncementPath) (store.AnnouncementStanding, error) {
	all, err := s.Store.Announcements(ctx, in.Name)
	if err != nil {
		return store.AnnouncementStanding{}, err
	}
	for _, a := range all {
		if a.ID == in.ID {
			return a, nil
		}
	}
	return store.AnnouncementStanding{}, domain.E(domain.NotFound, announce.NotFound, "the plan has no announcement %s", in.ID)
}

func announcementOf(a store.AnnouncementStanding) RolloutAnnouncement {
	out := RolloutAnnouncement{ID: a.ID, Text: a.Text, Event: a.Event, Phase: a.Phase, Before: a.Phase.Next(), State: "not_sent", Channels: a.Channels, Subject: a.Letter.Subject, Body: a.Letter.Body,
		Digest: hex.EncodeToString(a.Letter.Digest()), MaySend: a.Refusal == nil, Lists: []AnnouncementList{}, Links: []AnnouncementLink{}, Runs: []AnnouncementRun{}}
	if a.Refusal != nil {
		out.WhyNot, out.Code = a.Refusal.Error(), domain.CodeOf(a.Refusal)
	}
	for _, name := range a.Lists {
		out.Lists = append(out.Lists, AnnouncementList{name, a.Letter.Lists[name]})
	}
	for _, name := range a.Announcement.Links {
		link := AnnouncementLink{Name: name}
		for _, l := range a.Links {
			if l.Name == name {
				link = AnnouncementLink(l)
			}
		}
		out.Links = append(out.Links, link)
	}
	for _, r := range a.Runs {
		run := AnnouncementRun{ID: r.ID, State: runState(r), Problem: r.Problem, By: partyOf(r.By), At: r.At, Digest: hex.EncodeToString(r.Digest), Subject: r.Letter.Subject, Body: r.Letter.Body,
			To: r.Letter.To(), Messages: []AnnouncementPart{}}
		for _, m := range r.Messages {
			run.Messages = append(run.Messages, AnnouncementPart(m))
		}
		out.Runs = append(out.Runs, run)
	}
	if len(out.Runs) > 0 {
		out.State = out.Runs[0].State
	}
	return out
}

func runState(r store.AnnouncementRun) string {
	switch {
	case r.State != "sent" || r.Out():
		return r.State
	case r.Failed():
		return "undelivered"
	}
	return "sending"
}
