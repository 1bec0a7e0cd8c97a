package queue_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rescind/internal/queue"
	"rescind/internal/testservers"
)

func TestNewRedis(t *testing.T) {
	t.Run("an invalid URL is refused, and the error does not quote it", func(t *testing.T) {
		for _, raw := range []string{
			"",
			"s3cret",
			"http://u:s3cret@127.0.0.1:6379",
			"unix://u:s3cret@/run/redis.sock",
			"redis://u:s3cret%zz@127.0.0.1:6379",
			"redis://u:s3cret@127.0.0.1:port",
			"redis://u:s3cret@127.0.0.1:6379/s3cret",
			"redis://u:s3cret@127.0.0.1:6379?s3cret=1",
			"redis-sentinel://u:s3cret@h1,h2",
			"redis-sentinel://u:s3cret@h1,,h2/main",
			"redis-sentinel://u:s3cret@/main",
			"redis-sentinel://u:s3cret%zz@h1/main",
			"redis-sentinel://u:s3cret@h1/main/s3cret",
			"redis-sentinel://u:s3cret@h1/main/1/2",
			"redis-sentinel://u:s3cret@h1/1/2?master=main",
			"redis-sentinel://u:s3cret@h1/main/-1",
			"redis-sentinel://u:s3cret@h1/main#s3cret",
			"redis-sentinel://u:s3cret@h1/main?db=%zz",
		} {
			client, err := queue.NewRedis(raw)
			if err == nil {
				_ = client.Close()
				t.Errorf("%s was accepted", raw)
			} else if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "h1") {
				t.Errorf("%s: the error quotes the URL: %v", raw, err)
			}
		}
	})
	t.Run("rediss uses TLS", func(t *testing.T) {
		if o := connect(t, "rediss://127.0.0.1:6379/3").Options(); o.TLSConfig == nil || o.DB != 3 {
			t.Errorf("TLS %v, database %d", o.TLSConfig != nil, o.DB)
		}
	})
	t.Run("the master is found through a Sentinel", func(t *testing.T) {
		sentinel := startSentinel(t, testservers.Redis(t), "main")
		for _, raw := range []string{
			"redis-sentinel://" + sentinel + "/main",
			"redis-sentinel://127.0.0.1:1," + sentinel + "/main/2",
			"redis-sentinel://" + sentinel + "/2?master=main",
			"redis-sentinel://" + sentinel + "?master=main",
		} {
			r := connect(t, raw)
			if err := queue.NewClient(r).Ready(t.Context()); err != nil {
				t.Errorf("%s: %v", raw, err)
			}
			if want := strings.Contains(raw, "/2") || strings.HasSuffix(raw, "/main/2"); (r.Options().DB == 2) != want {
				t.Errorf("%s: database %d", raw, r.Options().DB)
			}
		}
	})
}

// startSentinel starts a Sentinel that watches the Redis at masterURL, and returns its address.
func startSentinel(t *testing.T, masterURL, name string) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	master, err := url.Parse(masterURL)
	if err != nil {
		t.Fatal(err)
	}
	port := testservers.FreePort(t)
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\nsentinel monitor %s %s %s 1\n",
		port, filepath.Dir(config), name, master.Hostname(), master.Port())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, config, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	// A Sentinel refuses writes, so Client.Ready cannot be used.
	sentinel := connect(t, "redis://"+address)
	until(t, "the Sentinel answers", func() bool { return sentinel.Ping(t.Context()).Err() == nil })
	return address
}
