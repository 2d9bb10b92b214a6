package api

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/store"
)

// AuditEntry is one entry of the audit log.
type AuditEntry struct {
	ID             int64           `json:"id" doc:"The order of insertion, with gaps"`
	CreatedAt      time.Time       `json:"created_at"`
	ActorKind      string          `json:"actor_kind" enum:"account,token,system"`
	ActorID        string          `json:"actor_id" doc:"The account's id; a token's or a part's name"`
	Actor          string          `json:"actor" doc:"The actor's name at that time"`
	Action         string          `json:"action" example:"campaign.started"`
	Target         string          `json:"target" example:"settings/throttle"`
	Diff           json.RawMessage `json:"diff" doc:"What changed; null: nothing to tell"`
	Reason         string          `json:"reason" doc:"The actor's words"`
	RequestID      string          `json:"request_id"`
	PolicyRevision *int64          `json:"policy_revision" doc:"The policy revision that decided; null: none did"`
	Seq            *int64          `json:"seq" doc:"Its place in the chain; null until it is sealed, 2 s at most"`
	PrevHash       string          `json:"prev_hash" doc:"The hash of the entry before it, in hexadecimal; empty until it is sealed"`
	Hash           string          `json:"hash" doc:"SHA-256 over prev_hash and the entry's canonical form; empty until it is sealed"`
}

// AuditPage is one page of the audit log, newest first.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Next    string       `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// AuditFacets are what the audit log can be filtered by.
type AuditFacets struct {
	Actions []string           `json:"actions"`
	Actors  []store.AuditActor `json:"actors"`
}

// AuditWanted are the filters of the audit log.
type AuditWanted struct {
	Action    string    `query:"action" maxLength:"100" doc:"This action, or all that begin with it" example:"campaign."`
	Actor     string    `query:"actor" maxLength:"254" doc:"The account's id or address; a token's or a part's name"`
	Target    string    `query:"target" maxLength:"200" doc:"Exactly this" example:"settings/throttle"`
	RequestID string    `query:"request_id" maxLength:"64"`
	From      time.Time `query:"from" doc:"At or after"`
	To        time.Time `query:"to" doc:"Before"`
	Block     string    `query:"block" maxLength:"40" doc:"Only decisions of the policy that held something back for this reason" example:"quiet_hours"`
}

func (w AuditWanted) filter() (store.AuditFilter, error) {
	f := store.AuditFilter(w)
	return f, f.Check()
}

func (s *server) audit() {
	tags := []string{"Audit"}
	register(s, access.AuditRead, huma.Operation{OperationID: "list-audit-entries", Method: http.MethodGet, Path: "/audit/entries", Tags: tags,
		Summary: "List the audit log", Description: "Newest first. Whoever wants to be told of new ones listens to `/audit/events`."},
		func(ctx context.Context, in *struct {
			AuditWanted
			After string `query:"after" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body AuditPage }, error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			after, err := parseAuditCursor(in.After)
			if err != nil {
				return nil, err
			}
			all, err := s.Store.AuditEntries(ctx, f, after, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, auditCursor)
			page := AuditPage{Entries: make([]AuditEntry, len(all)), Next: next}
			for i, e := range all {
				page.Entries[i] = auditEntryOf(e)
			}
			return &struct{ Body AuditPage }{page}, nil
		})

	register(s, access.AuditRead, huma.Operation{OperationID: "get-audit-entry", Method: http.MethodGet, Path: "/audit/entries/{id}", Tags: tags,
		Summary: "Get an entry of the audit log"},
		func(ctx context.Context, in *struct {
			ID int64 `path:"id" minimum:"1"`
		}) (*struct{ Body AuditEntry }, error) {
			e, err := s.Store.AuditEntry(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &struct{ Body AuditEntry }{auditEntryOf(e)}, nil
		})

	register(s, access.AuditRead, huma.Operation{OperationID: "get-audit-facets", Method: http.MethodGet, Path: "/audit/facets", Tags: tags,
		Summary: "List the actions and the actors that are in the audit log"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body AuditFacets }, error) {
			actions, actors, err := s.Store.AuditFacets(ctx)
			if err != nil {
				return nil, err
			}
			return &struct{ Body AuditFacets }{AuditFacets{actions, actors}}, nil
		})

	register(s, access.AuditRead, huma.Operation{OperationID: "get-audit-state", Method: http.MethodGet, Path: "/audit/state", Tags: tags,
		Summary: "Tell how the audit log's chain stands", Description: "What is sealed, when all of it was last verified, and the newest signed checkpoint."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body store.AuditState }, error) {
			state, err := s.Store.AuditState(ctx)
			if err != nil {
				return nil, err
			}
			return &struct{ Body store.AuditState }{state}, nil
		})

	register(s, access.AuditExport, huma.Operation{OperationID: "verify-audit-log", Method: http.MethodPost, Path: "/audit/verifications", Tags: tags,
		Summary: "Verify the audit log's chain",
		Description: "Reads the whole log, some 10 s for a million entries, and enters what it found. One runs at a time. " +
			"Who does not trust this process runs `lastcall audit verify`, which needs only the database."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body AuditVerdict }, error) {
			if s.Audit == nil {
				return nil, errNoKeeper
			}
			if !s.verifying.TryLock() {
				return nil, domain.E(domain.Conflict, "verifying", "the audit log is being verified already")
			}
			defer s.verifying.Unlock()
			v, err := s.Audit.Verify(ctx)
			if err != nil {
				return nil, err
			}
			return &struct{ Body AuditVerdict }{AuditVerdict(v)}, nil
		})

	register(s, access.AuditExport, huma.Operation{OperationID: "make-audit-checkpoint", Method: http.MethodPost, Path: "/audit/checkpoints", Tags: tags,
		Summary: "Make a signed checkpoint of the audit log now", DefaultStatus: http.StatusCreated,
		Description: "Seals what there is and signs the end of the chain. It goes to the file of checkpoints and to the Ops channel, too."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body AuditCheckpoint }, error) {
			if s.Audit == nil {
				return nil, errNoKeeper
			}
			c, err := s.Store.Checkpoint(ctx, s.Audit.Notary)
			if err != nil {
				return nil, err
			}
			return &struct{ Body AuditCheckpoint }{auditCheckpointOf(c)}, nil
		})
	s.auditExport(tags)
	s.auditEvents(tags)
}

// AuditVerdict is what verifying the audit log found.
type AuditVerdict audit.Verdict

var errNoKeeper = domain.E(domain.Unavailable, "no_audit_key", "this API has no key to sign with")

// AuditCheckpoint is a signed checkpoint: as a line of JSON in a file it is what `lastcall audit verify` takes.
type AuditCheckpoint struct {
	Origin    string    `json:"origin" doc:"Whose log it is"`
	Size      int64     `json:"size" doc:"The seq of the last entry"`
	Head      string    `json:"head" doc:"That entry's hash, in hexadecimal"`
	Time      time.Time `json:"time"`
	Signer    string    `json:"signer" doc:"The Ed25519 public key, in base64"`
	Signature string    `json:"signature" doc:"In base64"`
}

func auditCheckpointOf(c audit.Checkpoint) AuditCheckpoint {
	return AuditCheckpoint{c.Origin, c.Size, hex.EncodeToString(c.Head[:]), c.CreatedAt.UTC(),
		base64.StdEncoding.EncodeToString(c.Signer), base64.StdEncoding.EncodeToString(c.Signature)}
}

func auditEntryOf(e store.AuditEntry) AuditEntry {
	diff := e.Diff
	if diff == nil {
		diff = json.RawMessage("null")
	}
	return AuditEntry{e.ID, e.CreatedAt.UTC(), e.ActorKind, e.ActorID, e.Actor, e.Action, e.Target, diff, e.Reason, e.RequestID,
		e.PolicyRevision, e.Seq, hex.EncodeToString(e.PrevHash), hex.EncodeToString(e.Hash)}
}

func auditCursor(e store.AuditEntry) string {
	return fmt.Sprintf("%d-%d", e.CreatedAt.UnixMicro(), e.ID)
}

func parseAuditCursor(cursor string) (*store.AuditPlace, error) {
	if cursor == "" {
		return nil, nil
	}
	at, id, _ := strings.Cut(cursor, "-")
	micros, wrongTime := strconv.ParseInt(at, 10, 64)
	n, wrongID := strconv.ParseInt(id, 10, 64)
	place := &store.AuditPlace{At: time.UnixMicro(micros).UTC(), ID: n}
	if year := place.At.Year(); wrongTime != nil || wrongID != nil || year < 2000 || year > 9999 {
		return nil, domain.E(domain.Invalid, "bad_cursor", "pass the next of the page before, unchanged").About("after")
	}
	return place, nil
}

// auditColumns are the columns of an export as CSV.
var auditColumns = []string{"seq", "prev_hash", "hash", "id", "created_at", "actor_kind", "actor_id", "actor", "action", "target", "diff", "reason",
	"request_id", "policy_revision"}

const auditAtOnce = 2000

func (s *server) auditExport(tags []string) {
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	register(s, access.AuditExport, huma.Operation{OperationID: "export-audit-log", Method: http.MethodGet, Path: "/audit/export", Tags: tags,
		Summary: "Export the audit log",
		Description: "What is sealed when it begins, in the order of the chain: a JSON object a line, from which each hash can be computed again, or CSV " +
			"(RFC 4180, UTF-8), where cells that a spreadsheet would take for a formula begin with an apostrophe; its columns are " + strings.Join(auditColumns, ", ") + ". " +
			"The export is in the audit log itself. A file that was cut short ends in a broken transfer: go on behind the seq of its last whole line.",
		Responses: map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{
			"application/x-ndjson": text, "text/csv": text}}}},
		func(ctx context.Context, in *struct {
			AuditWanted
			Format string `query:"format" enum:"ndjson,csv" default:"ndjson"`
			After  int64  `query:"after" minimum:"0" doc:"The seq to go on behind"`
		}) (*huma.StreamResponse, error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			_, to, err := s.Store.AuditMoved(ctx)
			if err != nil {
				return nil, err
			}
			filter := map[string]any{}
			for name, value := range map[string]string{"action": in.Action, "actor": in.Actor, "target": in.Target, "request_id": in.RequestID} {
				if value != "" {
					filter[name] = value
				}
			}
			for name, at := range map[string]time.Time{"from": in.From, "to": in.To} {
				if !at.IsZero() {
					filter[name] = at.UTC()
				}
			}
			if err := s.Store.Enter(ctx, audit.Entry{Action: "audit.exported", Target: "audit_log",
				Diff: map[string]any{"format": in.Format, "after_seq": in.After, "to_seq": to, "filter": filter}}); err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				kind := map[string]string{"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}[in.Format]
				hc.SetHeader("Content-Type", kind)
				hc.SetHeader("Content-Disposition", `attachment; filename="audit-log.`+in.Format+`"`)
				s.exportAudit(hc.Context(), hc.BodyWriter().(http.ResponseWriter), f, in.Format == "csv", in.After, to)
			}}, nil
		})
}

// exportAudit writes the file page by page, of which it holds one at a time.
func (s *server) exportAudit(ctx context.Context, w http.ResponseWriter, f store.AuditFilter, asCSV bool, after, to int64) {
	rc, cells, lines := http.NewResponseController(w), csv.NewWriter(w), json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	if asCSV && after == 0 {
		_ = cells.Write(auditColumns) // Flush tells the error
	}
	for {
		page, err := s.Store.AuditChain(ctx, f, after, to, auditAtOnce)
		if err != nil {
			s.Log.WarnContext(ctx, "audit export broken off", "error", err)
			panic(http.ErrAbortHandler) // the reader must not take what it has for the whole
		}
		_ = rc.SetWriteDeadline(time.Now().Add(exportWithin))
		for _, e := range page {
			if asCSV {
				err = cells.Write(auditCells(auditEntryOf(e)))
			} else {
				err = lines.Encode(auditEntryOf(e))
			}
			if err != nil {
				panic(http.ErrAbortHandler) // the reader left
			}
			after = *e.Seq
		}
		if cells.Flush(); cells.Error() != nil {
			panic(http.ErrAbortHandler)
		}
		if len(page) < auditAtOnce {
			return
		}
	}
}

func auditCells(e AuditEntry) []string {
	revision := ""
	if e.PolicyRevision != nil {
		revision = strconv.FormatInt(*e.PolicyRevision, 10)
	}
	return []string{strconv.FormatInt(*e.Seq, 10), e.PrevHash, e.Hash, strconv.FormatInt(e.ID, 10), e.CreatedAt.Format(time.RFC3339Nano),
		cell(e.ActorKind), cell(e.ActorID), cell(e.Actor), cell(e.Action), cell(e.Target), cell(string(e.Diff)), cell(e.Reason), cell(e.RequestID), revision}
}

// auditEvent is what the listeners to the audit log are told; it has no campaign's id.
var auditEvent = uuid.MustParse("00000000-0000-0000-0000-0000000a0d17")

func (s *server) auditEvents(tags []string) {
	register(s, access.AuditRead, huma.Operation{OperationID: "stream-audit-events", Method: http.MethodGet, Path: "/audit/events", Tags: tags,
		Summary: "Watch the audit log",
		Description: "Server-sent events: `audit` with `newest`, the id of the newest entry, and `sealed`, the seq of the newest sealed one, at once and whenever " +
			"one of them changes. The entries themselves are in the list. The stream ends with its session.",
		Responses: map[string]*huma.Response{"200": {Description: "The stream", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(context.Context, *struct{}) (*huma.StreamResponse, error) {
			return s.stream(&listener{audit: true, pending: map[uuid.UUID]event{}, wake: make(chan struct{}, 1), over: make(chan struct{})}), nil
		})
}

// auditMoved is how far the audit log is, as an event.
func (s *server) auditMoved(ctx context.Context) (event, error) {
	newest, sealed, err := s.Store.AuditMoved(ctx)
	body := fmt.Appendf(nil, `{"newest":%d,"sealed":%d}`, newest, sealed)
	return event{kind: "audit", body: body}, err
}
