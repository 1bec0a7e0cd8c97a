package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rescind/internal/revocation"
)

// Notifier sends the emails of revoked invites.
type Notifier struct {
	store  revocation.NotificationStore
	mailer revocation.Mailer
	pace   func(context.Context) error
	// othersWait reports whether an account task should end early.
	othersWait func(context.Context) bool
	policy     revocation.RetryPolicy
	maxAge     time.Duration
	outage     outage
	log        *slog.Logger
	observer   Observer
}

// NotifierOptions are the dependencies of a Notifier. All are required but Pace, OthersWait and Observer.
type NotifierOptions struct {
	Store  revocation.NotificationStore
	Mailer revocation.Mailer
	// Pace waits until one more message may be sent; nil means that there is no limit.
	Pace func(context.Context) error
	// OthersWait reports whether other MailTasks wait for a free slot; nil means never.
	OthersWait func(context.Context) bool
	// Policy determines when an email is retried. Its MaxAttempts is ignored.
	Policy revocation.RetryPolicy
	// MaxAge is how long after its first temporary refusal an email is retried.
	MaxAge time.Duration
	Log    *slog.Logger
	// Observer counts what was done; it may be nil.
	Observer Observer
}

// NewNotifier returns a Notifier.
func NewNotifier(o NotifierOptions) *Notifier {
	if o.Pace == nil {
		o.Pace = func(context.Context) error { return nil }
	}
	if o.OthersWait == nil {
		o.OthersWait = func(context.Context) bool { return false }
	}
	return &Notifier{
		store: o.Store, mailer: o.Mailer, pace: o.Pace, othersWait: o.OthersWait, policy: o.Policy,
		maxAge: o.MaxAge, log: o.Log,
		observer: observing(o.Observer),
	}
}

const (
	// claimLease is how long a worker owns a batch of emails before another worker may claim them.
	claimLease = 90 * time.Second
	// sendReserve is how much of claimLease must be left to begin a message: the time that a Mailer may take until the
	// commit.
	sendReserve = 45 * time.Second
	// CommitLease is how long a worker may take from the commit to the server's answer. A Mailer must time out before.
	CommitLease = 90 * time.Second
	// maxServerDelay bounds the delay of emails while the mail server is unavailable, or accepts no message from this
	// sender. With the time that an attempt can take, there is at least one a minute.
	maxServerDelay = 40 * time.Second
	// outageStep is how often an account task that waits for the mail server checks whether it should end.
	outageStep = time.Second
)

// settlePauses are the pauses before outcomes are written again, if the database fails just after a message was sent or a
// call was made. An outcome that is not written is UNKNOWN, or stays in doubt.
var settlePauses = []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second}

var errClaimLost = errors.New("the claim has expired or was taken over")

// Send sends the emails of refs that are not sent yet, one after the other. It returns only an error that could not be
// recorded.
func (n *Notifier) Send(ctx context.Context, refs []revocation.NotificationRef) error {
	if wait := n.outage.wait(); wait > 0 {
		return n.store.ReleaseNotifications(ctx, refs, wait)
	}
	began := time.Now()
	claiming, cancel := finishing(ctx)
	defer cancel()
	emails, err := n.store.ClaimNotifications(claiming, n.mailer.Sender(), refs, claimLease)
	if err != nil {
		return err
	}
	return n.sendAll(ctx, began, emails)
}

// RunAccountTask sends emails of the account's jobs until no email is due, other account tasks wait, or ctx ends. It returns only
// an error that could not be recorded.
func (n *Notifier) RunAccountTask(ctx context.Context, account string) error {
	for ctx.Err() == nil {
		if wait := n.outage.wait(); wait > 0 {
			// Emails are not claimed meanwhile: they would only have to be released again.
			select {
			case <-time.After(min(wait, outageStep)):
			case <-ctx.Done():
			}
			if n.othersWait(ctx) {
				return nil
			}
			continue
		}
		began := time.Now()
		claiming, cancel := finishing(ctx)
		emails, unknown, err := n.store.ClaimJobNotifications(claiming, n.mailer.Sender(), account, maxMailBatch, claimLease)
		cancel()
		if err != nil {
			return err
		}
		reportUnknown(ctx, n.log, n.observer, unknown)
		if len(emails) == 0 {
			return nil
		}
		if err := n.sendAll(ctx, began, emails); err != nil {
			return err
		}
		if n.othersWait(ctx) {
			return nil
		}
	}
	return nil
}

// reportUnknown logs and counts emails that became UNKNOWN, because their worker had committed them and did not settle them.
// Mostly such a worker was killed.
func reportUnknown(ctx context.Context, log *slog.Logger, observer Observer, count int) {
	if count == 0 {
		return
	}
	for range count {
		observer.Settled(revocation.Settlement{Status: revocation.NotificationUnknown})
	}
	log.LogAttrs(ctx, slog.LevelWarn, "emails were being sent by a worker that stopped: it is unknown whether they were sent",
		slog.Int("count", count))
}

// sendAll sends the emails that were claimed at the time began.
func (n *Notifier) sendAll(ctx context.Context, began time.Time, emails []revocation.Email) (err error) {
	if len(emails) > 0 {
		n.observer.BatchCarriedOut(revocation.ClassMail, len(emails))
	}
	// After this deadline the rest of the lease is too short to send one more message.
	sending, cancel := context.WithDeadline(ctx, began.Add(claimLease-sendReserve))
	defer cancel()
	for _, email := range emails {
		s, held := n.attempt(ctx, sending, began, email)
		if !held {
			continue
		}
		if settleErr := n.settle(ctx, email, s); settleErr != nil {
			err = settleErr
		}
	}
	return err
}

// attempt waits until the pace and an outage allow the email, and sends it. If they do not before sending ends, attempt
// releases the email. held is false if the claim was lost: the email must not be settled then.
func (n *Notifier) attempt(ctx, sending context.Context, claimed time.Time, email revocation.Email) (s revocation.Settlement, held bool) {
	release := revocation.Settlement{Status: revocation.NotificationPending, Attempts: email.Attempts}
	if release.Delay = n.outage.wait(); release.Delay > 0 {
		return release, true
	}
	err := n.pace(sending)
	switch {
	case sending.Err() != nil:
		return release, true
	case err != nil:
		n.log.Warn("mail pace not available: email retried shortly", "error", err)
		release.Delay = releaseDelay
		return release, true
	}
	if release.Delay = n.outage.enter(n.policy); release.Delay > 0 {
		return release, true
	}
	return n.send(ctx, claimed, email)
}

// send delivers one email and returns how it must be settled. held is false if the claim was lost: the email must not be
// settled then.
func (n *Notifier) send(ctx context.Context, claimed time.Time, email revocation.Email) (s revocation.Settlement, held bool) {
	if email.Forgotten {
		return revocation.Settlement{Status: revocation.NotificationSkipped, Attempts: email.Attempts}, true
	}
	if email.ToAddress == "" {
		return revocation.Settlement{Status: revocation.NotificationFailed, Attempts: email.Attempts}, true
	}
	began := time.Now()
	err := n.mailer.Deliver(ctx, email, func(ctx context.Context) error {
		held, err := n.store.CommitNotification(ctx, email, CommitLease)
		if err == nil && !held {
			err = errClaimLost
		}
		return err
	})
	if errors.Is(err, errClaimLost) {
		return revocation.Settlement{}, false
	}
	if err == nil {
		n.outage.record(n.policy, began, nil)
		return revocation.Settlement{Status: revocation.NotificationSent, Attempts: email.Attempts + 1}, true
	}
	failure, ok := errors.AsType[*revocation.DeliveryError](err)
	if !ok {
		// The commit failed: nothing was sent, and the mail server is not the cause.
		failure = &revocation.DeliveryError{Verdict: revocation.VerdictUnreachable, Reason: revocation.ReasonDatabase}
	}
	n.outage.record(n.policy, began, failure)
	n.observer.DeliveryFailed(failure.Reason)
	n.logFailure(ctx, email, failure, err)
	var age time.Duration
	if email.Deferred > 0 {
		age = email.Deferred + time.Since(claimed)
	}
	return n.settlement(email, age, failure), true
}

// logFailure logs why a delivery failed. The operator may have to act, for example if the mail server refuses the
// password.
func (n *Notifier) logFailure(ctx context.Context, email revocation.Email, failure *revocation.DeliveryError, err error) {
	attrs := []slog.Attr{
		slog.String("account_id", email.Account), slog.String("revocation_id", email.Revocation.String()),
		slog.Any("error", err), slog.String("reason", string(failure.Reason)),
	}
	if failure.Step != "" {
		attrs = append(attrs, slog.String("step", failure.Step))
	}
	if failure.SMTPCode != 0 {
		attrs = append(attrs, slog.Int("smtp_code", failure.SMTPCode))
	}
	if failure.SMTPStatus != "" {
		attrs = append(attrs, slog.String("smtp_status", failure.SMTPStatus))
	}
	n.log.LogAttrs(ctx, slog.LevelWarn, "delivery failed", attrs...)
}

// settlement returns how an email whose delivery failed must be settled. age is the time since its first temporary refusal.
func (n *Notifier) settlement(email revocation.Email, age time.Duration, failure *revocation.DeliveryError) revocation.Settlement {
	ended := email.Attempts + 1
	switch failure.Verdict {
	case revocation.VerdictUnknown:
		return revocation.Settlement{Status: revocation.NotificationUnknown, Attempts: ended}
	case revocation.VerdictRefused:
		return revocation.Settlement{Status: revocation.NotificationFailed, Attempts: ended, About: revocation.AboutEmail}
	case revocation.VerdictDeferred:
		return n.deferred(revocation.Settlement{Attempts: ended, About: revocation.AboutEmail}, age)
	case revocation.VerdictServer:
		s := revocation.Settlement{Attempts: email.Attempts, About: revocation.AboutServer}
		if email.Deferred == 0 {
			return n.waiting(s, email)
		}
		// An earlier refusal was about this email. This one may be too, so the email does not get more time.
		s = n.deferred(s, age)
		if !email.ServerCleared {
			s.Delay = min(s.Delay, maxServerDelay)
		}
		return s
	default:
		s := revocation.Settlement{Attempts: email.Attempts}
		if failure.SMTPCode != 0 {
			s.About = revocation.AboutServer
		}
		return n.waiting(s, email)
	}
}

// waiting makes an email wait for the mail server, without a limit.
func (n *Notifier) waiting(s revocation.Settlement, email revocation.Email) revocation.Settlement {
	s.Status, s.Delay = revocation.NotificationPending, min(n.policy.Delay(email.Claims), maxServerDelay)
	return s
}

// deferred makes an email that was refused temporarily be retried until age is n.maxAge. The last attempt is then.
func (n *Notifier) deferred(s revocation.Settlement, age time.Duration) revocation.Settlement {
	if age >= n.maxAge {
		s.Status = revocation.NotificationFailed
		return s
	}
	s.Status, s.Delay = revocation.NotificationPending, min(n.policy.Delay(s.Attempts), n.maxAge-age)
	return s
}

func (n *Notifier) settle(ctx context.Context, email revocation.Email, s revocation.Settlement) error {
	// The outcome is recorded even if the worker stops meanwhile.
	ctx = context.WithoutCancel(ctx)
	err := n.store.SettleNotification(ctx, email, s)
	for _, pause := range settlePauses {
		if err == nil {
			break
		}
		time.Sleep(pause)
		err = n.store.SettleNotification(ctx, email, s)
	}
	if err == nil {
		n.observer.Settled(s)
	}
	n.log.LogAttrs(ctx, slog.LevelInfo, "email attempt ended",
		slog.String("account_id", email.Account), slog.String("revocation_id", email.Revocation.String()),
		slog.String("status", string(s.Status)), slog.Int("attempt", s.Attempts))
	return err
}
