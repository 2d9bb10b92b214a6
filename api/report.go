package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/store"
)

// reportColumns are the columns of report.csv.
var reportColumns = []string{"figure", "value", "reason", "error_code", "meaning", "advice"}

func (s *server) reports() {
	type file struct {
		ContentType        string `header:"Content-Type"`
		ContentDisposition string `header:"Content-Disposition"`
		Body               []byte
	}
	register(s, access.CampaignsRead, huma.Operation{OperationID: "export-report", Method: http.MethodGet, Path: "/campaigns/{id}/report.csv", Tags: []string{"Campaigns"},
		Summary: "Export the report of a campaign that has ended",
		Description: "CSV (RFC 4180, UTF-8), a figure a line; the columns are " + strings.Join(reportColumns, ", ") + ". A line `failed_by` is how many failed for one reason. " +
			"It is as the campaign ended, like `report`: receipts that came later are in the campaign's counts. Before the end it is `not_ended`.",
		Responses: map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{
			"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(ctx context.Context, in *CampaignPath) (*file, error) {
			p, err := s.Store.Progress(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			c := s.campaign(p)
			if c.Report == nil {
				return nil, domain.E(domain.Conflict, "not_ended", "there is no report yet: the campaign is %s", c.Status)
			}
			return &file{"text/csv; charset=utf-8", `attachment; filename="report-` + in.ID.String() + `.csv"`, reportFile(c, *c.Report)}, nil
		})
}

// reportFile is a report as a file: what it is about, the counts, then what failed and why.
func reportFile(c Campaign, r store.Report) []byte {
	var body bytes.Buffer
	out := csv.NewWriter(&body) // a buffer: it cannot fail
	line := func(cells ...string) { _ = out.Write(append(cells, make([]string, len(reportColumns)-len(cells))...)) }
	number := func(figure string, n int64) { line(figure, strconv.FormatInt(n, 10)) }
	line(reportColumns...)
	line("campaign", cell(c.Name))
	line("template", cell(c.Template))
	number("template_version", int64(c.TemplateVersion))
	line("status", string(c.Status))
	line("started_at", stamp(c.StartedAt))
	line("finished_at", stamp(c.FinishedAt))
	line("seconds", strconv.FormatFloat(r.Seconds, 'f', 3, 64))
	number("resend", int64(c.Resend))
	number("lines", c.Lines)
	number("invalid", c.Invalid)
	number("duplicates", c.Duplicates)
	number("targets", r.Counts.Targets)
	number("accepted", r.Counts.Accepted())
	for _, s := range []struct {
		state campaign.TargetState
		n     int64
	}{{campaign.Sent, r.Counts.Sent}, {campaign.Delivered, r.Counts.Delivered}, {campaign.Read, r.Counts.Read},
		{campaign.FailedT, r.Counts.Failed}, {campaign.OptedOut, r.Counts.OptedOut}, {campaign.Unknown, r.Counts.Unknown},
		{campaign.Cancelled, r.Counts.Cancelled}} {
		number(string(s.state), s.n)
	}
	if v := r.Vouchers; v != nil {
		line("voucher_amount", v.Amount)
		line("voucher_currency", string(v.Currency))
		for _, each := range []struct {
			figure string
			n      int64
		}{{"made", v.Made}, {"issued", v.Issued}, {"sent", v.Sent}, {"redeemed", v.Redeemed}, {"expired", v.Expired}, {"void", v.Void},
			{"as_card", v.Cards}, {"as_text", v.Texts}, {"unsent", v.Unsent}} {
			number("vouchers_"+each.figure, each.n)
		}
		line("vouchers_made_value", v.MadeValue)
		line("vouchers_redeemed_value", v.RedeemedValue)
	}
	for _, f := range r.Failures {
		code := ""
		if f.ErrorCode != 0 {
			code = strconv.Itoa(f.ErrorCode)
		}
		line("failed_by", strconv.FormatInt(f.Targets, 10), cell(f.Reason), code, cell(f.Meaning), cell(f.Advice))
	}
	out.Flush()
	return body.Bytes()
}
