package postgres_test

import (
	"slices"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// emails revokes invites, each with an email, and returns the references that tasks would carry.
func (w *world) emails() []revocation.NotificationRef {
	w.t.Helper()
	_, err := w.other.Exec(w.t.Context(), `UPDATE work_items SET notify = true`)
	w.must(err)
	_, err = w.store.CarryOut(w.t.Context(), w.refs, revocation.Decide)
	w.must(err)
	refs := make([]revocation.NotificationRef, len(w.refs))
	for i, ref := range w.refs {
		refs[i] = revocation.NotificationRef{Account: ref.Account, Revocation: ref.ID}
	}
	return refs
}

// Two tasks that contain the same emails in opposite orders wait for each other's locks only briefly, and do not deadlock.
func TestStore_OverlappingEmailTasks(t *testing.T) {
	const emails, rounds = 200, 40
	backwards := func(refs []revocation.NotificationRef) []revocation.NotificationRef {
		refs = slices.Clone(refs)
		slices.Reverse(refs)
		return refs
	}
	t.Run("are claimed, each email once", func(t *testing.T) {
		w := newWorld(t, emails)
		refs := w.emails()
		for range rounds {
			claimed := make(chan int, 2)
			for _, task := range [][]revocation.NotificationRef{refs, backwards(refs)} {
				go func() {
					got, err := w.store.ClaimNotifications(t.Context(), "sender", task, 0)
					if err != nil {
						t.Error(err)
					}
					claimed <- len(got)
				}()
			}
			if n := <-claimed + <-claimed; n != emails {
				t.Fatalf("%d claimed, want %d", n, emails)
			}
			var err error
			refs, _, err = w.store.ClaimDueNotifications(t.Context(), emails, []time.Duration{time.Hour})
			w.must(err)
		}
	})
	t.Run("are released", func(t *testing.T) {
		w := newWorld(t, emails)
		refs := w.emails()
		released := make(chan error, 2)
		for _, task := range [][]revocation.NotificationRef{refs, backwards(refs)} {
			go func() {
				for range rounds {
					if err := w.store.ReleaseNotifications(t.Context(), task, time.Hour); err != nil {
						released <- err
						return
					}
				}
				released <- nil
			}()
		}
		for range 2 {
			if err := <-released; err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("so are revocations", func(t *testing.T) {
		w := newWorld(t, emails)
		var due []revocation.DueAttempt
		for _, ref := range w.refs {
			due = append(due, revocation.DueAttempt{Ref: ref})
		}
		released := make(chan error, 2)
		other := slices.Clone(due)
		slices.Reverse(other)
		for _, task := range [][]revocation.DueAttempt{due, other} {
			go func() {
				for range rounds {
					if err := w.store.Release(t.Context(), task, time.Hour); err != nil {
						released <- err
						return
					}
				}
				released <- nil
			}()
		}
		for range 2 {
			if err := <-released; err != nil {
				t.Error(err)
			}
		}
	})
}
