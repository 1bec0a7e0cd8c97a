package worker_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"rescind/internal/worker"
	"rescind/internal/worktest"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

// accept makes pending revocations of the first n invites and returns the refs that their task carries.
func (w *world) accept(n int, notify bool) []revocation.Ref {
	w.T.Helper()
	service, stop := w.Service(w.Store)
	refs := make([]revocation.Ref, n)
	for i := range refs {
		s := w.Submission(int64(i + 1))
		s.Notify = notify
		r, err := service.Submit(w.T.Context(), s, 0)
		w.Must(err)
		refs[i] = revocation.Ref{Account: "acme", ID: r.ID}
	}
	stop()
	w.Batches, w.Arrived = nil, make(chan struct{}, 1000)
	return refs
}

func TestExecutor_CarryOut(t *testing.T) {
	t.Run("the emails of a batch are shared by tasks that one connection can send well within a lease", func(t *testing.T) {
		w := newWorld(t)
		w.Must(w.Executor(w.Store).CarryOut(t.Context(), w.accept(20, true)))
		if want := []int{16, 4}; !slices.Equal(w.MailTasks, want) {
			t.Errorf("tasks of %v emails, want %v", w.MailTasks, want)
		}
	})
	t.Run("one stuck row fails alone and the others of its batch are revoked", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(9, true)
		stuck := refs[4].ID
		store := worktest.Faulty{Store: w.Store, Fail: func(refs []revocation.Ref) error {
			if slices.ContainsFunc(refs, func(r revocation.Ref) bool { return r.ID == stuck }) {
				return &revocation.Error{Code: revocation.CodeLockTimeout}
			}
			return nil
		}}
		w.Must(w.Executor(store).CarryOut(t.Context(), refs))
		for _, ref := range refs {
			want := revocation.StatusRevoked
			if ref.ID == stuck {
				want = revocation.StatusErrorRevoking
			}
			if r := w.Read(ref.ID); r.Status != want || r.Attempts != 1 {
				t.Errorf("%s: %s after %d attempts, want %s", ref.ID, r.Status, r.Attempts, want)
			}
		}
		if len(w.Published) != 9 || len(w.Mails) != 8 {
			t.Errorf("%d published and %d emails enqueued, want 9 and 8", len(w.Published), len(w.Mails))
		}
	})
	t.Run("when every row is stuck, the search for one ends and all are recorded", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(20, false)
		calls := 0
		store := worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error {
			calls++
			return &revocation.Error{Code: revocation.CodeLockTimeout}
		}}
		w.Must(w.Executor(store).CarryOut(t.Context(), refs))
		if calls > 25 {
			t.Errorf("it was tried %d times", calls)
		}
		for _, ref := range refs {
			if r := w.Read(ref.ID); r.Status != revocation.StatusErrorRevoking || r.Attempts != 1 {
				t.Errorf("%s: %s after %d attempts", ref.ID, r.Status, r.Attempts)
			}
		}
	})
	t.Run("a database that is away is one failed attempt of all, found out once", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(9, false)
		calls := 0
		store := worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error {
			calls++
			return &revocation.Error{Code: revocation.CodeConnectionLost}
		}}
		w.Must(w.Executor(store).CarryOut(t.Context(), refs))
		if calls != 1 {
			t.Errorf("it was tried %d times", calls)
		}
		for _, ref := range refs {
			if r := w.Read(ref.ID); r.Status != revocation.StatusErrorRevoking || r.LastError.Code != revocation.CodeConnectionLost {
				t.Errorf("%s: %+v", ref.ID, r)
			}
		}
	})
	t.Run("what cannot be recorded is the task's failure", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(1, false)
		away := &revocation.Error{Code: revocation.CodeUnavailable, Err: errors.New("away")}
		if err := w.Executor(dead{worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error { return away }}, away}).CarryOut(t.Context(), refs); !errors.Is(err, away) {
			t.Errorf("error %v", err)
		}
		if r := w.Read(refs[0].ID); r.Status != revocation.StatusPending || r.Attempts != 0 {
			t.Errorf("left as %+v", r)
		}
	})
	t.Run("a worker that is told to stop counts no attempt", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(3, false)
		ctx, stop := context.WithCancel(t.Context())
		store := worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error { stop(); return ctx.Err() }}
		if err := w.Executor(store).CarryOut(ctx, refs); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if r := w.Read(refs[0].ID); r.Attempts != 0 {
			t.Errorf("left as %+v", r)
		}
	})
	t.Run("after the last attempt the failure is final", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(1, true)
		store := worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error { return &revocation.Error{Code: revocation.CodeDeadlock} }}
		for attempt := range worktest.Policy.MaxAttempts {
			refs[0].Attempt = attempt
			w.Must(w.Executor(store).CarryOut(t.Context(), refs))
		}
		r := w.Read(refs[0].ID)
		if r.Status != revocation.StatusErrorRevoking || !r.Final || r.Attempts != 3 || r.Notification.Status != revocation.NotificationSkipped {
			t.Errorf("ended as %+v", r)
		}
		refs[0].Attempt = 3
		w.Must(w.Executor(w.Store).CarryOut(t.Context(), refs))
		if again := w.Read(refs[0].ID); again.Status != revocation.StatusErrorRevoking || again.Attempts != 3 {
			t.Errorf("a final outcome changed to %+v", again)
		}
	})
	t.Run("locked rows are retried", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(4, false)
		store := &lockingStore{Store: w.Store, left: 2}
		w.Must(w.Executor(store).CarryOut(t.Context(), refs))
		for _, ref := range refs {
			if r := w.Read(ref.ID); r.Status != revocation.StatusRevoked {
				t.Errorf("%s is %s", ref.ID, r.Status)
			}
		}
	})
}

func TestExecutor_CarryOut_FastPath(t *testing.T) {
	for name, store := range map[string]func(w *world) worker.ExecutorStore{
		"what is passed over is carried out the longer way": func(w *world) worker.ExecutorStore { return partialStore{w.Store} },
		"what was written without an answer is done":        func(w *world) worker.ExecutorStore { return unknownStore{w.Store} },
		"what could not be written is carried out":          func(w *world) worker.ExecutorStore { return failing{w.Store} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			refs := w.accept(9, true)
			w.Must(w.Executor(store(w)).CarryOut(t.Context(), refs))
			for _, ref := range refs {
				if r := w.Read(ref.ID); r.Status != revocation.StatusRevoked || r.Attempts != 1 {
					t.Errorf("%s: %s after %d attempts", ref.ID, r.Status, r.Attempts)
				}
			}
			if _, unanswered := store(w).(unknownStore); !unanswered && (len(w.Published) != 9 || len(w.Mails) != 9) {
				t.Errorf("%d published and %d emails enqueued, want 9 and 9", len(w.Published), len(w.Mails))
			}
		})
	}
}

// partialStore decides only about the first half of a batch on the fast path.
type partialStore struct{ *sqlite.Store }

func (s partialStore) RevokeFast(ctx context.Context, refs []revocation.Ref) (revocation.BatchResult, error) {
	return s.Store.RevokeFast(ctx, refs[:len(refs)/2])
}

// unknownStore commits on the fast path and returns an error.
type unknownStore struct{ *sqlite.Store }

func (s unknownStore) RevokeFast(ctx context.Context, refs []revocation.Ref) (revocation.BatchResult, error) {
	if _, err := s.Store.RevokeFast(ctx, refs); err != nil {
		return revocation.BatchResult{}, err
	}
	return revocation.BatchResult{}, &revocation.Error{Code: revocation.CodeOutcomeUnknown}
}

// failing decides nothing.
type failing struct{ *sqlite.Store }

func (failing) RevokeFast(context.Context, []revocation.Ref) (revocation.BatchResult, error) {
	return revocation.BatchResult{}, &revocation.Error{Code: revocation.CodeDeadlock}
}

// dead cannot even record a failure.
type dead struct {
	worktest.Faulty
	err error
}

func (d dead) RecordOutcomes(context.Context, []revocation.Ref, func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	return revocation.BatchResult{}, d.err
}

// lockingStore reports the second half of a batch as locked, a few times.
type lockingStore struct {
	*sqlite.Store
	left int
}

// RevokeFast leaves all to CarryOut.
func (s *lockingStore) RevokeFast(context.Context, []revocation.Ref) (revocation.BatchResult, error) {
	return revocation.BatchResult{}, nil
}

func (s *lockingStore) CarryOut(ctx context.Context, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	if s.left == 0 {
		return s.Store.CarryOut(ctx, refs, decide)
	}
	s.left--
	done, err := s.Store.CarryOut(ctx, refs[:len(refs)/2], decide)
	done.Locked = refs[len(refs)/2:]
	return done, err
}

func TestDispatcher(t *testing.T) {
	t.Run("enqueues an attempt when it is due", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(3, false)
		fail := worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error { return &revocation.Error{Code: revocation.CodeDeadlock} }}
		w.Must(w.Executor(fail).CarryOut(t.Context(), refs))
		w.dispatch()
		var got []revocation.Ref
		for len(got) < 3 { // they are due at moments of their own
			got = append(got, w.Take()...)
		}
		for _, ref := range got {
			if ref.Attempt != 1 {
				t.Errorf("enqueued %+v", ref)
			}
		}
	})
	t.Run("claims nothing while the queue is away, and continues when it is back", func(t *testing.T) {
		w := newWorld(t)
		refs := w.accept(3, true)
		w.Must(w.Store.Resume(t.Context()))
		w.SetAway(true)
		stop := w.dispatch()
		time.Sleep(100 * time.Millisecond) // some polls: there is nothing to await
		stop()
		due, err := w.Store.ClaimDue(t.Context(), 10, []time.Duration{0, 0})
		w.Must(err)
		if len(due) != 3 || due[0].DispatchCount != 1 {
			t.Fatalf("left for others: %+v", due)
		}
		w.Must(w.Store.Release(t.Context(), due, 0))
		w.SetAway(false)
		w.dispatch()
		if got := w.Take(); len(got) != 3 {
			t.Errorf("enqueued %v of %v", got, refs)
		}
	})
}

func (w *world) dispatch() (stop func()) {
	ctx, cancel := context.WithCancel(w.T.Context())
	d := worker.NewDispatcher(worker.DispatcherOptions{Store: w.Store, Queue: w, Log: w.Log, Interval: 5 * time.Millisecond})
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	w.T.Cleanup(stop)
	return stop
}
