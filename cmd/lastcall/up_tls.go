package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastcall/devstack/supervise"
)

// tlsOptions are how up serves https, for trying the station app on a phone: phones give plain http neither the camera nor
// an app that opens without a connection.
type tlsOptions struct {
	on          bool
	host        string // an address of this machine, 0.0.0.0 or :: for all; "": 127.0.0.1
	fingerprint string // of the certificate, once there is one
}

// check refuses what would send passwords over a network as they are.
func (o tlsOptions) check() error {
	switch {
	case o.host != "" && !o.on:
		return usageError{errors.New("--listen wants --tls: without it passwords would go over the network as they are")}
	case o.host != "" && net.ParseIP(o.host) == nil:
		return usageError{errors.New("--listen must be an address of this machine, such as 192.168.1.20, or 0.0.0.0 for all")}
	}
	return nil
}

func (u *up) listenTLS() string {
	host := u.secure.host
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(u.port(portTLS)))
}

// publicURL is the address that people use: of https, where that is served, that of the first network.
func (u *up) publicURL() string {
	if u.config.Configured("api.public_url") {
		return strings.TrimRight(u.config.API.PublicURL, "/")
	}
	if !u.secure.on {
		return "http://" + u.listen(portAPI)
	}
	host := "localhost"
	if ip := net.ParseIP(u.secure.host); ip != nil && !ip.IsLoopback() {
		host = u.secure.host
		if ip.IsUnspecified() {
			host = "localhost"
			if lan := networkAddresses(); len(lan) > 0 {
				host = lan[0].String()
			}
		}
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(u.port(portTLS)))
}

func (u *up) certificateFile() string    { return filepath.Join(u.dir, "tls", "cert.pem") }
func (u *up) certificateKeyFile() string { return filepath.Join(u.dir, "tls", "key.pem") }

// prepareTLS makes the certificate if https is wanted and the one there is does not do.
func (u *up) prepareTLS(now time.Time) error {
	if !u.secure.on {
		return nil
	}
	names, addresses := []string{"localhost"}, append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, networkAddresses()...)
	if ip := net.ParseIP(u.secure.host); ip != nil && !ip.IsUnspecified() {
		addresses = append(addresses, ip)
	}
	if public, err := url.Parse(u.publicURL()); err == nil && net.ParseIP(public.Hostname()) == nil {
		names = append(names, public.Hostname())
	}
	cert, err := ensureCertificate(u.certificateFile(), u.certificateKeyFile(), names, addresses, now)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	sum := sha256.Sum256(cert.Raw)
	u.secure.fingerprint = strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", sum[:]), " ", ":"))
	return nil
}

const (
	certificateLives = 396 * 24 * time.Hour // phones refuse more than 398 days
	certificateRenew = 30 * 24 * time.Hour  // before its end
)

// ensureCertificate returns the certificate in a file: the one there is, if it is good for a while yet and for all these
// names and addresses, else a new one. It is for the server alone and can sign no other.
func ensureCertificate(certFile, keyFile string, names []string, addresses []net.IP, now time.Time) (*x509.Certificate, error) {
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && goodCertificate(pair.Leaf, names, addresses, now) {
		return pair.Leaf, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	about := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "Lastcall on this machine"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLives - time.Hour), DNSNames: slices.Compact(names), IPAddresses: addresses,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(keyFile), 0o700)
	}
	if err == nil {
		err = supervise.Replace(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	}
	if err == nil {
		err = supervise.Replace(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func goodCertificate(c *x509.Certificate, names []string, addresses []net.IP, now time.Time) bool {
	if now.Before(c.NotBefore) || now.Add(certificateRenew).After(c.NotAfter) {
		return false
	}
	for _, name := range names {
		if c.VerifyHostname(name) != nil {
			return false
		}
	}
	for _, ip := range addresses {
		if !slices.ContainsFunc(c.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}

// networkAddresses are this machine's addresses in its networks, IPv4 first, without those of one link.
func networkAddresses() []net.IP {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then there are none that anybody could use
	}
	var four, six []net.IP
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			four = append(four, n.IP)
		} else {
			six = append(six, n.IP)
		}
	}
	return append(four, six...)
}
