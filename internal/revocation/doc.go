// Package revocation is the domain that all other packages share: accounts, invites, revocations and jobs with their
// states, the rule that determines an outcome, the decisions about batches, the retry policy, the errors, and the
// interfaces of the stores and the queue. It does no I/O and imports only the standard library.
//
// Package submission accepts requests and makes them durable; package worker carries them out. API processes use
// submission, workers use worker. Both call the interfaces of this package. Packages such as postgres, sqlite, queue, mail
// and upstream implement them.
//
// The database is the only source of truth. A request is stored before it is answered, and its outcome is stored before it
// is published. The queue carries only ids and may lose any of them: the Dispatcher of package worker finds in the database
// what is due and what was lost.
//
// # A single revocation
//
//	submission.Service.Submit ── one transaction for a batch of requests ──▶ a work item: the revocation is PENDING
//	       │                                                                   │
//	       └─ task with ids ─▶ queue ─▶ worker.Executor ── Rule ── one transaction for a batch ──▶ revocation with its outcome
//	                             ▲                                             │
//	      worker.Dispatcher ─────┘  due or lost work items, unsent emails ◀────┘
//
// A single revocation waits if its caller named a time or its account has a hold: its work item is due at the later of the two.
// Submission enqueues no task for it, and the dispatcher enqueues one when it is due. Before that no method of a store takes
// it up, whatever the queue contains. A caller can start it, which makes it due now, or cancel it.
//
// # A job
//
//	submission.JobUpload ── batches of items, each committed, not visible ── Finalize ──▶ job QUEUED, with its chunks
//	                                                                                          │
//	Finalize, Dispatcher ─ account task ─▶ queue ─▶ worker.Executor ── one transaction for a chunk ◀──┘
//	                                                      └──── items that failed and are due again
//
// An account task contains only the account's id: the worker that runs it reads from the database what there is to do. An
// account has only a few account tasks in the queue at once, whatever the number and size of its jobs. So accounts share
// the workers fairly, and the queue is bounded. An item has no work item before its first attempt: its chunk stands for
// it. An item that failed, or whose invite is at an upstream, has a work item, and account tasks carry it out. A job's
// counters are written in the same transaction as the outcomes that they count, so they add up at every read.
//
//	RECEIVING ──▶ PREVIEWING ──▶ PREVIEWED ──▶ AWAITING_APPROVAL ──▶ SCHEDULED ──▶ QUEUED ──▶ RUNNING ──▶ COMPLETED
//	    │                            └───────────────┴──▶ EXPIRED   not confirmed or approved in time
//	    └──▶ DROPPED   the upload was interrupted
//
// A job enters the first of these states that applies to it, and leaves out the states that do not. From every state after
// RECEIVING and before the end, a cancel leads to CANCELLING, and that to CANCELLED.
//
// A job whose items are all invalid is COMPLETED at once. A job whose retention has ended becomes DROPPED too, and the
// janitor deletes it.
//
// # The states of a revocation
//
//	PENDING ──────────▶ REVOKED | NOT_ALLOWED | ALREADY_REVOKED | ALREADY_STARTED | NOT_FOUND | CANCELLED    (INVALID from the start)
//	   │                   ▲
//	   ▼                   │
//	ERROR_REVOKING ────────┘   while its work item exists: another attempt follows
//	   │
//	   ▼
//	ERROR_REVOKING             final, after the last attempt
//
// A revocation that is not final has a work item, or a chunk that stands for it. A final one has neither: a store deletes
// it in the transaction that writes the final status.
//
// # The states of an email
//
//	PENDING ──▶ CLAIMED ──▶ COMMITTED ──▶ SENT | FAILED
//	   ▲           │            ├───────▶ UNKNOWN   no answer, or the worker died: it is never sent again
//	   └───────────┴────────────┘                   refused temporarily; before the commit also: server unavailable, claim expired
//
// From CLAIMED, an email can also become SENT, if its Mailer needs no commit, or FAILED, if it is refused before the commit.
//
// # Terms
//
// Each term has one meaning in code, SQL, metrics, logs and documents.
//
//	account            a customer of the assessment platform; the tenant
//	account task       a task in the queue to do what is due for one account; JobsTask, UpstreamTask, MailTask
//	attempt            one try to revoke an invite; a Ref has the number of the attempts before it
//	batch              revocations that one transaction carries out or writes
//	chunk              a range of a job's items that waits for its first attempt
//	claim              the right of one worker to a row, until its lease ends
//	commit             of an email: the mark that is written before the mail server can own the message
//	decision           what one attempt means for one revocation: Final, Retry, Postpone or RouteUpstream
//	dispatch count     how often a row was enqueued by the dispatcher or claimed by a worker
//	dispatcher         the loop that enqueues what is due or lost
//	fast path          revoking ordinary single submissions in one statement; RevokeFast
//	final              never to change again
//	flush              a batch of submissions that one transaction writes
//	heartbeat          the write that extends a lease
//	hold               of an account: how long work waits after its submission, confirmation or approval;
//	                   of an upstream: a period in which it is not called
//	idempotency key    a caller's name for a request, which makes it safe to send the request again
//	in doubt           a call to an upstream began and its outcome is not known
//	invite             one candidate's invitation to one assessment
//	item               one revocation of a job
//	janitor            the loop that deletes what is no longer kept
//	job                a bulk request: many revocations under one id
//	lease              how long a claim or an upload lasts without a heartbeat
//	locked             of a row: a transaction holds it; a row that another transaction holds is retried shortly, and no
//	                   attempt is counted
//	notification       the email about one revocation
//	outcome            how a revocation ended
//	platform           where invites are revoked: the database or an upstream
//	prediction         the outcome that an item of a previewed job would have, by the rule
//	preview            the predictions of a job's items and their counts, which a caller must confirm before the job begins
//	quiet period       how long no single submission must have come before chunks run in parallel
//	retry              a further attempt on a revocation; to retry a job is to create a new job of its failed items; the
//	                   queue retries a task whose function returned an error
//	route upstream     to leave a work item to the account's upstream tasks
//	single             a revocation that was submitted on its own, not in a job
//	single-first       the rule that a worker gives single submissions priority over chunks
//	spill              to give the items of a chunk work items, instead of carrying out the chunk
//	task               an entry of the queue; it carries ids, never facts
//	upstream           another service that revokes the invites of an account
//	visibility timeout how long after its dispatch a task's rows count as lost
//	work item          the row of a revocation that is not final
package revocation
