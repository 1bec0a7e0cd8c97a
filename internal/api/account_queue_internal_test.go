package api

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestAccountQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newAccountQueue()
		var running, most atomic.Int64
		end := make(chan struct{})
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				leave, err := q.acquire(t.Context(), "acme")
				if err != nil {
					t.Error(err)
					return
				}
				most.Store(max(most.Load(), running.Add(1)))
				<-end
				running.Add(-1)
				leave()
			})
		}
		synctest.Wait()
		if n := running.Load(); n != 1 {
			t.Errorf("%d operations run, want 1", n)
		}
		leave, err := q.acquire(t.Context(), "other")
		if err != nil {
			t.Fatal("the operation of another account waits")
		}
		leave()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := q.acquire(ended, "acme"); !errors.Is(err, context.Canceled) {
			t.Errorf("an operation whose context has ended: %v", err)
		}
		close(end)
		all.Wait()
		if most.Load() != 1 || len(q.accounts) != 0 {
			t.Errorf("at most %d ran at once, and %d accounts are left", most.Load(), len(q.accounts))
		}
	})
}
