package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/store"
)

// Items 27 to 30: what the station app tells, what it keeps for when there is no connection, and how it can be read.

// busyStation signs in at a station at which at least two vouchers were redeemed in earnest.
func (s *panelSmoke) busyStation(ctx context.Context) (*counterPhone, error) {
	var page api.RedemptionPage
	if err := s.admin.get(ctx, "/redemptions", url.Values{"limit": {"200"}}, &page); err != nil {
		return nil, err
	}
	counts := map[uuid.UUID]int{}
	for _, r := range page.Redemptions {
		if counts[r.StationID]++; counts[r.StationID] < 2 {
			continue
		}
		var at api.Station
		if err := s.admin.get(ctx, "/stations/"+r.StationID.String(), nil, &at); err != nil {
			if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Status == http.StatusNotFound {
				continue // deleted
			}
			return nil, err
		}
		p, err := s.enrolled(ctx, at)
		if err == nil {
			_, err = p.signIn(ctx, p.pin)
		}
		return p, err
	}
	return nil, cannotProve("at no station two vouchers were redeemed lately: load the fixtures")
}

// stationBalance looks at a station that has redeemed something: its balance is what its days and its history say.
// Rehearsals are outside of it.
func (s *panelSmoke) stationBalance(ctx context.Context) (evidence, error) {
	mocked, err := s.atCounter(ctx)
	if err != nil {
		return nil, err
	}
	var before, after, b api.StationBalance
	if err := mocked.get(ctx, "/station/balance", nil, &before); err != nil {
		return nil, err
	}
	v, err := s.shown(ctx, "1000")
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{}}
	if _, _, err := s.redeem(ctx, &k, v, api.StationVoucher{Code: v.Code}); err != nil {
		return k.evidence, err
	}
	if err := mocked.get(ctx, "/station/balance", nil, &after); err != nil {
		return k.evidence, err
	}
	k.that(slices.Equal(before.Redeemed, after.Redeemed), "a rehearsal is in the balance")
	p, err := s.busyStation(ctx)
	if err != nil {
		return k.evidence, errors.Join(err, k.err)
	}
	if err := p.get(ctx, "/station/balance", nil, &b); err != nil {
		return k.evidence, err
	}
	k.evidence["station"], k.evidence["balance"] = p.station.Code, b.Redeemed
	k.that(len(b.Redeemed) > 0 && b.Redeemed[0].Redemptions >= 2 && b.Zone != "", "it has redeemed nothing, says its balance")
	for _, sum := range b.Redeemed {
		amount, err := strconv.ParseFloat(sum.Amount, 64)
		pending, err2 := strconv.ParseFloat(sum.Pending, 64)
		k.that(err == nil && err2 == nil && pending <= amount && amount > 0, "of %s %s are pending", sum.Amount, sum.Pending)
	}
	k.that(slices.IsSortedFunc(b.Days, func(x, y api.DayBalance) int { return strings.Compare(y.Day, x.Day) }), "its days are in no order")
	return k.evidence, k.err
}

func (s *panelSmoke) historyPaging(ctx context.Context) (evidence, error) {
	p, err := s.busyStation(ctx)
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"station": p.station.Code}}
	seen, after := map[uuid.UUID]bool{}, ""
	for n := 1; ; n++ {
		var page api.RedemptionPage
		query := url.Values{"limit": {"1"}}
		if after != "" {
			query.Set("after", after)
		}
		if err := p.get(ctx, "/station/history", query, &page); err != nil {
			return k.evidence, err
		}
		k.that(len(page.Redemptions) == 1, "page %d has %d redemptions", n, len(page.Redemptions))
		for _, r := range page.Redemptions {
			k.that(!seen[r.ID], "a redemption is on two pages")
			k.that(r.StationID == p.station.ID, "it is another station's")
			k.that(r.MSISDN == "" || strings.Contains(r.MSISDN, "•"), "its number is not masked")
			seen[r.ID] = true
			var one api.Redemption
			if err := p.get(ctx, "/station/history/"+r.ID.String(), nil, &one); err != nil {
				return k.evidence, err
			}
			k.that(one.ID == r.ID && one.Amount == r.Amount, "alone it is another one")
		}
		if after = page.Next; after == "" || n == 5 || k.err != nil {
			break
		}
	}
	k.that(len(seen) >= 2, "there is one page only")
	k.evidence["pages"] = len(seen)
	return k.evidence, k.err
}

// offline looks whether a phone has what it needs without a connection, and whether what it accepted then is taken when it
// has one again. That the app works without one, the browser tests show: here no browser runs.
func (s *panelSmoke) offline(ctx context.Context) (evidence, error) {
	p, err := s.atCounter(ctx)
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{}}
	if _, _, err := s.file(ctx, "/station/"); err != nil {
		return nil, err
	}
	worker, header, err := s.file(ctx, "/station/sw.js")
	if err != nil {
		return nil, err
	}
	var files []string
	if found := regexp.MustCompile(`(?s)files\s*=\s*(\[[^\]]*\])`).FindStringSubmatch(worker); found != nil {
		_ = json.Unmarshal([]byte(found[1]), &files) // none, then
	}
	k.that(len(files) > 3 && slices.Contains(files, "/station/"), "the service worker keeps %d files, and not the app", len(files))
	k.that(strings.Contains(header.Get("Content-Type"), "javascript"), "the service worker is served as %s", header.Get("Content-Type"))
	for _, name := range files {
		if _, _, err := s.file(ctx, name); err != nil {
			return k.evidence, fmt.Errorf("what the service worker keeps is not there: %w", err)
		}
	}
	k.evidence["kept_files"] = len(files)

	if err := s.save(ctx, "offline_redemptions", []byte(`{"mode":"on","max_age_minutes":60}`)); err != nil {
		return k.evidence, err
	}
	var lease api.Lease
	if _, err := p.call(ctx, http.MethodPost, "/station/lease", api.LeaseWanted{}, &lease); err != nil {
		return k.evidence, err
	}
	k.that(lease.Mine, "the phone does not hold the station's lease")
	here, err := s.shown(ctx, "2000", p.station.Code)
	if err != nil {
		return k.evidence, err
	}
	ago := time.Now().Add(-time.Minute).UTC()
	var receipt store.Redeemed
	if err := s.keyed(ctx, p.apiClient, "/station/redemptions", uuid.NewString(), api.NewRedemption{StationVoucher: api.StationVoucher{QR: here.QR}, OfflineAt: &ago}, &receipt); err != nil {
		return k.evidence, err
	}
	k.that(receipt.Mock && receipt.OfflineAt != nil && receipt.VoucherID == here.ID, "what was accepted offline gets another receipt")
	k.evidence["receipt"] = receipt.ID
	if err := s.save(ctx, "offline_redemptions", []byte(`{"mode":"off"}`)); err != nil {
		return k.evidence, err
	}
	var v api.StationSession
	if err := p.get(ctx, "/station/session", nil, &v); err != nil {
		return k.evidence, err
	}
	k.that(v.Offline == 0, "switched off, phones may still accept vouchers offline")
	return k.evidence, k.err
}

// contrast reckons the contrast of the station app's colours as it is served: AA everywhere, AAA on what is pressed.
func (s *panelSmoke) contrast(ctx context.Context) (evidence, error) {
	page, _, err := s.file(ctx, "/station/")
	if err != nil {
		return nil, err
	}
	sheet := regexp.MustCompile(`href="([^"]+\.css)"`).FindStringSubmatch(page)
	if sheet == nil {
		return nil, errors.New("the station app has no stylesheet")
	}
	css, _, err := s.file(ctx, sheet[1])
	if err != nil {
		return nil, err
	}
	colours := map[string]string{}
	for _, found := range regexp.MustCompile(`--([a-z]+):\s*(#[0-9a-fA-F]{3,6})\b`).FindAllStringSubmatch(css, -1) {
		colours[found[1]] = found[2]
	}
	k := claims{evidence: evidence{}}
	ratios := map[string]float64{}
	for _, pair := range []struct {
		front, back string
		least       float64
	}{
		{"text", "ground", 7}, {"text", "raised", 7}, {"soft", "ground", 4.5}, {"soft", "raised", 4.5},
		{"ground", "amber", 7}, {"amber", "ground", 4.5}, {"good", "ground", 4.5}, {"bad", "ground", 4.5},
	} {
		ratio, err := contrastOf(colours[pair.front], colours[pair.back])
		k.that(err == nil, "the stylesheet has no --%s or no --%s", pair.front, pair.back)
		ratios[pair.front+" on "+pair.back] = math.Round(ratio*100) / 100
		k.that(ratio >= pair.least, "%s on %s is %.2f : 1, less than %.1f : 1", pair.front, pair.back, ratio, pair.least)
	}
	k.evidence["ratios"] = ratios
	return k.evidence, k.err
}

// contrastOf is the contrast of two colours, from 1 to 21, as WCAG 2.2 reckons it.
func contrastOf(a, b string) (float64, error) {
	x, err := luminance(a)
	y, err2 := luminance(b)
	if err := errors.Join(err, err2); err != nil {
		return 0, err
	}
	return (max(x, y) + 0.05) / (min(x, y) + 0.05), nil
}

// luminance is the relative luminance of a colour like #0b0d17 or #fff.
func luminance(hex string) (float64, error) {
	digits := strings.TrimPrefix(hex, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || len(digits) != 6 {
		return 0, fmt.Errorf("%q is no colour", hex)
	}
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(n>>(16-8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum, nil
}
