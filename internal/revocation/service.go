package revocation

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rescind/internal/batch"
)

// ReadStore reads revocations back.
type ReadStore interface {
	// Revocation gives one by its id; CodeNotFound when the account has none such.
	Revocation(ctx context.Context, account string, id ID) (Revocation, error)
	// Revocations returns a page of those that f selects, newest first.
	Revocations(ctx context.Context, f Filter) (Page[Revocation], error)
}

// ServiceStore is what a Service needs of a store.
type ServiceStore interface {
	SubmissionStore
	ReadStore
	JobStore
}

// Queue carries work to the workers. It may lose everything: the dispatcher finds what was lost.
type Queue interface {
	// EnqueueRevocations sends one batch. Its task is named by the first Ref and dispatch count, so that sending it
	// twice is the same as once.
	EnqueueRevocations(ctx context.Context, dispatchCount int, batch []Ref) error
	// EnqueueNotifications sends one batch of emails, named likewise.
	EnqueueNotifications(ctx context.Context, batch []NotificationRef) error
	// EnqueueAccountTasks gives each account its turns of a kind, a few that can go on side by side. One that is
	// queued or under way already is not added, so that what a job holds in the queue is bounded whatever its
	// size, and every account gets its fair share.
	EnqueueAccountTasks(ctx context.Context, kind AccountTask, accounts []string) error
	// Ready tells why nothing can be enqueued now; nil when it can.
	Ready(ctx context.Context) error
}

// AccountTask is a kind of work that accounts take turns in: whoever carries out a turn finds in the database what
// there is to do for the account.
type AccountTask string

const (
	// JobsTask carries out the items of the account's jobs.
	JobsTask AccountTask = "jobs"
	// UpstreamTask makes the account's calls to its upstream.
	UpstreamTask AccountTask = "upstream"
	// MailTask sends the emails of its jobs.
	MailTask AccountTask = "mails"
)

// Service accepts revocations and tells how far they have come. Make it with NewService and keep Run going
// while it is used.
type Service struct {
	store    ServiceStore
	queue    Queue
	newID    func() ID
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
	Queue Queue
	// NewID makes ids of UUID version 7, rising within a process.
	NewID    func() ID
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
	drained := make(chan struct{})
	s := &Service{
		store: o.Store, queue: o.Queue, newID: o.NewID, log: o.Log, observer: observing(o.Observer),
		locked:      newLocked(),
		tasks:       make(chan task, waitingTasks),
		accountWork: make(chan accountWork, waitingAccountWork),
		waiters:     newWaiters(),
		watches:     &watches{jobs: make(map[ID]*watch)},
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
func (s *Service) Get(ctx context.Context, account string, id ID, wait time.Duration) (Revocation, error) {
	if wait <= 0 {
		return s.store.Revocation(ctx, account, id)
	}
	w := s.waiters.register(id)
	defer w.close()
	r, err := s.store.Revocation(ctx, account, id)
	if err != nil {
		return Revocation{}, err
	}
	return s.await(ctx, w, wait, &r, func(r *Revocation) bool { return r.Final })
}

// List returns a page of revocations, newest first.
func (s *Service) List(ctx context.Context, f Filter) (Page[Revocation], error) {
	return s.store.Revocations(ctx, f)
}
