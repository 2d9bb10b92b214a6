package api

import (
	"cmp"
	"context"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// Readiness is whether a campaign could start now, and what is missing if not.
type Readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"` // database, temporal, worker, messaging: "ok", or what is wrong
}

const (
	checkWithin   = 2 * time.Second
	messagingKept = 2 * time.Second // how long an answer of the provider counts
)

// Build is which build of Lastcall this is: its commit, else its version.
var Build = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return cmp.Or(info.Main.Version, "unknown")
})

// health serves /healthz, which says that the process is alive and of which build it is, and /readyz, which asks those it needs.
func (s *server) health() {
	s.router.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"ok": true, "build": Build()}) })
	s.router.GET("/readyz", func(c *gin.Context) {
		r := s.ready(c.Request.Context())
		status := http.StatusOK
		if !r.Ready {
			status = http.StatusServiceUnavailable
		}
		c.JSON(status, r)
	})
}

func (s *server) ready(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	r := Readiness{Ready: true, Checks: map[string]string{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	check := func(part, wrong string, ask func() bool) {
		all.Go(func() {
			ok := ask()
			mu.Lock()
			defer mu.Unlock()
			if r.Checks[part] = "ok"; !ok {
				r.Ready, r.Checks[part] = false, wrong
			}
		})
	}
	check("database", "the database does not answer", func() bool { return s.Store.Ping(ctx) == nil })
	check("temporal", "Temporal does not answer", func() bool { return s.Temporal(ctx) == nil })
	check("worker", "no worker is there", func() bool {
		n, err := s.Store.Workers(ctx)
		return err == nil && n > 0
	})
	check("messaging", "WhatsApp does not answer, or refuses the access token", func() bool { return s.messaging(ctx) == nil })
	all.Wait()
	return r
}

// cached asks at most every messagingKept; in between it repeats the answer.
func cached(ask func(context.Context) error) func(context.Context) error {
	var mu sync.Mutex
	var asked time.Time
	var answer error
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(asked) > messagingKept {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkWithin) // the answer is for others too
			defer cancel()
			answer = ask(ctx)
			asked = time.Now()
		}
		return answer
	}
}
