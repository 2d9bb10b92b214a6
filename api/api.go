// Package api is Lastcall's HTTP API: Gin routes, huma describes and checks, the store does the work.
// One file a resource. Whoever calls is recognised here, and every error gets its HTTP status here.
package api

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/domain/alert"
	"lastcall/domain/drill"
	"lastcall/domain/probe"
	"lastcall/domain/rollout"
	"lastcall/domain/runbook"
	"lastcall/domain/voucher"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// Deps is what the API stands on.
type Deps struct {
	Store    *store.Store
	WhatsApp whatsapp.Config // verifies webhooks and answers their handshake
	Log      *slog.Logger    // gets no number, no text, no query string

	// Temporal and Messaging ask for a sign of life; /readyz waits 2 s at most for each.
	Temporal  func(context.Context) error
	Messaging func(context.Context) error

	// WorkflowOpen tells whether the workflow of a campaign's nth resend (0: its first) has not ended.
	WorkflowOpen   func(ctx context.Context, id uuid.UUID, resend int) (bool, error)
	Provider       Provider                      // sends single messages and lists templates
	VoucherKeys    func() (*voucher.Keys, error) // sign and verify vouchers, as they are now
	VoucherCards   VoucherCards
	RolloutPlan    rollout.Plan     // the configured one
	Drills         []drill.Scenario // what can be drilled
	AlertRules     alert.Rules
	Runbooks       []runbook.Runbook
	Struck         func(context.Context) *probe.Fault // the fault that a redemption is to fail of; nil: none, and none ever
	Audit          *store.AuditKeeper                 // signs and verifies the audit log; nil: it cannot be asked to
	Mail           bool                               // mail is configured: invitations and password resets can be sent
	Panel          fs.FS                              // the built panel, served at /; nil for none
	PublicURL      string                             // what the panel's address begins with; with https, cookies are for https only
	WhatsAppNumber string                             // E.164, what guests write to; "" while nobody set it: tables' codes have no link
	TrustedProxies []string                           // addresses and networks whose X-Forwarded-For tells the client's address; none by default

	TemporalWebURL    string          // for links; "" for none
	TemporalNamespace string          // default "default"
	EffectWithin      time.Duration   // how long the answer to an order waits for its effect; default 5 s
	Closing           <-chan struct{} // closed when the server begins to shut down: event streams end; nil for never
}

// Prefix is where the API's operations live.
const Prefix = "/api/v1"

// New builds the API. It serves Prefix, /webhooks/whatsapp, /healthz, /readyz, /metrics, /csp-reports, and the
// panel everywhere else.
func New(d Deps) http.Handler { return newServer(d).router }

func newServer(d Deps) *server {
	if d.TemporalNamespace == "" {
		d.TemporalNamespace = "default"
	}
	if d.EffectWithin == 0 {
		d.EffectWithin = 5 * time.Second
	}
	s := &server{Deps: d, messaging: cached(d.Messaging), origins: origins(d.PublicURL), everyones: map[string]bool{}}
	s.feed = newFeed(s)

	gin.SetMode(gin.ReleaseMode)
	s.router = gin.New()
	s.router.RedirectTrailingSlash = false
	s.router.HandleMethodNotAllowed = true
	if err := s.router.SetTrustedProxies(d.TrustedProxies); err != nil {
		panic(err) // config has checked them
	}
	s.router.Use(s.identify, s.accessLog, s.recovery, s.secure)
	s.router.NoRoute(s.panel())
	s.router.NoMethod(func(c *gin.Context) {
		abort(c, http.StatusMethodNotAllowed, "method_not_allowed", "this address does not take this method")
	})

	s.huma = humagin.NewWithGroup(s.router, s.router.Group(Prefix, s.authenticate), describe())
	s.session()
	s.profile()
	s.sessions()
	s.tokens()
	s.links()
	s.accounts()
	s.invitations()
	s.permissions()
	s.dashboard()
	s.campaigns()
	s.orders()
	s.approvals()
	s.overrides()
	s.rollout()
	s.announcements()
	s.reviews()
	s.rollbacks()
	s.resends()
	s.forecasts()
	s.imports()
	s.uploads()
	s.audiences()
	s.targets()
	s.timelines()
	s.failures()
	s.history()
	s.reports()
	s.templates()
	s.templateVersions()
	s.templateReviews()
	s.templateTests()
	s.templateSuspensions()
	s.channels()
	s.contacts()
	s.contactHistory()
	s.contactFiles()
	s.erasure()
	s.optOuts()
	s.sends()
	s.smokeRuns()
	s.drills()
	s.alerts()
	s.incidents()
	s.runbooks()
	s.settings()
	s.throttleAdvice()
	s.policy()
	s.vouchers()
	s.voucherFiles()
	s.redemptions()
	s.voucherCards()
	s.campaignVouchers()
	s.edgeFunctions()
	s.faults()
	s.events()
	s.audit()
	s.bars()
	s.stations()
	s.tableCodes()
	s.payments()
	s.station()

	s.docs()
	s.webhooks()
	s.cspReports()
	s.health()
	s.router.GET("/metrics", gin.WrapH(Metrics(d.Store, d.Log, s.streams())))
	return s
}

// Provider is who carries messages.
type Provider interface {
	Send(ctx context.Context, m whatsapp.TemplateMessage) (whatsapp.Accepted, error)
	Template(ctx context.Context, name, language string) (l whatsapp.Listing, listed bool, err error)
}

type server struct {
	Deps
	router    *gin.Engine
	huma      huma.API
	feed      *feed
	messaging func(context.Context) error
	origins   *http.CrossOriginProtection
	everyones map[string]bool // the routes that take no signing in, by method and path
	verifying sync.Mutex      // the audit log
}

// describe is the head of the OpenAPI document.
func describe() huma.Config {
	c := huma.DefaultConfig("Lastcall", "1")
	c.Info.Description = "Campaigns, their recipients, and the rules that hold for both. Errors are RFC 9457 problems with a stable `code`."
	c.Servers = []*huma.Server{{URL: Prefix}}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "An API token. `lastcall up` makes one and writes it to up.json."},
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie,
			Description: "What signing in sets; where the panel is served over https its name begins with `__Host-`. " +
				"What changes something must come from the panel's own origin."},
	}
	c.Components.SecuritySchemes["station"] = &huma.SecurityScheme{Type: "apiKey", In: "cookie", Name: stationCookie,
		Description: "What signing in at a station sets, on a device that is enrolled there: below /station only it counts."}
	c.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", "" // docs.go serves them, without a CDN
	c.CreateHooks = nil                                   // no $schema fields in answers
	c.RejectUnknownQueryParameters = true
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	c.Formats = map[string]huma.Format{"application/json": format, "json": format}
	return c
}

// unmarshal is how bodies are read. Postgres keeps no NUL, so none gets further than this.
func unmarshal(data []byte, v any) error {
	if hasNUL(data) {
		return errNUL
	}
	return json.Unmarshal(data, v)
}

// pathParameter is one as OpenAPI writes it; Gin writes a colon.
var pathParameter = regexp.MustCompile(`\{([^}]+)\}`)

// register adds an operation that takes a permission, and whose errors become problems. Operations have no read
// deadline of their own: net/http would end the request's context when one passes, also while the handler waits for
// an effect.
func register[I, O any](s *server, p access.Permission, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	if !access.Known(p) {
		panic("operation " + op.OperationID + " takes a permission that nobody has: " + string(p))
	}
	op.BodyReadTimeout = -1
	op.Extensions = map[string]any{"x-permission": p}
	op.Middlewares = append(op.Middlewares, s.permit(p, op.OperationID))
	if p == access.Everyone {
		op.Security = []map[string][]string{}
		s.everyones[op.Method+" "+Prefix+pathParameter.ReplaceAllString(op.Path, ":$1")] = true
	}
	if p == access.StationUse {
		op.Security = []map[string][]string{{"station": {}}}
	}
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}
