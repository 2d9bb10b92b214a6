package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/store"
)

// upload uploads a file in parts of so many bytes and completes it.
func (b bundle) upload(t *testing.T, campaign uuid.UUID, file string, size int) uuid.UUID {
	t.Helper()
	imp, err := b.StartUpload(t.Context(), campaign)
	require.NoError(t, err)
	parts := 0
	for ; file != ""; file = file[min(size, len(file)):] {
		parts++
		_, err := b.AddPart(t.Context(), imp.ID, parts, []byte(file[:min(size, len(file))]))
		require.NoError(t, err)
	}
	imp, err = b.CompleteUpload(t.Context(), imp.ID, store.ImportOptions{Parts: parts, Country: "RW"})
	require.NoError(t, err)
	require.Equal(t, audience.Staging, imp.Phase)
	return imp.ID
}

// stage stages all that is left.
func (b bundle) stage(t *testing.T, id uuid.UUID) {
	t.Helper()
	step, err := b.StageImport(t.Context(), id, func() bool { return true })
	require.NoError(t, err)
	require.True(t, step.Ready)
}

func (b bundle) merge(t *testing.T, id uuid.UUID) store.Import {
	t.Helper()
	phase, err := b.MergeImport(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, audience.Done, phase)
	return b.importOf(t, id)
}

func (b bundle) importOf(t *testing.T, id uuid.UUID) store.Import {
	t.Helper()
	imp, err := b.ImportOf(t.Context(), id)
	require.NoError(t, err)
	return imp
}

// left counts what an import leaves behind of its file.
func (b bundle) left(t *testing.T, id uuid.UUID) int64 {
	t.Helper()
	return query[int64](t, b, `SELECT (SELECT count(*) FROM import_parts WHERE import_id = $1) + (SELECT count(*) FROM import_rows WHERE import_id = $1)
		+ (SELECT count(*) FROM import_checkpoints WHERE import_id = $1)`, id)
}

// The two ways in make the same of a file, however it is cut.
func TestUploadedFileBecomesWhatADirectOneDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain := "Phone;comment;Zone\r\n" + strings.Join([]string{rw(1) + ";ż;", "0780000002;ż;Europe/Malta", "nonsense;;", rw(1) + ";;", "", mt(7) + ";;", "+999123;;"}, "\r\n")
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(plain)
	require.NoError(t, err)
	for name, file := range map[string]string{"UTF-8": plain, "with a mark": "\ufeff" + plain, "UTF-16": wide} {
		for _, size := range []int{1, 7, 64, 1 << 20} {
			id := b.draft(t, mt(7))
			imp := b.upload(t, id, file, size)
			b.stage(t, imp)
			done := b.merge(t, imp)
			require.Equal(t, []int64{6, 2, 2, 2}, []int64{done.Lines, done.Invalid, done.Duplicates, done.Targets}, "%s by %d", name, size)
			require.Equal(t, []string{"comment"}, []string(done.IgnoredColumns))
			require.EqualValues(t, len(file), done.StagedBytes)
			lines, err := b.ImportLines(t.Context(), imp, 0, 10)
			require.NoError(t, err)
			require.Len(t, lines, 2)
			require.EqualValues(t, []int64{4, 8}, []int64{lines[0].Line, lines[1].Line})
			require.Equal(t, rw(1)+" Africa/Kigali, "+rw(2)+" Europe/Malta", query[string](t, b, `SELECT string_agg(msisdn || ' ' || zone, ', ' ORDER BY t.id)
				FROM targets t JOIN cohorts k ON k.campaign_id = t.campaign_id AND k.id = t.cohort WHERE t.campaign_id = $1 AND k.country = 'RW'`, id))
			require.Positive(t, b.left(t, imp))
			require.NoError(t, b.CleanImport(t.Context(), imp))
			require.Zero(t, b.left(t, imp), "the file is gone")
		}
	}
}

func TestPartsComeInAnyOrderAndAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t)
	imp, err := b.StartUpload(t.Context(), id)
	require.NoError(t, err)
	put := func(n int, body string) string {
		_, err := b.AddPart(t.Context(), imp.ID, n, []byte(body))
		if err == nil {
			return ""
		}
		return domain.CodeOf(err)
	}
	complete := func(parts int) string {
		_, err := b.CompleteUpload(t.Context(), imp.ID, store.ImportOptions{Parts: parts})
		return domain.CodeOf(err)
	}
	require.Empty(t, put(3, rw(2)+"\n"))
	require.Empty(t, put(1, "msisdn\n"))
	require.Empty(t, put(3, rw(2)+"\n"), "again")
	require.Equal(t, "part_differs", put(3, rw(3)+"\n"))
	require.Equal(t, "bad_part_number", put(0, "x"))
	require.Equal(t, "bad_part_number", put(audience.MaxParts+1, "x"))
	require.Equal(t, "empty_part", put(2, ""))
	require.Equal(t, "part_too_large", put(2, strings.Repeat("x", audience.MaxPart+1)))
	require.Equal(t, "empty_file", complete(0))
	require.Equal(t, "part_missing", complete(3))
	require.Equal(t, "part_missing", complete(4))
	require.Equal(t, "too_many_parts", complete(1))
	require.Empty(t, put(2, rw(1)+"\n"))
	require.EqualValues(t, 7+2*14, b.importOf(t, imp.ID).Bytes, "a part that came twice counts once")
	parts, err := b.Parts(t.Context(), imp.ID)
	require.NoError(t, err)
	require.Len(t, parts, 3)

	for range 2 {
		_, err = b.CompleteUpload(t.Context(), imp.ID, store.ImportOptions{Parts: 3})
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'import.start'`), "completed once")
	require.Equal(t, "upload_over", put(4, "x"))
	require.Empty(t, put(1, "msisdn\n"), "a part whose answer was lost")
	b.stage(t, imp.ID)
	require.EqualValues(t, 2, b.merge(t, imp.ID).Targets)
	require.Equal(t, []string{rw(1), rw(2)}, b.numbers(t, id))

	_, err = b.owner.Exec(t.Context(), `UPDATE imports SET phase = 'uploading', finished_at = NULL, targets = 0, bytes = $2 WHERE id = $1`, imp.ID, int64(audience.MaxBytes))
	require.NoError(t, err)
	require.Equal(t, "file_too_large", put(4, "x"))
}

func (b bundle) numbers(t *testing.T, id uuid.UUID) (all []string) {
	t.Helper()
	targets, err := b.Targets(t.Context(), id, "", 0, 1000)
	require.NoError(t, err)
	for _, target := range targets {
		all = append(all, string(target.MSISDN))
	}
	return all
}

func TestBadHeaderLeavesTheUploadAsItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	imp, err := b.StartUpload(t.Context(), b.draft(t))
	require.NoError(t, err)
	_, err = b.AddPart(t.Context(), imp.ID, 1, []byte("name,city\nA,Kigali\n"))
	require.NoError(t, err)
	_, err = b.CompleteUpload(t.Context(), imp.ID, store.ImportOptions{Parts: 1})
	require.Equal(t, "no_msisdn_column", domain.CodeOf(err))
	_, err = b.CompleteUpload(t.Context(), imp.ID, store.ImportOptions{Parts: 1, Columns: map[string]string{"msisdn": "city"}})
	require.NoError(t, err)
}

func TestWhileAnImportRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	imp, err := b.StartUpload(t.Context(), id)
	require.NoError(t, err)
	_, err = b.AddPart(t.Context(), imp.ID, 1, []byte("msisdn\n"+rw(2)))
	require.NoError(t, err)
	refused := func(phase string) {
		t.Helper()
		_, err := b.StartUpload(t.Context(), id)
		require.Equal(t, "import_running", domain.CodeOf(err))
		_, err = b.Import(t.Context(), id, reader(t, "msisdn\n"+rw(3)))
		require.Equal(t, "import_running", domain.CodeOf(err))
		_, err = b.AddAudience(t.Context(), id, audience.Filter{Countries: []string{"RW"}})
		require.Equal(t, "import_running", domain.CodeOf(err))
		_, err = b.StartCampaign(t.Context(), id, nil)
		require.Equal(t, "import_running", domain.CodeOf(err))
		require.ErrorContains(t, err, phase)
		_, err = b.owner.Exec(t.Context(), `INSERT INTO imports (id, campaign_id, phase) VALUES ($1, $2, 'staging')`, uuid.New(), id)
		require.ErrorContains(t, err, "imports_running", "the database holds it too")
	}
	refused("uploading")
	_, err = b.CompleteUpload(t.Context(), imp.ID, store.ImportOptions{Parts: 1})
	require.NoError(t, err)
	refused("staging")
	b.stage(t, imp.ID)
	refused("staging")
	b.merge(t, imp.ID)
	_, err = b.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	_, err = b.StartUpload(t.Context(), id)
	require.Equal(t, "wrong_state", domain.CodeOf(err))
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, []int64{2, 2}, []int64{p.Lines, p.Counts.Targets})
}

func TestCancelledImportLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	for name, reach := range map[string]func(uuid.UUID){
		"staging": func(uuid.UUID) {},
		"staged":  func(imp uuid.UUID) { b.stage(t, imp) },
	} {
		imp := b.upload(t, id, "msisdn\n"+rw(2)+"\n"+rw(3), 10)
		reach(imp)
		got, err := b.CancelImport(t.Context(), imp, "wrong file")
		require.NoError(t, err, name)
		require.Equal(t, audience.Cancelled, got.Phase)
		step, err := b.StageImport(t.Context(), imp, func() bool { return true })
		require.NoError(t, err)
		require.Equal(t, store.ImportStep{Phase: audience.Cancelled}, step)
		phase, err := b.MergeImport(t.Context(), imp)
		require.NoError(t, err)
		require.Equal(t, audience.Cancelled, phase)
		require.NoError(t, b.FailImport(t.Context(), imp, "x", "x"), "too late to fail")
		require.Equal(t, audience.Cancelled, b.importOf(t, imp).Phase)
		_, err = b.CancelImport(t.Context(), imp, "")
		require.Equal(t, "wrong_state", domain.CodeOf(err))
		require.NoError(t, b.CleanImport(t.Context(), imp))
		require.Zero(t, b.left(t, imp))
	}
	up, err := b.StartUpload(t.Context(), id)
	require.NoError(t, err)
	_, err = b.AddPart(t.Context(), up.ID, 1, []byte("msisdn\n"))
	require.NoError(t, err)
	_, err = b.CancelImport(t.Context(), up.ID, "")
	require.NoError(t, err)
	require.Zero(t, b.left(t, up.ID), "an upload has nobody else to clean up")
	require.EqualValues(t, 1, b.counts(t, id).Targets)
}

// A cancellation in the middle of the merge wins: the transaction finds out at its end.
func TestCancelledWhileMerging(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	imp := b.upload(t, id, "msisdn\n"+rw(2), 1<<20)
	b.stage(t, imp)
	hold := connect(t, b.url)
	_, err := hold.Exec(t.Context(), `BEGIN; SELECT FROM cohorts WHERE campaign_id = '`+id.String()+`' FOR UPDATE`)
	require.NoError(t, err)
	merged := make(chan error, 1)
	go func() {
		_, err := b.MergeImport(t.Context(), imp)
		merged <- err
	}()
	b.waiting(t, 1)
	_, err = b.CancelImport(t.Context(), imp, "")
	require.NoError(t, err)
	_, err = hold.Exec(t.Context(), `COMMIT`)
	require.NoError(t, err)
	require.Equal(t, "import_cancelled", domain.CodeOf(<-merged))
	require.EqualValues(t, 1, b.counts(t, id).Targets)
}

// manyLines is a file of so many numbers, every seventh line of which is nonsense.
func manyLines(n int) string {
	var file strings.Builder
	file.WriteString("msisdn\n")
	for i := range n {
		if i%7 == 3 {
			file.WriteString("nonsense\n")
		} else {
			fmt.Fprintf(&file, "+25078%07d\n", i)
		}
	}
	return file.String()
}

// A worker that is killed is killed between two statements or in one; either way its transaction is gone, and who
// comes after it goes on from the last chunk.
func TestKilledInStaging(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t)
	imp := b.upload(t, id, manyLines(60_000), 100_000)
	step, err := b.StageImport(t.Context(), imp, func() bool { return false })
	require.NoError(t, err)
	require.False(t, step.Ready)
	first := b.importOf(t, imp)
	require.EqualValues(t, 25_000, first.Lines)
	require.Less(t, first.StagedBytes, first.Bytes)

	// In the middle of a chunk: it waits for a lock when its connection is cut.
	hold := connect(t, b.url)
	_, err = hold.Exec(t.Context(), `BEGIN; SELECT FROM import_checkpoints FOR UPDATE`)
	require.NoError(t, err)
	killed := make(chan error, 1)
	go func() {
		_, err := b.StageImport(t.Context(), imp, func() bool { return true })
		killed <- err
	}()
	b.waiting(t, 1)
	query[bool](t, b, `SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	require.Equal(t, domain.Unavailable, domain.KindOf(<-killed), "tried again")
	_, err = hold.Exec(t.Context(), `COMMIT`)
	require.NoError(t, err)
	require.Equal(t, first.Lines, b.importOf(t, imp).Lines)

	b.stage(t, imp)
	require.EqualValues(t, query[int64](t, b, `SELECT count(*) FROM import_rows`), query[int64](t, b, `SELECT count(DISTINCT msisdn) FROM import_rows`), "nothing twice")
	done := b.merge(t, imp)
	require.EqualValues(t, 60_000, done.Lines)
	require.Zero(t, done.Duplicates)
	require.EqualValues(t, 60_000-done.Invalid, b.counts(t, id).Queued)
	require.EqualValues(t, done.Invalid, query[int64](t, b, `SELECT count(*) FROM import_lines WHERE import_id = $1`, imp))
}

// One that was only thought dead comes back and finds the checkpoint moved.
func TestFencedInStaging(t *testing.T) {
	t.Parallel()
	b := setup(t)
	imp := b.upload(t, b.draft(t), manyLines(60_000), 1<<20)
	var once bool
	_, err := b.StageImport(t.Context(), imp, func() bool {
		if !once {
			once = true
			b.stage(t, imp)
		}
		return true
	})
	require.ErrorIs(t, err, store.ErrFenced)
	require.EqualValues(t, 60_000, b.merge(t, imp).Lines)
}

func TestKilledInTheMerge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	imp := b.upload(t, id, "msisdn\n"+rw(2)+"\n"+rw(3), 1<<20)
	b.stage(t, imp)
	hold := connect(t, b.url)
	_, err := hold.Exec(t.Context(), `BEGIN; SELECT FROM cohorts FOR UPDATE`)
	require.NoError(t, err)
	ends := make(chan error, 2)
	for range 2 { // the second is the attempt after the first, which is not dead yet
		go func() {
			_, err := b.MergeImport(t.Context(), imp)
			ends <- err
		}()
	}
	b.waiting(t, 2)
	query[bool](t, b, `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE locktype = 'advisory' AND granted AND datname = current_database()`)
	require.Equal(t, domain.Unavailable, domain.KindOf(<-ends))
	require.EqualValues(t, 1, b.counts(t, id).Targets)
	require.Equal(t, audience.Merging, b.importOf(t, imp).Phase)
	_, err = hold.Exec(t.Context(), `COMMIT`)
	require.NoError(t, err)
	require.NoError(t, <-ends)
	require.EqualValues(t, 2, b.importOf(t, imp).Targets)
	b.merge(t, imp)
	require.EqualValues(t, 3, b.counts(t, id).Targets, "merged once")
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'campaign.imported' AND diff->>'import_id' = $1`, imp.String()))
}

// After a crash of Postgres what is not in its log is empty.
func TestPostgresCrashedBeforeTheMerge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t)
	imp := b.upload(t, id, "msisdn\nx\n"+rw(2)+"\n"+rw(3), 5)
	b.stage(t, imp)
	require.Equal(t, "uu", query[string](t, b, `SELECT string_agg(relpersistence::text, '') FROM pg_class WHERE relname IN ('import_rows', 'import_checkpoints')`))
	_, err := b.owner.Exec(t.Context(), `TRUNCATE import_rows, import_checkpoints`)
	require.NoError(t, err)
	phase, err := b.MergeImport(t.Context(), imp)
	require.NoError(t, err)
	require.Equal(t, audience.Staging, phase)
	require.Zero(t, b.counts(t, id).Targets)
	b.stage(t, imp)
	done := b.merge(t, imp)
	require.EqualValues(t, []int64{3, 1, 0, 2}, []int64{done.Lines, done.Invalid, done.Duplicates, done.Targets})
}

func TestAbandonedUploadsAreGivenUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	up, err := b.StartUpload(t.Context(), id)
	require.NoError(t, err)
	_, err = b.AddPart(t.Context(), up.ID, 1, []byte("msisdn\n"))
	require.NoError(t, err)
	other := b.draft(t)
	uncleaned := b.upload(t, other, "msisdn\n"+rw(1), 100)
	b.stage(t, uncleaned)
	b.merge(t, uncleaned)

	require.NoError(t, store.Prune(b.Store, t.Context()))
	require.Equal(t, audience.Uploading, b.importOf(t, up.ID).Phase)
	require.Zero(t, b.left(t, uncleaned))
	_, err = b.owner.Exec(t.Context(), `UPDATE imports SET updated_at = now() - interval '25 hours' WHERE id = $1`, up.ID)
	require.NoError(t, err)
	require.NoError(t, store.Prune(b.Store, t.Context()))
	got := b.importOf(t, up.ID)
	require.Equal(t, audience.Failed, got.Phase)
	require.Equal(t, "upload_abandoned", got.ProblemCode)
	require.Zero(t, b.left(t, up.ID))
	_, err = b.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
}

func TestEveryTargetHasItsCohort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, many(3, rw)...)
	for _, sql := range []string{
		`INSERT INTO targets (campaign_id, cohort, msisdn, msisdn_hash) SELECT campaign_id, 7, '+250780009999', msisdn_hash FROM targets LIMIT 1`,
		`INSERT INTO targets (campaign_id, cohort, msisdn, msisdn_hash) SELECT gen_random_uuid(), cohort, msisdn, msisdn_hash FROM targets LIMIT 1`,
		`UPDATE targets SET cohort = 7`,
	} {
		_, err := b.owner.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "SQLSTATE 23503", sql)
	}
	require.EqualValues(t, 3, b.counts(t, id).Targets)
}

func TestTooManyCohorts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, rw(1))
	_, err := b.owner.Exec(t.Context(), `INSERT INTO cohorts (campaign_id, id, country, zone, locale) VALUES ($1, 32767, 'RW', 'x', 'x')`, id)
	require.NoError(t, err)
	_, err = b.Import(t.Context(), id, reader(t, "msisdn\n"+mt(1)))
	require.Equal(t, "too_many_cohorts", domain.CodeOf(err))
}
