package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lastcall/domain"
)

// templates are those whose state somebody set; the sandbox takes any other. The states are kept on disk,
// and every change is reported by webhook, in order.
type templates struct {
	journal *journal
	stage   *stage // how far the changes are reported

	mu  sync.Mutex                                    // of those who change them
	now atomic.Pointer[map[templateKey]templateState] // nil for none; never changed in place
}

type templateKey struct{ name, language string }

// templateState is a line of the journal, and what GET /templates shows.
type templateState struct {
	Name     string `json:"name"`
	Language string `json:"language,omitempty"` // as the provider writes it, rw_RW; none means all
	Status   string `json:"status"`
	Reason   string `json:"reason"` // the provider's, such as INVALID_FORMAT; NONE for none

	Category string `json:"category,omitempty"` // what it counts as: MARKETING, UTILITY or AUTHENTICATION; none: nothing is said
}

const templateApproved = "APPROVED"

// templateErrors is what sending gets, by status.
var templateErrors = map[string]*refusal{
	"PAUSED":   {http.StatusBadRequest, 132015, 0, "Template is paused", "The template is paused due to low quality."},
	"DISABLED": {http.StatusBadRequest, 132016, 0, "Template is disabled", "The template is disabled for good."},
	"REJECTED": {http.StatusNotFound, 132001, 0, "Template does not exist", "No approved template has this name in this language."},
}

func (t *templates) open(dir string) (err error) {
	t.journal, err = openJournal(filepath.Join(dir, "templates.jsonl"), func(line []byte) error {
		var state templateState
		if err := json.Unmarshal(line, &state); err != nil {
			return err
		}
		t.keep(state)
		return nil
	})
	if err != nil {
		return err
	}
	t.stage, err = openStage(filepath.Join(dir, "templates.cursor"), "templates", t.journal.last())
	if err == nil {
		t.journal.wake = []chan struct{}{t.stage.wake}
	}
	return err
}

// refuse says why this template cannot be sent now, nil if it can.
func (t *templates) refuse(name, language string) *refusal {
	return templateErrors[t.of(name, language).Status]
}

// of is the state of a template in a language; that of one which nobody set is approved.
func (t *templates) of(name, language string) templateState {
	if now := t.now.Load(); now != nil {
		for _, key := range []templateKey{{name, language}, {name, ""}} {
			if state, known := (*now)[key]; known {
				return state
			}
		}
	}
	return templateState{Name: name, Status: templateApproved}
}

// set keeps a state on disk and in force. One without a language replaces those of every language.
func (t *templates) set(state templateState) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	object, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return t.journal.append(object, func() { t.keep(state) })
}

func (t *templates) keep(state templateState) {
	next := map[templateKey]templateState{}
	if now := t.now.Load(); now != nil {
		for key, other := range *now {
			if state.Language != "" || key.name != state.Name {
				next[key] = other
			}
		}
	}
	next[templateKey{state.Name, state.Language}] = state
	t.now.Store(&next)
}

func (t *templates) list() []templateState {
	out := []templateState{}
	if now := t.now.Load(); now != nil {
		for _, state := range *now {
			out = append(out, state)
		}
	}
	slices.SortFunc(out, func(a, b templateState) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Language, b.Language))
	})
	return out
}

func (s *Server) getTemplates(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.templates.list())
}

// BusinessAccount is the account that the sandbox's templates belong to.
const BusinessAccount = "sandbox"

var templateCategories = []string{"MARKETING", "UTILITY", "AUTHENTICATION"}

// listTemplates is the provider's list, as far as it is asked for by name and language: the sandbox takes any template,
// so it cannot name them all. Of one whose state nobody set it says that it is approved, and no category.
func (s *Server) listTemplates(w http.ResponseWriter, r *http.Request) {
	struck := s.faults.strike(scopeMessaging, false)
	if struck.kind == faultOutage {
		hangUp()
	}
	s.linger(struck.latency)
	if refused := s.authoriseToken(r); refused != nil {
		refused.write(w)
		return
	}
	name, language := r.URL.Query().Get("name"), r.URL.Query().Get("language")
	if r.PathValue("account") != BusinessAccount || name == "" || language == "" {
		invalidParameter("The sandbox lists the templates of the account sandbox, one name and language at a time.").write(w)
		return
	}
	state := s.templates.of(name, language)
	row := map[string]string{"id": "0", "name": name, "language": language, "status": state.Status}
	if state.Category != "" {
		row["category"] = state.Category
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": []any{row}})
}

// putTemplate sets a template's state, {"status","language","reason","category"}, and answers with it.
func (s *Server) putTemplate(w http.ResponseWriter, r *http.Request) {
	raw, err := s.readBody(w, r)
	if err != nil {
		s.writeError(w, err)
		return
	}
	state, err := readTemplate(r.PathValue("name"), raw)
	if err == nil {
		err = s.templates.set(state)
	}
	if err != nil {
		s.writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, state)
}

// readTemplate's errors are domain.Invalid: template_not_readable, unknown_status and too_long about the field.
func readTemplate(name string, raw []byte) (templateState, error) {
	var wanted struct {
		Status   string `json:"status"`
		Language string `json:"language"`
		Reason   string `json:"reason"`
		Category string `json:"category"`
	}
	if err := decodeObject(raw, &wanted); err != nil {
		return templateState{}, domain.E(domain.Invalid, "template_not_readable", "A template's state must be a JSON object of status, language, reason and category: %s.", err)
	}
	if wanted.Status != templateApproved && templateErrors[wanted.Status] == nil {
		return templateState{}, domain.E(domain.Invalid, "unknown_status", "The status must be APPROVED, PAUSED, DISABLED or REJECTED.").About("status")
	}
	if wanted.Category != "" && !slices.Contains(templateCategories, wanted.Category) {
		return templateState{}, domain.E(domain.Invalid, "unknown_category", "The category must be MARKETING, UTILITY or AUTHENTICATION.").About("category")
	}
	for field, text := range map[string]string{"name": name, "language": wanted.Language, "reason": wanted.Reason} {
		if len(text) > maxCallbackData {
			return templateState{}, domain.E(domain.Invalid, "too_long", "This must be at most %d bytes.", maxCallbackData).About(field)
		}
	}
	return templateState{Name: name, Language: strings.ReplaceAll(wanted.Language, "-", "_"), Status: wanted.Status, Reason: cmp.Or(wanted.Reason, "NONE"), Category: wanted.Category}, nil
}

// reportTemplates posts every change of a template's state until ctx is over, one a webhook, in order;
// after a restart it goes on where the last answered one ended.
func (s *Server) reportTemplates(ctx context.Context, client *http.Client) error {
	stage, journal := s.templates.stage, s.templates.journal
	for ctx.Err() == nil {
		change, err := journal.next(stage.cursor)
		if err != nil {
			return fmt.Errorf("webhooks of templates: %w", err)
		}
		if change == nil {
			stage.sleep(ctx, 0, 0, nil)
			continue
		}
		var line struct {
			entry
			templateState
		}
		if err := json.Unmarshal(change, &line); err != nil {
			return fmt.Errorf("webhooks of templates: %w", err)
		}
		if !s.postUntilTaken(ctx, client, stage.state, line.webhook(line.ReceivedAt), func() bool { return false }) {
			continue
		}
		if err := stage.save(line.ID, line.ID); err != nil {
			return fmt.Errorf("webhooks of templates: %w", err)
		}
	}
	return nil
}

// webhook is the change in the provider's shape.
func (t templateState) webhook(at time.Time) map[string]any {
	id := fnv.New64a() // a template has a number there; this one is as good
	_, _ = id.Write([]byte(t.Name + "\n" + t.Language))
	value := map[string]any{
		"event": t.Status, "message_template_id": id.Sum64() >> 12, "message_template_name": t.Name,
		"message_template_language": t.Language, "reason": t.Reason,
	}
	switch t.Status {
	case "DISABLED":
		value["disable_info"] = map[string]any{"disable_date": at.Unix()}
	case "PAUSED":
		value["other_info"] = map[string]string{"title": "FIRST_PAUSE", "description": "The template was paused by whoever uses the sandbox."}
	}
	return map[string]any{
		"object": "whatsapp_business_account",
		"entry": []any{map[string]any{"id": BusinessAccount, "time": at.Unix(), "changes": []any{
			map[string]any{"field": "message_template_status_update", "value": value},
		}}},
	}
}

// next returns the first line above id, nil if there is none.
func (j *journal) next(id int64) ([]byte, error) {
	lines, err := j.after(id, 1)
	if err != nil || lines.count == 0 {
		return nil, err
	}
	defer lines.Close()
	return io.ReadAll(lines)
}
