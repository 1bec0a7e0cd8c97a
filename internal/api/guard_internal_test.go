package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"rescind/internal/revocation"
)

// keyTable is an in-memory table of keys that counts its look-ups.
type keyTable struct {
	lookups atomic.Int32
	mu      sync.Mutex
	err     error
	slow    time.Duration
	keys    map[revocation.SecretHash]revocation.APIKey
}

func (k *keyTable) KeysByHash(ctx context.Context, hashes []revocation.SecretHash) (found []revocation.APIKey, err error) {
	k.lookups.Add(1)
	select {
	case <-time.After(k.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, hash := range hashes {
		if key, ok := k.keys[hash]; ok {
			found = append(found, key)
		}
	}
	return found, k.err
}

func (k *keyTable) change(do func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	do()
}

func TestKeyring(t *testing.T) {
	const secret = "rescind_secret"
	hash := revocation.HashSecret(secret)
	run := func(name string, do func(t *testing.T, table *keyTable, ring *keyring, found func() bool)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := &keyTable{keys: map[revocation.SecretHash]revocation.APIKey{hash: {Account: "acme", Hash: hash}}}
				ring := newKeyring(table)
				do(t, table, ring, func() bool {
					key, err := ring.find(hash)
					if err != nil {
						t.Fatal(err)
					}
					return key != nil
				})
			})
		})
	}
	run("shares one look-up for 3 s among all callers", func(t *testing.T, table *keyTable, _ *keyring, found func() bool) {
		table.slow = 10 * time.Millisecond
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if !found() {
					t.Error("not found")
				}
			})
		}
		callers.Wait()
		time.Sleep(2900 * time.Millisecond)
		found()
		if n := table.lookups.Load(); n != 1 {
			t.Errorf("%d look-ups", n)
		}
	})
	run("a revocation takes effect within 5 s, even if the look-up is slow", func(t *testing.T, table *keyTable, _ *keyring, found func() bool) {
		table.slow = 1900 * time.Millisecond
		found()
		table.change(func() {
			table.keys[hash] = revocation.APIKey{Account: "acme", Hash: hash, RevokedAt: time.Now()}
		})
		time.Sleep(3 * time.Second)
		if found() {
			t.Error("the key is still valid")
		}
	})
	run("an expiry takes effect at once", func(t *testing.T, table *keyTable, _ *keyring, found func() bool) {
		table.keys[hash] = revocation.APIKey{Account: "acme", Hash: hash, ExpiresAt: time.Now().Add(time.Second)}
		if !found() {
			t.Error("the key is not valid")
		}
		time.Sleep(time.Second)
		if found() {
			t.Error("the key is still valid")
		}
	})
	run("a deleted key leaves the cache", func(t *testing.T, table *keyTable, ring *keyring, found func() bool) {
		found()
		table.change(func() { delete(table.keys, hash) })
		time.Sleep(4 * time.Second)
		if found() || len(ring.known) != 0 {
			t.Errorf("%d known", len(ring.known))
		}
	})
	run("unknown keys are not cached", func(t *testing.T, table *keyTable, ring *keyring, _ func() bool) {
		for i := range 3 {
			if key, err := ring.find(revocation.HashSecret(fmt.Sprint("guess", i/2))); key != nil || err != nil {
				t.Error(key, err)
			}
		}
		if len(ring.known) != 0 || table.lookups.Load() != 3 {
			t.Errorf("%d known, %d look-ups", len(ring.known), table.lookups.Load())
		}
	})
	run("a key with another hash is not valid", func(t *testing.T, table *keyTable, _ *keyring, found func() bool) {
		table.keys[hash] = revocation.APIKey{Account: "acme", Hash: revocation.HashSecret("another")}
		if found() {
			t.Error("the key is valid")
		}
	})
	run("while the database is unavailable, only cached keys are valid", func(t *testing.T, table *keyTable, ring *keyring, found func() bool) {
		found()
		table.change(func() { table.err = &revocation.Error{Code: revocation.CodeConnectionLost} })
		time.Sleep(2 * time.Second)
		if !found() {
			t.Error("the cached key is not valid")
		}
		time.Sleep(2 * time.Second)
		if _, err := ring.find(hash); revocation.ErrorCode(err) != revocation.CodeConnectionLost {
			t.Error(err)
		}
	})
	run("a look-up that hangs times out", func(t *testing.T, table *keyTable, ring *keyring, _ func() bool) {
		table.slow = time.Hour
		if _, err := ring.find(hash); revocation.ErrorCode(err) != revocation.CodeUnavailable {
			t.Error(err)
		}
	})
	run("guesses share statements and do not delay a valid key", func(t *testing.T, table *keyTable, ring *keyring, found func() bool) {
		table.slow = 10 * time.Millisecond
		var guessing sync.WaitGroup
		for i := range 800 {
			guessing.Go(func() {
				if key, err := ring.find(revocation.HashSecret(fmt.Sprint("guess", i))); key != nil || err != nil {
					t.Error(key, err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if !found() {
			t.Error("not found")
		}
		if took := time.Since(began); took > 2*table.slow {
			t.Errorf("it was found after %v", took)
		}
		guessing.Wait()
		if n := table.lookups.Load(); n > 2 {
			t.Errorf("%d statements", n)
		}
	})
	run("more guesses than can wait are refused, but a known key is not", func(t *testing.T, table *keyTable, ring *keyring, found func() bool) {
		found()
		time.Sleep(keyFreshness + 1)
		table.slow = time.Second
		var refused atomic.Int64
		var guessing sync.WaitGroup
		for i := range maxUnknown + 100 {
			guessing.Go(func() {
				if _, err := ring.find(revocation.HashSecret(fmt.Sprint("guess", i))); revocation.ErrorCode(err) == revocation.CodeUnavailable {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := refused.Load(); n != 100 {
			t.Errorf("%d were refused at once", n)
		}
		guessing.Wait()
		if !found() || ring.unknown.Load() != 0 {
			t.Errorf("%d wait", ring.unknown.Load())
		}
	})
	run("the cache is bounded", func(t *testing.T, _ *keyTable, ring *keyring, found func() bool) {
		for i := range maxCachedKeys + 10 {
			ring.keep(revocation.HashSecret(fmt.Sprint(i)), knownKey{})
		}
		if len(ring.known) != maxCachedKeys || !found() {
			t.Errorf("%d known", len(ring.known))
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits[revocation.ID]("default", 10)
		take := func(key revocation.ID) (state string, limited *problem) {
			h := map[string][]string{}
			left, ok := l.take(key)
			if l.setHeaders(h, left); !ok {
				limited = l.refuse(h, left)
			}
			return h["RateLimit"][0], limited
		}
		a, b := revocation.ID{1}, revocation.ID{2}
		var states []string
		for range 10 {
			state, limited := take(a)
			if limited != nil {
				t.Fatal("limited within its burst")
			}
			states = append(states, state)
		}
		want := []string{}
		for left := 9; left >= 0; left-- {
			want = append(want, fmt.Sprintf(`"default";r=%d;t=1`, left))
		}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Error(diff)
		}
		if state, limited := take(a); limited == nil || limited.retryAfter != 1 || state != `"default";r=0;t=1` {
			t.Errorf("%s %+v", state, limited)
		}
		if _, limited := take(b); limited != nil {
			t.Error("the limits are not independent")
		}
		time.Sleep(time.Second / 10)
		if _, limited := take(a); limited != nil {
			t.Error("the bucket did not refill")
		}
		if _, limited := take(a); limited == nil {
			t.Error("the bucket refilled too fast")
		}
		time.Sleep(time.Minute)
		if left, _ := l.take(b); left != 9 {
			t.Errorf("%f are left, want 9: the bucket overflowed", left)
		}
		time.Sleep(time.Second)
		_, _ = take(revocation.ID{3})
		if len(l.buckets) != 2 {
			t.Errorf("%d buckets: the idle one was not swept", len(l.buckets))
		}
		for i := range maxBuckets + 10 {
			l.take(revocation.ID{4, byte(i), byte(i >> 8), byte(i >> 16)})
		}
		if len(l.buckets) > maxBuckets {
			t.Errorf("%d buckets", len(l.buckets))
		}
	})
}

func TestClientNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":                 "192.0.2.7/32",
		"::ffff:192.0.2.7":          "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6":      "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff:ffff::1": "2001:db8:1:2::/64",
		"fe80::1%eth0":              "fe80::/64",
		"":                          netip.Prefix{}.String(),
		"@":                         netip.Prefix{}.String(),
	} {
		if got := clientNetwork(address).String(); got != want {
			t.Errorf("%q: %s, want %s", address, got, want)
		}
	}
}

// TestTrust checks which address is the client's.
func TestTrust(t *testing.T) {
	for name, c := range map[string]struct {
		proxies      []netip.Prefix
		from, header string
		want         string
	}{
		"private by default":       {nil, "10.1.2.3:80", "198.51.100.1", "198.51.100.1"},
		"not others by default":    {nil, "192.0.2.1:80", "198.51.100.1", "192.0.2.1"},
		"a proxy that is named":    {[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, "192.0.2.1:80", "198.51.100.1", "198.51.100.1"},
		"of IPv6":                  {[]netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}, "[2001:db8::1]:80", "198.51.100.1", "198.51.100.1"},
		"private ones are not now": {[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, "10.1.2.3:80", "198.51.100.1", "10.1.2.3"},
		"nor loopback":             {[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, "127.0.0.1:80", "198.51.100.1", "127.0.0.1"},
		"the last that is no proxy": {
			[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, "192.0.2.1:80", "203.0.113.9, 10.0.0.1, 192.0.2.7", "10.0.0.1",
		},
	} {
		r := &http.Request{RemoteAddr: c.from, Header: http.Header{"X-Forwarded-For": {c.header}}}
		if got := echo.ExtractIPFromXFFHeader(trust(c.proxies)...)(r); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
