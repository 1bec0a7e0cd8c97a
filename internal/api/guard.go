package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"rescind/internal/revocation"
)

// ipv6Site is the prefix length of the smallest network that a provider assigns to one customer. The customer can use
// every address in it.
const ipv6Site = 64

// admit returns an error unless the request's key is valid, has the scopes and is within its rate limit. It sets
// x.key.
func (a *API) admit(x *requestContext, scopes [][]revocation.Scope) error {
	key, err := a.identify(x)
	if err != nil {
		return err
	}
	if key == nil {
		return unauthorized()
	}
	x.key = key
	if !allowed(key, scopes) {
		return missingScope(scopes)
	}
	h := x.Response().Header()
	left, ok := a.limits.take(key.ID)
	if !ok {
		return a.limits.refuse(h, left)
	}
	a.limits.setHeaders(h, left)
	return nil
}

// recheck returns the problem unauthorized if the request's key has been revoked, or has expired, since it was admitted.
// It reads the cache, and sometimes the database. While the database is unavailable, the key stays valid.
func (a *API) recheck(x *requestContext) error {
	key, err := a.keyring.find(x.key.Hash)
	if err == nil && key == nil {
		return unauthorized()
	}
	return nil
}

func unauthorized() *problem {
	p := newProblem(codeUnauthorized)
	p.header = http.Header{"Www-Authenticate": {`ApiKey realm="rescind", Bearer realm="rescind"`}}
	return p
}

// identify returns the key that a request carries, or nil if the request carries no valid key.
//
// The look-ups of unknown keys share statements with those of valid keys, so guesses delay no other request: see
// lookupOptions. To slow a guesser down, an address may send as many unknown keys a second as one key may send requests.
// Above that the response is rate_limited. The limit does not apply to valid keys, not even at their first use.
// A request without a key, or with a secret that is too long, needs no look-up.
func (a *API) identify(x *requestContext) (*revocation.APIKey, error) {
	secret := secretOf(x.Request().Header)
	if secret == "" || len(secret) > maxSecret {
		return nil, nil
	}
	hash := revocation.HashSecret(secret)
	known := a.keyring.knows(hash)
	key, err := a.keyring.find(hash)
	if key != nil || err != nil || known {
		return key, err
	}
	if left, ok := a.unknownKeyLimit.take(clientNetwork(x.RealIP())); !ok {
		return nil, a.unknownKeyLimit.refuse(x.Response().Header(), left).
			withDetail("This address sent too many unknown API keys. The header Retry-After states when to try again.")
	}
	return nil, nil
}

// trust returns the options that make echo trust the proxies. For nil it returns no options: echo then trusts all
// private networks.
func trust(proxies []netip.Prefix) (options []echo.TrustOption) {
	if proxies == nil {
		return nil
	}
	options = []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, network := range proxies {
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: network.Masked().Addr().AsSlice(), Mask: net.CIDRMask(network.Bits(), network.Addr().BitLen()),
		}))
	}
	return options
}

// clientNetwork returns the network that one client controls, by its address from echo's IPExtractor: the address itself
// for IPv4, and the /64 network for IPv6. For an address that cannot be parsed, it returns the zero Prefix.
func clientNetwork(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = ipv6Site
	}
	network, _ := addr.Prefix(bits) // the length fits the address
	return network
}

// secretOf returns the secret in the header apiKey, or else in Authorization. It returns "" if the header appears twice,
// because a proxy may have checked the other one. It ignores the query string, because logs record that.
func secretOf(h http.Header) string {
	switch sent := h["Apikey"]; len(sent) {
	case 0:
	case 1:
		return sent[0]
	default:
		return ""
	}
	sent := h["Authorization"]
	if len(sent) != 1 {
		return ""
	}
	scheme, secret, _ := strings.Cut(sent[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}
