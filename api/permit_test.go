package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/store"
)

// route is an operation as the OpenAPI document has it.
type route struct {
	method, path, operation string
	permission              access.Permission
	declared                bool
}

// routes are all operations there are. What the router has beside them must be known here.
func routes(t *testing.T, b *bundle) (all []route) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string             `json:"operationId"`
			Permission  *access.Permission `json:"x-permission"`
		}
	}
	require.NoError(t, json.Unmarshal(api.Document(), &document))
	described := map[string]bool{}
	for path, methods := range document.Paths {
		for method, op := range methods {
			r := route{strings.ToUpper(method), path, op.OperationID, "", op.Permission != nil}
			if r.declared {
				r.permission = *op.Permission
			}
			all = append(all, r)
			described[r.method+" "+api.Prefix+regexp.MustCompile(`\{([^}]+)\}`).ReplaceAllString(path, ":$1")] = true
		}
	}
	beside := []string{"GET /api/v1/openapi.json", "GET /api/v1/docs", "GET /api/v1/docs/docs.js", "GET /api/v1/docs/docs.css",
		"GET /webhooks/whatsapp", "POST /webhooks/whatsapp", "POST /csp-reports", "GET /healthz", "GET /readyz", "GET /metrics"}
	for _, r := range b.router.Routes() {
		require.True(t, described[r.Method+" "+r.Path] || slices.Contains(beside, r.Method+" "+r.Path),
			"%s %s says nowhere who may call it", r.Method, r.Path)
	}
	return all
}

// Every route × every role: who has the permission gets past it, who has not gets no further, and is written down.
func TestEveryRouteAsksEveryRole(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	in := map[access.Role]func() *browser{}
	for _, role := range access.Roles {
		email := string(role) + "@example.test"
		_, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: email, Name: "N", Role: string(role), Password: password})
		require.NoError(t, err)
		var w *browser
		in[role] = func() *browser {
			if w == nil || status(t, w, route{method: "GET", path: "/session"}) == http.StatusUnauthorized {
				w = o.browser()
				code, p, _ := w.signIn(email, password)
				require.Equal(t, http.StatusOK, code, "%+v", p)
			}
			return w
		}
	}
	refused := 0
	for _, r := range routes(t, o.bundle) {
		require.True(t, r.declared && access.Known(r.permission), "%s %s declares no permission", r.method, r.path)
		stranger := o.browser()
		if r.permission == access.Everyone {
			require.NotContains(t, []int{http.StatusForbidden}, status(t, stranger, r), r.operation)
			continue
		}
		require.Equal(t, http.StatusUnauthorized, status(t, stranger, r), "%s lets in who has not signed in", r.operation)
		if r.permission == access.StationUse { // no account works at a station: who does is in station_test.go
			require.Equal(t, http.StatusUnauthorized, status(t, in[access.StationOperator](), r), r.operation)
			continue
		}
		for _, role := range access.Roles {
			code := status(t, in[role](), r)
			if access.May(role, r.permission) {
				require.NotEqual(t, http.StatusForbidden, code, "%s refuses %s", r.operation, role)
				continue
			}
			refused++
			require.Equal(t, http.StatusForbidden, code, "%s lets %s pass", r.operation, role)
		}
	}
	require.Positive(t, refused)
	require.Len(t, o.audited("access.refused"), refused)
}

// Nothing that lists people tells their numbers. Who may see one does so knowing that it is written down.
func TestNumbersAreSeenByWhoMaySeeThem(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	_, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: "viewer@example.test", Name: "V", Role: "viewer", Password: password})
	require.NoError(t, err)
	var person api.Contact
	admin := o.in()
	admin.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: "+250781234567"}, &person)
	c, _ := o.running("msisdn\n+250781234567\n")
	var target api.Target
	admin.do("POST", path(c, "/targets/find"), api.TargetQuery{MSISDN: "+250781234567"}, &target)
	places := []string{"/api/v1/contacts/" + person.ID.String() + "/reveal", path(c, fmt.Sprintf("/targets/%d/reveal", target.ID))}

	viewer := o.browser()
	viewer.signIn("viewer@example.test", password)
	for _, at := range places {
		code, p, _ := viewer.do("POST", at, nil, nil)
		require.Equal(t, http.StatusForbidden, code)
		require.Equal(t, "role_may_not", p.Code)
	}
	require.Empty(t, o.audited("number.revealed"))
	for _, at := range []string{"/api/v1/contacts", "/api/v1/contacts/" + person.ID.String(), path(c, "/targets")} {
		var raw json.RawMessage
		admin.do("GET", at, nil, &raw)
		require.Contains(t, string(raw), "+250 78• ••• 567", at)
		require.NotContains(t, string(raw), "781234567", at)
	}
	for i, at := range places {
		var seen api.Revealed
		code, p, _ := admin.do("POST", at, nil, &seen)
		require.Equal(t, http.StatusOK, code, "%+v", p)
		require.EqualValues(t, "+250781234567", seen.MSISDN)
		require.Len(t, o.audited("number.revealed"), i+1)
	}
	require.Equal(t, []string{"account " + amina + " contact", "account " + amina + " campaign"}, o.audited("number.revealed"))

	var contacts api.ContactPage
	viewer.do("GET", "/api/v1/contacts?reveal=true", nil, &contacts)
	require.Empty(t, contacts.Contacts[0].MSISDN)
	require.Len(t, o.audited("number.revealed"), 2)
	admin.do("GET", "/api/v1/contacts?reveal=true", nil, &contacts)
	require.EqualValues(t, "+250781234567", contacts.Contacts[0].MSISDN)
	var targets api.TargetPage
	admin.do("GET", path(c, "/targets?reveal=true"), nil, &targets)
	require.EqualValues(t, "+250781234567", targets.Targets[0].MSISDN)
	require.Len(t, o.audited("number.revealed"), 4)
}

// status is what a request without a body to speak of gets. A stream is left once it answers.
func status(t *testing.T, w *browser, r route) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	path := regexp.MustCompile(`\{([a-z_]+)\}`).ReplaceAllStringFunc(r.path, func(name string) string {
		switch name {
		case "{target_id}", "{n}":
			return "1"
		case "{key}":
			return "throttle"
		case "{name}", "{template}":
			return "nothing"
		}
		return "00000000-0000-7000-8000-000000000000"
	})
	req, err := http.NewRequestWithContext(ctx, r.method, w.url+api.Prefix+path, strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header = w.header.Clone()
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}
