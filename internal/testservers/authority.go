package testservers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority for one test. Clients do not trust it unless a test makes them.
type Authority struct {
	der []byte
	key *ecdsa.PrivateKey
}

// NewAuthority returns an Authority with a new key.
func NewAuthority() *Authority {
	template := certificate("Test Authority")
	template.KeyUsage = x509.KeyUsageCertSign
	template.BasicConstraintsValid, template.IsCA = true, true
	key := newKey()
	return &Authority{der: sign(template, template, key, key), key: key}
}

// Pool returns the certificate pool for clients in this process.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(parse(a.der))
	return pool
}

// File writes the authority's certificate for programs that must trust it, and returns the path.
func (a *Authority) File(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(path, encode("CERTIFICATE", a.der), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loopbackHosts are the names of the loopback interface.
var loopbackHosts = []string{"localhost", "127.0.0.1", "::1"}

// issue returns a certificate for hosts, which are names or addresses, and its key.
func (a *Authority) issue(hosts []string) tls.Certificate {
	template := certificate("Test Server")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	// A Redis replica and a Sentinel are also clients, with the same certificate.
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key := newKey()
	return tls.Certificate{Certificate: [][]byte{sign(template, parse(a.der), key, a.key)}, PrivateKey: key}
}

// write issues a certificate, and writes it, its key and the authority's certificate into the directory.
func (a *Authority) write(dir string, hosts []string) (cert, key, authority string, err error) {
	issued := a.issue(hosts)
	private, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		return "", "", "", err
	}
	cert, key, authority = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"), filepath.Join(dir, "authority.crt")
	for path, text := range map[string][]byte{
		cert: encode("CERTIFICATE", issued.Certificate[0]), key: encode("PRIVATE KEY", private), authority: encode("CERTIFICATE", a.der),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", "", "", err
		}
	}
	return cert, key, authority, nil
}

func certificate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		panic(err) // the template is valid
	}
	return der
}

func parse(der []byte) *x509.Certificate {
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err) // it was just created
	}
	return parsed
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
