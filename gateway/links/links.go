// Package links looks whether an address on the web leads anywhere, before people are sent there.
package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// Checker looks at links. The zero value is for where announcements go to people: it follows none that is not https, or that
// leads, at once or by a redirect, to a host that is not public. It is safe for concurrent use.
type Checker struct {
	Private   bool              // on the sandbox: http and hosts of this machine and network will do
	Transport http.RoundTripper // nil: one of its own
	Lookup    func(ctx context.Context, host string) ([]netip.Addr, error)
}

const (
	within    = 5 * time.Second // for an answer, redirects included
	redirects = 5
)

var errRefused = errors.New("refused")

// Check asks for an address, in ten seconds at most, and says what is wrong with it, for people; "": it leads somewhere. It
// asks for the head first and for the page when that is refused; of what it gets it reads nothing.
func (c Checker) Check(ctx context.Context, address string) (problem string) {
	if problem := c.allowed(ctx, address); problem != "" {
		return problem
	}
	status, problem := c.ask(ctx, http.MethodHead, address)
	if problem == "" && status >= 400 {
		status, problem = c.ask(ctx, http.MethodGet, address)
	}
	switch {
	case problem != "":
		return problem
	case status == http.StatusNotFound || status == http.StatusGone:
		return fmt.Sprintf("there is nothing there (HTTP %d)", status)
	case status >= 400:
		return fmt.Sprintf("it is refused (HTTP %d)", status)
	}
	return ""
}

func (c Checker) ask(ctx context.Context, method, address string) (status int, problem string) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return 0, "it is no address"
	}
	req.Header.Set("User-Agent", "Lastcall link check")
	client := http.Client{Transport: c.transport(address), CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if len(via) > redirects {
			problem = "it redirects too often"
		} else {
			problem = c.allowed(to.Context(), to.URL.String())
		}
		if problem != "" {
			return errRefused
		}
		return nil
	}}
	res, err := client.Do(req)
	switch {
	case problem != "":
		return 0, problem
	case errors.Is(err, errPrivate):
		return 0, notPublic
	case ctx.Err() != nil:
		return 0, "no answer within 5 s"
	case err != nil:
		return 0, "nobody answers there"
	}
	_ = res.Body.Close()
	return res.StatusCode, ""
}

const notPublic = "it leads to a host that is not public"

// allowed says why a link may not be followed; "": it may.
func (c Checker) allowed(ctx context.Context, address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "it is no address of the web"
	case c.Private:
		return ""
	case u.Scheme != "https":
		return "it is not https"
	}
	lookup := c.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	all, err := lookup(ctx, u.Hostname())
	if err != nil || len(all) == 0 {
		return "nobody knows its host"
	}
	for _, ip := range all {
		if !public(ip) {
			return notPublic
		}
	}
	return ""
}

// shared is the address space that carriers share with their customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !shared.Contains(ip)
}

var errPrivate = errors.New("the host is not public")

// transport opens a connection for each look. Where no proxy stands between, the host is looked at again as the connection is
// made, so that a name that has moved meanwhile leads nowhere.
func (c Checker) transport(address string) http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	if c.Private {
		return t
	}
	if u, err := url.Parse(address); err == nil {
		if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err == nil && proxy != nil {
			return t
		}
	}
	t.Proxy = nil
	t.DialContext = (&net.Dialer{Timeout: within, Control: func(_, to string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(to); err != nil || !public(at.Addr()) {
			return errPrivate
		}
		return nil
	}}).DialContext
	return t
}
