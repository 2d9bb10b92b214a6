package faults_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/contact"
	"lastcall/domain/probe"
	"lastcall/gateway/faults"
	"lastcall/gateway/mail"
	"lastcall/gateway/opschannel"
	"lastcall/gateway/vouchercard"
	"lastcall/gateway/whatsapp"
)

// source is where a test puts faults.
type source struct {
	faults []probe.Fault
	err    error
	reads  atomic.Int64
}

func (s *source) ActiveFaults(context.Context) ([]probe.Fault, error) {
	s.reads.Add(1)
	return s.faults, s.err
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// with is a board with one fault.
func with(name probe.Name, kind probe.FaultKind, delay time.Duration) *faults.Board {
	return faults.NewBoard(&source{faults: []probe.Fault{{Name: name, Kind: kind, Share: 1, Delay: delay, Left: time.Hour}}}, quiet)
}

// provider counts what reaches it, and takes every message.
func provider(t *testing.T) (url string, reached *atomic.Int64) {
	t.Helper()
	reached = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, `{"id":"555","messages":[{"id":"wamid.1"}]}`)
	}))
	t.Cleanup(server.Close)
	return server.URL, reached
}

func TestMessagingFailsAsTheProviderDoes(t *testing.T) {
	t.Parallel()
	url, reached := provider(t)
	const to = contact.MSISDN("+250788000001")
	for kind, want := range map[probe.FaultKind]struct {
		outcome whatsapp.Outcome
		code    int
	}{
		probe.Timeout:     {whatsapp.Unknown, 0},
		probe.Reset:       {whatsapp.Unknown, 0},
		probe.RateLimited: {whatsapp.Retry, 130429},
		probe.ServerError: {whatsapp.Retry, 131016},
		probe.WrongBody:   {whatsapp.Unknown, 0},
	} {
		client := whatsapp.New(whatsapp.Config{BaseURL: url, PhoneNumberID: "555", Timeout: 100 * time.Millisecond, Wrap: with(probe.Messaging, kind, 0).Wrap(probe.Messaging)})
		_, err := client.Send(t.Context(), whatsapp.TemplateMessage{To: to, Template: "promo", Language: "en"})
		require.Equal(t, want.outcome.String(), whatsapp.Classify(err).String(), "%s: %v", kind, err)
		refused, ok := errors.AsType[*whatsapp.APIError](err)
		require.Equal(t, want.code != 0, ok, kind)
		if ok {
			require.Equal(t, want.code, refused.Code, kind)
		}
		require.Error(t, client.Ping(t.Context()), kind)
	}
	require.Zero(t, reached.Load(), "nothing leaves")

	slow := whatsapp.New(whatsapp.Config{BaseURL: url, PhoneNumberID: "555", Wrap: with(probe.Messaging, probe.Slow, 50*time.Millisecond).Wrap(probe.Messaging)})
	began := time.Now()
	_, err := slow.Send(t.Context(), whatsapp.TemplateMessage{To: to, Template: "promo", Language: "en"})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	require.EqualValues(t, 1, reached.Load())

	other := whatsapp.New(whatsapp.Config{BaseURL: url, PhoneNumberID: "555", Wrap: with(probe.VoucherCard, probe.Reset, 0).Wrap(probe.Messaging)})
	require.NoError(t, other.Ping(t.Context()), "another's fault is not ours")
}

func TestOthersFailInTheirOwnWords(t *testing.T) {
	t.Parallel()
	url, reached := provider(t)
	for kind, answered := range map[probe.FaultKind]bool{probe.Timeout: false, probe.Reset: false, probe.RateLimited: true, probe.ServerError: true} {
		cards := vouchercard.New(vouchercard.Config{BaseURL: url, Timeout: 50 * time.Millisecond, Wrap: with(probe.VoucherCard, kind, 0).Wrap(probe.VoucherCard)})
		failure, ok := errors.AsType[*vouchercard.Failure](cards.Ping(t.Context()))
		require.True(t, ok, kind)
		require.Equal(t, answered, failure.Answered, kind)
	}
	for kind, code := range map[probe.FaultKind]string{probe.Reset: "ops_channel_down", probe.RateLimited: "ops_channel_refuses", probe.ServerError: "ops_channel_refuses", probe.WrongBody: "ops_channel_refuses"} {
		ops := opschannel.New(url).Through(with(probe.OpsChannel, kind, 0).Wrap(probe.OpsChannel))
		require.Equal(t, code, domain.CodeOf(ops.Ping(t.Context())), kind)
		if kind != probe.WrongBody {
			require.Equal(t, "ops_channel_down", domain.CodeOf(ops.Post(t.Context(), opschannel.Notice{Title: "T"})), kind)
		}
	}
	require.Zero(t, reached.Load(), "nothing leaves")
}

func TestMailFailsWhereItConnects(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	for kind, refused := range map[probe.FaultKind]bool{probe.Reset: false, probe.RateLimited: true, probe.ServerError: true} {
		sender := mail.New(mail.Config{Address: listener.Addr().String(), From: "a@bar.test", TLS: "none", Dial: with(probe.Mail, kind, 0).Dial(probe.Mail)})
		err := sender.Ping(t.Context())
		require.Equal(t, "mail_down", domain.CodeOf(err), kind)
		_, said := errors.AsType[*textproto.Error](err)
		require.Equal(t, refused, said, "%s: %v", kind, errors.Unwrap(err))
		require.Equal(t, !refused, errors.Is(err, syscall.ECONNRESET), kind)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	hangs := mail.New(mail.Config{Address: listener.Addr().String(), From: "a@bar.test", TLS: "none", Dial: with(probe.Mail, probe.Timeout, 0).Dial(probe.Mail)})
	require.ErrorIs(t, hangs.Ping(late), context.DeadlineExceeded)
}

func TestBoardKnowsForHalfASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{faults: []probe.Fault{{Name: probe.Mail, Kind: probe.Timeout, Share: 1, Left: 10 * time.Second}}}
		board := faults.NewBoard(src, quiet)
		on := func() bool { _, on := board.On(t.Context(), probe.Mail); return on }
		for range 100 {
			require.True(t, on())
		}
		require.EqualValues(t, 1, src.reads.Load(), "one reads for all")
		src.faults = nil
		require.True(t, on(), "what was read counts for half a second")
		time.Sleep(500 * time.Millisecond) // of the bubble
		require.False(t, on())

		src.faults, src.err = []probe.Fault{{Name: probe.Mail, Kind: probe.Timeout, Share: 1, Left: time.Hour}}, nil
		time.Sleep(500 * time.Millisecond)
		require.True(t, on())
		src.err = errors.New("the database is away")
		time.Sleep(500 * time.Millisecond)
		require.False(t, on(), "what cannot be read fails nothing")

		src.err, src.faults = nil, []probe.Fault{{Name: probe.Mail, Kind: probe.Timeout, Share: 1, Left: 200 * time.Millisecond}}
		time.Sleep(500 * time.Millisecond)
		require.True(t, on())
		time.Sleep(200 * time.Millisecond)
		require.False(t, on(), "it ends to the moment, whatever was read")
	})
	var none *faults.Board
	_, on := none.On(t.Context(), probe.Mail)
	require.False(t, on)
	require.Nil(t, none.Dial(probe.Mail)(t.Context()))
	require.Equal(t, http.DefaultTransport, none.Wrap(probe.Mail)(http.DefaultTransport))
}

func TestShareOfTheCalls(t *testing.T) {
	t.Parallel()
	url, reached := provider(t)
	board := faults.NewBoard(&source{faults: []probe.Fault{{Name: probe.Payments, Kind: probe.Reset, Share: 0.5, Left: time.Hour}}}, quiet)
	way := board.Wrap(probe.Payments)(http.DefaultTransport)
	failed := 0
	for range 200 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		res, err := way.RoundTrip(req)
		if err != nil {
			failed++
			continue
		}
		require.NoError(t, res.Body.Close())
	}
	require.EqualValues(t, 200-failed, reached.Load())
	require.InDelta(t, 100, failed, 60) // eight and a half standard deviations
}
