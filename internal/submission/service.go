package submission

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rescind/internal/revocation"

	"rescind/internal/batch"
)

// ServiceStore contains the methods of a store that a Service uses.
type ServiceStore interface {
	revocation.SubmissionStore
	revocation.SingleStore
	revocation.ReadStore
	revocation.JobStore
	revocation.EventStore
}

// Service accepts revocations and jobs and returns their state. Use NewService to create one, and call Run for as long as
// it is used. Its methods are safe for concurrent use.
type Service struct {
	store    ServiceStore
	queue    revocation.Queue
	outcomes revocation.Outcomes
	newID    func() revocation.ID
	log      *slog.Logger
	observer Observer
	// previewTTL is how long a preview that is complete at once can be confirmed.
	previewTTL time.Duration

	submissions *batch.Batcher[*pending]
	locked      *locked
	tasks       chan task
	accountWork chan accountWork
	waiters     *waiters
	watches     *watches
	feeds       *feeds
	drain       func() // closes drained, once
	drained     chan struct{}
}

var errStopped = errors.New("the service has stopped")

// ServiceOptions are the dependencies of a Service. All are required but Outcomes, Observer and PreviewTTL. Without
// Outcomes, a cancel wakes only the requests of this process that wait.
type ServiceOptions struct {
	Store ServiceStore
	Queue revocation.Queue
	// NewID returns UUIDs of version 7 that increase within a process.
	NewID    func() revocation.ID
	Log      *slog.Logger
	Outcomes revocation.Outcomes
	Observer Observer
	// PreviewTTL is how long a preview that is complete at once can be confirmed; 0 means revocation.DefaultPreviewTTL.
	PreviewTTL time.Duration
}

const (
	// waitingTasks bounds the tasks that wait for a slow Redis. Further tasks are left to the dispatcher.
	waitingTasks       = 1024
	waitingAccountWork = 64
	// enqueueTimeout bounds how long a stop waits until the remaining tasks are sent. The dispatcher finds the rest.
	enqueueTimeout = 2 * time.Second
)

// NewService returns a Service.
func NewService(o ServiceOptions) *Service {
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	drained := make(chan struct{})
	s := &Service{
		store: o.Store, queue: o.Queue, outcomes: o.Outcomes, newID: o.NewID, log: o.Log, observer: o.Observer,
		previewTTL:  cmp.Or(o.PreviewTTL, revocation.DefaultPreviewTTL),
		locked:      newLocked(),
		tasks:       make(chan task, waitingTasks),
		accountWork: make(chan accountWork, waitingAccountWork),
		waiters:     newWaiters(),
		watches:     &watches{jobs: make(map[revocation.ID]*watch)},
		feeds:       &feeds{accounts: make(map[string]map[*feed]struct{})},
		drain:       sync.OnceFunc(func() { close(drained) }),
		drained:     drained,
	}
	s.submissions = batch.New(submissionBatches, s.flush)
	return s
}

// Drain makes requests that wait for an outcome return the present state, now and from now on. Call it before the HTTP
// server shuts down, and end Run after that.
func (s *Service) Drain() { s.drain() }

// Draining returns a channel that is closed when Drain is called. Responses without an end of their own should end then.
func (s *Service) Draining() <-chan struct{} { return s.drained }

// Run sends tasks and retries submissions that need a lock. When ctx ends, it returns after all accepted submissions are
// answered. It must be called only once.
func (s *Service) Run(ctx context.Context) {
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	retrying, stopRetrying := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRetrying()
	var waiting, enqueueing sync.WaitGroup
	enqueueing.Go(func() { s.enqueue(sending) })
	enqueueing.Go(func() { s.enqueueAccountTasks(ctx) })
	waiting.Go(func() { s.retryLocked(retrying) })
	<-ctx.Done()
	s.submissions.Close()
	stopRetrying()
	waiting.Wait()
	close(s.tasks)
	defer time.AfterFunc(enqueueTimeout, stopSending).Stop()
	enqueueing.Wait()
}

// Get returns a revocation. With wait, it returns when the revocation is final, at the latest after wait. The error's code is
// CodeNotFound if the account has no such revocation.
func (s *Service) Get(ctx context.Context, account string, id revocation.ID, wait time.Duration) (revocation.Revocation, error) {
	if wait <= 0 {
		return s.store.Revocation(ctx, account, id)
	}
	w := s.waiters.register(id)
	defer w.close()
	r, err := s.store.Revocation(ctx, account, id)
	if err != nil {
		return revocation.Revocation{}, err
	}
	return s.await(ctx, w, wait, &r, func(r *revocation.Revocation) bool { return r.Final })
}

// List returns a page of revocations, newest first.
func (s *Service) List(ctx context.Context, f revocation.Filter) (revocation.Page[revocation.Revocation], error) {
	return s.store.Revocations(ctx, f)
}
