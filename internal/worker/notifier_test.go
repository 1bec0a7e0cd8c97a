package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"rescind/internal/worker"
	"rescind/internal/worktest"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

// postman delivers as the test says, and counts what arrived.
type postman struct {
	deliver func(commit func() error) error
	tried   int
	arrived int
	sender  string
}

func (p *postman) Sender() string { return p.sender }

func (p *postman) Deliver(ctx context.Context, _ revocation.Email, commit func(context.Context) error) error {
	p.tried++
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
		{"deferred is retried", verdict(revocation.VerdictDeferred), 1, revocation.NotificationPending, 1, 0},
		{"deferred is retried, however often", verdict(revocation.VerdictDeferred), 2 * worktest.Policy.MaxAttempts, revocation.NotificationPending, 2 * worktest.Policy.MaxAttempts, 0},
		{"an unreachable server is no attempt and has no limit", verdict(revocation.VerdictUnreachable), 5, revocation.NotificationPending, 0, 0},
		{"a server that refuses for its own reasons is no attempt and has no limit", verdict(revocation.VerdictServer), 5, revocation.NotificationPending, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			ref := w.revokedWithEmail()
			man := &postman{deliver: test.deliver}
			n := w.notifier(w.Store, man)
			for claims := range test.times {
				ref.Claims = claims
				w.Must(n.Send(t.Context(), []revocation.NotificationRef{ref}))
			}
			got := w.Read(ref.Revocation).Notification
			if want := (revocation.Notification{Status: test.want, Attempts: test.attempts}); got != want || man.arrived != test.arrived {
				t.Errorf("%+v with %d arrived, want %+v with %d", got, man.arrived, want, test.arrived)
			}
		})
	}
	t.Run("what is deferred is tried until it is too old, and a last time then", func(t *testing.T) {
		w := newWorld(t)
		ref := w.revokedWithEmail()
		n := w.aging(&postman{deliver: verdict(revocation.VerdictDeferred)}, time.Microsecond)
		for claims, want := range []revocation.Notification{
			{Status: revocation.NotificationPending, Attempts: 1}, {Status: revocation.NotificationFailed, Attempts: 2},
		} {
			ref.Claims = claims
			w.Must(n.Send(t.Context(), []revocation.NotificationRef{ref}))
			if got := w.Read(ref.Revocation).Notification; got != want {
				t.Errorf("after %d claims %+v, want %+v", claims+1, got, want)
			}
		}
	})
	t.Run("a refusal that seemed to be about the server counts once another message was accepted after it", func(t *testing.T) {
		for name, tt := range map[string]struct {
			sender string // of the other message
			maxAge time.Duration
			want   []revocation.Notification
		}{
			"and is tried again until the email is too old": {"a", time.Microsecond, []revocation.Notification{
				{Status: revocation.NotificationPending}, {Status: revocation.NotificationFailed, Attempts: 1},
			}},
			"like any other": {"a", time.Hour, []revocation.Notification{
				{Status: revocation.NotificationPending},
				{Status: revocation.NotificationPending, Attempts: 1},
				{Status: revocation.NotificationPending, Attempts: 2},
			}},
			"but not one from another sender": {"b", time.Microsecond, []revocation.Notification{
				{Status: revocation.NotificationPending}, {Status: revocation.NotificationPending}, {Status: revocation.NotificationPending},
			}},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				w.Must(w.Executor(w.Store).CarryOut(t.Context(), w.accept(5, true)))
				ref, others := w.Mails[0], w.Mails[1:]
				n := w.aging(&postman{sender: "a", deliver: verdict(revocation.VerdictServer)}, tt.maxAge)
				for claims, want := range tt.want {
					ref.Claims = claims
					w.Must(n.Send(t.Context(), []revocation.NotificationRef{ref}))
					if got := w.Read(ref.Revocation).Notification; got != want {
						t.Errorf("after %d claims %+v, want %+v", claims+1, got, want)
					}
					other := w.aging(&postman{sender: tt.sender, deliver: func(commit func() error) error { return commit() }}, tt.maxAge)
					w.Must(other.Send(t.Context(), others[claims:claims+1]))
				}
			})
		}
	})
	t.Run("a refusal that counts ends the email's time, also when the server accepts nothing more", func(t *testing.T) {
		w := newWorld(t)
		w.Must(w.Executor(w.Store).CarryOut(t.Context(), w.accept(2, true)))
		ref, other := w.Mails[0], w.Mails[1]
		refusing := &postman{deliver: verdict(revocation.VerdictServer)}
		w.Must(w.aging(refusing, time.Hour).Send(t.Context(), []revocation.NotificationRef{ref}))
		accepting := &postman{deliver: func(commit func() error) error { return commit() }}
		w.Must(w.aging(accepting, time.Hour).Send(t.Context(), []revocation.NotificationRef{other}))
		for claims, tt := range []struct {
			mailer *postman
			maxAge time.Duration
			want   revocation.NotificationStatus
		}{
			{refusing, time.Hour, revocation.NotificationPending},
			{&postman{deliver: verdict(revocation.VerdictUnreachable)}, time.Microsecond, revocation.NotificationPending},
			{refusing, time.Microsecond, revocation.NotificationFailed},
		} {
			ref.Claims = claims + 1
			w.Must(w.aging(tt.mailer, tt.maxAge).Send(t.Context(), []revocation.NotificationRef{ref}))
			if got, want := w.Read(ref.Revocation).Notification, (revocation.Notification{Status: tt.want, Attempts: 1}); got != want {
				t.Errorf("after %d claims %+v, want %+v", claims+2, got, want)
			}
		}
	})
	t.Run("a doubled task sends one email", func(t *testing.T) {
		w := newWorld(t)
		ref := w.revokedWithEmail()
		man := &postman{deliver: func(commit func() error) error { return commit() }}
		n := w.notifier(w.Store, man)
		w.Must(n.Send(t.Context(), []revocation.NotificationRef{ref, ref}))
		w.Must(n.Send(t.Context(), []revocation.NotificationRef{ref}))
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
			w.Must(w.Store.Resume(t.Context()))
			other := &postman{deliver: func(commit func() error) error { return commit() }}
			again := ref
			again.Claims++
			w.Must(w.notifier(w.Store, other).Send(t.Context(), []revocation.NotificationRef{again}))
			if other.arrived != 1 {
				t.Error("the other worker could not send it")
			}
			return commit()
		}
		w.Must(w.notifier(w.Store, man).Send(t.Context(), []revocation.NotificationRef{ref}))
		got := w.Read(ref.Revocation).Notification
		if man.arrived != 0 || got.Status != revocation.NotificationSent || got.Attempts != 1 {
			t.Errorf("%d arrived twice, settled as %+v", man.arrived, got)
		}
	})
	t.Run("a database that is away at the commit stops the message", func(t *testing.T) {
		w := newWorld(t)
		ref := w.revokedWithEmail()
		man := &postman{deliver: func(commit func() error) error { return commit() }}
		w.Must(w.notifier(uncommitting{w.Store}, man).Send(t.Context(), []revocation.NotificationRef{ref}))
		got := w.Read(ref.Revocation).Notification
		if man.arrived != 0 || got.Status != revocation.NotificationPending || got.Attempts != 0 {
			t.Errorf("%d arrived, settled as %+v", man.arrived, got)
		}
	})
	t.Run("a worker that stops hands its emails back", func(t *testing.T) {
		w := newWorld(t)
		ref := w.revokedWithEmail()
		ctx, stop := context.WithCancel(t.Context())
		n := worker.NewNotifier(worker.NotifierOptions{
			Store: w.Store, Mailer: &postman{}, Policy: worktest.Policy, Log: w.Log,
			Pace: func(context.Context) error { stop(); return ctx.Err() },
		})
		w.Must(n.Send(ctx, []revocation.NotificationRef{ref}))
		due, _, err := w.Store.ClaimDueNotifications(t.Context(), 10, []time.Duration{time.Minute})
		w.Must(err)
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
	w.T.Helper()
	refs := w.accept(1, true)
	w.Must(w.Executor(w.Store).CarryOut(w.T.Context(), refs))
	return w.Mails[0]
}

func (w *world) notifier(store revocation.NotificationStore, mailer revocation.Mailer) *worker.Notifier {
	return worker.NewNotifier(worker.NotifierOptions{
		Store: store, Mailer: mailer, Policy: worktest.Policy, MaxAge: time.Hour, Log: w.Log,
	})
}

// aging is a notifier for which an email is too old maxAge after it was first deferred.
func (w *world) aging(mailer revocation.Mailer, maxAge time.Duration) *worker.Notifier {
	return worker.NewNotifier(worker.NotifierOptions{
		Store: w.Store, Mailer: mailer, Policy: worktest.Policy, MaxAge: maxAge, Log: w.Log,
	})
}
