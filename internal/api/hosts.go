package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts are the host names that a listener answers to. The zero value answers to this machine's names and to
// addresses.
//
// A web page whose name an attacker resolves to 127.0.0.1 can send requests to whatever listens there, and the browser
// lets the page read the answers. It names its own host in each request, so a listener on loopback refuses what it
// does not know. An attacker cannot own an address or localhost.
type Hosts struct {
	any   bool
	names []string
}

// HostsOf returns the hosts for a listener with this address: any, unless it is on loopback. Names, of which allowed
// are added there, are compared without case.
func HostsOf(listener net.Addr, allowed []string) Hosts {
	tcp, ok := listener.(*net.TCPAddr)
	return Hosts{any: ok && !tcp.IP.IsLoopback(), names: allowed}
}

// answers reports whether a request with this header Host, which may have a port, is answered. One without it, which
// only HTTP/1.0 allows, is: no browser sends it, and simple health checks do.
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

// ForOperators is what stands around all handlers of the operators' address. It answers to hosts alone, and to no page
// of another site, because every GET there costs something and a browser sends one without being asked. It gives every
// answer, errors too, the headers that keep a browser from making anything of it; a page that needs more sets its own
// policy.
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
			http.Error(w, "pages of other sites are not answered here; enter the address by hand", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
