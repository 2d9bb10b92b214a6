package sandbox

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
	"sync"

	"github.com/skip2/go-qrcode"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"

	"lastcall/domain/voucher"
)

// The picture is a ticket on dark ground, 4 to 5, as messengers show it whole: who gives what above the perforation, the
// code below it. All is laid out so that at 360 pixels' width, as a chat shows it, the smallest line is still read and
// the QR code still scans.
const (
	cardWidth, cardHeight = 1080, 1350
	ticketLeft, ticketTop = 40, 40
	ticketRight           = cardWidth - ticketLeft
	ticketBottom          = cardHeight - ticketTop
	inner                 = 104 // where the ticket's text begins
	perforation           = 470 // how far down
	codeTop               = perforation + 38
	codeSide              = 590 // of the white square around the QR code, at most
)

// The house's colours.
var (
	ink    = color.NRGBA{0x0B, 0x0D, 0x17, 0xFF}
	ticket = color.NRGBA{0x18, 0x1D, 0x2F, 0xFF}
	edge   = color.NRGBA{0x33, 0x3B, 0x55, 0xFF}
	amber  = color.NRGBA{0xF2, 0xA3, 0x3A, 0xFF}
	cream  = color.NRGBA{0xFB, 0xF7, 0xF0, 0xFF}
	quiet  = color.NRGBA{0xA9, 0xAE, 0xC2, 0xFF}
	white  = color.NRGBA{0xFF, 0xFF, 0xFF, 0xFF}
)

// drawCard makes the PNG of a card that Check has nothing against.
func drawCard(card voucher.Card) ([]byte, error) {
	code, err := qrcode.New(card.Token, qrcode.Medium)
	if err != nil {
		return nil, err
	}
	code.DisableBorder = true
	w := card.Words()
	c := &canvas{image.NewRGBA(image.Rect(0, 0, cardWidth, cardHeight))}
	copy(c.Pix, empty().Pix)

	c.disc(inner+12, 114, 12, amber)
	title := c.width(w.Title, medium, 34)
	c.text(w.Title, medium, 34, cardWidth-inner-title, 127, quiet)
	c.fit(card.Bar, bold, 42, inner+44, 128, cardWidth-2*inner-44-title-32, cream)

	c.amount(w.Amount, card.Currency)
	c.text(w.Until, regular, 32, inner, 362, quiet)
	c.fit(w.Expires, bold, 44, inner, 416, cardWidth-2*inner, cream)

	c.code(code.Bitmap())
	c.spaced(card.Code, cardWidth/2, codeTop+codeSide+92)
	rows := 2
	if card.Payment != "" {
		rows = 1
	}
	places := c.wrap(w.Where+": "+w.Place, medium, 32, cardWidth-2*inner, rows)
	if card.Payment != "" {
		places = append(places, c.wrap(card.Payment, medium, 32, cardWidth-2*inner, 1)...)
	}
	for i, line := range places {
		c.centred(line, medium, 32, codeTop+codeSide+182+(2*i-len(places))*20, quiet)
	}
	if card.Specimen {
		c.specimen()
	}

	var out bytes.Buffer
	err = encoder.Encode(&out, c.paletted())
	return out.Bytes(), err
}

var encoder = png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: new(encoderBuffers)}

// paletted is the picture in 256 colours: the house's, exactly, and the shades between them in steps of eight. It is
// half the bytes and less than half the work.
func (c *canvas) paletted() *image.Paletted {
	p := image.NewPaletted(c.Bounds(), make(color.Palette, 0, 256))
	known := map[color.RGBA]byte{}
	index := func(shade color.RGBA) byte {
		if i, ok := known[shade]; ok {
			return i
		}
		if len(p.Palette) < cap(p.Palette) {
			p.Palette = append(p.Palette, shade)
		}
		known[shade] = byte(p.Palette.Index(shade)) //nolint:gosec // below 256
		return known[shade]
	}
	for _, own := range []color.NRGBA{ink, ticket, edge, amber, cream, quiet, white, {A: 0xFF}} {
		index(color.RGBA(own)) // none lets anything shine through
	}
	exact := len(known)
	var last color.RGBA
	var lastIndex byte
	for i := range p.Pix {
		pixel := color.RGBA{c.Pix[4*i], c.Pix[4*i+1], c.Pix[4*i+2], 0xFF}
		if pixel != last {
			if at, ok := known[pixel]; ok && int(at) < exact {
				lastIndex = at
			} else {
				lastIndex = index(color.RGBA{pixel.R&^7 | 4, pixel.G&^7 | 4, pixel.B&^7 | 4, 0xFF})
			}
			last = pixel
		}
		p.Pix[i] = lastIndex
	}
	return p
}

// encoderBuffers keeps the encoder's buffers, a megabyte each.
type encoderBuffers struct{ pool sync.Pool }

// Get is png.EncoderBufferPool.
func (b *encoderBuffers) Get() *png.EncoderBuffer {
	kept, _ := b.pool.Get().(*png.EncoderBuffer)
	return kept
}

// Put is png.EncoderBufferPool.
func (b *encoderBuffers) Put(buffer *png.EncoderBuffer) { b.pool.Put(buffer) }

// canvas is a picture being drawn. What draws gets its RGBA itself, for which it knows short ways.
type canvas struct{ *image.RGBA }

// empty is the card before anything is written on it.
var empty = sync.OnceValue(func() *canvas {
	c := &canvas{image.NewRGBA(image.Rect(0, 0, cardWidth, cardHeight))}
	draw.Draw(c.RGBA, c.Bounds(), image.NewUniform(ink), image.Point{}, draw.Src)
	c.ticket()
	return c
})

// ticket is the ground of everything: a rounded sheet with a notch on either side and a dashed line between them.
func (c *canvas) ticket() {
	const radius, notch = 44, 26
	c.rounded(ticketLeft, ticketTop, ticketRight, ticketBottom, radius, ticket)
	c.disc(ticketLeft, perforation, notch, ink)
	c.disc(ticketRight, perforation, notch, ink)
	for x := ticketLeft + notch + 22; x < ticketRight-notch-22; x += 28 {
		c.rounded(x, perforation-2, x+14, perforation+2, 2, edge)
	}
}

// amount is the largest thing on the card: the number, as large as its digits allow, and the currency in amber.
func (c *canvas) amount(number, currency string) {
	const baseline, gap = 292, 26
	size := 152.0
	unit := func() float64 { return size * 0.42 }
	for size > 60 && c.width(number, bold, size)+gap+c.width(currency, bold, unit()) > cardWidth-2*inner {
		size -= 4
	}
	c.text(number, bold, size, inner-int(size/18), baseline, cream) // a figure's side bearing out of the margin
	c.text(currency, bold, unit(), inner-int(size/18)+c.width(number, bold, size)+gap, baseline, amber)
}

// code is the QR code, black on white, its quiet zone of four modules within the white.
func (c *canvas) code(modules [][]bool) {
	const quietZone = 4
	n := len(modules)
	size := codeSide / (n + 2*quietZone)
	side := size * (n + 2*quietZone)
	left, top := (cardWidth-side)/2, codeTop+(codeSide-side)/2
	c.rounded(left, top, left+side, top+side, 20, white)
	black := image.NewUniform(color.Black)
	for y, row := range modules {
		for x, dark := range row {
			if dark {
				at := image.Pt(left+(x+quietZone)*size, top+(y+quietZone)*size)
				draw.Draw(c.RGBA, image.Rectangle{at, at.Add(image.Pt(size, size))}, black, image.Point{}, draw.Src)
			}
		}
	}
}

// spaced is the short code: letters of one width, some air between them.
func (c *canvas) spaced(code string, middle, baseline int) {
	const size, air = 84, 9
	letter := c.width("0", mono, size) + air
	x := middle - (letter*len(code)-air)/2
	for _, r := range code {
		c.text(string(r), mono, size, x, baseline, amber)
		x += letter
	}
}

// specimen says on the QR code's two sides, upright and large, that the card is worth nothing.
func (c *canvas) specimen() {
	const word = "SPECIMEN"
	for _, x := range []int{inner + 34, cardWidth - inner - 34} {
		for i, r := range word {
			s := string(r)
			c.text(s, bold, 46, x-c.width(s, bold, 46)/2, codeTop+60+i*72, amber)
		}
	}
}

// face is one of the fonts. They are the Go project's own, which may be carried in programs.
type face int

const (
	regular face = iota
	medium
	bold
	mono
)

var parsed = sync.OnceValue(func() (fonts [4]*opentype.Font) {
	for i, ttf := range [][]byte{goregular.TTF, gomedium.TTF, gobold.TTF, gomonobold.TTF} {
		f, err := opentype.Parse(ttf)
		if err != nil {
			panic(err) // they are part of the program
		}
		fonts[i] = f
	}
	return fonts
})

func (f face) at(size float64) font.Face {
	made, err := opentype.NewFace(parsed()[f], &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		panic(err) // the options are right
	}
	return made
}

func (c *canvas) width(s string, f face, size float64) int {
	return font.MeasureString(f.at(size), s).Ceil()
}

func (c *canvas) text(s string, f face, size float64, x, baseline int, ink color.Color) {
	d := font.Drawer{Dst: c.RGBA, Src: image.NewUniform(ink), Face: f.at(size), Dot: fixed.P(x, baseline)}
	d.DrawString(s)
}

func (c *canvas) centred(s string, f face, size float64, baseline int, ink color.Color) {
	c.text(s, f, size, (cardWidth-c.width(s, f, size))/2, baseline, ink)
}

// fit draws s smaller, to three quarters, and then shortened, until it has room.
func (c *canvas) fit(s string, f face, size float64, x, baseline, room int, ink color.Color) {
	least := size * 0.75
	for size > least && c.width(s, f, size) > room {
		size--
	}
	c.text(c.shorten(s, f, size, room), f, size, x, baseline, ink)
}

func (c *canvas) shorten(s string, f face, size float64, room int) string {
	if c.width(s, f, size) <= room {
		return s
	}
	runes := []rune(s)
	for len(runes) > 1 && c.width(string(runes)+"…", f, size) > room {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimRight(string(runes), " ,") + "…"
}

// wrap breaks s between words into at most lines lines, the last of them shortened.
func (c *canvas) wrap(s string, f face, size float64, room, lines int) []string {
	var out []string
	words := strings.Fields(s)
	for len(words) > 0 && len(out) < lines-1 {
		n := 1
		for n < len(words) && c.width(strings.Join(words[:n+1], " "), f, size) <= room {
			n++
		}
		out, words = append(out, strings.Join(words[:n], " ")), words[n:]
	}
	if len(words) > 0 {
		out = append(out, c.shorten(strings.Join(words, " "), f, size, room))
	}
	return out
}

func (c *canvas) disc(x, y, radius int, fill color.Color) {
	c.rounded(x-radius, y-radius, x+radius, y+radius, float32(radius), fill)
}

// rounded fills a rectangle with round corners.
func (c *canvas) rounded(left, top, right, bottom int, radius float32, fill color.Color) {
	const k = 0.5523 // a quarter of a circle as a cubic curve
	w, h, r := float32(right-left), float32(bottom-top), radius
	v := vector.NewRasterizer(right-left, bottom-top)
	v.MoveTo(r, 0)
	v.LineTo(w-r, 0)
	v.CubeTo(w-r+k*r, 0, w, r-k*r, w, r)
	v.LineTo(w, h-r)
	v.CubeTo(w, h-r+k*r, w-r+k*r, h, w-r, h)
	v.LineTo(r, h)
	v.CubeTo(r-k*r, h, 0, h-r+k*r, 0, h-r)
	v.LineTo(0, r)
	v.CubeTo(0, r-k*r, r-k*r, 0, r, 0)
	v.ClosePath()
	v.Draw(c.RGBA, image.Rect(left, top, right, bottom), image.NewUniform(fill), image.Point{})
}
