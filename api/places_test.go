package api_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/payment"
	"lastcall/store"
)

func degrees(v float64) *float64 { return &v }

func TestBars(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var p api.Problem
	status, _ := b.do("POST", "/api/v1/bars", api.NewBar{Code: "é", BarFacts: api.BarFacts{Name: " ", Country: "XX", Latitude: degrees(91), Longitude: degrees(1)}}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Len(t, p.Errors, 4, "%+v", p.Errors)
	status, _ = b.do("POST", "/api/v1/bars", api.NewBar{Code: "nyc", BarFacts: api.BarFacts{Name: "Uptown", Country: "US"}}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "zone", p.Field)
	for _, half := range []api.BarFacts{{Name: "N", Country: "RW", Latitude: degrees(1)}, {Name: "N", Country: "RW", Longitude: degrees(1)}, {Name: "N", Country: "RW", Latitude: degrees(1), Longitude: degrees(180.5)}} {
		status, _ = b.do("POST", "/api/v1/bars", api.NewBar{Code: "half", BarFacts: half}, &p)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}

	var eng, val api.Bar
	status, header := b.do("POST", "/api/v1/bars", api.NewBar{Code: " eng ", BarFacts: api.BarFacts{Name: "Engine", Country: "rw", Address: "KN 4 Ave",
		Latitude: degrees(-1.95), Longitude: degrees(30.06)}}, &eng)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, `"1"`, header.Get("ETag"))
	require.Equal(t, "ENG", eng.Code)
	require.Equal(t, "Africa/Kigali", eng.Zone)
	require.Equal(t, "RWF", eng.Currency)
	b.do("POST", "/api/v1/bars", api.NewBar{Code: "VAL", BarFacts: api.BarFacts{Name: "Vault 50%", Country: "MT"}}, &val)
	require.Equal(t, "EUR", val.Currency)
	status, _ = b.do("POST", "/api/v1/bars", api.NewBar{Code: "ENG", BarFacts: api.BarFacts{Name: "Other", Country: "RW"}}, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "bar_exists", p.Code)

	var one api.Station
	status, _ = b.do("POST", "/api/v1/stations", api.NewStation{BarID: eng.ID, Code: "eng-001", Name: "Counter"}, &one)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "ENG-001", one.Code)
	for query, want := range map[string][]string{"": {"ENG", "VAL"}, "?search=kn+4": {"ENG"}, "?search=eng-001": {"ENG"}, "?search=counter": {"ENG"}, "?search=50%25": {"VAL"}, "?search=%25": {"VAL"}, "?search=_": nil, "?search=x": nil} {
		var page api.BarPage
		b.do("GET", "/api/v1/bars"+query, nil, &page)
		var codes []string
		for _, each := range page.Bars {
			codes = append(codes, each.Code)
		}
		require.Equal(t, want, codes, query)
	}
	var first, rest api.BarPage
	b.do("GET", "/api/v1/bars?limit=1", nil, &first)
	require.Len(t, first.Bars[0].Stations, 1)
	b.do("GET", "/api/v1/bars?limit=1&after="+first.Next, nil, &rest)
	require.Equal(t, "VAL", rest.Bars[0].Code)
	require.Empty(t, rest.Next)

	// Nobody overwrites what they have not seen.
	put := func(path, match string, body, out any) int {
		req := b.request("PUT", path, body)
		req.Header.Set("If-Match", match)
		status, _ := b.send(req, out)
		return status
	}
	facts := api.BarFacts{Name: "The Engine", Country: "RW", Latitude: eng.Latitude, Longitude: eng.Longitude}
	require.Equal(t, http.StatusOK, put("/api/v1/bars/"+eng.ID.String(), `"1"`, facts, &eng))
	require.EqualValues(t, 2, eng.Version)
	require.Empty(t, eng.Address)
	require.Equal(t, http.StatusPreconditionFailed, put("/api/v1/bars/"+eng.ID.String(), `"1"`, facts, &p))
	require.Equal(t, "bar_changed", p.Code)
	require.Equal(t, http.StatusUnprocessableEntity, put("/api/v1/bars/"+eng.ID.String(), "x", facts, &p))
	facts.Country = "MT"
	require.Equal(t, http.StatusConflict, put("/api/v1/bars/"+eng.ID.String(), `"2"`, facts, &p))
	require.Equal(t, "country", p.Field)
	require.Equal(t, http.StatusOK, put("/api/v1/stations/"+one.ID.String(), `"1"`, api.StationFacts{Name: "Long counter"}, &one))
	require.Equal(t, http.StatusPreconditionFailed, put("/api/v1/stations/"+one.ID.String(), `"1"`, api.StationFacts{Name: "Other"}, &p))
	require.Equal(t, "station_changed", p.Code)
}

func TestDeletingBars(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	w := c.at()
	admin := c.in()
	bar := c.first.BarID
	_, err := c.store.AddQRTokens(t.Context(), bar, 3)
	require.NoError(t, err)
	c.exec(`INSERT INTO contacts (id, msisdn, country, bar_id) VALUES (gen_random_uuid(), '+250780000001', 'RW', $1)`, bar)

	var i api.Toll
	admin.do("GET", "/api/v1/bars/"+bar.String()+"/impact", nil, &i)
	require.Equal(t, api.Toll{Stations: 2, Operators: 2, Devices: 2, Sessions: 1, QRTokens: 3, Contacts: 1}, i)
	admin.do("GET", "/api/v1/stations/"+c.second.ID.String()+"/impact", nil, &i)
	require.Equal(t, api.Toll{Operators: 1}, i)

	status, p, _ := admin.do("DELETE", "/api/v1/bars/"+bar.String(), nil, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "has_stations", p.Code)
	status, _, _ = admin.do("DELETE", "/api/v1/stations/"+c.second.ID.String(), api.Deletion{Reason: "rebuilt"}, nil)
	require.Equal(t, http.StatusNoContent, status)
	status, _, _ = admin.do("DELETE", "/api/v1/stations/"+c.second.ID.String(), nil, nil)
	require.Equal(t, http.StatusNotFound, status)
	status, p, _ = admin.do("POST", "/api/v1/stations", api.NewStation{BarID: bar, Code: "ENG-002", Name: "Again"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "station_exists", p.Code, "a code is not used again")
	w.do("GET", "/api/v1/station/session", nil, nil)

	// However many delete it at once, and add stations meanwhile, it is deleted once, and nothing lives in it.
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			status, _, _ := admin.do("DELETE", "/api/v1/bars/"+bar.String(), api.BarDeletion{WithStations: true, Deletion: api.Deletion{Reason: "closed"}}, nil)
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
		all.Go(func() {
			status, _, _ := admin.do("POST", "/api/v1/stations", api.NewStation{BarID: bar, Code: "RACE-" + strconv.Itoa(n), Name: "Racer"}, nil)
			require.Contains(t, []int{http.StatusCreated, http.StatusNotFound}, status)
		})
	}
	all.Wait()
	require.Equal(t, map[int]int{http.StatusNoContent: 1, http.StatusNotFound: 5}, got)
	require.Len(t, c.audited("bar.deleted"), 1)
	var left int
	require.NoError(t, c.owner.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM stations WHERE bar_id = $1 AND deleted_at IS NULL)
		+ (SELECT count(*) FROM qr_tokens WHERE bar_id = $1 AND revoked_at IS NULL) + (SELECT count(*) FROM station_sessions WHERE revoked_at IS NULL)
		+ (SELECT count(*) FROM station_devices WHERE revoked_at IS NULL)`, bar).Scan(&left))
	require.Zero(t, left)
	w.requireRefused(http.StatusUnauthorized, "device_unknown")
	var contacts int
	require.NoError(t, c.owner.QueryRow(t.Context(), `SELECT count(*) FROM contacts WHERE bar_id = $1`, bar).Scan(&contacts))
	require.Equal(t, 1, contacts, "its guests stay")
}

func TestOperators(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	admin := c.in()
	at := "/api/v1/stations/" + c.first.ID.String()
	var added api.OperatorPIN
	status, _, _ := admin.do("POST", at+"/operators", api.OperatorName{Name: " Eric Example "}, &added)
	require.Equal(t, http.StatusCreated, status)
	require.Regexp(t, `^\d{6}$`, added.PIN)
	require.Equal(t, "Eric Example", added.Operator.Name)
	status, p, _ := c.phone.signInAt("ENG-001", added.PIN)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	var s api.StationSession
	c.phone.do("GET", "/api/v1/station/session", nil, &s)
	require.Equal(t, added.Operator.ID, s.Operator.ID, "the PIN tells who it is")

	var reset api.OperatorPIN
	admin.do("POST", "/api/v1/operators/"+added.Operator.ID.String()+"/pin", nil, &reset)
	require.NotEqual(t, added.PIN, reset.PIN)
	c.phone.requireRefused(http.StatusUnauthorized, "session_ended")
	var off api.Operator
	admin.do("POST", "/api/v1/operators/"+added.Operator.ID.String()+"/disable", nil, &off)
	require.NotNil(t, off.DisabledAt)
	require.Nil(t, off.PINSetAt)
	status, p, _ = admin.do("POST", "/api/v1/operators/"+added.Operator.ID.String()+"/pin", nil, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "operator_disabled", p.Code)

	var all api.Operators
	admin.do("GET", at+"/operators", nil, &all)
	require.Len(t, all.Operators, 2)
	var kept string
	require.NoError(t, c.owner.QueryRow(t.Context(), `SELECT string_agg(a::text, ' ') FROM audit_log a WHERE action LIKE 'operator.%'`).Scan(&kept))
	for _, secret := range []string{"Eric", added.PIN, reset.PIN} {
		require.NotContains(t, kept, secret)
		require.NotContains(t, c.log.String(), secret)
	}

	var link api.EnrolmentLink
	status, _, _ = admin.do("POST", at+"/enrolments", api.NewDevice{Name: "Till"}, &link)
	require.Equal(t, http.StatusCreated, status)
	requireSVG(t, []byte(link.QR))
	_, token, found := strings.Cut(link.Link, "/station#enrol=")
	require.True(t, found)
	till := c.browser()
	status, _, _ = till.do("POST", "/api/v1/station/device", api.StationEnrolment{Token: token}, nil)
	require.Equal(t, http.StatusCreated, status)
	var devices api.Devices
	admin.do("GET", at+"/devices", nil, &devices)
	require.Len(t, devices.Devices, 2)
	require.Equal(t, "Till", devices.Devices[1].Name)
	status, _, _ = admin.do("DELETE", "/api/v1/devices/"+devices.Devices[1].ID.String(), api.Deletion{Reason: "stolen"}, nil)
	require.Equal(t, http.StatusNoContent, status)
	status, _, _ = admin.do("DELETE", "/api/v1/devices/"+devices.Devices[1].ID.String(), nil, nil)
	require.Equal(t, http.StatusNotFound, status)
}

// However many are added at once, as many as may sign in do.
func TestAStationHasSoManyOperators(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	c.exec(`INSERT INTO station_operators (id, station_id, name) SELECT gen_random_uuid(), $1, 'Crowd' FROM generate_series(1, 48)`, c.first.ID)
	var mu sync.Mutex
	got := map[string]int{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var p api.Problem
			_, _ = c.do("POST", "/api/v1/stations/"+c.first.ID.String()+"/operators", api.OperatorName{Name: "One more"}, &p)
			mu.Lock()
			defer mu.Unlock()
			got[p.Code]++
		})
	}
	all.Wait()
	require.Equal(t, map[string]int{"": 1, "too_many_operators": 3}, got)
}

func TestTableCodes(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *api.Deps) { d.WhatsAppNumber = "+100000000000001" })
	bar, err := b.store.AddBar(t.Context(), "ENG", store.BarFacts{Name: "Engine", Country: "RW"})
	require.NoError(t, err)
	at := "/api/v1/bars/" + bar.ID.String() + "/tables"
	var made, all api.TableCodes
	status, _ := b.do("POST", at, api.MoreTables{Tables: 3}, &made)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "Table 3", made.Tables[2].Label)
	require.Regexp(t, `^[0-9A-HJKMNP-TV-Z]{10}$`, made.Tables[0].Token)
	require.Equal(t, "https://wa.me/100000000000001?text=JOIN%20"+made.Tables[0].Token, made.Tables[0].Link)

	res, err := http.DefaultClient.Do(b.request("GET", at+"/"+made.Tables[0].ID.String()+"/qr.svg", nil))
	require.NoError(t, err)
	svg, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "image/svg+xml", res.Header.Get("Content-Type"))
	requireSVG(t, svg)

	status, _ = b.do("DELETE", at+"/"+made.Tables[1].ID.String(), nil, &struct{}{})
	require.Equal(t, http.StatusNoContent, status)
	var p api.Problem
	for _, path := range []string{at + "/" + made.Tables[1].ID.String(), "/api/v1/bars/" + uuid.NewString() + "/tables/" + made.Tables[0].ID.String()} {
		status, _ = b.do("DELETE", path, nil, &p)
		require.Equal(t, http.StatusNotFound, status)
	}
	b.do("POST", at, api.MoreTables{Tables: 1}, &made)
	require.Equal(t, "Table 4", made.Tables[0].Label)
	b.do("GET", at, nil, &all)
	require.Len(t, all.Tables, 3)
	status, _ = b.do("POST", at, api.MoreTables{Tables: 498}, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "too_many_tables", p.Code)

	without := setup(t, func(d *api.Deps) { d.Store = b.store })
	var silent api.TableCodes
	without.do("GET", at, nil, &silent)
	require.False(t, silent.Number)
	require.Empty(t, silent.Tables[0].Link)
	status, _ = without.do("GET", at+"/"+all.Tables[0].ID.String()+"/qr.svg", nil, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "no_number", p.Code)
}

func requireSVG(t *testing.T, svg []byte) {
	t.Helper()
	var image struct {
		XMLName xml.Name `xml:"svg"`
		Path    struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	require.NoError(t, xml.NewDecoder(bytes.NewReader(svg)).Decode(&image), "%s", svg)
	require.Greater(t, strings.Count(image.Path.D, "M"), 100, "modules")
	require.Equal(t, strings.Count(image.Path.D, "M"), strings.Count(image.Path.D, "z"))
	require.True(t, strings.HasPrefix(image.Path.D, "M4 4h7v1h-7z"), "a finder pattern stands in the corner, with white around it")
}

func TestPaymentsTakeFourEyes(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	in := map[string]*browser{}
	for _, name := range []string{"writer", "other"} {
		_, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: name + "@example.test", Name: name, Role: "finance", Password: password})
		require.NoError(t, err)
		in[name] = o.browser()
		in[name].signIn(name+"@example.test", password)
	}
	const path = "/api/v1/payments"
	draft := func(w *browser, match, text string) (int, api.Problem, api.PaymentRevision) {
		var rev api.PaymentRevision
		w.header.Set("If-Match", match)
		defer w.header.Del("If-Match")
		status, p, _ := w.do("PUT", path, api.NewPayments{Reason: "new bank", Value: payment.Terms{RevolutLink: "https://revolut.me/lastcall",
			Instructions: []payment.Instruction{{Country: "rw", Currency: "rwf", Text: text}}}}, &rev)
		return status, p, rev
	}
	confirm := func(w *browser, revision int64) (int, string) {
		status, p, _ := w.do("POST", path+"/"+strconv.FormatInt(revision, 10)+"/confirm", nil, nil)
		return status, p.Code
	}
	writer, other := in["writer"], in["other"]
	var none api.Payments
	_, _, header := writer.do("GET", path, nil, &none)
	require.Equal(t, `"0"`, header.Get("ETag"))
	require.Nil(t, none.Current)

	status, p, first := draft(writer, `"0"`, "Pay by noon")
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, payment.Draft, first.State)
	require.Equal(t, "RW", first.Value.Instructions[0].Country)
	require.True(t, first.Mine)
	status, code := confirm(writer, first.Revision)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "four_eyes", code)
	require.Len(t, o.audited("payments.confirmation_refused"), 1)
	status, p, _ = draft(other, `"0"`, "Overwritten unseen")
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "payments_changed", p.Code)
	status, _ = confirm(other, first.Revision)
	require.Equal(t, http.StatusOK, status)
	status, code = confirm(other, first.Revision)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "confirmed_already", code)

	// A draft changes nothing before it is confirmed, and one that is overtaken never will.
	_, _, second := draft(other, "*", "Pay by one")
	_, _, third := draft(writer, "*", "Pay by two")
	var now api.Payments
	writer.do("GET", path, nil, &now)
	require.Equal(t, first.Revision, now.Current.Revision)
	require.Equal(t, "other@example.test", now.Current.ConfirmedBy)
	require.Equal(t, third.Revision, now.Draft.Revision)
	require.Len(t, now.History, 3)
	status, code = confirm(writer, second.Revision)
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "payments_changed", code)
	status, _ = confirm(other, 999)
	require.Equal(t, http.StatusNotFound, status)

	// Programs confirm nothing, nor do other roles; and the database holds to four eyes, too.
	var refused api.Problem
	status, _ = o.do("POST", path+"/"+strconv.FormatInt(third.Revision, 10)+"/confirm", nil, &refused)
	require.Equal(t, http.StatusForbidden, status)
	status, code = confirm(o.in(), third.Revision)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "role_may_not", code)
	_, err := o.owner.Exec(t.Context(), `UPDATE payment_settings_revisions SET state = 'confirmed', confirmed_at = now(), confirmed_by = author,
		confirmed_by_id = author_id WHERE revision = $1`, third.Revision)
	require.ErrorContains(t, err, "payment_settings_four_eyes")
}

func TestBadPayments(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	_, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: "f@example.test", Name: "F", Role: "finance", Password: password})
	require.NoError(t, err)
	w := o.browser()
	w.signIn("f@example.test", password)
	ok := payment.Instruction{Country: "RW", Currency: "RWF", Text: "Pay"}
	for field, value := range map[string]payment.Terms{
		"revolut_link":             {RevolutLink: "https://revolut.me.evil.test/x"},
		"instructions[0].country":  {Instructions: []payment.Instruction{{Country: "XX", Currency: "RWF", Text: "Pay"}}},
		"instructions[0].currency": {Instructions: []payment.Instruction{{Country: "RW", Currency: "ZZZ", Text: "Pay"}}},
		"instructions[1].currency": {Instructions: []payment.Instruction{ok, ok}},
		"instructions[0].text":     {Instructions: []payment.Instruction{{Country: "RW", Currency: "RWF", Text: " \n"}}},
	} {
		if value.Instructions == nil {
			value.Instructions = []payment.Instruction{}
		}
		status, p, _ := w.do("PUT", "/api/v1/payments", api.NewPayments{Value: value}, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, field)
		require.Equal(t, field, p.Field, "%+v", p)
	}
	for _, link := range []string{"http://revolut.me/x", "https://revolut.me/", "https://revolut.me/x?a=b", "https://revolut.me/x/y", "javascript:alert(1)", "https://revolut.me/x\nhttps://evil.test"} {
		status, p, _ := w.do("PUT", "/api/v1/payments", api.NewPayments{Value: payment.Terms{RevolutLink: link, Instructions: []payment.Instruction{}}}, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, link)
		require.Equal(t, "revolut_link", p.Field)
	}
}
