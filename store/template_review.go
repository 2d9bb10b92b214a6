package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/template"
)

// TemplateFacts are what whoever reviews a version is shown beside what it says: as it was when it was submitted.
type TemplateFacts struct {
	TemplateID uuid.UUID `json:"template_id" format:"uuid"`
	Name       string    `json:"name"`
	Version    int       `json:"version"`
	Category   string    `json:"category"`
	Locales    []string  `json:"locales"`
	Variables  []string  `json:"variables"`
}

// SubmitTemplate asks for the review of a draft as it is now, in the name of the account that acts. known is the revision
// it saw; nil: whichever. It fails with domain.Invalid for all that Check finds, with domain.Conflict when the version is
// no draft, and with domain.Forbidden when no account asks. A refusal is in the audit log.
func (s *Store) SubmitTemplate(ctx context.Context, id uuid.UUID, known *int64, reason string) (Template, error) {
	var t Template
	err := s.Write(ctx, func(tx *Tx) (_ audit.Entry, err error) {
		if t, err = tx.knownTemplate(id, known); err != nil {
			return audit.Entry{}, err
		}
		if t.Status != template.Draft {
			return audit.Entry{}, wrongTemplate(t, "submit", "a draft")
		}
		d := t.Domain()
		if err := d.Check(); err != nil {
			return audit.Entry{}, err
		}
		facts := TemplateFacts{TemplateID: id, Name: t.Name, Version: t.Version, Category: t.Category,
			Locales: slices.Sorted(maps.Keys(t.Texts)), Variables: make([]string, len(t.Variables))}
		for i, v := range t.Variables {
			facts.Variables[i] = v.Name
		}
		subject := templateSubject(id)
		r, err := tx.ask(ask{subject: subject, digest: d.Digest(), facts: facts, reason: reason})
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.edited(subject); err != nil { // who submits it stands for it
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "template.submitted", Target: subject.String(), Reason: reason, Diff: map[string]any{"name": t.Name,
			"version": t.Version, "request_id": r.ID, "digest": hex.EncodeToString(r.Digest)}}, tx.changeTemplate(&t, template.Submitted, nil)
	})
	return t, s.reviewRefused(ctx, id, "submit", err)
}

// ReviewTemplate enters the verdict of the account that acts about a version of this digest: it is approved, or a draft
// again with the reason. It fails with domain.Forbidden for who wrote any of it, submitted it or may not review,
// domain.Stale when it is not what was seen, domain.Conflict when it is not submitted. A refusal is in the audit log.
func (s *Store) ReviewTemplate(ctx context.Context, id uuid.UUID, verdict approval.Verdict, reason string, seen []byte) (Template, error) {
	var t Template
	err := s.Write(ctx, func(tx *Tx) (_ audit.Entry, err error) {
		if t, err = tx.lockTemplateVersion(id); err != nil {
			return audit.Entry{}, err
		}
		if t.Status != template.Submitted {
			return audit.Entry{}, wrongTemplate(t, "review", "submitted")
		}
		if err := tx.notTheirs(id); err != nil {
			return audit.Entry{}, err
		}
		a, err := tx.decide(decision{subject: templateSubject(id), digest: t.Domain().Digest(), seen: seen, verdict: verdict, reason: reason,
			permission: access.TemplatesReview})
		if err != nil {
			return audit.Entry{}, err
		}
		if verdict == approval.Approved {
			err = tx.changeTemplate(&t, template.Approved, &a.ID)
		} else {
			err = tx.changeTemplate(&t, template.Draft, nil)
		}
		return a.entry(), err
	})
	return t, s.reviewRefused(ctx, id, "review", err)
}

// LockTemplate makes an approved version one that nobody can change any more. Whoever wrote any of it cannot; the approval
// must still hold. It fails as ReviewTemplate does.
func (s *Store) LockTemplate(ctx context.Context, id uuid.UUID, known *int64, reason string) (Template, error) {
	var t Template
	err := s.Write(ctx, func(tx *Tx) (_ audit.Entry, err error) {
		if t, err = tx.knownTemplate(id, known); err != nil {
			return audit.Entry{}, err
		}
		if t.Status != template.Approved {
			return audit.Entry{}, wrongTemplate(t, "lock", "approved")
		}
		who, err := tx.actingAccount(true)
		if err == nil {
			err = who.MayDecide(access.TemplatesReview, nil, nil)
		}
		if err == nil {
			err = tx.notTheirs(id)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		digest := t.Domain().Digest()
		if t.ApprovalID != nil {
			if _, err := tx.verifyApproval(*t.ApprovalID, Wanted{templateSubject(id), digest, access.TemplatesReview}); err != nil {
				return audit.Entry{}, err
			}
		}
		return audit.Entry{Action: "template.locked", Target: templateSubject(id).String(), Reason: reason, Diff: map[string]any{"name": t.Name,
			"version": t.Version, "digest": hex.EncodeToString(digest), "role": who.Role}}, tx.changeTemplate(&t, template.Locked, t.ApprovalID)
	})
	return t, s.reviewRefused(ctx, id, "lock", err)
}

// RetireTemplate takes a version out of use for good. Campaigns that are under way with it send nothing more and wait for
// somebody to stop them: with any it is refused, domain.Conflict of code template_in_use, unless confirmed. A refusal is in the audit log.
func (s *Store) RetireTemplate(ctx context.Context, id uuid.UUID, known *int64, reason string, confirmed bool) (Template, error) {
	var t Template
	err := s.Write(ctx, func(tx *Tx) (_ audit.Entry, err error) {
		if t, err = tx.knownTemplate(id, known); err != nil {
			return audit.Entry{}, err
		}
		if t.Status == template.Retired {
			return audit.Entry{}, wrongTemplate(t, "retire", "in use")
		}
		under, err := tx.campaignsOf(id, campaignsUnderWay)
		if err != nil {
			return audit.Entry{}, err
		}
		if under > 0 && !confirmed {
			return audit.Entry{}, domain.E(domain.Conflict, "template_in_use", "%d campaigns are under way with version %d of %s and would send nothing more: confirm it, or stop them first",
				under, t.Version, t.Name)
		}
		subject := templateSubject(id)
		if err := tx.closeRequest(subject, "over"); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.changeTemplate(&t, template.Retired, t.ApprovalID); err != nil {
			return audit.Entry{}, err
		}
		if under > 0 {
			if err := tx.notify("template/"+t.Name, "Template retired: "+t.Name, fmt.Sprintf("Version %d is retired, and %d campaigns under way with it send nothing more. Stop them, or let them be.",
				t.Version, under), "warn"); err != nil {
				return audit.Entry{}, err
			}
			if err := tx.wake(`template_id = $2`, id); err != nil {
				return audit.Entry{}, err
			}
		}
		return audit.Entry{Action: "template.retired", Target: subject.String(), Reason: reason, Diff: map[string]any{"name": t.Name,
			"version": t.Version, "campaigns": under}}, nil
	})
	return t, s.templateRefused(ctx, id, "retire", err)
}

const campaignsUnderWay = `status NOT IN ('draft', 'done', 'stopped', 'failed')`

// notTheirs makes sure that the account that acts has neither written anything of a version nor submitted it.
func (tx *Tx) notTheirs(id uuid.UUID) error {
	who, err := uuid.Parse(audit.ActorFrom(tx.ctx).ID)
	if err != nil {
		return nil // no account: it decides nothing anyway
	}
	subject := templateSubject(id)
	var theirs bool
	err = tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM edits WHERE subject_kind = $1 AND subject_id = $2 AND account_id = $3)`,
		subject.Kind, subject.ID, who).Scan(&theirs)
	if err == nil && theirs {
		return errOwnTemplate
	}
	return err
}

var errOwnTemplate = domain.E(domain.Forbidden, approval.Own, "nobody reviews a template they have written or submitted: somebody else must")

func wrongTemplate(t Template, what, wants string) error {
	return domain.E(domain.Conflict, "wrong_state", "cannot %s version %d of %s: it is %s, and must be %s", what, t.Version, t.Name, t.Status, wants)
}

// reviewRefused enters a refusal in the audit log: those of decisions as such, the others as templateRefused does.
func (s *Store) reviewRefused(ctx context.Context, id uuid.UUID, what string, err error) error {
	if err != nil && strings.HasPrefix(domain.CodeOf(err), "approval_") {
		return s.Refused(ctx, templateSubject(id), uuid.Nil, err)
	}
	return s.templateRefused(ctx, id, what, err)
}

// templatesAsked completes requests about templates: whether they are still what was asked about, and whether whoever acts wrote any of it.
func (tx *Tx) templatesAsked(all []Asked) error {
	var ids []uuid.UUID
	for _, a := range all {
		if id, err := uuid.Parse(a.SubjectID); err == nil && a.SubjectKind == SubjectTemplate {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var templates []Template
	if err := tx.orm.Find(&templates, "id IN ?", ids).Error; err != nil {
		return err
	}
	theirs := map[string]bool{}
	if who, err := uuid.Parse(audit.ActorFrom(tx.ctx).ID); err == nil {
		rows, err := tx.pgx.Query(tx.ctx, `SELECT DISTINCT subject_id FROM edits WHERE subject_kind = $1 AND account_id = $2 AND subject_id = ANY ($3::text[])`,
			SubjectTemplate, who, textsOf(ids))
		if err != nil {
			return err
		}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			theirs[id] = true
		}
		if rows.Err() != nil {
			return rows.Err()
		}
	}
	for i, a := range all {
		if a.SubjectKind != SubjectTemplate {
			continue
		}
		all[i].Changed = true
		for _, t := range templates {
			if t.ID.String() == a.SubjectID {
				all[i].Changed = string(t.Domain().Digest()) != string(a.Digest)
			}
		}
		if a.Refusal == nil && theirs[a.SubjectID] {
			all[i].Refusal = errOwnTemplate
		}
	}
	return nil
}

func textsOf(ids []uuid.UUID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return texts
}

// TemplateReview is all that is known of a version beside what it says.
type TemplateReview struct {
	Template  Template
	Digest    []byte
	Problems  []error // what keeps it from being submitted
	Request   *Asked
	Decisions []Decided // newest first, 50 at most
	Refusal   error     // why whoever acts may not review or lock it; nil: they may
	Started   int       // campaigns that were ever started with it
	UnderWay  int       // of them, under way now
	Authors   []Party   // who wrote any of it or submitted it, the last one first
	Listings  []TemplateListing
	States    []TemplateState
	Tests     []TemplateTest // the newest ten
}

// TemplateReview reads it, as whoever acts in ctx sees it.
func (s *Store) TemplateReview(ctx context.Context, id uuid.UUID) (r TemplateReview, err error) {
	if r.Template, err = s.Template(ctx, id); err != nil {
		return r, err
	}
	subject := templateSubject(id)
	err = s.inTx(ctx, func(tx *Tx) error {
		r = TemplateReview{Template: r.Template}
		if err := tx.orm.First(&r.Template, "id = ?", id).Error; err != nil {
			return err
		}
		d := r.Template.Domain()
		r.Digest = d.Digest()
		if faults, ok := d.Check().(interface{ Unwrap() []error }); ok {
			r.Problems = faults.Unwrap()
		}
		asked, err := tx.asked(`r.subject_kind = $1 AND r.subject_id = $2`, subject.Kind, subject.ID)
		if err == nil {
			err = tx.templatesAsked(asked)
		}
		if err != nil {
			return err
		}
		if len(asked) > 0 {
			r.Request = &asked[0]
		}
		if r.Decisions, err = tx.decisions(subject); err != nil {
			return err
		}
		who, refusal := tx.actingAccount(false)
		if refusal == nil {
			refusal = who.MayDecide(access.TemplatesReview, nil, nil)
		}
		if refusal == nil {
			refusal = tx.notTheirs(id)
		}
		if refusal != nil && domain.KindOf(refusal) == domain.Internal {
			return refusal
		}
		r.Refusal = refusal
		if r.Started, err = tx.campaignsOf(id, `status <> 'draft'`); err != nil {
			return err
		}
		if r.UnderWay, err = tx.campaignsOf(id, campaignsUnderWay); err != nil {
			return err
		}
		if r.Authors, err = tx.authors(subject); err != nil {
			return err
		}
		if err := tx.orm.Order("language").Find(&r.Listings, "name = ?", r.Template.Name).Error; err != nil {
			return err
		}
		if err := tx.orm.Order("language").Find(&r.States, "name = ?", r.Template.Name).Error; err != nil {
			return err
		}
		r.Tests, err = tx.templateTests(id, 10)
		return err
	})
	return r, err
}

// authors are the accounts that edited a subject, the last one first.
func (tx *Tx) authors(subject approval.Subject) (all []Party, err error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT a.id, a.email, a.name, a.role, a.disabled_at IS NOT NULL
		FROM (SELECT account_id, max(id) AS last FROM edits WHERE subject_kind = $1 AND subject_id = $2 GROUP BY account_id) e
		JOIN accounts a ON a.id = e.account_id ORDER BY e.last DESC`, subject.Kind, subject.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p Party
		if err := rows.Scan(&p.ID, &p.Email, &p.Name, &p.Role, &p.Disabled); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// CategoryDiffers reports whether the provider counts a template as something else than it was written as: it decides on
// consent, on limits and on the price.
func CategoryDiffers(t Template, l TemplateListing) bool {
	return l.Category != "" && l.Category != t.Category
}
