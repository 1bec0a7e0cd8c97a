package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

// countedKeys counts the look-ups of keys in the database.
type countedKeys struct {
	api.Keys
	lookups atomic.Int64
}

func (k *countedKeys) KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error) {
	k.lookups.Add(1)
	return k.Keys.KeysByHash(ctx, hashes)
}

// newLimitedWorld returns a world with a rate limit that is low enough for a test to reach.
func newLimitedWorld(t *testing.T) (*world, *countedKeys) {
	t.Helper()
	keys := &countedKeys{}
	w := newWorld(t, func(o *api.Options, _ *httptest.Server) {
		keys.Keys = o.Keys
		o.Keys, o.RateLimit = keys, 4
	})
	return w, keys
}

// callFrom sends a request with a key from a client's address, which a trusted proxy has forwarded.
func (w *world) callFrom(address, key string) answer {
	w.t.Helper()
	return w.call(http.MethodGet, "/revocations", "", "apiKey", "", "apiKey", key, "X-Forwarded-For", address)
}

// exhaust sends unknown keys from an address until it is limited.
func (w *world) exhaust(address string) (limited answer) {
	w.t.Helper()
	for n := 0; limited.status != http.StatusTooManyRequests; n++ {
		if n == 1000 {
			w.t.Fatal("guesses are not limited")
		}
		if limited = w.callFrom(address, fmt.Sprint("guess", n)); limited.status != http.StatusTooManyRequests {
			limited.want(w.t, http.StatusUnauthorized, "unauthorized")
		}
	}
	return limited
}

func TestGuessedKeys(t *testing.T) {
	t.Run("are limited for each address, with a time to try again", func(t *testing.T) {
		w, _ := newLimitedWorld(t)
		limited := w.exhaust("198.51.100.1")
		limited.want(t, http.StatusTooManyRequests, "rate_limited")
		golden(t, "problem_too_many_guesses", limited.body)
		got := map[string]string{}
		for _, name := range []string{"Retry-After", "RateLimit-Policy", "RateLimit", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "WWW-Authenticate"} {
			got[name] = limited.header.Get(name)
		}
		want := map[string]string{
			"Retry-After": "1", "RateLimit-Policy": `"unknown-keys";q=4;w=1`, "RateLimit": `"unknown-keys";r=0;t=1`,
			"RateLimit-Limit": "4", "RateLimit-Remaining": "0", "RateLimit-Reset": "1", "WWW-Authenticate": "",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		w.callFrom("198.51.100.2", "guess").want(t, http.StatusUnauthorized, "unauthorized")
	})
	t.Run("do not limit a key that is in use at the same address", func(t *testing.T) {
		w, _ := newLimitedWorld(t)
		w.callFrom("198.51.100.1", otherSecret).want(t, http.StatusOK, "")
		w.exhaust("198.51.100.1")
		eventually(t, "admitted", func() bool { // the key's own limit applies
			a := w.callFrom("198.51.100.1", otherSecret)
			if a.status == http.StatusTooManyRequests && a.header.Get("RateLimit-Policy") != `"default";q=4;w=1` {
				t.Fatalf("limited as a guesser: %v", a.header)
			}
			return a.status == http.StatusOK
		})
	})
	t.Run("do not limit a key that is used for the first time at the same address", func(t *testing.T) {
		w, _ := newLimitedWorld(t)
		for i := range 20 {
			w.exhaust("198.51.100.1")
			key := fmt.Sprint("rescind_fresh_", i)
			w.addKey("acme", key, time.Time{}, revocation.Scopes...)
			w.callFrom("198.51.100.1", key).want(t, http.StatusOK, "")
		}
	})
	t.Run("share statements of the database", func(t *testing.T) {
		w, keys := newLimitedWorld(t)
		var requests sync.WaitGroup
		for i := range 500 {
			requests.Go(func() { w.callFrom("198.51.100.1", fmt.Sprint("guess", i)) })
		}
		requests.Wait()
		if n := keys.lookups.Load(); n < 1 || n >= 500 {
			t.Errorf("%d statements for 500 concurrent guesses", n)
		}
	})
	t.Run("valid keys do not count as guesses", func(t *testing.T) {
		w, _ := newLimitedWorld(t)
		for i := range 50 {
			key := fmt.Sprint("rescind_of_many_", i)
			w.addKey("acme", key, time.Time{}, revocation.Scopes...)
			w.callFrom("198.51.100.1", key).want(t, http.StatusOK, "")
		}
	})
	t.Run("requests without a key need no look-up", func(t *testing.T) {
		w, keys := newLimitedWorld(t)
		for range 50 {
			w.callFrom("198.51.100.1", "").want(t, http.StatusUnauthorized, "unauthorized")
		}
		if n := keys.lookups.Load(); n != 0 {
			t.Errorf("%d look-ups", n)
		}
	})
	t.Run("are unavailable while the database is unavailable", func(t *testing.T) {
		w, _ := newLimitedWorld(t)
		w.faults.keys.Store(&revocation.Error{Code: revocation.CodeConnectionLost})
		for i := range 50 {
			w.callFrom("198.51.100.1", fmt.Sprint("guess", i)).want(t, http.StatusServiceUnavailable, "unavailable")
		}
	})
}

func TestGuessedKeys_addresses(t *testing.T) {
	for name, c := range map[string]struct {
		first, second string
		together      bool
	}{
		"one network of IPv6":                    {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		"two networks of IPv6":                   {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		"what the caller put before":             {"203.0.113.1, 198.51.100.1", "203.0.113.2, 198.51.100.1", true},
		"a chain of proxies in private nets":     {"198.51.100.1, 10.0.0.9", "198.51.100.2, 10.0.0.9", false},
		"no address":                             {"nonsense", "nonsense, 198.51.100.2, nonsense", true},
		"a mapped address, and the same as IPv4": {"::ffff:198.51.100.1", "198.51.100.1", true},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newLimitedWorld(t)
			w.exhaust(c.first)
			// Exhaust the first address again, so that its limit has not refilled when the second address is checked.
			together := false
			eventually(t, "both are asked for at one time", func() bool {
				before, second, after := w.callFrom(c.first, "guess"), w.callFrom(c.second, "guess"), w.callFrom(c.first, "guess")
				together = second.status == http.StatusTooManyRequests
				return before.status == http.StatusTooManyRequests && after.status == http.StatusTooManyRequests
			})
			if together != c.together {
				t.Errorf("limited together: %v, want %v", together, c.together)
			}
		})
	}
}
