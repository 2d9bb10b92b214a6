package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/announce"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

// AnnouncementStanding is an announcement of a rollout's plan as it would go out now, and what became of it.
type AnnouncementStanding struct {
	announce.Announcement
	Phase   rollout.Phase
	Letter  announce.Letter // as whole as it can be written now
	Links   []AnnouncementLink
	Runs    []AnnouncementRun // newest first, 20 at most
	Refusal error             // why it may not be sent now; nil: it may
}

// AnnouncementLink is where a link leads, and what was found when it was last looked at.
type AnnouncementLink struct {
	Name, URL string
	Problem   string     // "": it leads somewhere
	CheckedAt *time.Time // nil: nobody has looked
}

// AnnouncementRun is one time that somebody had an announcement sent.
type AnnouncementRun struct {
	ID       uuid.UUID
	State    string // checking, refused or sent
	Problem  string // of refused: why
	Letter   announce.Letter
	Digest   []byte
	By       Party
	At       time.Time // when it was ordered
	Messages []AnnouncementPart
}

// AnnouncementPart is one message of it.
type AnnouncementPart struct {
	Channel     announce.Channel
	List        string // of mail
	Recipients  int    // addresses
	OutboxID    int64
	DeliveredAt *time.Time
	Outcome     string // "": it is on its way
}

// Out reports whether it went out, to everybody.
func (r AnnouncementRun) Out() bool {
	return r.State == "sent" && !slices.ContainsFunc(r.Messages, func(m AnnouncementPart) bool { return m.Outcome != AnnouncementDelivered })
}

// Failed reports whether a message of it will never arrive.
func (r AnnouncementRun) Failed() bool {
	return slices.ContainsFunc(r.Messages, func(m AnnouncementPart) bool { return m.Outcome != AnnouncementDelivered && m.Outcome != "" })
}

// Announcements are all announcements of a rollout's plan, in their order, as whoever acts in the context sees them. It fails with
// domain.NotFound when there is no rollout of this name.
func (s *Store) Announcements(ctx context.Context, name string) (all []AnnouncementStanding, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		r, err := readRollout(tx.ctx, tx.pgx, `r.name = $1`, name)
		if err != nil {
			return err
		}
		all, err = s.announcements(tx.ctx, tx.pgx, r)
		if _, me := tx.actingAccount(false); me != nil || audit.ActorFrom(tx.ctx).Token != "" {
			for i := range all {
				all[i].Refusal = errToken
			}
		}
		return err
	})
	return all, err
}

// announcement is one of them.
func (s *Store) announcement(ctx context.Context, db querier, r Rollout, id string) (AnnouncementStanding, error) {
	all, err := s.announcements(ctx, db, r)
	if err != nil {
		return AnnouncementStanding{}, err
	}
	i := slices.IndexFunc(all, func(a AnnouncementStanding) bool { return a.ID == id })
	if i < 0 {
		return AnnouncementStanding{}, domain.E(domain.NotFound, announce.NotFound, "the plan has no announcement %s", id)
	}
	return all[i], nil
}

func (s *Store) announcements(ctx context.Context, db querier, r Rollout) (all []AnnouncementStanding, err error) {
	var revision int64
	if err := db.QueryRow(ctx, `SELECT coalesce(max(revision), 0) FROM settings_revisions`).Scan(&revision); err != nil {
		return nil, unavailable(err)
	}
	set, err := s.settingsAt(ctx, db, revision)
	if err != nil {
		return nil, err
	}
	items, err := s.standings(ctx, db, r)
	if err != nil {
		return nil, err
	}
	runs, err := announcementRuns(ctx, db, `a.rollout = $1`, r.Name)
	if err != nil {
		return nil, err
	}
	facts := announce.Facts{Rollout: r.Name}
	if turn, ok := set.OnCall.At(r.Now); ok {
		zone, err := time.LoadLocation(set.OnCall.Zone)
		if err != nil {
			zone = time.UTC
		}
		facts.Contact = announce.Contact{Name: turn.Member, Email: turn.Member, Until: announce.Until(turn.Until, zone)}
		err = db.QueryRow(ctx, `SELECT name FROM accounts WHERE email = $1 AND name <> ''`, turn.Member).Scan(&facts.Contact.Name)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return nil, unavailable(err)
		}
	}
	for _, of := range r.Plan.Phases {
		facts.Phase, facts.Next = of.Title, r.Plan.Of(of.Phase.Next()).Title
		for _, a := range of.Announcements {
			v := AnnouncementStanding{Announcement: a, Phase: of.Phase, Runs: runs[a.ID]}
			var missing error
			if v.Letter, missing = a.Write(facts, set.Announcements); missing != nil && domain.KindOf(missing) != domain.Conflict {
				return nil, missing
			}
			if v.Links, err = linkChecks(ctx, db, v.Letter.Links); err != nil {
				return nil, err
			}
			v.Refusal = v.maySend(r, r.open(items), missing)
			all = append(all, v)
		}
	}
	return all, nil
}

// maySend tells why an announcement may not be sent now; nil: it may.
func (v AnnouncementStanding) maySend(r Rollout, open []rollout.Open, missing error) error {
	switch {
	case r.EndedAt != nil:
		return refusal(rollout.WrongPhase, "the rollout has ended")
	case v.Phase != r.Phase:
		return refusal(rollout.WrongPhase, "it goes out in %s, and the rollout is in %s", v.Phase, r.Phase)
	}
	if len(v.Runs) > 0 && !v.Runs[0].At.Before(r.PhaseSince) {
		switch last := v.Runs[0]; {
		case last.Out():
			return refusal(announce.Sent, "it went out already")
		case last.State != "refused" && !last.Failed():
			return refusal(announce.Going, "it is on its way")
		}
	}
	if v.Event == announce.PhaseReady && len(open) > 0 {
		return refusal(announce.Early, "%s is not ready yet: %d items are open", v.Phase, len(open))
	}
	if missing != nil {
		return refusal(domain.CodeOf(missing), "%s", strings.ReplaceAll(missing.Error(), "\n", "; "))
	}
	return nil
}

// announced are the last runs of the announcements of a rollout's phase.
func announced(ctx context.Context, db querier, r Rollout) (map[string]AnnouncementRun, error) {
	runs, err := announcementRuns(ctx, db, `a.rollout = $1 AND a.asked_at >= $2`, r.Name, r.PhaseSince)
	last := map[string]AnnouncementRun{}
	for id, all := range runs {
		last[id] = all[0]
	}
	return last, err
}

// announcementRuns are the runs that fit, by announcement, newest first.
func announcementRuns(ctx context.Context, db querier, where string, args ...any) (map[string][]AnnouncementRun, error) {
	rows, err := db.Query(ctx, `SELECT a.announcement, a.id, a.state, a.problem, a.letter, a.digest, a.asked_at, p.id, p.email, p.name, p.role, p.disabled_at IS NOT NULL
		FROM (SELECT a.*, row_number() OVER (PARTITION BY a.announcement ORDER BY a.id DESC) AS nth FROM announcements a WHERE `+where+`) a
		JOIN accounts p ON p.id = a.sent_by WHERE a.nth <= 20 ORDER BY a.id DESC`, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, at := map[string][]AnnouncementRun{}, map[uuid.UUID]*AnnouncementRun{}
	var order []uuid.UUID
	var of []string
	if _, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var name string
		r := &AnnouncementRun{}
		err := row.Scan(&name, &r.ID, &r.State, &r.Problem, &r.Letter, &r.Digest, &r.At, &r.By.ID, &r.By.Email, &r.By.Name, &r.By.Role, &r.By.Disabled)
		at[r.ID], order, of = r, append(order, r.ID), append(of, name)
		return struct{}{}, err
	}); err != nil {
		return nil, unavailable(err)
	}
	if len(order) == 0 {
		return all, nil
	}
	if rows, err = db.Query(ctx, `SELECT announcement_id, channel, list, recipients, coalesce(outbox_id, 0), delivered_at, coalesce(outcome, '') FROM announcement_messages
		WHERE announcement_id = ANY ($1) ORDER BY id`, order); err != nil {
		return nil, unavailable(err)
	}
	var id uuid.UUID
	var m AnnouncementPart
	if _, err := pgx.ForEachRow(rows, []any{&id, &m.Channel, &m.List, &m.Recipients, &m.OutboxID, &m.DeliveredAt, &m.Outcome}, func() error {
		part := m
		if m.DeliveredAt != nil {
			part.DeliveredAt = new(*m.DeliveredAt)
		}
		at[id].Messages = append(at[id].Messages, part)
		return nil
	}); err != nil {
		return nil, unavailable(err)
	}
	for i, id := range order {
		all[of[i]] = append(all[of[i]], *at[id])
	}
	return all, nil
}
