package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"rescind/internal/testservers"
)

// askAs sends a GET with a header Host and others, and returns the answer with its body.
func askAs(t *testing.T, url, host string, header ...string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestAllowedHosts sends the headers of a browser that shows a page from a name that resolves to this machine, to both
// addresses of a process.
func TestAllowedHosts(t *testing.T) {
	needPrograms(t)
	public, admin := testservers.FreePort(t), testservers.FreePort(t)
	r := start(t, []string{fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin), "ALLOWED_HOSTS=rescind.example.com, other.example.com"},
		programs.api, "standalone", "--demo", "--addr", fmt.Sprintf("127.0.0.1:%d", public), "--data", t.TempDir())
	until(t, "standalone is ready", func() bool { return strings.Contains(r.stdout(), "ready at") })
	for port, paths := range map[int][]string{
		public: {"/healthz", "/revocations", "/docs", "/nonsense"},
		admin:  {"/healthz", "/metrics", "/debug/pprof/heap", "/queues", "/nonsense"},
	} {
		for _, path := range paths {
			url := fmt.Sprintf("http://127.0.0.1:%d%s", port, path)
			want, _ := askAs(t, url, "", "apiKey", "demo")
			for _, host := range []string{"localhost", "127.0.0.1", fmt.Sprintf("LOCALHOST:%d", port), "[::1]:80", "192.0.2.1", "rescind.example.com", "Other.Example.com:443"} {
				if status, body := askAs(t, url, host, "apiKey", "demo"); status != want {
					t.Errorf("%s as %s: %d %s, want %d", url, host, status, body, want)
				}
			}
			for _, host := range []string{"evil.example", fmt.Sprintf("evil.example:%d", port), "localhost.evil.example", "127.0.0.1.evil.example", "example.com", "xlocalhost"} {
				if status, body := askAs(t, url, host, "apiKey", "demo"); status != 403 || !strings.Contains(body, `"code":"host_not_allowed"`) || strings.Contains(body, "evil") {
					t.Errorf("%s as %s: %d %s", url, host, status, body)
				}
			}
		}
	}
	t.Run("other sites' pages do not reach the operators' address", func(t *testing.T) {
		for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200} {
			for _, path := range []string{"/metrics", "/debug/pprof/heap", "/queues"} {
				if status, body := askAs(t, fmt.Sprintf("http://127.0.0.1:%d%s", admin, path), "", "Sec-Fetch-Site", site); status != want {
					t.Errorf("%s, %s: %d %s", path, site, status, body)
				}
			}
		}
	})
}

// TestAllowedHosts_elsewhere checks that a listener that is not on loopback accepts every name, because proxies and the
// health checks of a cluster use their own names.
func TestAllowedHosts_elsewhere(t *testing.T) {
	needPrograms(t)
	public, admin := testservers.FreePort(t), testservers.FreePort(t)
	serveEmbedded(t, t.TempDir(), fmt.Sprintf(":%d", public), fmt.Sprintf("ADMIN_ADDR=0.0.0.0:%d", admin))
	for _, port := range []int{public, admin} {
		url := "http://" + net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) + "/readyz"
		for _, host := range []string{"rescind.example.com", "api.rescind.svc:8080", "localhost"} {
			if status, body := askAs(t, url, host); status != 200 {
				t.Errorf("%s as %s: %d %s", url, host, status, body)
			}
		}
	}
}
