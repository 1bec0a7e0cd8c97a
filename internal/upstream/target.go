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

// path is the documented endpoint, below an account's base URL.
const path = "/assessments/invite/revoke"

const (
	maxURL = 2048
	maxKey = 4096
)

// ValidateURL tells what keeps base from being an account's base URL. That is an https:// URL, or an http://
// one of this machine itself (localhost, 127.0.0.0/8 or ::1), with or without a port and a path. Link-local addresses and
// those that serve a cloud's metadata are refused, here and when a name that stands for one is dialled. The error holds
// nothing of base.
func ValidateURL(base string) error {
	if len(base) > maxURL {
		return errors.New("the upstream's URL is longer than 2048 bytes")
	}
	u, err := url.Parse(base)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return errors.New("the upstream's URL is not one; write it like https://host/path")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("the upstream's URL begins neither with https:// nor with http://")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("the upstream's URL must begin with https://: plain http:// is for this machine alone")
	case !mayBeCalled(u.Hostname()):
		return errors.New("the upstream's URL holds an address that is link-local or serves a cloud's metadata: it must not be called")
	case u.User != nil:
		return errors.New("the upstream's URL holds a user; its key is given apart")
	case strings.ContainsAny(base, "?#"):
		return errors.New("the upstream's URL has a query or a fragment")
	case !validPort(u):
		return errors.New("the upstream's URL has a port that is not from 1 to 65535")
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

// mayBeCalled reports whether a host is none of the addresses that must not be called. What a name stands for is known
// when it is dialled.
func mayBeCalled(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err != nil || allowed.Allows(addr)
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// ValidateKey tells what keeps key from being sent in a header: it is 1 to 4096 printable characters of ASCII
// without a space. The error holds nothing of key.
func ValidateKey(key string) error {
	switch {
	case key == "":
		return errors.New("the upstream's key is empty")
	case len(key) > maxKey:
		return errors.New("the upstream's key is longer than 4096 bytes")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the upstream's key has a space, a line break or another character that no header carries")
	}
	return nil
}

// endpointOf is the URL to call.
func endpointOf(target revocation.Target) (string, error) {
	if err := ValidateURL(target.URL); err != nil {
		return "", err
	}
	if err := ValidateKey(string(target.Key)); err != nil {
		return "", err
	}
	return strings.TrimRight(target.URL, "/") + path, nil
}

// identity changes when the account's URL or key does.
type identity [sha256.Size]byte

func identityOf(target revocation.Target) identity {
	return sha256.Sum256([]byte(target.URL + "\x00" + string(target.Key)))
}
