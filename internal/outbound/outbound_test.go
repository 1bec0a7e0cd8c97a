package outbound_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"rescind/internal/outbound"
)

func TestNotLinkLocal(t *testing.T) {
	rule := outbound.Rule(outbound.NotLinkLocal)
	for _, addr := range []string{
		"169.254.169.254", "169.254.0.1", "169.254.170.2", "224.0.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "ff02::1",
		"168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
		"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0",
		"2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "2001::5601:5601", "64:ff9b::168.63.129.16",
	} {
		if rule.Allows(netip.MustParseAddr(addr)) {
			t.Errorf("%s is allowed", addr)
		}
		if err := rule.Control(t.Context(), "tcp", net.JoinHostPort(addr, "443"), nil); !errors.Is(err, outbound.ErrRefused) {
			t.Errorf("%s is connected to: %v", addr, err)
		}
	}
	for _, addr := range []string{
		"127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "192.168.1.1", "fd00::1", "192.0.2.1", "2001:db8::1", "169.253.255.255", "169.255.0.0",
		"64:ff9b::192.0.2.1", "64:ff9b:1::c000:201", "2002:c000:201::1", "fec0::1", "100.100.100.201",
	} {
		if !rule.Allows(netip.MustParseAddr(addr)) {
			t.Errorf("%s is refused", addr)
		}
		if err := rule.Control(t.Context(), "tcp", net.JoinHostPort(addr, "443"), nil); err != nil {
			t.Errorf("%s is not connected to: %v", addr, err)
		}
	}
	if err := rule.Control(t.Context(), "tcp", "nonsense", nil); !errors.Is(err, outbound.ErrRefused) {
		t.Errorf("an invalid address: %v", err)
	}
}

func TestLoopback(t *testing.T) {
	rule := outbound.Rule(outbound.Loopback)
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.10": true, "::1": true, "::ffff:127.0.0.1": true,
		"0.0.0.0": false, "::": false, "192.0.2.1": false, "10.0.0.1": false, "64:ff9b::127.0.0.1": false,
	} {
		if got := rule.Allows(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
}

// TestRule_Control opens real connections, because the rule must apply to the resolved address of any name.
func TestRule_Control(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	refusing := outbound.Rule(func(addr netip.Addr) bool { return !addr.IsLoopback() })
	for _, host := range []string{"localhost", "127.0.0.1"} {
		dialer := net.Dialer{ControlContext: refusing.Control}
		if conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port)); !errors.Is(err, outbound.ErrRefused) {
			t.Errorf("%s: %v, %v", host, conn, err)
		}
		dialer.ControlContext = outbound.Rule(outbound.NotLinkLocal).Control
		conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = conn.Close()
	}
}
