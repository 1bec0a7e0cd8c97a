// Package worktest runs packages submission and worker on a real store, for their tests.
package worktest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"rescind/internal/submission"
	"rescind/internal/worker"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

// World is a store with an account and its invites, and a queue in memory. Tests take the tasks from the queue themselves, so
// they can lose, repeat and delay them.
type World struct {
	T     *testing.T
	Store *sqlite.Store
	Log   *slog.Logger
	Key   revocation.ID

	mu        sync.Mutex
	away      error
	Batches   [][]revocation.Ref // the tasks of revocations
	Mails     []revocation.NotificationRef
	MailTasks []int // the number of emails of each task
	Published []revocation.ID
	Arrived   chan struct{} // receives a value for each of Batches
}

var (
	_ revocation.Queue    = (*World)(nil)
	_ revocation.Outcomes = (*World)(nil)
	// Policy makes at most three attempts, with short delays.
	Policy = revocation.RetryPolicy{Base: 20 * time.Millisecond, Max: 40 * time.Millisecond, MaxAttempts: 3}
)

// database is the file of a new store.
var database = testservers.Template{Make: func(path string) error {
	store, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	return store.Close()
}}

// New returns a World with the account acme and its invites 1 to 20.
func New(t *testing.T) *World {
	t.Helper()
	store, err := sqlite.Open(t.Context(), database.Copy(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &World{
		T: t, Store: store, Log: slog.New(slog.DiscardHandler), Key: uuidv7.New(),
		Arrived: make(chan struct{}, 1000),
	}
	w.Must(store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme"}))
	var invites []revocation.Invite
	for id := range int64(20) {
		invites = append(invites, revocation.Invite{ReportID: id + 1, CandidateEmail: "ada@example.com", SentAt: time.Now()})
	}
	w.Must(store.UpsertInvites(t.Context(), "acme", invites))
	return w
}

// Must fails the test if err is not nil.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// EnqueueRevocations implements revocation.Queue.
func (w *World) EnqueueRevocations(_ context.Context, _ int, batch []revocation.Ref) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != nil {
		return w.away
	}
	w.Batches = append(w.Batches, batch)
	w.Arrived <- struct{}{}
	return nil
}

// EnqueueNotifications implements revocation.Queue.
func (w *World) EnqueueNotifications(_ context.Context, batch []revocation.NotificationRef) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Mails = append(w.Mails, batch...)
	w.MailTasks = append(w.MailTasks, len(batch))
	return w.away
}

// Ready implements revocation.Queue.
func (w *World) Ready(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.away
}

// Publish implements revocation.Outcomes.
func (w *World) Publish(_ context.Context, ids []revocation.ID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Published = append(w.Published, ids...)
	return w.away
}

// Take waits for a batch, removes it from the queue and returns it.
func (w *World) Take() []revocation.Ref {
	w.T.Helper()
	select {
	case <-w.Arrived:
	case <-time.After(30 * time.Second):
		w.T.Fatal("nothing was enqueued")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.Batches[0]
	w.Batches = w.Batches[1:]
	return batch
}

// SetAway makes the queue unavailable, or available again.
func (w *World) SetAway(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = nil
	if away {
		w.away = errors.New("away")
	}
}

// Service runs a Service on store until the test or stop ends it.
func (w *World) Service(store submission.ServiceStore) (service *submission.Service, stop func()) {
	service = submission.NewService(submission.ServiceOptions{Store: store, Queue: w, NewID: uuidv7.New, Log: w.Log})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.T.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		service.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	w.T.Cleanup(stop)
	return service, stop
}

// Executor returns an Executor on store.
func (w *World) Executor(store worker.ExecutorStore) *worker.Executor {
	return worker.NewExecutor(worker.ExecutorOptions{Store: store, Queue: w, Outcomes: w, Policy: Policy, Log: w.Log})
}

// Submission returns a submission for an invite of the account acme.
func (w *World) Submission(report int64) revocation.Submission {
	return revocation.Submission{Account: "acme", ReportID: report, RequestedBy: w.Key}
}

// Read returns a revocation of the account acme.
func (w *World) Read(id revocation.ID) revocation.Revocation {
	w.T.Helper()
	r, err := w.Store.Revocation(w.T.Context(), "acme", id)
	w.Must(err)
	return r
}

// EnqueueAccountTasks implements revocation.Queue.
func (w *World) EnqueueAccountTasks(context.Context, revocation.AccountTask, []string) error {
	return nil
}

// Job creates a job of the first n invites and returns it.
func (w *World) Job(n int, notify bool) revocation.Job {
	w.T.Helper()
	final := revocation.FinalJob{
		NewJob:    revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", RequestedBy: w.Key, Route: revocation.RouteJobs},
		JobValues: revocation.JobValues{Notify: notify}, Total: n,
	}
	items := make([]revocation.Item, n)
	for i := range items {
		items[i] = revocation.Item{Row: i + 1, ReportID: int64(i + 1)}
	}
	_, err := w.Store.BeginJob(w.T.Context(), final.NewJob, time.Hour)
	w.Must(err)
	w.Must(w.Store.AddItems(w.T.Context(), final.NewJob, items, time.Hour))
	job, err := w.Store.FinalizeJob(w.T.Context(), final)
	w.Must(err)
	return job
}

// Spilled creates a job of the first n invites whose items have work items, and returns its id.
func (w *World) Spilled(n int) revocation.ID {
	w.T.Helper()
	job := w.Job(n, false)
	w.Must(w.Store.SpillChunk(w.T.Context(), revocation.Chunk{Account: "acme", Job: job.ID, First: 1, Last: n}))
	return job.ID
}

// Faulty is a store whose CarryOut returns the error of Fail, before anything is written.
type Faulty struct {
	*sqlite.Store
	Fail func([]revocation.Ref) error
}

// RevokeFast leaves all to CarryOut.
func (f Faulty) RevokeFast(context.Context, []revocation.Ref) (revocation.BatchResult, error) {
	return revocation.BatchResult{}, nil
}

// CarryOut returns the error of Fail if it is not nil.
func (f Faulty) CarryOut(ctx context.Context, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	if err := f.Fail(refs); err != nil {
		return revocation.BatchResult{}, err
	}
	return f.Store.CarryOut(ctx, refs, decide)
}
