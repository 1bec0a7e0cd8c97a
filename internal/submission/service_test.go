package submission_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"rescind/internal/worktest"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

const long = 30 * time.Second

func TestService_Submit(t *testing.T) {
	t.Run("without wait it returns at once what a poll returns", func(t *testing.T) {
		w := worktest.New(t)
		service, _ := w.Service(w.Store)
		got, err := service.Submit(t.Context(), w.Submission(1), 0)
		w.Must(err)
		if diff := cmp.Diff(w.Read(got.ID), got); diff != "" || got.Status != revocation.StatusPending {
			t.Errorf("%s: %s", got.Status, diff)
		}
	})
	t.Run("returns when the outcome is published", func(t *testing.T) {
		w := worktest.New(t)
		service, _ := w.Service(w.Store)
		executor := w.Executor(w.Store)
		go func() {
			batch := w.Take()
			if err := executor.CarryOut(context.WithoutCancel(t.Context()), batch); err != nil {
				t.Error(err)
			}
			service.Wake([]revocation.ID{batch[0].ID})
		}()
		got, err := service.Submit(t.Context(), w.Submission(1), long)
		w.Must(err)
		if got.Status != revocation.StatusRevoked || !got.Final {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("reads again at its deadline when the wake-up is lost", func(t *testing.T) {
		w := worktest.New(t)
		service, _ := w.Service(w.Store)
		executor := w.Executor(w.Store)
		ended := make(chan error, 1)
		go func() { ended <- executor.CarryOut(context.WithoutCancel(t.Context()), w.Take()) }()
		got, err := service.Submit(t.Context(), w.Submission(1), 2*time.Second)
		w.Must(err)
		w.Must(<-ended)
		if got.Status != revocation.StatusRevoked {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("returns after a first attempt that failed", func(t *testing.T) {
		w := worktest.New(t)
		service, _ := w.Service(w.Store)
		executor := w.Executor(worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error {
			return &revocation.Error{Code: revocation.CodeDeadlock}
		}})
		go func() {
			batch := w.Take()
			if err := executor.CarryOut(context.WithoutCancel(t.Context()), batch); err != nil {
				t.Error(err)
			}
			service.Wake([]revocation.ID{batch[0].ID})
		}()
		got, err := service.Submit(t.Context(), w.Submission(1), long)
		w.Must(err)
		if got.Status != revocation.StatusErrorRevoking || got.Final || got.NextAttemptAt.IsZero() || got.LastError.Code != revocation.CodeDeadlock {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a hundred concurrent submissions for one invite create one revocation and one task", func(t *testing.T) {
		w := worktest.New(t)
		service, stop := w.Service(w.Store)
		ids := make([]revocation.ID, 100)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() {
				r, err := service.Submit(t.Context(), w.Submission(1), 0)
				if err != nil {
					t.Error(err)
				}
				ids[i] = r.ID
			})
		}
		all.Wait()
		stop()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("ids %s and %s", id, ids[0])
			}
		}
		if len(w.Batches) != 1 || len(w.Batches[0]) != 1 || w.Batches[0][0].ID != ids[0] {
			t.Errorf("enqueued %v", w.Batches)
		}
	})
	t.Run("an unknown invite is an error and creates nothing", func(t *testing.T) {
		w := worktest.New(t)
		service, stop := w.Service(w.Store)
		_, err := service.Submit(t.Context(), w.Submission(999), 0)
		stop()
		if revocation.ErrorCode(err) != revocation.CodeNotFound || len(w.Batches) != 0 {
			t.Errorf("error %v, enqueued %v", err, w.Batches)
		}
	})
	t.Run("a submission that makes its flush fail fails alone", func(t *testing.T) {
		w := worktest.New(t)
		store := &poisonedStore{Store: w.Store, report: 7, entered: make(chan struct{}, 100), open: make(chan struct{})}
		service, _ := w.Service(store)
		var all sync.WaitGroup
		failed := make([]error, 20)
		submit := func(i int) {
			all.Go(func() { _, failed[i] = service.Submit(t.Context(), w.Submission(int64(i+1)), 0) })
		}
		// The first two flushes are held back, so that the others share a flush.
		for i := range 2 {
			submit(i)
			<-store.entered
		}
		for i := 2; i < len(failed); i++ {
			submit(i)
		}
		close(store.open)
		all.Wait()
		for i, err := range failed {
			if (err != nil) != (i+1 == 7) {
				t.Errorf("submission of report %d: %v", i+1, err)
			}
		}
	})
	t.Run("if every lock is held, all callers are answered within the timeout of one flush", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes 5 s")
		}
		w := worktest.New(t)
		service, _ := w.Service(stuckStore{w.Store})
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if _, err := service.Submit(t.Context(), w.Submission(int64(i+1)), 0); err == nil {
					t.Error("accepted")
				}
			})
		}
		answered := make(chan struct{})
		go func() { all.Wait(); close(answered) }()
		select {
		case <-answered:
		case <-time.After(25 * time.Second): // one timeout for each part of a flush of 20 would take 39 s
			t.Error("some still wait")
		}
	})
	t.Run("a caller that leaves does not withdraw its submission", func(t *testing.T) {
		w := worktest.New(t)
		service, _ := w.Service(w.Store)
		ctx, leave := context.WithCancel(t.Context())
		go func() { w.Take(); leave() }()
		got, err := service.Submit(ctx, w.Submission(1), long)
		w.Must(err)
		if r := w.Read(got.ID); r.Status != revocation.StatusPending {
			t.Errorf("stored: %+v", r)
		}
	})
	t.Run("with the queue unavailable it accepts, and leaves the rest to the dispatcher", func(t *testing.T) {
		w := worktest.New(t)
		w.SetAway(true)
		service, stop := w.Service(w.Store)
		for id := range int64(20) {
			_, err := service.Submit(t.Context(), w.Submission(id+1), 0)
			w.Must(err)
		}
		stop()
		due, err := w.Store.ClaimDue(t.Context(), 100, []time.Duration{0})
		w.Must(err)
		if len(due) != 0 {
			t.Errorf("%d are due before their visibility timeout", len(due))
		}
		w.Must(w.Store.Resume(t.Context())) // ends the visibility timeouts
		due, err = w.Store.ClaimDue(t.Context(), 100, []time.Duration{0})
		w.Must(err)
		if len(due) != 20 {
			t.Errorf("%d of 20 are found", len(due))
		}
	})
	t.Run("it does not wait once drained, and accepts nothing once stopped", func(t *testing.T) {
		w := worktest.New(t)
		service, stop := w.Service(w.Store)
		go func() { w.Take(); service.Drain() }()
		got, err := service.Submit(t.Context(), w.Submission(1), long)
		w.Must(err)
		if got.Status != revocation.StatusPending {
			t.Errorf("got %+v", got)
		}
		stop()
		if _, err := service.Submit(t.Context(), w.Submission(2), 0); revocation.ErrorCode(err) != revocation.CodeUnavailable {
			t.Errorf("after the stop: %v", err)
		}
	})
}

func TestService_Get(t *testing.T) {
	t.Run("waits for the final outcome, not for a failed attempt", func(t *testing.T) {
		w := worktest.New(t)
		service, _ := w.Service(w.Store)
		sent, err := service.Submit(t.Context(), w.Submission(1), 0)
		w.Must(err)
		go func() {
			ctx := context.WithoutCancel(t.Context())
			batch := w.Take()
			fail := worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error { return &revocation.Error{Code: revocation.CodeDeadlock} }}
			if err := w.Executor(fail).CarryOut(ctx, batch); err != nil {
				t.Error(err)
			}
			service.Wake([]revocation.ID{sent.ID})
			batch[0].Attempt = 1
			if err := w.Executor(w.Store).CarryOut(ctx, batch); err != nil {
				t.Error(err)
			}
			service.Wake([]revocation.ID{sent.ID})
		}()
		got, err := service.Get(t.Context(), "acme", sent.ID, long)
		w.Must(err)
		if got.Status != revocation.StatusRevoked || got.Attempts != 2 || got.LastError != nil {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a revocation of another account is not found", func(t *testing.T) {
		w := worktest.New(t)
		service, _ := w.Service(w.Store)
		sent, err := service.Submit(t.Context(), w.Submission(1), 0)
		w.Must(err)
		_, err = service.Get(t.Context(), "bolt", sent.ID, long)
		if revocation.ErrorCode(err) != revocation.CodeNotFound {
			t.Errorf("error %v", err)
		}
	})
}

func TestService_List(t *testing.T) {
	w := worktest.New(t)
	service, _ := w.Service(w.Store)
	var want []revocation.ID
	for id := range int64(5) {
		r, err := service.Submit(t.Context(), w.Submission(id+1), 0)
		w.Must(err)
		want = append([]revocation.ID{r.ID}, want...)
	}
	var got []revocation.ID
	filter := revocation.Filter{Account: "acme", Limit: 2}
	for pages := 1; ; pages++ {
		page, err := service.List(t.Context(), filter)
		w.Must(err)
		more := !page.Next.IsZero()
		for _, r := range page.Entries {
			got = append(got, r.ID)
		}
		if more != (pages < 3) {
			t.Errorf("page %d: more = %v", pages, more)
		}
		if !more {
			break
		}
		filter.Before = page.Next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// stuckStore waits for a lock until the lock timeout.
type stuckStore struct{ *sqlite.Store }

func (stuckStore) Submit(ctx context.Context, _ []revocation.Submission) ([]revocation.Accepted, error) {
	select {
	case <-time.After(time.Second):
		return nil, &revocation.Error{Code: revocation.CodeLockTimeout}
	case <-ctx.Done():
		return nil, &revocation.Error{Code: revocation.CodeUnavailable, Err: ctx.Err()}
	}
}

// poisonedStore fails every flush that contains report, and blocks all flushes until open is closed.
type poisonedStore struct {
	*sqlite.Store
	report  int64
	entered chan struct{}
	open    chan struct{}
}

func (p *poisonedStore) Submit(ctx context.Context, flush []revocation.Submission) ([]revocation.Accepted, error) {
	p.entered <- struct{}{}
	<-p.open
	for _, s := range flush {
		if s.ReportID == p.report {
			return nil, &revocation.Error{Code: revocation.CodeInternal, Err: errors.New("poison")}
		}
	}
	return p.Store.Submit(ctx, flush)
}
