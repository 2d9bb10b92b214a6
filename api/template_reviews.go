package api

import (
	"context"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/delivery"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// TemplateReview is all that is known of a version beside what it says.
type TemplateReview struct {
	TemplateID uuid.UUID          `json:"template_id" format:"uuid"`
	Digest     string             `json:"digest" doc:"SHA-256 of the version as it is now, in hex: whoever reviews it sends it back"`
	Problems   []Fault            `json:"problems" doc:"What keeps it from being submitted"`
	MayReview  bool               `json:"may_review" doc:"Whether whoever asks may approve and lock it"`
	WhyNot     string             `json:"why_not,omitempty" doc:"Why they may not"`
	Request    *ApprovalRequest   `json:"request,omitempty" doc:"The open one"`
	Decisions  []ApprovalDecision `json:"decisions" doc:"Newest first"`
	Authors    []Somebody         `json:"authors" doc:"Who wrote any of it or submitted it, the last one first: none of them reviews it"`
	Started    int                `json:"started" doc:"Campaigns that were ever started with it"`
	UnderWay   int                `json:"under_way" doc:"Of them, under way now"`
	Languages  []TemplateLanguage `json:"languages" doc:"How WhatsApp takes it"`
	Tests      []TemplateTest     `json:"tests" doc:"The newest ten"`
}

// TemplateLanguage is how the provider takes a template in one language.
type TemplateLanguage struct {
	Locale    string                 `json:"locale"`
	State     delivery.TemplateState `json:"state" enum:"active,paused,disabled,rejected,deleted" doc:"By webhooks, sends and comparisons"`
	Why       string                 `json:"why,omitempty" doc:"Of one that is not active"`
	CheckedAt *time.Time             `json:"checked_at,omitempty" doc:"When WhatsApp was asked last; absent: never"`
	Listed    string                 `json:"listed,omitempty" doc:"WhatsApp's word for it then; absent: it listed none"`
	Category  string                 `json:"category,omitempty" doc:"What WhatsApp counted it as; absent: it did not say"`
	Warnings  []store.Finding        `json:"warnings,omitempty" doc:"not_listed, or category_differs: what it counts as decides on consent, limits and price"`
}

// TemplateVerdict reviews a version.
type TemplateVerdict struct {
	Verdict string `json:"verdict" enum:"approved,changes_requested"`
	Reason  string `json:"reason,omitempty" maxLength:"500" doc:"Needed where changes are requested"`
	Digest  string `json:"digest" pattern:"^[0-9a-f]{64}$" patternDescription:"64 hexadecimal digits" doc:"Of what you looked at"`
}

// TemplateReason is why something is done with a version.
type TemplateReason struct {
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

// TemplateRetirement takes a version out of use.
type TemplateRetirement struct {
	Reason  string `json:"reason" minLength:"1" maxLength:"500"`
	Confirm bool   `json:"confirm,omitempty" doc:"Also if campaigns are under way with it: they send nothing more"`
}

func (s *server) templateReviews() {
	tags := []string{"Templates"}
	type output struct{ Body TemplateReview }
	answer := func(ctx context.Context, id uuid.UUID) (*output, error) {
		r, err := s.Store.TemplateReview(ctx, id)
		if err != nil {
			return nil, err
		}
		return &output{s.templateReviewOf(r)}, nil
	}
	stale := append([]int{http.StatusForbidden, http.StatusPreconditionFailed}, refusals...)
	register(s, access.TemplatesRead, huma.Operation{OperationID: "get-template-review", Method: http.MethodGet, Path: "/templates/{template}/review", Tags: tags,
		Summary: "How a version stands: with its reviewers, its campaigns and WhatsApp"},
		func(ctx context.Context, in *TemplatePath) (*output, error) { return answer(ctx, in.ID) })
	register(s, access.TemplatesWrite, huma.Operation{OperationID: "submit-template", Method: http.MethodPost, Path: "/templates/{template}/submit", Tags: tags,
		Summary: "Submit a draft for review", Errors: stale,
		Description: "As it is now. It takes an account: a token submits nothing. All that is wrong with it is told at once."},
		func(ctx context.Context, in *struct {
			TemplatePath
			KnownRevision
			Body TemplateReason
		}) (*templateVersion, error) {
			known, err := in.revision()
			if err != nil {
				return nil, err
			}
			t, err := s.Store.SubmitTemplate(ctx, in.ID, known, in.Body.Reason)
			return versionOf(t), err
		})
	register(s, access.TemplatesReview, huma.Operation{OperationID: "review-template", Method: http.MethodPost, Path: "/templates/{template}/review", Tags: tags,
		Summary: "Approve a submitted version, or request changes", Errors: stale,
		Description: "Fails as `approval_changed`, status 412, when the version is not any more what was looked at, and as `approval_own`, status 403, for whoever " +
			"wrote any of it or submitted it. With changes requested it is a draft again."},
		func(ctx context.Context, in *struct {
			TemplatePath
			Body TemplateVerdict
		}) (*templateVersion, error) {
			seen, err := hex.DecodeString(in.Body.Digest)
			if err != nil {
				return nil, domain.E(domain.Invalid, "bad_digest", "use 64 hexadecimal digits").About("digest")
			}
			verdict := approval.Approved
			if in.Body.Verdict == "changes_requested" {
				verdict = approval.Rejected
			}
			t, err := s.Store.ReviewTemplate(ctx, in.ID, verdict, in.Body.Reason, seen)
			return versionOf(t), err
		})
	register(s, access.TemplatesReview, huma.Operation{OperationID: "lock-template", Method: http.MethodPost, Path: "/templates/{template}/lock", Tags: tags,
		Summary: "Lock an approved version", Description: "Nobody can change it any more. Nobody who wrote any of it locks it.", Errors: stale},
		func(ctx context.Context, in *struct {
			TemplatePath
			KnownRevision
			Body TemplateReason
		}) (*templateVersion, error) {
			known, err := in.revision()
			if err != nil {
				return nil, err
			}
			t, err := s.Store.LockTemplate(ctx, in.ID, known, in.Body.Reason)
			return versionOf(t), err
		})
	register(s, access.TemplatesReview, huma.Operation{OperationID: "retire-template", Method: http.MethodPost, Path: "/templates/{template}/retire", Tags: tags,
		Summary: "Take a version out of use, for good", Errors: stale,
		Description: "Fails as `template_in_use` while campaigns are under way with it, unless confirmed: then they send nothing more and wait, reason " +
			"`template_suspended`, until somebody stops them."},
		func(ctx context.Context, in *struct {
			TemplatePath
			KnownRevision
			Body TemplateRetirement
		}) (*templateVersion, error) {
			known, err := in.revision()
			if err != nil {
				return nil, err
			}
			t, err := s.Store.RetireTemplate(ctx, in.ID, known, in.Body.Reason, in.Body.Confirm)
			return versionOf(t), err
		})
	register(s, access.TemplatesTest, huma.Operation{OperationID: "sync-template", Method: http.MethodPost, Path: "/templates/{template}/sync", Tags: tags,
		Summary: "Ask WhatsApp how it takes a version", Errors: refusals,
		Description: "In each of its languages. Where no webhook told that WhatsApp takes it, or does not, campaigns go on, or wait, from now on."},
		func(ctx context.Context, in *TemplatePath) (*output, error) {
			if err := s.syncTemplate(ctx, in.ID); err != nil {
				return nil, err
			}
			return answer(ctx, in.ID)
		})
}

func (s *server) syncTemplate(ctx context.Context, id uuid.UUID) error {
	t, err := s.Store.Template(ctx, id)
	if err != nil {
		return err
	}
	at := time.Now().UTC()
	var listed []store.ListedTemplate
	for locale := range t.Texts {
		l, there, err := s.Provider.Template(ctx, t.Name, locale)
		if err != nil {
			return providerTrouble(err)
		}
		row := store.ListedTemplate{Language: locale}
		if there {
			row.Status, row.Category = word(l.Status), word(l.Category)
			row.State = stateOf(whatsapp.TemplateUpdate{Event: l.Status})
		}
		listed = append(listed, row)
	}
	return s.Store.SyncTemplate(ctx, id, listed, at)
}

// stateOf is how a template stands by the provider's word; "": the word says nothing about sending.
func stateOf(u whatsapp.TemplateUpdate) delivery.TemplateState {
	sendable, known := u.Sendable()
	switch {
	case !known:
		return ""
	case sendable:
		return delivery.TemplateActive
	case templateStates[u.Event] == "":
		return delivery.TemplateDeleted // archived, or about to be deleted
	}
	return templateStates[u.Event]
}

// word is a word of the provider's; anything else than one is not kept.
func word(text string) string {
	if len(text) > 64 || !providerListed.MatchString(text) {
		return ""
	}
	return text
}

func (s *server) templateReviewOf(r store.TemplateReview) TemplateReview {
	out := TemplateReview{TemplateID: r.Template.ID, Digest: hex.EncodeToString(r.Digest), Problems: []Fault{}, MayReview: r.Refusal == nil, Started: r.Started,
		UnderWay: r.UnderWay, Decisions: make([]ApprovalDecision, len(r.Decisions)), Authors: make([]Somebody, len(r.Authors)), Tests: make([]TemplateTest, len(r.Tests))}
	for _, err := range r.Problems {
		out.Problems = append(out.Problems, faultsOf(err)...)
	}
	if r.Refusal != nil {
		out.WhyNot = r.Refusal.Error()
	}
	if r.Request != nil {
		out.Request = new(s.requestOf(*r.Request))
	}
	for i, d := range r.Decisions {
		out.Decisions[i] = decisionOf(d)
	}
	for i, a := range r.Authors {
		out.Authors[i] = partyOf(a)
	}
	for i, t := range r.Tests {
		out.Tests[i] = s.testOf(t)
	}
	out.Languages = languagesOf(r)
	return out
}

// languagesOf is how the provider takes each of a version's languages.
func languagesOf(r store.TemplateReview) []TemplateLanguage {
	all := []TemplateLanguage{}
	for _, locale := range slices.Sorted(maps.Keys(r.Template.Texts)) {
		l := TemplateLanguage{Locale: locale, State: delivery.TemplateActive}
		for _, st := range r.States { // the one of all languages comes first
			if st.Language == locale || st.Language == "" {
				l.State, l.Why = st.State, st.Why()
			}
		}
		for _, listing := range r.Listings {
			if listing.Language != locale {
				continue
			}
			l.CheckedAt, l.Listed, l.Category = &listing.CheckedAt, listing.Status, listing.Category
			if listing.Status == "" {
				l.Warnings = append(l.Warnings, store.Finding{Code: "not_listed", Message: "WhatsApp lists no such template in this language: messages with it fail until it is made there"})
			}
			if store.CategoryDiffers(r.Template, listing) {
				l.Warnings = append(l.Warnings, store.Finding{Code: "category_differs", Message: "WhatsApp counts it as " + listing.Category +
					", and it was written as " + r.Template.Category + ": make a new version as what WhatsApp counts it"})
			}
		}
		all = append(all, l)
	}
	return all
}
