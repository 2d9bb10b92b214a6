package whatsapp

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lastcall/domain"
)

// Listing is how the provider lists a template in one language.
type Listing struct {
	Status   string // one of the Template constants, or another such as PENDING; upper case
	Category string // lower case: marketing, utility or authentication; "" when it does not say
}

// Template asks how the provider lists a template in a language (BCP 47); listed is false when it does not. Errors are
// those of Send, and domain.Conflict of code no_business_account without Config.BusinessAccountID.
func (c *Client) Template(ctx context.Context, name, language string) (l Listing, listed bool, err error) {
	if c.configErr != nil {
		return l, false, c.configErr
	}
	if c.templates == nil {
		return l, false, domain.E(domain.Conflict, "no_business_account", "set whatsapp.business_account_id: templates belong to it")
	}
	code := strings.ReplaceAll(language, "-", "_")
	at := *c.templates
	at.RawQuery = url.Values{"name": {name}, "language": {code}, "fields": {"name,language,status,category"}, "limit": {"100"}}.Encode()
	answer, err := c.call(ctx, time.Time{}, &http.Request{Method: http.MethodGet, URL: &at, Host: at.Host, Header: c.getHeader})
	if err != nil {
		return l, false, err
	}
	if !answer.ok || answer.Error != nil {
		return l, false, answer.refusal("no templates")
	}
	for _, t := range answer.Data { // the provider looks for parts of names
		if t.Name == name && t.Language == code {
			return Listing{strings.ToUpper(t.Status), strings.ToLower(t.Category)}, true, nil
		}
	}
	return l, false, nil
}
