package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/review"
	"lastcall/domain/rollout"
)

// SubjectReview is the kind of a daily review as the subject of approvals.
const SubjectReview = "daily_review"

func reviewSubject(id uuid.UUID) approval.Subject {
	return approval.Subject{Kind: SubjectReview, ID: id.String()}
}

// ReviewsStep is what is to be done next about the reviews of a rollout, for its workflow.
type ReviewsStep struct {
	Over     bool          // no day of the phase is reviewed
	Opened   int           // by this step
	Reminded int           // by this step
	Open     int           // that nobody has signed
	Wait     time.Duration // until the next one opens or is reminded of, by the database's clock; 0: none will be
}

// StepReviews opens the reviews that are due, reminds Ops of those that nobody has signed in time, and tells when to look
// again. It does each once, however often it is called.
func (s *Store) StepReviews(ctx context.Context, name string) (step ReviewsStep, err error) {
	r, factor, hours, err := s.reviewed(ctx, name)
	if err != nil {
		return step, err
	}
	if r.EndedAt != nil || !r.Plan.Reviewed(r.Phase) {
		step.Over = true
		return step, nil
	}
	due, next, err := hours.Due(r.PhaseSince, r.Now, factor)
	if err != nil {
		return step, domain.E(domain.Internal, "stored_setting", "the hours of daily reviews cannot be read").Because(err)
	}
	known, err := reviewDays(ctx, s.pool, r)
	if err != nil {
		return step, err
	}
	for _, day := range due {
		if _, there := known[day.Name]; there {
			continue
		}
		opened, err := s.openReview(ctx, r, day, hours.Location())
		if err != nil {
			return step, err
		}
		if opened {
			step.Opened++
		}
	}
	if step.Reminded, err = s.remindReviews(ctx, r); err != nil {
		return step, err
	}
	var remind *time.Time
	var now time.Time
	err = s.pool.QueryRow(ctx, `SELECT count(*), min(remind_at) FILTER (WHERE reminded_at IS NULL), clock_timestamp() FROM daily_reviews
		WHERE rollout = $1 AND phase_since = $2 AND signed_at IS NULL`, r.Name, r.PhaseSince).Scan(&step.Open, &remind, &now)
	if err != nil {
		return step, unavailable(err)
	}
	for _, at := range []*time.Time{remind, &next.Opens} {
		if at == nil || at.IsZero() {
			continue
		}
		if wait := max(at.Sub(now), time.Millisecond); step.Wait == 0 || wait < step.Wait {
			step.Wait = wait
		}
	}
	return step, nil
}

// reviewed reads what the days of a rollout's phase are reckoned with.
func (s *Store) reviewed(ctx context.Context, name string) (r Rollout, factor int, hours review.Hours, err error) {
	if r, err = readRollout(ctx, s.pool, `r.name = $1`, name); err != nil {
		return r, 0, hours, err
	}
	if factor, err = rolloutFactor(ctx, s.pool, name); err != nil {
		return r, 0, hours, err
	}
	set, err := s.Settings(ctx)
	return r, factor, set.DailyReview, err
}

// rolloutFactor is by what the durations of a rollout are divided: 1, but in a rehearsal.
func rolloutFactor(ctx context.Context, db querier, name string) (factor int, err error) {
	err = db.QueryRow(ctx, `SELECT factor FROM rollouts WHERE name = $1`, name).Scan(&factor)
	return factor, unavailable(err)
}

// reviewDay is a review that was opened, as the check sees it.
type reviewDay struct {
	SignedAt *time.Time
	RemindAt time.Time
}

// reviewDays are the reviews of a rollout's phase, by day.
func reviewDays(ctx context.Context, db querier, r Rollout) (map[string]reviewDay, error) {
	rows, err := db.Query(ctx, `SELECT day, signed_at, remind_at FROM daily_reviews WHERE rollout = $1 AND phase_since = $2`, r.Name, r.PhaseSince)
	if err != nil {
		return nil, unavailable(err)
	}
	all := map[string]reviewDay{}
	var name string
	var d reviewDay
	_, err = pgx.ForEachRow(rows, []any{&name, &d.SignedAt, &d.RemindAt}, func() error {
		one := d
		if d.SignedAt != nil {
			one.SignedAt = new(*d.SignedAt)
		}
		all[name] = one
		return nil
	})
	return all, unavailable(err)
}

// openReview opens the review of a day, unless somebody else has, or the phase is over meanwhile. What it shows is read before
// the transaction, which would hold the rollout for as long as that takes.
func (s *Store) openReview(ctx context.Context, r Rollout, day review.Day, zone *time.Location) (opened bool, err error) {
	snapshot, err := s.reviewSnapshot(ctx, day, zone)
	if err != nil {
		return false, err
	}
	text, err := json.Marshal(snapshot)
	if err != nil {
		return false, err
	}
	digest := sha256.Sum256(text)
	id := uuid.Must(uuid.NewV7())
	err = s.inTx(ctx, func(tx *Tx) error {
		opened = false
		now, err := readRollout(tx.ctx, tx.pgx, `r.name = $1 FOR UPDATE OF r`, r.Name)
		if err != nil || now.EndedAt != nil || !now.PhaseSince.Equal(r.PhaseSince) {
			return err
		}
		took, err := tx.pgx.Exec(tx.ctx, `INSERT INTO daily_reviews (id, rollout, phase, phase_since, day, due_at, remind_at, from_at, to_at, snapshot, digest)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
			id, r.Name, r.Phase, r.PhaseSince, day.Name, day.Opens, day.Reminds, day.From, day.To, text, digest[:])
		if err != nil || took.RowsAffected() == 0 {
			return err
		}
		opened = true
		subject := reviewSubject(id)
		// Whoever opened the phase signs nothing in it.
		if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO edits (subject_kind, subject_id, account_id) VALUES ($1, $2, $3)`, subject.Kind, subject.ID, now.OpenedBy); err != nil {
			return err
		}
		if err := tx.lookAtReviews(now); err != nil {
			return err
		}
		return tx.enter(audit.Entry{Action: "review.opened", Target: r.target(), Diff: map[string]any{"review_id": id, "day": day.Name, "digest": approval.Short(digest[:])}})
	})
	return opened, err
}

// remindReviews tells the Ops channel, once each, which reviews nobody has signed in time.
func (s *Store) remindReviews(ctx context.Context, r Rollout) (reminded int, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		reminded = 0
		now, err := readRollout(tx.ctx, tx.pgx, `r.name = $1 FOR UPDATE OF r`, r.Name)
		if err != nil || now.EndedAt != nil || !now.PhaseSince.Equal(r.PhaseSince) {
			return err
		}
		rows, err := tx.pgx.Query(tx.ctx, `UPDATE daily_reviews SET reminded_at = clock_timestamp()
			WHERE rollout = $1 AND phase_since = $2 AND signed_at IS NULL AND reminded_at IS NULL AND remind_at <= clock_timestamp() RETURNING day`, r.Name, r.PhaseSince)
		if err != nil {
			return err
		}
		days, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(days) == 0 {
			return err
		}
		reminded = len(days)
		if err := tx.lookAtReviews(now); err != nil {
			return err
		}
		if _, err := tx.send(KindOpsNotice, r.target()+"/ops", OpsNotice{Title: "Rollout " + r.Name + ": a daily review is missing", Level: "warn",
			Text: fmt.Sprintf("Nobody has signed the review of %s. Ops or support does, on the page Rollout; until then %s does not open.", strings.Join(days, ", "), r.Phase.Next())}); err != nil {
			return err
		}
		return tx.enter(audit.Entry{Action: "review.reminded", Target: r.target(), Diff: map[string]any{"days": days}})
	})
	return reminded, err
}

// lookAtReviews has the items that ask for reviews looked at again.
func (tx *Tx) lookAtReviews(r Rollout) error {
	for _, item := range r.Plan.Of(r.Phase).Items {
		if item.Check != rollout.DailyReview {
			continue
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE rollout_items SET due_at = clock_timestamp() WHERE rollout = $1 AND item = $2`, r.Name, item.ID); err != nil {
			return err
		}
	}
	_, err := tx.send(KindRolloutChanged, r.target(), RolloutChanged{Name: r.Name})
	return err
}

// watchReviews has the days of a phase reviewed that asks for it.
func (tx *Tx) watchReviews(r Rollout) error {
	if !r.Plan.Reviewed(r.Phase) {
		return nil
	}
	_, err := tx.send(KindReviewsChanged, r.target()+"/reviews", ReviewsChanged{r.Name})
	return err
}

// reviewsChanged has the rollout that is under way look when its next review opens: the hours were changed.
func (tx *Tx) reviewsChanged() error {
	r, err := readRollout(tx.ctx, tx.pgx, `r.ended_at IS NULL`)
	if domain.CodeOf(err) == rollout.NotBegun {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.watchReviews(r)
}

// SignReview enters that the account that acts has looked at a day, with its notes. It fails with domain.Stale of code
// approval_changed when it is not what was seen, with domain.Forbidden for another role than ops and support and for whoever
// opened the phase, and with domain.Conflict of code review_signed, or rollout_phase when the phase is over; a refusal is in
// the audit log.
func (s *Store) SignReview(ctx context.Context, id uuid.UUID, seen []byte, notes string) error {
	subject := reviewSubject(id)
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var name string
		var since time.Time
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT rollout, phase_since FROM daily_reviews WHERE id = $1`, id).Scan(&name, &since); err != nil {
			return audit.Entry{}, notFound(err, "review", id)
		}
		r, err := readRollout(tx.ctx, tx.pgx, `r.name = $1 FOR UPDATE OF r`, name)
		if err != nil {
			return audit.Entry{}, err
		}
		var day string
		var digest []byte
		var signed *time.Time
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT day, digest, signed_at FROM daily_reviews WHERE id = $1 FOR UPDATE`, id).Scan(&day, &digest, &signed); err != nil {
			return audit.Entry{}, err
		}
		switch {
		case signed != nil:
			return audit.Entry{}, domain.E(domain.Conflict, review.Signed, "somebody has signed it already")
		case r.EndedAt != nil || !r.PhaseSince.Equal(since):
			return audit.Entry{}, domain.E(domain.Conflict, rollout.WrongPhase, "its phase is over: nothing is signed any more")
		case strings.TrimSpace(notes) == "":
			return audit.Entry{}, domain.E(domain.Invalid, "no_reason", "say what you have seen").About("notes")
		}
		a, err := tx.decide(decision{subject: subject, digest: digest, seen: seen, verdict: approval.Approved, reason: notes, permission: access.ReviewsSign, unasked: true})
		if domain.CodeOf(err) == approval.Own {
			err = domain.E(domain.Forbidden, approval.Own, "whoever opened the phase signs nothing in it: somebody else must")
		}
		if err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(tx.ctx, `UPDATE daily_reviews SET approval_id = $2, signed_at = $3 WHERE id = $1`, id, a.ID, a.CreatedAt); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.lookAtReviews(r); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.watchReviews(r); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.enter(a.entry()); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "review.signed", Target: r.target(), Reason: notes, Diff: map[string]any{"review_id": id, "day": day, "approval_id": a.ID, "role": a.ActorRole}}, nil
	})
	code := domain.CodeOf(err)
	if err == nil || !strings.HasPrefix(code, "approval_") && code != review.Signed && code != rollout.WrongPhase {
		return err
	}
	if failed := s.Enter(ctx, audit.Entry{Action: "review.refused", Target: subject.String(), Diff: map[string]any{"code": code}}); failed != nil {
		return failed
	}
	return err
}
