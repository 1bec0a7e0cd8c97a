package revocation_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/uuidv7"
)

// world is the domain at work on a real store. Its queue is a slice that the test carries by hand, so that
// it can be lost, doubled and delayed.
type world struct {
	t     *testing.T
	store *sqlite.Store
	log   *slog.Logger
	key   revocation.ID

	mu        sync.Mutex
	away      error
	batches   [][]revocation.Ref
	mails     []revocation.NotificationRef
	mailTasks []int // how many emails each task had
	published []revocation.ID
	arrived   chan struct{}
}

var (
	_      revocation.Queue    = (*world)(nil)
	_      revocation.Outcomes = (*world)(nil)
	policy                     = revocation.RetryPolicy{Base: 20 * time.Millisecond, Max: 40 * time.Millisecond, MaxAttempts: 3}
)

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "rescind.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{
		t: t, store: store, log: slog.New(slog.DiscardHandler), key: uuidv7.New(),
		arrived: make(chan struct{}, 1000),
	}
	w.must(store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme"}))
	var invites []revocation.Invite
	for id := range int64(20) {
		invites = append(invites, revocation.Invite{ReportID: id + 1, CandidateEmail: "ada@example.com", SentAt: time.Now()})
	}
	w.must(store.UpsertInvites(t.Context(), "acme", invites))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) EnqueueRevocations(_ context.Context, _ int, batch []revocation.Ref) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != nil {
		return w.away
	}
	w.batches = append(w.batches, batch)
	w.arrived <- struct{}{}
	return nil
}

func (w *world) EnqueueNotifications(_ context.Context, batch []revocation.NotificationRef) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mails = append(w.mails, batch...)
	w.mailTasks = append(w.mailTasks, len(batch))
	return w.away
}

func (w *world) Ready(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.away
}

func (w *world) Publish(_ context.Context, ids []revocation.ID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, ids...)
	return w.away
}

// take waits for a batch and takes it off the queue.
func (w *world) take() []revocation.Ref {
	w.t.Helper()
	select {
	case <-w.arrived:
	case <-time.After(30 * time.Second):
		w.t.Fatal("nothing was enqueued")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.batches[0]
	w.batches = w.batches[1:]
	return batch
}

func (w *world) setAway(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = nil
	if away {
		w.away = errors.New("away")
	}
}

// service runs a Service on store until the test or stop ends it.
func (w *world) service(store revocation.ServiceStore) (service *revocation.Service, stop func()) {
	service = revocation.NewService(revocation.ServiceOptions{Store: store, Queue: w, NewID: uuidv7.New, Log: w.log})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		service.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	w.t.Cleanup(stop)
	return service, stop
}

func (w *world) executor(store revocation.ExecutorStore) *revocation.Executor {
	return revocation.NewExecutor(revocation.ExecutorOptions{Store: store, Queue: w, Outcomes: w, Policy: policy, Log: w.log})
}

func (w *world) submission(report int64) revocation.Submission {
	return revocation.Submission{Account: "acme", ReportID: report, RequestedBy: w.key}
}

func (w *world) read(id revocation.ID) revocation.Revocation {
	w.t.Helper()
	r, err := w.store.Revocation(w.t.Context(), "acme", id)
	w.must(err)
	return r
}

func (w *world) EnqueueAccountTasks(context.Context, revocation.AccountTask, []string) error {
	return nil
}

// job is a job of the first n invites.
func (w *world) job(n int, notify bool) revocation.Job {
	w.t.Helper()
	seal := revocation.FinalJob{
		NewJob: revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", RequestedBy: w.key, Route: revocation.RouteJobs},
		Notify: notify, Total: n,
	}
	items := make([]revocation.Item, n)
	for i := range items {
		items[i] = revocation.Item{Row: i + 1, ReportID: int64(i + 1)}
	}
	_, err := w.store.BeginJob(w.t.Context(), seal.NewJob, time.Hour)
	w.must(err)
	w.must(w.store.AddItems(w.t.Context(), seal.NewJob, items, time.Hour))
	job, err := w.store.FinalizeJob(w.t.Context(), seal)
	w.must(err)
	return job
}

// spilled is a job of the first n invites, whose items wait by themselves.
func (w *world) spilled(n int) revocation.ID {
	w.t.Helper()
	job := w.job(n, false)
	w.must(w.store.SpillChunk(w.t.Context(), revocation.Chunk{Account: "acme", Job: job.ID, First: 1, Last: n}))
	return job.ID
}
