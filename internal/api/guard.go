package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"rescind/internal/revocation"
)

// ipv6Site is what one customer of a network is given at least, and can make addresses of at will.
const ipv6Site = 64

// admit lets a request in whose key is valid, has the scope and is within its limit. It notes the key.
func (a *API) admit(x *requestContext, scope revocation.Scope) error {
	key, err := a.identify(x)
	if err != nil {
		return err
	}
	if key == nil {
		return unauthorized()
	}
	x.key = key
	if !key.Allows(scope) {
		return newProblem(codeMissingScope).withDetail("This needs an API key with the scope " + string(scope) + ".")
	}
	h := x.Response().Header()
	left, ok := a.limits.take(key.ID)
	if !ok {
		return a.limits.refuse(h, left)
	}
	a.limits.setHeaders(h, left)
	return nil
}

// recheck gives unauthorized when the request's key has been revoked, or has expired, since it was admitted. It costs
// a look-up in memory, and now and then one in the database. While the database is away, the key counts as it did.
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

// identify gives the key that a request carries, nil when it opens nothing.
//
// The look-ups of unknown keys share statements with those of real ones, so that guesses hold up nobody: see lookups. To
// slow a guesser down, an address is answered as many of them a second as one key may make requests, and is told to come
// again later for more. No key that opens something is limited by that, also when it is used for the first time.
// Requests without a key, or with what cannot be one, need no look-up.
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
	if left, ok := a.unknownKeyLimit.take(guesserAt(x.RealIP())); !ok {
		return nil, a.unknownKeyLimit.refuse(x.Response().Header(), left).
			withDetail("Too many unknown API keys came from this address. The header Retry-After says when to come again.")
	}
	return nil, nil
}

// trust is how echo is told which proxies to trust; nothing stands for its default, which are all private networks.
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

// guesserAt is who is taken for one at a client's address, as echo's IPExtractor gives it: the address itself, and of
// IPv6 the network.
func guesserAt(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{} // they are limited together
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = ipv6Site
	}
	network, _ := addr.Prefix(bits) // the length fits the address
	return network
}

// secretOf takes the API key from the header apiKey, or else from Authorization. Where one of them is there twice,
// whoever stands before this service may have looked at the other, and none counts. A key in the query string would
// end up in logs, and is not looked for.
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
