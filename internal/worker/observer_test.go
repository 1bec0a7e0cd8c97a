package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"rescind/internal/worker"
	"rescind/internal/worktest"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

// recorder writes down what it is told.
type recorder struct {
	mu   sync.Mutex
	told []string
}

func (r *recorder) tell(what string, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range times {
		r.told = append(r.told, what)
	}
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := r.told
	r.told = nil
	return told
}

func (r *recorder) Flushed(int, []revocation.Accepted, error) {}
func (r *recorder) JobAccepted(revocation.Job)                {}

func (r *recorder) BatchCarriedOut(class revocation.Class, size int) {
	r.tell("batch "+string(class), size)
}

func (r *recorder) Decided(decisions []revocation.Decision) {
	for _, d := range decisions {
		r.tell("decided "+string(d.Status), 1)
	}
}

func (r *recorder) ChunkEnded(revocation.Chunk) {}

func (r *recorder) Settled(s revocation.Settlement) { r.tell("settled "+string(s.Status), 1) }

func (r *recorder) DeliveryFailed(reason revocation.Reason) { r.tell("failed by "+string(reason), 1) }

func (r *recorder) Dispatched(due []revocation.DueAttempt) {
	for _, d := range due {
		r.tell("dispatched "+[]string{"lost", "due"}[min(d.Attempt, 1)], 1)
	}
}

func (r *recorder) DispatchedEmails(refs []revocation.NotificationRef) {
	r.tell("dispatched email", len(refs))
}

func TestObserver(t *testing.T) {
	w, told := newWorld(t), &recorder{}
	refs := w.accept(3, true)
	w.Must(w.Store.Resume(t.Context())) // as if the queue had lost them
	want := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, told.all()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	dispatch := func() []revocation.Ref {
		t.Helper()
		d := worker.NewDispatcher(worker.DispatcherOptions{
			Store: w.Store, Queue: w, Log: w.Log, Interval: 5 * time.Millisecond, Observer: told,
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.Run(ctx) }()
		batch := w.Take()
		stop()
		<-ended
		return batch
	}
	carryOut := func(refs []revocation.Ref, failure error) {
		t.Helper()
		w.Must(worker.NewExecutor(worker.ExecutorOptions{
			Store: worktest.Faulty{Store: w.Store, Fail: func([]revocation.Ref) error { return failure }},
			Queue: w, Outcomes: w, Policy: worktest.Policy, Log: w.Log, Observer: told,
		}).CarryOut(t.Context(), refs))
	}

	lost := dispatch()
	want("what was lost", "dispatched lost", "dispatched lost", "dispatched lost")
	carryOut(lost[:1], &revocation.Error{Code: revocation.CodeConnectionLost})
	want("an attempt that failed", "batch single", "decided ERROR_REVOKING")
	again := dispatch()
	want("what is due again", "dispatched due")
	carryOut(again, nil)
	want("its end", "batch single", "decided REVOKED")
	carryOut(refs, nil)
	want("the others, and one that is stale", "batch single", "batch single", "batch single", "decided REVOKED", "decided REVOKED")

	n := worker.NewNotifier(worker.NotifierOptions{
		Store: w.Store, Mailer: refusing{}, Policy: worktest.Policy, Log: w.Log, Observer: told,
	})
	w.Must(n.Send(t.Context(), w.Mails[:2]))
	want("emails", "batch mail", "batch mail", "failed by recipient", "settled FAILED", "failed by recipient", "settled FAILED")

	emails, err := w.Store.ClaimNotifications(t.Context(), "sender", w.Mails[2:], time.Hour)
	w.Must(err)
	_, err = w.Store.CommitNotification(t.Context(), emails[0], 0) // by a worker that is killed then
	w.Must(err)
	dispatcher := worker.NewDispatcher(worker.DispatcherOptions{Store: w.Store, Queue: w, Log: w.Log, Observer: told})
	ctx, stop := context.WithCancel(t.Context())
	var dispatching sync.WaitGroup
	dispatching.Go(func() { dispatcher.Run(ctx) })
	for w.Read(w.Mails[2].Revocation).Notification.Status != revocation.NotificationUnknown {
		time.Sleep(time.Millisecond)
	}
	stop()
	dispatching.Wait()
	want("an email that nobody settles", "settled UNKNOWN")

	n = worker.NewNotifier(worker.NotifierOptions{
		Store: unsettled{w.Store}, Mailer: refusing{}, Policy: worktest.Policy, Log: w.Log, Observer: told,
	})
	w.Must(n.RunAccountTask(t.Context(), "acme"))
	want("emails of jobs that nobody settles", "settled UNKNOWN", "settled UNKNOWN")
}

// unsettled finds that two emails of jobs have become UNKNOWN.
type unsettled struct{ *sqlite.Store }

func (unsettled) ClaimJobNotifications(context.Context, string, string, int, time.Duration) ([]revocation.Email, int, error) {
	return nil, 2, nil
}

// refusing is a mail server that takes nothing.
type refusing struct{}

func (refusing) Sender() string { return "" }

func (refusing) Deliver(context.Context, revocation.Email, func(context.Context) error) error {
	return &revocation.DeliveryError{Verdict: revocation.VerdictRefused, Reason: revocation.ReasonRecipient, SMTPCode: 550}
}
