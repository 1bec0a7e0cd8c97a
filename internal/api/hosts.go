package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts are the host names that a listener serves. The zero value serves localhost and all IP addresses.
//
// An attacker can resolve the name of a web page to 127.0.0.1. The page can then send requests to every service there,
// and the browser lets it read the responses. Each request names the page's host, so a listener on loopback refuses
// unknown names. An attacker cannot own an IP address or localhost.
type Hosts struct {
	any   bool
	names []string
}

// HostsOf returns the hosts of a listener with this address: all, unless it listens on loopback. There it serves
// localhost, IP addresses and the allowed names, which are compared without case.
func HostsOf(listener net.Addr, allowed []string) Hosts {
	tcp, ok := listener.(*net.TCPAddr)
	return Hosts{any: ok && !tcp.IP.IsLoopback(), names: allowed}
}

// answers reports whether the listener serves requests with this header Host, which may have a port. It serves requests
// without a Host, which only HTTP/1.0 allows: browsers do not send them, but simple health checks do.
func (h Hosts) answers(host string) bool {
	if h.any || host == "" {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return true
	}
	for _, name := range h.names {
		if strings.EqualFold(host, strings.TrimSuffix(name, ".")) {
			return true
		}
	}
	return false
}

// ForOperators wraps the handlers of the operators' address. It serves only hosts, and refuses requests from pages of
// other sites: every GET there costs something, and any page can make a browser send one. It sets headers on every
// response, also on errors, that stop a browser from running or embedding it. A page that needs more sets its own
// Content-Security-Policy.
func ForOperators(hosts Hosts, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"] = noSniff
		h["Cache-Control"] = noStore
		h["Content-Security-Policy"] = noContent
		h["Referrer-Policy"] = noReferrer
		if !hosts.answers(r.Host) {
			p := newProblem(codeHostNotAllowed)
			setAdminHeaders(w, p.Status, mediaProblem, p.body())
			return
		}
		switch r.Header.Get("Sec-Fetch-Site") {
		case "cross-site", "same-site":
			http.Error(w, "requests from pages of other sites are refused; enter the address by hand", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
