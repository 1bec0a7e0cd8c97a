// Package revocation is the domain: what a revocation is, who may be revoked, how requests become durable,
// are carried out, retried and told. It imports nothing but the standard library; stores, the queue, mail
// and HTTP are adapters that fill the interfaces standing beside their consumers here.
//
// The database is the truth: a request is a row before it is answered, and its outcome is that row. The
// queue only carries ids and may lose them all; the Dispatcher finds what is due and what was lost.
//
// # The way of a revocation
//
//	Service.Submit ── one transaction for all who ask at the moment ──▶ revocation row + work row
//	       │                                                                   ▲
//	       └─ task with ids ─▶ queue ─▶ Executor.CarryOut ── Decide ── one transaction a batch
//	                             ▲                                             │
//	          Dispatcher ────────┘  due or lost work rows, unsent emails  ◀────┘
//
// # The states of a revocation
//
//	PENDING ──────────▶ REVOKED | NOT_ALLOWED | ALREADY_REVOKED | NOT_FOUND | CANCELLED
//	   │                   ▲
//	   ▼                   │
//	ERROR_REVOKING ────────┘   while its work row exists: another attempt follows
//	   │
//	   ▼
//	ERROR_REVOKING             final, after the last attempt
//
// What is not final has a work row, and nothing else has: a store deletes it in the transaction that writes
// the final status. Until then the revocation's own row stays as it was inserted, so that it is written
// once and updated once.
//
// # The states of an email
//
//	PENDING ──▶ CLAIMED ──▶ COMMITTED ──▶ SENT | FAILED
//	   ▲           │            └───────▶ UNKNOWN   no answer, or the worker died: never sent again
//	   └───────────┘                                deferred, unreachable, or the claim ran out
package revocation
