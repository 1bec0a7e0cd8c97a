package revocation

import (
	"context"
	"time"
)

// SubmissionStore makes submissions durable.
type SubmissionStore interface {
	// Submit writes a flush in one transaction and returns an answer to each of its submissions, in their order. If it
	// returns an error, nothing of the flush was written, unless the error's code is CodeOutcomeUnknown. The result is as if
	// the submissions had come one after the other:
	//   - A known idempotency key leads to its revocation, or to CodeIdempotencyMismatch.
	//   - An unknown invite leads to CodeNotFound.
	//   - If a single revocation of the invite is not final, the submission joins it. The email is sent if any of the
	//     submissions requests it. A revocation that waits for its first attempt is due at the earlier of the times.
	//   - Otherwise Submit creates a revocation with the submission's ID, and its work item.
	// An accepted submission binds its idempotency key. A revocation with NotBefore or a hold becomes due at that time, by the
	// database's clock, and no other method of the store carries it out earlier.
	//
	// A locked row must not delay the other submissions. After a short time Submit answers CodeLockTimeout to the submissions
	// that need the row, or returns it for the whole flush if it does not know which do. A submission that changes nothing
	// of the revocation that it joins needs no lock.
	Submit(ctx context.Context, flush []Submission) ([]Accepted, error)
}

// SingleStore cancels and starts single revocations.
//
// The error's code is CodeNotFound if the account does not have the id, and CodeNotSupported if it is an item of a job. It is
// CodeLockTimeout while another transaction has locked the revocation; the caller may try again.
type SingleStore interface {
	// CancelSingle makes a revocation CANCELLED unless it is final, writes the event, and returns the revocation. It changes
	// nothing if the revocation is CANCELLED already. The error's code is CodeAlreadyFinal if the revocation has another
	// outcome, and CodeUnderWay while it is in doubt.
	CancelSingle(ctx context.Context, account string, id ID, by Actor) (Revocation, error)
	// StartSingle makes a revocation due now if it waits for its NotBefore or a hold, and returns it. It changes nothing if
	// the revocation waits for neither. The error's code is CodeAlreadyFinal if the revocation is final.
	StartSingle(ctx context.Context, account string, id ID) (Revocation, error)
}

// ReadStore reads revocations back.
type ReadStore interface {
	// Revocation returns a revocation by its id. The error's code is CodeNotFound if the account does not have it.
	Revocation(ctx context.Context, account string, id ID) (Revocation, error)
	// Revocations returns a page of the revocations that f selects, newest first.
	Revocations(ctx context.Context, f Filter) (Page[Revocation], error)
}

// EventStore reads events.
type EventStore interface {
	// Events returns a page of an account's events. The error's code is CodeInvalid if the event of f.After does not exist, or
	// events after it were deleted.
	Events(ctx context.Context, f EventFilter) (EventPage, error)
	// EventNumbers returns the number of the newest event of each account, 0 for an account without events.
	EventNumbers(ctx context.Context, accounts []string) (map[string]int64, error)
}

// JobStore keeps jobs.
type JobStore interface {
	// BeginJob creates an invisible job for an upload, which is dropped if its lease is not renewed. If the idempotency key is
	// bound to a job, BeginJob creates nothing and returns the binding. The error's code is CodeUploadInProgress if an upload
	// with the key has not ended. The key of a dropped or deleted job can be used again. If job has RetryOf, the code is
	// CodeNotFound if the account does not have that job, and CodeRetryRunning while another retry of it has not ended; the
	// key is checked first. If several callers use the same key or RetryOf at once, one of them creates its job.
	BeginJob(ctx context.Context, job NewJob, lease time.Duration) (bound *Binding, err error)
	// BoundJob returns the binding of the job's idempotency key, or nil if a job may begin with the key. The error's code can
	// be CodeUploadInProgress, as for BeginJob.
	BoundJob(ctx context.Context, job NewJob) (*Binding, error)
	// RenewUpload renews the lease of a job that is being received. The error's code is CodeJobEnded if the upload was dropped.
	RenewUpload(ctx context.Context, job NewJob, lease time.Duration) error
	// AddItems adds items to a job that is being received, and renews the lease. There must be at least one item, and their
	// rows must follow the previous ones. If it fails, it adds none. The error's code is CodeJobEnded if the upload was
	// dropped.
	AddItems(ctx context.Context, job NewJob, items []Item, lease time.Duration) error
	// SelectItems fills a job that is being received and has no items. Its items are the invites that s selects at one
	// moment, in ascending order of their reports. It renews the lease and returns the number of items. After an error the
	// caller must drop the job. The error is ErrNothingSelected if no invite matches, and ErrNotFindable if FoldInvites has
	// work left, of any account, and s selects by the texts that it copies. Its code is CodeTooManyItems if more than limit
	// match, CodeNotSupported if the account's invites are at an upstream, and CodeJobEnded if the upload was dropped.
	SelectItems(ctx context.Context, job NewJob, s Selection, limit int, lease time.Duration) (total int, err error)
	// FinalizeJob applies ChangeAccept to a received job, which makes it visible, and binds its key. The age of the key counts
	// from then on. The error's code is CodeJobEnded if the upload was dropped.
	FinalizeJob(ctx context.Context, final FinalJob) (Job, error)
	// DropJob drops a job that is being received, and frees its key. It does not change a job in another state.
	DropJob(ctx context.Context, account string, id ID) error

	// Job returns a visible job by its id. The error's code is CodeNotFound if the account does not have it.
	Job(ctx context.Context, account string, id ID) (Job, error)
	// Jobs returns a page of an account's jobs, newest first.
	Jobs(ctx context.Context, f JobFilter) (Page[Job], error)
	// Results returns a page of a job's items in the order of their rows, INVALID items too, without CandidateMessage. It
	// returns none for a job that is not visible.
	Results(ctx context.Context, f ResultFilter) (Page[Revocation], error)
	JobChanger
}

// JobChanger changes the states of jobs.
type JobChanger interface {
	// ChangeJob applies change to a job, writes the job and its events in one transaction, and returns the job. Changes of
	// the same job happen one after the other. The error is one of Job.Change, or its code is CodeNotFound as for
	// JobStore.Job.
	ChangeJob(ctx context.Context, account string, id ID, change JobChange) (Job, error)
}

// ExecutionStore carries batches through one transaction each.
type ExecutionStore interface {
	// RevokeFast applies Rule to ordinary single revocations among refs and writes their outcomes. It may skip any of refs, or
	// all of them if a row has changed meanwhile. Its errors are those of CarryOut.
	RevokeFast(ctx context.Context, refs []Ref) (BatchResult, error)
	// CarryOut locks the work items of refs that are not stale, and their invites, in the order of their keys. It skips rows
	// that another transaction has locked. It writes the decisions that decide returns. If it returns an error, nothing was
	// written, unless the error's code is CodeOutcomeUnknown.
	CarryOut(ctx context.Context, refs []Ref, decide func([]LockedRevocation) []Decision) (BatchResult, error)
	// RecordOutcomes is CarryOut without reading or locking the invites, because reading them may be what has failed.
	RecordOutcomes(ctx context.Context, refs []Ref, decide func([]LockedRevocation) []Decision) (BatchResult, error)
}

// BatchResult is what a transaction did.
type BatchResult struct {
	Decisions []Decision
	// Ended contains the jobs that ended with the transaction.
	Ended []ID
	// Locked contains the refs whose work item another transaction had locked. There is no decision about them.
	Locked []Ref
}

// Undecided returns the refs without a decision.
func (c *BatchResult) Undecided(refs []Ref) (left []Ref) {
	decided := make(map[Ref]struct{}, len(c.Decisions))
	for _, d := range c.Decisions {
		decided[d.Ref] = struct{}{}
	}
	for _, ref := range refs {
		if _, ok := decided[ref]; !ok {
			left = append(left, ref)
		}
	}
	return left
}

// BulkStore carries out jobs.
type BulkStore interface {
	// CarryOutChunk makes the first attempt on a chunk of one of the account's jobs that are not being cancelled, and
	// updates the job's counters in the same transaction. It takes the job that was served longest ago and has a chunk
	// that no other transaction has locked. An item whose invite another transaction changed meanwhile, and every item of
	// an account on an upstream, gets a work item instead. The Chunk is zero if there was no chunk. With an error it can
	// name the chunk that failed, of which nothing was written.
	CarryOutChunk(ctx context.Context, account string) (Chunk, error)
	// CancelChunk makes the items of a chunk CANCELLED. The chunk is of one of the account's jobs that are being cancelled.
	// Everything else is as in CarryOutChunk.
	CancelChunk(ctx context.Context, account string) (Chunk, error)
	// SpillChunk writes a work item for each item of a chunk. They are due at once. It does nothing if the chunk was
	// carried out or another transaction has locked it.
	SpillChunk(ctx context.Context, chunk Chunk) error
	// PredictChunk makes a step of the preview of one of the account's PREVIEWING jobs: the one that was served longest ago
	// and that no other transaction has locked. It applies Rule to the items of a chunk and stores their predictions. When all
	// chunks are predicted, it finds duplicates among some of the items instead. It changes no invite. It updates the job's
	// numbers in the same transaction, and writes nothing if the job is not PREVIEWING any more. The result is zero if there
	// was nothing to do.
	PredictChunk(ctx context.Context, account string) (PreviewStep, error)
	// ClaimDueItems claims at most limit due work items of the account that are left to its account tasks.
	// visibilityTimeouts are as for DispatchStore.ClaimDue.
	ClaimDueItems(ctx context.Context, account string, limit int, visibilityTimeouts []time.Duration) ([]DueAttempt, error)
	// ClaimCancelledItems claims at most limit work items of the account's jobs that are being cancelled, due or not,
	// except those that are claimed or in doubt.
	ClaimCancelledItems(ctx context.Context, account string, limit int, visibilityTimeouts []time.Duration) ([]DueAttempt, error)
}

// Chunk is a range of a job's rows, and what was done with them. INVALID rows need not be in any chunk.
type Chunk struct {
	Account string
	Job     ID
	// First and Last are row numbers, from 1.
	First int
	Last  int
	// Done is what was added to the job's counters. Spilled is the number of items that got work items.
	Done    JobCount
	Spilled int
	// Ended reports whether the job ended with this chunk.
	Ended bool
	// MoreWork reports whether the account may have other work than chunks: due items, items to cancel, or jobs to preview. If
	// it is false, there was no such work when the chunk was locked.
	MoreWork bool
}

// PreviewStep is what PredictChunk did.
type PreviewStep struct {
	Job ID
	// Items is the number of items that were predicted; 0 for a step that finds duplicates.
	Items int
	// Complete reports that the predictions of the job are complete: the caller must apply ChangePredicted to it.
	Complete bool
}

// CallStore stores the calls to upstreams.
type CallStore interface {
	// Upstream returns the account's upstream; nil if it has none.
	Upstream(ctx context.Context, account string) (*Upstream, error)
	// BeginCalls begins at most limit calls for due work items of an account on an upstream, single submissions first. At most
	// items of the calls are for items of jobs. The calls belong to the calling worker for the length of lease. BeginCalls
	// marks their rows as in doubt: until the outcome is recorded, the store assumes that the call was made, and ignores a
	// later request for an email. If the job of an item is being cancelled, its call is Cancelled and not in doubt, unless it
	// was in doubt before.
	BeginCalls(ctx context.Context, account string, limit, items int, lease time.Duration) ([]Call, error)
	// ExtendCalls renews the lease of calls that no other worker has begun since. It leaves out the rows that another
	// transaction has locked.
	ExtendCalls(ctx context.Context, calls []Call, lease time.Duration) error
	// HoldUpstream puts the account's upstream on hold for a while and records the reason. It does nothing if the account's URL
	// or key has changed since upstream was read.
	HoldUpstream(ctx context.Context, upstream Upstream, why Hold, length time.Duration) error
	// ReleaseUpstream ends a hold, on the same condition.
	ReleaseUpstream(ctx context.Context, upstream Upstream) error
	// ResealUpstream replaces an account's encrypted key by the same key, encrypted again, on the same condition.
	ResealUpstream(ctx context.Context, upstream Upstream, sealed []byte) error
}

// DispatchStore finds what has to be enqueued. The database's clock decides what is due.
type DispatchStore interface {
	JobChanger
	// PendingWork reads what has to be enqueued, and changes nothing.
	PendingWork(ctx context.Context) (PendingWork, error)
	// ClaimDue claims at most limit due work items of single submissions, oldest first. It skips rows that another transaction
	// has locked. A row that is enqueued for the n-th time counts as lost after visibilityTimeouts[n], or after the last one.
	ClaimDue(ctx context.Context, limit int, visibilityTimeouts []time.Duration) ([]DueAttempt, error)
	// ClaimDueNotifications does the same with the emails of single submissions. It takes over claims that have expired. If
	// the worker had committed such an email, the email becomes UNKNOWN; unknown is the number of these.
	ClaimDueNotifications(ctx context.Context, limit int, visibilityTimeouts []time.Duration) (due []NotificationRef, unknown int, err error)
	// Release releases claims: their rows are due again after delay. It skips rows that have changed since they were claimed.
	Release(ctx context.Context, due []DueAttempt, delay time.Duration) error
	// ReleaseNotifications does the same with emails.
	ReleaseNotifications(ctx context.Context, refs []NotificationRef, delay time.Duration) error
}

// DueAttempt is a revocation that the dispatcher has to enqueue: its next attempt is due, or its task was lost.
type DueAttempt struct {
	Ref
	// DispatchCount counts how often it has been enqueued by a dispatcher, this time included.
	DispatchCount int
	// Waited reports whether the first attempt had to wait for a time, so that only a dispatcher enqueues it. Only ClaimDue
	// sets it.
	Waited bool
}

// AccountWork is an account with work for a kind of account task.
type AccountWork struct {
	Task    AccountTask
	Account string
}

// PendingWork is what there is to do now.
type PendingWork struct {
	// Revocations and Notifications report whether ClaimDue and ClaimDueNotifications would find something.
	Revocations   bool
	Notifications bool
	AccountTasks  []AccountWork
	// Jobs contains jobs that are due or have expired, at most MaxDueJobs of each kind.
	Jobs []DueJob
}

// MaxDueJobs bounds the jobs of a kind in PendingWork, so that their changes do not delay other work for long.
const MaxDueJobs = 50

// DueJob is a job that has to be changed now, by ChangeDue or ChangeExpire.
type DueJob struct {
	Account string
	ID      ID
	Change  JobChangeKind
}

// NotificationStore keeps the emails' states: PENDING → CLAIMED → COMMITTED → SENT, FAILED or UNKNOWN, and
// back to PENDING for another attempt.
type NotificationStore interface {
	// ClaimNotifications claims those of refs that are PENDING and not stale, for the length of lease. sender is the
	// Mailer's.
	ClaimNotifications(ctx context.Context, sender string, refs []NotificationRef, lease time.Duration) ([]Email, error)
	// ClaimJobNotifications claims at most limit due emails of the account's jobs, oldest first. It takes over claims that
	// have expired. If the worker had committed such an email, the email becomes UNKNOWN; unknown is the number of these.
	ClaimJobNotifications(ctx context.Context, sender, account string, limit int, lease time.Duration) (emails []Email, unknown int, err error)
	// CommitNotification marks a claimed email COMMITTED. The worker must settle it within lease. held is false if the claim
	// has expired or was taken over; the caller must not send the message then.
	CommitNotification(ctx context.Context, email Email, lease time.Duration) (held bool, err error)
	// SettleNotification ends a claim that still belongs to this worker. With NotificationPending the email becomes due
	// again after the delay. It stores what Deferred and ServerCleared of later claims are computed from, by the database's
	// clock.
	SettleNotification(ctx context.Context, email Email, s Settlement) error
	// ReleaseNotifications makes emails that no worker has claimed due again after delay; see DispatchStore.
	ReleaseNotifications(ctx context.Context, refs []NotificationRef, delay time.Duration) error
}

// Settlement is how a claim ended.
type Settlement struct {
	Status   NotificationStatus
	Attempts int
	Delay    time.Duration
	// About is the subject of the mail server's refusal, if it refused the email.
	About About
}

// About is the subject of a mail server's refusal.
type About string

const (
	// AboutNothing: the server did not answer, or accepted the email.
	AboutNothing About = ""
	// AboutEmail: the refusal counts, and the first one starts the time for which it is tried again.
	AboutEmail About = "email"
	// AboutServer: the refusal is about the server itself, the sender or the connection, unless the server accepts
	// another message from the sender afterwards.
	AboutServer About = "server"
)

// JanitorStore deletes what is no longer kept, and completes rows of earlier versions, in small steps.
type JanitorStore interface {
	// DropSilentUploads drops the uploads whose lease has expired.
	DropSilentUploads(ctx context.Context) (dropped int, err error)
	// ClearDropped deletes at most limit items or chunks of DROPPED and EXPIRED jobs, with everything that belongs to them,
	// and DROPPED jobs without items. It returns how many it deleted; 0 means that nothing is left.
	ClearDropped(ctx context.Context, limit int) (deleted int, err error)
	// ForgetOld forgets the candidates of at most limit invites, of all accounts, that were sent longer ago than age by the
	// database's clock; see InviteStore.Forget. It returns how many; 0 means that no such invite is left.
	ForgetOld(ctx context.Context, age time.Duration, limit int) (forgotten int, err error)
	// Expire drops jobs, and deletes single revocations and idempotency keys, that ended longer ago than retention
	// by the database's clock: at most limit of each kind. It returns how many; 0 means that nothing is left.
	Expire(ctx context.Context, retention time.Duration, limit int) (expired int, err error)
	// FoldInvites makes at most limit invites findable that were stored by a version without search. It returns how many; 0
	// means that nothing is left.
	FoldInvites(ctx context.Context, limit int) (folded int, err error)
	// ExpireEvents deletes at most limit events that are older than retention by the database's clock, the oldest of an
	// account first. It keeps the newest event of each account, so that a cursor at that event stays valid. It returns how
	// many it deleted; 0 means that nothing is left.
	ExpireEvents(ctx context.Context, retention time.Duration, limit int) (deleted int, err error)
}

// BacklogStore counts the work that is not done yet.
type BacklogStore interface {
	// Backlog counts all classes. It changes and locks nothing. It takes up to a second if a million rows wait.
	Backlog(ctx context.Context) (Backlog, error)
}

// IDSkew is how far the clock of a process that makes ids may be ahead of the database's clock. Old rows are found by the time
// in their ids, plus IDSkew. If a clock was further ahead, its rows are deleted later.
const IDSkew = 2 * time.Hour
