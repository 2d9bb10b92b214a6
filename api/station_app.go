package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// stationApp answers at /station and below: with the station app's file of that name, or with its page, whose program
// knows the address. The page has nothing inline and so no nonce: its worker keeps it, with these headers, for when there is
// no connection.
func stationApp(c *gin.Context, assets map[string]*asset, name string) {
	if name == "station" { // the worker's scope has the slash; what stands behind # comes along
		c.Redirect(http.StatusFound, "/station/")
		return
	}
	a := assets[name]
	if a == nil && (isFile(name) || strings.HasPrefix(name, "station/assets/")) {
		abort(c, http.StatusNotFound, "not_found", "there is nothing at this address")
		return
	}
	if a == nil {
		a = assets["station/index.html"]
	}
	panelHeaders(c, "")
	stationHeaders(c)
	if a == nil {
		c.Data(http.StatusOK, "text/html; charset=utf-8", noPanel)
		return
	}
	a.serve(c)
}

// inStationApp tells the addresses of the station app from the panel's.
func inStationApp(name string) bool { return name == "station" || strings.HasPrefix(name, "station/") }

// stationHeaders say what only the station app may do: look through the camera, and run the program that reads QR codes
// where the browser cannot.
func stationHeaders(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "+
		"font-src 'self'; connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; frame-ancestors 'none'; "+
		"base-uri 'none'; form-action 'self'; object-src 'none'; report-uri /csp-reports; report-to csp")
	h.Set("Permissions-Policy", "camera=(self), microphone=(), geolocation=(), payment=()")
}
