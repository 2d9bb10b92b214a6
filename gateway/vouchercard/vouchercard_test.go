package vouchercard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/voucher"
)

func someCard() voucher.Card {
	return voucher.Card{Amount: decimal.RequireFromString("25.50"), Currency: "EUR", Code: "K7QM-42XD", Token: "TOKEN",
		Expires: time.Date(2026, 11, 30, 17, 0, 0, 0, time.UTC), Zone: "Europe/Malta", Locale: "mt-MT", Bar: "Sundowner", Stations: []string{"Terrace"}}
}

func picture(t *testing.T, width int) []byte {
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, width, 1))))
	return b.Bytes()
}

// function is an edge function that answers as it is told.
func function(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return New(Config{BaseURL: server.URL + "/", Secret: "s3cret"})
}

func TestWhatTheFunctionIsAsked(t *testing.T) {
	t.Parallel()
	want := picture(t, 4)
	c := function(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/functions/voucher-card" || r.Header.Get("Authorization") != "Bearer s3cret" {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		var asked map[string]any
		if json.Unmarshal(body, &asked) != nil || asked["link_seconds"] != nil {
			_, _ = w.Write([]byte(`{"url":"https://cards.test/1.png?sig=x","expires_at":"2126-01-01T00:00:00Z","asked":` + string(body) + `}`))
			return
		}
		w.Header().Set("Content-Type", "image/png")
		w.Header().Set("X-Asked", string(body))
		if string(body) != `{"amount":"25.5","currency":"EUR","code":"K7QM-42XD","token":"TOKEN","expires_at":"2026-11-30T18:00:00+01:00",`+
			`"zone":"Europe/Malta","locale":"mt-MT","bar":"Sundowner","stations":["Terrace"]}` {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		_, _ = w.Write(want)
	})
	got, err := c.Picture(t.Context(), someCard())
	require.NoError(t, err)
	require.Equal(t, want, got)
	link, err := c.Link(t.Context(), someCard(), 90*time.Minute)
	require.NoError(t, err)
	require.Equal(t, "https://cards.test/1.png?sig=x", link.URL)
	require.NoError(t, c.Ping(t.Context()) /* 200 is enough */)
}

func TestACardThatNoneIsDrawnOf(t *testing.T) {
	t.Parallel()
	card := someCard()
	card.Currency = "USD"
	_, err := function(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }).Picture(t.Context(), card)
	require.Equal(t, "unknown_currency", domain.CodeOf(err))

	_, err = New(Config{}).Picture(t.Context(), someCard())
	require.EqualError(t, err, "The voucher-card function has no card for us: none is configured.")
	require.Error(t, New(Config{}).Ping(t.Context()))

	c := function(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) })
	for range 2 * failuresToOpen {
		_, err = c.Picture(t.Context(), someCard())
		require.Equal(t, "voucher_card_refused", domain.CodeOf(err), "a refused card opens no breaker")
	}
}

func TestOnlyAPNGIsACard(t *testing.T) {
	t.Parallel()
	good := picture(t, 4)
	huge := bytes.Clone(good) // says that it is 65536 pixels wide
	copy(huge[16:], []byte{0, 1, 0, 0})
	sum := crc32.ChecksumIEEE(huge[12:29])
	copy(huge[29:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	damaged := bytes.Clone(good)
	damaged[len(damaged)-20] ^= 1
	for name, answer := range map[string]struct {
		kind string
		body []byte
	}{
		"another type": {"text/html", good}, "no type": {"", []byte("hello")}, "no PNG": {"image/png", []byte("<svg/>")}, "cut": {"image/png", good[:len(good)-12]},
		"damaged": {"image/png", damaged}, "huge": {"image/png", huge}, "too wide": {"image/png", picture(t, maxSide+1)},
		"more behind it": {"image/png", append(bytes.Clone(good), "<script>"...)}, "endless": {"image/png", append(bytes.Clone(good), make([]byte, maxPicture)...)},
	} {
		c := function(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", answer.kind)
			_, _ = w.Write(answer.body)
		})
		_, err := c.Picture(t.Context(), someCard())
		require.Equal(t, "voucher_card_unavailable", domain.CodeOf(err), name)
		failure, ok := errors.AsType[*Failure](err)
		require.True(t, ok && failure.Answered, name)
	}
}

func TestOnlyALinkThatWorksIsOne(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `[]`, `{"url":"javascript:x","expires_at":"2126-01-01T00:00:00Z"}`, `{"url":"/cards/1.png","expires_at":"2126-01-01T00:00:00Z"}`,
		`{"url":"https://cards.test/1.png","expires_at":"2026-01-01T00:00:00Z"}`} {
		c := function(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		link, err := c.Link(t.Context(), someCard(), time.Hour)
		require.ErrorContains(t, err, "no link", body)
		require.Zero(t, link)
	}
}

func TestARedirectIsNoCard(t *testing.T) {
	t.Parallel()
	c := function(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_, err := c.Picture(t.Context(), someCard())
	require.ErrorContains(t, err, "HTTP 307")
}

func TestTheBreakerSparesTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		broken := unavailable(&Failure{Reason: "it does not answer in time"})
		left, leave := context.WithCancel(t.Context())
		leave()
		for range failuresToOpen {
			require.NoError(t, b.allow(time.Now()))
			b.heard(time.Now(), left, broken) // who left says nothing
		}
		for range failuresToOpen {
			require.NoError(t, b.allow(time.Now()))
			b.heard(time.Now(), t.Context(), broken)
		}
		err := b.allow(time.Now())
		require.EqualError(t, err, "The voucher-card function has no card for us: it does not answer in time. It is left alone for a moment.")
		require.Equal(t, openFor, err.(*domain.Error).RetryIn)
		_, ok := errors.AsType[*Failure](err)
		require.True(t, ok, "it is known why")

		time.Sleep(openFor) // of the bubble
		require.NoError(t, b.allow(time.Now()), "one tries")
		require.Error(t, b.allow(time.Now()), "the others wait for it")
		b.heard(time.Now(), t.Context(), broken)
		require.Error(t, b.allow(time.Now()))

		time.Sleep(openFor)
		require.NoError(t, b.allow(time.Now()))
		b.heard(time.Now(), t.Context(), nil)
		require.NoError(t, b.allow(time.Now()))
		require.NoError(t, b.allow(time.Now()), "all is well again")
	})
}
