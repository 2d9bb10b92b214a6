package api

import (
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audit"
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
		"ms", time.Since(start).Milliseconds(), "actor", audit.ActorFrom(ctx).Name, "request_id", audit.RequestIDFrom(ctx))
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
func secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	c.Next()
}

// authenticate lets nobody pass without a valid token, and says to the audit log whose it is.
func (s *server) authenticate(c *gin.Context) {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		abortWith(c, s.problem(c.Request.Context(), domain.E(domain.Unauthenticated, "token_missing", "send a token: Authorization: Bearer …")))
		return
	}
	known, err := s.Store.Authenticate(c.Request.Context(), token)
	if err != nil {
		abortWith(c, s.problem(c.Request.Context(), err))
		return
	}
	c.Request = c.Request.WithContext(audit.WithActor(c.Request.Context(), audit.Actor{Kind: "token", Name: known.Name}))
	c.Next()
}
