package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"lastcall/api"
	"lastcall/config"
	"lastcall/devstack"
	"lastcall/devstack/supervise"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/fixtures"
	"lastcall/store"
)

// benchStack is a Lastcall of its own for the benchmarks: Postgres and Temporal that keep what they
// acknowledge on the disk, as up's do, the API and a worker as processes, and a sink for the provider.
type benchStack struct {
	dir      string // holds everything, and goes in the end
	config   *config.Config
	postgres *devstack.PostgresServer
	temporal *devstack.TemporalServer
	dialed   client.Client
	store    *store.Store
	sink     *benchSink
	api      *apiClient
	env      []string         // of the children
	server   *supervise.Guard // the API
	worker   *supervise.Guard
}

// openBenchStack brings everything up; what it brought up before an error is closed by the caller too.
func openBenchStack(ctx context.Context, progress func(string)) (s *benchStack, err error) {
	s = &benchStack{config: config.Defaults()}
	if s.dir, err = os.MkdirTemp("", "lastcall-bench-"); err != nil {
		return s, fmt.Errorf("make a directory for the bench: %w", err)
	}
	if err := os.Chmod(s.dir, 0o711); err != nil { // root's Postgres runs as somebody else
		return s, err
	}
	if s.postgres, err = devstack.Postgres(ctx, devstack.PostgresOptions{Dir: s.dir, Password: rand.Text(), Progress: progress}); err != nil {
		return s, err
	}
	if s.temporal, err = devstack.Temporal(ctx, devstack.TemporalOptions{DBFile: filepath.Join(s.dir, "temporal.db"),
		Log: s.log("temporal"), Progress: progress}); err != nil {
		return s, err
	}
	s.dialed, err = client.DialContext(ctx, client.Options{HostPort: s.temporal.Address(), Logger: tlog.NewStructuredLogger(newLog(s.config, os.Stderr))})
	if err != nil {
		return s, fmt.Errorf("reach Temporal: %w", err)
	}
	if s.sink, err = startBenchSink(); err != nil {
		return s, err
	}
	if _, err := store.MigrateUp(ctx, s.postgres.OwnerURL()); err != nil {
		return s, err
	}
	pepper := rand.Text() + rand.Text()
	if s.store, err = store.Open(ctx, store.Config{URL: s.postgres.OwnerURL(), Pepper: contact.Pepper(pepper), AppName: "lastcall bench"}); err != nil {
		return s, err
	}
	if _, err := fixtures.Starter(ctx, s.store); err != nil {
		return s, err
	}
	token := "lc_" + rand.Text()
	if err := s.store.EnsureToken(ctx, "bench", token); err != nil {
		return s, err
	}
	listen, err := freeAddress()
	if err != nil {
		return s, err
	}
	s.api = &apiClient{base: "http://" + listen, token: token}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "LASTCALL_") {
			s.env = append(s.env, e)
		}
	}
	s.env = append(s.env, "LASTCALL_DATA_DIR="+s.dir, "LASTCALL_DATABASE_URL="+s.postgres.OwnerURL(),
		"LASTCALL_TEMPORAL_ADDRESS="+s.temporal.Address(), "LASTCALL_PEPPER="+pepper, "LASTCALL_API_LISTEN="+listen,
		"LASTCALL_WHATSAPP_BASE_URL="+s.sink.url(), "LASTCALL_WHATSAPP_PHONE_NUMBER_ID="+sandboxNumberID,
		"LASTCALL_WHATSAPP_ACCESS_TOKEN=bench", "LASTCALL_WHATSAPP_APP_SECRET=bench", "LASTCALL_WHATSAPP_VERIFY_TOKEN=bench",
		"LASTCALL_RECONCILE_AFTER=100ms") // the sink reports nothing
	if s.server, err = s.child("api"); err != nil {
		return s, err
	}
	return s, s.freshWorker(ctx)
}

// freshWorker replaces the worker by a new process and returns when campaigns could start.
func (s *benchStack) freshWorker(ctx context.Context) (err error) {
	if s.worker != nil {
		s.worker.Stop(ctx)
	}
	if s.worker, err = s.child("worker"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("the API is not ready after %s", readyTime))
	defer cancel()
	for {
		if status, _ := answerOf(ctx, s.api.base+"/readyz"); status == http.StatusOK {
			return nil
		}
		select {
		case <-s.server.Done():
			return s.server.Failure()
		case <-s.worker.Done():
			return s.worker.Failure()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *benchStack) child(name string) (*supervise.Guard, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	// Its directory holds no lastcall.yaml that could change what is measured.
	return supervise.StartGuarded(supervise.Command{Name: name, Path: program, Args: []string{name}, Dir: s.dir, Env: s.env, Log: s.log(name)},
		syscall.SIGTERM, "")
}

func (s *benchStack) log(name string) string { return filepath.Join(s.dir, "logs", name+".log") }

// close stops what was started and removes what it left.
func (s *benchStack) close() {
	ctx := context.Background()
	for _, child := range []*supervise.Guard{s.worker, s.server} {
		if child != nil {
			child.Stop(ctx)
		}
	}
	if s.sink != nil {
		s.sink.close()
	}
	if s.dialed != nil {
		s.dialed.Close()
	}
	if s.store != nil {
		s.store.Close()
	}
	if s.temporal != nil {
		s.temporal.Stop(ctx)
	}
	if s.postgres != nil {
		s.postgres.Stop(ctx)
	}
	if s.dir != "" {
		// Root's Postgres may have had to keep its data elsewhere, and says where.
		if path, err := os.ReadFile(filepath.Join(s.dir, "postgres.path")); err == nil {
			_ = os.RemoveAll(strings.TrimSpace(string(path)))
		}
		_ = os.RemoveAll(s.dir)
	}
}

// draft makes a campaign to so many numbers of Rwanda.
func (s *benchStack) draft(ctx context.Context, targets int) (uuid.UUID, error) {
	ctx = audit.WithActor(ctx, audit.System("bench"))
	t, err := s.store.NewestTemplate(ctx, "promo_generic")
	if err != nil {
		return uuid.Nil, err
	}
	c, err := s.store.CreateCampaign(ctx, store.NewCampaign{Name: "bench", TemplateID: t.ID})
	if err != nil {
		return uuid.Nil, err
	}
	file, err := audience.NewReader(&numbersFile{rows: targets}, audience.Options{Variables: t.Variables})
	if err != nil {
		return uuid.Nil, err
	}
	done, err := s.store.Import(ctx, c.ID, file)
	if err == nil && done.Targets != int64(targets) {
		err = fmt.Errorf("%d of %d numbers were imported", done.Targets, targets)
	}
	return c.ID, err
}

// start starts a campaign as a person does and returns when it was asked to.
func (s *benchStack) start(ctx context.Context, id uuid.UUID) (asked time.Time, err error) {
	asked = time.Now()
	var started api.Campaign
	_, err = s.api.call(ctx, http.MethodPost, "/campaigns/"+id.String()+"/start", api.StartOrder{}, &started)
	return asked, err
}

// set changes a setting and returns when it was asked for.
func (s *benchStack) set(ctx context.Context, key, value string) (asked time.Time, err error) {
	asked = time.Now()
	var saved store.SettingsRevision
	_, err = s.api.call(ctx, http.MethodPut, "/settings/"+key, api.NewSetting{Value: []byte(value), Acknowledged: []string{policy.CapJump, policy.BlocksMasses, policy.ReleasesMasses}}, &saved)
	return asked, err
}

// until waits until a campaign is as asked and returns when it was seen to be.
func (s *benchStack) until(ctx context.Context, id uuid.UUID, as func(store.Progress) bool) (time.Time, error) {
	for {
		p, err := s.store.Progress(ctx, id)
		now := time.Now()
		if err != nil || as(p) {
			return now, err
		}
		if p.Status == campaign.Failed || p.NeedsHuman != "" {
			return now, fmt.Errorf("the campaign cannot go on: it is %s. %s", p.Status, p.NeedsHuman)
		}
		select {
		case <-ctx.Done():
			return now, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func ended(p store.Progress) bool { return p.Status.Ended() }

// numbersFile is a CSV file of so many numbers, made while it is read.
type numbersFile struct {
	rows, made int
	rest       []byte
}

func (f *numbersFile) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if f.made == 0 {
			f.rest = []byte("msisdn,name\n")
		}
		for ; f.made < f.rows && len(f.rest) < 32<<10; f.made++ {
			f.rest = fmt.Appendf(f.rest, "+25078%07d,Guest\n", f.made)
		}
	}
	n := copy(p, f.rest)
	if f.rest = f.rest[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
