package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"lastcall/devstack/supervise"
	"lastcall/domain/campaign"
	"lastcall/store"
	"lastcall/workflows"
)

// make chaos runs 20 seeds, go test one. The same seed plans the same campaign and the same faults at the
// same points of it; what the machine does between them is its own.
var (
	chaosSeeds = flag.Int("seeds", 1, "how many seeds the crash suite runs")
	chaosSeed  = flag.Uint64("seed", 1, "the first of them")
)

// TestChaos kills and halts processes of a whole Lastcall in the middle of a campaign, lets the provider fail in its
// ways, and looks, when all is over, whether what is promised held: nobody twice, nobody who opted out, nothing left behind, no cap
// exceeded, and Postgres and the provider of one mind.
func TestChaos(t *testing.T) {
	for seed := *chaosSeed; seed < *chaosSeed+uint64(*chaosSeeds); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			c := &chaos{plan: planChaos(seed), whole: &whole{dir: dataDir(t), base: portBase(t)}}
			t.Logf("%v", c.plan)
			c.run(t)
			c.judge(t)
		})
	}
}

// chaosPlan is what a seed decides.
type chaosPlan struct {
	targets   int
	perMinute int   // 0: no cap that matters
	optedOut  []int // who is out before the start
	late      []int // who opts out in mid-campaign
	lateAt    int   // after so many messages
	slow      bool  // receipts come after the heartbeat of a lost worker is missed: only then do guesses show
	webhooks  bool  // some come twice, some in another order
	faults    []chaosFault
}

// chaosFault is what happens once the provider has received so many messages.
type chaosFault struct {
	at   int
	what string // a process to kill; halt: a worker stands still for longer than its heartbeat may be late; or a fault of the provider, as JSON
}

func (f chaosFault) String() string { return fmt.Sprintf("%s@%d", f.what, f.at) }

func (p chaosPlan) String() string {
	return fmt.Sprintf("%d targets, %d a minute, %d+%d opted out, slow receipts %v, troubled webhooks %v, faults %v",
		p.targets, p.perMinute, len(p.optedOut), len(p.late), p.slow, p.webhooks, p.faults)
}

const halt = "halt"

func planChaos(seed uint64) chaosPlan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := chaosPlan{targets: 8000 + r.IntN(8000)}
	p.slow = seed%4 < 2
	if seed%2 == 0 { // every other one is throttled, and takes a minute and a half
		p.perMinute = p.targets * (52 + r.IntN(40)) / 100
	}
	all := r.Perm(p.targets)
	p.optedOut, p.late = all[:50], all[50:100]
	p.lateAt = r.IntN(p.targets * 3 / 4)
	whats := []string{"worker", "api", "postgres", "temporal", halt}
	r.Shuffle(len(whats), func(i, j int) { whats[i], whats[j] = whats[j], whats[i] })
	for _, what := range append(whats, whats[r.IntN(4)]) {
		p.faults = append(p.faults, chaosFault{at: 200 + r.IntN(p.targets*9/10), what: what})
	}
	p.webhooks = seed%3 > 0
	for _, i := range r.Perm(len(providerFaults))[:3] {
		p.faults = append(p.faults, chaosFault{at: 100 + r.IntN(p.targets*9/10), what: fmt.Sprintf(providerFaults[i], 0.05+r.Float64()/3)})
	}
	slices.SortStableFunc(p.faults, func(a, b chaosFault) int { return cmp.Compare(a.at, b.at) })
	return p
}

// providerFaults are the sandbox's, each for a share of the requests: docs/sandbox.md.
var providerFaults = []string{
	`{"kind":"outage","share":%.2f,"for":"3s"}`, `{"kind":"reset","share":%.2f,"for":"3s"}`,
	`{"kind":"rate_limit","share":%.2f,"for":"4s"}`, `{"kind":"error","code":131026,"share":%.2f,"for":"4s"}`,
	`{"kind":"error","code":131000,"share":%.2f,"for":"3s"}`, `{"kind":"accept_then_timeout","share":%.2f,"for":"2s"}`,
	`{"kind":"slow_body","share":%.2f,"for":"2s"}`, `{"kind":"wrong_body","share":%.2f,"for":"3s"}`,
	`{"kind":"latency","latency":"300ms","share":%.2f,"for":"5s"}`,
}

// chaos is one seed's run.
type chaos struct {
	*whole
	plan    chaosPlan
	id      string
	lateFor time.Time // when the late opt-outs were in force
}

func chaosNumber(i int) string { return fmt.Sprintf("+25078%07d", i) }

func (c *chaos) run(t *testing.T) {
	t.Setenv("LASTCALL_RECONCILE_AFTER", "30s") // longer than the slowest receipt
	c.start(t)
	if c.plan.slow {
		c.tellSandbox(t, "/settings", `{"sent_delay_ms":20000,"delivered_delay_ms":20500,"read_delay_ms":21000}`)
	}
	if c.plan.webhooks {
		c.tellSandbox(t, "/settings", `{"webhook_twice":0.2,"webhook_reordered":0.2,"webhook_window_ms":2000}`)
	}
	c.secondWorker(t)
	if c.plan.perMinute > 0 {
		c.cli(t, "settings", "set", "throttle", fmt.Sprintf(`{"whatsapp":{"per_minute":%d}}`, c.plan.perMinute))
	}
	c.optOut(t, c.plan.optedOut)
	var file strings.Builder
	file.WriteString("msisdn\n")
	for i := range c.plan.targets {
		file.WriteString(chaosNumber(i) + "\n")
	}
	csv := filepath.Join(filepath.Dir(c.dir), "numbers.csv")
	require.NoError(t, os.WriteFile(csv, []byte(file.String()), 0o600))
	c.id = fmt.Sprint(c.cli(t, "campaigns", "launch", csv, "--template", "promo_generic", "--name", "chaos")["campaign_id"])

	points := append(slices.Clone(c.plan.faults), chaosFault{c.plan.lateAt, "opt-outs"})
	slices.SortStableFunc(points, func(a, b chaosFault) int { return cmp.Compare(a.at, b.at) })
	for _, f := range points {
		c.reached(t, f.at)
		switch f.what {
		case "opt-outs":
			require.Eventually(t, func() bool { return c.tryOptOut(t, c.plan.late) == nil }, 2*time.Minute, 200*time.Millisecond, "nobody can opt out any more")
			c.lateFor = time.Now()
		case halt:
			pid := c.sender(t)
			require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
			halted := time.Now()
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
			// The heartbeat may be 15 s late; by then the other worker has its lanes.
			require.Eventually(t, func() bool { return time.Since(halted) > 18*time.Second }, time.Minute, 100*time.Millisecond)
			require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
		case "worker":
			pid := c.sender(t)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, time.Minute, 10*time.Millisecond, "a dying one is halted in vain")
		case "api", "postgres", "temporal":
			c.kill(t, f.what)
		default:
			c.tellSandbox(t, "/faults", f.what)
		}
	}
}

// reached waits until the provider has received n messages, or all that will ever come.
func (c *chaos) reached(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return c.stats(t).Received >= n || c.status() == "done"
	}, 5*time.Minute, 20*time.Millisecond, "%d messages have not come", n)
}

// status is the campaign's, "" while nobody can tell.
func (c *chaos) status() (status string) {
	_ = c.database(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT status FROM campaigns WHERE id = $1`, c.id).Scan(&status)
	})
	return status
}

func (c *chaos) database(do func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return do(ctx, conn)
}

// kill ends one of up's processes as hard as can be. Its supervisor brings it back.
func (c *chaos) kill(t *testing.T, name string) {
	t.Helper()
	require.Eventually(t, func() bool { // one that has just been killed may not be back yet
		pid := c.pid(name)
		return pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
	}, time.Minute, 10*time.Millisecond, "%s is not there to be killed", name)
}

// pid is that of one of up's processes now, 0 while it is not there.
func (c *chaos) pid(name string) int {
	content, err := os.ReadFile(filepath.Join(c.dir, upFileName))
	now := upFile{}
	if err != nil || json.Unmarshal(content, &now) != nil || now.PIDs[name] == 0 || syscall.Kill(now.PIDs[name], 0) != nil {
		return 0
	}
	return now.PIDs[name]
}

// secondWorker runs a worker that is not up's, as on another machine: the one that is halted.
func (c *chaos) secondWorker(t *testing.T) {
	t.Helper()
	s, err := loadSecrets(c.dir)
	require.NoError(t, err)
	like := c.command(t, "worker")
	worker, err := supervise.StartGuarded(supervise.Command{Name: "second worker", Path: like.Path, Args: like.Args[1:],
		Dir: like.Dir, Log: filepath.Join(c.dir, "logs", "second.log"), Env: append(like.Env,
			"LASTCALL_DATABASE_URL="+c.DatabaseURL, "LASTCALL_TEMPORAL_ADDRESS="+c.TemporalAddress, "LASTCALL_PEPPER="+s.Pepper,
			"LASTCALL_WHATSAPP_BASE_URL="+c.Sandbox, "LASTCALL_WHATSAPP_PHONE_NUMBER_ID="+sandboxNumberID,
			"LASTCALL_WHATSAPP_ACCESS_TOKEN="+s.WhatsAppAccessToken, "LASTCALL_WHATSAPP_APP_SECRET="+s.WhatsAppAppSecret,
			"LASTCALL_WHATSAPP_VERIFY_TOKEN="+s.WhatsAppVerifyToken)}, syscall.SIGKILL, "")
	require.NoError(t, err)
	worker.Keep()
	t.Cleanup(func() { worker.Stop(context.Background()) })
	require.Eventually(t, func() bool {
		var n int
		err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, `SELECT count(*) FROM workers WHERE seen_at > clock_timestamp() - interval '5 seconds'`).Scan(&n)
		})
		return err == nil && n == 2
	}, time.Minute, 50*time.Millisecond, "the second worker does not come up")
}

// sender is the process of a worker that dispatches now; of up's when none does because all has gone.
func (c *chaos) sender(t *testing.T) (pid int) {
	t.Helper()
	temporal, err := client.NewLazyClient(client.Options{HostPort: c.TemporalAddress, Logger: tlog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	defer temporal.Close()
	require.Eventually(t, func() bool {
		if status := c.status(); status == "settling" || status == "done" {
			pid = c.pid("worker")
			return pid != 0
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d, err := temporal.DescribeWorkflowExecution(ctx, workflows.CampaignID(uuid.MustParse(c.id)), "")
		for _, a := range d.GetPendingActivities() {
			if err == nil && a.State == enums.PENDING_ACTIVITY_STATE_STARTED && a.ActivityType.GetName() == "DispatchBatch" {
				if name, _, ok := strings.Cut(a.LastWorkerIdentity, "@"); ok {
					pid, err = strconv.Atoi(name)
					return err == nil && syscall.Kill(pid, 0) == nil
				}
			}
		}
		return false
	}, 3*time.Minute, 5*time.Millisecond, "nobody dispatches")
	return pid
}

func (c *chaos) tellSandbox(t *testing.T, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.Sandbox+path, strings.NewReader(body))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func (c *chaos) optOut(t *testing.T, who []int) {
	t.Helper()
	require.NoError(t, c.tryOptOut(t, who))
}

func (c *chaos) tryOptOut(t *testing.T, who []int) error {
	t.Helper()
	args := []string{"optouts", "add"}
	for _, i := range who {
		args = append(args, chaosNumber(i))
	}
	return c.command(t, args...).Run()
}

// chaosMessage is a message that the provider has.
type chaosMessage struct {
	To         string
	Key        string
	ReceivedAt time.Time `json:"received_at"`
}

// judge waits for the end and holds what is in Postgres against what the provider has.
func (c *chaos) judge(t *testing.T) {
	require.Eventually(t, func() bool { return c.status() == "done" }, 5*time.Minute, 200*time.Millisecond, "it does not end")
	require.Eventually(t, func() bool {
		status, _ := answerOf(t.Context(), c.API+"/readyz")
		return status == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "not everything is back")
	figures, status := c.campaign(t, c.id) // its sums add up
	require.Equal(t, "done", status)
	require.Zero(t, figures["queued"]+figures["sending"], "something is left behind")
	require.EqualValues(t, c.plan.targets, figures["targets"])

	got := c.stats(t)
	require.Zero(t, got.Duplicates, "somebody was written to twice")
	require.Equal(t, got.Received, got.Unique)
	messages := c.inbox(t)
	require.Len(t, messages, got.Received)
	c.judgeTargets(t, messages)
	c.judgeOptOuts(t, messages)
	c.judgeCap(t, messages)
	t.Logf("%d received, %v unknown, %v failed, %v opted out", got.Received, figures["unknown"], figures["failed"], figures["opted_out"])
}

func (c *chaos) inbox(t *testing.T) (all []chaosMessage) {
	t.Helper()
	res, err := http.Get(c.Sandbox + "/inbox.json")
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&all))
	return all
}

// judgeTargets: each message is of a target that Postgres knows to be accepted, or at worst unknown; each
// accepted target has its message; what was unknown became known by a receipt only, and was not tried again.
func (c *chaos) judgeTargets(t *testing.T, messages []chaosMessage) {
	t.Helper()
	sent := map[int64]int{} // target → attempt
	for _, m := range messages {
		a, err := campaign.ParseAttempt(m.Key)
		require.NoError(t, err)
		require.Equal(t, c.id, a.Campaign.String())
		sent[a.Target] = a.N
	}
	require.NoError(t, c.database(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT id, state, attempt FROM targets WHERE campaign_id = $1`, c.id)
		if err != nil {
			return err
		}
		var id int64
		var state campaign.TargetState
		var attempt int
		_, err = pgx.ForEachRow(rows, []any{&id, &state, &attempt}, func() error {
			n, reached := sent[id]
			switch state {
			case campaign.Sent, campaign.Delivered, campaign.Read:
				require.True(t, reached, "target %d is %s, and the provider has no message for it", id, state)
				require.Equal(t, attempt, n, "target %d: the message is of another attempt", id)
			case campaign.Unknown:
			case campaign.OptedOut, campaign.FailedT:
				require.False(t, reached, "target %d is %s and has a message", id, state)
			default:
				require.Fail(t, "unexpected state", "target %d is %s", id, state)
			}
			return nil
		})
		if err != nil {
			return err
		}
		var wrong int
		err = conn.QueryRow(ctx, `SELECT count(*) FROM target_events u JOIN targets t ON t.id = u.target_id
			WHERE t.campaign_id = $1 AND u.kind = 'unknown' AND (t.attempt <> u.attempt OR t.state <> 'unknown' AND NOT EXISTS (
				SELECT FROM target_events s WHERE s.target_id = u.target_id AND s.id > u.id AND s.kind = 'settled' AND s.reason = 'receipt'))`, c.id).Scan(&wrong)
		require.Zero(t, wrong, "unknown targets became something else without a receipt, or were tried again")
		return err
	}))
}

// judgeOptOuts: nobody who was out before the start is reached, and nobody who opted out later once what
// was under way then had gone.
func (c *chaos) judgeOptOuts(t *testing.T, messages []chaosMessage) {
	t.Helper()
	since := map[string]time.Time{}
	for _, i := range c.plan.optedOut {
		since[chaosNumber(i)] = time.Time{}
	}
	for _, i := range c.plan.late {
		since[chaosNumber(i)] = c.lateFor.Add(store.StartWithin + time.Second/2)
	}
	for _, m := range messages {
		if at, out := since[m.To]; out {
			require.True(t, m.ReceivedAt.Before(at), "one who had opted out was reached")
		}
	}
}

// judgeCap: no 60 seconds, wherever they begin, hold more than the cap.
func (c *chaos) judgeCap(t *testing.T, messages []chaosMessage) {
	t.Helper()
	if c.plan.perMinute == 0 {
		return
	}
	times := make([]time.Time, len(messages))
	for i, m := range messages {
		times[i] = m.ReceivedAt
	}
	slices.SortFunc(times, time.Time.Compare)
	require.Zero(t, throttleExcess(times, c.plan.perMinute), "more than %d in a minute", c.plan.perMinute)
}
