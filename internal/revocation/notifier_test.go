package revocation_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

// postman delivers as the test says, and counts what arrived.
type postman struct {
	deliver func(commit func() error) error
	arrived int
}

func (p *postman) Deliver(ctx context.Context, _ revocation.Email, commit func(context.Context) error) error {
	err := p.deliver(func() error { return commit(ctx) })
	if err == nil {
		p.arrived++
	}
	return err
}

func TestNotifier_Send(t *testing.T) {
	verdict := func(v revocation.Verdict) func(func() error) error {
		return func(commit func() error) error {
			if v == revocation.VerdictUnknown {
				if err := commit(); err != nil {
					return err
				}
			}
			return &revocation.DeliveryError{Verdict: v}
		}
	}
	for _, test := range []struct {
		name     string
		deliver  func(func() error) error
		times    int
		want     revocation.NotificationStatus
		attempts int
		arrived  int
	}{
		{"delivered", func(commit func() error) error { return commit() }, 1, revocation.NotificationSent, 1, 1},
		{"delivered without a commit", func(func() error) error { return nil }, 1, revocation.NotificationSent, 1, 1},
		{"refused is final", verdict(revocation.VerdictRefused), 1, revocation.NotificationFailed, 1, 0},
		{"no answer after the commit is never sent again", verdict(revocation.VerdictUnknown), 2, revocation.NotificationUnknown, 1, 0},
		{"deferred comes again", verdict(revocation.VerdictDeferred), 1, revocation.NotificationPending, 1, 0},
		{"deferred too often has failed", verdict(revocation.VerdictDeferred), 3, revocation.NotificationFailed, 3, 0},
		{"an unreachable server is no attempt and has no limit", verdict(revocation.VerdictUnreachable), 5, revocation.NotificationPending, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			ref := w.revokedWithEmail()
			man := &postman{deliver: test.deliver}
			n := w.notifier(w.store, man)
			for claims := range test.times {
				ref.Claims = claims
				w.must(n.Send(t.Context(), []revocation.NotificationRef{ref}))
			}
			got := w.read(ref.Revocation).Notification
			if want := (revocation.Notification{Status: test.want, Attempts: test.attempts}); got != want || man.arrived != test.arrived {
				t.Errorf("%+v with %d arrived, want %+v with %d", got, man.arrived, want, test.arrived)
			}
		})
	}
	t.Run("a doubled task sends one email", func(t *testing.T) {
		w := newWorld(t)
		ref := w.revokedWithEmail()
		man := &postman{deliver: func(commit func() error) error { return commit() }}
		n := w.notifier(w.store, man)
		w.must(n.Send(t.Context(), []revocation.NotificationRef{ref, ref}))
		w.must(n.Send(t.Context(), []revocation.NotificationRef{ref}))
		if man.arrived != 1 {
			t.Errorf("%d arrived", man.arrived)
		}
	})
	t.Run("a worker that lost its claim takes the message back and settles nothing", func(t *testing.T) {
		w := newWorld(t)
		ref := w.revokedWithEmail()
		man := &postman{}
		man.deliver = func(commit func() error) error {
			// Meanwhile the claim has run out, and another worker has sent the email.
			w.must(w.store.Resume(t.Context()))
			other := &postman{deliver: func(commit func() error) error { return commit() }}
			again := ref
			again.Claims++
			w.must(w.notifier(w.store, other).Send(t.Context(), []revocation.NotificationRef{again}))
			if other.arrived != 1 {
				t.Error("the other worker could not send it")
			}
			return commit()
		}
		w.must(w.notifier(w.store, man).Send(t.Context(), []revocation.NotificationRef{ref}))
		got := w.read(ref.Revocation).Notification
		if man.arrived != 0 || got.Status != revocation.NotificationSent || got.Attempts != 1 {
			t.Errorf("%d arrived twice, settled as %+v", man.arrived, got)
		}
	})
	t.Run("a database that is away at the commit stops the message", func(t *testing.T) {
		w := newWorld(t)
		ref := w.revokedWithEmail()
		man := &postman{deliver: func(commit func() error) error { return commit() }}
		w.must(w.notifier(uncommitting{w.store}, man).Send(t.Context(), []revocation.NotificationRef{ref}))
		got := w.read(ref.Revocation).Notification
		if man.arrived != 0 || got.Status != revocation.NotificationPending || got.Attempts != 0 {
			t.Errorf("%d arrived, settled as %+v", man.arrived, got)
		}
	})
	t.Run("a worker that stops hands its emails back", func(t *testing.T) {
		w := newWorld(t)
		ref := w.revokedWithEmail()
		ctx, stop := context.WithCancel(t.Context())
		n := revocation.NewNotifier(revocation.NotifierOptions{
			Store: w.store, Mailer: &postman{}, Policy: policy, Log: w.log,
			Pace: func(context.Context) error { stop(); return ctx.Err() },
		})
		w.must(n.Send(ctx, []revocation.NotificationRef{ref}))
		due, _, err := w.store.ClaimDueNotifications(t.Context(), 10, []time.Duration{time.Minute})
		w.must(err)
		if len(due) != 1 || due[0].Claims != 1 {
			t.Errorf("due: %+v", due)
		}
	})
}

type uncommitting struct{ *sqlite.Store }

func (uncommitting) CommitNotification(context.Context, revocation.Email, time.Duration) (bool, error) {
	return false, &revocation.Error{Code: revocation.CodeConnectionLost, Err: errors.New("away")}
}

func (w *world) revokedWithEmail() revocation.NotificationRef {
	w.t.Helper()
	refs := w.accept(1, true)
	w.must(w.executor(w.store).CarryOut(w.t.Context(), refs))
	return w.mails[0]
}

func (w *world) notifier(store revocation.NotificationStore, mailer revocation.Mailer) *revocation.Notifier {
	return revocation.NewNotifier(revocation.NotifierOptions{Store: store, Mailer: mailer, Policy: policy, Log: w.log})
}
