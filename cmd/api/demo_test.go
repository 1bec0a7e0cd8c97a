package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"rescind/internal/testservers"
)

// serveEmbedded starts a standalone process without --demo.
func serveEmbedded(t *testing.T, dir, addr string, settings ...string) *running {
	t.Helper()
	env := append([]string{fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", testservers.FreePort(t))}, settings...)
	r := start(t, env, programs.api, "standalone", "--addr", addr, "--data", dir)
	until(t, "standalone is ready", func() bool { return strings.Contains(r.stdout(), "ready at http://") })
	return r
}

func TestDemoKey(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	t.Run("is refused in a process without --demo, and accepted again with it", func(t *testing.T) {
		dir := t.TempDir()
		e := startEmbedded(t, dir)
		if a := e.must(http.MethodGet, "/revocations", "", ""); a.code != 200 {
			t.Fatalf("with --demo: %d %v", a.code, a.body)
		}
		e.terminate()
		addr := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t))
		plain := serveEmbedded(t, dir, addr)
		own := client{t, "http://" + addr, strings.TrimSpace(mustCommand(t, nil, "", "key", "create", "--account", "demo", "--data", dir))}
		if a := own.must(http.MethodGet, "/revocations", "", ""); a.code != 200 {
			t.Errorf("a key of the same account: %d %v", a.code, a.body)
		}
		if a := (client{t, own.url, "demo"}).must(http.MethodGet, "/revocations", "", ""); a.code != 401 || a.str("code") != "unauthorized" {
			t.Errorf("without --demo: %d %v", a.code, a.body)
		}
		plain.terminate()
		if a := startEmbedded(t, dir).revoke(318, false, ""); a.code != 200 {
			t.Errorf("with --demo again: %d %v", a.code, a.body)
		}
	})
	t.Run("is not created for an address that other machines can reach", func(t *testing.T) {
		dir := t.TempDir()
		for _, settings := range [][]string{
			{"--addr", "0.0.0.0:0"},
			{"--addr", ":0"},
			{"--addr", "[::]:0"},
			{"--addr", net.JoinHostPort(ownAddress(t), "0")},
		} {
			_, stderr, exit := command(t, nil, "", append([]string{"standalone", "--demo", "--data", dir}, settings...)...)
			if exit != 1 || !strings.Contains(stderr, "--demo uses a public key") || !strings.Contains(stderr, "127.0.0.1:8080") {
				t.Errorf("%v: exit %d: %s", settings, exit, stderr)
			}
		}
		_, stderr, exit := command(t, []string{"HTTP_ADDR=:0"}, "", "standalone", "--demo", "--data", dir)
		if exit != 1 || !strings.Contains(stderr, "--demo uses a public key") {
			t.Errorf("by HTTP_ADDR: exit %d: %s", exit, stderr)
		}
		if list := mustCommand(t, nil, "", "account", "list", "--data", dir); strings.Contains(list, "demo") {
			t.Errorf("it was loaded: %s", list)
		}
	})
}

// ownAddress returns an address of this machine that is not a loopback address, or the unspecified address.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if network, ok := addr.(*net.IPNet); ok && !network.IP.IsLoopback() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	return "0.0.0.0"
}
