package postgres_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"rescind/internal/submission"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// absent is a queue that accepts all tasks and has no worker.
type absent struct{}

func (absent) EnqueueRevocations(context.Context, int, []revocation.Ref) error { return nil }

func (absent) EnqueueNotifications(context.Context, []revocation.NotificationRef) error { return nil }

func (absent) EnqueueAccountTasks(context.Context, revocation.AccountTask, []string) error {
	return nil
}

func (absent) Ready(context.Context) error { return nil }

// service runs a Service on the store until the test ends.
func (w *world) service() *submission.Service {
	service := submission.NewService(submission.ServiceOptions{
		Store: w.store, Queue: absent{}, NewID: uuidv7.New, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); service.Run(ctx) }()
	w.t.Cleanup(func() { stop(); <-ended })
	return service
}

// The tests below have the invites up to known. Those up to underWay have a revocation under way.
const known, underWay = 300, 100

func TestService_LockedRows(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	asking := func(report int64, notify bool, key string) revocation.Submission {
		return revocation.Submission{Account: "acme", ReportID: report, Notify: notify, IdempotencyKey: key}
	}
	const work = `(account_id, revocation_id, report_id, single, notify, requested_by, next_check_at)
		VALUES ('acme', gen_random_uuid(), 200, true, false, gen_random_uuid(), now())`
	for name, c := range map[string]struct {
		lock    string // what another transaction does without committing
		blocked revocation.Submission
		joined  []revocation.Submission // of the same invite, answered without the lock
	}{
		"a work item that is locked": {
			`SELECT FROM work_items WHERE report_id = 1 FOR UPDATE`, asking(1, true, ""),
			[]revocation.Submission{asking(1, false, ""), asking(1, false, "k")},
		},
		"a work item whose outcome is not committed": {
			`DELETE FROM work_items WHERE report_id = 1`, asking(1, true, "k"),
			[]revocation.Submission{asking(1, false, ""), asking(1, false, "j")},
		},
		"many work items whose outcomes are not committed": {
			`DELETE FROM work_items WHERE report_id < 90`, asking(1, true, ""),
			[]revocation.Submission{asking(2, false, ""), asking(3, false, "")},
		},
		"a work item that is not committed": {
			`INSERT INTO work_items ` + work, asking(200, false, ""), nil,
		},
		"an idempotency key that is not committed": {
			`INSERT INTO idempotency_keys VALUES ('acme', 'revoke', 'k', sha256(''), gen_random_uuid())`, asking(200, false, "k"), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, underWay)
			invites := make([]revocation.Invite, known)
			for i := range invites {
				invites[i] = revocation.Invite{ReportID: int64(i + 1), SentAt: time.Now()}
			}
			w.must(w.store.UpsertInvites(t.Context(), "acme", invites))
			service := w.service()
			release := w.hold(c.lock)
			began := time.Now()
			blocked := make(chan error, 1)
			go func() {
				_, err := service.Submit(t.Context(), c.blocked, 0)
				blocked <- err
			}()
			var others sync.WaitGroup
			submit := func(s revocation.Submission) {
				others.Go(func() {
					if _, err := service.Submit(t.Context(), s, 0); err != nil {
						t.Errorf("invite %d: %v", s.ReportID, err)
					}
				})
			}
			for report := range int64(90) { // some join what is under way, some are new
				submit(asking(report+91, true, ""))
			}
			for _, s := range c.joined {
				submit(s)
			}
			others.Wait()
			t.Logf("the others were answered after %s", time.Since(began).Round(time.Millisecond))
			select {
			case err := <-blocked:
				t.Errorf("who needs the lock was answered before it was released: %v", err)
			default:
			}
			release()
			if err := <-blocked; err != nil {
				t.Errorf("released: %v", err)
			}
		})
	}
	t.Run("who needs the lock for too long is told, and nothing was written", func(t *testing.T) {
		w := newWorld(t, 1)
		service := w.service()
		release := w.hold(`SELECT FROM work_items WHERE report_id = 1 FOR UPDATE`)
		_, err := service.Submit(t.Context(), asking(1, true, "k"), 0)
		if revocation.ErrorCode(err) != revocation.CodeLockTimeout {
			t.Errorf("error %v", err)
		}
		release()
		_, err = service.Submit(t.Context(), asking(1, false, "k"), 0) // the key is free
		w.must(err)
	})
}
