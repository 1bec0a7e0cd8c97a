// Package revocation is the domain that all other packages share: accounts, invites, revocations and jobs with their
// states, the rule that decides an outcome, the decisions about batches, the retry policy, the errors, and the
// interfaces of the stores and the queue. It does no I/O and imports nothing but the standard library.
//
// Package submission accepts requests and makes them durable; package worker carries them out. API processes use the one,
// workers the other. Both call the interfaces that stand here, and packages such as postgres, sqlite, queue, mail and
// upstream implement them.
//
// The database is the truth: a request is a row before it is answered, and its outcome is that row. The queue carries
// only ids and may lose them all: the worker's Dispatcher finds in the database what is due and what was lost.
//
// # A single revocation
//
//	submission.Service.Submit ── one transaction for a batch of requests ──▶ work item
//	       │                                                                   │
//	       └─ task with ids ─▶ queue ─▶ worker.Executor ── Rule ── one transaction a batch ──▶ revocation with its outcome
//	                             ▲                                             │
//	      worker.Dispatcher ─────┘  due or lost work items, unsent emails ◀────┘
//
// # A job
//
//	submission.JobUpload ── batches of items, each committed, not visible ── Finalize ──▶ QUEUED, with its chunks
//	                                                                                          │
//	Dispatcher, Finalize ─ account task ─▶ queue ─▶ worker.Executor ── claims a chunk, one transaction ◀──┘
//	                                                      └──── items that failed and are due again
//
// An account task carries the account's id and nothing else: the worker that runs it asks the database what there is to
// do. An account has a few account tasks in the queue at once, whatever the number and size of its jobs. This shares the
// workers fairly and bounds the queue. An item has no work item before its first attempt: its chunk stands for it. An item
// that failed, or whose invite is at an upstream, has one, which account tasks carry out. The counters of a job are written
// in the transaction of the outcomes that they count, so they add up at every read.
//
//	RECEIVING ──▶ QUEUED ──▶ RUNNING ──▶ COMPLETED
//	    │            │          │
//	    │            └──────────┴──▶ CANCELLING ──▶ CANCELLED
//	    └──▶ DROPPED   an upload that broke off; and a job whose retention has ended
//
// # The states of a revocation
//
//	PENDING ──────────▶ REVOKED | NOT_ALLOWED | ALREADY_REVOKED | NOT_FOUND | CANCELLED    (INVALID from the start)
//	   │                   ▲
//	   ▼                   │
//	ERROR_REVOKING ────────┘   while its work item exists: another attempt follows
//	   │
//	   ▼
//	ERROR_REVOKING             final, after the last attempt
//
// Exactly what is not final has a work item, or a chunk that stands for it: a store deletes it in the transaction that
// writes the final status.
//
// # The states of an email
//
//	PENDING ──▶ CLAIMED ──▶ COMMITTED ──▶ SENT | FAILED
//	   ▲           │            └───────▶ UNKNOWN   no answer, or the worker died: it is never sent again
//	   └───────────┘                                deferred, server away, or the claim expired
//
// # Terms
//
// Each term has one meaning in code, SQL, metrics, logs and documents.
//
//	account            a customer of the assessment platform; the tenant
//	account task       a task in the queue that says: this account has work; JobsTask, UpstreamTask, MailTask
//	attempt            one try to revoke an invite, numbered from 1
//	batch              revocations that one transaction carries out or writes
//	chunk              a range of a job's items that waits for its first attempt
//	claim              the right of one worker to a row, until its lease ends
//	commit             of an email: the mark that is written before the server can own the message
//	decision           what one attempt means for one revocation: Final, Retry, Postpone or RouteUpstream
//	dispatch count     how often the dispatcher has enqueued a row
//	dispatcher         the loop that enqueues what is due or lost
//	fast path          revoking ordinary single submissions in one statement; RevokeFast
//	final              never to change again
//	heartbeat          the write that extends a lease
//	hold               of an upstream: a time in which it is not called
//	idempotency key    a caller's name for a request, which makes it safe to send again
//	in doubt           a call to an upstream was begun and its outcome is not known
//	invite             one candidate's invitation to one assessment
//	item               one revocation of a job
//	janitor            the loop that deletes what is no longer kept
//	job                a bulk request: many revocations under one id
//	lease              how long a claim or an upload lasts without a heartbeat
//	locked             of a row: another transaction holds it; it is tried again shortly, and no attempt is counted
//	notification       the email about one revocation
//	outcome            how a revocation ended
//	platform           where invites are revoked: the database or an upstream
//	quiet period       how long single submissions must have stayed away before chunks run side by side
//	route upstream     to leave a work item to the account's upstream tasks
//	single             a revocation that was submitted by itself and not in a job
//	single-first       the rule that a worker gives single submissions priority over chunks
//	task               an entry of the queue; it carries ids, never facts
//	upstream           another service that revokes the invites of an account
//	visibility timeout how long a task is left alone before its rows count as lost
//	work item          the row of a revocation that is not final
package revocation
