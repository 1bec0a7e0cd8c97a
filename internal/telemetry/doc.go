// Package telemetry provides logs and traces. The packages that count something define its metrics; this is the list of
// all metrics.
//
// Every process serves the following metrics at /metrics on ADMIN_ADDR, in addition to the usual go_* and process_* ones.
// An API exports the metrics of a worker as 0, and a worker those of an API. No label identifies an account. Counters and
// histograms belong to the process: the sum over all processes is the total. Metrics marked with * describe the database or
// Redis and are the same in every process: use one of them or the maximum, never the sum. A process reads them during a
// scrape, at most every 10 seconds. They are missing while rescind_collector_success is 0.
//
//	rescind_http_requests_total{route,method,status}   requests answered; status 499: the caller closed the connection
//	rescind_http_request_duration_seconds{route}       histogram; includes the wait for an outcome
//
//	rescind_submissions_total{result}        single submissions: accepted, joined (a revocation that existed, or a
//	                                         replay), not_found, mismatch (of the idempotency key), failed
//	rescind_flush_size                       histogram: submissions written in one transaction
//	rescind_jobs_total                       bulk jobs accepted
//	rescind_job_items_total{status}          their items that became final: revoked, not_allowed, already_revoked,
//	                                         already_started, error_revoking, not_found, cancelled, invalid
//
//	rescind_batch_size{class}                histogram: revocations or emails that were carried out together: single,
//	                                         items, upstream, mail
//	rescind_attempts_total{outcome}          attempts: the final status that they led to (as above, except invalid),
//	                                         retried (failed; another follows), postponed (put off; not an attempt)
//	rescind_attempts_to_outcome              histogram: attempts of a revocation until its final status; not cancelled
//	rescind_notifications_total{status}      attempts on emails: sent, failed, unknown, pending (another follows),
//	                                         delegated (the upstream sends it). An email whose worker died while sending
//	                                         counts as unknown in the running process that finds it
//	rescind_delivery_failures_total{reason}  deliveries of emails that failed. Of the mail server or the network: dns,
//	                                         connection_refused, network, timeout, connection (it broke), tls,
//	                                         certificate, auth, greeting, closing (421), sender (its address was
//	                                         refused), policy (relaying, greylisting), system (such as a full disk),
//	                                         protocol; of the email: recipient, message, address, smtputf8, template;
//	                                         of SMTP_URL=file: file_missing, file_denied, file_full, file; and database,
//	                                         cancelled (the worker was stopped)
//	rescind_dispatched_total{kind,cause}          revocations and emails that the dispatcher enqueued; cause due: for another
//	                                         attempt, or after waiting for a time; lost: for the first, because its
//	                                         task was lost or is late
//
//	rescind_upstream_calls_total{outcome}    calls to upstreams, by how they ended
//	rescind_upstream_call_duration_seconds   histogram; excludes the wait for the account's limits
//	rescind_upstream_breakers_open           accounts that this process does not call because their upstream is down
//	rescind_upstream_paused_accounts         accounts whose key was refused in the latest call of this process
//	rescind_upstream_held_accounts{reason} * accounts whose upstream is not called at present:
//	                                         upstream_unauthorized, upstream_unavailable, secret_unreadable
//
//	rescind_backlog{class} *                 revocations that are not final, and emails that are not settled; 1000001:
//	                                         more than a million. The items of a job's chunks count as items or upstream
//	rescind_backlog_oldest_seconds{class} *  seconds since the oldest of them was submitted
//	rescind_queue_tasks{queue,state} *       tasks in Redis: queues single, mail, bulk, upstream, bulkmail; states
//	                                         pending, active, retry, archived
//	rescind_redis_memory_bytes *             memory that Redis uses, and
//	rescind_redis_memory_max_bytes *         may use (0: no limit); missing in standalone
//	rescind_redis_evicts *                   1: Redis may evict tasks, because maxmemory-policy is not noeviction
//	rescind_collector_success{collector}     0: the collector, database or redis, did not answer
//
//	rescind_db_pool_connections{state}       connections to PostgreSQL: acquired, idle, constructing
//	rescind_db_pool_max_connections          the most connections that the pool may open
//	rescind_db_pool_acquires_total           times that a connection was acquired
//	rescind_db_pool_waits_total              times that no connection was idle and the caller had to wait
//	rescind_db_pool_wait_seconds_total       total time of these waits
//
// # Traces
//
// Tracing is off unless OTEL_EXPORTER_OTLP_ENDPOINT names a collector that accepts OTLP over HTTP. OpenTelemetry's other
// variables are read too. Each request has a span. Its trace contains:
//
//   - "flush", a transaction of submissions; "add items" and "finalize job", the transactions of a job's upload;
//   - "enqueue" and "enqueue account tasks", and in the workers what they cause: "carry out", "send emails", "jobs task",
//     "upstream task" and "mail task";
//   - within these, "call upstream" and "deliver email", each statement on PostgreSQL and each command to Redis.
//
// Work for several requests is in the trace of the first one. Work that the dispatcher enqueues, because it is due or was
// lost, begins a new trace. A caller's trace is linked and not continued, because otherwise callers could decide what is
// sampled. No span contains an account, a value of a statement or of a command, an address, or the name of a server.
package telemetry
