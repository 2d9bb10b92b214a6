package api

import (
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/domain/delivery"
	"lastcall/store"
)

// FailureReport is how many targets of a campaign failed, and why.
type FailureReport struct {
	CampaignID uuid.UUID        `json:"campaign_id" format:"uuid"`
	Failed     int64            `json:"failed"`
	Failures   []store.Failures `json:"failures" doc:"By reason and code, most first"`
}

// failureColumns are the columns of failures.csv.
var failureColumns = []string{"msisdn", "target_id", "reason", "error_code", "scope", "meaning", "advice", "attempts", "sent_at", "failed_at", "provider_id"}

func (s *server) failures() {
	tags := []string{"Campaigns"}
	register(s, access.CampaignsRead, huma.Operation{OperationID: "count-failures", Method: http.MethodGet, Path: "/campaigns/{id}/failures", Tags: tags,
		Summary: "Count what failed, by reason and code", Description: "As it is now: receipts may change it after the campaign's report was written."},
		func(ctx context.Context, in *CampaignPath) (*struct{ Body FailureReport }, error) {
			all, err := s.Store.Failures(ctx, in.ID)
			r := FailureReport{CampaignID: in.ID, Failures: all}
			for _, f := range all {
				r.Failed += f.Targets
			}
			return &struct{ Body FailureReport }{r}, err
		})

	register(s, access.ContactsReveal, huma.Operation{OperationID: "export-failures", Method: http.MethodGet, Path: "/campaigns/{id}/failures.csv", Tags: tags,
		Summary: "Export the targets that failed, with what to do about each",
		Description: "CSV (RFC 4180, UTF-8) that can be imported into another campaign; the columns are " + strings.Join(failureColumns, ", ") + ". " +
			"Cells that a spreadsheet would take for a formula begin with an apostrophe. A file that was cut short ends in a broken transfer.",
		Responses: map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{
			"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(ctx context.Context, in *CampaignPath) (*huma.StreamResponse, error) {
			if _, err := s.Store.Campaign(ctx, in.ID); err != nil {
				return nil, err
			}
			first, err := s.Store.FailedTargets(ctx, in.ID, store.FailedTarget{}, failuresAtOnce)
			if err != nil {
				return nil, err
			}
			if err := s.Store.Enter(ctx, audit.Entry{Action: "failures.exported", Target: "campaign/" + in.ID.String()}); err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				hc.SetHeader("Content-Type", "text/csv; charset=utf-8")
				hc.SetHeader("Content-Disposition", `attachment; filename="failures-`+in.ID.String()+`.csv"`)
				s.exportFailures(hc.Context(), hc.BodyWriter().(http.ResponseWriter), in.ID, first)
			}}, nil
		})
}

const (
	failuresAtOnce = 1000
	exportWithin   = 30 * time.Second // a reader that takes longer for one page is cut off
)

// exportFailures writes the file page by page, of which it holds one at a time.
func (s *server) exportFailures(ctx context.Context, w http.ResponseWriter, id uuid.UUID, page []store.FailedTarget) {
	rc, out := http.NewResponseController(w), csv.NewWriter(w)
	_ = out.Write(failureColumns) // Flush tells the error
	for {
		_ = rc.SetWriteDeadline(time.Now().Add(exportWithin))
		for _, f := range page {
			_ = out.Write(failureCells(f))
		}
		out.Flush()
		if out.Error() != nil {
			panic(http.ErrAbortHandler) // the reader left
		}
		if len(page) < failuresAtOnce {
			return
		}
		var err error
		if page, err = s.Store.FailedTargets(ctx, id, page[len(page)-1], failuresAtOnce); err != nil {
			s.Log.WarnContext(ctx, "export broken off", "campaign_id", id, "error", err)
			panic(http.ErrAbortHandler) // the reader must not take what it has for the whole
		}
	}
}

// failureCells is one line. A number is its + and digits, by the database's own check, and no formula: it stays as
// it is, so that the file can be imported again.
func failureCells(f store.FailedTarget) []string {
	d := delivery.Diagnose(f.Reason, f.ErrorCode)
	code := ""
	if f.ErrorCode != 0 {
		code = strconv.Itoa(f.ErrorCode)
	}
	return []string{string(f.MSISDN), strconv.FormatInt(f.ID, 10), cell(f.Reason), code, cell(string(d.Scope)), cell(d.Meaning),
		cell(d.Advice), strconv.Itoa(f.Attempt), stamp(f.SentAt), stamp(f.FailedAt), cell(f.ProviderID)}
}

// cell is text that no spreadsheet takes for a formula (CWE-1236).
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}

func stamp(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
