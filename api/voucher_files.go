package api

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/domain/audience"
	"lastcall/store"
)

// VoucherBatch is a file of vouchers that were issued: lines = invalid + duplicates + issued.
type VoucherBatch struct {
	ID             uuid.UUID          `json:"id" format:"uuid"`
	Lines          int64              `json:"lines" doc:"Below the header, without blank ones"`
	Invalid        int64              `json:"invalid"`
	Duplicates     int64              `json:"duplicates" doc:"Lines whose number, and reference if there is one, came before"`
	Issued         int64              `json:"issued"`
	IgnoredColumns []string           `json:"ignored_columns" doc:"Columns that nothing uses"`
	BadLines       []store.ImportLine `json:"bad_lines" doc:"The first 100 invalid lines; none in lists"`
	CreatedAt      time.Time          `json:"created_at"`
}

// VoucherBatchPage is one page of batches, newest first.
type VoucherBatchPage struct {
	Batches []VoucherBatch `json:"batches"`
	Next    string         `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

type batchInput struct {
	Country        string    `query:"country" doc:"Where numbers without + are dialled: ISO 3166-1 alpha-2, like RW"`
	Map            []string  `query:"map,explode" doc:"field:column, repeated: which column holds a field (msisdn, amount, currency, stations, expires_at, reference)"`
	Amount         string    `query:"amount" maxLength:"20" doc:"For lines that do not say; without it each must"`
	Currency       string    `query:"currency" maxLength:"3" doc:"For lines that do not say; without it each must"`
	Stations       []string  `query:"stations,explode" maxItems:"100" doc:"Codes, for lines that do not say; without it these are for all stations"`
	ExpiresAt      time.Time `query:"expires_at" doc:"For lines that do not say; without it each must"`
	IdempotencyKey string    `header:"Idempotency-Key" doc:"The same key and file again return the same batch"`
	ContentType    string    `header:"Content-Type"`
	Encoding       string    `header:"Content-Encoding"`
	file           *upload
	sum            hash.Hash
}

// Resolve keeps the body for the handler, which streams it: huma reads none that is not declared.
func (in *batchInput) Resolve(hc huma.Context) []error {
	in.sum = sha256.New()
	in.file = &upload{from: io.TeeReader(hc.BodyReader(), in.sum), left: audience.MaxBytes, tooLarge: audience.TooLarge()}
	return nil
}

func (s *server) voucherFiles() {
	tags := []string{"Vouchers"}
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	register(s, access.VouchersIssue, huma.Operation{OperationID: "issue-voucher-batch", Method: http.MethodPost, Path: "/vouchers/batches", Tags: tags,
		Summary: "Issue vouchers from CSV",
		Description: "The body is the file: a header, then a line a voucher, in UTF-8 or UTF-16, a million lines at most. Columns are msisdn, amount, currency, stations " +
			"(codes with spaces between; all: everywhere), expires_at (a time, or a date to whose end it is good where the guest is) and reference. " +
			"It is issued as it streams in, in one transaction: a lost connection leaves nothing. Lines that cannot be used are reported and the rest is issued.",
		RequestBody:   &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": {Schema: binary}}},
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *batchInput) (*struct{ Body VoucherBatch }, error) {
			if err := checkKey(in.IdempotencyKey); err != nil {
				return nil, err
			}
			options, err := (&FileInput{Country: in.Country, Map: in.Map, ContentType: in.ContentType, Encoding: in.Encoding}).options()
			if err != nil {
				return nil, err
			}
			d := store.BatchDefaults{Amount: in.Amount, Currency: in.Currency, Stations: in.Stations, ExpiresAt: in.ExpiresAt, IdempotencyKey: in.IdempotencyKey,
				Hash: func() []byte { return in.sum.Sum([]byte(nil)) }}
			options.Variables, options.MaxLines = store.BatchColumns(d), store.MaxBatch
			rows, err := audience.NewReader(in.file, options)
			if err != nil {
				return nil, in.file.explain(err)
			}
			b, err := s.Store.IssueBatch(ctx, rows, d)
			if err != nil {
				return nil, in.file.explain(err)
			}
			out := batchOf(b)
			if b.Invalid > 0 {
				out.BadLines, err = s.Store.VoucherBatchLines(ctx, b.ID, 0, shownLines)
			}
			return &struct{ Body VoucherBatch }{out}, err
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "list-voucher-batches", Method: http.MethodGet, Path: "/vouchers/batches", Tags: tags,
		Summary: "List files of vouchers, newest first"},
		func(ctx context.Context, in *struct {
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body VoucherBatchPage }, error) {
			all, err := s.Store.VoucherBatches(ctx, in.After, in.fetch())
			all, next := cut(all, in.Limit, func(b store.VoucherBatch) string { return b.ID.String() })
			page := VoucherBatchPage{Batches: make([]VoucherBatch, len(all)), Next: next}
			for i, b := range all {
				page.Batches[i] = batchOf(b)
			}
			return &struct{ Body VoucherBatchPage }{page}, err
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "list-voucher-batch-lines", Method: http.MethodGet, Path: "/vouchers/batches/{id}/lines", Tags: tags,
		Summary: "List the lines of a file of vouchers that could not be used", Description: "Of the first 10,000 it is known why."},
		func(ctx context.Context, in *struct {
			VoucherPath
			After int64 `query:"after" minimum:"1" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body BadLinePage }, error) {
			lines, err := s.Store.VoucherBatchLines(ctx, in.ID, in.After, in.fetch())
			lines, next := cut(lines, in.Limit, func(l store.ImportLine) string { return strconv.FormatInt(l.Line, 10) })
			return &struct{ Body BadLinePage }{BadLinePage{lines, next}}, err
		})

	for _, e := range []struct {
		path, operation, summary string
		permission               access.Permission
		columns                  []string
		codes                    bool
	}{
		{"/vouchers/export.csv", "export-vouchers", "Export vouchers, with numbers masked and without codes", access.VouchersTotals, voucherColumns, false},
		{"/vouchers/codes.csv", "export-voucher-codes", "Export vouchers with their codes and numbers", access.VouchersIssue, append([]string{"msisdn", "code"}, voucherColumns...), true},
	} {
		register(s, e.permission, huma.Operation{OperationID: e.operation, Method: http.MethodGet, Path: e.path, Tags: tags, Summary: e.summary,
			Description: "CSV (RFC 4180, UTF-8), newest first; the columns are " + strings.Join(e.columns, ", ") + ". The audit log has that it was exported. " +
				"Cells that a spreadsheet would take for a formula begin with an apostrophe. A file that was cut short ends in a broken transfer.",
			Responses: map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
			func(ctx context.Context, in *struct{ VoucherFilter }) (*huma.StreamResponse, error) {
				first, err := s.Store.Vouchers(ctx, in.filter(), uuid.Nil, vouchersAtOnce)
				if err == nil {
					err = s.Store.ExportVouchers(ctx, in.filter(), e.codes)
				}
				if err != nil {
					return nil, err
				}
				return &huma.StreamResponse{Body: func(hc huma.Context) {
					hc.SetHeader("Content-Type", "text/csv; charset=utf-8")
					hc.SetHeader("Content-Disposition", `attachment; filename="vouchers.csv"`)
					s.exportVouchers(hc.Context(), hc.BodyWriter().(http.ResponseWriter), in.filter(), e.columns, e.codes, first)
				}}, nil
			})
	}
}

// voucherColumns are the columns of export.csv.
var voucherColumns = []string{"voucher_id", "msisdn_masked", "amount", "currency", "scope", "status", "reference", "campaign_id", "batch_id", "expires_at", "issued_at",
	"sent_at", "redeemed_at", "redeemed_station_id", "expired_at", "voided_at", "void_reason"}

const vouchersAtOnce = 1000

// exportVouchers writes the file page by page, of which it holds one at a time.
func (s *server) exportVouchers(ctx context.Context, w http.ResponseWriter, f store.VoucherFilter, columns []string, codes bool, page []store.Voucher) {
	rc, out := http.NewResponseController(w), csv.NewWriter(w)
	_ = out.Write(columns) // Flush tells the error
	for {
		_ = rc.SetWriteDeadline(time.Now().Add(exportWithin))
		for _, v := range page {
			_ = out.Write(voucherCells(v, codes))
		}
		out.Flush()
		if out.Error() != nil {
			panic(http.ErrAbortHandler) // the reader left
		}
		if len(page) < vouchersAtOnce {
			return
		}
		var err error
		if page, err = s.Store.Vouchers(ctx, f, page[len(page)-1].ID, vouchersAtOnce); err != nil {
			s.Log.WarnContext(ctx, "export broken off", "error", err)
			panic(http.ErrAbortHandler) // the reader must not take what it has for the whole
		}
	}
}

// voucherCells is one line. A whole number is its + and digits and no formula: it stays as it is.
func voucherCells(v store.Voucher, codes bool) []string {
	o := voucherOf(v)
	id := func(id *uuid.UUID) string {
		if id == nil {
			return ""
		}
		return id.String()
	}
	cells := []string{o.ID.String(), cell(o.MSISDN), o.Amount, string(o.Currency), string(o.Scope), string(o.Status), cell(o.Reference), id(o.CampaignID), id(o.BatchID),
		stamp(&o.ExpiresAt), stamp(&o.IssuedAt), stamp(o.SentAt), stamp(o.RedeemedAt), id(o.RedeemedStationID), stamp(o.ExpiredAt), stamp(o.VoidedAt), cell(o.VoidReason)}
	if codes {
		return append([]string{string(v.MSISDN), v.Code.String()}, cells...)
	}
	return cells
}

func batchOf(b store.VoucherBatch) VoucherBatch {
	return VoucherBatch{ID: b.ID, Lines: b.Lines, Invalid: b.Invalid, Duplicates: b.Duplicates, Issued: b.Issued, IgnoredColumns: append([]string{}, b.IgnoredColumns...),
		BadLines: []store.ImportLine{}, CreatedAt: b.CreatedAt}
}
