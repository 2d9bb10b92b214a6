package links_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/gateway/links"
)

// page is a website with a page, one that takes no HEAD, redirects, and a few that are none.
func page(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/there", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/no-head", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/mail", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "mailto:a@example.com")
		w.WriteHeader(302)
	})
	mux.HandleFunc("/closed", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestWhereLinksLead(t *testing.T) {
	t.Parallel()
	at := page(t)
	c := links.Checker{Private: true}
	for path, problem := range map[string]string{
		"/there": "", "/no-head": "", "/moved": "",
		"/gone":   "there is nothing there (HTTP 404)",
		"/closed": "it is refused (HTTP 403)",
		"/round":  "it redirects too often",
		"/mail":   "it is no address of the web",
	} {
		require.Equal(t, problem, c.Check(t.Context(), at+path), path)
	}
	require.Equal(t, "nobody answers there", c.Check(t.Context(), "http://127.0.0.1:1/"))
	for _, none := range []string{"", "faq", "ftp://example.com/faq", "javascript:alert(1)", "https://"} {
		require.Equal(t, "it is no address of the web", c.Check(t.Context(), none), none)
	}
}

// round answers in the place of the web.
type round func(*http.Request) (*http.Response, error)

func (r round) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// Where messages go to people no link leads to a host that is not public: not at once, and not by a redirect.
func TestPeopleAreSentToPublicHostsOnly(t *testing.T) {
	t.Parallel()
	hosts := map[string][]string{"example.com": {"93.184.216.34"}, "intranet.example.com": {"10.1.2.3"}, "mixed.example.com": {"93.184.216.34", "127.0.0.1"},
		"v6.example.com": {"2606:2800:220:1::1"}, "local6.example.com": {"fd00::1"}, "mapped.example.com": {"::ffff:192.168.0.1"}, "carrier.example.com": {"100.64.1.1"},
		"meta.example.com": {"169.254.169.254"}, "nothing.example.com": {"0.0.0.0"}}
	asked := []string{}
	c := links.Checker{
		Lookup: func(_ context.Context, host string) (all []netip.Addr, err error) {
			if ip, err := netip.ParseAddr(host); err == nil {
				return []netip.Addr{ip}, nil
			}
			for _, ip := range hosts[host] {
				all = append(all, netip.MustParseAddr(ip))
			}
			if all == nil {
				err = errors.New("no such host")
			}
			return all, err
		},
		Transport: round(func(req *http.Request) (*http.Response, error) {
			asked = append(asked, req.URL.Hostname())
			res := &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}, Request: req}
			if to, ok := strings.CutPrefix(req.URL.Path, "/to/"); ok {
				res.StatusCode = http.StatusFound
				res.Header.Set("Location", "https://"+to+"/")
			}
			return res, nil
		}),
	}
	const private = "it leads to a host that is not public"
	for link, problem := range map[string]string{
		"https://example.com/faq": "", "https://v6.example.com/": "", "https://example.com/to/v6.example.com": "",
		"http://example.com/faq":                      "it is not https",
		"https://unknown.example.com/":                "nobody knows its host",
		"https://intranet.example.com/":               private,
		"https://mixed.example.com/":                  private,
		"https://local6.example.com/":                 private,
		"https://mapped.example.com/":                 private,
		"https://carrier.example.com/":                private,
		"https://meta.example.com/":                   private,
		"https://nothing.example.com/":                private,
		"https://127.0.0.1/":                          private,
		"https://[::1]/":                              private,
		"https://example.com/to/intranet.example.com": private,
		"https://example.com/to/169.254.169.254":      private,
		"https://example.com/to/unknown.example.com":  "nobody knows its host",
	} {
		require.Equal(t, problem, c.Check(t.Context(), link), link)
	}
	for _, host := range asked {
		require.Contains(t, []string{"example.com", "v6.example.com"}, host, "nobody else was asked for anything")
	}
}

// A name that moves between the look-up and the connection leads nowhere.
func TestAHostThatMovesIsNotAsked(t *testing.T) {
	t.Parallel()
	at := strings.Replace(page(t), "http://", "https://", 1)
	c := links.Checker{Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
	}}
	require.Equal(t, "it leads to a host that is not public", c.Check(t.Context(), at+"/there"))
}
