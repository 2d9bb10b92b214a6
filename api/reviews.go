package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// DailyReview is the review of one day of a rollout.
type DailyReview struct {
	ID         uuid.UUID             `json:"id" format:"uuid"`
	Rollout    string                `json:"rollout"`
	Phase      rollout.Phase         `json:"phase" enum:"staging,pilot,production"`
	Day        string                `json:"day" example:"2026-11-24" doc:"In a rehearsal: day 1, and so on"`
	State      string                `json:"state" enum:"open,late,signed" doc:"late: nobody has signed it in time"`
	DueAt      time.Time             `json:"due_at"`
	OpenedAt   time.Time             `json:"opened_at"`
	RemindAt   time.Time             `json:"remind_at" doc:"When it is late, and Ops are reminded"`
	RemindedAt *time.Time            `json:"reminded_at,omitempty"`
	From       time.Time             `json:"from" doc:"What it is about, inclusive"`
	To         time.Time             `json:"to" doc:"Exclusive"`
	SignedAt   *time.Time            `json:"signed_at,omitempty"`
	SignedBy   *Somebody             `json:"signed_by,omitempty"`
	Role       access.Role           `json:"role,omitempty" doc:"In which they signed"`
	Notes      string                `json:"notes,omitempty"`
	Digest     string                `json:"digest" doc:"SHA-256 of the snapshot, in hex: whoever signs sends it back"`
	MaySign    bool                  `json:"may_sign" doc:"Whether whoever asks may sign it"`
	WhyNot     string                `json:"why_not,omitempty"`
	Snapshot   *store.ReviewSnapshot `json:"snapshot,omitempty" doc:"Of one alone: how it stood when it opened"`
}

// ReviewPage is one page of reviews, newest first.
type ReviewPage struct {
	Reviews []DailyReview `json:"reviews"`
	Next    string        `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// ReviewSignature says that somebody has looked at a day.
type ReviewSignature struct {
	Notes  string `json:"notes" minLength:"1" maxLength:"500" doc:"What you have seen"`
	Digest string `json:"digest" pattern:"^[0-9a-f]{64}$" patternDescription:"64 hexadecimal digits" doc:"Of what you looked at"`
}

type reviewOutput struct{ Body DailyReview }

func (s *server) reviews() {
	tags := []string{"Rollout"}
	register(s, access.RolloutRead, huma.Operation{OperationID: "list-reviews", Method: http.MethodGet, Path: "/reviews", Tags: tags, Summary: "List daily reviews, newest first"},
		func(ctx context.Context, in *struct {
			Rollout string `query:"rollout" maxLength:"40" doc:"Of this one; absent: of all"`
			Open    bool   `query:"open" doc:"Only those that nobody has signed"`
			After   string `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body ReviewPage }, error) {
			before := uuid.Nil
			if in.After != "" {
				var err error
				if before, err = uuid.Parse(in.After); err != nil {
					return nil, domain.E(domain.Invalid, "bad_cursor", "pass next of the page before").About("after")
				}
			}
			all, err := s.Store.Reviews(ctx, store.ReviewFilter{Rollout: in.Rollout, Open: in.Open}, before, in.fetch())
			all, next := cut(all, in.Limit, func(v store.DailyReview) string { return v.ID.String() })
			page := ReviewPage{Reviews: make([]DailyReview, len(all)), Next: next}
			for i, v := range all {
				page.Reviews[i] = reviewOf(v)
			}
			return &struct{ Body ReviewPage }{page}, err
		})
	register(s, access.RolloutRead, huma.Operation{OperationID: "get-review", Method: http.MethodGet, Path: "/reviews/{id}", Tags: tags,
		Summary: "A daily review with its snapshot", Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *ID) (*reviewOutput, error) { return s.review(ctx, in.ID) })
	register(s, access.ReviewsSign, huma.Operation{OperationID: "sign-review", Method: http.MethodPost, Path: "/reviews/{id}/sign", Tags: tags,
		Summary: "Say that you have looked at a day", Errors: append([]int{http.StatusForbidden, http.StatusNotFound, http.StatusPreconditionFailed}, refusals...),
		Description: "Whoever opened the phase signs nothing in it (`approval_own`, status 403), and nobody signs twice (`review_signed`, status 409). A token signs nothing."},
		func(ctx context.Context, in *struct {
			ID
			Body ReviewSignature
		}) (*reviewOutput, error) {
			seen, err := hex.DecodeString(in.Body.Digest)
			if err != nil {
				return nil, domain.E(domain.Invalid, "bad_digest", "use 64 hexadecimal digits").About("digest")
			}
			if err := s.Store.SignReview(ctx, in.ID.ID, seen, in.Body.Notes); err != nil {
				return nil, err
			}
			return s.review(ctx, in.ID.ID)
		})
}

func (s *server) review(ctx context.Context, id uuid.UUID) (*reviewOutput, error) {
	v, err := s.Store.Review(ctx, id)
	return &reviewOutput{reviewOf(v)}, err
}

func reviewOf(v store.DailyReview) DailyReview {
	out := DailyReview{ID: v.ID, Rollout: v.Rollout, Phase: v.Phase, Day: v.Day, State: "open", DueAt: v.DueAt, OpenedAt: v.OpenedAt, RemindAt: v.RemindAt, RemindedAt: v.RemindedAt,
		From: v.From, To: v.To, SignedAt: v.SignedAt, Role: v.Role, Notes: v.Notes, Digest: hex.EncodeToString(v.Digest), MaySign: v.Refusal == nil, Snapshot: v.Snapshot}
	switch {
	case v.SignedAt != nil:
		out.State, out.SignedBy = "signed", new(partyOf(*v.SignedBy))
	case v.RemindedAt != nil:
		out.State = "late"
	}
	if v.Refusal != nil {
		out.WhyNot = v.Refusal.Error()
	}
	return out
}
