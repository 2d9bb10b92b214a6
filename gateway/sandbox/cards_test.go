package sandbox

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/shopspring/decimal"
	drawn "github.com/skip2/go-qrcode"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/draw"
	"pgregory.net/rapid"

	"lastcall/domain"
	"lastcall/domain/voucher"
	"lastcall/gateway/vouchercard"
)

const cardSecret = "the function's secret"

// cards is a client of a sandbox's voucher-card function.
func (w world) cards(change ...func(c *vouchercard.Config)) *vouchercard.Client {
	c := vouchercard.Config{BaseURL: w.url, Secret: cardSecret}
	for _, one := range change {
		one(&c)
	}
	return vouchercard.New(c)
}

// someCard is always the same card, so that tests that scan it always do the same.
func someCard(t testing.TB, scope voucher.TokenScope) voucher.Card {
	key, err := voucher.KeyFromSeed(make([]byte, 32), time.Time{})
	require.NoError(t, err)
	keys, err := voucher.NewKeys(time.Now(), key)
	require.NoError(t, err)
	expires := time.Date(2026, 11, 30, 16, 0, 0, 0, time.UTC)
	return voucher.Card{Amount: decimal.NewFromInt(5000), Currency: "RWF", Code: "K7QM-42XD", Token: keys.Sign(voucher.Claims{Scope: scope, Expires: expires}),
		Expires: expires, Zone: "Africa/Kigali", Locale: "rw-RW", Bar: "Sundowner", Stations: []string{"Terrace", "Garden"}}
}

// scan reads a QR code as a phone would: by a decoder that shares nothing with what drew it.
func scan(t testing.TB, picture image.Image) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	require.NoError(t, err)
	found, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	require.NoError(t, err)
	return found.GetText()
}

func TestTheCodeOnACardScans(t *testing.T) {
	t.Parallel()
	w := start(t, Config{CardSecret: cardSecret})
	client := w.cards()
	for _, scope := range []voucher.TokenScope{voucher.TokenAll, voucher.TokenSet, voucher.TokenStation} {
		card := someCard(t, scope)
		card.Specimen = scope == voucher.TokenSet
		raw, err := client.Picture(t.Context(), card)
		require.NoError(t, err)
		picture, err := png.Decode(bytes.NewReader(raw))
		require.NoError(t, err)
		require.Equal(t, image.Pt(1080, 1350), picture.Bounds().Size())
		require.Equal(t, card.Token, scan(t, picture))

		small := image.NewRGBA(image.Rect(0, 0, 360, 450)) // as a chat shows it
		draw.CatmullRom.Scale(small, small.Bounds(), picture, picture.Bounds(), draw.Src, nil)
		var compressed bytes.Buffer
		require.NoError(t, jpeg.Encode(&compressed, small, &jpeg.Options{Quality: 60}))
		lossy, err := jpeg.Decode(&compressed)
		require.NoError(t, err)
		require.Equal(t, card.Token, scan(t, lossy), "small and compressed")
	}
}

// Every code is right, also where a decoder would not find it in a picture: it is told that there is nothing else.
func TestEveryCodeIsRight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		token := rapid.StringMatching(`[A-Z2-7]{146}|[A-Z2-7]{172}`).Draw(r, "token")
		code, err := drawn.New(token, drawn.Medium)
		require.NoError(t, err)
		bitmap, err := gozxing.NewBinaryBitmapFromImage(code.Image(-2))
		require.NoError(t, err)
		found, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
		require.NoError(t, err)
		require.Equal(t, token, found.GetText())
	})
}

// Whatever is written on it, a card is a picture of its size whose code scans.
func TestCardsOfAllSorts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *voucher.Card){
		"long": func(c *voucher.Card) {
			c.Bar, c.Stations = strings.Repeat("Ħ", 100), slices.Repeat([]string{strings.Repeat("W", 100)}, 50)
		},
		"large":  func(c *voucher.Card) { c.Amount, c.Currency = decimal.RequireFromString("123456789012.34"), "EUR" },
		"fr":     func(c *voucher.Card) { c.Locale, c.Amount = "fr-FR", decimal.NewFromInt(1_000_000) },
		"mt":     func(c *voucher.Card) { c.Locale, c.Zone = "mt-MT", "Europe/Malta" },
		"emoji":  func(c *voucher.Card) { c.Bar = "🍺 酒場" },
		"plain":  func(c *voucher.Card) { c.Stations = nil },
		"letter": func(c *voucher.Card) { c.Code = "K" },
	} {
		card := someCard(t, voucher.TokenStation)
		change(&card)
		require.NoError(t, card.Check(), name)
		raw, err := drawCard(card)
		require.NoError(t, err, name)
		picture, err := png.Decode(bytes.NewReader(raw))
		require.NoError(t, err, name)
		require.Equal(t, card.Token, scan(t, picture), name)
	}
}

func TestCardsByLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := start(t, Config{Dir: dir, CardSecret: cardSecret})
	first, second := someCard(t, voucher.TokenAll), someCard(t, voucher.TokenStation)
	_, err := w.cards().Link(t.Context(), first, time.Hour)
	require.NoError(t, err)
	link, err := w.cards().Link(t.Context(), second, time.Hour)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), link.ExpiresAt, time.Minute)
	require.NotContains(t, link.URL, second.Token)

	m := newMessage("+250788000001", "k") // with a card above its text
	m.HeaderMedia = link.URL
	_, err = w.client.Send(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, link.URL, w.messages("")[0].HeaderMedia)

	w.stop()
	again := start(t, Config{Dir: dir, CardSecret: cardSecret}) // links survive a restart
	path := again.url + link.URL[len(w.url):]
	res, err := http.Get(path)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "image/png", res.Header.Get("Content-Type"))
	picture, err := png.Decode(res.Body)
	require.NoError(t, err)
	require.Equal(t, second.Token, scan(t, picture))

	relative := path[len(again.url):]
	for changed, want := range map[string]int{
		strings.Replace(relative, "/2.png", "/1.png", 1):           http.StatusForbidden,
		strings.Replace(relative, "exp=", "exp=9", 1):              http.StatusForbidden,
		strings.Split(relative, "?")[0]:                            http.StatusForbidden,
		relative + "A":                                             http.StatusForbidden,
		"/cards/2.png?exp=100&sig=" + again.signLink("2.png", 100): http.StatusGone,
	} {
		status, _ := again.do(http.MethodGet, changed, "")
		require.Equal(t, want, status, changed)
	}
}

func TestTheCardFunctionRefuses(t *testing.T) {
	t.Parallel()
	w := start(t, Config{CardSecret: cardSecret})
	_, err := w.cards(func(c *vouchercard.Config) { c.Secret = "wrong" }).Picture(t.Context(), someCard(t, voucher.TokenAll))
	require.EqualError(t, err, "The voucher-card function has no card for us: it does not take our secret (HTTP 401).")
	require.NoError(t, w.cards().Ping(t.Context()))
	none := start(t, Config{})
	require.ErrorContains(t, none.cards().Ping(t.Context()), "it is not deployed (HTTP 404)")

	status, _ := w.do(http.MethodPost, "/functions/voucher-card", "{}")
	require.Equal(t, http.StatusUnauthorized, status, "without a secret")
	for body, code := range map[string]string{
		`{}`: "bad_amount", `{"amount":"5"}`: "unknown_currency", `{"colour":1}`: "card_not_readable", `{"amount":"5","link_seconds":-1}`: "out_of_range",
	} {
		_, _, err := readCard([]byte(body))
		require.Equal(t, code, domain.CodeOf(err), body)
	}
}

func TestFaultsOfTheCardFunction(t *testing.T) {
	t.Parallel()
	w := start(t, Config{CardSecret: cardSecret})
	quick := func() *vouchercard.Client {
		return w.cards(func(c *vouchercard.Config) { c.Timeout = time.Second })
	}
	for _, c := range []struct {
		fault, reason string
		answered      bool
	}{
		{`{"kind":"outage"`, "it cannot be reached", false},
		{`{"kind":"reset"`, "it cannot be reached", false},
		{`{"kind":"rate_limit"`, "it has too much to do (HTTP 429)", true},
		{`{"kind":"error","code":404`, "it is not deployed (HTTP 404)", false},
		{`{"kind":"error","code":503`, "it is in trouble (HTTP 503)", true},
		{`{"kind":"accept_then_timeout"`, "it does not answer in time", false},
		{`{"kind":"slow_body"`, "it does not answer in time", false},
		{`{"kind":"latency","latency":"5s"`, "it does not answer in time", false},
	} {
		w.do(http.MethodDelete, "/faults", "")
		w.fault(c.fault + `,"scope":"voucher-card","for":"1h"}`)
		_, err := quick().Picture(t.Context(), someCard(t, voucher.TokenAll))
		require.Equal(t, "voucher_card_unavailable", domain.CodeOf(err), c.fault)
		require.Equal(t, domain.Unavailable, domain.KindOf(err), c.fault)
		var failure *vouchercard.Failure
		require.ErrorAs(t, err, &failure)
		require.Equal(t, c.reason, failure.Reason, c.fault)
		require.Equal(t, c.answered, failure.Answered, c.fault)
	}
	w.send("+250788000001", "k") // messages are not concerned

	w.do(http.MethodDelete, "/faults", "")
	w.fault(`{"kind":"wrong_body","scope":"voucher-card","for":"1h"}`)
	for _, reason := range []string{"it answered with no PNG", "it cannot be reached", "it answered with a picture larger than 2 MiB"} {
		_, err := w.cards().Picture(t.Context(), someCard(t, voucher.TokenAll))
		require.ErrorContains(t, err, reason)
	}
	for _, reason := range []string{"it answered with no link", "it cannot be reached", "it answered with no link"} {
		_, err := w.cards().Link(t.Context(), someCard(t, voucher.TokenAll), time.Hour)
		require.ErrorContains(t, err, reason)
	}

	w.do(http.MethodDelete, "/faults", "")
	w.fault(`{"kind":"outage","for":"1h"}`) // of messaging
	_, err := w.cards().Picture(t.Context(), someCard(t, voucher.TokenAll))
	require.NoError(t, err)
}

// BenchmarkCards is cards a second over loopback, drawn, sent, checked and decoded on the same cores.
func BenchmarkCards(b *testing.B) {
	w := start(b, Config{CardSecret: cardSecret})
	client, card := w.cards(), someCard(b, voucher.TokenStation)
	var mu sync.Mutex
	var took []time.Duration
	b.SetParallelism(2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			began := time.Now()
			if _, err := client.Picture(context.Background(), card); err != nil {
				b.Error(err)
			}
			mu.Lock()
			took = append(took, time.Since(began))
			mu.Unlock()
		}
	})
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cards/s")
	b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
}
