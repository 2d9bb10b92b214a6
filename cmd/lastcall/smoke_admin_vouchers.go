package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"image"
	_ "image/png" // cards
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/voucher"
)

// Items 7 to 11: vouchers.

// voucher issues one voucher of a number that nobody has, and withdraws it when the run is over.
func (s *panelSmoke) voucher(ctx context.Context, amount string, stations ...string) (v api.Voucher, err error) {
	n := api.NewVoucher{MSISDN: smokeRW(510), Amount: amount, Currency: "RWF", Stations: stations, ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	if _, err = s.admin.call(ctx, http.MethodPost, "/vouchers", n, &v); err == nil {
		s.withdraw(v.ID)
	}
	return v, err
}

func (s *panelSmoke) withdraw(id uuid.UUID) {
	s.later("withdraw the voucher", func(ctx context.Context) error {
		var v api.Voucher
		if err := s.admin.get(ctx, "/vouchers/"+id.String(), nil, &v); err != nil || v.Status != voucher.Issued && v.Status != voucher.Sent {
			return err
		}
		_, err := s.admin.call(ctx, http.MethodPost, "/vouchers/"+id.String()+"/void", api.VoucherReason{Reason: "smoke test"}, &v)
		return err
	})
}

func (s *panelSmoke) voucherFilters(ctx context.Context) (evidence, error) {
	began := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	v, err := s.voucher(ctx, "1500")
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"voucher_id": v.ID}}
	has := func(query url.Values) bool {
		var page api.VoucherPage
		if err := s.admin.get(ctx, "/vouchers", query, &page); err != nil {
			k.that(false, "%w", err)
		}
		for _, each := range page.Vouchers {
			if each.ID == v.ID {
				k.that(each.Code == "" && strings.Contains(each.MSISDN, "•"), "a list shows codes or numbers")
				return true
			}
		}
		return false
	}
	k.that(has(url.Values{"status": {"issued"}, "issued_from": {began}}), "it is not among those issued now")
	k.that(!has(url.Values{"status": {"void"}, "issued_from": {began}}), "it is among those withdrawn")
	k.that(!has(url.Values{"issued_before": {began}}), "it is among those issued before")
	k.that(has(url.Values{"outstanding": {"true"}, "issued_from": {began}}), "it is not among those that can be redeemed")
	var found api.VoucherPage
	if _, err := s.admin.call(ctx, http.MethodPost, "/vouchers/find", api.VoucherSearch{Code: strings.ToLower(v.Code)}, &found); err != nil {
		return k.evidence, err
	}
	k.that(len(found.Vouchers) == 1 && found.Vouchers[0].ID == v.ID, "its code finds %d vouchers", len(found.Vouchers))
	export, err := s.text(ctx, s.admin, "/vouchers/export.csv?"+url.Values{"issued_from": {began}}.Encode())
	if err != nil {
		return k.evidence, err
	}
	rows, err := csv.NewReader(strings.NewReader(export)).ReadAll()
	k.that(err == nil && len(rows) > 1, "the export is no CSV with rows")
	k.that(strings.Contains(export, v.ID.String()), "the export does not have it")
	k.that(!strings.Contains(export, v.Code) && !strings.Contains(export, smokeRW(510)), "the export shows codes or numbers")
	k.evidence["exported_rows"] = len(rows) - 1
	s.audited(ctx, &k, "voucher.exported", "vouchers")
	return k.evidence, k.err
}

var smokeCard = api.CardPreview{Amount: "5000", Currency: "RWF", Locale: "rw-RW", Bar: "Smoke Example"}

// card asks for a preview.
func (s *panelSmoke) card(ctx context.Context) ([]byte, error) {
	in := smokeCard
	in.ExpiresAt = time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	return s.post(ctx, s.admin, "/vouchers/preview", in)
}

func (s *panelSmoke) voucherPreview(ctx context.Context) (evidence, error) {
	picture, err := s.card(ctx)
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"bytes": len(picture)}}
	size, kind, err := image.DecodeConfig(bytes.NewReader(picture))
	k.that(err == nil && kind == "png", "the card is no PNG")
	k.that(size.Width >= 300 && size.Height >= 300, "the card is only %d × %d pixels", size.Width, size.Height)
	k.evidence["pixels"] = []int{size.Width, size.Height}
	_, err = s.admin.call(ctx, http.MethodPost, "/vouchers/preview", api.CardPreview{Amount: "much", Currency: "RWF", Locale: "rw-RW", ExpiresAt: time.Now().Add(time.Hour)}, &struct{}{})
	k.refused(err, "bad_amount")
	return k.evidence, k.err
}

// voucherPreviewDegraded puts a fault before the function that draws cards: the preview says so, with what messages say
// meanwhile, and vouchers are issued as before.
func (s *panelSmoke) voucherPreviewDegraded(ctx context.Context) (evidence, error) {
	k := claims{evidence: evidence{}}
	err := s.withFault(ctx, "voucher-card", "server_error", func(ctx context.Context) error {
		err := s.until(ctx, 10*time.Second, "the preview to fail", func(ctx context.Context) (bool, error) {
			_, err := s.card(ctx)
			problem, refused := errors.AsType[*api.Problem](err)
			if err != nil && !refused {
				return false, err
			}
			if refused {
				k.that(problem.Status == http.StatusServiceUnavailable && problem.Code == "voucher_card_unavailable", "it fails as %s, %d", problem.Code, problem.Status)
				k.that(strings.Contains(problem.Text, "5,000"), "it does not say what messages say meanwhile")
				k.evidence["code"] = problem.Code
			}
			return refused, nil
		})
		if err != nil {
			return err
		}
		v, err := s.voucher(ctx, "1000")
		k.evidence["issued_meanwhile"] = v.ID
		return err
	})
	if err != nil {
		return k.evidence, err
	}
	err = s.until(ctx, 20*time.Second, "cards to be drawn again", func(ctx context.Context) (bool, error) {
		_, err := s.card(ctx)
		return err == nil, nil
	})
	return k.evidence, errors.Join(k.err, err)
}

func (s *panelSmoke) issueOne(ctx context.Context) (evidence, error) {
	n := api.NewVoucher{MSISDN: smokeRW(511), Amount: "2000", Currency: "RWF", ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	key := uuid.NewString()
	var one, again api.Voucher
	if err := s.keyed(ctx, s.admin, "/vouchers", key, n, &one); err != nil {
		return nil, err
	}
	s.withdraw(one.ID)
	if err := s.keyed(ctx, s.admin, "/vouchers", key, n, &again); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"voucher_id": one.ID}}
	k.that(one.ID == again.ID, "the same request twice made two")
	k.that(one.Status == voucher.Issued && one.Amount == "2000" && one.Currency == voucher.RWF && one.Scope == voucher.ScopeAll, "it is not what was asked for")
	_, err := voucher.ParseCode(one.Code)
	k.that(err == nil, "its code does not check")
	n.Amount = "20.50"
	_, err = s.admin.call(ctx, http.MethodPost, "/vouchers", n, &again)
	problem, refused := errors.AsType[*api.Problem](err)
	k.that(refused && problem.Status == http.StatusUnprocessableEntity && problem.Field == "amount", "half a franc is taken: %w", orNone(err))
	var story api.VoucherEvents
	if err := s.admin.get(ctx, "/vouchers/"+one.ID.String()+"/events", nil, &story); err != nil {
		return k.evidence, err
	}
	k.that(len(story.Events) == 1 && story.Events[0].Status == voucher.Issued, "its story does not begin with its issue")
	s.audited(ctx, &k, "voucher.issued", "voucher/"+one.ID.String())
	return k.evidence, k.err
}

func (s *panelSmoke) issueBatch(ctx context.Context) (evidence, error) {
	file := "Mobile no;amount\n" + smokeRW(520) + ";1500\nnobody;500\n" + smokeRW(521) + ";2500\n" + smokeRW(520) + ";1500\n"
	query := url.Values{"map": {"msisdn:Mobile no"}, "currency": {"RWF"}, "expires_at": {time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}
	var b api.VoucherBatch
	header := http.Header{"Content-Type": {"text/csv"}, "Idempotency-Key": {uuid.NewString()}}
	if _, err := s.admin.send(ctx, http.MethodPost, "/vouchers/batches?"+query.Encode(), header, strings.NewReader(file), &b); err != nil {
		return nil, err
	}
	var page api.VoucherPage
	if err := s.admin.get(ctx, "/vouchers", url.Values{"batch": {b.ID.String()}}, &page); err != nil {
		return nil, err
	}
	for _, v := range page.Vouchers {
		s.withdraw(v.ID)
	}
	k := claims{evidence: evidence{"batch_id": b.ID, "lines": b.Lines, "issued": b.Issued, "invalid": b.Invalid, "duplicates": b.Duplicates}}
	k.that(b.Lines == 4 && b.Issued == 2 && b.Invalid == 1 && b.Duplicates == 1, "of 4 lines %d were issued, %d invalid and %d duplicates", b.Issued, b.Invalid, b.Duplicates)
	k.that(len(b.BadLines) == 1 && b.BadLines[0].Line == 3 && b.BadLines[0].Field == "msisdn", "the bad line is not told")
	k.that(len(page.Vouchers) == 2, "the batch has %d vouchers", len(page.Vouchers))
	return k.evidence, k.err
}
