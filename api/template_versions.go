package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/contact"
	"lastcall/domain/template"
	"lastcall/store"
)

// TemplateContent is what a version of a template says.
type TemplateContent struct {
	Category    string              `json:"category" enum:"marketing,utility"`
	Variables   []template.Variable `json:"variables,omitempty" maxItems:"30"`
	Texts       map[string]string   `json:"texts,omitempty" doc:"By locale, like rw-RW; variables stand in them as {{name}}"`
	Headers     map[string]string   `json:"headers,omitempty" doc:"The line over the text, by locale"`
	Footers     map[string]string   `json:"footers,omitempty" doc:"The small line under it, by locale"`
	HeaderMedia string              `json:"header_media,omitempty" maxLength:"512" doc:"An https:// address or WhatsApp's id of a picture that the message opens with"`
}

// NewTemplate is the first version of a template.
type NewTemplate struct {
	Name string `json:"name" minLength:"1" maxLength:"512" doc:"As WhatsApp knows it: lower-case letters, digits and _"`
	TemplateContent
}

// TemplateProblems are what keeps a version from being submitted.
type TemplateProblems struct {
	Problems []Fault `json:"problems"`
}

// TemplatePath names a version.
type TemplatePath struct {
	ID uuid.UUID `path:"template" format:"uuid" doc:"A version's id"`
}

// templateVersion answers with a version, by whose ETag its next writer can say what they knew.
type templateVersion struct {
	ETag string `header:"ETag"`
	Body store.Template
}

func versionOf(t store.Template) *templateVersion {
	return &templateVersion{fmt.Sprintf("%q", strconv.FormatInt(t.Revision, 10)), t}
}

// KnownRevision is what a caller says it knew; nil: nothing.
type KnownRevision struct {
	Match string `header:"If-Match" doc:"The ETag of the version as you know it; absent: whatever it is now"`
}

func (k KnownRevision) revision() (*int64, error) {
	if k.Match == "" || k.Match == "*" {
		return nil, nil
	}
	n, err := strconv.ParseInt(strings.Trim(k.Match, `"`), 10, 64)
	if err != nil {
		return nil, domain.E(domain.Invalid, "bad_etag", "pass the version's ETag, unchanged").About("If-Match")
	}
	return &n, nil
}

func (s *server) templateVersions() {
	tags := []string{"Templates"}
	register(s, access.TemplatesWrite, huma.Operation{OperationID: "check-template", Method: http.MethodPost, Path: "/templates/check", Tags: tags,
		Summary: "Check what a template would say", Description: "By the rules that hold when it is submitted. Nothing is kept."},
		func(_ context.Context, in *struct{ Body NewTemplate }) (*struct{ Body TemplateProblems }, error) {
			content, err := in.Body.content()
			if err != nil {
				return nil, err
			}
			t := template.Template{Name: in.Body.Name, Version: 1, Category: content.Category, Variables: content.Variables, Texts: content.Texts,
				Headers: content.Headers, Footers: content.Footers, HeaderMedia: content.HeaderMedia}
			return &struct{ Body TemplateProblems }{TemplateProblems{faultsOf(t.Check())}}, nil
		})
	register(s, access.TemplatesWrite, huma.Operation{OperationID: "create-template", Method: http.MethodPost, Path: "/templates", Tags: tags,
		Summary: "Write a new template", Description: "It is a draft, which may be unfinished; its review tells what is missing.",
		DefaultStatus: http.StatusCreated, Errors: refusals},
		func(ctx context.Context, in *struct {
			RequestKey
			Body NewTemplate
		}) (*templateVersion, error) {
			key, hash, err := in.of(in.Body)
			if err != nil {
				return nil, err
			}
			content, err := in.Body.content()
			if err != nil {
				return nil, err
			}
			t, err := s.Store.CreateTemplate(ctx, store.NewTemplate{Name: in.Body.Name, Content: content, IdempotencyKey: key, RequestHash: hash})
			return versionOf(t), err
		})
	register(s, access.TemplatesWrite, huma.Operation{OperationID: "create-template-version", Method: http.MethodPost, Path: "/templates/{template}/versions", Tags: tags,
		Summary: "Write a new version of a template", Description: "It begins as a copy of this one. Of a template one version at a time is written.",
		DefaultStatus: http.StatusCreated, Errors: refusals},
		func(ctx context.Context, in *struct {
			RequestKey
			TemplatePath
		}) (*templateVersion, error) {
			key, hash, err := in.of([]string{"version of", in.ID.String()})
			if err != nil {
				return nil, err
			}
			t, err := s.Store.CreateTemplate(ctx, store.NewTemplate{From: in.ID, IdempotencyKey: key, RequestHash: hash})
			return versionOf(t), err
		})
	register(s, access.TemplatesWrite, huma.Operation{OperationID: "put-template", Method: http.MethodPut, Path: "/templates/{template}", Tags: tags,
		Summary: "Change what a version says", Errors: append([]int{http.StatusPreconditionFailed}, refusals...),
		Description: "It is a draft afterwards: what was asked or approved about it is void. One that is locked or retired stays as it is, and so does one " +
			"with which a campaign was started: make a new version. With If-Match it fails as `template_changed`, status 412, when somebody was quicker."},
		func(ctx context.Context, in *struct {
			TemplatePath
			KnownRevision
			Body TemplateContent
		}) (*templateVersion, error) {
			known, err := in.revision()
			if err != nil {
				return nil, err
			}
			content, err := in.Body.content()
			if err != nil {
				return nil, err
			}
			t, err := s.Store.EditTemplate(ctx, in.ID, content, known)
			return versionOf(t), err
		})
}

// content is what the store keeps: with locales as they are written canonically.
func (c TemplateContent) content() (store.TemplateContent, error) {
	out := store.TemplateContent{Category: c.Category, Variables: c.Variables, HeaderMedia: strings.TrimSpace(c.HeaderMedia)}
	for _, of := range []struct {
		field string
		from  map[string]string
		to    *map[string]string
	}{{"texts", c.Texts, &out.Texts}, {"headers", c.Headers, &out.Headers}, {"footers", c.Footers, &out.Footers}} {
		*of.to = map[string]string{}
		for locale, text := range of.from {
			canonical, ok := contact.ParseLocale(locale)
			if !ok {
				return out, domain.E(domain.Invalid, "bad_locale", "use BCP 47, like rw-RW or en-MT").About(of.field)
			}
			if _, twice := (*of.to)[canonical]; twice {
				return out, domain.E(domain.Invalid, "bad_locale", "%s is there twice", canonical).About(of.field)
			}
			if of.field == "texts" || strings.TrimSpace(text) != "" {
				(*of.to)[canonical] = text
			}
		}
	}
	return out, nil
}

func faultsOf(err error) []Fault {
	all := []Fault{}
	for _, e := range flatten(nil, err) {
		all = append(all, Fault{e.Code, e.Field, e.Message})
	}
	return all
}
