package submission_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rescind/internal/submission"
	"rescind/internal/worktest"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/uuidv7"
)

// lockedStore accepts all submissions but those for one report, which another transaction has locked until released is set.
// It does no I/O, because tests in a synctest bubble cannot wait for a database.
type lockedStore struct {
	*sqlite.Store
	report int64
	// failFlush makes it fail the whole flush, as a store does that cannot tell which submission needs the lock.
	failFlush bool
	released  atomic.Bool
	attempts  atomic.Int32 // how often the report was submitted
}

func (l *lockedStore) Submit(_ context.Context, flush []revocation.Submission) ([]revocation.Accepted, error) {
	accepted := make([]revocation.Accepted, len(flush))
	for i, s := range flush {
		accepted[i] = revocation.Accepted{ID: s.ID, Created: true}
		if s.ReportID != l.report {
			continue
		}
		l.attempts.Add(1)
		if l.released.Load() {
			continue
		}
		err := &revocation.Error{Code: revocation.CodeLockTimeout}
		if l.failFlush {
			time.Sleep(50 * time.Millisecond)
			return nil, err
		}
		accepted[i] = revocation.Accepted{Err: err}
	}
	return accepted, nil
}

func TestService_Locked(t *testing.T) {
	const report, others = 7, 100
	// begin submits all at once. It returns when all but the locked one are answered; blocked receives the answer to that.
	begin := func(t *testing.T, ctx context.Context, store *lockedStore) (blocked chan error, stop func()) {
		t.Helper()
		w := &worktest.World{T: t, Arrived: make(chan struct{}, 2*others)}
		service := submission.NewService(submission.ServiceOptions{
			Store: store, Queue: w, NewID: uuidv7.New, Log: slog.New(slog.DiscardHandler),
		})
		running, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { service.Run(running); close(ended) }()
		blocked = make(chan error, 1)
		began := time.Now()
		var all sync.WaitGroup
		for i := range int64(others) {
			if i == report {
				go func() {
					_, err := service.Submit(ctx, w.Submission(report), 0)
					blocked <- err
				}()
				continue
			}
			all.Go(func() {
				if _, err := service.Submit(t.Context(), w.Submission(i), 0); err != nil {
					t.Errorf("report %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("the others waited for %s", waited)
		}
		return blocked, func() { end(); <-ended }
	}
	for name, failFlush := range map[string]bool{"of one submission": false, "of the flush": true} {
		t.Run("a locked submission waits alone, with an error "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &lockedStore{report: report, failFlush: failFlush}
				blocked, stop := begin(t, t.Context(), store)
				time.Sleep(2 * time.Second)
				if len(blocked) > 0 {
					t.Errorf("it was answered before it was released: %v", <-blocked)
				}
				store.released.Store(true)
				began := time.Now()
				if err := <-blocked; err != nil || time.Since(began) > 200*time.Millisecond {
					t.Errorf("answered after %s: %v", time.Since(began), err)
				}
				stop()
			})
		})
		t.Run("it waits as long as a flush may take, with an error "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				blocked, stop := begin(t, t.Context(), &lockedStore{report: report, failFlush: failFlush})
				stop() // a stop does not shorten the wait
				if err := <-blocked; revocation.ErrorCode(err) != revocation.CodeLockTimeout {
					t.Errorf("error %v", err)
				}
				if waited := time.Since(began); waited < 4900*time.Millisecond || waited > 6*time.Second {
					t.Errorf("it waited for %s", waited)
				}
			})
		})
	}
	t.Run("a locked submission whose caller has left is not retried", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			store := &lockedStore{report: report}
			blocked, stop := begin(t, ctx, store)
			leave()
			if err := <-blocked; revocation.ErrorCode(err) != revocation.CodeOutcomeUnknown {
				t.Errorf("error %v", err)
			}
			attempts := store.attempts.Load()
			time.Sleep(time.Second)
			if more := store.attempts.Load() - attempts; more > 1 {
				t.Errorf("it was retried %d times", more)
			}
			stop()
		})
	})
}
