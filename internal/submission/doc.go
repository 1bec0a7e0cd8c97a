// Package submission accepts requests: it makes single revocations and jobs durable before it answers, waits for their
// outcomes, and reads them back. It sends tasks to the queue, and a request never waits for the queue: the dispatcher of
// package worker finds in the database what was not sent.
package submission
