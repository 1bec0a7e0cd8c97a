package submission_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"rescind/internal/submission"
	"rescind/internal/worktest"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/uuidv7"
)

// gatedStore accepts every flush, and blocks them until open is closed. It does no I/O, because tests in a synctest bubble
// cannot wait for a database.
type gatedStore struct {
	*sqlite.Store
	open chan struct{}
}

func (g gatedStore) Submit(_ context.Context, flush []revocation.Submission) ([]revocation.Accepted, error) {
	<-g.open
	accepted := make([]revocation.Accepted, len(flush))
	for i, s := range flush {
		accepted[i] = revocation.Accepted{ID: s.ID, Created: true}
	}
	return accepted, nil
}

func TestService_Waiters(t *testing.T) {
	// leaving makes callers submit and leave, and returns how many waiters are left in the end.
	leaving := func(t *testing.T, callers int, leave func(cancel context.CancelFunc, open chan struct{})) int {
		t.Helper()
		w := &worktest.World{T: t, Arrived: make(chan struct{}, callers)}
		store := gatedStore{open: make(chan struct{})}
		service := submission.NewService(submission.ServiceOptions{
			Store: store, Queue: w, NewID: uuidv7.New, Log: slog.New(slog.DiscardHandler),
		})
		running, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { service.Run(running); close(ended) }()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for report := range int64(callers) {
			all.Go(func() { _, _ = service.Submit(ctx, w.Submission(report+1), long) })
		}
		synctest.Wait() // until all have submitted
		leave(cancel, store.open)
		all.Wait()
		stop()
		<-ended
		return service.Waiters()
	}
	t.Run("callers that leave during their flush leave no waiter", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if n := leaving(t, 200, func(cancel context.CancelFunc, open chan struct{}) {
				cancel()
				synctest.Wait()
				close(open)
			}); n != 0 {
				t.Errorf("%d waiters of 200 are left", n)
			}
		})
	})
	t.Run("callers that leave as they are answered leave no waiter", func(t *testing.T) {
		for range 50 {
			synctest.Test(t, func(t *testing.T) {
				if n := leaving(t, 20, func(cancel context.CancelFunc, open chan struct{}) {
					go close(open)
					cancel()
				}); n != 0 {
					t.Errorf("%d waiters of 20 are left", n)
				}
			})
		}
	})
}
