package api

import (
	"context"
	"net/http"
	"regexp"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/store"
)

// Templates are all templates, every version.
type Templates struct {
	Templates []store.Template `json:"templates"`
}

func (s *server) templates() {
	tags := []string{"Templates"}
	register(s, access.TemplatesRead, huma.Operation{OperationID: "list-templates", Method: http.MethodGet, Path: "/templates", Tags: tags,
		Summary: "List templates", Description: "Every version, by name, newest version first."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body Templates }, error) {
			all, err := s.Store.Templates(ctx)
			return &struct{ Body Templates }{Templates{append([]store.Template{}, all...)}}, err
		})
	register(s, access.TemplatesRead, huma.Operation{OperationID: "get-template", Method: http.MethodGet, Path: "/templates/{template}", Tags: tags,
		Summary: "Get a template", Description: "Its ETag is its revision, for the If-Match of who changes it."},
		func(ctx context.Context, in *struct {
			Template string `path:"template" maxLength:"512" doc:"A name, for its newest version that may be sent, or a version's id"`
		}) (*templateVersion, error) {
			t, err := s.template(ctx, in.Template)
			return versionOf(t), err
		})
}

var templateNameRule = regexp.MustCompile(`^[a-z0-9_]+$`)

// template finds a template by a version's id, or by name: then its newest version that may be sent.
func (s *server) template(ctx context.Context, ref string) (store.Template, error) {
	if id, err := uuid.Parse(ref); err == nil {
		return s.Store.Template(ctx, id)
	}
	if !templateNameRule.MatchString(ref) { // bytes that Postgres would not even compare
		return store.Template{}, domain.E(domain.NotFound, "template_not_found", "there is no such template")
	}
	return s.Store.NewestTemplate(ctx, ref)
}
