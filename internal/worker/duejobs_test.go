package worker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/uuidv7"
	"rescind/internal/worker"
)

// onePoll is a store that stops its caller when it polls a second time with no job due.
type onePoll struct {
	*sqlite.Store
	changed bool
	stop    func()
}

func (s *onePoll) PendingWork(ctx context.Context) (revocation.PendingWork, error) {
	pending, err := s.Store.PendingWork(ctx)
	if len(pending.Jobs) > 0 {
		s.changed = true
	} else if s.changed {
		s.stop()
	}
	return pending, err
}

func TestDispatcher_BeginsJobsThatAreDue(t *testing.T) {
	w := newWorld(t)
	upload := revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", RequestedBy: w.Key, Route: revocation.RouteJobs}
	_, err := w.Store.BeginJob(t.Context(), upload, time.Hour)
	w.Must(err)
	w.Must(w.Store.AddItems(t.Context(), upload, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
	job, err := w.Store.FinalizeJob(t.Context(), revocation.FinalJob{
		NewJob: upload, Total: 1, JobValues: revocation.JobValues{NotBefore: time.Now().Add(200 * time.Millisecond)},
	})
	w.Must(err)
	if job.State != revocation.JobScheduled {
		t.Fatalf("%s before its time", job.State)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	worker.NewDispatcher(worker.DispatcherOptions{
		Store: &onePoll{Store: w.Store, stop: stop}, Queue: w, Log: slog.New(slog.DiscardHandler), Interval: time.Millisecond,
	}).Run(ctx)
	if job, err = w.Store.Job(t.Context(), "acme", job.ID); err != nil || job.State != revocation.JobQueued {
		t.Errorf("%s after its time: %v", job.State, err)
	}
	if job.QueuedAt.Before(job.DueAt) {
		t.Errorf("begun at %v, due at %v", job.QueuedAt, job.DueAt)
	}
}
