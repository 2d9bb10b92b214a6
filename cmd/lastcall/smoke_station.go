package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// Items 21 to 26: a phone at a counter, and what it redeems. That is mocked.

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

// atCounter is the phone of these items, signed in, at the station that was named, else at one that the run made.
func (s *panelSmoke) atCounter(ctx context.Context) (*counterPhone, error) {
	if s.phone != nil {
		return s.phone, nil
	}
	if err := s.save(ctx, "toggles", []byte(`{"dispatch":true,"station_redeem":true,"mock_redemptions":true}`)); err != nil {
		return nil, err
	}
	at, err := s.counter(ctx)
	if err != nil {
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

// counter is where the phone is.
func (s *panelSmoke) counter(ctx context.Context) (at api.Station, err error) {
	if s.station != "" {
		var page api.StationPage
		if err := s.admin.get(ctx, "/stations", url.Values{"code": {s.station}}, &page); err != nil {
			return at, err
		}
		if len(page.Stations) != 1 {
			return at, fmt.Errorf("there is no station %s", s.station)
		}
		return page.Stations[0], nil
	}
	b, err := s.bar(ctx)
	if err == nil {
		_, err = s.admin.call(ctx, http.MethodPost, "/stations", api.NewStation{BarID: b.ID, Code: b.Code + "-1", Name: "Counter"}, &at)
	}
	return at, err
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
