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

// locking accepts all but the submissions of one report, which another transaction has locked until it is released. It
// is for a bubble of virtual time, where a database cannot be waited for.
type locking struct {
	*sqlite.Store
	report int64
	// whole makes it fail the flush, as a store does that cannot tell which submission meets the lock.
	whole    bool
	released atomic.Bool
	asked    atomic.Int32 // how often it was asked for the report
}

func (l *locking) Submit(_ context.Context, flush []revocation.Submission) ([]revocation.Accepted, error) {
	accepted := make([]revocation.Accepted, len(flush))
	for i, s := range flush {
		accepted[i] = revocation.Accepted{ID: s.ID, Created: true}
		if s.ReportID != l.report {
			continue
		}
		l.asked.Add(1)
		if l.released.Load() {
			continue
		}
		err := &revocation.Error{Code: revocation.CodeLockTimeout}
		if l.whole {
			time.Sleep(50 * time.Millisecond)
			return nil, err
		}
		accepted[i] = revocation.Accepted{Err: err}
	}
	return accepted, nil
}

func TestService_Locked(t *testing.T) {
	const report, others = 7, 100
	// begin submits all at once, and gives what becomes of the one that is locked when the others are answered.
	begin := func(t *testing.T, ctx context.Context, store *locking) (blocked chan error, stop func()) {
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
	for name, whole := range map[string]bool{"of one submission": false, "of the flush": true} {
		t.Run("what is locked waits alone, as an answer "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &locking{report: report, whole: whole}
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
		t.Run("it waits as long as a flush may take, as an answer "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				blocked, stop := begin(t, t.Context(), &locking{report: report, whole: whole})
				stop() // which ends what waits no earlier
				if err := <-blocked; revocation.ErrorCode(err) != revocation.CodeLockTimeout {
					t.Errorf("error %v", err)
				}
				if waited := time.Since(began); waited < 4900*time.Millisecond || waited > 6*time.Second {
					t.Errorf("it waited for %s", waited)
				}
			})
		})
	}
	t.Run("whose caller has left is tried no more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			store := &locking{report: report}
			blocked, stop := begin(t, ctx, store)
			leave()
			if err := <-blocked; revocation.ErrorCode(err) != revocation.CodeOutcomeUnknown {
				t.Errorf("error %v", err)
			}
			asked := store.asked.Load()
			time.Sleep(time.Second)
			if more := store.asked.Load() - asked; more > 1 {
				t.Errorf("it was tried %d times", more)
			}
			stop()
		})
	})
}
