package submission

import (
	"context"
	"sync"
	"time"

	"rescind/internal/revocation"
)

const (
	// watchInterval is how often a watched job is read.
	watchInterval = 500 * time.Millisecond
	// watchTimeout bounds one read.
	watchTimeout = 5 * time.Second
)

// watches are the watched jobs. One goroutine reads each of them, however many requests watch it.
type watches struct {
	mu   sync.Mutex
	jobs map[revocation.ID]*watch
}

type watch struct {
	account string
	id      revocation.ID
	wake    chan struct{} // of capacity 1
	// reads counts the reads that have begun. watchers contains the value that it had when each watcher came: an earlier read
	// may be older than what the watcher knows already.
	reads    int
	watchers map[*JobWatch]int
}

// JobWatch receives the states of a job.
type JobWatch struct {
	all   *watches
	watch *watch
	jobs  chan revocation.Job // of capacity 1: a slow reader receives only the newest state
}

// Jobs returns a channel that receives the job about twice a second, and as soon as it has ended or waits for a person or a time.
// The channel is closed after that, and when the job does not exist any more or the service drains. Each job that it receives
// was read after WatchJob was called.
func (w *JobWatch) Jobs() <-chan revocation.Job { return w.jobs }

// Close ends the watch. The channel of Jobs then receives nothing more; it may stay open.
func (w *JobWatch) Close() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	delete(w.watch.watchers, w)
}

// WatchJob watches a job until the watch is closed. The caller must know that the account has the job.
func (s *Service) WatchJob(account string, id revocation.ID) *JobWatch {
	ws := s.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.jobs[id]
	if w == nil {
		w = &watch{account: account, id: id, wake: make(chan struct{}, 1), watchers: make(map[*JobWatch]int)}
		ws.jobs[id] = w
		go s.poll(w)
	}
	jw := &JobWatch{all: ws, watch: w, jobs: make(chan revocation.Job, 1)}
	w.watchers[jw] = w.reads
	return jw
}

// poll reads a job for all its watchers until there are none.
func (s *Service) poll(w *watch) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		s.watches.beginRead(w)
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

func (ws *watches) beginRead(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w.reads++
}

// publish sends what was read to the watchers that came before the read, and ends their watches if the job has ended or waits.
// It returns false if the job need not be read again.
func (ws *watches) publish(w *watch, job revocation.Job, err error) bool {
	if err != nil && revocation.ErrorCode(err) == revocation.CodeNotFound {
		ws.end(w)
		return false
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for jw, before := range w.watchers {
		if err != nil || before == w.reads {
			continue
		}
		select {
		case <-jw.jobs: // discard an older state
		default:
		}
		jw.jobs <- job
		if job.Idle() {
			close(jw.jobs)
			delete(w.watchers, jw)
		}
	}
	if len(w.watchers) == 0 {
		delete(ws.jobs, w.id)
		return false
	}
	return true
}

// end ends all watches of a job.
func (ws *watches) end(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.jobs, w.id)
	for jw := range w.watchers {
		close(jw.jobs)
	}
	clear(w.watchers)
}

// refresh makes a watched job be read at once.
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
