package api

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/store"
)

const (
	pollEvery      = 500 * time.Millisecond
	heartbeatEvery = 15 * time.Second
	eventWithin    = 10 * time.Second // a listener that takes longer for one event is cut off
)

func (s *server) events() {
	register(s, access.CampaignsRead, huma.Operation{OperationID: "stream-events", Method: http.MethodGet, Path: "/events", Tags: []string{"Campaigns"},
		Summary: "Watch campaigns",
		Description: "Server-sent events: `campaign` with a campaign as JSON, first for each that is active (or the one asked for), " +
			"then whenever one changes; `import` likewise, as long as a campaign is imported into; without `campaign`, `alerts` with how many alerts fire and wait to be acknowledged, and `edge-functions` with how " +
			"those are and which faults are active, at once and whenever that changes. A comment every 15 s shows that " +
			"the line is alive. After a break, connect again. The stream ends with its session or token.",
		Responses: map[string]*huma.Response{"200": {Description: "The stream", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(ctx context.Context, in *struct {
			Campaign uuid.UUID `query:"campaign" format:"uuid" doc:"Only this one"`
		}) (*huma.StreamResponse, error) {
			l := &listener{only: in.Campaign, pending: map[uuid.UUID]event{}, wake: make(chan struct{}, 1), over: make(chan struct{})}
			if in.Campaign != uuid.Nil {
				p, err := s.Store.Progress(ctx, in.Campaign)
				if err != nil {
					return nil, err
				}
				body, err := json.Marshal(s.campaign(p))
				if err != nil {
					return nil, err
				}
				l.tell(in.Campaign, event{"campaign", in.Campaign, body})
			}
			return s.stream(l), nil
		})
}

// stream is the answer that tells a listener what there is to tell, for as long as it listens.
func (s *server) stream(l *listener) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		v := visitFrom(hc.Context())
		l.session, l.token = v.session.ID, v.token // it ends with the one that has opened it
		hc.SetHeader("Content-Type", "text/event-stream")
		hc.SetHeader("X-Accel-Buffering", "no")
		s.feed.add(l)
		defer s.feed.remove(l)
		l.stream(hc.Context(), s.Closing, hc.BodyWriter().(http.ResponseWriter))
	}}
}

// event is something that is told.
type event struct {
	kind     string // campaign, import, audit, edge-functions or alerts
	campaign uuid.UUID
	body     []byte
}

// listener is one open stream. Of a campaign that changes faster than it reads it gets the newest state.
type listener struct {
	only    uuid.UUID // uuid.Nil: all campaigns
	audit   bool      // the audit log, and no campaigns
	mu      sync.Mutex
	pending map[uuid.UUID]event
	wake    chan struct{}
	session uuid.UUID     // uuid.Nil: a token's
	token   uuid.UUID     // uuid.Nil: a session's
	over    chan struct{} // closed when the session has ended
	end     sync.Once
}

// stream writes what is pending until the caller leaves, stops reading, the session ends or the server closes.
func (l *listener) stream(ctx context.Context, closing <-chan struct{}, w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	next := []byte(": hello\n\n")
	for {
		_ = rc.SetWriteDeadline(time.Now().Add(eventWithin))
		if _, err := w.Write(next); err != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-closing:
			return
		case <-l.over:
			return
		case <-l.wake:
			next = l.take()
		case <-heartbeat.C:
			next = []byte(": still here\n\n")
		}
	}
}

// tell tells of something of a campaign, or of the campaign itself: whatever has this id.
func (l *listener) tell(id uuid.UUID, e event) {
	if l.audit != (e.kind == "audit") || l.only != uuid.Nil && l.only != e.campaign {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending[id] = e
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *listener) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var events bytes.Buffer
	for _, e := range l.pending {
		events.WriteString("event: " + e.kind + "\ndata: ")
		events.Write(e.body)
		events.WriteString("\n\n")
	}
	clear(l.pending)
	return events.Bytes()
}

// feed looks for changes on behalf of all listeners together, and only while there are any.
type feed struct {
	server    *server
	mu        sync.Mutex
	listeners map[*listener]bool
	stop      context.CancelFunc  // of the polling; nil while nobody listens
	last      map[uuid.UUID]event // what was told last
}

func newFeed(s *server) *feed {
	return &feed{server: s, listeners: map[*listener]bool{}}
}

func (f *feed) add(l *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners[l] = true
	for id, e := range f.last {
		l.tell(id, e)
	}
	if f.stop == nil {
		var ctx context.Context
		ctx, f.stop = context.WithCancel(context.Background())
		go f.run(ctx)
	}
}

func (f *feed) remove(l *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, l)
	if len(f.listeners) == 0 {
		f.stop()
		f.stop, f.last = nil, nil
	}
}

// open is how many listen.
func (f *feed) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.listeners)
}

func (f *feed) run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		f.check(ctx)
		f.poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check ends the streams whose session or token was revoked or has expired. While the database does not answer nobody knows,
// and there is nothing to tell either.
func (f *feed) check(ctx context.Context) {
	f.mu.Lock()
	var sessions, tokens []uuid.UUID
	for l := range f.listeners {
		if l.session != uuid.Nil {
			sessions = append(sessions, l.session)
		} else {
			tokens = append(tokens, l.token)
		}
	}
	f.mu.Unlock()
	alive, err := f.alive(ctx, sessions, tokens)
	if err != nil {
		if ctx.Err() == nil {
			f.server.Log.Warn("sessions cannot be watched now", "error", err)
		}
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.listeners {
		if (slices.Contains(sessions, l.session) || slices.Contains(tokens, l.token)) && !alive[l.session] && !alive[l.token] {
			l.end.Do(func() { close(l.over) })
		}
	}
}

// audited reports whether somebody listens to the audit log.
func (f *feed) audited() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.listeners {
		if l.audit {
			return true
		}
	}
	return false
}

// alive returns those of the sessions and tokens that have not ended.
func (f *feed) alive(ctx context.Context, sessions, tokens []uuid.UUID) (map[uuid.UUID]bool, error) {
	alive := map[uuid.UUID]bool{}
	if len(sessions) > 0 {
		found, err := f.server.Store.LiveSessions(ctx, sessions)
		if err != nil {
			return nil, err
		}
		maps.Copy(alive, found)
	}
	if len(tokens) > 0 {
		found, err := f.server.Store.LiveTokens(ctx, tokens)
		if err != nil {
			return nil, err
		}
		maps.Copy(alive, found)
	}
	return alive, nil
}

// poll tells the listeners which campaigns changed since the last time.
func (f *feed) poll(ctx context.Context) {
	const overlap = time.Minute // between our clock and the database's; what did not change is told once all the same
	since := time.Now().Add(-overlap)
	all, err := f.server.Store.ActiveProgress(ctx, since)
	var imports []store.Import
	if err == nil {
		imports, err = f.server.Store.ActiveImports(ctx, since)
	}
	var audited event
	if err == nil && f.audited() {
		audited, err = f.server.auditMoved(ctx)
	}
	var edges event
	if err == nil {
		edges, err = f.server.edgeFunctionsNow(ctx)
	}
	var alerts event
	if err == nil {
		alerts, err = f.server.alertsNow(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			f.server.Log.Warn("campaigns cannot be watched now", "error", err)
		}
		return
	}
	now := make(map[uuid.UUID]event, len(all)+len(imports))
	for _, p := range all {
		if body, err := json.Marshal(f.server.campaign(p)); err == nil {
			now[p.ID] = event{"campaign", p.ID, body}
		}
	}
	for _, i := range imports {
		if body, err := json.Marshal(importOf(i)); err == nil {
			now[i.ID] = event{"import", i.CampaignID, body}
		}
	}
	now[edgeEvent] = edges
	now[alertEvent] = alerts
	if audited.body != nil {
		now[auditEvent] = audited
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return // nobody listens any more, or others do
	}
	for id, e := range now {
		if !bytes.Equal(f.last[id].body, e.body) {
			for l := range f.listeners {
				l.tell(id, e)
			}
		}
	}
	f.last = now
}
