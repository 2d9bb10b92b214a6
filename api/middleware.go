package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/store"
)

const requestIDHeader = "X-Request-Id"

var requestIDRule = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// identify gives the request an id: the caller's own, if it is one, else a new one.
func (s *server) identify(c *gin.Context) {
	id := c.GetHeader(requestIDHeader)
	if !requestIDRule.MatchString(id) {
		id = uuid.NewString()
	}
	c.Header(requestIDHeader, id)
	c.Request = c.Request.WithContext(audit.WithRequestID(c.Request.Context(), id))
	c.Next()
}

// accessLog notes each request by its route: addresses, queries and bodies may hold what nobody should read.
func (s *server) accessLog(c *gin.Context) {
	start := time.Now()
	c.Next()
	ctx, route, level := c.Request.Context(), c.FullPath(), slog.LevelInfo
	hook := route == "/webhooks/whatsapp" && c.Writer.Status() < 400 // a campaign brings thousands
	if hook || route == "/healthz" || route == "/readyz" || c.Request.Method == http.MethodGet {
		level = slog.LevelDebug
	}
	s.Log.Log(ctx, level, "request", "method", c.Request.Method, "route", route, "status", c.Writer.Status(),
		"ms", time.Since(start).Milliseconds(), "actor", audit.ActorFrom(ctx).LogName(), "request_id", audit.RequestIDFrom(ctx))
}

// recovery turns a panic into a problem whose reference the log explains.
func (s *server) recovery(c *gin.Context) {
	defer func() {
		failure := recover()
		if failure == nil {
			return
		}
		err, ok := failure.(error)
		if ok && errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler) // net/http breaks the transfer off, so that nobody takes a part for the whole
		}
		if ok && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
			c.Abort() // the caller left in the middle of the answer
			return
		}
		id := audit.RequestIDFrom(c.Request.Context())
		s.Log.Error("panic", "request_id", id, "route", c.FullPath(), "panic", failure, "stack", string(debug.Stack()))
		if c.Writer.Written() {
			c.Abort()
			return
		}
		abort(c, http.StatusInternalServerError, "internal", "something went wrong on our side; the log has more under reference "+id)
	}()
	c.Next()
}

// secure sets the headers that keep browsers from being clever.
func (s *server) secure(c *gin.Context) {
	h := c.Writer.Header()
	if s.https() {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	c.Next()
}

// authenticate lets nobody pass without a valid token or session, and says to the audit log whose it is.
func (s *server) authenticate(c *gin.Context) {
	if s.open(c) { // bodies here may be anybody's
		rc := http.NewResponseController(c.Writer)
		_ = rc.SetReadDeadline(time.Now().Add(10 * time.Second))
		defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	}
	ctx, err := s.caller(c)
	if err != nil {
		s.refuseCaller(ctx, c.ClientIP(), err)
		abortWith(c, s.problem(ctx, err))
		return
	}
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

// caller is the request's context with whoever makes it: staff, or below /station an operator.
func (s *server) caller(c *gin.Context) (context.Context, error) {
	if atStation(c) {
		return s.recogniseStation(c)
	}
	ctx := c.Request.Context()
	actor, v, err := s.recognise(c)
	return context.WithValue(audit.WithActor(ctx, actor), visitKey{}, v), err
}

// refuseCaller enters a credential that is none, or another site's request, into the audit log. Who sends no credential has
// tried nothing.
func (s *server) refuseCaller(ctx context.Context, address string, err error) {
	kind, code := domain.KindOf(err), domain.CodeOf(err)
	if code == "token_missing" || code == "not_signed_in" || (kind != domain.Unauthenticated && kind != domain.Forbidden) {
		return
	}
	if err := s.Store.RefuseCaller(ctx, address, code); err != nil {
		s.Log.WarnContext(ctx, "a refused request is not in the audit log", "code", code, "error", err)
	}
}

// visit is what a request tells about whoever makes it. A token's has no session, and one of the system's no account.
type visit struct {
	role    access.Role // "" of whoever has not signed in
	account store.Account
	session store.Session
	token   uuid.UUID     // uuid.Nil: none
	scopes  access.Scopes // of an account's token; nil for whoever may all that the role may
	address string        // the client's
	agent   string        // the browser's family
}

type visitKey struct{}

func visitFrom(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// recognise finds out who calls. An Authorization header goes before a cookie: no page makes a browser send one.
func (s *server) recognise(c *gin.Context) (audit.Actor, visit, error) {
	ctx := c.Request.Context()
	v := visit{address: c.ClientIP(), agent: family(c.Request.UserAgent())}
	cookie, _ := c.Request.Cookie(s.cookieName())
	if header := c.GetHeader("Authorization"); !s.open(c) && (header != "" || cookie == nil) {
		scheme, token, _ := strings.Cut(header, " ")
		if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
			return audit.Actor{}, v, domain.E(domain.Unauthenticated, "token_missing", "sign in, or send a token: Authorization: Bearer …")
		}
		known, of, err := s.Store.Authenticate(ctx, token)
		v.token = known.ID
		if known.AccountID == nil {
			v.role = access.Admin // a token that belongs to no account is the installation's own
			return audit.Actor{Kind: "token", Name: known.Name}, v, err
		}
		v.role, v.account, v.scopes = of.Role, of, known.Permissions()
		actor := of.Actor()
		actor.Token = known.Name
		return actor, v, err
	}
	if err := s.origins.Check(c.Request); err != nil {
		return audit.Actor{}, v, domain.E(domain.Forbidden, "cross_origin", "another site sent this request").Because(err)
	}
	if cookie == nil {
		return audit.ActorFrom(ctx), v, nil
	}
	var err error
	v.session, v.account, err = s.Store.AuthenticateSession(ctx, cookie.Value)
	if s.open(c) && domain.KindOf(err) == domain.Unauthenticated {
		return audit.ActorFrom(ctx), v, nil // an old cookie hinders nobody
	}
	v.role = v.account.Role
	return v.account.Actor(), v, err
}

// open tells whether the request's operation is for everyone.
func (s *server) open(c *gin.Context) bool { return s.everyones[c.Request.Method+" "+c.FullPath()] }

// origins refuses what other sites make a browser send. Behind a proxy that changes Host, the panel's own origin is
// known by its public address.
func origins(public string) *http.CrossOriginProtection {
	p := http.NewCrossOriginProtection()
	if u, err := url.Parse(public); err == nil && u.Host != "" {
		if err := p.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			panic(err) // config has checked it
		}
	}
	return p
}

// family is the browser's name, or "other". More of it would tell people apart.
func family(agent string) string {
	for _, f := range []struct{ mark, name string }{{"lastcall/", "command line"}, {"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}} {
		if strings.Contains(agent, f.mark) {
			return f.name
		}
	}
	return "other"
}
