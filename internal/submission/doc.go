// Package submission accepts requests: it makes single revocations and jobs durable before it answers, waits for their
// outcomes, and reads them back. It sends tasks to the queue but never waits for it, because the dispatcher of package
// worker finds in the database what was not sent.
package submission
