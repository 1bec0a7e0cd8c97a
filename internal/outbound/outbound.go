// Package outbound keeps the connections that the service opens to addresses given by others away from where they must
// not lead. A name is resolved before a rule sees it, so it does not matter how the address was written.
package outbound

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

// ErrRefused is why a rule kept a connection from being opened. It holds no address.
var ErrRefused = errors.New("connections to this address are refused")

// Rule reports whether an address may be connected to. It is asked about every address that an IPv6 address stands
// for as well: see Allows.
type Rule func(netip.Addr) bool

// Control is a net.Dialer's ControlContext: it asks the rule about the address that is about to be connected to.
func (r Rule) Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	resolved, err := netip.ParseAddrPort(address)
	if err != nil || !r.Allows(resolved.Addr()) {
		return ErrRefused
	}
	return nil
}

// Allows reports whether the rule allows an address and every IPv4 address that a translator or a tunnel would make of
// it.
func (r Rule) Allows(addr netip.Addr) bool {
	return !slices.ContainsFunc(forms(addr.WithZone("")), func(form netip.Addr) bool { return !r(form) })
}

// NotLinkLocal allows all but link-local addresses and those where clouds serve an instance's metadata and credentials.
func NotLinkLocal(addr netip.Addr) bool {
	return !addr.IsLinkLocalUnicast() && !addr.IsLinkLocalMulticast() &&
		!slices.ContainsFunc(metadata, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// Loopback allows this machine alone.
func Loopback(addr netip.Addr) bool { return addr.IsLoopback() }

// metadata are the addresses of metadata services that are not link-local.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::/32"),      // Amazon
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
}

var (
	compatible = netip.MustParsePrefix("::/96")          // RFC 4291, section 2.5.5.1
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")      // RFC 4380
)

// forms are the addresses that addr stands for: itself, without its mapping of IPv4, and the IPv4 addresses that are
// embedded in it. Networks may have NAT64 prefixes of their own, which nobody else can know.
func forms(addr netip.Addr) []netip.Addr {
	all := []netip.Addr{addr.Unmap()}
	if !all[0].Is6() {
		return all
	}
	b := addr.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case compatible.Contains(addr) && !addr.IsLoopback() && !addr.IsUnspecified(), nat64.Contains(addr):
		all = append(all, last)
	case localNAT64.Contains(addr):
		// Its operator chooses where in it the address stands: RFC 6052, section 2.2.
		all = append(all, last, netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}),
			netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}), netip.AddrFrom4([4]byte(b[9:13])))
	case sixToFour.Contains(addr):
		all = append(all, netip.AddrFrom4([4]byte(b[2:6])))
	case teredo.Contains(addr):
		all = append(all, netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	return all
}
