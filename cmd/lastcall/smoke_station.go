package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// Items 21 to 30: the station app, on a phone of its own. What it redeems is mocked.

// counterPhone is a phone that is enrolled at a station, with who works there.
type counterPhone struct {
	*apiClient
	station  api.Station
	operator api.Operator
	pin      string
}

// enrolled enrols a phone at a station, with somebody of its own who works there until the run is over.
func (s *panelSmoke) enrolled(ctx context.Context, at api.Station) (*counterPhone, error) {
	var who api.OperatorPIN
	if _, err := s.admin.call(ctx, http.MethodPost, "/stations/"+at.ID.String()+"/operators", api.OperatorName{Name: "Smoke Example"}, &who); err != nil {
		return nil, err
	}
	s.later("disable the operator", func(ctx context.Context) error {
		_, err := s.admin.call(ctx, http.MethodPost, "/operators/"+who.Operator.ID.String()+"/disable", nil, &api.Operator{})
		return err
	})
	var link api.EnrolmentLink
	if _, err := s.admin.call(ctx, http.MethodPost, "/stations/"+at.ID.String()+"/enrolments", api.NewDevice{Name: "Smoke phone"}, &link); err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	p := &counterPhone{apiClient: &apiClient{base: s.base, http: http.Client{Jar: jar}}, station: at, operator: who.Operator, pin: who.PIN}
	_, token, _ := strings.Cut(link.Link, "#enrol=")
	var device api.StationDevice
	if _, err := p.call(ctx, http.MethodPost, "/station/device", api.StationEnrolment{Token: token}, &device); err != nil {
		return nil, err
	}
	s.later("revoke the phone", func(ctx context.Context) error {
		return s.admin.discard(ctx, http.MethodDelete, "/devices/"+device.Device.ID.String(), api.Deletion{Reason: "smoke test"})
	})
	return p, nil
}

func (p *counterPhone) signIn(ctx context.Context, pin string) (v api.StationSession, err error) {
	_, err = p.call(ctx, http.MethodPost, "/station/session", api.StationCredentials{Station: p.station.Code, PIN: pin}, &v)
	return v, err
}

// atCounter is the phone of these items, signed in, at a station that the run made.
func (s *panelSmoke) atCounter(ctx context.Context) (*counterPhone, error) {
	if s.phone != nil {
		return s.phone, nil
	}
	if err := s.save(ctx, "toggles", []byte(`{"dispatch":true,"station_redeem":true,"mock_redemptions":true}`)); err != nil {
		return nil, err
	}
	b, err := s.bar(ctx)
	if err != nil {
		return nil, err
	}
	var at api.Station
	if _, err := s.admin.call(ctx, http.MethodPost, "/stations", api.NewStation{BarID: b.ID, Code: b.Code + "-1", Name: "Counter"}, &at); err != nil {
		return nil, err
	}
	p, err := s.enrolled(ctx, at)
	if err != nil {
		return nil, err
	}
	if _, err := p.signIn(ctx, p.pin); err != nil {
		return nil, err
	}
	s.phone = p
	return p, nil
}

func (s *panelSmoke) stationSignIn(ctx context.Context) (evidence, error) {
	p, err := s.atCounter(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.discard(ctx, http.MethodDelete, "/station/session", struct{}{}); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"station": p.station.Code}}
	k.refused(p.get(ctx, "/station/session", nil, &api.StationSession{}), "not_signed_in")
	wrong := "135790"
	if p.pin == wrong {
		wrong = "135791"
	}
	_, err = p.signIn(ctx, wrong)
	k.refused(err, "wrong_credentials")
	v, err := p.signIn(ctx, p.pin)
	if err != nil {
		return k.evidence, err
	}
	k.that(v.Station.Code == p.station.Code && v.Operator.ID == p.operator.ID, "somebody else is signed in")
	ends := time.Until(v.ExpiresAt)
	k.that(ends > time.Hour && ends < 13*time.Hour, "the session ends in %s", ends.Round(time.Minute))
	k.evidence["session_ends_in_minutes"] = int(ends.Minutes())
	_, err = (&apiClient{base: s.base}).call(ctx, http.MethodPost, "/station/session", api.StationCredentials{Station: p.station.Code, PIN: p.pin}, &v)
	k.refused(err, "device_unknown") // the PIN alone opens nothing
	k.that(s.admin.get(ctx, "/station/session", nil, &v) != nil, "a session of the panel opens the station app")
	return k.evidence, k.err
}

// stationHome looks at what the home screen is made of: who works where, in which money, and the app itself.
func (s *panelSmoke) stationHome(ctx context.Context) (evidence, error) {
	p, err := s.atCounter(ctx)
	if err != nil {
		return nil, err
	}
	var v api.StationSession
	var keys api.StationKeys
	if err := p.get(ctx, "/station/session", nil, &v); err != nil {
		return nil, err
	}
	if err := p.get(ctx, "/station/keys", nil, &keys); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"keys": len(keys.Keys), "zone": v.Station.Zone, "currency": v.Station.Currency}}
	k.that(v.Station.Zone == "Africa/Kigali" && v.Station.Currency == "RWF", "its clock is %s and its money %s", v.Station.Zone, v.Station.Currency)
	k.that(len(keys.Keys) > 0, "there are no keys to verify vouchers with")
	page, header, err := s.file(ctx, "/station/")
	if err != nil {
		return k.evidence, err
	}
	k.that(strings.Contains(page, `<div id="root">`) && strings.Contains(page, "manifest.webmanifest"), "at /station/ is no station app")
	k.that(strings.Contains(header.Get("Content-Security-Policy"), "default-src 'self'"), "it has no content security policy")
	return k.evidence, k.err
}

// file is a file of the station app; cannotProve where this build has none.
func (s *panelSmoke) file(ctx context.Context, path string) (string, http.Header, error) {
	res, err := s.admin.page(ctx, path)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered with %s", path, res.Status)
	}
	if err == nil && strings.Contains(string(body), "This build has no panel in it") {
		err = cannotProve("this build has no station app in it")
	}
	return string(body), res.Header, err
}

// shown is a voucher as its guest has it.
func (s *panelSmoke) shown(ctx context.Context, amount string, stations ...string) (v api.RevealedVoucher, err error) {
	one, err := s.voucher(ctx, amount, stations...)
	if err == nil {
		_, err = s.admin.call(ctx, http.MethodPost, "/vouchers/"+one.ID.String()+"/reveal", nil, &v)
	}
	return v, err
}

// redeem redeems as a phone does, and asserts that it was a rehearsal: the voucher stays as good as it was.
func (s *panelSmoke) redeem(ctx context.Context, k *claims, v api.RevealedVoucher, how api.StationVoucher) (receipt store.Redeemed, key string, err error) {
	var look api.StationLook
	if _, err := s.phone.call(ctx, http.MethodPost, "/station/vouchers/check", how, &look); err != nil {
		return receipt, "", err
	}
	k.that(look.VoucherID == v.ID && look.Amount == v.Amount && strings.Contains(look.MSISDN, "•"), "before it is redeemed another voucher is shown")
	key = uuid.NewString()
	if err := s.keyed(ctx, s.phone.apiClient, "/station/redemptions", key, api.NewRedemption{StationVoucher: how}, &receipt); err != nil {
		return receipt, key, err
	}
	k.that(receipt.VoucherID == v.ID && receipt.Amount == v.Amount && receipt.StationCode == s.phone.station.Code, "the receipt is another one's")
	k.that(receipt.Mock, "it was redeemed in earnest")
	var after api.Voucher
	if err := s.admin.get(ctx, "/vouchers/"+v.ID.String(), nil, &after); err != nil {
		return receipt, key, err
	}
	k.that(after.Status == voucher.Issued, "rehearsed, the voucher is %s", after.Status)
	k.evidence["receipt"], k.evidence["voucher_id"], k.evidence["mock"] = receipt.ID, v.ID, receipt.Mock
	return receipt, key, nil
}

func (s *panelSmoke) redeemByQR(ctx context.Context) (evidence, error) {
	p, err := s.atCounter(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.shown(ctx, "2000", p.station.Code)
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{}}
	k.that(v.QR != "", "there is no QR code: no key signs vouchers")
	forged := v.QR[:len(v.QR)-2] + "AA"
	if forged == v.QR {
		forged = v.QR[:len(v.QR)-2] + "BB"
	}
	_, err = p.call(ctx, http.MethodPost, "/station/vouchers/check", api.StationVoucher{QR: forged}, &api.StationLook{})
	problem, refused := errors.AsType[*api.Problem](err)
	k.that(refused && problem.Status == http.StatusNotFound, "a forged code is taken: %w", orNone(err))
	_, _, err = s.redeem(ctx, &k, v, api.StationVoucher{QR: v.QR})
	return k.evidence, errors.Join(err, k.err)
}

func (s *panelSmoke) redeemByCode(ctx context.Context) (evidence, error) {
	if _, err := s.atCounter(ctx); err != nil {
		return nil, err
	}
	v, err := s.shown(ctx, "1500")
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{}}
	typed := strings.ToLower(strings.ReplaceAll(v.Code, "-", " ")) // as people type
	_, _, err = s.redeem(ctx, &k, v, api.StationVoucher{Code: typed})
	return k.evidence, errors.Join(err, k.err)
}

// wrongCode tries a code that is nobody's and one of elsewhere, once each: more would lock the phone's code entry.
func (s *panelSmoke) wrongCode(ctx context.Context) (evidence, error) {
	p, err := s.atCounter(ctx)
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{}}
	_, err = p.call(ctx, http.MethodPost, "/station/vouchers/check", api.StationVoucher{Code: voucher.NewCode().String()}, &api.StationLook{})
	k.refused(err, "wrong_code")
	if problem, ok := errors.AsType[*api.Problem](err); ok {
		k.evidence["http_status"], k.evidence["code"] = problem.Status, problem.Code
	}
	var receipt store.Redeemed
	k.refused(s.keyed(ctx, p.apiClient, "/station/redemptions", uuid.NewString(), api.NewRedemption{StationVoucher: api.StationVoucher{Code: voucher.NewCode().String()}}, &receipt), "wrong_code")
	b, err := s.bar(ctx)
	if err != nil {
		return k.evidence, err
	}
	var other api.Station
	if _, err := s.admin.call(ctx, http.MethodPost, "/stations", api.NewStation{BarID: b.ID, Code: b.Code + "-2", Name: "Elsewhere"}, &other); err != nil {
		return k.evidence, err
	}
	v, err := s.shown(ctx, "500", other.Code)
	if err != nil {
		return k.evidence, err
	}
	k.refused(s.keyed(ctx, p.apiClient, "/station/redemptions", uuid.NewString(), api.NewRedemption{StationVoucher: api.StationVoucher{QR: v.QR}}, &receipt), "wrong_station")
	return k.evidence, k.err
}

func (s *panelSmoke) replay(ctx context.Context) (evidence, error) {
	p, err := s.atCounter(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.shown(ctx, "2000", p.station.Code)
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{}}
	how := api.StationVoucher{QR: v.QR}
	first, key, err := s.redeem(ctx, &k, v, how)
	if err != nil {
		return k.evidence, err
	}
	var again store.Redeemed
	header, err := s.keyedHeader(ctx, p.apiClient, "/station/redemptions", key, api.NewRedemption{StationVoucher: how}, &again)
	if err != nil {
		return k.evidence, err
	}
	k.that(again.ID == first.ID && again.RedeemedAt.Equal(first.RedeemedAt), "the same request again gets another receipt")
	k.that(header.Get("Idempotency-Replayed") == "true", "the answer does not say that it is one of before")
	k.refused(s.keyed(ctx, p.apiClient, "/station/redemptions", key, api.NewRedemption{StationVoucher: api.StationVoucher{Code: v.Code}}, &again), "idempotency_key_reused")
	err = s.keyed(ctx, p.apiClient, "/station/redemptions", uuid.NewString(), api.NewRedemption{StationVoucher: how}, &again)
	k.refused(err, "already_redeemed")
	if problem, ok := errors.AsType[*api.Problem](err); ok {
		k.that(problem.Redeemed != nil && strings.Contains(problem.Redeemed.Station, p.station.Code), "it does not say when and where")
	}
	return k.evidence, k.err
}

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
	var none, b api.StationBalance
	if err := mocked.get(ctx, "/station/balance", nil, &none); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{}}
	k.that(len(none.Redeemed) == 0, "rehearsals are in the balance")
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
