package store

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/template"
	"lastcall/domain/voucher"
)

// CampaignChange is what becomes different of a campaign. What is nil stays as it is.
type CampaignChange struct {
	Name       *string
	TemplateID *uuid.UUID
	Variables  map[string]string // all of them: one that is not here has no value for all any more
	Weight     *int              // 1 to 100
	Voucher    *voucher.Offer    // it becomes a campaign that gives these vouchers
	NoVoucher  bool              // it becomes one that only sends a message
	Reason     string            // for the audit log
}

// ChangeCampaign changes a campaign, all of what is asked for or nothing. The weight may change until the campaign has
// ended; everything else only of a draft, while nothing is imported into it. An audience is read for one template and
// with the values that hold for all, so with one the template stays, and a value can become another but not none:
// domain.Conflict of code has_audience. It fails with domain.Invalid for a variable that the template does not have.
func (s *Store) ChangeCampaign(ctx context.Context, id uuid.UUID, change CampaignChange) error {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		offer := change.Voucher != nil || change.NoVoucher
		draft := change.Name != nil || change.TemplateID != nil || change.Variables != nil || offer
		if change.TemplateID != nil || change.Variables != nil || offer {
			if err := tx.noImport(id); err != nil {
				return audit.Entry{}, err
			}
		}
		c, err := tx.lockCampaign(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if draft && c.Status != campaign.Draft {
			return audit.Entry{}, domain.E(domain.Conflict, "wrong_state", "the campaign was started already: it is %s", c.Status)
		}
		columns, diff := map[string]any{}, map[string]any{}
		if n := change.Name; n != nil && *n != c.Name {
			columns["name"], diff["name"] = *n, []string{c.Name, *n}
		}
		if w := change.Weight; w != nil {
			if err := campaign.CheckWeight(c.Status, *w); err != nil {
				return audit.Entry{}, err
			}
			columns["weight"], diff["weight"] = *w, []int{c.Weight, *w}
		}
		if err := tx.changeMessage(c, change, columns, diff); err != nil {
			return audit.Entry{}, err
		}
		action := "campaign.changed"
		if len(diff) == 1 && diff["weight"] != nil {
			action = "campaign.weight_changed"
		}
		if len(columns) == 0 {
			return audit.Entry{}, errRepeated
		}
		if action == "campaign.changed" {
			if err := tx.edited(campaignSubject(id)); err != nil {
				return audit.Entry{}, err
			}
		}
		return audit.Entry{Action: action, Target: target(id), Reason: change.Reason, Diff: diff}, tx.change(id, columns)
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return err
}

// changeMessage adds to the columns, and to what the audit log tells, which template is sent and with which values.
func (tx *Tx) changeMessage(c Campaign, change CampaignChange, columns, diff map[string]any) error {
	if change.TemplateID == nil && change.Variables == nil && change.Voucher == nil && !change.NoVoucher {
		return nil
	}
	var audience bool
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM cohorts WHERE campaign_id = $1 AND queued > 0)`, c.ID).Scan(&audience); err != nil {
		return err
	}
	templateID, variables := c.TemplateID, c.Variables
	if to := change.TemplateID; to != nil && *to != c.TemplateID {
		if audience {
			return domain.E(domain.Conflict, "has_audience", "the audience was read for the template it has; make another campaign for another template").About("template")
		}
		templateID = *to
		columns["template_id"], diff["template_id"] = templateID, []uuid.UUID{c.TemplateID, templateID}
	}
	var t Template
	if err := tx.orm.First(&t, "id = ?", templateID).Error; err != nil {
		return notFound(err, "template", templateID)
	}
	if change.Variables != nil {
		variables = change.Variables
	} else if columns["template_id"] != nil {
		variables = maps.Clone(variables) // what the other template has no use for goes
		maps.DeleteFunc(variables, func(name, _ string) bool { return !t.has(name) })
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if !t.has(name) {
			return unknownVariable(t, name)
		}
	}
	if err := tx.changeOffer(c, change, t, variables, audience, columns, diff); err != nil {
		return err
	}
	if audience {
		for _, name := range slices.Sorted(maps.Keys(c.Variables)) {
			if c.Variables[name] != "" && variables[name] == "" {
				return domain.E(domain.Conflict, "has_audience", "the audience was read with a value of it for all: give it another one, not none").About("variables." + name)
			}
		}
	}
	if maps.Equal(variables, c.Variables) {
		return nil
	}
	value, err := json.Marshal(variables)
	columns["variables"], diff["variables"] = string(value), []map[string]string{c.Variables, variables}
	return err
}

// changeOffer adds to the columns, and to what the audit log tells, which voucher each target gets. What the audience was
// read for stays: whether there is one at all.
func (tx *Tx) changeOffer(c Campaign, change CampaignChange, t Template, variables map[string]string, audience bool, columns, diff map[string]any) error {
	offer := c.Voucher
	switch {
	case change.Voucher != nil:
		offer = change.Voucher
	case change.NoVoucher:
		offer = nil
	}
	if audience && (offer == nil) != (c.Voucher == nil) {
		return domain.E(domain.Conflict, "has_audience", "the audience was read for a campaign with vouchers, or for one without; make another campaign").About("voucher")
	}
	if err := tx.checkOffer(offer, t, variables); err != nil {
		return err
	}
	before, err := json.Marshal(c.Voucher)
	if err != nil {
		return err
	}
	after, err := json.Marshal(offer)
	if err != nil || string(before) == string(after) {
		return err
	}
	columns["voucher"], diff["voucher"] = nil, []*voucher.Offer{c.Voucher, offer}
	if offer != nil {
		columns["voucher"] = string(after)
	}
	return nil
}

func (t Template) has(variable string) bool {
	return slices.ContainsFunc(t.Variables, func(v template.Variable) bool { return v.Name == variable })
}

func unknownVariable(t Template, name string) error {
	return domain.E(domain.Invalid, "unknown_variable", "template %s has no variable %q", t.Name, name).About("variables." + name)
}
