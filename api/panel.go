package api

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// panel answers at every address that is nobody else's: with the panel's file of that name, or with its index.html,
// whose program knows the address.
func (s *server) panel() gin.HandlerFunc {
	nothing := func(c *gin.Context) { abort(c, http.StatusNotFound, "not_found", "there is nothing at this address") }
	if s.Panel == nil {
		return nothing
	}
	assets, index := loadPanel(s.Panel)
	return func(c *gin.Context) {
		name := strings.TrimPrefix(c.Request.URL.Path, "/")
		if (c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead) || notPanel.MatchString(name) {
			nothing(c)
			return
		}
		if inStationApp(name) {
			stationApp(c, assets, name)
			return
		}
		if a := assets[name]; a != nil {
			panelHeaders(c, "")
			a.serve(c)
			return
		}
		if isFile(name) {
			nothing(c)
			return
		}
		nonce := rand.Text()
		panelHeaders(c, " 'nonce-"+nonce+"'")
		page := noPanel
		if index != nil {
			page = bytes.ReplaceAll(index, []byte("__CSP_NONCE__"), []byte(nonce))
		}
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	}
}

// noPanel is shown where the panel was not built in.
var noPanel = []byte(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Lastcall</title></head><body>
<h1>Lastcall runs, without its panel</h1>
<p>This build has no panel in it: run <code>make ui</code>, and then <code>make up</code> again.</p>
<p>The <a href="/api/v1/docs">API and its documentation</a> are here.</p>
</body></html>
`)

// notPanel are the addresses of programs: what is wrong there is told to them as a problem.
var notPanel = regexp.MustCompile(`^(api|webhooks|healthz|readyz|metrics|csp-reports)(/|$)`)

// isFile tells an address that only a file can have from one of the panel's own. Ids and names in those may have dots.
func isFile(name string) bool {
	parts := strings.Split(name, "/")
	if parts[0] == "assets" || slices.ContainsFunc(parts, func(part string) bool { return strings.HasPrefix(part, ".") || strings.ContainsAny(part, "\\\x00") }) {
		return true
	}
	return kinds[path.Ext(name)] != ""
}

// panelHeaders say what the page may do: run and show what came with it, or has its nonce.
func panelHeaders(c *gin.Context, nonce string) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self'"+nonce+"; style-src 'self'"+nonce+"; img-src 'self' data:; "+
		"font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'; "+
		"report-uri /csp-reports; report-to csp")
	h.Set("Reporting-Endpoints", `csp="/csp-reports"`)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
	h.Set("Referrer-Policy", "same-origin")
}

// asset is a file of the panel, ready to be sent.
type asset struct {
	kind   string
	tag    string // of its content
	keep   string // how long browsers may
	body   []byte
	zipped []byte // nil when that would not be smaller
}

// kinds are the files a panel is made of. The system's table of types differs from machine to machine.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json", ".map": "application/json", ".webmanifest": "application/manifest+json",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".ico": "image/x-icon",
	".woff2": "font/woff2", ".woff": "font/woff", ".wasm": "application/wasm", ".txt": "text/plain; charset=utf-8",
}

// hashed are names that change with their content.
var hashed = regexp.MustCompile(`^(station/)?assets/.*-[A-Za-z0-9_-]{8,}\.[a-z0-9.]+$`)

// loadPanel reads the files once. index is nil when there is none: the panel was not built.
func loadPanel(files fs.FS) (assets map[string]*asset, index []byte) {
	assets = map[string]*asset{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if name == "index.html" { // it is another with every request
			index = body
			return nil
		}
		sum := sha256.Sum256(body)
		a := &asset{kind: kinds[path.Ext(name)], tag: hex.EncodeToString(sum[:12]), keep: "no-cache", body: body}
		if a.kind == "" {
			a.kind = "application/octet-stream"
		}
		if hashed.MatchString(name) {
			a.keep = "public, max-age=31536000, immutable"
		}
		if zipped := zip(body); len(zipped) < len(body)*9/10 {
			a.zipped = zipped
		}
		assets[name] = a
		return nil
	})
	if err != nil {
		panic(err) // they are embedded
	}
	return assets, index
}

func zip(body []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(body) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

func (a *asset) serve(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", a.keep)
	body, tag := a.body, a.tag
	if a.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(c.GetHeader("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body, tag = a.zipped, a.tag+"-gzip"
			c.Request.Header.Del("Range") // ranges are of the file
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(body))
}

func takesGzip(accepted string) bool {
	for each := range strings.SplitSeq(accepted, ",") {
		coding, quality, _ := strings.Cut(strings.ReplaceAll(each, " ", ""), ";")
		if strings.EqualFold(coding, "gzip") {
			return !regexp.MustCompile(`^q=0(\.0*)?$`).MatchString(quality)
		}
	}
	return false
}
