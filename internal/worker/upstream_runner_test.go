package worker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"rescind/internal/worker"
	"rescind/internal/worktest"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// line is an upstream whose calls a test admits and answers one by one.
type line struct {
	admit  chan struct{} // nil: at once
	begun  chan revocation.Call
	answer chan revocation.Reply
}

func (l *line) Admit(ctx context.Context, _ revocation.Target) error {
	if l.admit == nil {
		return ctx.Err()
	}
	select {
	case <-l.admit:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *line) Revoke(_ context.Context, _ revocation.Target, reportID int64, notify bool) revocation.Reply {
	l.begun <- revocation.Call{ReportID: reportID, Notify: notify}
	return <-l.answer
}

// call waits for the next call.
func (l *line) call(t *testing.T) revocation.Call {
	t.Helper()
	select {
	case call := <-l.begun:
		return call
	case <-time.After(30 * time.Second):
		t.Fatal("no call was made")
		return revocation.Call{}
	}
}

// onUpstream moves acme to an upstream.
func (w *world) onUpstream(change revocation.UpstreamChange) {
	w.T.Helper()
	address := "https://platform.example"
	change.URL, change.SealedKey = &address, []byte("sealed")
	w.Must(w.Store.SetAccount(w.T.Context(), revocation.AccountChange{ID: "acme", Upstream: &change}))
}

// calling runs acme's account task on store, and returns what it ends with.
func (w *world) calling(ctx context.Context, store worker.UpstreamRunnerStore, l *line) (ended chan error) {
	caller := worker.NewUpstreamRunner(worker.UpstreamRunnerOptions{
		Store: store, Platform: l, Queue: w, Outcomes: w, Policy: worktest.Policy, Log: w.Log,
		Open:     func(context.Context, revocation.Upstream) (revocation.Secret, error) { return "key", nil },
		Stopping: func(context.Context) bool { return false },
	})
	ended = make(chan error, 1)
	go func() { ended <- caller.RunAccountTask(ctx, "acme") }()
	return ended
}

// divert submits a report singly and leaves it to the upstream.
func (w *world) divert(report int64, notify bool) revocation.ID {
	w.T.Helper()
	s := w.Submission(report)
	s.Notify = notify
	s.ID = uuidv7.New()
	accepted, err := w.Store.Submit(w.T.Context(), []revocation.Submission{s})
	w.Must(err)
	if accepted[0].Created {
		_, err = w.Store.CarryOut(w.T.Context(), []revocation.Ref{{Account: "acme", ID: s.ID}}, revocation.Decide)
		w.Must(err)
	}
	return accepted[0].ID
}

func (w *world) ends(ended chan error) {
	w.T.Helper()
	select {
	case err := <-ended:
		w.Must(err)
	case <-time.After(30 * time.Second):
		w.T.Fatal("the account task did not end")
	}
}

var revokedThere = revocation.Reply{Status: revocation.StatusRevoked}

func TestUpstreamRunner_RunAccountTask(t *testing.T) {
	t.Run("a request for an email counts until the call begins, however long the rate keeps it waiting", func(t *testing.T) {
		w, rate := newWorld(t), 10.0
		w.onUpstream(revocation.UpstreamChange{Rate: &rate})
		id := w.divert(1, false)
		l := &line{admit: make(chan struct{}), begun: make(chan revocation.Call), answer: make(chan revocation.Reply)}
		store := refreshes{w.Store, make(chan struct{})}
		ended := w.calling(t.Context(), store, l)
		for range 4 { // reads of the account: at the beginning, and at each refresh
			<-store.read
		}
		if joined := w.divert(1, true); joined != id {
			t.Fatalf("joined %s, want %s", joined, id)
		}
		l.admit <- struct{}{}
		if call := l.call(t); !call.Notify {
			t.Error("the upstream did not get the request for an email")
		}
		if w.divert(1, true); !w.Read(id).Notify {
			t.Error("the request for an email is not shown")
		}
		close(l.admit)
		l.answer <- revokedThere
		w.ends(ended)
		if r := w.Read(id); r.Status != revocation.StatusRevoked || r.Notification.Status != revocation.NotificationDelegated {
			t.Errorf("%s, its email %s", r.Status, r.Notification.Status)
		}
	})
	t.Run("a request for an email after the call began is ignored", func(t *testing.T) {
		w := newWorld(t)
		w.onUpstream(revocation.UpstreamChange{})
		id := w.divert(1, false)
		l := &line{begun: make(chan revocation.Call), answer: make(chan revocation.Reply)}
		ended := w.calling(t.Context(), w.Store, l)
		l.call(t)
		if joined := w.divert(1, true); joined != id || w.Read(id).Notify {
			t.Errorf("joined %s, want %s, with the wish %t", joined, id, w.Read(id).Notify)
		}
		l.answer <- revokedThere
		w.ends(ended)
		if got := w.Read(id).Notification.Status; got != revocation.NotificationNotRequested {
			t.Errorf("its email is %s", got)
		}
	})
	t.Run("a single begins while calls for a job fill all slots but the one that is kept", func(t *testing.T) {
		w, slots := newWorld(t), 3
		w.onUpstream(revocation.UpstreamChange{Concurrency: &slots})
		job := w.Job(20, false)
		l := &line{begun: make(chan revocation.Call), answer: make(chan revocation.Reply)}
		ended := w.calling(t.Context(), w.Store, l)
		l.call(t)
		l.call(t)
		w.divert(50, false)
		if call := l.call(t); call.ReportID != 50 {
			t.Errorf("report %d was called", call.ReportID)
		}
		for range 3 {
			l.answer <- revokedThere
		}
		for range 18 {
			l.call(t)
			l.answer <- revokedThere
		}
		w.ends(ended)
		if got, err := w.Store.Job(t.Context(), "acme", job.ID); err != nil || got.Counts.Revoked != 20 {
			t.Errorf("%+v, %v", got.Counts, err)
		}
	})
	t.Run("a stop ends the session with the calls that have begun, and leaves the rest at once", func(t *testing.T) {
		w, slots := newWorld(t), 3
		w.onUpstream(revocation.UpstreamChange{Concurrency: &slots})
		w.Job(20, false)
		l := &line{begun: make(chan revocation.Call), answer: make(chan revocation.Reply)}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := w.calling(ctx, w.Store, l)
		l.call(t)
		l.call(t)
		stop()
		for range 2 {
			l.answer <- revokedThere
		}
		w.ends(ended)
		calls, err := w.Store.BeginCalls(t.Context(), "acme", 99, 99, time.Hour)
		w.Must(err)
		for _, call := range calls {
			if call.InDoubt {
				t.Errorf("report %d is in doubt", call.ReportID)
			}
		}
		if len(calls) != 18 {
			t.Errorf("%d can be called, want 18", len(calls))
		}
	})
}

// refreshes is a store that tells a test that waits for it of each read of an upstream.
type refreshes struct {
	worker.UpstreamRunnerStore
	read chan struct{}
}

func (r refreshes) Upstream(ctx context.Context, account string) (*revocation.Upstream, error) {
	select {
	case r.read <- struct{}{}:
	default: // nobody waits for it
	}
	return r.UpstreamRunnerStore.Upstream(ctx, account)
}

// renewals is a store that counts the leases that are renewed.
type renewals struct {
	worker.UpstreamRunnerStore
	renewed chan int
}

func (r renewals) ExtendCalls(ctx context.Context, calls []revocation.Call, lease time.Duration) error {
	err := r.UpstreamRunnerStore.ExtendCalls(ctx, calls, lease)
	r.renewed <- len(calls)
	return err
}

// TestUpstreamRunner_AccountChanged: what has begun at the upstream ends there, and is not carried out here meanwhile.
func TestUpstreamRunner_AccountChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	w := newWorld(t)
	w.onUpstream(revocation.UpstreamChange{})
	id := w.divert(1, true)
	l := &line{begun: make(chan revocation.Call), answer: make(chan revocation.Reply)}
	store := renewals{w.Store, make(chan int)}
	ended := w.calling(t.Context(), store, l)
	l.call(t)
	none := ""
	w.Must(w.Store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", Upstream: &revocation.UpstreamChange{URL: &none}}))
	for range 2 { // longer than it takes the session to find out
		select {
		case n := <-store.renewed:
			if n != 1 {
				t.Errorf("%d leases are renewed", n)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the lease is not renewed")
		}
	}
	w.Must(w.Executor(w.Store).RunAccountTask(t.Context(), "acme"))
	if r := w.Read(id); r.HasOutcome() {
		t.Errorf("it is %s while the call is under way", r.Status)
	}
	l.answer <- revokedThere
	w.ends(ended)
	if r := w.Read(id); r.Status != revocation.StatusRevoked || r.Notification.Status != revocation.NotificationDelegated {
		t.Errorf("%s, its email %s", r.Status, r.Notification.Status)
	}
}

// TestUpstreamRunner_Predicted checks that a confirmed job whose account has moved to an upstream, and whose items need no
// calls, is carried out to its end, and that its end is published.
func TestUpstreamRunner_Predicted(t *testing.T) {
	w := newWorld(t)
	final := revocation.FinalJob{
		NewJob: revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", RequestedBy: w.Key, Route: revocation.RouteJobs},
		Total:  2 * revocation.ChunkSize,
	}
	final.Preview, final.PreviewTTL = true, time.Hour
	_, err := w.Store.BeginJob(t.Context(), final.NewJob, time.Hour)
	w.Must(err)
	for first := 0; first < final.Total; first += 500 {
		items := make([]revocation.Item, 500)
		for i := range items {
			row := first + i + 1
			items[i] = revocation.Item{Row: row, ReportID: int64(1_000_000 + row)} // there are no such invites
		}
		w.Must(w.Store.AddItems(t.Context(), final.NewJob, items, time.Hour))
	}
	_, err = w.Store.FinalizeJob(t.Context(), final)
	w.Must(err)
	w.Must(w.Executor(w.Store).RunAccountTask(t.Context(), "acme"))
	_, err = w.Store.ChangeJob(t.Context(), "acme", final.ID, revocation.JobChange{Kind: revocation.ChangeConfirm, By: revocation.ByKey(w.Key)})
	w.Must(err)
	w.onUpstream(revocation.UpstreamChange{})
	w.ends(w.calling(t.Context(), w.Store, &line{begun: make(chan revocation.Call), answer: make(chan revocation.Reply)}))
	job, err := w.Store.Job(t.Context(), "acme", final.ID)
	w.Must(err)
	if job.State != revocation.JobCompleted || job.Counts.NotFound != final.Total || !slices.Contains(w.Published, final.ID) {
		t.Errorf("%s with %+v, published %v", job.State, job.Counts, w.Published)
	}
}
