package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/alert"
)

// noticeOf is what tells one notice from another: those of one group are told together.
type noticeOf struct {
	channel alert.Channel
	kind    string // of the first line; "watchdog" has none
	group   string
	drill   bool
}

// line is one thing that a notice tells.
type line struct {
	alert uuid.UUID
	kind  string
}

// notice puts lines into the notice of their group that has not gone yet, or makes one. So a channel that is down gets each
// thing once when it is back, not each try. The outbox delivers it: it holds only the notice's id.
func (tx *Tx) notice(of noticeOf, lines ...line) (id uuid.UUID, err error) {
	// Whoever is about to send it locks the row first, so nothing joins a notice that is on its way.
	err = tx.pgx.QueryRow(tx.ctx, `SELECT id FROM alert_notices WHERE channel = $1 AND group_name = $2 AND is_drill = $3 AND delivered_at IS NULL AND going_at IS NULL
		AND kind <> 'watchdog' ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED`, of.channel, of.group, of.drill).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		id = uuid.Must(uuid.NewV7())
		_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO alert_notices (id, channel, kind, group_name, is_drill) VALUES ($1, $2, $3, $4, $5)`, id, of.channel, of.kind, of.group, of.drill)
		if err == nil {
			_, err = tx.send(KindAlertNotice, "alerts/"+string(of.channel), AlertNotice{id})
		}
	}
	if err != nil {
		return id, wrap(err, "make a notice")
	}
	ids, kinds := make([]uuid.UUID, len(lines)), make([]string, len(lines))
	for i, l := range lines {
		ids[i], kinds[i] = l.alert, l.kind
	}
	_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO alert_notice_lines (notice_id, alert_id, kind) SELECT $1, x.* FROM unnest($2::uuid[], $3::text[]) x ON CONFLICT DO NOTHING`, id, ids, kinds)
	return id, wrap(err, "fill a notice")
}

// groupOf is alerts that are told together.
type groupOf struct {
	name  string
	drill bool
}

// tell writes what people are to be told now: what fires and is no symptom, what nobody has acknowledged for long, and what of
// all that is over. A group waits a little for others of it, and does not speak too often.
func (l *looking) tell() error {
	groups := map[groupOf][]line{}
	first := map[groupOf]time.Time{} // when the oldest of what is new began; zero: something that waits for nothing
	channels := map[groupOf][]alert.Channel{}
	add := func(a *Alert, kind string, since time.Time) {
		g := groupOf{a.Group, a.IsDrill}
		if at, there := first[g]; !there || since.Before(at) {
			first[g] = since
		}
		groups[g] = append(groups[g], line{a.ID, kind})
		rule, _ := l.rules.Of(a.Rule)
		notify := rule.Notify
		if len(notify) == 0 { // the rule is gone
			notify = []alert.Channel{alert.OpsChannel}
		}
		for _, c := range notify {
			if !slices.Contains(channels[g], c) {
				channels[g] = append(channels[g], c)
			}
		}
	}
	for _, a := range l.open {
		switch {
		case a.State != alert.Firing || !a.told():
		case a.NotifiedAt == nil:
			add(a, "firing", *a.FiredAt)
		case a.AcknowledgedAt == nil && l.now.Sub(*a.NotifiedAt) >= l.rules.Repeat:
			add(a, "repeat", time.Time{})
		}
	}
	rows, err := l.tx.pgx.Query(l.tx.ctx, `SELECT `+alertColumns+` FROM alerts a WHERE a.state = 'resolved' AND a.notified_at IS NOT NULL AND NOT a.resolve_told ORDER BY a.id`)
	if err != nil {
		return err
	}
	over, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Alert, error) { return scanAlert(row) })
	if err != nil {
		return wrap(err, "read what is over")
	}
	for i := range over {
		add(&over[i], "resolved", time.Time{})
	}
	for _, g := range slices.SortedFunc(maps.Keys(groups), func(a, b groupOf) int { return cmp.Compare(a.name, b.name) }) {
		if l.now.Sub(first[g]) < l.rules.GroupWait {
			continue
		}
		var going bool
		var last *time.Time // a notice that has gone; one that waits is joined, so it holds nothing back
		if err := l.tx.pgx.QueryRow(l.tx.ctx, `SELECT coalesce(bool_or(going_at IS NOT NULL AND delivered_at IS NULL), false), max(created_at) FILTER (WHERE delivered_at IS NOT NULL)
			FROM alert_notices WHERE group_name = $1 AND is_drill = $2 AND (created_at > $3::timestamptz OR delivered_at IS NULL)`, g.name, g.drill, l.now.Add(-l.rules.GroupInterval)).
			Scan(&going, &last); err != nil {
			return err
		}
		if going || last != nil {
			continue
		}
		if err := l.tellGroup(g, channels[g], groups[g]); err != nil {
			return err
		}
	}
	return nil
}

func (l *looking) tellGroup(g groupOf, channels []alert.Channel, lines []line) error {
	for _, c := range channels {
		if _, err := l.tx.notice(noticeOf{c, lines[0].kind, g.name, g.drill}, lines...); err != nil {
			return err
		}
	}
	fire, over := []uuid.UUID{}, []uuid.UUID{}
	for _, one := range lines {
		if one.kind == "resolved" {
			over = append(over, one.alert)
		} else {
			fire = append(fire, one.alert)
		}
	}
	_, err := l.tx.pgx.Exec(l.tx.ctx, `UPDATE alerts SET notified_at = CASE WHEN id = ANY ($1) THEN $3 ELSE notified_at END, resolve_told = id = ANY ($2) WHERE id = ANY ($1) OR id = ANY ($2)`,
		fire, over, l.now)
	return wrap(err, "note what was told")
}

// watchdog has the Ops channel hear something now and then, so that silence means that all is well.
func (l *looking) watchdog() error {
	var last time.Time
	err := l.tx.pgx.QueryRow(l.tx.ctx, `SELECT greatest((SELECT max(created_at) FROM alert_notices WHERE channel = 'ops'), (SELECT created_at FROM installation))`).Scan(&last)
	if err != nil || l.now.Sub(last) < l.rules.Watchdog {
		return wrap(err, "look when something was told")
	}
	_, err = l.tx.notice(noticeOf{alert.OpsChannel, "watchdog", "watchdog", false})
	return err
}

// Notice is a message to a channel, to be written.
type Notice struct {
	ID      uuid.UUID
	Number  int64
	Channel alert.Channel
	Kind    string
	IsDrill bool
	Gone    bool // it was delivered before
	Lines   []alert.Line
}

// NoticeGoes takes a notice to be sent: what it says is what holds now, and nothing joins it any more.
func (s *Store) NoticeGoes(ctx context.Context, id uuid.UUID) (n Notice, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		n = Notice{ID: id}
		err := tx.pgx.QueryRow(tx.ctx, `UPDATE alert_notices SET attempts = attempts + 1, going_at = CASE WHEN delivered_at IS NULL THEN clock_timestamp() END WHERE id = $1
			RETURNING number, channel, kind, is_drill, delivered_at IS NOT NULL`, id).Scan(&n.Number, &n.Channel, &n.Kind, &n.IsDrill, &n.Gone)
		if err != nil {
			return notFound(err, "notice", id)
		}
		rows, err := tx.pgx.Query(tx.ctx, `SELECT l.kind, a.id, a.title, a.subject, a.severity, a.state, coalesce(a.fired_at, a.pending_since), a.resolved_at,
				coalesce(a.acknowledged_by, ''), a.evidence, coalesce(i.number, 0), a.runbook
			FROM alert_notice_lines l JOIN alerts a ON a.id = l.alert_id LEFT JOIN incidents i ON i.id = a.incident_id WHERE l.notice_id = $1 ORDER BY a.fired_at, a.id, l.kind`, id)
		if err != nil {
			return err
		}
		n.Lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one alert.Line, err error) {
			var alertID uuid.UUID
			var raw json.RawMessage
			var evidence []AlertSample
			if err = row.Scan(&one.Kind, &alertID, &one.Title, &one.Subject, &one.Severity, &one.State, &one.Since, &one.ResolvedAt, &one.AcknowledgedBy, &raw, &one.Incident, &one.Runbook); err == nil {
				err = json.Unmarshal(raw, &evidence)
			}
			one.AlertID = alertID.String()
			if len(evidence) > 0 {
				one.Found = evidence[len(evidence)-1].Detail
			}
			return one, err
		})
		return err
	})
	return n, err
}

// NoticeGone notes that the channel took a notice (outcome delivered), or that there is none (no_channel).
func (s *Store) NoticeGone(ctx context.Context, id uuid.UUID, outcome string) error {
	_, err := s.pool.Exec(ctx, `UPDATE alert_notices SET delivered_at = clock_timestamp(), going_at = NULL, outcome = $2, error = '' WHERE id = $1 AND delivered_at IS NULL`, id, outcome)
	return unavailable(err)
}

// NoticeFailed notes that the channel did not take a notice: it is tried again, and what belongs to its group joins it meanwhile.
func (s *Store) NoticeFailed(ctx context.Context, id uuid.UUID, why string) error {
	_, err := s.pool.Exec(ctx, `UPDATE alert_notices SET going_at = NULL, error = left($2, 300) WHERE id = $1 AND delivered_at IS NULL`, id, why)
	return unavailable(err)
}
