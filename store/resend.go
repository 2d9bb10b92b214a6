package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
)

// ResendChoice is which targets of an ended campaign are to be sent to again.
type ResendChoice struct {
	States []campaign.TargetState // of campaign.Resendable
	Codes  []int                  // of those that failed only these of the provider's codes; none: all
}

// ResendOrder orders a resend.
type ResendOrder struct {
	ResendChoice
	Reason           string // for the audit log
	AcceptDuplicates bool   // whoever is unknown may get the message twice; needed for them
	IdempotencyKey   string // of the request, "" for none
	RequestHash      []byte // tells a repeated request from another one with the same key
}

// Resent is what a resend took up again.
type Resent struct {
	N        int           `json:"n" doc:"Which resend of the campaign it is, from 1"`
	Targets  int64         `json:"targets" doc:"Put back into the queue"`
	OptedOut int64         `json:"opted_out" doc:"Chosen as well, but opted out by now: they stay as they were"`
	By       []ResendGroup `json:"by" doc:"By what had become of them, most first"`
}

// ResendGroup is how many targets ended in one way.
type ResendGroup struct {
	State     campaign.TargetState `json:"state" enum:"failed,unknown"`
	Reason    string               `json:"reason,omitempty"`
	ErrorCode int                  `json:"error_code,omitempty" doc:"The provider's"`
	Targets   int64                `json:"targets" doc:"Without those who opted out"`
	WillFail  bool                 `json:"will_fail,omitempty" doc:"The same message to the same recipient will most likely be refused again"`
	delivery.Diagnosis
}

// ResendPreview says what a resend would do.
type ResendPreview struct {
	Resent
	Problems []Finding `json:"problems,omitempty" doc:"What keeps it from being sent again"`
	Warnings []Finding `json:"warnings,omitempty" doc:"What does not, but somebody should know"`
}

// Resend puts chosen targets of an ended campaign back into the queue, opens the campaign again and returns the
// outbox message that starts its next workflow, all in one transaction. Their next attempt has a key of its own;
// a receipt for the last one still settles a target until then. Who has opted out is left out. It fails with
// domain.Conflict when the campaign has not ended or nothing is left to send again, and with domain.Invalid when
// the preflight finds something or duplicates are not accepted. The same idempotency key again changes nothing
// and returns what was done, with message 0.
func (s *Store) Resend(ctx context.Context, id uuid.UUID, o ResendOrder) (done Resent, message int64, err error) {
	if err := o.check(); err != nil {
		return done, 0, err
	}
	if slices.Contains(o.States, campaign.Unknown) && !o.AcceptDuplicates {
		return done, 0, domain.E(domain.Invalid, "accept_duplicates",
			"nobody can tell whether the unknown ones were sent: they may get the message twice, and somebody must accept that").About("accept_duplicates")
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		done, message = Resent{}, 0
		// One at a time: a second click waits here, and finds what the first one did.
		if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "resend/"+id.String()); err != nil {
			return err
		}
		if repeated, err := tx.resent(id, o, &done); err != nil || repeated {
			return err
		}
		if err := s.mayResend(tx.ctx, tx.pgx, id); err != nil {
			return err
		}
		if err := tx.take(id, o.ResendChoice); err != nil {
			return err
		}
		c, err := tx.lockCampaign(id)
		if err != nil {
			return err
		}
		if err := campaign.CheckResend(c.Status); err != nil {
			return err
		}
		if done, err = tx.requeue(id, o.ResendChoice); err != nil {
			return err
		}
		if err := tx.guardSending(s, target(id), c.TemplateID, done.Targets); err != nil {
			return err
		}
		message, err = tx.reopen(c, o, &done)
		return err
	})
	return done, message, err
}

// check refuses choices that mean nothing.
func (c ResendChoice) check() error {
	if len(c.States) == 0 {
		return domain.E(domain.Invalid, "no_states", "say which targets: failed, unknown or both").About("states")
	}
	for _, state := range c.States {
		if !slices.Contains(campaign.Resendable, state) {
			return domain.E(domain.Invalid, "bad_state", "only targets that failed or are unknown can be sent to again").About("states")
		}
	}
	if len(c.Codes) > 0 && !slices.Contains(c.States, campaign.FailedT) {
		return domain.E(domain.Invalid, "codes_without_failed", "codes choose among those that failed, and they are not asked for").About("codes")
	}
	return nil
}

// args are the parameters of chosen.
func (c ResendChoice) args(id uuid.UUID) []any {
	var codes []int32 // null: any
	for _, code := range c.Codes {
		codes = append(codes, int32(code))
	}
	states := make([]string, len(c.States))
	for i, state := range c.States {
		states[i] = string(state)
	}
	return []any{id, states, codes}
}

// chosen picks the targets t of a choice; those whose person was erased are nobody's to choose, and those whose voucher was
// sent by itself since have it.
const chosen = `t.campaign_id = $1 AND t.ended = ANY ($2::text[]) AND t.msisdn LIKE '+%'
	AND (t.state <> 'failed' OR $3::integer[] IS NULL OR t.error_code = ANY ($3))
	AND NOT EXISTS (SELECT FROM sends s JOIN vouchers v ON v.id = s.voucher_id WHERE v.target_id = t.id AND v.campaign_id = t.campaign_id
		AND s.voucher_id IS NOT NULL AND s.state IN ('queued', 'sending', 'sent', 'delivered', 'read'))`

// resent finds what an earlier request with the same key did.
func (tx *Tx) resent(id uuid.UUID, o ResendOrder, done *Resent) (bool, error) {
	if o.IdempotencyKey == "" {
		return false, nil
	}
	var hash []byte
	err := tx.pgx.QueryRow(tx.ctx, `SELECT outcome, request_hash FROM resends WHERE campaign_id = $1 AND idempotency_key = $2`,
		id, o.IdempotencyKey).Scan(done, &hash)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err == nil && string(hash) != string(o.RequestHash):
		return false, domain.E(domain.Invalid, "idempotency_key_reused", "this Idempotency-Key was used for another request").About("Idempotency-Key")
	}
	return err == nil, err
}

// mayResend looks whether the campaign has ended with nothing left in its queue, and whether the preflight would
// let it start.
func (s *Store) mayResend(ctx context.Context, db querier, id uuid.UUID) error {
	problems, err := s.resendProblems(ctx, db, id)
	if err == nil && len(problems) > 0 {
		kind := domain.Invalid
		if problems[0].Code == "wrong_state" {
			kind = domain.Conflict
		}
		err = domain.E(kind, problems[0].Code, "%s", problems[0].Message)
	}
	return err
}

func (s *Store) resendProblems(ctx context.Context, db querier, id uuid.UUID) (problems []Finding, err error) {
	var status campaign.Status
	if err := db.QueryRow(ctx, `SELECT status FROM campaigns WHERE id = $1`, id).Scan(&status); err != nil {
		return nil, notFound(err, "campaign", id)
	}
	if err, wrong := errors.AsType[*domain.Error](campaign.CheckResend(status)); wrong {
		return []Finding{{err.Code, err.Message}}, nil
	}
	check, _, err := s.preflight(ctx, db, id)
	if err != nil {
		return nil, err
	}
	if check.Targets > 0 { // it failed in its middle: whoever sends again must not set off these unasked
		problems = append(problems, Finding{"wrong_state", fmt.Sprintf("cannot resend: %d targets were never tried, because the campaign failed in its middle; recover it first", check.Targets)})
	}
	for _, p := range check.Problems {
		if p.Code != "no_targets" {
			problems = append(problems, p)
		}
	}
	return problems, nil
}

// take locks the chosen targets, in the order of their ids as whoever applies receipts does, and keeps in the table
// taken what had become of them. The campaign is locked after them, and its cohorts last, as everywhere.
func (tx *Tx) take(id uuid.UUID, c ResendChoice) error {
	if _, err := tx.pgx.Exec(tx.ctx, `SET LOCAL work_mem = '64MB'`); err != nil {
		return err
	}
	if _, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE taken (id bigint, state text, reason text, code integer) ON COMMIT DROP`); err != nil {
		return err
	}
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO taken
		SELECT t.id, t.state, coalesce(t.reason, ''), coalesce(t.error_code, 0) FROM targets t
		WHERE `+chosen+` AND NOT EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = t.msisdn_hash)
		ORDER BY t.id FOR UPDATE OF t`, c.args(id)...)
	return wrap(err, "take targets")
}

// requeue puts the taken targets back into the queue, whatever their number in one statement, and tells each of them
// on its timeline.
func (tx *Tx) requeue(id uuid.UUID, c ResendChoice) (done Resent, err error) {
	rows, err := tx.pgx.Query(tx.ctx, `WITH requeued AS (
			UPDATE targets t SET state = 'queued', not_before = NULL, reason = NULL, error_code = NULL, policy_revision = NULL,
				provider_id = NULL, sent_at = NULL, delivered_at = NULL, read_at = NULL, ended_at = NULL
			FROM taken WHERE t.id = taken.id RETURNING t.id, t.attempt),
		told AS (INSERT INTO target_events (target_id, kind, attempt, reason)
			SELECT id, 'requeued', attempt, '`+delivery.Resend+`' FROM requeued)
		SELECT state, reason, code, count(*), 0 FROM taken GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3`)
	if err != nil {
		return done, err
	}
	if err := done.read(rows); err != nil {
		return done, wrap(err, "requeue targets")
	}
	if done.Targets == 0 {
		return done, nothingToResend()
	}
	// What is left of the choice are those who opted out.
	err = tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FROM targets t WHERE `+chosen, c.args(id)...).Scan(&done.OptedOut)
	return done, err
}

func nothingToResend() *domain.Error {
	return domain.E(domain.Conflict, "nothing_to_resend", "no target of the campaign is to be sent to again by this choice")
}

// read reads groups: state, reason, code, how many, and how many of them opted out.
func (r *Resent) read(rows pgx.Rows) error {
	var g ResendGroup
	var out int64
	r.By = []ResendGroup{}
	_, err := pgx.ForEachRow(rows, []any{&g.State, &g.Reason, &g.ErrorCode, &g.Targets, &out}, func() error {
		r.OptedOut += out
		if g.Targets -= out; g.Targets > 0 {
			r.Targets += g.Targets
			g.Diagnosis, g.WillFail = delivery.Diagnose(g.Reason, g.ErrorCode), delivery.Hopeless(g.Reason, g.ErrorCode)
			r.By = append(r.By, g)
		}
		return nil
	})
	return err
}

// reopen gives an ended campaign its next workflow.
func (tx *Tx) reopen(c Campaign, o ResendOrder, done *Resent) (message int64, err error) {
	id := c.ID
	done.N = c.Resend + 1
	if err := tx.change(id, map[string]any{"status": campaign.Scheduled, "gate": campaign.GateOpen, "needs_human": "",
		"finished_at": nil, "report": nil, "resend": done.N}); err != nil {
		return 0, err
	}
	outcome, err := json.Marshal(done)
	if err != nil {
		return 0, err
	}
	if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO resends (campaign_id, n, outcome, idempotency_key, request_hash)
		VALUES ($1, $2, $3, nullif($4, ''), CASE WHEN $4 <> '' THEN $5::bytea END)`, id, done.N, outcome, o.IdempotencyKey, o.RequestHash); err != nil {
		return 0, err
	}
	if err := tx.enter(audit.Entry{Action: "campaign.resent", Target: target(id), Reason: o.Reason, Diff: map[string]any{
		"status": []campaign.Status{c.Status, campaign.Scheduled}, "resend": done.N, "targets": done.Targets, "opted_out": done.OptedOut,
		"states": o.States, "codes": o.Codes, "accept_duplicates": o.AcceptDuplicates, "by": done.audited()}}); err != nil {
		return 0, err
	}
	return tx.send(KindStartCampaign, target(id), StartCampaign{CampaignID: id, Name: c.Name, Targets: done.Targets, Resend: done.N})
}

// audited are the counts without the explanations.
func (r *Resent) audited() []map[string]any {
	all := make([]map[string]any, len(r.By))
	for i, g := range r.By {
		all[i] = map[string]any{"state": g.State, "reason": g.Reason, "error_code": g.ErrorCode, "targets": g.Targets}
	}
	return all
}

// PreviewResend tells what a resend would take up and what somebody should know before ordering it.
func (s *Store) PreviewResend(ctx context.Context, id uuid.UUID, c ResendChoice) (p ResendPreview, err error) {
	if err := c.check(); err != nil {
		return p, err
	}
	if p.Problems, err = s.resendProblems(ctx, s.pool, id); err != nil {
		return p, unavailable(err)
	}
	if err := s.pool.QueryRow(ctx, `SELECT resend + 1 FROM campaigns WHERE id = $1`, id).Scan(&p.N); err != nil {
		return p, unavailable(err)
	}
	rows, err := s.pool.Query(ctx, `SELECT t.state, coalesce(t.reason, ''), coalesce(t.error_code, 0), count(*), count(o.msisdn_hash)
		FROM targets t LEFT JOIN opt_outs o USING (msisdn_hash) WHERE `+chosen+` GROUP BY 1, 2, 3 ORDER BY count(*) - count(o.msisdn_hash) DESC, 1, 2, 3`, c.args(id)...)
	if err == nil {
		err = p.read(rows)
	}
	if err != nil {
		return p, unavailable(err)
	}
	p.warn()
	return p, nil
}

func (p *ResendPreview) warn() {
	var unknown, hopeless int64
	for _, g := range p.By {
		if g.State == campaign.Unknown {
			unknown += g.Targets
		}
		if g.WillFail {
			hopeless += g.Targets
		}
	}
	if p.Targets == 0 {
		p.Problems = append(p.Problems, Finding{"nothing_to_resend", nothingToResend().Message})
	}
	if unknown > 0 {
		p.Warnings = append(p.Warnings, Finding{"may_duplicate", fmt.Sprintf("%d of %d targets are unknown: those that were sent after all get the message twice; a receipt that still comes before their turn takes them out", unknown, p.Targets)})
	}
	if hopeless > 0 {
		p.Warnings = append(p.Warnings, Finding{"will_fail", fmt.Sprintf("%d of %d targets will most likely be refused again for the same reason; choose others by their codes", hopeless, p.Targets)})
	}
	if p.OptedOut > 0 {
		p.Warnings = append(p.Warnings, Finding{"opted_out", fmt.Sprintf("%d more opted out by now and are left out", p.OptedOut)})
	}
}
