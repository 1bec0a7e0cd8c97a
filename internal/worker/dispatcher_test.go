package worker_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rescind/internal/worker"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

// away is a database that answers only every other poll for pending work. It calls stop after
// 100 polls.
type away struct {
	*sqlite.Store
	polls int
	stop  func()
}

var errAway = errors.New("away")

func (a *away) PendingWork(context.Context) (revocation.PendingWork, error) {
	if a.polls++; a.polls == 100 {
		a.stop()
	}
	if a.polls%2 == 0 {
		return revocation.PendingWork{}, errAway
	}
	return revocation.PendingWork{Revocations: true, Notifications: true}, nil
}

func (*away) ClaimDue(context.Context, int, []time.Duration) ([]revocation.DueAttempt, error) {
	return nil, errAway
}

func (*away) ClaimDueNotifications(context.Context, int, []time.Duration) ([]revocation.NotificationRef, int, error) {
	return nil, 0, errAway
}

func TestDispatcher_LogsRepeatedErrorsOnce(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	store := &away{Store: w.Store, stop: stop}
	var log bytes.Buffer
	worker.NewDispatcher(worker.DispatcherOptions{
		Store: store, Queue: w, Log: slog.New(slog.NewTextHandler(&log, nil)), Interval: time.Millisecond,
	}).Run(ctx)
	for _, what := range []string{"read pending work", "dispatch revocations", "dispatch emails"} {
		if n := strings.Count(log.String(), what); n < 1 || n > store.polls/10 {
			t.Errorf("%q is logged %d times in %d polls:\n%s", what, n, store.polls, log.String())
		}
	}
}

// stopping is a store whose claims end the context of its caller, as a stop does at the worst moment. It records how
// the releases that follow end.
type stopping struct {
	*sqlite.Store
	stop     func()
	released []error
}

func (s *stopping) ClaimDue(ctx context.Context, limit int, visibilityTimeouts []time.Duration) ([]revocation.DueAttempt, error) {
	defer s.stop()
	return s.Store.ClaimDue(ctx, limit, visibilityTimeouts)
}

func (s *stopping) ClaimDueNotifications(ctx context.Context, limit int, visibilityTimeouts []time.Duration) ([]revocation.NotificationRef, int, error) {
	defer s.stop()
	return s.Store.ClaimDueNotifications(ctx, limit, visibilityTimeouts)
}

func (s *stopping) ClaimDueItems(ctx context.Context, account string, limit int, visibilityTimeouts []time.Duration) ([]revocation.DueAttempt, error) {
	defer s.stop()
	return s.Store.ClaimDueItems(ctx, account, limit, visibilityTimeouts)
}

func (s *stopping) Release(ctx context.Context, due []revocation.DueAttempt, delay time.Duration) error {
	err := s.Store.Release(ctx, due, delay)
	s.released = append(s.released, err)
	return err
}

func (s *stopping) ReleaseNotifications(ctx context.Context, refs []revocation.NotificationRef, delay time.Duration) error {
	err := s.Store.ReleaseNotifications(ctx, refs, delay)
	s.released = append(s.released, err)
	return err
}

// strict is a queue that is there and takes nothing on a context that has ended.
type strict struct {
	*world
	full bool
}

func (q strict) Ready(context.Context) error { return nil }

func (q strict) EnqueueRevocations(ctx context.Context, dispatchCount int, batch []revocation.Ref) error {
	if err := ctx.Err(); err != nil || q.full {
		return cmp.Or(err, errAway)
	}
	return q.world.EnqueueRevocations(ctx, dispatchCount, batch)
}

func (q strict) EnqueueNotifications(ctx context.Context, batch []revocation.NotificationRef) error {
	if err := ctx.Err(); err != nil || q.full {
		return cmp.Or(err, errAway)
	}
	return q.world.EnqueueNotifications(ctx, batch)
}

func TestDispatcher_Stop(t *testing.T) {
	for _, test := range []struct {
		name  string
		email bool
		full  bool
	}{
		{name: "a revocation that was claimed when the stop came is enqueued"},
		{name: "so is an email", email: true},
		{name: "a revocation that cannot be enqueued then is released", full: true},
		{name: "so is an email", email: true, full: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			refs := w.accept(1, true)
			if test.email {
				w.Must(w.Executor(w.Store).CarryOut(t.Context(), refs))
				w.Mails = nil
			}
			w.Must(w.Store.Resume(t.Context())) // which makes all due
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			store := &stopping{Store: w.Store, stop: stop}
			worker.NewDispatcher(worker.DispatcherOptions{
				Store: store, Queue: strict{w, test.full}, Log: w.Log, Interval: time.Millisecond,
			}).Run(ctx)
			enqueued := len(w.Batches) + len(w.Mails)
			if test.full && (len(store.released) != 1 || store.released[0] != nil) || test.full != (enqueued == 0) {
				t.Errorf("%d enqueued, released: %v", enqueued, store.released)
			}
		})
	}
}

func TestExecutor_StopReleasesItems(t *testing.T) {
	w := newWorld(t)
	job := w.Spilled(3)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	store := &stopping{Store: w.Store, stop: stop}
	if err := w.Executor(store).RunAccountTask(ctx, "acme"); err == nil {
		t.Error("the account task ended as if it had carried out what it claimed")
	}
	if len(store.released) != 1 || store.released[0] != nil {
		t.Fatalf("released: %v", store.released)
	}
	w.Must(w.Executor(w.Store).RunAccountTask(t.Context(), "acme"))
	if got, err := w.Store.Job(t.Context(), "acme", job); err != nil || got.Counts.Revoked != 3 {
		t.Errorf("the next account task did not carry out what was released: %+v, %v", got.Counts, err)
	}
}
