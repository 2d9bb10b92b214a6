package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/rollout"
	"lastcall/fixtures"
	"lastcall/store"
	"lastcall/store/storetest"
)

// proofs is a city whose plan has one item of each check, named as it, in a phase of choice.
func proofs(t *testing.T, phase rollout.Phase, checks ...string) *city {
	t.Helper()
	c := openCity(t)
	for i, of := range c.plan.Phases {
		if of.Phase == phase {
			c.plan.Phases[i].Items = nil
			for _, check := range checks {
				c.plan.Phases[i].Items = append(c.plan.Phases[i].Items, rollout.Item{ID: strings.ReplaceAll(check, "_", "-"), Text: check, Kind: rollout.Check, Owner: "ops",
					Check: check, Threshold: 90, Every: time.Hour, StaleAfter: 7 * 24 * time.Hour})
			}
		}
	}
	c.begin(t)
	if phase != rollout.Staging {
		c.in(t, phase)
		for _, item := range c.plan.Of(phase).Items {
			c.exec(t, `INSERT INTO rollout_items (rollout, item) VALUES ('kigali', $1)`, item.ID)
		}
	}
	return c
}

// finds looks and tells what came of it.
func (c *city) finds(t *testing.T, check string, want rollout.Outcome, said string) {
	t.Helper()
	item := strings.ReplaceAll(check, "_", "-")
	c.prove(t, item)
	v := c.item(t, item)
	require.NotNil(t, v.Evidence)
	require.Equal(t, want, v.Evidence.Outcome, "%s: %s", check, v.Evidence.Summary)
	require.Contains(t, v.Evidence.Summary, said)
	for _, f := range v.Evidence.Figures {
		require.NotContains(t, f.Value, "+25078", "evidence holds no numbers")
	}
}

// What there is no record of is inconclusive, and says what is missing.
func TestWithoutDataNothingIsPassed(t *testing.T) {
	t.Parallel()
	all := []string{"policy_smoke", "admin_smoke", "station_smoke", "edge_functions", "audit_retention", "toggles", "payments", "opt_outs", "templates_locked",
		"dispatcher_tested", "real_redemption", "fixtures", "runbooks", "daily_review", "incident_drill", "throttle_review", "rollback_rehearsed", "ops_channel"}
	c := proofs(t, rollout.Staging, all...)
	for _, check := range all {
		item := strings.ReplaceAll(check, "_", "-")
		c.prove(t, item)
		v := c.item(t, item)
		require.Equal(t, rollout.Inconclusive, v.Outcome, "%s: %s", check, v.Evidence.Summary)
		require.NotEmpty(t, v.Evidence.Summary)
		require.Equal(t, rollout.IsInconclusive, v.Open.Code)
	}
}

func TestSmokeRunsCountForTheirBuild(t *testing.T) {
	t.Parallel()
	c := proofs(t, rollout.Staging, "policy_smoke")
	built, err := store.Open(t.Context(), store.Config{URL: c.url, Pepper: storetest.Pepper, AppName: "built", Sandbox: true, Build: "abc123"})
	require.NoError(t, err)
	t.Cleanup(built.Close)
	c.Store = built
	run := func(build string, outcomes ...string) {
		t.Helper()
		r := store.SmokeRun{Kind: store.SmokePolicy, Build: build, Environment: "http://example.test", StartedAt: time.Now().Add(-time.Minute), FinishedAt: time.Now()}
		for i := range 12 {
			outcome := store.SmokePassed
			if i < len(outcomes) {
				outcome = outcomes[i]
			}
			r.Items = append(r.Items, store.SmokeItem{ID: i + 1, Name: fmt.Sprint("item ", i+1), Outcome: outcome, Evidence: []byte(`{}`)})
		}
		_, err := c.KeepSmokeRun(c.ops, r)
		require.NoError(t, err)
	}
	run("other")
	c.finds(t, "policy_smoke", rollout.Inconclusive, "another build")
	run("abc123", store.SmokePassed, store.SmokeFailed)
	c.finds(t, "policy_smoke", rollout.Failed, "items [2] failed")
	run("abc123", store.SmokeInconclusive)
	c.finds(t, "policy_smoke", rollout.Inconclusive, "items [1] were not decided")
	run("abc123")
	c.finds(t, "policy_smoke", rollout.Passed, "all 12 items")
	_, err = c.KeepSmokeRun(c.ops, store.SmokeRun{Kind: store.SmokePolicy, Build: "abc123", StartedAt: time.Now(), FinishedAt: time.Now(),
		Items: []store.SmokeItem{{ID: 1, Name: "one", Outcome: store.SmokePassed, Evidence: []byte(`{}`)}}})
	require.NoError(t, err)
	c.finds(t, "policy_smoke", rollout.Inconclusive, "were not decided") // a part of the items is not all of them
	found, err := c.EvidenceOf(t.Context(), "kigali", "policy-smoke")
	require.NoError(t, err)
	require.Len(t, found, 5, "each finding is kept")
}

func TestEdgeFunctionsAndTheirAvailability(t *testing.T) {
	t.Parallel()
	c := proofs(t, rollout.Production, "edge_functions", "availability")
	probed := func(state string) {
		t.Helper()
		c.exec(t, `INSERT INTO edge_functions (name, state, checked_at) SELECT n, 'green', clock_timestamp() FROM unnest(ARRAY['messaging','dispatcher','voucher-card','payments','ops-channel','mail','panel','database','redemptions']) n
			ON CONFLICT (name) DO UPDATE SET state = 'green', checked_at = clock_timestamp()`)
		c.exec(t, `UPDATE edge_functions SET state = $1 WHERE name = 'messaging'`, state)
	}
	probed("amber")
	c.finds(t, "edge_functions", rollout.Passed, "green or amber")
	probed("red")
	c.finds(t, "edge_functions", rollout.Failed, "WhatsApp messaging")
	c.exec(t, `UPDATE edge_functions SET checked_at = clock_timestamp() - interval '10 minutes'`)
	c.finds(t, "edge_functions", rollout.Inconclusive, "not probed lately")

	minutes := func(from, to int, state string) {
		t.Helper()
		c.exec(t, `INSERT INTO probe_results (edge_function, at, state) SELECT n, clock_timestamp() - make_interval(mins => m), $3
			FROM unnest(ARRAY['messaging','dispatcher','database']) n, generate_series($2::int, $1::int) m`, from, to, state)
	}
	minutes(600, 0, "green")
	c.finds(t, "availability", rollout.Inconclusive, "not been probed for 24 h")
	minutes(1440, 601, "green")
	c.finds(t, "availability", rollout.Passed, "every critical function")
	c.exec(t, `UPDATE probe_results SET state = 'red' WHERE edge_function = 'messaging' AND at > clock_timestamp() - interval '5 hours'`)
	c.finds(t, "availability", rollout.Failed, "WhatsApp messaging")
}

func TestWhatThePilotProves(t *testing.T) {
	t.Parallel()
	c := proofs(t, rollout.Pilot, "participants", "dispatcher_tested", "opt_outs", "overrides", "templates_locked")
	c.finds(t, "participants", rollout.Inconclusive, "nobody takes part yet")
	c.finds(t, "overrides", rollout.Passed, "nobody has asked")
	id, lane := c.running(t, many(3, rw)...)
	require.Len(t, c.claim(t, lane, 3).Targets, 3)
	c.finds(t, "opt_outs", rollout.Passed, "nobody was written to")
	c.finds(t, "dispatcher_tested", rollout.Inconclusive, "1 to 20 targets")
	c.exec(t, `UPDATE targets SET state = 'delivered', owner = NULL, fence = NULL, sent_at = now(), delivered_at = now() WHERE campaign_id = $1`, id)
	c.exec(t, `UPDATE campaigns SET status = 'done', finished_at = now() WHERE id = $1`, id)
	c.finds(t, "dispatcher_tested", rollout.Passed, "a campaign of 3 targets")
	require.Equal(t, campaign.Done, query[campaign.Status](t, c.bundle, `SELECT status FROM campaigns WHERE id = $1`, id))
	// A locked template that came with the installation was approved by nobody.
	c.finds(t, "templates_locked", rollout.Failed, "promo_generic v1")
	// Those who take part sign in.
	bar, err := c.AddBar(t.Context(), "ENG", store.BarFacts{Name: "Engine", Country: "RW"})
	require.NoError(t, err)
	station, err := c.AddStation(t.Context(), bar.ID, "ENG-001", "Counter")
	require.NoError(t, err)
	require.NoError(t, c.EnrolStation(c.admin, station.ID))
	c.finds(t, "participants", rollout.Inconclusive, "has not signed in")
	_, pin, err := c.AddOperator(t.Context(), station.ID, "Jeanne Example")
	require.NoError(t, err)
	c.signIn(t, station.Code, station.ID, pin)
	_, _, _, err = c.OpenSession(t.Context(), store.SignIn{Email: "support@example.test", Password: "a long password", Address: "192.0.2.1"})
	require.NoError(t, err)
	c.finds(t, "participants", rollout.Passed, "has signed in")
}

func TestWhatTheAuditLogProves(t *testing.T) {
	t.Parallel()
	c := proofs(t, rollout.Staging, "audit_capture", "audit_retention")
	kept, err := store.Open(t.Context(), store.Config{URL: c.url, Pepper: storetest.Pepper, AppName: "kept", Sandbox: true, AuditRetentionDays: 30})
	require.NoError(t, err)
	t.Cleanup(kept.Close)
	plain := c.Store
	c.Store = kept
	c.finds(t, "audit_retention", rollout.Failed, "90 are needed")
	c.Store = plain
	ctx := t.Context()
	go (&store.Sealer{Store: plain, Log: quiet}).Run(ctx)
	c.finds(t, "audit_capture", rollout.Inconclusive, "no policy block")
	c.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	_, lane := c.running(t, rw(1))
	require.NotEmpty(t, c.claim(t, lane, 1).Waits)
	require.Eventually(t, func() bool {
		return query[int](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action = 'outbound_policy_check' AND seq IS NOT NULL`) > 0
	}, 20*time.Second, 50*time.Millisecond)
	c.finds(t, "audit_capture", rollout.Passed, "in the verified chain")
}

func TestFixturesAndRunbooksAreProved(t *testing.T) {
	t.Parallel()
	c := proofs(t, rollout.Staging, "fixtures", "runbooks")
	digest := "0123456789abcdef"
	known, err := store.Open(t.Context(), store.Config{URL: c.url, Pepper: storetest.Pepper, AppName: "known", Sandbox: true,
		RunbooksDigest: func() (string, error) { return digest, nil }, Staging: func() (store.Fixtures, error) { return fixtures.Staging("", nil) }})
	require.NoError(t, err)
	t.Cleanup(known.Close)
	c.Store = known
	c.finds(t, "fixtures", rollout.Failed, "deviate")
	c.exec(t, `INSERT INTO rollout_evidence (rollout, item, phase, plan_version, outcome, summary, digest)
		SELECT name, 'fixtures', phase, plan_version, 'passed', 'the staging set is there, whole and clean', sha256('') FROM rollouts`)
	c.finds(t, "fixtures", rollout.Passed, "taken away since")
	c.finds(t, "fixtures", rollout.Passed, "taken away since")
	c.exec(t, `INSERT INTO bars (id, code, name, country) SELECT gen_random_uuid(), 'EX-KIYOVU', 'half of it', 'RW'`)
	c.finds(t, "fixtures", rollout.Failed, "deviate")
	c.finds(t, "runbooks", rollout.Passed, "reviewed")
	before := c.item(t, "runbooks").Digest
	digest = "another"
	c.prove(t, "runbooks")
	require.NotEqual(t, before, c.item(t, "runbooks").Digest, "another word is another evidence")
}

func TestAlertsAndDrillsAreProved(t *testing.T) {
	t.Parallel()
	c := proofs(t, rollout.Pilot, "ops_channel", "incident_drill")
	id, err := c.TestAlert(c.ops, "does it arrive?")
	require.NoError(t, err)
	c.finds(t, "ops_channel", rollout.Inconclusive, "not come")
	c.exec(t, `UPDATE alert_notices SET delivered_at = now(), outcome = 'no_channel'`)
	c.finds(t, "ops_channel", rollout.Failed, "no Ops channel")
	c.exec(t, `UPDATE alert_notices SET outcome = 'delivered'`)
	c.finds(t, "ops_channel", rollout.Inconclusive, "acknowledged")
	c.exec(t, `UPDATE alerts SET acknowledged_at = now(), acknowledged_by = 'ops@example.test' WHERE id = $1`, id)
	c.finds(t, "ops_channel", rollout.Passed, "acknowledged")

	drill := func(score int, deviated bool, ago string) {
		t.Helper()
		c.exec(t, `INSERT INTO drills (id, scenario, experiment, fast, reason, state, actor_kind, actor_id, actor, created_at, injected_at, reverted_at, ended_at, score, deviated, journal)
			VALUES ($1, 'messaging-outage', '{"fault":{"kind":"reset"}}', true, 'test', 'completed', 'account', 'x', 'ops@example.test',
				now() - $4::interval, now() - $4::interval, now() - $4::interval, now() - $4::interval, $2, $3, '{}')`, uuid.Must(uuid.NewV7()), score, deviated, ago)
	}
	drill(100, false, "8 days")
	c.finds(t, "incident_drill", rollout.Inconclusive, "7 days")
	drill(60, true, "1 hour")
	c.finds(t, "incident_drill", rollout.Failed, "score 60")
	drill(95, false, "1 minute")
	c.finds(t, "incident_drill", rollout.Passed, "scored 95")
}
