package sandbox

import (
	"fmt"
	"html"
	"net/http"
)

// getPayments stands in for the page that a payment link leads to. Nobody can pay there.
func getPayments(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>Pay %[1]s</title><p>This stands in for the payment page of %[1]s.", html.EscapeString(r.PathValue("name")))
}
