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
	enter := func(t *testing.T, s *slots[string], who string) (leave func()) {
		t.Helper()
		leave, full := s.acquire(who)
		if full != nil {
			t.Fatalf("%s: %v", who, full)
		}
		return leave
	}
	refused := func(t *testing.T, s *slots[string], who string, code revocation.Code) *problem {
		t.Helper()
		leave, full := s.acquire(who)
		if full == nil || leave != nil || full.Code != code || full.retryAfter < 1 {
			t.Fatalf("%s: %+v, want %s with a time to try again", who, full, code)
		}
		return full
	}
	t.Run("each has its own", func(t *testing.T) {
		s := newSlots[string]("reads", 2, 100)
		enter(t, s, "acme")
		leave := enter(t, s, "acme")
		full := refused(t, s, "acme", codeRateLimited)
		want := http.Header{
			"RateLimit-Policy": {`"reads";q=2;qu="concurrent-requests"`}, "RateLimit": {`"reads";r=0;t=1`},
			"RateLimit-Limit": {"2"}, "RateLimit-Remaining": {"0"}, "RateLimit-Reset": {"1"},
		}
		if diff := cmp.Diff(want, full.header); diff != "" {
			t.Error(diff)
		}
		enter(t, s, "zenith")
		leave()
		enter(t, s, "acme")
		_ = refused(t, s, "acme", codeRateLimited)
	})
	t.Run("all share the process", func(t *testing.T) {
		s := newSlots[string]("reads", 2, 3)
		enter(t, s, "acme")
		leave := enter(t, s, "acme")
		enter(t, s, "zenith")
		_ = refused(t, s, "zenith", revocation.CodeUnavailable)
		_ = refused(t, s, "acme", codeRateLimited) // it can do something about that
		leave()
		enter(t, s, "zenith")
	})
	t.Run("nothing is kept of those who have left", func(t *testing.T) {
		s := newSlots[string]("reads", 3, 4)
		var entered atomic.Int32
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				if leave, full := s.acquire(string(rune('a' + i%8))); full == nil {
					entered.Add(1)
					leave()
				}
			})
		}
		all.Wait()
		if entered.Load() == 0 || s.total != 0 || len(s.taken) != 0 {
			t.Errorf("%d entered, %d are still in: %v", entered.Load(), s.total, s.taken)
		}
	})
}
