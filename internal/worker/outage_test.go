package worker_test

import (
	"context"
	"testing"
	"time"

	"rescind/internal/worker"
	"rescind/internal/worktest"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

func TestNotifier_Outage(t *testing.T) {
	const emails = 5
	hour := revocation.RetryPolicy{Base: time.Hour, Max: time.Hour, MaxAttempts: 1}
	failing := func(failure revocation.DeliveryError) *postman {
		return &postman{deliver: func(func() error) error { return &failure }}
	}
	notifier := func(w *world, mailer revocation.Mailer, policy revocation.RetryPolicy) *worker.Notifier {
		return worker.NewNotifier(worker.NotifierOptions{
			Store: unclaimed{w.Store}, Mailer: mailer, Policy: policy, MaxAge: time.Hour, Log: w.Log,
			OthersWait: func(context.Context) bool { return true },
		})
	}
	unreachable := revocation.DeliveryError{Verdict: revocation.VerdictUnreachable, Reason: revocation.ReasonDNS}

	t.Run("one email finds that the server is away, and the others wait", func(t *testing.T) {
		w := newWorld(t)
		w.Must(w.Executor(w.Store).CarryOut(t.Context(), w.accept(emails, true)))
		man := failing(unreachable)
		n := notifier(w, man, hour)
		w.Must(n.Send(t.Context(), w.Mails))
		if man.tried != 1 {
			t.Errorf("%d emails were tried", man.tried)
		}
		w.Must(n.Send(t.Context(), w.Mails))
		w.Must(n.RunAccountTask(t.Context(), "acme")) // claims nothing
		if man.tried != 1 {
			t.Errorf("%d emails were tried before the pause was over", man.tried)
		}
		for _, ref := range w.Mails {
			if got := w.Read(ref.Revocation).Notification; got != (revocation.Notification{Status: revocation.NotificationPending}) {
				t.Errorf("settled as %+v", got)
			}
		}
	})
	t.Run("when it is back, all are sent", func(t *testing.T) {
		w := newWorld(t)
		w.Must(w.Executor(w.Store).CarryOut(t.Context(), w.accept(emails, true)))
		man := failing(unreachable)
		n := notifier(w, man, worktest.Policy)
		due := w.Mails
		for until := time.Now().Add(30 * time.Second); man.arrived < emails; {
			if time.Now().After(until) {
				t.Fatalf("%d of %d arrived, %d were tried", man.arrived, emails, man.tried)
			}
			w.Must(n.Send(t.Context(), due))
			if man.tried >= 3 {
				man.deliver = func(commit func() error) error { return commit() }
			}
			var err error
			due, _, err = w.Store.ClaimDueNotifications(t.Context(), emails, []time.Duration{time.Hour})
			w.Must(err)
		}
	})
	for name, failure := range map[string]revocation.DeliveryError{
		"what a server refuses when it knows the recipient": {Verdict: revocation.VerdictServer, Reason: revocation.ReasonPolicy},
		"a recipient that is refused for now":               {Verdict: revocation.VerdictDeferred, Reason: revocation.ReasonRecipient},
		"a recipient that is refused":                       {Verdict: revocation.VerdictRefused, Reason: revocation.ReasonRecipient},
		"an address that is none":                           {Verdict: revocation.VerdictRefused, Reason: revocation.ReasonAddress},
		"a database that is away":                           {Verdict: revocation.VerdictUnreachable, Reason: revocation.ReasonDatabase},
	} {
		t.Run(name+" does not hold up the others", func(t *testing.T) {
			w := newWorld(t)
			w.Must(w.Executor(w.Store).CarryOut(t.Context(), w.accept(emails, true)))
			man := failing(failure)
			w.Must(notifier(w, man, hour).Send(t.Context(), w.Mails))
			if man.tried != emails {
				t.Errorf("%d of %d emails were tried", man.tried, emails)
			}
		})
	}
}

// unclaimed is a store whose emails of jobs must not be claimed.
type unclaimed struct{ *sqlite.Store }

func (unclaimed) ClaimJobNotifications(context.Context, string, string, int, time.Duration) ([]revocation.Email, int, error) {
	panic("claimed while the server is away")
}
