// Package outbound restricts the addresses that the service connects to when someone else chose the URL. A rule is applied
// to the resolved IP address, so the spelling of the URL does not matter.
package outbound

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

// ErrRefused is the error of a connection that a rule does not allow. Its text contains no address.
var ErrRefused = errors.New("connections to this address are refused")

// Rule reports whether the service may connect to an address. Use Allows to apply it also to the IPv4 addresses that are
// embedded in an IPv6 address.
type Rule func(netip.Addr) bool

// Control returns ErrRefused if the rule does not allow the address of a connection that is about to be opened. It is the
// ControlContext of a net.Dialer.
func (r Rule) Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	resolved, err := netip.ParseAddrPort(address)
	if err != nil || !r.Allows(resolved.Addr()) {
		return ErrRefused
	}
	return nil
}

// Allows reports whether the rule allows an address and every IPv4 address that a translator or a tunnel would derive from
// it.
func (r Rule) Allows(addr netip.Addr) bool {
	return !slices.ContainsFunc(forms(addr.WithZone("")), func(form netip.Addr) bool { return !r(form) })
}

// NotLinkLocal is a Rule. It allows all addresses except link-local ones and those of the clouds' metadata services, which
// hand out credentials.
func NotLinkLocal(addr netip.Addr) bool {
	return !addr.IsLinkLocalUnicast() && !addr.IsLinkLocalMulticast() &&
		!slices.ContainsFunc(metadata, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// Loopback is a Rule. It allows loopback addresses only.
func Loopback(addr netip.Addr) bool { return addr.IsLoopback() }

// metadata lists the metadata services whose addresses are not link-local.
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

// forms returns the addresses that addr can lead to: addr itself, as IPv4 if it is IPv4-mapped, and the IPv4 addresses that
// are embedded in it. A network's own NAT64 prefix is not known here and not covered.
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
		// The network's operator chooses the position of the IPv4 address: RFC 6052, section 2.2.
		all = append(all, last, netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}),
			netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}), netip.AddrFrom4([4]byte(b[9:13])))
	case sixToFour.Contains(addr):
		all = append(all, netip.AddrFrom4([4]byte(b[2:6])))
	case teredo.Contains(addr):
		all = append(all, netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	return all
}
