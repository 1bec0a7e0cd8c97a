// Package revocation is the domain: what a revocation is, who may be revoked, how requests become durable,
// are carried out, retried and told. It imports nothing but the standard library; stores, the queue, mail
// and HTTP are adapters that fill the interfaces standing beside their consumers here.
//
// The database is the truth: a request is a row before it is answered, and its outcome is that row. The
// queue only carries ids and may lose them all; the Dispatcher finds what is due and what was lost.
//
// # The way of a revocation
//
//	Service.Submit ── one transaction for all who ask at the moment ──▶ work row
//	       │                                                               │
//	       └─ task with ids ─▶ queue ─▶ Executor.CarryOut ── Rule ── one transaction a batch ──▶ row with the outcome
//	                             ▲                                             │
//	          Dispatcher ────────┘  due or lost work rows, unsent emails  ◀────┘
//
// # The way of a job
//
//	Intake ── pieces of items, committed one by one, that nobody sees ── Seal ──▶ QUEUED, with its chunks
//	                                                                                  │
//	Dispatcher, Seal ─ a turn for the account ─▶ queue ─▶ Executor.Turn ── takes a chunk, one transaction ◀─┘
//	                                                            └──── items that failed and are due again
//
// A turn carries the account's name and nothing else: whoever has it looks in the database for what there is to
// do. An account has a few turns in the queue at once, whatever the number and size of its jobs, which is what
// shares the workers fairly and bounds the queue. An item in its first pass has no work row, the chunk stands for
// it, and a store may keep it there and nowhere else until it is carried out; one that failed, or whose invite lives at
// an upstream, has one that is left to the account's turns. A job's counters are written with the outcomes that they
// count, so they add up at every reading.
//
//	RECEIVING ──▶ QUEUED ──▶ RUNNING ──▶ COMPLETED
//	    │            │          │
//	    │            └──────────┴──▶ CANCELLING ──▶ CANCELLED
//	    └──▶ DROPPED   an upload that broke off; and a job that has been kept for long enough
//
// # The way of a call to an upstream
//
// An account has one session at a time, so that its limits hold for all workers together:
//
//	the rate allows a call ──▶ BeginCalls ──▶ Platform.Revoke ──▶ Fail records the outcome
//	                           the row is in doubt                 no more, unless no whole answer came
//
// The transaction that begins calls takes due rows, puts them in doubt, and reads the wish for an email: until it
// commits, nothing has gone out and a later wish counts; after that, a worker that finds the row because the first one
// died assumes that the call was made. The session renews the leases of its calls until they have ended, whatever has
// closed it, also a change of the account's platform. Attempt and dispatch count fence a worker that comes late. What is in doubt
// when the account has left its upstream is revoked on the database platform, and not emailed from here.
//
// A session is a state machine, upstreamSession, that performs no I/O; sessionLoop performs its effects.
//
// # The states of a revocation
//
//	PENDING ──────────▶ REVOKED | NOT_ALLOWED | ALREADY_REVOKED | NOT_FOUND | CANCELLED    (INVALID from the start)
//	   │                   ▲
//	   ▼                   │
//	ERROR_REVOKING ────────┘   while its work row exists: another attempt follows
//	   │
//	   ▼
//	ERROR_REVOKING             final, after the last attempt
//
// What is not final has a work row, or a chunk that stands for it, and nothing else has: a store deletes it in the
// transaction that writes the final status. A revocation that is written with its outcome is written once; one that has
// a row of its own before stays as it was inserted until then.
//
// # The states of an email
//
//	PENDING ──▶ CLAIMED ──▶ COMMITTED ──▶ SENT | FAILED
//	   ▲           │            └───────▶ UNKNOWN   no answer, or the worker died: never sent again
//	   └───────────┘                                deferred, unreachable, or the claim ran out
package revocation
