package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/store"
)

// ThrottleKept says that somebody looked at the caps and keeps them.
type ThrottleKept struct {
	Advice string `json:"advice" pattern:"^[0-9a-f]{64}$" patternDescription:"64 hexadecimal digits" doc:"The digest of the advice that you looked at"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"For everybody, for good"`
}

func (s *server) throttleAdvice() {
	tags := []string{"Settings"}
	register(s, access.SettingsRead, huma.Operation{OperationID: "get-throttle-advice", Method: http.MethodGet, Path: "/settings/throttle/advice", Tags: tags,
		Summary: "Tell what the pilot's figures say about the caps",
		Description: "What was sent since the pilot of the rollout began (without one: in 30 days), what WhatsApp refused for its rate, what arrived, who opted out within " +
			"48 hours, and how full the caps were; and what these say about each cap, `unknown` of too few messages. Nothing changes by it: save what is proposed as any " +
			"setting, with its impact told before, and pass the digest as `advice`, or keep the caps (`keep-throttle`). Either is the review that a rollout asks for."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body store.ThrottleAdvice }, error) {
			a, err := s.Store.ThrottleAdvice(ctx)
			return &struct{ Body store.ThrottleAdvice }{a}, err
		})
	register(s, access.ThrottleReview, huma.Operation{OperationID: "keep-throttle", Method: http.MethodPost, Path: "/settings/throttle/review", Tags: tags,
		Summary: "Say that you reviewed the caps, and keep them", DefaultStatus: http.StatusCreated,
		Errors:      append([]int{http.StatusForbidden, http.StatusPreconditionFailed}, refusals...),
		Description: "The advice is kept with it, as it is now. Fails as `advice_changed`, status 412, when it proposes something else than what you looked at."},
		func(ctx context.Context, in *struct{ Body ThrottleKept }) (*struct{ Body store.ThrottleReview }, error) {
			seen, err := adviceSeen(in.Body.Advice)
			if err != nil {
				return nil, err
			}
			if in.Body.Reason = strings.TrimSpace(in.Body.Reason); in.Body.Reason == "" {
				return nil, domain.E(domain.Invalid, "no_reason", "say why they stay").About("reason")
			}
			r, err := s.Store.KeepThrottle(ctx, seen, in.Body.Reason)
			return &struct{ Body store.ThrottleReview }{r}, err
		})
}

// adviceSeen is a digest that somebody sends back; nil for none.
func adviceSeen(digest string) ([]byte, error) {
	if digest == "" {
		return nil, nil
	}
	seen, err := hex.DecodeString(digest)
	if err != nil {
		return nil, domain.E(domain.Invalid, "bad_digest", "use 64 hexadecimal digits").About("advice")
	}
	return seen, nil
}
