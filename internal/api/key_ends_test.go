package api_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// keyEnds is far longer than a revoked key may stay valid, which is 5 s.
const keyEnds = 30 * time.Second

// TestRevokedKey_openRequests revokes keys while their requests are running.
func TestRevokedKey_openRequests(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	w := newWorld(t)
	w.queue.hold()
	job := w.job(w.manyItems(3 * revocation.ChunkSize)...)
	path := "/jobs/" + job.ID.String()
	newKey := func(secret string) (revoke func()) {
		id := w.addKey("acme", secret, time.Time{}, revocation.Scopes...)
		return func() { w.must(w.store.RevokeKey(t.Context(), "acme", id)) }
	}
	unknown := func(t *testing.T, secret string) {
		t.Helper()
		eventually(t, "the key is unknown", func() bool {
			return w.call(http.MethodGet, "/revocations", "", "apiKey", "", "apiKey", secret).status == http.StatusUnauthorized
		})
	}
	t.Run("events end", func(t *testing.T) {
		const secret = "rescind_a-key-that-follows"
		revoke := newKey(secret)
		next := events(t, w.open(path+"/events", "apiKey", secret).body)
		next()
		revoke()
		revoked := time.Now()
		for e, ok := next(); ok; e, ok = next() {
			if e.name != "progress" || time.Since(revoked) > keyEnds {
				t.Fatalf("after %v: %+v", time.Since(revoked), e)
			}
		}
	})
	t.Run("a stream of results breaks off", func(t *testing.T) {
		const secret = "rescind_a-key-that-reads-all"
		revoke := newKey(secret)
		ended := sync.OnceFunc(func() {
			revoke()
			unknown(t, secret)
		})
		w.faults.beforeResults.Store(new(func(f revocation.ResultFilter) {
			if f.After > 0 {
				ended()
			}
		}))
		defer w.faults.beforeResults.Store(nil)
		if _, err := io.ReadAll(w.open(path+"/results", "Accept", "text/csv", "apiKey", secret).body); err == nil {
			t.Error("the stream did not break")
		}
	})
	t.Run("a wait is not answered", func(t *testing.T) {
		const secret = "rescind_a-key-that-waits"
		revoke := newKey(secret)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			a := w.call(http.MethodGet, path, "", "Prefer", "wait=30", "apiKey", "", "apiKey", secret)
			if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
		eventually(t, "it waits", func() bool { return strings.Contains(goroutines(t), "(*Service).poll(") })
		revoke()
		unknown(t, secret)
		w.queue.release()
		waiting.Wait()
	})
}
