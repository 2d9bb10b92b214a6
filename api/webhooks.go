package api

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"lastcall/domain/audit"
	"lastcall/gateway/whatsapp"
)

// maxWebhook is the largest webhook WhatsApp sends, in bytes.
const maxWebhook = 3 << 20

// webhooks serves /webhooks/whatsapp. The signature is the caller's credential.
func (s *server) webhooks() {
	s.router.GET("/webhooks/whatsapp", func(c *gin.Context) {
		challenge, ok := s.WhatsApp.Challenge(c.Request.URL.Query())
		if !ok {
			abort(c, http.StatusForbidden, "handshake_refused", "the verify token is not ours")
			return
		}
		c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte(challenge))
	})
	s.router.POST("/webhooks/whatsapp", s.takeWebhook)
}

// takeWebhook keeps a signed webhook and answers at once; store.Applier does the rest.
func (s *server) takeWebhook(c *gin.Context) {
	ctx := c.Request.Context()
	body, ok := readBody(c, maxWebhook, "a webhook has at most 3 MiB")
	if !ok {
		return
	}
	if !whatsapp.Verify(s.WhatsApp.AppSecret, body, c.GetHeader("X-Hub-Signature-256")) {
		s.Log.WarnContext(ctx, "webhook with a wrong signature refused", "from", c.RemoteIP(), "bytes", len(body), "request_id", audit.RequestIDFrom(ctx))
		abort(c, http.StatusUnauthorized, "signature_wrong", "the signature does not fit the body")
		return
	}
	if err := s.Store.KeepWebhook(ctx, body); err != nil {
		abortWith(c, s.problem(ctx, err))
		return
	}
	c.Status(http.StatusOK)
}

// readBody reads the body of a request that anybody may send, for 10 s and so many bytes at most, or answers why not.
func readBody(c *gin.Context, most int64, tooLarge string) ([]byte, bool) {
	rc := http.NewResponseController(c.Writer)
	_ = rc.SetReadDeadline(time.Now().Add(10 * time.Second))
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, most))
	_ = rc.SetReadDeadline(time.Time{})
	if _, beyond := errors.AsType[*http.MaxBytesError](err); beyond {
		abort(c, http.StatusRequestEntityTooLarge, "too_large", tooLarge)
		return nil, false
	}
	if err != nil {
		abort(c, http.StatusBadRequest, "invalid", "the body broke off")
		return nil, false
	}
	return body, true
}
