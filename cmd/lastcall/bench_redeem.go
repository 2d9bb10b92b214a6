package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/store"
)

// redeemBench measures redemptions: at the pace of an evening over HTTP, and as many as can be beside plain SQL.
type redeemBench struct {
	bench
	stations  int
	perMinute float64
	lasts     time.Duration
	scale     float64
	only      string
}

func benchRedeemCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	b := redeemBench{bench: bench{output: o}}
	cmd := &cobra.Command{
		Use: "redeem", Short: "Measure how vouchers are redeemed", Args: cobra.NoArgs,
		Long: `Brings up a Lastcall of its own and measures two things, each beside its limit. The pace: stations that redeem so many vouchers a
minute, over HTTP, each on its device; --scale lets the evening pass that many times as fast. Saturation: as many redemptions
as 16 workers manage through the store, beside a transaction of the same shape in plain SQL, by pgbench where it is found.
Exits with 1 when a limit is missed.`,
		Example: "  lastcall bench redeem --for 10m --scale 20\n  lastcall bench redeem --only saturation --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.stations < 1 || b.stations > 500 || b.perMinute <= 0 || b.scale < 1 || b.lasts <= 0 {
				return usageError{errors.New("use 1 to 500 stations, a pace and a time of more than 0, and a scale of 1 at least")}
			}
			if b.only != "" && b.only != "pace" && b.only != "saturation" {
				return usageError{errors.New("--only: use pace or saturation")}
			}
			return b.run(cmd.Context())
		},
	}
	cmd.Flags().Var(&o.format, "output", "table or json; json prints one object")
	cmd.Flags().IntVar(&b.stations, "stations", 50, "stations, each with a device")
	cmd.Flags().Float64Var(&b.perMinute, "per-minute", 3, "redemptions a minute, of each station")
	cmd.Flags().DurationVar(&b.lasts, "for", 10*time.Minute, "how long the evening is")
	cmd.Flags().Float64Var(&b.scale, "scale", 20, "how many times as fast it passes")
	cmd.Flags().StringVar(&b.only, "only", "", "pace or saturation; default both")
	return cmd
}

func (b *redeemBench) run(ctx context.Context) (err error) {
	began := time.Now()
	b.say("starting Postgres, Temporal, the API and a worker")
	b.stack, err = openBenchStack(ctx, func(s string) { b.say("  %s", s) })
	defer func() { b.stack.close() }()
	if err != nil {
		return err
	}
	if b.only != "saturation" {
		if err := b.pace(ctx); err != nil {
			return fmt.Errorf("pace: %w", err)
		}
	}
	if b.only != "pace" {
		if err := b.saturation(ctx); err != nil {
			return fmt.Errorf("saturation: %w", err)
		}
	}
	return b.finish(began)
}

// pace lets each station redeem at its own steady pace.
func (b *redeemBench) pace(ctx context.Context) error {
	b.say("pace")
	_, tills, err := openTills(ctx, b.stack.api, b.stations, 1)
	if err != nil {
		return err
	}
	each := max(1, int(b.perMinute*b.lasts.Minutes()))
	vouchers, err := b.vouchers(ctx, each*b.stations)
	if err != nil {
		return err
	}
	every := time.Duration(float64(time.Minute) / b.perMinute / b.scale)
	var mu sync.Mutex
	var took []time.Duration
	var failed int
	var working sync.WaitGroup
	for n, t := range tills {
		working.Go(func() {
			wait := time.NewTimer(every * time.Duration(n) / time.Duration(len(tills))) // not all at once
			defer wait.Stop()
			select {
			case <-ctx.Done():
				return
			case <-wait.C:
			}
			tick := time.NewTicker(every) // from here on, or all would tick together
			defer tick.Stop()
			for _, v := range vouchers[n*each : (n+1)*each] {
				began := time.Now()
				_, err := t.redeem(ctx, v.Code.String())
				mu.Lock()
				took = append(took, time.Since(began))
				if err != nil {
					failed++
					b.say("  %v", err)
				}
				mu.Unlock()
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	working.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[min(len(took)-1, int(math.Ceil(share*float64(len(took))))-1)].Microseconds()) / 1000
	}
	basis := fmt.Sprintf("%s redemptions over HTTP, %d stations at %g a minute, %g times as fast", thousands(int64(len(took))), b.stations, b.perMinute, b.scale)
	b.atMost(50, benchFigure{Bench: "redeem", Name: "redemption, 99 of 100", Value: at(0.99), Unit: "ms", Basis: basis,
		Detail: map[string]float64{"p50_ms": at(0.5), "p90_ms": at(0.9), "max_ms": at(1)}})
	b.atMost(0, benchFigure{Bench: "redeem", Name: "redemptions that failed", Value: float64(failed), Basis: basis})
	return nil
}

const (
	redeemWorkers  = 16
	redeemLasts    = 10 * time.Second
	redeemVouchers = 30_000
)

// saturation redeems as fast as can be through the store, and does the same in plain SQL before and after.
func (b *redeemBench) saturation(ctx context.Context) error {
	b.say("saturation")
	vouchers, err := b.vouchers(ctx, redeemVouchers)
	if err != nil {
		return err
	}
	tills, err := b.sessions(ctx)
	if err != nil {
		return err
	}
	plain, how, err := b.plain(ctx)
	if err != nil {
		return err
	}
	over, cancel := context.WithTimeout(ctx, redeemLasts)
	defer cancel()
	var next, done, failed atomic.Int64
	var working sync.WaitGroup
	began := time.Now()
	for range redeemWorkers {
		working.Go(func() {
			for over.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(vouchers) {
					return
				}
				_, _, err := b.stack.store.Redeem(ctx, store.Redemption{By: tills[n%len(tills)], Voucher: vouchers[n].ID, Key: uuid.NewString(), RequestHash: make([]byte, 32)})
				if err != nil {
					failed.Add(1)
					continue
				}
				done.Add(1)
			}
		})
	}
	working.Wait()
	rate := float64(done.Load()) / time.Since(began).Seconds()
	after, _, err := b.plain(ctx)
	if err != nil {
		return err
	}
	plain = (plain + after) / 2
	b.atLeast(50, benchFigure{Bench: "redeem", Name: "redemptions of plain SQL", Value: 100 * rate / plain, Unit: "%",
		Basis:  fmt.Sprintf("%s/s of %s/s by %s, %d at a time", thousands(int64(rate)), thousands(int64(plain)), how, redeemWorkers),
		Detail: map[string]float64{"redemptions_per_second": rate, "plain_per_second": plain}})
	b.atMost(0, benchFigure{Bench: "redeem", Name: "failed at saturation", Value: float64(failed.Load()), Basis: fmt.Sprintf("of %s", thousands(next.Load()))})
	return nil
}

// sessions are somebody at each of the stations, for the store.
func (b *redeemBench) sessions(ctx context.Context) (all []store.StationSession, err error) {
	bar, _, err := openTills(ctx, b.stack.api, b.stations, 0)
	if err != nil {
		return nil, err
	}
	stations, err := b.stack.store.Stations(ctx, store.StationFilter{Bars: []uuid.UUID{bar}}, "", b.stations)
	for _, s := range stations {
		all = append(all, store.StationSession{StationID: s.ID, StationCode: s.Code, DeviceID: uuid.New(), OperatorID: uuid.New(), Operator: "Bench"})
	}
	if err == nil && len(all) != b.stations {
		err = fmt.Errorf("%d of %d stations", len(all), b.stations)
	}
	return all, err
}

// vouchers issues so many vouchers of 500 RWF, from a file.
func (b *redeemBench) vouchers(ctx context.Context, n int) ([]store.Voucher, error) {
	batch, err := b.stack.issue(ctx, n)
	if err != nil {
		return nil, err
	}
	all := make([]store.Voucher, 0, n)
	for before := uuid.Nil; ; {
		page, err := b.stack.store.Vouchers(ctx, store.VoucherFilter{Batch: batch}, before, 1000)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < 1000 {
			return all, nil
		}
		before = page[len(page)-1].ID
	}
}

// plainSchema is the tables that a redemption writes, once more: with all their columns, checks, indexes, references and the
// trigger that keeps final states, and with as many vouchers as can be redeemed in a run. plainScript is what a redemption writes to
// them, row by row, as plainly as it can be said: the ceiling of any program on this schema.
const plainSchema = `
	DROP SCHEMA IF EXISTS plain CASCADE;
	CREATE SCHEMA plain;
	CREATE TABLE plain.vouchers (LIKE public.vouchers INCLUDING ALL);
	CREATE TRIGGER vouchers_move BEFORE UPDATE OF status ON plain.vouchers FOR EACH ROW EXECUTE FUNCTION public.voucher_moves();
	CREATE TABLE plain.redemptions (LIKE public.redemptions INCLUDING ALL, FOREIGN KEY (voucher_id) REFERENCES plain.vouchers,
		FOREIGN KEY (station_id) REFERENCES public.stations);
	CREATE TABLE plain.voucher_events (LIKE public.voucher_events INCLUDING ALL, FOREIGN KEY (voucher_id) REFERENCES plain.vouchers);
	CREATE TABLE plain.audit_log (LIKE public.audit_log INCLUDING ALL);
	CREATE SEQUENCE plain.next;
	CREATE FUNCTION plain.voucher(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('0192f0c4-7d2b-7c55-9d2e-' || lpad(to_hex(n), 12, '0'))::uuid $$;
	CREATE TABLE plain.stations AS SELECT n, (SELECT (array_agg(id ORDER BY id))[1 + n % count(*)] FROM public.stations) AS id FROM generate_series(0, 49) n;
	CREATE UNIQUE INDEX ON plain.stations (n) INCLUDE (id);
	INSERT INTO plain.vouchers (id, code, msisdn, amount, currency, scope, batch_id, expires_at)
	SELECT plain.voucher(n), lpad(n::text, 8, '0'), '+25078' || lpad(n::text, 7, '0'), 500, 'RWF', 'all', plain.voucher(0), now() + interval '1 hour'
	FROM generate_series(1, 100000) n;
	ANALYZE plain.vouchers, plain.stations;`

var plainScript = []string{
	`UPDATE plain.vouchers SET status = 'redeemed', redeemed_at = clock_timestamp(), redeemed_station_id = (SELECT id FROM plain.stations WHERE n = mod($1, 50))
		WHERE id = plain.voucher($1) AND status IN ('issued', 'sent') AND expires_at > clock_timestamp()`,
	`INSERT INTO plain.redemptions (id, voucher_id, idempotency_key, request_hash, response, station_id, device_id, operator_id, operator, amount, currency)
		SELECT gen_random_uuid(), plain.voucher($1), gen_random_uuid()::text, decode(repeat('00', 32), 'hex'),
			'{"amount":"500","currency":"RWF","msisdn":"+250 78• ••• 012","station_code":"ENG-001","station_name":"Counter"}',
			id, gen_random_uuid(), gen_random_uuid(), 'Bench', 500, 'RWF' FROM plain.stations WHERE n = mod($1, 50)`,
	`INSERT INTO plain.voucher_events (voucher_id, status, actor_kind, actor) VALUES (plain.voucher($1), 'redeemed', 'operator', 'bench')`,
	`INSERT INTO plain.audit_log (actor_kind, actor, actor_id, action, target, diff) VALUES ('operator', 'bench', 'bench', 'voucher.redeemed', 'voucher/' || plain.voucher($1),
		'{"amount":"500","currency":"RWF","station_id":"0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f","device_id":"0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f"}')`,
}

// plain is how many such transactions a second plain SQL manages, and by what.
func (b *redeemBench) plain(ctx context.Context) (rate float64, how string, err error) {
	pool, err := pgxpool.New(ctx, b.stack.postgres.OwnerURL()+"&pool_max_conns="+strconv.Itoa(redeemWorkers))
	if err != nil {
		return 0, "", err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, plainSchema); err != nil {
		return 0, "", err
	}
	if program, err := exec.LookPath("pgbench"); err == nil {
		rate, err = b.pgbench(ctx, program)
		return rate, "pgbench", err
	}
	over, cancel := context.WithTimeout(ctx, redeemLasts)
	defer cancel()
	var next, done atomic.Int64
	var failure atomic.Pointer[error]
	var working sync.WaitGroup
	began := time.Now()
	for range redeemWorkers {
		working.Go(func() {
			for over.Err() == nil && failure.Load() == nil {
				n := next.Add(1)
				err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					for _, sql := range plainScript {
						if _, err := tx.Exec(ctx, sql, n); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					failure.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	working.Wait()
	if err := failure.Load(); err != nil {
		return 0, "", *err
	}
	return float64(done.Load()) / time.Since(began).Seconds(), "a plain loop", nil
}

var pgbenchRate = regexp.MustCompile(`tps = ([0-9.]+)`)

func (b *redeemBench) pgbench(ctx context.Context, program string) (float64, error) {
	var script bytes.Buffer
	script.WriteString("BEGIN;\nSELECT nextval('plain.next') AS n \\gset\n")
	for _, sql := range plainScript {
		script.WriteString(regexp.MustCompile(`\$1`).ReplaceAllString(sql, ":n") + ";\n")
	}
	script.WriteString("COMMIT;\n")
	file := filepath.Join(b.stack.dir, "redeem.sql")
	if err := os.WriteFile(file, script.Bytes(), 0o600); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, program, "--no-vacuum", "--protocol=prepared", "--client", strconv.Itoa(redeemWorkers), "--jobs", "2",
		"--time", strconv.Itoa(int(redeemLasts.Seconds())), "--file", file, b.stack.postgres.OwnerURL()).CombinedOutput()
	found := pgbenchRate.FindSubmatch(out)
	if err != nil || found == nil {
		return 0, fmt.Errorf("pgbench: %w: %s", err, out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// issue issues so many vouchers, each to another number, and returns their batch.
func (s *benchStack) issue(ctx context.Context, n int) (uuid.UUID, error) {
	d := store.BatchDefaults{Amount: "500", Currency: "RWF", ExpiresAt: time.Now().Add(time.Hour)}
	rows, err := audience.NewReader(&numbersFile{rows: n}, audience.Options{Variables: store.BatchColumns(d), MaxLines: store.MaxBatch})
	if err != nil {
		return uuid.Nil, err
	}
	b, err := s.store.IssueBatch(audit.WithActor(ctx, audit.System("bench")), rows, d)
	if err == nil && b.Issued != int64(n) {
		err = fmt.Errorf("%d of %d vouchers were issued", b.Issued, n)
	}
	return b.ID, err
}
