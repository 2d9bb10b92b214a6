package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/config"
)

func TestCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls", "cert.pem"), filepath.Join(dir, "tls", "key.pem")
	now := time.Now()
	lan := net.IPv4(192, 0, 2, 7)
	ensure := func(at time.Time, more ...net.IP) *x509.Certificate {
		t.Helper()
		cert, err := ensureCertificate(certFile, keyFile, []string{"localhost"}, append([]net.IP{net.IPv4(127, 0, 0, 1)}, more...), at)
		require.NoError(t, err)
		return cert
	}
	first := ensure(now)
	require.LessOrEqual(t, first.NotAfter.Sub(first.NotBefore), 397*24*time.Hour)
	require.NoError(t, first.VerifyHostname("localhost"))
	require.NoError(t, first.VerifyHostname("127.0.0.1"))
	require.Error(t, first.VerifyHostname("192.0.2.7"))
	require.False(t, first.IsCA, "it signs no other")
	for _, file := range []string{certFile, keyFile} {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.Equal(t, first.SerialNumber, ensure(now.Add(300*24*time.Hour)).SerialNumber, "it is kept")
	second := ensure(now, lan)
	require.NotEqual(t, first.SerialNumber, second.SerialNumber, "another network")
	require.NoError(t, second.VerifyHostname("192.0.2.7"))
	require.Equal(t, second.SerialNumber, ensure(now).SerialNumber, "one that is for more does")
	third := ensure(now.Add(370*24*time.Hour), lan)
	require.NotEqual(t, second.SerialNumber, third.SerialNumber, "near its end")
	require.NoError(t, os.WriteFile(keyFile, []byte("rubbish"), 0o600))
	require.NotEqual(t, third.SerialNumber, ensure(now.Add(370*24*time.Hour), lan).SerialNumber)
}

func TestListenWantsTLS(t *testing.T) {
	t.Parallel()
	require.NoError(t, tlsOptions{}.check())
	require.NoError(t, tlsOptions{on: true}.check())
	require.NoError(t, tlsOptions{on: true, host: "0.0.0.0"}.check())
	require.ErrorContains(t, tlsOptions{host: "0.0.0.0"}.check(), "--listen wants --tls")
	require.ErrorContains(t, tlsOptions{on: true, host: "example.test:1"}.check(), "must be an address")

	u := up{base: 9000, config: config.Defaults()}
	require.Equal(t, "http://127.0.0.1:9000", u.publicURL())
	u.secure = tlsOptions{on: true}
	require.Equal(t, "https://localhost:9006", u.publicURL())
	require.Equal(t, "127.0.0.1:9006", u.listenTLS())
	u.secure.host = "192.0.2.7"
	require.Equal(t, "https://192.0.2.7:9006", u.publicURL())
	u.secure.host = "0.0.0.0"
	require.Equal(t, "0.0.0.0:9006", u.listenTLS())
	require.True(t, strings.HasPrefix(u.publicURL(), "https://"))
}

// What runs on this machine goes on by http, people come by https.
func TestHTTPAndHTTPSAreServedTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert, err := ensureCertificate(certFile, keyFile, []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}, time.Now())
	require.NoError(t, err)
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		return l.Addr().String()
	}
	at := config.API{Listen: free(), TLSListen: free(), TLSCertFile: certFile, TLSKeyFile: keyFile}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serveBoth(ctx, at, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }), nil, slog.New(slog.DiscardHandler))
	}()
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	for url, want := range map[string]string{"http://" + at.Listen: "HTTP/1.1", "https://" + at.TLSListen: "HTTP/2.0"} {
		require.Eventually(t, func() bool {
			res, err := client.Get(url)
			if err != nil {
				return false
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			return err == nil && string(got) == want
		}, 10*time.Second, 10*time.Millisecond, url)
	}
	client.CloseIdleConnections()
	cancel()
	require.NoError(t, <-ended)
}
