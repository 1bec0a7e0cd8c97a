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
	// othersWait ends a turn early.
	othersWait func(context.Context) bool
	policy     revocation.RetryPolicy
	maxAge     time.Duration
	outage     outage
	log        *slog.Logger
	observer   Observer
}

// NotifierOptions are a Notifier's parts.
type NotifierOptions struct {
	Store  revocation.NotificationStore
	Mailer revocation.Mailer
	// Pace waits until one more message may be sent; nil: at once.
	Pace func(context.Context) error
	// OthersWait tells whether turns of MailTask are waiting to begin; nil: never.
	OthersWait func(context.Context) bool
	// Policy says when a temporary refusal is tried again; its MaxAttempts does not count here.
	Policy revocation.RetryPolicy
	// MaxAge is how long after the first temporary refusal of an email it is tried again.
	MaxAge time.Duration
	Log    *slog.Logger
	// Observer is told of what was done; nil: nobody.
	Observer Observer
}

// NewNotifier makes a Notifier.
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
	// claimLease is how long a worker may hold a batch of emails before another may take them.
	claimLease = 90 * time.Second
	// sendReserve is what must be left of it to begin with one more message: the time that a Mailer may take
	// up to the commit.
	sendReserve = 45 * time.Second
	// CommitLease is how long a worker may take from the commit to the answer. A Mailer must give up before.
	CommitLease = 90 * time.Second
	// maxServerDelay bounds the wait for a mail server that is away, or takes no message from this sender. With the
	// time that finding it away can take, the server is tried at least once a minute.
	maxServerDelay = 40 * time.Second
	// outageStep is how often a turn that waits for the mail server asks whether it has to end.
	outageStep = time.Second
)

// settlePauses are the waits for a database that is away just when a message has been sent: what is not
// settled would be told as UNKNOWN.
var settlePauses = []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second}

var errNotHeld = errors.New("the claim was taken over")

// Send sends the emails of refs that are still to be sent, one after the other. The error that it returns is
// a failure that could not be recorded.
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

// RunAccountTask sends emails of the account's jobs until none is due, others wait for their turn, or ctx ends.
func (n *Notifier) RunAccountTask(ctx context.Context, account string) error {
	for ctx.Err() == nil {
		if wait := n.outage.wait(); wait > 0 {
			// Without claiming and handing back what waits, over and over.
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

// reportUnknown tells of emails whose worker had committed them and never said more, mostly because it was killed.
func reportUnknown(ctx context.Context, log *slog.Logger, observer Observer, count int) {
	if count == 0 {
		return
	}
	for range count {
		observer.Settled(revocation.Settlement{Status: revocation.NotificationUnknown})
	}
	log.LogAttrs(ctx, slog.LevelWarn, "emails were being sent by a worker that is gone: whether they were is unknown",
		slog.Int("count", count))
}

// sendAll sends what was claimed at the time began.
func (n *Notifier) sendAll(ctx context.Context, began time.Time, emails []revocation.Email) (err error) {
	if len(emails) > 0 {
		n.observer.BatchCarriedOut(revocation.ClassMail, len(emails))
	}
	// Who waits for a turn past this moment could no longer end what it began.
	turns, cancel := context.WithDeadline(ctx, began.Add(claimLease-sendReserve))
	defer cancel()
	for _, email := range emails {
		s, held := n.attempt(ctx, turns, began, email)
		if !held {
			continue
		}
		if settleErr := n.settle(ctx, email, s); settleErr != nil {
			err = settleErr
		}
	}
	return err
}

// attempt waits for the email's turn and sends it. Without a turn the email is handed back.
func (n *Notifier) attempt(ctx, turns context.Context, claimed time.Time, email revocation.Email) (s revocation.Settlement, held bool) {
	back := revocation.Settlement{Status: revocation.NotificationPending, Attempts: email.Attempts}
	if back.Delay = n.outage.wait(); back.Delay > 0 {
		return back, true
	}
	err := n.pace(turns)
	switch {
	case turns.Err() != nil:
		return back, true
	case err != nil:
		n.log.Warn("no turn for an email: tried again shortly", "error", err)
		back.Delay = releaseDelay
		return back, true
	}
	if back.Delay = n.outage.enter(n.policy); back.Delay > 0 {
		return back, true
	}
	return n.send(ctx, claimed, email)
}

// send delivers one email and says how that settles it; held is false when the claim was lost, and with it
// the right to settle.
func (n *Notifier) send(ctx context.Context, claimed time.Time, email revocation.Email) (s revocation.Settlement, held bool) {
	if email.ToAddress == "" {
		return revocation.Settlement{Status: revocation.NotificationFailed, Attempts: email.Attempts}, true
	}
	began := time.Now()
	err := n.mailer.Deliver(ctx, email, func(ctx context.Context) error {
		held, err := n.store.CommitNotification(ctx, email, CommitLease)
		if err == nil && !held {
			err = errNotHeld
		}
		return err
	})
	if errors.Is(err, errNotHeld) {
		return revocation.Settlement{}, false
	}
	if err == nil {
		n.outage.learn(n.policy, began, nil)
		return revocation.Settlement{Status: revocation.NotificationSent, Attempts: email.Attempts + 1}, true
	}
	failure, ok := errors.AsType[*revocation.DeliveryError](err)
	if !ok {
		// The commit failed: nothing was sent, and the mail server is not to blame.
		failure = &revocation.DeliveryError{Verdict: revocation.VerdictUnreachable, Reason: revocation.ReasonDatabase}
	}
	n.outage.learn(n.policy, began, failure)
	n.observer.DeliveryFailed(failure.Reason)
	n.logFailure(ctx, email, failure, err)
	var age time.Duration
	if email.Deferred > 0 {
		age = email.Deferred + time.Since(claimed)
	}
	return n.settlement(email, age, failure), true
}

// logFailure tells the operator why a delivery failed: a mail server that refuses the password, or that has
// been away for long, is theirs to mend.
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

// settlement says what becomes of an email whose delivery failed; age is the time since its first temporary refusal.
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
		// An earlier refusal was about this email. This one may be as well, so it does not prolong the email's time.
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

// waiting has an email wait for its server, without limit.
func (n *Notifier) waiting(s revocation.Settlement, email revocation.Email) revocation.Settlement {
	s.Status, s.Delay = revocation.NotificationPending, min(n.policy.Delay(email.Claims), maxServerDelay)
	return s
}

// deferred has an email that was refused for now tried again until it has the greatest age, and a last time then.
func (n *Notifier) deferred(s revocation.Settlement, age time.Duration) revocation.Settlement {
	if age >= n.maxAge {
		s.Status = revocation.NotificationFailed
		return s
	}
	s.Status, s.Delay = revocation.NotificationPending, min(n.policy.Delay(s.Attempts), n.maxAge-age)
	return s
}

func (n *Notifier) settle(ctx context.Context, email revocation.Email, s revocation.Settlement) error {
	// What was sent is recorded even if the worker is told to stop meanwhile.
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
