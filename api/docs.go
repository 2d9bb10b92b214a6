package api

import (
	"embed"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
)

//go:embed docs
var docsFiles embed.FS

// docs serves the OpenAPI document and a page that shows it, both open to all and from this binary alone.
func (s *server) docs() {
	document := s.document()
	s.router.GET(Prefix+"/openapi.json", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/openapi+json", document)
	})
	for path, file := range map[string]struct{ name, kind string }{
		Prefix + "/docs":          {"docs/docs.html", "text/html; charset=utf-8"},
		Prefix + "/docs/docs.js":  {"docs/docs.js", "text/javascript; charset=utf-8"},
		Prefix + "/docs/docs.css": {"docs/docs.css", "text/css; charset=utf-8"},
	} {
		body, err := docsFiles.ReadFile(file.name)
		if err != nil {
			panic(err) // it is embedded
		}
		s.router.GET(path, func(c *gin.Context) {
			c.Header("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "+
				"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			c.Data(http.StatusOK, file.kind, body)
		})
	}
}

// Document is the OpenAPI document that the API serves. It needs none of what the API stands on.
func Document() []byte { return newServer(Deps{Log: slog.New(slog.DiscardHandler)}).document() }

func (s *server) document() []byte {
	document, err := json.MarshalIndent(s.huma.OpenAPI(), "", "  ")
	if err != nil {
		panic(err) // the operations are described wrongly: no build with this passes a test
	}
	return document
}
