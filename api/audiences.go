package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
	"lastcall/domain/audience"
	"lastcall/store"
)

// ContactFilter chooses contacts: of what is given each must hold, and of several values one is enough, tags apart.
type ContactFilter struct {
	Tags      []string `json:"tags,omitempty" maxItems:"100" maxLength:"50"`
	TagsMatch string   `json:"tags_match,omitempty" enum:"any,all" doc:"Whether a contact needs one of the tags (any, the default) or all"`
	Bars      []string `json:"bars,omitempty" maxItems:"1000" maxLength:"100" doc:"Codes"`
	Countries []string `json:"countries,omitempty" maxItems:"250" doc:"ISO 3166-1 alpha-2, like RW"`
	Locales   []string `json:"locales,omitempty" maxItems:"500" doc:"BCP 47, like rw-RW"`
}

func (s *server) audiences() {
	tags := []string{"Campaigns"}
	const who = "Contacts are chosen by tags, bars, countries and locales; an empty filter chooses nobody. "
	register(s, access.CampaignsWrite, huma.Operation{OperationID: "add-audience", Method: http.MethodPost, Path: "/campaigns/{id}/audience", Tags: tags,
		Summary: "Add contacts to a campaign's audience",
		Description: who + "They become targets as those of a file do, all or none: numbers that the campaign has are duplicates, and who has opted out " +
			"is left out when the turn comes. The template's variable `name` is the contact's name.",
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			CampaignPath
			Body ContactFilter
		}) (*importOutput, error) {
			if err := s.Store.Spend(ctx, store.ByActor(ctx, access.ImportsPerUser)); err != nil {
				return nil, err
			}
			f, err := audience.Filter(in.Body).Check()
			if err != nil {
				return nil, err
			}
			done, err := s.Store.AddAudience(ctx, in.ID, f)
			if err != nil {
				return nil, err
			}
			return &importOutput{http.StatusCreated, importOf(done)}, nil
		})

	register(s, access.CampaignsWrite, huma.Operation{OperationID: "count-audience", Method: http.MethodPost, Path: "/campaigns/{id}/audience/count", Tags: tags,
		Summary: "Count the contacts that a filter would add", Description: who + "Changes nothing."},
		func(ctx context.Context, in *struct {
			CampaignPath
			Body ContactFilter
		}) (*struct{ Body store.AudienceCount }, error) {
			f, err := audience.Filter(in.Body).Check()
			if err != nil {
				return nil, err
			}
			n, err := s.Store.CountAudience(ctx, in.ID, f)
			return &struct{ Body store.AudienceCount }{n}, err
		})
}
