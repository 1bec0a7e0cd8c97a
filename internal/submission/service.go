package submission

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rescind/internal/revocation"

	"rescind/internal/batch"
)

// ServiceStore is what a Service needs of a store.
type ServiceStore interface {
	revocation.SubmissionStore
	revocation.ReadStore
	revocation.JobStore
}

// Service accepts revocations and tells how far they have come. Make it with NewService and keep Run going
// while it is used.
type Service struct {
	store    ServiceStore
	queue    revocation.Queue
	newID    func() revocation.ID
	log      *slog.Logger
	observer Observer

	submissions *batch.Batcher[*pending]
	locked      *locked
	tasks       chan task
	accountWork chan accountWork
	waiters     *waiters
	watches     *watches
	drain       func() // closes drained, once
	drained     chan struct{}
}

var errStopped = errors.New("the service has stopped")

// ServiceOptions are a Service's parts; all are needed, but for the Observer.
type ServiceOptions struct {
	Store ServiceStore
	Queue revocation.Queue
	// NewID makes ids of UUID version 7, rising within a process.
	NewID    func() revocation.ID
	Log      *slog.Logger
	Observer Observer
}

const (
	// waitingTasks bounds what is kept for a Redis that is slow; what is beyond is left to the dispatcher.
	waitingTasks       = 1024
	waitingAccountWork = 64
	// lastEnqueue bounds the time that a stop takes for batches not yet sent; the dispatcher finds the rest.
	lastEnqueue = 2 * time.Second
)

// NewService makes a Service.
func NewService(o ServiceOptions) *Service {
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	drained := make(chan struct{})
	s := &Service{
		store: o.Store, queue: o.Queue, newID: o.NewID, log: o.Log, observer: o.Observer,
		locked:      newLocked(),
		tasks:       make(chan task, waitingTasks),
		accountWork: make(chan accountWork, waitingAccountWork),
		waiters:     newWaiters(),
		watches:     &watches{jobs: make(map[revocation.ID]*watch)},
		drain:       sync.OnceFunc(func() { close(drained) }),
		drained:     drained,
	}
	s.submissions = batch.New(submissionBatches, s.flush)
	return s
}

// Drain answers those who wait for an outcome with what there is, from now on. Call it before the server
// that takes the requests is told to shut down, and end Run after that.
func (s *Service) Drain() { s.drain() }

// Draining is closed when Drain is called: what has no end of its own should come to one.
func (s *Service) Draining() <-chan struct{} { return s.drained }

// Run writes submissions and sends tasks until ctx ends and all that has come is written. It can run once.
func (s *Service) Run(ctx context.Context) {
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	retrying, stopRetrying := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRetrying()
	var waiting, enqueueing sync.WaitGroup
	enqueueing.Go(func() { s.enqueue(sending) })
	enqueueing.Go(func() { s.enqueueTurns(ctx) })
	waiting.Go(func() { s.retryLocked(retrying) })
	<-ctx.Done()
	s.submissions.Close()
	stopRetrying()
	waiting.Wait()
	close(s.tasks)
	defer time.AfterFunc(lastEnqueue, stopSending).Stop()
	enqueueing.Wait()
}

// Get gives a revocation. With wait it returns when the revocation is final, at the latest after wait.
// CodeNotFound when the account has none such.
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
