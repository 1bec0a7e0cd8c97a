// Package worker carries out what package submission has accepted: batches of revocations, chunks of jobs, calls to
// upstreams, and emails. Its Dispatcher enqueues what is due or lost, and its Janitor deletes what is no longer kept.
//
// # A session with an upstream
//
// An UpstreamRunner runs one upstream task of an account at a time, so that the account's limits hold for all workers
// together. The transaction that begins a call marks its work item as in doubt, and the transaction that writes the
// outcome removes the mark, unless no complete answer came. A worker that finds the mark, because another worker died,
// assumes that the call was made. The attempt and the dispatch count prevent a late worker from writing.
package worker
