package upstream

import (
	"crypto/sha256"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"rescind/internal/revocation"
)

// path is the path of the documented endpoint, relative to an account's base URL.
const path = "/assessments/invite/revoke"

const (
	maxURL = 2048
	maxKey = 4096
)

// ValidateURL returns an error if base is not valid as an account's base URL. It must be an https:// URL, or an http://
// URL of this machine (localhost, 127.0.0.0/8 or ::1), at most 2048 bytes long. It may have a port and a path, but no user,
// query or fragment. Link-local addresses and addresses of cloud metadata services are not valid; names that resolve
// to them are refused when they are dialled. The error contains no part of base.
func ValidateURL(base string) error {
	if len(base) > maxURL {
		return errors.New("the upstream's URL is longer than 2048 bytes")
	}
	u, err := url.Parse(base)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return errors.New("the upstream's URL is not valid; write it like https://host/path")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("the upstream's URL must begin with https:// or http://")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("the upstream's URL must begin with https://: http:// is only for this machine")
	case !mayBeCalled(u.Hostname()):
		return errors.New("the upstream's URL has an address that is link-local or serves a cloud's metadata: it must not be called")
	case u.User != nil:
		return errors.New("the upstream's URL must not have a user; the key is given separately")
	case strings.ContainsAny(base, "?#"):
		return errors.New("the upstream's URL must not have a query or a fragment")
	case !validPort(u):
		return errors.New("the port in the upstream's URL must be from 1 to 65535")
	}
	return nil
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

// mayBeCalled reports whether host is a name or an allowed address. The address of a name is checked when it is dialled.
func mayBeCalled(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err != nil || allowed.Allows(addr)
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// ValidateKey returns an error if key cannot be sent in a header. It must have 1 to 4096 printable ASCII characters
// and no space. The error contains no part of key.
func ValidateKey(key string) error {
	switch {
	case key == "":
		return errors.New("the upstream's key is empty")
	case len(key) > maxKey:
		return errors.New("the upstream's key is longer than 4096 bytes")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the upstream's key has a space, a line break or another character that a header cannot contain")
	}
	return nil
}

// endpointOf returns the URL to call.
func endpointOf(target revocation.Target) (string, error) {
	if err := ValidateURL(target.URL); err != nil {
		return "", err
	}
	if err := ValidateKey(string(target.Key)); err != nil {
		return "", err
	}
	return strings.TrimRight(target.URL, "/") + path, nil
}

// identity is a hash of an account's URL and key.
type identity [sha256.Size]byte

func identityOf(target revocation.Target) identity {
	return sha256.Sum256([]byte(target.URL + "\x00" + string(target.Key)))
}
