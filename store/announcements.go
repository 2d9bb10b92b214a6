package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lastcall/domain"
	"lastcall/domain/announce"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

// SendAnnouncement has an announcement of a rollout sent as it was looked at, in the name of the account that acts, and returns
// its id and the outbox message that tells the workflow: its links are looked at first, and it goes if all of them lead
// somewhere. It fails with domain.NotFound of code announcement_not_found; with domain.Stale of code announcement_changed when
// it is not what was seen any more; and with domain.Conflict of code rollout_phase in another phase, announcement_early before
// its event has come, announcement_sent or announcement_going, and announcement_no_list, announcement_no_link or
// announcement_no_contact while something is missing. A refusal is in the audit log.
func (s *Store) SendAnnouncement(ctx context.Context, name, announcement string, seen []byte) (id uuid.UUID, message int64, err error) {
	target := "rollout/" + name
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		who, err := tx.actingAccount(true)
		if err != nil {
			return audit.Entry{}, err
		}
		if audit.ActorFrom(tx.ctx).Token != "" {
			return audit.Entry{}, errToken
		}
		r, err := readRollout(tx.ctx, tx.pgx, `r.name = $1 FOR UPDATE OF r`, name)
		if err != nil {
			return audit.Entry{}, err
		}
		a, err := s.announcement(tx.ctx, tx.pgx, r, announcement)
		if err != nil {
			return audit.Entry{}, err
		}
		if a.Refusal != nil {
			return audit.Entry{}, a.Refusal
		}
		digest := a.Letter.Digest()
		if !bytes.Equal(digest, seen) {
			return audit.Entry{}, domain.E(domain.Stale, announce.Changed, "it is not what you looked at any more; look at it again")
		}
		letter, err := json.Marshal(a.Letter)
		if err != nil {
			return audit.Entry{}, err
		}
		id = uuid.Must(uuid.NewV7())
		_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO announcements (id, rollout, announcement, phase, plan_version, letter, digest, sent_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			id, r.Name, announcement, r.Phase, r.PlanVersion, letter, digest, who.ID)
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "announcements_checking" {
			err = refusal(announce.Going, "it is on its way")
		}
		if err != nil {
			return audit.Entry{}, err
		}
		message, err = tx.send(KindAnnounce, r.target()+"/"+announcement, Announce{Rollout: r.Name, Announcement: announcement, ID: id.String()})
		return audit.Entry{Action: "announcement.ordered", Target: target, Diff: map[string]any{"announcement": announcement, "announcement_id": id,
			"digest": hex.EncodeToString(digest), "recipients": a.Letter.To()}}, err
	})
	return id, message, s.refuseAnnouncement(ctx, target, announcement, err)
}

// refuseAnnouncement enters in the audit log why an announcement was not sent, and returns that.
func (s *Store) refuseAnnouncement(ctx context.Context, target, announcement string, why error) error {
	kind := domain.KindOf(why)
	if why == nil || kind != domain.Conflict && kind != domain.Stale && kind != domain.Forbidden {
		return why
	}
	if err := s.Enter(ctx, audit.Entry{Action: "announcement.refused", Target: target, Diff: map[string]any{"announcement": announcement, "code": domain.CodeOf(why)}}); err != nil {
		return err
	}
	return why
}

// CheckAnnouncement has the links of an announcement looked at, before anybody sends it, and returns the outbox message that
// tells the workflow and since when what is found is new.
func (s *Store) CheckAnnouncement(ctx context.Context, name, announcement string) (message int64, since time.Time, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		r, err := readRollout(tx.ctx, tx.pgx, `r.name = $1`, name)
		if err != nil {
			return audit.Entry{}, err
		}
		if _, err := s.announcement(tx.ctx, tx.pgx, r, announcement); err != nil {
			return audit.Entry{}, err
		}
		since = r.Now
		message, err = tx.send(KindAnnounce, r.target()+"/"+announcement, Announce{Rollout: name, Announcement: announcement})
		return audit.Entry{Action: "announcement.previewed", Target: r.target(), Diff: map[string]any{"announcement": announcement}}, err
	})
	return message, since, err
}

// LinksOf are the links of an announcement, as the settings have them now. private tells that messages go to the sandbox: then
// links may lead to this machine, too.
func (s *Store) LinksOf(ctx context.Context, name, announcement string) (all []string, private bool, err error) {
	r, err := readRollout(ctx, s.pool, `r.name = $1`, name)
	if err != nil {
		return nil, false, err
	}
	a, _, ok := r.Plan.Announcement(announcement)
	if !ok {
		return nil, false, domain.E(domain.NotFound, announce.NotFound, "the plan has no announcement %s", announcement)
	}
	set, err := s.Settings(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, link := range a.Links {
		if url := set.Announcements.Links[link]; url != "" {
			all = append(all, url)
		}
	}
	return all, s.sandbox, nil
}

// RecordLinks keeps what was found about links: by each, what is wrong with it; "": it leads somewhere.
func (s *Store) RecordLinks(ctx context.Context, found map[string]string) error {
	for url, problem := range found {
		if _, err := s.pool.Exec(ctx, `INSERT INTO link_checks (url, problem) VALUES ($1, left($2, 200))
			ON CONFLICT (url) DO UPDATE SET problem = excluded.problem, checked_at = clock_timestamp()`, url, problem); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// AnnouncementGoes hands an announcement to the outbox if each of its links was found to lead somewhere after it was ordered,
// and reports whether it did; else it is refused, for good: whoever sent it sends it anew. It does so once, however often it
// is called.
func (s *Store) AnnouncementGoes(ctx context.Context, id uuid.UUID) (went bool, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		went = false
		var name, announcement, state string
		var letter announce.Letter
		var digest []byte
		var by uuid.UUID
		var asked time.Time
		err := tx.pgx.QueryRow(tx.ctx, `SELECT rollout, announcement, state, letter, digest, sent_by, asked_at FROM announcements WHERE id = $1 FOR UPDATE`, id).
			Scan(&name, &announcement, &state, &letter, &digest, &by, &asked)
		if err != nil {
			return notFound(err, "announcement", id)
		}
		if state != "checking" {
			went = state == "sent"
			return nil
		}
		checks, err := linkChecks(tx.ctx, tx.pgx, letter.Links)
		if err != nil {
			return err
		}
		diff := map[string]any{"announcement": announcement, "announcement_id": id, "digest": hex.EncodeToString(digest), "ordered_by": by, "recipients": letter.To()}
		entry := audit.Entry{Action: "announcement.sent", Target: "rollout/" + name, Diff: diff}
		if problem := deadLinks(checks, asked); problem != "" {
			if _, err := tx.pgx.Exec(tx.ctx, `UPDATE announcements SET state = 'refused', decided_at = clock_timestamp(), problem = $2 WHERE id = $1`, id, short(problem)); err != nil {
				return err
			}
			entry.Action = "announcement.refused"
			diff["code"] = announce.DeadLink
			return tx.enter(entry)
		}
		messages, err := tx.hand(id, letter)
		if err != nil {
			return err
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE announcements SET state = 'sent', decided_at = clock_timestamp() WHERE id = $1`, id); err != nil {
			return err
		}
		went = true
		diff["messages"] = messages
		return tx.enter(entry)
	})
	return went, err
}

// deadLinks says which links lead nowhere, or were not looked at since.
func deadLinks(checks []AnnouncementLink, since time.Time) (problem string) {
	for _, l := range checks {
		why := l.Problem
		if l.CheckedAt == nil || l.CheckedAt.Before(since) {
			why = "nobody could look"
		}
		if why != "" {
			if problem != "" {
				problem += "; "
			}
			problem += "the link " + l.Name + ": " + why
		}
	}
	return problem
}

// hand puts the messages of an announcement into the outbox and returns their ids there.
func (tx *Tx) hand(id uuid.UUID, letter announce.Letter) (outbox []int64, err error) {
	put := func(channel announce.Channel, list string, recipients int) error {
		message := uuid.Must(uuid.NewV7())
		n, err := tx.send(KindAnnouncement, "announcement/"+message.String(), AnnouncementMessage{message})
		if err == nil {
			_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO announcement_messages (id, announcement_id, channel, list, recipients, outbox_id) VALUES ($1, $2, $3, $4, $5, $6)`,
				message, id, channel, list, recipients, n)
		}
		outbox = append(outbox, n)
		return err
	}
	for _, channel := range letter.Channels {
		if channel == announce.Ops {
			if err := put(channel, "", 0); err != nil {
				return nil, err
			}
			continue
		}
		lists := make([]string, 0, len(letter.Lists))
		for name := range letter.Lists {
			lists = append(lists, name)
		}
		slices.Sort(lists)
		for _, name := range lists {
			if err := put(channel, name, len(letter.Lists[name])); err != nil {
				return nil, err
			}
		}
	}
	return outbox, nil
}

// AnnouncementMail is one message of an announcement, to be delivered.
type AnnouncementMail struct {
	Channel announce.Channel
	To      []string // of mail
	Letter  announce.Letter
	Gone    bool // it was delivered before
}

// AnnouncementToDeliver reads a message of an announcement.
func (s *Store) AnnouncementToDeliver(ctx context.Context, message uuid.UUID) (m AnnouncementMail, err error) {
	var list string
	err = s.pool.QueryRow(ctx, `SELECT m.channel, m.list, m.delivered_at IS NOT NULL, a.letter FROM announcement_messages m JOIN announcements a ON a.id = m.announcement_id WHERE m.id = $1`, message).
		Scan(&m.Channel, &list, &m.Gone, &m.Letter)
	m.To = m.Letter.Lists[list]
	return m, notFound(err, "announcement", message)
}

// The outcomes of a message of an announcement.
const (
	AnnouncementDelivered = "delivered"
	AnnouncementNoChannel = "no_channel" // nothing is set that could carry it
	AnnouncementRefused   = "refused"    // it will never be taken
)

// AnnouncementDone notes what became of a message of an announcement. With the last one delivered the rollout looks whether
// its gate waits for anything else.
func (s *Store) AnnouncementDone(ctx context.Context, message uuid.UUID, outcome string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		var id uuid.UUID
		var name, announcement string
		// The announcement is locked, so that of two that are last one knows.
		err := tx.pgx.QueryRow(tx.ctx, `SELECT a.id, a.rollout, a.announcement FROM announcements a JOIN announcement_messages m ON m.announcement_id = a.id WHERE m.id = $1 FOR UPDATE OF a`, message).
			Scan(&id, &name, &announcement)
		if err != nil {
			return notFound(err, "announcement", message)
		}
		took, err := tx.pgx.Exec(tx.ctx, `UPDATE announcement_messages SET delivered_at = clock_timestamp(), outcome = $2 WHERE id = $1 AND delivered_at IS NULL`, message, outcome)
		if err != nil || took.RowsAffected() == 0 {
			return err
		}
		var left, failed int
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FILTER (WHERE outcome IS NULL), count(*) FILTER (WHERE outcome <> 'delivered') FROM announcement_messages WHERE announcement_id = $1`, id).
			Scan(&left, &failed); err != nil || left > 0 {
			return err
		}
		if _, err := tx.send(KindRolloutChanged, "rollout/"+name, RolloutChanged{Name: name}); err != nil {
			return err
		}
		action := "announcement.delivered"
		if failed > 0 {
			action = "announcement.undelivered"
		}
		return tx.enter(audit.Entry{Action: action, Target: "rollout/" + name, Diff: map[string]any{"announcement": announcement, "announcement_id": id, "not_delivered": failed}})
	})
}

// linkChecks are what was found about links, by their names in order.
func linkChecks(ctx context.Context, db querier, links map[string]string) ([]AnnouncementLink, error) {
	all := make([]AnnouncementLink, 0, len(links))
	urls := make([]string, 0, len(links))
	for name, url := range links {
		all, urls = append(all, AnnouncementLink{Name: name, URL: url}), append(urls, url)
	}
	slices.SortFunc(all, func(a, b AnnouncementLink) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	rows, err := db.Query(ctx, `SELECT url, problem, checked_at FROM link_checks WHERE url = ANY ($1)`, urls)
	if err != nil {
		return nil, unavailable(err)
	}
	var url, problem string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&url, &problem, &at}, func() error {
		for i := range all {
			if all[i].URL == url {
				all[i].Problem, all[i].CheckedAt = problem, new(at)
			}
		}
		return nil
	})
	return all, unavailable(err)
}

// missing is what keeps the gate of a rollout's phase shut: items that are open, and announcements that did not go out.
func (s *Store) missing(ctx context.Context, db querier, r Rollout, items []ItemStanding) ([]rollout.Open, error) {
	open := r.open(items)
	of := r.Plan.Of(r.Phase)
	if len(of.Announcements) == 0 {
		return open, nil
	}
	sent, err := announced(ctx, db, r)
	if err != nil {
		return nil, err
	}
	for _, a := range of.Announcements {
		last, there := sent[a.ID]
		why := "it has not been announced"
		switch {
		case there && last.Out():
			continue
		case there && last.State == "refused":
			why = "it did not go out: " + last.Problem
		case there && last.Failed():
			why = "it reached nobody: nothing is set that could carry it, or it was refused"
		case there:
			why = "its announcement is on its way"
		}
		open = append(open, rollout.Open{Item: a.ID, Code: announce.Missing, Why: fmt.Sprintf("%s: “%s”", why, strings.TrimSuffix(a.Text, "."))})
	}
	return open, nil
}
