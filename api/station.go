package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/domain/place"
	"lastcall/store"
)

// The cookies of stations; behind https they have the prefix that binds them to this host. Neither is a session of the
// panel's, nor is one of those looked at below /station.
const (
	stationCookie = "lastcall_station"
	deviceCookie  = "lastcall_device"
)

// StationSession is who works at a station, on which device, and how long.
type StationSession struct {
	Station   StationHere   `json:"station"`
	Operator  StationPerson `json:"operator"`
	Device    StationPerson `json:"device"`
	Lease     bool          `json:"lease" doc:"This device holds the station's lease: it may accept vouchers offline"`
	Offline   int           `json:"offline_minutes" doc:"How long ago a voucher may have been accepted offline when it comes in; 0: none may be"`
	ExpiresAt time.Time     `json:"expires_at" doc:"When the session ends unless it is used before: 2 hours from now, and 12 hours from sign-in at the latest"`
}

// StationHere is a station as its own devices see it.
type StationHere struct {
	ID       uuid.UUID `json:"id" format:"uuid"`
	Code     string    `json:"code" example:"ENG-001"`
	Name     string    `json:"name"`
	Bar      string    `json:"bar" doc:"The bar's name"`
	Country  string    `json:"country" doc:"ISO 3166-1 alpha-2"`
	Zone     string    `json:"zone" doc:"IANA; what times at the station are shown in"`
	Currency string    `json:"currency" doc:"ISO 4217: the country's"`
}

// StationPerson is an operator, or a device, by name.
type StationPerson struct {
	ID   uuid.UUID `json:"id" format:"uuid"`
	Name string    `json:"name"`
}

// StationCredentials are what operators sign in with.
type StationCredentials struct {
	Station string `json:"station" maxLength:"20" example:"ENG-001" doc:"The station's code"`
	PIN     string `json:"pin" pattern:"^[0-9]{6}$" patternDescription:"six digits"`
}

// StationDevice is the device that asks, which need not be signed in.
type StationDevice struct {
	Device  StationPerson `json:"device"`
	Station StationHere   `json:"station"`
}

// StationEnrolment is the token of an enrolment link.
type StationEnrolment struct {
	Token string `json:"token" minLength:"1" maxLength:"100" doc:"What stands after #enrol= in the link"`
}

func (s *server) station() {
	tags := []string{"Station app"}
	type answer struct {
		SetCookie []string `header:"Set-Cookie"`
		Body      StationSession
	}
	register(s, access.Everyone, huma.Operation{OperationID: "enrol-device", Method: http.MethodPost, Path: "/station/device", Tags: tags,
		Summary: "Enrol this device at a station", DefaultStatus: http.StatusCreated, MaxBodyBytes: credentialsEnough,
		Description: "With the token of an enrolment link, which is good for one device, for 15 minutes: else `enrolment_invalid`. Sets the " +
			"device's cookie, by which it is known until it is revoked."},
		func(ctx context.Context, in *struct{ Body StationEnrolment }) (*struct {
			SetCookie string `header:"Set-Cookie"`
			Body      StationDevice
		}, error) {
			v := visitFrom(ctx)
			token, d, err := s.Store.EnrolDevice(ctx, in.Body.Token, v.agent)
			if err != nil {
				s.refuseCaller(ctx, v.address, err)
				return nil, err
			}
			here, err := s.here(ctx, d.StationID)
			return &struct {
				SetCookie string `header:"Set-Cookie"`
				Body      StationDevice
			}{s.stationCookie(deviceCookie, token, time.Now().Add(place.DeviceKnown)), StationDevice{StationPerson{d.ID, d.Name}, here}}, err
		})
	register(s, access.Everyone, huma.Operation{OperationID: "get-device", Method: http.MethodGet, Path: "/station/device", Tags: tags,
		Summary: "Tell which station this device is enrolled at", Description: "By the device's cookie: `device_unknown` when it is not enrolled, or was revoked."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body StationDevice }, error) {
			d, t, err := s.Store.DeviceOf(ctx, stationTokens(ctx).device)
			if err != nil {
				return nil, err
			}
			here, err := s.here(ctx, t.ID)
			return &struct{ Body StationDevice }{StationDevice{StationPerson{d.ID, d.Name}, here}}, err
		})
	register(s, access.Everyone, huma.Operation{OperationID: "station-sign-in", Method: http.MethodPost, Path: "/station/session", Tags: tags,
		Summary: "Sign in at a station", MaxBodyBytes: credentialsEnough,
		Description: "On a device that is enrolled there; else `device_unknown`. Sets the session's cookie and ends the session that the device had. " +
			"What does not belong together is `wrong_credentials`, whatever of it is wrong. After 5 failures in a row, at a station or on a " +
			"device, tries are `locked_out`, as for accounts."},
		func(ctx context.Context, in *struct{ Body StationCredentials }) (*answer, error) {
			device := stationTokens(ctx).device
			token, opened, err := s.Store.OpenStationSession(ctx, store.StationSignIn{Device: device, Station: in.Body.Station, PIN: in.Body.PIN})
			if domain.CodeOf(err) == "device_unknown" && device != "" { // other refusals are entered already
				s.refuseCaller(ctx, visitFrom(ctx).address, err)
			}
			if err != nil {
				return nil, err
			}
			body, err := s.stationSession(ctx, opened)
			return &answer{[]string{s.stationCookie(stationCookie, token, opened.ExpiresAt),
				s.stationCookie(deviceCookie, device, time.Now().Add(place.DeviceKnown))}, body}, err
		})
	register(s, access.StationUse, huma.Operation{OperationID: "get-station-session", Method: http.MethodGet, Path: "/station/session", Tags: tags,
		Summary: "Who works at this station"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body StationSession }, error) {
			body, err := s.stationSession(ctx, stationFrom(ctx))
			return &struct{ Body StationSession }{body}, err
		})
	register(s, access.StationUse, huma.Operation{OperationID: "station-sign-out", Method: http.MethodDelete, Path: "/station/session", Tags: tags,
		Summary: "Sign out of the station", Description: "The device stays enrolled.", DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, _ *struct{}) (*struct {
			SetCookie string `header:"Set-Cookie"`
		}, error) {
			return &struct {
				SetCookie string `header:"Set-Cookie"`
			}{s.stationCookie(stationCookie, "", time.Unix(1, 0))}, s.Store.CloseStationSession(ctx, stationFrom(ctx).ID)
		})
	s.stationLease(tags)
}

// here is a station as its devices see it.
func (s *server) here(ctx context.Context, id uuid.UUID) (StationHere, error) {
	t, err := s.Store.Station(ctx, id)
	if err != nil {
		return StationHere{}, err
	}
	b, err := s.Store.Bar(ctx, t.BarID)
	return StationHere{t.ID, t.Code, t.Name, b.Name, b.Country, b.Clock(), place.Currency(b.Country)}, err
}

func (s *server) stationSession(ctx context.Context, v store.StationSession) (StationSession, error) {
	here, err := s.here(ctx, v.StationID)
	if err != nil {
		return StationSession{}, err
	}
	set, err := s.Store.Settings(ctx)
	return StationSession{Station: here, Operator: StationPerson{v.OperatorID, v.Operator}, Device: StationPerson{v.DeviceID, v.Device},
		Lease: v.Lease, Offline: int(set.OfflineRedemptions.MaxAge().Minutes()), ExpiresAt: v.Ends()}, err
}

type (
	stationKey       struct{}
	stationTokensKey struct{}
	cookies          struct{ device, session string }
)

// stationFrom is the session of whoever works at a station: which station, operator and device. It is the zero value
// outside of operations that take access.StationUse.
func stationFrom(ctx context.Context) store.StationSession {
	v, _ := ctx.Value(stationKey{}).(store.StationSession)
	return v
}

func stationTokens(ctx context.Context) cookies {
	c, _ := ctx.Value(stationTokensKey{}).(cookies)
	return c
}

// atStation tells the addresses of the station app, where only its own cookies count.
func atStation(c *gin.Context) bool { return strings.HasPrefix(c.FullPath(), Prefix+"/station/") }

// recogniseStation finds out which operator calls, on which device. Neither a token nor the panel's session opens
// anything here.
func (s *server) recogniseStation(c *gin.Context) (context.Context, error) {
	ctx := c.Request.Context()
	v := visit{address: c.ClientIP(), agent: family(c.Request.UserAgent())}
	if err := s.origins.Check(c.Request); err != nil {
		return ctx, domain.E(domain.Forbidden, "cross_origin", "another site sent this request").Because(err)
	}
	var known cookies
	for name, value := range map[string]*string{deviceCookie: &known.device, stationCookie: &known.session} {
		if cookie, err := c.Request.Cookie(s.hostCookie(name)); err == nil {
			*value = cookie.Value
		}
	}
	ctx = context.WithValue(ctx, stationTokensKey{}, known)
	if !s.open(c) {
		if known.session == "" {
			return ctx, domain.E(domain.Unauthenticated, "not_signed_in", "sign in at the station")
		}
		at, err := s.Store.AuthenticateStation(ctx, known.device, known.session)
		if err != nil {
			return ctx, err
		}
		v.role = access.StationOperator
		ctx = audit.WithActor(context.WithValue(ctx, stationKey{}, at), at.Actor())
	}
	return context.WithValue(ctx, visitKey{}, v), nil
}

// hostCookie is a cookie's name; behind https it has the prefix that binds it to this host.
func (s *server) hostCookie(name string) string {
	if s.https() {
		return "__Host-" + name
	}
	return name
}

// stationCookie is the Set-Cookie header that leaves value with the device until then. No link from elsewhere opens the
// station app: the cookie is strict.
func (s *server) stationCookie(name, value string, until time.Time) string {
	c := http.Cookie{Name: s.hostCookie(name), Value: value, Path: "/", Expires: until, HttpOnly: true, Secure: s.https(), SameSite: http.SameSiteStrictMode}
	if value == "" {
		c.MaxAge = -1
	}
	return c.String()
}
