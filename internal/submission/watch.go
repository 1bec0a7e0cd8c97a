package submission

import (
	"context"
	"sync"
	"time"

	"rescind/internal/revocation"
)

const (
	// watchInterval is how often a job that somebody watches is read.
	watchInterval = 500 * time.Millisecond
	// watchTimeout bounds one such reading.
	watchTimeout = 5 * time.Second
)

// watches are the jobs that somebody follows: each is read by one goroutine, however many follow it.
type watches struct {
	mu   sync.Mutex
	jobs map[revocation.ID]*watch
}

type watch struct {
	account   string
	id        revocation.ID
	wake      chan struct{} // of capacity 1
	followers map[*JobWatch]struct{}
}

// JobWatch follows a job.
type JobWatch struct {
	all   *watches
	watch *watch
	jobs  chan revocation.Job // of capacity 1: who is slow sees the newest alone
}

// Jobs gives the job as it stands, about twice a second and at once when it has ended. It is closed after that,
// and when the job is no more or the service drains.
func (w *JobWatch) Jobs() <-chan revocation.Job { return w.jobs }

// Close ends the watch.
func (w *JobWatch) Close() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	delete(w.watch.followers, w)
}

// WatchJob follows a job until the watch is closed. The account has been found to have the job.
func (s *Service) WatchJob(account string, id revocation.ID) *JobWatch {
	ws := s.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.jobs[id]
	if w == nil {
		w = &watch{account: account, id: id, wake: make(chan struct{}, 1), followers: make(map[*JobWatch]struct{})}
		ws.jobs[id] = w
		go s.follow(w)
	}
	f := &JobWatch{all: ws, watch: w, jobs: make(chan revocation.Job, 1)}
	w.followers[f] = struct{}{}
	return f
}

// follow reads the job for all who follow it, until nobody does or there is nothing more to see.
func (s *Service) follow(w *watch) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), watchTimeout)
		job, err := s.store.Job(ctx, w.account, w.id)
		cancel()
		if !s.watches.publish(w, job, err) {
			return
		}
		select {
		case <-tick.C:
		case <-w.wake:
		case <-s.drained:
			s.watches.end(w)
			return
		}
	}
}

// publish hands a reading to all who follow; false when that was the last.
func (ws *watches) publish(w *watch, job revocation.Job, err error) bool {
	gone := revocation.ErrorCode(err) == revocation.CodeNotFound && err != nil
	ws.mu.Lock()
	for f := range w.followers {
		if err == nil {
			select {
			case <-f.jobs: // an older one
			default:
			}
			f.jobs <- job
		}
	}
	idle := len(w.followers) == 0
	if idle {
		delete(ws.jobs, w.id)
	}
	ws.mu.Unlock()
	if idle {
		return false
	}
	if gone || err == nil && job.Ended() {
		ws.end(w)
		return false
	}
	return true
}

func (ws *watches) end(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.jobs, w.id)
	for f := range w.followers {
		close(f.jobs)
	}
	clear(w.followers)
}

// refresh has a job that somebody watches read at once.
func (ws *watches) refresh(id revocation.ID) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w := ws.jobs[id]; w != nil {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
