package store

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
)

// ItemStanding is an item with all that is known of it.
type ItemStanding struct {
	rollout.Standing
	Phase      rollout.Phase
	Outcome    rollout.Outcome
	Open       *rollout.Open // what is open about it; nil: nothing
	Digest     []byte        // of what is attested: whoever signs sends it back; nil: nothing was found yet
	FoundAt    *time.Time    // since when it has been found so
	Build      string        // that looked
	DueAt      *time.Time    // when it is looked at next
	Signatures []ItemSignature
	Refusal    error // why whoever looks may not sign it now; nil: they may
}

// ItemSignature is a signature or a waiver that counted when it was given.
type ItemSignature struct {
	Decided
	Seat    access.Role // "": a waiver
	TakenAt time.Time
	Problem string // why it does not count any more; "": it does
}

// standings are all items of a rollout, in the order of its plan. What counted when a phase was over stays so.
func (s *Store) standings(ctx context.Context, db querier, r Rollout) ([]ItemStanding, error) {
	rows, err := db.Query(ctx, `SELECT i.item, i.due_at, e.outcome, e.summary, e.figures, e.digest, e.at, e.last_at, e.build
		FROM rollout_items i LEFT JOIN rollout_evidence e ON e.id = i.evidence_id WHERE i.rollout = $1`, r.Name)
	if err != nil {
		return nil, unavailable(err)
	}
	found := map[string]ItemStanding{}
	var item string
	var due time.Time
	var outcome *rollout.Outcome
	var summary, build *string
	var figures, digest []byte
	var at, last *time.Time
	if _, err := pgx.ForEachRow(rows, []any{&item, &due, &outcome, &summary, &figures, &digest, &at, &last, &build}, func() error {
		v := ItemStanding{DueAt: new(due)}
		if outcome != nil {
			v.Evidence = &rollout.Evidence{Outcome: *outcome, Summary: *summary}
			v.ProvedAt, v.FoundAt, v.Build, v.Digest = *last, at, *build, slices.Clone(digest)
			if err := json.Unmarshal(figures, &v.Evidence.Figures); err != nil {
				return err
			}
		}
		found[item] = v
		return nil
	}); err != nil {
		return nil, unavailable(err)
	}
	signed, err := signatures(ctx, db, r.Name)
	if err != nil {
		return nil, err
	}
	var all []ItemStanding
	for _, of := range r.Plan.Phases {
		past := slices.Index(rollout.Phases, of.Phase) < slices.Index(rollout.Phases, r.Phase)
		for _, item := range of.Items {
			v := found[item.ID]
			v.Item, v.Phase = item, of.Phase
			if item.Check == "" {
				v.Digest = rollout.Evidence{Values: "their word"}.Digest(r.PlanVersion, item)
			}
			v.count(signed[item.ID], r, past)
			now := r.Now
			if past {
				now = v.ProvedAt
				v.DueAt = nil
			}
			v.Outcome, v.Open = v.Judge(now)
			all = append(all, v)
		}
	}
	return all, nil
}

// count takes over the signatures of an item, newest first, and tells which hold.
func (v *ItemStanding) count(all []ItemSignature, r Rollout, past bool) {
	var seats []access.Role
	for _, g := range all {
		if !past {
			want := v.Digest
			if g.Seat == "" {
				want = rollout.WaiverDigest(r.PlanVersion, v.Item)
			}
			g.Problem = g.problem(want, r.Now)
		}
		v.Signatures = append(v.Signatures, g)
		if g.Problem != "" || slices.Contains(seats, g.Seat) {
			continue
		}
		seats = append(seats, g.Seat) // the newest of a seat counts
		switch {
		case g.Seat == "":
			v.Waived = true
		case g.Verdict == approval.Approved:
			v.Signed = append(v.Signed, g.Seat)
		default:
			v.Refused = append(v.Refused, g.Seat)
		}
	}
}

// problem is why a signature does not count any more.
func (g ItemSignature) problem(digest []byte, now time.Time) string {
	switch {
	case g.VoidedAt != nil || !bytes.Equal(g.Digest, digest):
		return "what was signed has changed since"
	case g.ExpiresAt != nil && !now.Before(*g.ExpiresAt):
		return "it has expired"
	case g.Seat != "" && (g.Actor.Disabled || g.Actor.Role != g.Seat):
		return "whoever signed is not " + rollout.Names([]access.Role{g.Seat}) + " any more"
	}
	return ""
}

// signatures are those of a rollout by item, newest first.
func signatures(ctx context.Context, db querier, name string) (map[string][]ItemSignature, error) {
	rows, err := db.Query(ctx, `SELECT g.item, g.seat, g.taken_at, d.id, d.subject_kind, d.subject_id, d.digest, d.verdict, d.reason, d.actor_id, d.actor_role,
			d.created_at, d.expires_at, d.voided_at, d.void_reason, a.email, a.name, a.role, a.disabled_at IS NOT NULL
		FROM rollout_signatures g JOIN approvals d ON d.id = g.approval_id JOIN accounts a ON a.id = d.actor_id WHERE g.rollout = $1 ORDER BY d.id DESC`, name)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	all := map[string][]ItemSignature{}
	for rows.Next() {
		var item string
		var g ItemSignature
		a := &g.Actor
		if err := rows.Scan(&item, &g.Seat, &g.TakenAt, &g.ID, &g.SubjectKind, &g.SubjectID, &g.Digest, &g.Verdict, &g.Reason, &g.ActorID, &g.ActorRole,
			&g.CreatedAt, &g.ExpiresAt, &g.VoidedAt, &g.VoidReason, &a.Email, &a.Name, &a.Role, &a.Disabled); err != nil {
			return nil, err
		}
		a.ID = g.ActorID
		all[item] = append(all[item], g)
	}
	return all, unavailable(rows.Err())
}

// open is what keeps the gate of the rollout's phase shut.
func (r Rollout) open(all []ItemStanding) []rollout.Open {
	open := []rollout.Open{}
	for _, v := range all {
		if v.Phase == r.Phase && v.Open != nil {
			open = append(open, *v.Open)
		}
	}
	return open
}

// RolloutGate is an order to open a phase, and what became of it.
type RolloutGate struct {
	ID        uuid.UUID
	From, To  rollout.Phase
	AskedBy   Party
	Reason    string
	AskedAt   time.Time
	DecidedAt *time.Time
	Opened    *bool
	Missing   []rollout.Open // what was open when it was refused
}

// RolloutStation is a station that takes part.
type RolloutStation struct {
	ID         uuid.UUID
	Code, Name string
	Bar        string // its code
	EnrolledAt time.Time
}

// RolloutBoard is a rollout as whoever acts in the context sees it.
type RolloutBoard struct {
	Rollout
	Opener   Party // of the phase
	Starter  Party
	Items    []ItemStanding
	Open     []rollout.Open // what keeps the gate shut
	Gates    []RolloutGate  // newest first, 50 at most
	Stations []RolloutStation
}

// RolloutBoard reads the rollout that is under way, with all its items; domain.NotFound of code rollout_not_begun when
// there is none.
func (s *Store) RolloutBoard(ctx context.Context) (b RolloutBoard, err error) {
	err = s.inTx(ctx, func(tx *Tx) error {
		if b.Rollout, err = readRollout(tx.ctx, tx.pgx, `r.ended_at IS NULL`); err != nil {
			return err
		}
		if b.Items, err = s.standings(tx.ctx, tx.pgx, b.Rollout); err != nil {
			return err
		}
		if b.Open, err = s.missing(tx.ctx, tx.pgx, b.Rollout, b.Items); err != nil {
			return err
		}
		burning, err := s.burning(tx.ctx, tx.pgx, b.Rollout)
		if err != nil {
			return err
		}
		b.Open = append(b.Open, burning...)
		if err := tx.maySign(&b); err != nil {
			return err
		}
		if b.Opener, err = tx.party(b.OpenedBy); err == nil {
			b.Starter, err = tx.party(b.StartedBy)
		}
		if err != nil {
			return err
		}
		if b.Gates, err = tx.gates(b.Name); err != nil {
			return err
		}
		b.Stations, err = tx.takingPart(b.Name)
		return err
	})
	return b, err
}

// maySign notes about each item of the phase why whoever acts may not sign it.
func (tx *Tx) maySign(b *RolloutBoard) error {
	who, err := tx.actingAccount(false)
	if err == nil && audit.ActorFrom(tx.ctx).Token != "" {
		err = errToken
	}
	for i := range b.Items {
		v := &b.Items[i]
		if v.Refusal = err; err != nil || v.Item.Kind != rollout.SignOff {
			continue
		}
		if _, v.Refusal = b.itemOfPhase(v.Item.ID); v.Refusal != nil {
			continue
		}
		v.Refusal = v.maySign(who, b.OpenedBy)
	}
	return nil
}

func (v ItemStanding) maySign(who approval.Person, opener uuid.UUID) error {
	switch {
	case !slices.Contains(v.Item.Quorum, who.Role):
		return refusal(approval.WrongRole, "%s signs this item", rollout.Names(v.Item.Quorum))
	case who.ID == opener:
		return refusal(approval.Own, "whoever opened the phase signs nothing in it")
	case v.Evidence == nil && v.Item.Check != "":
		return refusal(rollout.Unproven, "nobody has looked yet at what is to be signed")
	case v.Evidence != nil && v.Evidence.Outcome != rollout.Passed:
		return refusal(rollout.Unproven, "there is nothing to sign yet")
	case slices.Contains(v.Signed, who.Role):
		return refusal(rollout.SignedTwice, "%s has signed it", rollout.Names([]access.Role{who.Role}))
	}
	return nil
}

func (tx *Tx) gates(name string) ([]RolloutGate, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT g.id, g.from_phase, g.to_phase, a.id, a.email, a.name, a.role, a.disabled_at IS NOT NULL, g.reason, g.asked_at, g.decided_at, g.opened, g.missing
		FROM rollout_gates g JOIN accounts a ON a.id = g.asked_by WHERE g.rollout = $1 ORDER BY g.id DESC LIMIT 50`, name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (g RolloutGate, err error) {
		a := &g.AskedBy
		err = row.Scan(&g.ID, &g.From, &g.To, &a.ID, &a.Email, &a.Name, &a.Role, &a.Disabled, &g.Reason, &g.AskedAt, &g.DecidedAt, &g.Opened, &g.Missing)
		return g, err
	})
}

func (tx *Tx) party(id uuid.UUID) (p Party, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT id, email, name, role, disabled_at IS NOT NULL FROM accounts WHERE id = $1`, id).Scan(&p.ID, &p.Email, &p.Name, &p.Role, &p.Disabled)
	return p, err
}

// EvidenceOf lists what was found about an item of the rollout that is under way, newest first, 50 findings at most.
func (s *Store) EvidenceOf(ctx context.Context, name, item string) ([]ItemFinding, error) {
	rows, err := s.pool.Query(ctx, `SELECT outcome, summary, figures, digest, build, plan_version, at, last_at FROM rollout_evidence
		WHERE rollout = $1 AND item = $2 ORDER BY id DESC LIMIT 50`, name, item)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f ItemFinding, err error) {
		return f, row.Scan(&f.Outcome, &f.Summary, &f.Figures, &f.Digest, &f.Build, &f.PlanVersion, &f.At, &f.LastAt)
	})
	return all, unavailable(err)
}

// ItemFinding is what was found about an item, from one time to another.
type ItemFinding struct {
	rollout.Evidence
	Digest      []byte
	Build       string
	PlanVersion int
	At, LastAt  time.Time
}
