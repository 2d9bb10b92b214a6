package api_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/place"
	"lastcall/store"
)

// counter is a bar with two stations, each with an operator; the first has a device.
type counter struct {
	*office
	first, second store.Station
	operator      store.Operator
	pin, otherPIN string
	phone         *browser // enrolled at the first, nobody signed in
}

func openCounter(t *testing.T, change ...func(*api.Deps)) *counter {
	t.Helper()
	c := &counter{office: openOffice(t, change...)}
	bar, err := c.store.AddBar(t.Context(), "eng", store.BarFacts{Name: "Engine", Country: "RW"})
	require.NoError(t, err)
	c.first, err = c.store.AddStation(t.Context(), bar.ID, "ENG-001", "Counter")
	require.NoError(t, err)
	c.second, err = c.store.AddStation(t.Context(), bar.ID, "ENG-002", "Terrace")
	require.NoError(t, err)
	c.operator, c.pin, err = c.store.AddOperator(t.Context(), c.first.ID, "Jeanne Example")
	require.NoError(t, err)
	_, c.otherPIN, err = c.store.AddOperator(t.Context(), c.second.ID, "Other Example")
	require.NoError(t, err)
	c.phone = c.enrolled(c.first)
	return c
}

// enrolled is a browser on a device of this station.
func (c *counter) enrolled(at store.Station) *browser {
	c.t.Helper()
	token, _, err := c.store.InviteDevice(c.t.Context(), at.ID, "Phone")
	require.NoError(c.t, err)
	w := c.browser()
	status, p, _ := w.do("POST", "/api/v1/station/device", api.StationEnrolment{Token: token}, nil)
	require.Equal(c.t, http.StatusCreated, status, "%+v", p)
	return w
}

func (w *browser) signInAt(station, pin string) (int, api.Problem, http.Header) {
	w.t.Helper()
	return w.do("POST", "/api/v1/station/session", api.StationCredentials{Station: station, PIN: pin}, nil)
}

// at is a browser on a new device of the first station where the operator is signed in.
func (c *counter) at() *browser {
	c.t.Helper()
	w := c.enrolled(c.first)
	status, p, _ := w.signInAt("ENG-001", c.pin)
	require.Equal(c.t, http.StatusOK, status, "%+v", p)
	return w
}

// wrongPIN is a PIN of nobody here.
func (c *counter) wrongPIN() string {
	for {
		if pin := place.NewPIN(); pin != c.pin && pin != c.otherPIN {
			return pin
		}
	}
}

func (w *browser) requireRefused(status int, code string) {
	w.t.Helper()
	got, p, _ := w.do("GET", "/api/v1/station/session", nil, nil)
	require.Equal(w.t, status, got)
	require.Equal(w.t, code, p.Code)
}

func TestStationSignInAndOut(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	var at api.StationDevice
	status, _, _ := c.phone.do("GET", "/api/v1/station/device", nil, &at)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ENG-001", at.Station.Code)
	c.phone.requireRefused(http.StatusUnauthorized, "not_signed_in")

	status, p, header := c.phone.signInAt(" eng-001 ", c.pin)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Len(t, header.Values("Set-Cookie"), 2)
	for i, name := range []string{"lastcall_station", "lastcall_device"} {
		cookie, err := http.ParseSetCookie(header.Values("Set-Cookie")[i])
		require.NoError(t, err)
		require.Equal(t, name, cookie.Name)
		require.True(t, cookie.HttpOnly)
		require.Equal(t, "/", cookie.Path)
		require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	}
	var s api.StationSession
	status, _, _ = c.phone.do("GET", "/api/v1/station/session", nil, &s)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, api.StationHere{ID: c.first.ID, Code: "ENG-001", Name: "Counter", Bar: "Engine", Country: "RW", Zone: "Africa/Kigali", Currency: "RWF"}, s.Station)
	require.Equal(t, api.StationPerson{ID: c.operator.ID, Name: "Jeanne Example"}, s.Operator)
	require.Equal(t, at.Device, s.Device)
	require.False(t, s.Lease)
	require.WithinDuration(t, time.Now().Add(2*time.Hour), s.ExpiresAt, time.Minute)

	status, _, _ = c.phone.do("DELETE", "/api/v1/station/session", nil, nil)
	require.Equal(t, http.StatusNoContent, status)
	c.phone.requireRefused(http.StatusUnauthorized, "not_signed_in")
	status, _, _ = c.phone.do("GET", "/api/v1/station/device", nil, nil)
	require.Equal(t, http.StatusOK, status, "the device stays enrolled")

	who := "station ENG-001/" + c.operator.ID.String() + " station_session"
	require.Equal(t, []string{who}, c.audited("station_session.opened"))
	require.Equal(t, []string{who}, c.audited("station_session.closed"))
	for _, secret := range []string{c.pin, "Jeanne"} {
		require.NotContains(t, c.log.String(), secret)
	}
}

// What is wrong is not told apart, neither by the answer nor by what it costs.
func TestStationWrongCredentials(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	for _, tt := range []struct{ station, pin string }{{"ENG-001", c.wrongPIN()}, {"NOWHERE-9", c.pin}, {"ENG-002", c.otherPIN}, {"no code!", c.pin}} {
		status, p, header := c.enrolled(c.first).signInAt(tt.station, tt.pin)
		require.Equal(t, http.StatusUnauthorized, status, tt.station)
		require.Equal(t, "wrong_credentials", p.Code)
		require.Equal(t, "this station and PIN do not belong together", p.Detail)
		require.Empty(t, header.Get("Set-Cookie"))
	}
	refused := c.audited("station_sign_in.refused")
	require.Len(t, refused, 4)
	require.Regexp(t, `^device [0-9a-f-]{36} station$`, refused[0])
	var typed int
	require.NoError(t, c.owner.QueryRow(t.Context(), `SELECT count(*) FROM audit_log a WHERE a::text LIKE '%NOWHERE%' OR a::text LIKE '%' || $1 || '%'`, c.pin).Scan(&typed))
	require.Zero(t, typed, "what was typed is not kept")

	for _, pin := range []string{"12345", "1234567", "12345a", ""} {
		status, _, _ := c.phone.signInAt("ENG-001", pin)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
	_, err := c.store.SetOperatorDisabled(t.Context(), c.operator.ID, true)
	require.NoError(t, err)
	status, p, _ := c.phone.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "wrong_credentials", p.Code)
}

func TestStationLockOut(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	guess := func(w *browser, station string) (int, string, int) {
		status, p, header := w.signInAt(station, c.wrongPIN())
		wait, _ := strconv.Atoi(header.Get("Retry-After"))
		return status, p.Code, wait
	}
	// Five failures on one device, at whatever station, lock the device.
	for i := range 5 {
		status, _, _ := guess(c.phone, "GUESS-"+strconv.Itoa(i))
		require.Equal(t, http.StatusUnauthorized, status)
	}
	status, code, wait := guess(c.phone, "ENG-001")
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "locked_out", code)
	require.InDelta(t, 25, wait, 5)
	status, _, _ = c.phone.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusTooManyRequests, status, "the right PIN neither")
	other := c.at()

	// Its own success between does not help a device to guess on.
	c.exec(`UPDATE sign_in_failures SET locked_until = now()`)
	status, _, _ = c.phone.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusOK, status)
	status, _, _ = guess(c.phone, "GUESS-9")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _, wait = guess(c.phone, "GUESS-9")
	require.Equal(t, http.StatusTooManyRequests, status)
	require.InDelta(t, 55, wait, 5, "the sixth failure waits twice as long")

	// Five failures at one station, on whatever device, lock the station; another PIN from an admin opens it.
	for range 5 {
		status, _, _ := guess(c.enrolled(c.first), "ENG-001")
		require.Equal(t, http.StatusUnauthorized, status)
	}
	fresh := c.enrolled(c.first)
	status, p, _ := fresh.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "locked_out", p.Code)
	_, pin, err := c.store.ResetPIN(t.Context(), c.operator.ID)
	require.NoError(t, err)
	status, _, _ = fresh.signInAt("ENG-001", pin)
	require.Equal(t, http.StatusOK, status)
	other.requireRefused(http.StatusUnauthorized, "session_ended")
	require.Len(t, c.audited("sign_in.locked_out"), 3)
}

func TestStationSessionsEnd(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	for name, sql := range map[string]string{
		"idle":     `UPDATE station_sessions SET seen_at = now() - interval '2 hours 1 second'`,
		"absolute": `UPDATE station_sessions SET created_at = now() - interval '12 hours', expires_at = now() - interval '1 second'`,
	} {
		w := c.at()
		c.exec(sql)
		t.Run(name, func(*testing.T) { w.requireRefused(http.StatusUnauthorized, "session_ended") })
	}

	w := c.at()
	old := w.cookie("lastcall_station")
	status, _, _ := w.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusOK, status)
	stale := c.browser()
	stale.header.Set("Cookie", "lastcall_station="+old+"; lastcall_device="+w.cookie("lastcall_device"))
	stale.requireRefused(http.StatusUnauthorized, "session_ended")

	status, _, _ = w.do("GET", "/api/v1/station/session", nil, nil)
	require.Equal(t, http.StatusOK, status)
	_, err := c.store.SetOperatorDisabled(t.Context(), c.operator.ID, true)
	require.NoError(t, err)
	w.requireRefused(http.StatusUnauthorized, "session_ended")
	_, err = c.store.SetOperatorDisabled(t.Context(), c.operator.ID, false)
	require.NoError(t, err)
	status, _, _ = w.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusUnauthorized, status, "the PIN from before is forgotten")
}

func (w *browser) cookie(name string) string {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, w.url, nil)
	require.NoError(w.t, err)
	for _, c := range w.client.Jar.Cookies(req.URL) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// A session is good on its own device only, and a device at its own station.
func TestStationDevices(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	stranger := c.browser()
	status, p, _ := stranger.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "device_unknown", p.Code)

	w := c.at()
	session, device := w.cookie("lastcall_station"), w.cookie("lastcall_device")
	elsewhere := c.enrolled(c.second)
	status, _, _ = elsewhere.signInAt("ENG-002", c.otherPIN)
	require.Equal(t, http.StatusOK, status)
	with := func(session, device string) *browser {
		b := c.browser()
		b.header.Set("Cookie", "lastcall_station="+session+"; lastcall_device="+device)
		return b
	}
	with(session, elsewhere.cookie("lastcall_device")).requireRefused(http.StatusUnauthorized, "session_ended")
	with(elsewhere.cookie("lastcall_station"), device).requireRefused(http.StatusUnauthorized, "session_ended")
	with(session, "").requireRefused(http.StatusUnauthorized, "device_unknown")
	with(session, device+"A").requireRefused(http.StatusUnauthorized, "device_unknown")
	with(device, session).requireRefused(http.StatusUnauthorized, "device_unknown")
	status, _, _ = with(session, device).do("GET", "/api/v1/station/session", nil, nil)
	require.Equal(t, http.StatusOK, status)

	all, err := c.store.Devices(t.Context(), c.first.ID)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.NoError(t, c.store.RevokeDevice(t.Context(), all[1].ID, "lost"))
	w.requireRefused(http.StatusUnauthorized, "device_unknown")
	status, p, _ = w.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "device_unknown", p.Code)
}

// Stations and the panel know nothing of each other's sessions.
func TestAStationsSessionIsNoPanelSession(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	w := c.at()
	_, err := c.store.AddAccount(t.Context(), store.NewAccount{Email: "o@example.test", Name: "O", Role: string(access.StationOperator), Password: password})
	require.NoError(t, err)
	for _, r := range routes(t, c.bundle) {
		if r.permission == access.Everyone || r.permission == access.StationUse {
			continue
		}
		require.Equal(t, http.StatusUnauthorized, status(t, w, r), "%s lets a station pass", r.operation)
	}
	w.header.Set("Cookie", "lastcall_session="+w.cookie("lastcall_station"))
	w.requireEnded()
	panel := c.browser()
	panel.signIn("o@example.test", password)
	panel.requireRefused(http.StatusUnauthorized, "not_signed_in")
	panel.header.Set("Cookie", "lastcall_station="+panel.cookie("lastcall_session")+"; lastcall_device="+c.phone.cookie("lastcall_device"))
	panel.requireRefused(http.StatusUnauthorized, "session_ended")
	program := c.browser()
	program.header.Set("Authorization", "Bearer "+token)
	program.requireRefused(http.StatusUnauthorized, "not_signed_in")
}

func TestEnrolmentLinks(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	enrol := func(token string) (int, string) {
		status, p, _ := c.browser().do("POST", "/api/v1/station/device", api.StationEnrolment{Token: token}, nil)
		return status, p.Code
	}
	refused := func(token, why string) {
		t.Helper()
		status, code := enrol(token)
		require.Equal(t, http.StatusUnauthorized, status, why)
		require.Equal(t, "enrolment_invalid", code)
	}
	refused("nonsense", "forged")
	late, e, err := c.store.InviteDevice(t.Context(), c.first.ID, "Late")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(15*time.Minute), e.ExpiresAt, time.Minute)
	c.exec(`UPDATE device_enrolments SET created_at = now() - interval '16 minutes', expires_at = now() - interval '1 second' WHERE id = $1`, e.ID)
	refused(late, "expired")

	// However many use it at once, one device comes of it.
	token, _, err := c.store.InviteDevice(t.Context(), c.first.ID, "Once")
	require.NoError(t, err)
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			status, _ := enrol(token)
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	all.Wait()
	require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusUnauthorized: 7}, got)
	devices, err := c.store.Devices(t.Context(), c.first.ID)
	require.NoError(t, err)
	require.Len(t, devices, 2)
	refusals := c.audited("request.refused") // the first few one by one: nobody fills the log
	require.NotEmpty(t, refusals)
	require.Regexp(t, `^client [0-9a-f]{16} client$`, refusals[0])

	gone, _, err := c.store.InviteDevice(t.Context(), c.second.ID, "Gone")
	require.NoError(t, err)
	require.NoError(t, c.store.DeleteStation(t.Context(), c.second.ID, "closed"))
	refused(gone, "the station is deleted")
	for _, secret := range []string{token, late} {
		require.NotContains(t, c.log.String(), secret)
	}
}

func TestOtherSitesAreRefusedAtStations(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	w := c.at()
	link, _, err := c.store.InviteDevice(t.Context(), c.first.ID, "Link")
	require.NoError(t, err)
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.test"}} {
		w.header = http.Header{}
		w.header.Set(header[0], header[1])
		for path, body := range map[string]any{"/station/session": api.StationCredentials{Station: "ENG-001", PIN: c.pin}, "/station/lease": api.LeaseWanted{},
			"/station/device": api.StationEnrolment{Token: link}} {
			status, p, _ := w.do("POST", "/api/v1"+path, body, nil)
			require.Equal(t, http.StatusForbidden, status, path)
			require.Equal(t, "cross_origin", p.Code)
		}
	}
}

func TestOnHTTPSStationCookiesAreForHTTPSOnly(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	behind := setup(t, func(d *api.Deps) { d.Store, d.PublicURL = c.store, "https://lastcall.test" })
	link, _, err := c.store.InviteDevice(t.Context(), c.first.ID, "Link")
	require.NoError(t, err)
	status, _, header := behind.browser().do("POST", "/api/v1/station/device", api.StationEnrolment{Token: link}, nil)
	require.Equal(t, http.StatusCreated, status)
	cookie, err := http.ParseSetCookie(header.Get("Set-Cookie"))
	require.NoError(t, err)
	require.Equal(t, "__Host-lastcall_device", cookie.Name)
	require.True(t, cookie.Secure && cookie.HttpOnly && cookie.Path == "/" && cookie.Domain == "")
	w := behind.browser()
	w.header.Set("Cookie", "lastcall_device="+cookie.Value)
	status, p, _ := w.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "device_unknown", p.Code, "a name that others may set is not read")
	w.header.Set("Cookie", "__Host-lastcall_device="+cookie.Value)
	status, _, header = w.signInAt("ENG-001", c.pin)
	require.Equal(t, http.StatusOK, status)
	require.True(t, strings.HasPrefix(header.Get("Set-Cookie"), "__Host-lastcall_station="))
}

func TestOneDeviceHoldsTheLease(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	first, second := c.at(), c.at()
	take := func(w *browser, wanted api.LeaseWanted) (int, api.Problem) {
		status, p, _ := w.do("POST", "/api/v1/station/lease", wanted, nil)
		return status, p
	}
	mine := func(w *browser) (l api.Lease) {
		status, _, _ := w.do("GET", "/api/v1/station/lease", nil, &l)
		require.Equal(t, http.StatusOK, status)
		return l
	}
	require.Nil(t, mine(first).Device)
	for range 2 { // asking again changes nothing
		status, _ := take(first, api.LeaseWanted{})
		require.Equal(t, http.StatusOK, status)
	}
	require.True(t, mine(first).Mine)
	require.False(t, mine(second).Mine)
	status, p := take(second, api.LeaseWanted{})
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "lease_held", p.Code)
	status, p = take(second, api.LeaseWanted{TakeOver: true, Reason: " "})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "reason", p.Field)
	status, _ = take(second, api.LeaseWanted{TakeOver: true, Reason: "the other fell into the sink"})
	require.Equal(t, http.StatusOK, status)
	require.False(t, mine(first).Mine)
	require.True(t, mine(second).Mine)

	// Who is not heard of for a day has it no more.
	device := mine(second).Device.ID
	c.exec(`UPDATE station_devices SET seen_at = now() - interval '25 hours' WHERE id = $1`, device)
	require.Nil(t, mine(first).Device)
	status, _ = take(first, api.LeaseWanted{})
	require.Equal(t, http.StatusOK, status)
	status, _, _ = first.do("DELETE", "/api/v1/station/lease", nil, nil)
	require.Equal(t, http.StatusNoContent, status)
	require.Nil(t, mine(second).Device)
	require.Len(t, c.audited("lease.taken"), 3)

	// However many take over at once, one holds it.
	phones := []*browser{first, second, c.at(), c.at()}
	var all sync.WaitGroup
	for _, w := range phones {
		all.Go(func() {
			for range 3 {
				status, _, _ := w.do("POST", "/api/v1/station/lease", api.LeaseWanted{TakeOver: true, Reason: "race"}, nil)
				require.Equal(t, http.StatusOK, status)
			}
		})
	}
	all.Wait()
	held := 0
	for _, w := range phones {
		var s api.StationSession
		w.do("GET", "/api/v1/station/session", nil, &s)
		if s.Lease {
			held++
		}
	}
	require.Equal(t, 1, held)

	require.NoError(t, c.store.RevokeDevice(t.Context(), mine(first).Device.ID, "lost"))
	left := first
	if status, _, _ := first.do("GET", "/api/v1/station/session", nil, nil); status != http.StatusOK {
		left = second
	}
	require.Nil(t, mine(left).Device, "a revoked device has no lease")
}
