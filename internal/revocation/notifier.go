package revocation

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// NotificationRef names one email to send: what a task carries.
type NotificationRef struct {
	Account    string
	Revocation ID
	// Claims counts how often a worker had claimed the email when the Ref was made; a Ref is stale after
	// the next.
	Claims int
	// Epoch counts how often it has been enqueued by a dispatcher.
	Epoch int
}

// Email is a notification that a worker has claimed, with what its message says.
type Email struct {
	Account    string
	Revocation ID
	// Claims fences the claim: nothing that this worker writes counts after another has claimed the email.
	Claims int
	// Attempts counts those that have ended at the mail server.
	Attempts int

	// ToName and ToAddress are the candidate's; the address is empty when the invite is gone.
	ToName    string
	ToAddress string
	// Assessment is the name of what the candidate was invited to.
	Assessment string
	// Company and Contact are the account's.
	Company string
	Contact string
}

// Mailer gives emails to a mail server.
type Mailer interface {
	// Deliver hands over one message. Just before the step after which the server may own it, it calls
	// commit, and takes the message back if that fails, giving commit's error. A Mailer that can do the
	// same delivery again without a second message arriving has no such step and never calls commit. Every
	// other error is a *DeliveryError.
	Deliver(ctx context.Context, email Email, commit func(context.Context) error) error
}

// Verdict says what a failed delivery means.
type Verdict string

const (
	// VerdictUnreachable: no server answered, so that the message was not even tried.
	VerdictUnreachable Verdict = "unreachable"
	// VerdictDeferred: refused for now, or broken off before the message was complete.
	VerdictDeferred Verdict = "deferred"
	// VerdictRefused: refused for good.
	VerdictRefused Verdict = "refused"
	// VerdictUnknown: the message was complete, and no answer came.
	VerdictUnknown Verdict = "unknown"
)

// DeliveryError is a failed delivery. It holds the server's code and never its words, which can name the
// candidate.
type DeliveryError struct {
	Verdict Verdict
	// SMTPCode is the server's answer, 0 without one.
	SMTPCode int
	// Cause is a short word for what broke, such as "dial", "timeout" or "tls"; never a server's text.
	Cause string
}

func (e *DeliveryError) Error() string {
	s := "delivery " + string(e.Verdict)
	if e.Cause != "" {
		s += ": " + e.Cause
	}
	return s
}

// NotificationStore keeps the emails' states: PENDING → CLAIMED → COMMITTED → SENT, FAILED or UNKNOWN, and
// back to PENDING for another attempt.
type NotificationStore interface {
	// ClaimNotifications claims those of refs that are PENDING and not stale, for the length of lease.
	ClaimNotifications(ctx context.Context, refs []NotificationRef, lease time.Duration) ([]Email, error)
	// ClaimJobNotifications claims at most limit emails of the account's jobs that are due, oldest first. A
	// claim that has run out is taken over; an email that its worker had committed and not settled becomes
	// UNKNOWN, and unknown is how many did.
	ClaimJobNotifications(ctx context.Context, account string, limit int, lease time.Duration) (emails []Email, unknown int, err error)
	// CommitNotification marks a claimed email COMMITTED and gives its worker lease to settle it. held is
	// false when the claim has run out or was taken over: the message must not be sent then.
	CommitNotification(ctx context.Context, email Email, lease time.Duration) (held bool, err error)
	// SettleNotification ends a claim that is still this worker's. With NotificationPending the email
	// becomes due again after delay.
	SettleNotification(ctx context.Context, email Email, s Settlement) error
}

// Settlement is how a claim ended.
type Settlement struct {
	Status   NotificationStatus
	Attempts int
	Delay    time.Duration
}

// Notifier sends the emails of revoked invites.
type Notifier struct {
	store  NotificationStore
	mailer Mailer
	pace   func(context.Context) error
	// othersWait ends a turn early.
	othersWait func(context.Context) bool
	policy     RetryPolicy
	log        *slog.Logger
	observer   Observer
}

// NotifierOptions are a Notifier's parts.
type NotifierOptions struct {
	Store  NotificationStore
	Mailer Mailer
	// Pace waits until one more message may be sent; nil: at once.
	Pace func(context.Context) error
	// OthersWait tells whether turns of TurnMails are waiting to begin; nil: never.
	OthersWait func(context.Context) bool
	Policy     RetryPolicy
	Log        *slog.Logger
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
		store: o.Store, mailer: o.Mailer, pace: o.Pace, othersWait: o.OthersWait, policy: o.Policy, log: o.Log,
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
	// maxUnreachableDelay bounds the wait for a mail server that is away. It is no attempt, so there is no
	// end to the tries either.
	maxUnreachableDelay = time.Minute
)

// settlePauses are the waits for a database that is away just when a message has been sent: what is not
// settled would be told as UNKNOWN.
var settlePauses = []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second}

var errNotHeld = errors.New("the claim was taken over")

// Send sends the emails of refs that are still to be sent, one after the other. The error that it returns is
// a failure that could not be recorded.
func (n *Notifier) Send(ctx context.Context, refs []NotificationRef) error {
	began := time.Now()
	emails, err := n.store.ClaimNotifications(ctx, refs, claimLease)
	if err != nil {
		return err
	}
	return n.sendAll(ctx, began, emails)
}

// Turn sends emails of the account's jobs until none is due, others wait for their turn, or ctx ends.
func (n *Notifier) Turn(ctx context.Context, account string) error {
	for ctx.Err() == nil {
		began := time.Now()
		emails, unknown, err := n.store.ClaimJobNotifications(ctx, account, maxMailBatch, claimLease)
		if err != nil {
			return err
		}
		tellUnknown(ctx, n.log, n.observer, unknown)
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

// tellUnknown tells of emails whose worker had committed them and never said more, mostly because it was killed.
func tellUnknown(ctx context.Context, log *slog.Logger, observer Observer, count int) {
	if count == 0 {
		return
	}
	for range count {
		observer.Settled(Settlement{Status: NotificationUnknown})
	}
	log.LogAttrs(ctx, slog.LevelWarn, "emails were being sent by a worker that is gone: whether they were is unknown",
		slog.Int("count", count))
}

// sendAll sends what was claimed at the time began.
func (n *Notifier) sendAll(ctx context.Context, began time.Time, emails []Email) (err error) {
	if len(emails) > 0 {
		n.observer.BatchCarriedOut(ClassMail, len(emails))
	}
	// Who waits for a turn past this moment could no longer end what it began.
	turns, cancel := context.WithDeadline(ctx, began.Add(claimLease-sendReserve))
	defer cancel()
	for _, email := range emails {
		s, held := n.attempt(ctx, turns, email)
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
func (n *Notifier) attempt(ctx, turns context.Context, email Email) (s Settlement, held bool) {
	err := n.pace(turns)
	back := Settlement{Status: NotificationPending, Attempts: email.Attempts}
	switch {
	case turns.Err() != nil:
		return back, true
	case err != nil:
		n.log.Warn("no turn for an email: tried again shortly", "error", err)
		back.Delay = releaseDelay
		return back, true
	default:
		return n.send(ctx, email)
	}
}

// send delivers one email and says how that settles it; held is false when the claim was lost, and with it
// the right to settle.
func (n *Notifier) send(ctx context.Context, email Email) (s Settlement, held bool) {
	if email.ToAddress == "" {
		return Settlement{Status: NotificationFailed, Attempts: email.Attempts}, true
	}
	err := n.mailer.Deliver(ctx, email, func(ctx context.Context) error {
		held, err := n.store.CommitNotification(ctx, email, CommitLease)
		if err == nil && !held {
			err = errNotHeld
		}
		return err
	})
	if errors.Is(err, errNotHeld) {
		return Settlement{}, false
	}
	if err != nil {
		n.complain(ctx, email, err)
	}
	return n.settlement(email, err), true
}

// complain tells the operator why a delivery failed: a mail server that refuses the password, or that has
// been away for long, is theirs to mend.
func (n *Notifier) complain(ctx context.Context, email Email, err error) {
	attrs := []slog.Attr{
		slog.String("account_id", email.Account), slog.String("revocation_id", email.Revocation.String()),
		slog.Any("error", err),
	}
	if failure, ok := errors.AsType[*DeliveryError](err); ok && failure.SMTPCode != 0 {
		attrs = append(attrs, slog.Int("smtp_code", failure.SMTPCode))
	}
	n.log.LogAttrs(ctx, slog.LevelWarn, "delivery failed", attrs...)
}

func (n *Notifier) settlement(email Email, err error) Settlement {
	if err == nil {
		return Settlement{Status: NotificationSent, Attempts: email.Attempts + 1}
	}
	ended := email.Attempts + 1
	failure, ok := errors.AsType[*DeliveryError](err)
	if !ok {
		// The commit failed: nothing was sent, and the mail server is not to blame.
		failure = &DeliveryError{Verdict: VerdictUnreachable, Cause: "database"}
	}
	switch failure.Verdict {
	case VerdictUnknown:
		return Settlement{Status: NotificationUnknown, Attempts: ended}
	case VerdictRefused:
		return Settlement{Status: NotificationFailed, Attempts: ended}
	case VerdictDeferred:
		if n.policy.Exhausted(ended) {
			return Settlement{Status: NotificationFailed, Attempts: ended}
		}
		return Settlement{Status: NotificationPending, Attempts: ended, Delay: n.policy.Delay(ended)}
	default:
		delay := min(n.policy.Delay(email.Claims), maxUnreachableDelay)
		return Settlement{Status: NotificationPending, Attempts: email.Attempts, Delay: delay}
	}
}

func (n *Notifier) settle(ctx context.Context, email Email, s Settlement) error {
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
