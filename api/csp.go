package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	cspReportEnough = 32 << 10 // bytes of one request
	cspLogEvery     = time.Minute
)

// cspReports takes what browsers report about the panel's content security policy. Anybody can send that, and it holds
// addresses: only how often which rule was broken goes to the log, once a minute and rule.
func (s *server) cspReports() {
	broken := &tally{log: func(rule string, times int) {
		s.Log.Warn("content security policy was broken", "rule", rule, "times", times)
	},
		seen: map[string]*tallied{}}
	s.router.POST("/csp-reports", func(c *gin.Context) {
		body, ok := readBody(c, cspReportEnough, "a report has at most 32 KiB")
		if !ok {
			return
		}
		rules, err := cspRules(body)
		if err != nil {
			abort(c, http.StatusBadRequest, "invalid", "this is no report")
			return
		}
		for _, rule := range rules {
			broken.add(rule, time.Now())
		}
		c.Status(http.StatusNoContent)
	})
}

// cspRules are the directives that a report, of the old form or the new, says were broken.
func cspRules(body []byte) ([]string, error) {
	type violation struct {
		Directive string `json:"effectiveDirective"`
		Effective string `json:"effective-directive"` // the old form's
		Violated  string `json:"violated-directive"`
	}
	var old struct {
		Report *violation `json:"csp-report"`
	}
	if json.Unmarshal(body, &old) == nil && old.Report != nil {
		return []string{rule(old.Report.Effective, old.Report.Violated)}, nil
	}
	var reports []struct {
		Type string    `json:"type"`
		Body violation `json:"body"`
	}
	if err := json.Unmarshal(body, &reports); err != nil {
		return nil, err
	}
	var rules []string
	for _, r := range reports {
		if r.Type == "csp-violation" {
			rules = append(rules, rule(r.Body.Directive))
		}
	}
	return rules, nil
}

var directives = []string{"default-src", "script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem", "style-src-attr",
	"img-src", "font-src", "connect-src", "worker-src", "manifest-src", "media-src", "frame-src", "frame-ancestors", "base-uri", "form-action", "object-src"}

// rule is the first of these that is a directive; what a stranger wrote goes into no log.
func rule(names ...string) string {
	for _, name := range names {
		name, _, _ = strings.Cut(name, " ")
		if slices.Contains(directives, name) {
			return name
		}
	}
	return "other"
}

// tally counts things that may happen often and logs each once in cspLogEvery at most.
type tally struct {
	log  func(what string, times int)
	mu   sync.Mutex
	seen map[string]*tallied
}

type tallied struct {
	times  int // not logged yet
	logged time.Time
}

func (t *tally) add(what string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen[what] == nil {
		t.seen[what] = &tallied{}
	}
	one := t.seen[what]
	one.times++
	if now.Sub(one.logged) >= cspLogEvery {
		t.log(what, one.times)
		one.times, one.logged = 0, now
	}
}
