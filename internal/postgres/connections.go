package postgres

import "context"

// How many of a process's connections what comes from callers can take at once. What is left, eight, is for single
// submissions, look-ups of single revocations and readiness, which take no more than that together: a service has four
// flushes under way, maxLookups look-ups, and one check. A worker does none of this, and has all connections.
const (
	maxReadConns  = 3 // pages, and jobs that are polled or watched
	maxWriteConns = 3 // uploads, and changes of jobs
	maxKeyConns   = 2 // API keys
	maxLookups    = 3 // of what is left: batches of revocations that are polled, or whose end is waited for
)

// connLimit bounds the transactions of a kind that have a connection at once.
type connLimit chan struct{}

// acquire waits until there is room; the caller must call leave once.
func (l connLimit) acquire(ctx context.Context) (leave func(), err error) {
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
