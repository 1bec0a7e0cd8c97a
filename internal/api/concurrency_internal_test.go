package api

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

func TestSlots(t *testing.T) {
	acquire := func(t *testing.T, s *slots[string], key string) (release func()) {
		t.Helper()
		release, refused := s.acquire(key)
		if refused != nil {
			t.Fatalf("%s: %v", key, refused)
		}
		return release
	}
	refuses := func(t *testing.T, s *slots[string], key string, code revocation.Code) *problem {
		t.Helper()
		release, refused := s.acquire(key)
		if refused == nil || release != nil || refused.Code != code || refused.retryAfter < 1 {
			t.Fatalf("%s: %+v, want %s with a Retry-After", key, refused, code)
		}
		return refused
	}
	t.Run("limits each key", func(t *testing.T) {
		s := newSlots[string]("reads", 2, 100)
		acquire(t, s, "acme")
		release := acquire(t, s, "acme")
		refused := refuses(t, s, "acme", codeRateLimited)
		want := http.Header{
			"RateLimit-Policy": {`"reads";q=2;qu="concurrent-requests"`}, "RateLimit": {`"reads";r=0;t=1`},
			"RateLimit-Limit": {"2"}, "RateLimit-Remaining": {"0"}, "RateLimit-Reset": {"1"},
		}
		if diff := cmp.Diff(want, refused.header); diff != "" {
			t.Error(diff)
		}
		acquire(t, s, "zenith")
		release()
		acquire(t, s, "acme")
		_ = refuses(t, s, "acme", codeRateLimited)
	})
	t.Run("limits the process", func(t *testing.T) {
		s := newSlots[string]("reads", 2, 3)
		acquire(t, s, "acme")
		release := acquire(t, s, "acme")
		acquire(t, s, "zenith")
		_ = refuses(t, s, "zenith", revocation.CodeUnavailable)
		_ = refuses(t, s, "acme", codeRateLimited) // the key's own limit comes first
		release()
		acquire(t, s, "zenith")
	})
	t.Run("keeps no state after the last release", func(t *testing.T) {
		s := newSlots[string]("reads", 3, 4)
		var acquired atomic.Int32
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				if release, refused := s.acquire(string(rune('a' + i%8))); refused == nil {
					acquired.Add(1)
					release()
				}
			})
		}
		all.Wait()
		if acquired.Load() == 0 || s.total != 0 || len(s.taken) != 0 {
			t.Errorf("%d acquired, %d not released: %v", acquired.Load(), s.total, s.taken)
		}
	})
}
