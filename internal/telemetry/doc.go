// Package telemetry is how the programs tell about themselves: logs and traces. Metrics stand where they are counted;
// this is the list of all.
//
// Every process tells at /metrics of ADMIN_ADDR, beside the usual go_* and process_* ones, what follows; an API or a
// worker leaves what only the other does at 0. No label holds anything of an account. Counters and histograms are
// those of the process, and add up over processes. The others marked with * are of the database or of Redis, the same
// in every process that is asked: take one, or the maximum, and never the sum. They are asked for at most every
// 10 seconds and only by a scrape, and are missing while rescind_collector_success is 0.
//
//	rescind_http_requests_total{route,method,status}   requests answered; status 499: the caller had left
//	rescind_http_request_duration_seconds{route}       histogram; the wait for an outcome is included
//
//	rescind_submissions_total{result}        single submissions: accepted, joined (one under way, or a replay),
//	                                         not_found, mismatch (of the idempotency key), failed
//	rescind_flush_size                       histogram: submissions written in one transaction
//	rescind_jobs_total                       bulk jobs accepted
//	rescind_job_items_total{status}          their items that became final: revoked, not_allowed, already_revoked,
//	                                         error_revoking, not_found, cancelled, invalid
//
//	rescind_batch_size{class}                histogram: what was carried out together: single, items, upstream, mail
//	rescind_attempts_total{outcome}          attempts: the final status that they led to (as above, but for invalid),
//	                                         retried (failed, and comes again), postponed (not made now)
//	rescind_attempts_to_outcome              histogram: attempts that a revocation took; cancelled ones are left out
//	rescind_notifications_total{status}      attempts on emails: sent, failed, unknown, pending (comes again), delegated
//	                                         (the upstream sends it). An email whose worker died while sending counts as
//	                                         unknown when that is found, by a process that started before
//	rescind_delivery_failures_total{reason}  deliveries of emails that failed. Of the mail server or the way to it: dns,
//	                                         connection_refused, network, timeout, connection (it broke), tls,
//	                                         certificate, auth, greeting, closing (421), sender (its address was
//	                                         refused), policy (relaying, greylisting), system (such as a full disk),
//	                                         protocol; of the email: recipient, message, address, smtputf8, template;
//	                                         of SMTP_URL=file: file_missing, file_denied, file_full, file; and database,
//	                                         cancelled (the worker was stopped)
//	rescind_swept_total{kind,cause}          revocations and emails that the dispatcher sent to the queue again; cause
//	                                         due: another attempt; lost: the first, whose task was lost, or is late
//
//	rescind_upstream_calls_total{outcome}    calls to upstreams, by how they ended
//	rescind_upstream_call_duration_seconds   histogram; without the wait for the account's turn
//	rescind_upstream_breakers_open           accounts that this process holds back because their upstream is down
//	rescind_upstream_paused_accounts         accounts whose key was refused in this process's latest call
//	rescind_upstream_held_accounts{reason} * accounts whose upstream is not called at present:
//	                                         upstream_unauthorized, upstream_unavailable, secret_unreadable
//
//	rescind_backlog{class} *                 what is not final, and emails that are not settled; 1000001: more than
//	                                         a million. What is in a job's chunks counts as items, or as upstream
//	rescind_backlog_oldest_seconds{class} *  how long ago the oldest of that was submitted
//	rescind_queue_tasks{queue,state} *       tasks in Redis: queues single, mail, bulk, upstream, bulkmail; states
//	                                         pending, active, retry, archived
//	rescind_redis_memory_bytes *             memory that Redis uses, and
//	rescind_redis_memory_max_bytes *         may use (0: no limit); the embedded one tells neither
//	rescind_redis_evicts *                   1: maxmemory-policy is not noeviction
//	rescind_collector_success{collector}     0: the database, or redis, could not be asked
//
//	rescind_db_pool_connections{state}       connections to PostgreSQL: acquired, idle, constructing
//	rescind_db_pool_max_connections          how many there can be
//	rescind_db_pool_acquires_total           times that one was taken
//	rescind_db_pool_waits_total              times that none was idle, and one was waited for
//	rescind_db_pool_wait_seconds_total       how long
//
// # Traces
//
// Tracing is off, and nothing of it is installed, unless OTEL_EXPORTER_OTLP_ENDPOINT names a collector that takes OTLP
// over HTTP; OpenTelemetry's other variables count as well. There is a span of each request, and in its trace:
//
//   - "flush", a transaction of submissions; "add items" and "finalize job", the transactions of a job's upload;
//   - "enqueue" and "enqueue account tasks", and in the workers what they cause: "carry out", "send emails", "jobs task",
//     "upstream task" and "mail task";
//   - within these, "call upstream" and "deliver email", each statement on PostgreSQL and each command to Redis.
//
// What serves many requests stands in the trace of the first. What the dispatcher enqueues, because it is due or was
// lost, begins a trace of its own. A caller's own trace is linked to, and not continued: it could have everything
// sampled. No span holds an account, a value of a statement or of a command, an address or a server's name.
package telemetry
