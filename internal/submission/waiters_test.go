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

// gated accepts everything, and ends no flush until it is opened. It is for a bubble of virtual time, where a
// database cannot be waited for.
type gated struct {
	*sqlite.Store
	open chan struct{}
}

func (g gated) Submit(_ context.Context, flush []revocation.Submission) ([]revocation.Accepted, error) {
	<-g.open
	accepted := make([]revocation.Accepted, len(flush))
	for i, s := range flush {
		accepted[i] = revocation.Accepted{ID: s.ID, Created: true}
	}
	return accepted, nil
}

func TestService_Waiters(t *testing.T) {
	// leaving has callers submit and leave, and gives the waiters that are left when all has ended.
	leaving := func(t *testing.T, callers int, leave func(left context.CancelFunc, open chan struct{})) int {
		t.Helper()
		w := &worktest.World{T: t, Arrived: make(chan struct{}, callers)}
		store := gated{open: make(chan struct{})}
		service := submission.NewService(submission.ServiceOptions{
			Store: store, Queue: w, NewID: uuidv7.New, Log: slog.New(slog.DiscardHandler),
		})
		running, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { service.Run(running); close(ended) }()
		ctx, left := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for report := range int64(callers) {
			all.Go(func() { _, _ = service.Submit(ctx, w.Submission(report+1), long) })
		}
		synctest.Wait() // all have handed over what they ask for
		leave(left, store.open)
		all.Wait()
		stop()
		<-ended
		return service.Waiters()
	}
	t.Run("callers that leave while their flush is under way leave none behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if n := leaving(t, 200, func(left context.CancelFunc, open chan struct{}) {
				left()
				synctest.Wait()
				close(open)
			}); n != 0 {
				t.Errorf("%d waiters of 200 are left", n)
			}
		})
	})
	t.Run("callers that leave at the moment of their answer leave none behind", func(t *testing.T) {
		for range 50 {
			synctest.Test(t, func(t *testing.T) {
				if n := leaving(t, 20, func(left context.CancelFunc, open chan struct{}) {
					go close(open)
					left()
				}); n != 0 {
					t.Errorf("%d waiters of 20 are left", n)
				}
			})
		}
	})
}
