package revocation

import "context"

// Queue carries work to the workers. It may lose everything: the dispatcher finds what was lost.
type Queue interface {
	// EnqueueRevocations sends one batch. Its task is named by the first Ref and dispatch count, so that sending it
	// twice is the same as once.
	EnqueueRevocations(ctx context.Context, dispatchCount int, batch []Ref) error
	// EnqueueNotifications sends one batch of emails, named likewise.
	EnqueueNotifications(ctx context.Context, batch []NotificationRef) error
	// EnqueueAccountTasks gives each account its turns of a kind, a few that can go on side by side. One that is
	// queued or under way already is not added, so that what a job holds in the queue is bounded whatever its
	// size, and every account gets its fair share.
	EnqueueAccountTasks(ctx context.Context, kind AccountTask, accounts []string) error
	// Ready tells why nothing can be enqueued now; nil when it can.
	Ready(ctx context.Context) error
}

// AccountTask is a kind of work that accounts take turns in: whoever carries out a turn finds in the database what
// there is to do for the account.
type AccountTask string

const (
	// JobsTask carries out the items of the account's jobs.
	JobsTask AccountTask = "jobs"
	// UpstreamTask makes the account's calls to its upstream.
	UpstreamTask AccountTask = "upstream"
	// MailTask sends the emails of its jobs.
	MailTask AccountTask = "mails"
)

// Outcomes tells whoever waits, in any process, that there is something new to read about ids. It may lose
// them.
type Outcomes interface {
	Publish(ctx context.Context, ids []ID) error
}

// NotificationRef names one email to send: what a task carries.
type NotificationRef struct {
	Account    string
	Revocation ID
	// Claims counts how often a worker had claimed the email when the Ref was made; a Ref is stale after
	// the next.
	Claims int
	// DispatchCount counts how often it has been enqueued by a dispatcher.
	DispatchCount int
}
