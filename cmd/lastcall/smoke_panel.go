package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/store"
)

// smokePanel makes of the group the command that runs the numbered items.
func smokePanel(o *output, cmd *cobra.Command) *cobra.Command {
	s := panelSmoke{output: o, smokeSettings: smokeSettings{why: "smoke", found: map[string]json.RawMessage{}}}
	var items, base string
	cmd.Short = "Run the numbered smoke tests against a running Lastcall and keep the evidence"
	cmd.Long = `Items 1–20 try what the panel offers, 21–30 what the station app does, over HTTP only. Each makes what it needs, with numbers
that nobody has, looks at what came of it, and takes it away again; settings are put back, also when the run is interrupted. Items
21–30 redeem with the toggle mock_redemptions on: nothing is worth anything. Others who work there meanwhile obey those settings.
What cannot be proven is inconclusive, with the reason, and never passed. What was seen is kept at /smoke-runs (kinds admin and
station, each with all of its items) for the rollout's gate. The exit code is 0 only if every item asked for has passed.

It signs in with the accounts of lastcall up. Elsewhere --accounts names a file of the same form: {"accounts":[{"email","password",
"role"}]}, one each of admin and compliance.`
	cmd.Example = "  lastcall smoke\n  lastcall smoke --items 1-20 --base-url https://staging.example --accounts accounts.json --output json"
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		wanted, err := parseItems(items)
		if err != nil {
			return usageError{err}
		}
		if err := s.signIn(base); err != nil {
			return err
		}
		defer s.signOut()
		return s.run(cmd.Context(), wanted)
	}
	cmd.Flags().StringVar(&items, "items", "1-30", "which, like 1-20 or 3,7-11")
	cmd.Flags().StringVar(&base, "base-url", "", "where Lastcall is (default the lastcall up of the data directory, also LASTCALL_API)")
	cmd.Flags().StringVar(&s.accounts, "accounts", "", "a file with accounts to sign in with (default up.json)")
	cmd.Flags().StringVar(&s.station, "station", "", "where to try items 21-29: while only some stations take part, one of them (default one of its own)")
	return cmd
}

// parseItems reads numbers and ranges of numbers from 1 to 30.
func parseItems(text string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			last = first
		}
		a, err := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || a < 1 || b > 30 || a > b {
			return nil, fmt.Errorf("--items takes numbers from 1 to 30, like 1-20 or 3,7-11: not %q", text)
		}
		for n := a; n <= b; n++ {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// panelSmoke is one run of the numbered items.
type panelSmoke struct {
	*output
	smokeSettings
	accounts string // a file of accounts
	station  string // where items 21 to 29 are tried, by its code; "": at one that the run makes
	base     string
	people   map[access.Role]*apiClient // who has signed in, or may
	cleanups []cleanup                  // the last one first

	draft *api.Campaign // the campaign of items 13 to 15
	phone *counterPhone // the phone of items 21 to 29
}

// cleanup takes away what an item made.
type cleanup struct {
	what string
	do   func(ctx context.Context) error
}

// later takes away what an item made, when the run is over.
func (s *panelSmoke) later(what string, do func(ctx context.Context) error) {
	s.cleanups = append(s.cleanups, cleanup{what, do})
}

// smokeItem is one of the thirty.
type smokeItem struct {
	id   int
	name string
	run  func(ctx context.Context) (evidence, error)
}

// list are all items, in the order in which they are run.
func (s *panelSmoke) list() []smokeItem {
	return []smokeItem{
		{1, "dashboard KPIs", s.dashboard},
		{2, "dashboard degraded", s.dashboardDegraded},
		{3, "contacts list and drawer (access audited)", s.contactsList},
		{4, "contacts empty", s.contactsEmpty},
		{5, "template approved and locked", s.templateLocked},
		{6, "template changes requested", s.templateChanges},
		{7, "voucher filters and export", s.voucherFilters},
		{8, "voucher preview", s.voucherPreview},
		{9, "voucher preview degraded", s.voucherPreviewDegraded},
		{10, "issue one voucher", s.issueOne},
		{11, "issue a batch from CSV", s.issueBatch},
		{12, "single send blocked by quiet hours", s.sendBlocked},
		{13, "wizard saves a draft", s.wizardDraft},
		{14, "targets import with mapping", s.targetsImport},
		{15, "campaign start", s.campaignStart},
		{16, "campaign start with the dispatcher down", s.startWithoutDispatcher},
		{17, "stations create, edit, delete", s.stationsCare},
		{18, "exports and expiring links", s.exportsAndLinks},
		{19, "quiet hours changed, effective at once", s.quietHoursAtOnce},
		{20, "bar table QR codes", s.tableCodes},
		{21, "sign-in", s.stationSignIn},
		{22, "home", s.stationHome},
		{23, "redeem by QR", s.redeemByQR},
		{24, "redeem by code", s.redeemByCode},
		{25, "wrong code", s.wrongCode},
		{26, "replay", s.replay},
		{27, "balance", s.stationBalance},
		{28, "history paging", s.historyPaging},
		{29, "offline", s.offline},
		{30, "contrast", s.contrast},
	}
}

const firstStationItem = 21

// unproven is why an item can be neither passed nor failed.
type unproven struct{ error }

// cannotProve says why.
func cannotProve(format string, args ...any) error { return unproven{fmt.Errorf(format, args...)} }

func (s *panelSmoke) run(ctx context.Context, wanted []int) error {
	out := panelSmokeResult{Build: s.admin.build(ctx), Environment: s.base, Items: []store.SmokeItem{}, SmokeRuns: []string{}}
	began := time.Now()
	show := smokeProgress(s.output, len(wanted))
	var notAsked []store.SmokeItem
	for _, item := range s.list() {
		if ctx.Err() != nil {
			break
		}
		if !slices.Contains(wanted, item.id) {
			notAsked = append(notAsked, store.SmokeItem{ID: item.id, Name: item.name, Outcome: store.SmokeInconclusive, Evidence: json.RawMessage(`{"problem":"it was not asked for"}`)})
			continue
		}
		show.begin(item.id, item.name)
		seen, err := s.try(ctx, item)
		out.Items = append(out.Items, seen)
		show.end(item.id, item.name, seen.Outcome, err)
	}
	show.close()
	undone := s.clean(context.WithoutCancel(ctx))
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted; the settings are as they were, nothing was recorded"), undone)
	}
	return errors.Join(s.report(ctx, out, notAsked, began), undone)
}

// try runs one item.
func (s *panelSmoke) try(ctx context.Context, item smokeItem) (store.SmokeItem, error) {
	began := time.Now()
	seen, err := item.run(ctx)
	if seen == nil {
		seen = evidence{}
	}
	seen["seconds"] = float64(time.Since(began).Milliseconds()) / 1000
	outcome := store.SmokePassed
	if err != nil {
		outcome, seen["problem"] = store.SmokeFailed, err.Error()
		if _, open := errors.AsType[unproven](err); open {
			outcome = store.SmokeInconclusive
		}
	}
	raw, failed := json.Marshal(seen)
	if failed != nil {
		raw, outcome, err = json.RawMessage(`{}`), store.SmokeFailed, failed
	}
	return store.SmokeItem{ID: item.id, Name: item.name, Outcome: outcome, Evidence: raw}, err
}

// clean takes away what the run made and puts the settings back. Interrupted or not, it has a minute.
func (s *panelSmoke) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	errs := []error{s.restore(ctx)}
	for _, c := range slices.Backward(s.cleanups) {
		if err := c.do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.what, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("not everything could be put back: %w", err)
	}
	return nil
}

// panelSmokeResult is what a run prints.
type panelSmokeResult struct {
	Build        string            `json:"build"`
	Environment  string            `json:"environment"`
	Passed       int               `json:"passed"`
	Failed       int               `json:"failed"`
	Inconclusive int               `json:"inconclusive"`
	SmokeRuns    []string          `json:"smoke_run_ids"`
	Items        []store.SmokeItem `json:"items"`
}

// report keeps and prints what was seen. Each kind of which an item was asked for is kept with all of its items: a gate
// must not take a part for the whole.
func (s *panelSmoke) report(ctx context.Context, out panelSmokeResult, notAsked []store.SmokeItem, began time.Time) (err error) {
	kinds := map[string][]store.SmokeItem{}
	kindOf := func(id int) string {
		if id >= firstStationItem {
			return store.SmokeStation
		}
		return store.SmokeAdmin
	}
	for _, item := range out.Items {
		kinds[kindOf(item.ID)] = append(kinds[kindOf(item.ID)], item)
		switch item.Outcome {
		case store.SmokePassed:
			out.Passed++
		case store.SmokeInconclusive:
			out.Inconclusive++
		default:
			out.Failed++
		}
	}
	for _, kind := range []string{store.SmokeAdmin, store.SmokeStation} {
		items := kinds[kind]
		if len(items) == 0 {
			continue
		}
		for _, item := range notAsked {
			if kindOf(item.ID) == kind {
				items = append(items, item)
			}
		}
		slices.SortFunc(items, func(a, b store.SmokeItem) int { return cmp.Compare(a.ID, b.ID) })
		var kept api.SmokeRun
		_, failed := s.admin.call(ctx, http.MethodPost, "/smoke-runs", api.NewSmokeRun{Kind: kind, Build: out.Build, Environment: s.base,
			StartedAt: began, FinishedAt: time.Now(), Items: items}, &kept)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("the evidence could not be kept: %w", failed))
			continue
		}
		out.SmokeRuns = append(out.SmokeRuns, kept.SmokeRunID.String())
	}
	err = errors.Join(err, s.print(out, func(t *listing) {
		t.header("", "item", "outcome", "why")
		for _, item := range out.Items {
			var seen struct{ Problem string }
			_ = json.Unmarshal(item.Evidence, &seen) // our own
			t.row(item.ID, item.Name, item.Outcome, seen.Problem)
		}
	}))
	if out.Failed > 0 || out.Inconclusive > 0 {
		err = errors.Join(err, fmt.Errorf("of %d items %d failed and %d are inconclusive", len(out.Items), out.Failed, out.Inconclusive))
	}
	return err
}

// signIn finds out where Lastcall is, and with which accounts to sign in. Nobody signs in before an item wants them to.
func (s *panelSmoke) signIn(base string) error {
	known := struct{ Accounts []upAccount }{}
	base = cmp.Or(base, os.Getenv("LASTCALL_API"))
	if s.accounts == "" {
		up, err := s.sh.readUpFile()
		if err != nil {
			return fmt.Errorf("%w; elsewhere use --base-url and --accounts", err)
		}
		if base = cmp.Or(base, up.API); strings.TrimRight(base, "/") != up.API {
			return usageError{fmt.Errorf("%s is not where this lastcall up runs: name accounts of it with --accounts", base)}
		}
		known.Accounts = up.Accounts
	} else {
		raw, err := os.ReadFile(s.accounts)
		if err != nil {
			return fmt.Errorf("read the accounts: %w", err)
		}
		if json.Unmarshal(raw, &known) != nil { // the error might quote a password
			return fmt.Errorf(`%s must be {"accounts":[{"email","password","role"}]}`, s.accounts)
		}
		if base == "" {
			return usageError{errors.New("--accounts is of a Lastcall elsewhere: say where, with --base-url")}
		}
	}
	s.base = strings.TrimRight(base, "/")
	if u, err := url.Parse(s.base); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return usageError{errors.New("--base-url must be an http:// or https:// address")}
	}
	s.people = map[access.Role]*apiClient{}
	for _, a := range known.Accounts {
		if s.people[a.Role] == nil {
			s.people[a.Role] = &apiClient{base: s.base, visitor: &visitor{credentials: api.Credentials{Email: a.Email, Password: a.Password}}}
		}
	}
	if s.admin = s.people[access.Admin]; s.admin == nil {
		return errors.New("the accounts have none of the role admin, which the items need")
	}
	return nil
}

func (s *panelSmoke) signOut() {
	for _, c := range s.people {
		c.visitor.signOut()
	}
}

// as is somebody of a role, for what the admin may not.
func (s *panelSmoke) as(role access.Role) (*apiClient, error) {
	if c := s.people[role]; c != nil {
		return c, nil
	}
	return nil, cannotProve("there is no account of the role %s to do it with", role)
}

// claims are what an item asserts: the first that is not so is the item's failure.
type claims struct {
	evidence
	err error
}

// that asserts something.
func (k *claims) that(so bool, otherwise string, args ...any) {
	if !so && k.err == nil {
		k.err = fmt.Errorf(otherwise, args...)
	}
}

// refused asserts that a call was refused with a code.
func (k *claims) refused(err error, code string) {
	problem, ok := errors.AsType[*api.Problem](err)
	k.that(ok && problem.Code == code, "instead of being refused as %s: %w", code, orNone(err))
}

// audited asserts that the audit log has an entry of this action about a target, and keeps its id.
func (s *panelSmoke) audited(ctx context.Context, k *claims, action, target string) {
	var page api.AuditPage
	err := s.admin.get(ctx, "/audit/entries", url.Values{"action": {action}, "target": {target}, "limit": {"1"}}, &page)
	k.that(err == nil && len(page.Entries) > 0, "the audit log has no %s of it: %w", action, orNothing(err))
	if len(page.Entries) > 0 {
		k.evidence["audit_"+strings.ReplaceAll(action, ".", "_")] = page.Entries[0].ID
	}
}

// orNothing is err, or says that there was nothing.
func orNothing(err error) error {
	if err == nil {
		return errors.New("nothing was found")
	}
	return err
}
