package revocation

import "context"

// Queue sends tasks to the workers. It may lose any of them: the dispatcher finds in the database what was lost.
type Queue interface {
	// EnqueueRevocations sends a batch as one task. The task's id is made of the first Ref and the dispatch count, so a
	// batch that is sent twice is queued once.
	EnqueueRevocations(ctx context.Context, dispatchCount int, batch []Ref) error
	// EnqueueNotifications sends a batch of emails in the same way.
	EnqueueNotifications(ctx context.Context, batch []NotificationRef) error
	// EnqueueAccountTasks sends the account tasks of a kind for each account: a few, which can run at the same time. A
	// task that is queued or running already is not added. So the number of tasks in the queue does not grow with the
	// size of a job, and every account gets its fair share.
	EnqueueAccountTasks(ctx context.Context, kind AccountTask, accounts []string) error
	// Ready returns an error if nothing can be enqueued now.
	Ready(ctx context.Context) error
}

// AccountTask is a kind of account task. The worker that runs the task finds in the database what there is to do for the
// account.
type AccountTask string

const (
	// JobsTask carries out the items of the account's jobs.
	JobsTask AccountTask = "jobs"
	// UpstreamTask makes the account's calls to its upstream.
	UpstreamTask AccountTask = "upstream"
	// MailTask sends the emails of the account's jobs.
	MailTask AccountTask = "mails"
)

// Outcomes wakes the requests that wait for outcomes, in all processes.
type Outcomes interface {
	// Publish announces that revocations or jobs have changed and can be read again. Announcements may be lost.
	Publish(ctx context.Context, ids []ID) error
}

// NotificationRef identifies one email to send. Tasks carry it.
type NotificationRef struct {
	Account    string
	Revocation ID
	// Claims counts how often workers had claimed the email when the NotificationRef was made. The next claim makes the
	// NotificationRef stale.
	Claims int
	// DispatchCount counts how often a dispatcher has enqueued the email.
	DispatchCount int
}
