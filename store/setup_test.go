package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/domain/audience"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/fixtures"
	"lastcall/store"
	"lastcall/store/storetest"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// bundle is a store with the starter templates and, beside it, the owner's connection for looking inside.
type bundle struct {
	*store.Store
	owner *pgx.Conn
	url   string
}

func setup(t *testing.T) bundle {
	t.Helper()
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	_, err := fixtures.Starter(t.Context(), s)
	require.NoError(t, err)
	return bundle{s, connect(t, url), url}
}

// draft makes a campaign of promo_generic with these numbers as its audience.
func (b bundle) draft(t *testing.T, numbers ...string) uuid.UUID {
	t.Helper()
	template, err := b.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	c, err := b.CreateCampaign(t.Context(), store.NewCampaign{Name: t.Name(), TemplateID: template.ID})
	require.NoError(t, err)
	b.load(t, c.ID, "msisdn\n"+strings.Join(numbers, "\n"))
	return c.ID
}

func (b bundle) load(t *testing.T, id uuid.UUID, csv string) store.Import {
	t.Helper()
	imp, err := b.Import(t.Context(), id, reader(t, csv))
	require.NoError(t, err)
	return imp
}

func reader(t *testing.T, csv string) *audience.Reader {
	t.Helper()
	r, err := audience.NewReader(strings.NewReader(csv), audience.Options{})
	require.NoError(t, err)
	return r
}

// running makes a campaign whose lane 0 belongs to the returned lane.
func (b bundle) running(t *testing.T, numbers ...string) (uuid.UUID, store.Lane) {
	t.Helper()
	id := b.draft(t, numbers...)
	_, err := b.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		require.NoError(t, b.Advance(t.Context(), id, to, ""))
	}
	lane := store.Lane{Campaign: id, Run: "run", Batch: 1, Fence: 1}
	_, err = b.TakeLane(t.Context(), lane)
	require.NoError(t, err)
	return id, lane
}

func (b bundle) set(t *testing.T, key, value string) {
	t.Helper()
	_, err := b.SaveSetting(t.Context(), key, json.RawMessage(value), "test")
	require.NoError(t, err)
}

// claim claims as a batch does: again, when it is told to.
func (b bundle) claim(t *testing.T, l store.Lane, want int) store.Claim {
	t.Helper()
	for {
		c, err := b.Claim(t.Context(), l, want)
		require.NoError(t, err)
		if !c.Busy {
			return c
		}
	}
}

func (b bundle) counts(t *testing.T, id uuid.UUID) campaign.Counts {
	t.Helper()
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	return p.Counts
}

// query reads one value as the owner.
func query[T any](t *testing.T, b bundle, sql string, args ...any) (v T) {
	t.Helper()
	require.NoError(t, b.owner.QueryRow(t.Context(), sql, args...).Scan(&v))
	return v
}

// rw and mt are valid test numbers of Rwanda and Malta.
func rw(i int) string { return fmt.Sprintf("+25078%07d", i) }
func mt(i int) string { return fmt.Sprintf("+35679%06d", i) }

func many(n int, number func(int) string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = number(i)
	}
	return all
}

func msisdn(s string) contact.MSISDN { return contact.MSISDN(s) }

// aroundNow is a quiet-hours window of a country that has begun and ends in two hours.
func aroundNow(country, zone string) string {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	now := time.Now().In(loc)
	return fmt.Sprintf(`{"%s":{"start":"%s","end":"%s"}}`, country, now.Add(-time.Hour).Format("15:04"), now.Add(2*time.Hour).Format("15:04"))
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
