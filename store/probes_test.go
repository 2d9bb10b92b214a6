package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/probe"
	"lastcall/store"
	"lastcall/store/storetest"
)

// found is what a probe found just now.
func found(name probe.Name, o probe.Outcome) probe.Finding {
	return probe.Finding{Name: name, Outcome: o, Latency: 12 * time.Millisecond, Detail: string(o), At: time.Now()}
}

// sql runs a statement as the database's owner.
func sql(t *testing.T, url, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// count runs a query for a number as the database's owner.
func count(t *testing.T, url, query string, args ...any) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.NoError(t, conn.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

func TestProbesTurnEdgeFunctions(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	all, err := s.EdgeFunctions(t.Context())
	require.NoError(t, err)
	require.Len(t, all, len(probe.Functions))
	for _, e := range all {
		require.Equal(t, probe.Unknown, e.State, "nobody has looked")
		require.NotEmpty(t, e.Impact)
	}
	_, err = s.EdgeFunction(t.Context(), "printer")
	require.Equal(t, "edge_function_not_found", domain.CodeOf(err))
	mail := func() store.EdgeFunction {
		e, err := s.EdgeFunction(t.Context(), probe.Mail)
		require.NoError(t, err)
		return e
	}

	require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{found(probe.Mail, probe.Answered), found(probe.Database, probe.Answered)}))
	green := mail()
	require.Equal(t, probe.Green, green.State)
	require.Equal(t, 12*time.Millisecond, *green.Latency)
	require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{found(probe.Mail, probe.Answered)}))
	again := mail()
	require.Equal(t, green.Since, again.Since, "since when it is green")
	require.True(t, again.CheckedAt.After(*green.CheckedAt))
	late := found(probe.Mail, probe.Unreachable)
	late.At = *green.CheckedAt
	require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{late}))
	require.Equal(t, probe.Green, mail().State, "an older probe that was slower turns nothing")
	require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{found(probe.Mail, probe.Unreachable)}))
	red := mail()
	require.Equal(t, probe.Red, red.State)
	require.Nil(t, red.Latency, "there was no answer")
	require.True(t, red.Since.After(green.Since))
	history, err := s.ProbeHistory(t.Context(), probe.Mail, 0, 2)
	require.NoError(t, err)
	require.Len(t, history, 2)
	require.Equal(t, probe.Red, history[0].State)
	older, err := s.ProbeHistory(t.Context(), probe.Mail, history[1].ID, 10)
	require.NoError(t, err)
	require.Len(t, older, 1)

	sql(t, url, `UPDATE edge_functions SET checked_at = clock_timestamp() - $1::interval`, probe.Stale(probe.Every)+time.Second)
	require.Equal(t, probe.Unknown, mail().State, "red, too, is not known for ever")
}

func TestOurOwnConnection(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	var round []probe.Finding
	for _, name := range []probe.Name{probe.Messaging, probe.Payments, probe.OpsChannel} {
		f := found(name, probe.Unreachable)
		f.Outside = true
		round = append(round, f)
	}
	require.NoError(t, s.RecordProbes(t.Context(), append(round, found(probe.Database, probe.Answered))))
	all, err := s.EdgeFunctions(t.Context())
	require.NoError(t, err)
	for _, e := range all {
		if e.Name == probe.Database {
			require.Equal(t, probe.Green, e.State)
		} else {
			require.Equal(t, probe.Unknown, e.State, e.Name)
		}
	}
	require.Equal(t, 1, count(t, url, `SELECT count(*) FROM probe_results`), "nobody knows: it is a gap")
}

func TestOutageIsAuditedOnce(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	fail := func() {
		require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{found(probe.Messaging, probe.Unreachable)}))
	}
	entries := func() int {
		return count(t, url, `SELECT count(*) FROM audit_log WHERE action = 'integration_probe_failed' AND target = 'edge_function/messaging'`)
	}
	fail()
	sql(t, url, `UPDATE edge_functions SET since = since - interval '29 minutes'`)
	fail()
	require.Zero(t, entries())
	sql(t, url, `UPDATE edge_functions SET since = since - interval '2 minutes'`)
	fail()
	fail()
	require.Equal(t, 1, entries(), "once an outage")
	require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{found(probe.Messaging, probe.Answered)}))
	fail()
	sql(t, url, `UPDATE edge_functions SET since = since - interval '31 minutes'`)
	fail()
	require.Equal(t, 2, entries(), "another outage")
}

func TestAvailability(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{found(probe.Mail, probe.Answered), found(probe.Panel, probe.Answered),
		found(probe.Messaging, probe.Answered), found(probe.Payments, probe.Answered)}))
	sql(t, url, `DELETE FROM probe_results`)
	// Each minute of a day: mail green but for an hour red and two amber, messaging with an hour's gap, the panel with a
	// drill's hour red.
	each := func(name probe.Name, state, where string) {
		sql(t, url, `INSERT INTO probe_results (edge_function, at, state, is_drill) SELECT $1, now() - n * interval '1 minute', `+state+`
			FROM generate_series(0, 1500) n WHERE `+where, name)
	}
	each(probe.Mail, `CASE WHEN n BETWEEN 601 AND 660 THEN 'red' WHEN n BETWEEN 701 AND 820 THEN 'amber' ELSE 'green' END, false`, "true")
	each(probe.Messaging, `'green', false`, "n NOT BETWEEN 601 AND 660")
	each(probe.Panel, `CASE WHEN n BETWEEN 601 AND 660 THEN 'red' ELSE 'green' END, n BETWEEN 601 AND 660`, "true")
	all, err := s.Availabilities(t.Context(), 24*time.Hour)
	require.NoError(t, err)

	near := func(want, got float64, why string) { t.Helper(); require.InDelta(t, want, got, 0.0005, why) }
	near(21./24, all[probe.Mail].Green, "an hour red, two amber")
	near(23./24, all[probe.Mail].Reachable, "amber is reachable")
	held := probe.Stale(probe.Every) - time.Minute // the result before the gap holds a little longer
	near(1-(60*time.Minute-held).Hours()/24, all[probe.Messaging].Green, "a gap counts against it")
	near(23+held.Hours(), all[probe.Messaging].Watched.Hours(), "nobody knew for an hour less what the last one held")
	near(1, all[probe.Panel].Green, "a drill counts neither way")
	near(23, all[probe.Panel].Of.Hours(), "nor is its time reckoned")
	near(0, all[probe.Payments].Green, "never probed in that time")
	near(24, all[probe.Payments].Of.Hours(), "never probed in that time")

	strips, err := s.Strips(t.Context(), 24*time.Hour, 96)
	require.NoError(t, err)
	strip := strips[probe.Mail]
	require.Len(t, strip, 96)
	require.Equal(t, probe.Green, strip[95].State, "the newest is last")
	require.Equal(t, probe.Red, strip[95-42].State)
	require.Equal(t, probe.Amber, strip[95-50].State)
	require.Equal(t, probe.Unknown, strips[probe.Messaging][95-42].State)
	require.Equal(t, store.Slot{State: probe.Red, Drill: true}, strips[probe.Panel][95-42])
	require.Equal(t, probe.Unknown, strips[probe.Dispatcher][0].State)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	active := func() []probe.Fault {
		all, err := s.ActiveFaults(t.Context())
		require.NoError(t, err)
		return all
	}
	fault := store.NewFault{ID: uuid.New(), Name: probe.VoucherCard, Kind: probe.Slow, Share: 0.5, Delay: 300 * time.Millisecond, For: time.Hour, Reason: "to see"}
	made, err := s.InjectFault(t.Context(), fault)
	require.NoError(t, err)
	require.True(t, made.Open)
	require.Equal(t, time.Hour, made.ExpiresAt.Sub(made.CreatedAt))
	again, err := s.InjectFault(t.Context(), fault)
	require.NoError(t, err)
	require.Equal(t, made, again, "the same twice is the same fault")
	other := fault
	other.ID = uuid.Nil
	_, err = s.InjectFault(t.Context(), other)
	require.Equal(t, "fault_there", domain.CodeOf(err))
	require.Equal(t, 1, count(t, url, `SELECT count(*) FROM audit_log WHERE action = 'fault.refused'`))
	other.Kind = "gremlin"
	_, err = s.InjectFault(t.Context(), other)
	require.Equal(t, "unknown_fault", domain.CodeOf(err))
	require.Len(t, active(), 1)
	require.Equal(t, 300*time.Millisecond, active()[0].Delay)
	require.InDelta(t, time.Hour, active()[0].Left, float64(time.Minute))

	// What is found behind a fault is a drill's.
	require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{found(probe.VoucherCard, probe.Unreachable), found(probe.Mail, probe.Unreachable)}))
	cards, err := s.EdgeFunction(t.Context(), probe.VoucherCard)
	require.NoError(t, err)
	require.Equal(t, probe.Red, cards.State)
	require.True(t, cards.IsDrill)
	mail, err := s.EdgeFunction(t.Context(), probe.Mail)
	require.NoError(t, err)
	require.False(t, mail.IsDrill)
	drill := cards.Since

	ended, err := s.EndFault(t.Context(), made.ID, "seen")
	require.NoError(t, err)
	require.False(t, ended.Open)
	twice, err := s.EndFault(t.Context(), made.ID, "seen")
	require.NoError(t, err)
	require.Equal(t, ended.EndedAt, twice.EndedAt)
	require.Empty(t, active())
	_, err = s.EndFault(t.Context(), uuid.New(), "")
	require.Equal(t, "fault_not_found", domain.CodeOf(err))
	after := found(probe.VoucherCard, probe.Unreachable)
	after.Latency = 0
	require.NoError(t, s.RecordProbes(t.Context(), []probe.Finding{after}))
	cards, err = s.EdgeFunction(t.Context(), probe.VoucherCard)
	require.NoError(t, err)
	require.False(t, cards.IsDrill)
	require.True(t, cards.Since.After(drill), "red in earnest since then")

	// It ends by itself, whatever has died.
	other.Kind = probe.Slow
	last, err := s.InjectFault(t.Context(), other)
	require.NoError(t, err)
	sql(t, url, `UPDATE faults SET created_at = created_at - interval '61 minutes', expires_at = expires_at - interval '61 minutes' WHERE id = $1`, last.ID)
	require.Empty(t, active())
	open, err := s.OpenFaults(t.Context())
	require.NoError(t, err)
	require.Empty(t, open)
	all, err := s.Faults(t.Context(), uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, last.ID, all[1].ID)
	require.Nil(t, all[1].EndedAt)
	require.False(t, all[1].Open)
	_, err = s.InjectFault(t.Context(), other)
	require.NoError(t, err, "there is room for another")
}

func TestNoFaultsWherePeopleAre(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s, err := store.Open(t.Context(), store.Config{URL: url, Pepper: storetest.Pepper, AppName: t.Name()})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	_, err = s.InjectFault(t.Context(), store.NewFault{Name: probe.Messaging, Kind: probe.Timeout, For: time.Minute, Reason: "why not"})
	require.Equal(t, "faults_in_production", domain.CodeOf(err))
	require.Equal(t, domain.Forbidden, domain.KindOf(err))
	require.Equal(t, 1, count(t, url, `SELECT count(*) FROM audit_log WHERE action = 'fault.refused'`))
}

func TestWatchdogReports(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	dog := store.NewWatchdog(s, quiet)
	down := found(probe.Dispatcher, probe.Unreachable)
	require.NoError(t, dog.Report(t.Context(), down))
	down.At = time.Now()
	require.NoError(t, dog.Report(t.Context(), down))
	require.Equal(t, 1, count(t, url, `SELECT count(*) FROM probe_results`), "another process has said so already")
	e, err := s.EdgeFunction(t.Context(), probe.Dispatcher)
	require.NoError(t, err)
	require.Equal(t, probe.Red, e.State)
	require.NoError(t, s.Beat(t.Context(), "a", false))
	p, err := dog.Pulse(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, p.Now, p.Beat, 10*time.Second)
	require.Zero(t, p.Probed, "its own word does not count")
	n, heard, err := s.Dispatching(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "it does not poll")
	require.Less(t, *heard, 10*time.Second)
}

// Green all the time is the whole of the time, whatever part of a second is over.
func TestGreenIsNeverLongerThanTheTime(t *testing.T) {
	t.Parallel()
	for of := 640 * time.Second; of < 642*time.Second; of += 100 * time.Millisecond {
		green, all := store.Availability{Green: 1, Of: of}.Seconds()
		require.Equal(t, all, green, "%s", of)
	}
	green, all := store.Availability{Green: 0.5, Of: time.Minute}.Seconds()
	require.EqualValues(t, []int64{30, 60}, []int64{green, all})
}
