package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"lastcall/api"
	"lastcall/store"
)

// benchRaceCommand lets many devices redeem one voucher of a running Lastcall at the same time.
func benchRaceCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	var clients int
	cmd := &cobra.Command{
		Use: "race", Short: "Let many devices redeem one voucher at once", Args: cobra.NoArgs,
		Long: `Makes a bar with a station at the running Lastcall, enrols devices there, signs an operator in on each, and lets all of them
redeem one fresh voucher at once. Exactly one may succeed; all others must be told when and where it was redeemed. Exits
with 1 when it was otherwise. The bar is deleted afterwards; the voucher, of 1 RWF, stays redeemed.`,
		Example: "  lastcall bench race --clients 64 --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if clients < 1 || clients > 256 {
				return usageError{errors.New("--clients must be between 1 and 256")}
			}
			c, err := sh.client()
			if err != nil {
				return err
			}
			r, err := o.race(cmd.Context(), c, clients)
			if err != nil {
				return err
			}
			if err := o.print(r, func(t *listing) {
				t.row("clients", r.Clients)
				t.row("succeeded", r.Succeeded)
				t.row("refused", r.Refused)
				t.row("failed", r.Failed)
			}); err != nil {
				return err
			}
			if r.Succeeded != 1 || r.Failed != 0 {
				return fmt.Errorf("%d succeeded and %d failed; exactly one may succeed", r.Succeeded, r.Failed)
			}
			return nil
		},
	}
	cmd.Flags().Var(&o.format, "output", "table or json; json prints one object")
	cmd.Flags().IntVar(&clients, "clients", 64, "devices that redeem at once, 256 at most")
	return cmd
}

// raceResult is how a race ended.
type raceResult struct {
	Clients   int `json:"clients"`
	Succeeded int `json:"succeeded"`
	Refused   int `json:"refused"` // told when and where it was redeemed
	Failed    int `json:"failed"`  // anything else
}

func (o *output) race(ctx context.Context, c *apiClient, clients int) (r raceResult, err error) {
	o.say("enrolling %d devices", clients)
	bar, tills, err := openTills(ctx, c, 1, clients)
	defer func() { err = errors.Join(err, closeTills(c, bar)) }()
	if err != nil {
		return r, err
	}
	var v api.Voucher
	if err := c.once(ctx, "/vouchers", api.NewVoucher{MSISDN: "+250788000001", Amount: "1", Currency: "RWF", ExpiresAt: time.Now().Add(time.Hour)}, &v); err != nil {
		return r, err
	}
	r.Clients = clients
	ready := make(chan struct{})
	var racing sync.WaitGroup
	var mu sync.Mutex
	for _, t := range tills {
		racing.Go(func() {
			<-ready
			_, err := t.redeem(ctx, v.Code)
			p, refused := errors.AsType[*api.Problem](err)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				r.Succeeded++
			case refused && p.Code == "already_redeemed" && p.Redeemed != nil && p.Redeemed.Station != "":
				r.Refused++
			default:
				r.Failed++
				o.say("  %v", err)
			}
		})
	}
	close(ready)
	racing.Wait()
	return r, nil
}

// till is a device of a station on which an operator is signed in.
type till struct {
	base string
	http http.Client
}

// openTills makes a bar with stations, each with an operator and devices, on which they sign in. Its name is random: codes
// are never used again. The bar is closed by the caller, also after an error.
func openTills(ctx context.Context, c *apiClient, stations, devices int) (bar uuid.UUID, tills []*till, err error) {
	code := "BENCH-" + strings.ToUpper(rand.Text()[:8])
	var b api.Bar
	if _, err := c.call(ctx, http.MethodPost, "/bars", api.NewBar{Code: code, BarFacts: api.BarFacts{Name: "Bench", Country: "RW"}}, &b); err != nil {
		return bar, nil, err
	}
	bar = b.ID
	var mu sync.Mutex
	for n := range stations {
		var s api.Station
		if _, err := c.call(ctx, http.MethodPost, "/stations", api.NewStation{BarID: bar, Code: fmt.Sprintf("%s-%d", code, n), Name: "Bench"}, &s); err != nil {
			return bar, tills, err
		}
		var operator api.OperatorPIN
		if _, err := c.call(ctx, http.MethodPost, "/stations/"+s.ID.String()+"/operators", api.OperatorName{Name: "Bench"}, &operator); err != nil {
			return bar, tills, err
		}
		signing, ctx := errgroup.WithContext(ctx)
		signing.SetLimit(4) // passwords are hashed that many at once
		for range devices {
			signing.Go(func() error {
				var link api.EnrolmentLink
				if _, err := c.call(ctx, http.MethodPost, "/stations/"+s.ID.String()+"/enrolments", api.NewDevice{Name: "Bench"}, &link); err != nil {
					return err
				}
				_, token, _ := strings.Cut(link.Link, "#enrol=")
				t := &till{base: c.base}
				t.http.Jar, _ = cookiejar.New(nil) // without options it cannot fail
				if err := t.post(ctx, "/station/device", nil, api.StationEnrolment{Token: token}, &json.RawMessage{}); err != nil {
					return err
				}
				if err := t.post(ctx, "/station/session", nil, api.StationCredentials{Station: s.Code, PIN: operator.PIN}, &json.RawMessage{}); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				tills = append(tills, t)
				return nil
			})
		}
		if err := signing.Wait(); err != nil {
			return bar, tills, err
		}
	}
	return bar, tills, nil
}

// closeTills deletes the bar and its stations, whose devices and operators are then shut out.
func closeTills(c *apiClient, bar uuid.UUID) error {
	if bar == uuid.Nil {
		return nil
	}
	body, err := json.Marshal(api.BarDeletion{Deletion: api.Deletion{Reason: "the bench is over"}, WithStations: true})
	if err != nil {
		return err
	}
	res, _, err := c.open(context.Background(), http.MethodDelete, "/bars/"+bar.String(), http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("delete the bench's bar: %w", err)
	}
	return res.Body.Close()
}

// redeem redeems the voucher of a code, as a new request.
func (t *till) redeem(ctx context.Context, code string) (r store.Redeemed, err error) {
	return r, t.post(ctx, "/station/redemptions", http.Header{"Idempotency-Key": {uuid.NewString()}}, api.NewRedemption{StationVoucher: api.StationVoucher{Code: code}}, &r)
}

func (t *till) post(ctx context.Context, path string, header http.Header, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+api.Prefix+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := t.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		return (&apiClient{base: t.base}).refusal(res)
	}
	return json.NewDecoder(res.Body).Decode(out)
}
