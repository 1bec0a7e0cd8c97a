package postgres

import "context"

// The limits of the connections of a process, 16 in all, that requests of callers use at once. The other eight are for
// single submissions, look-ups of single revocations and readiness. These use no more than eight together: a service writes
// four batches of submissions and one of those that wait for a lock, and there are maxLookups look-ups and one check. A
// worker handles no such requests and may use all connections.
const (
	maxReadConns  = 3 // pages, and jobs that are polled or watched
	maxWriteConns = 3 // uploads, and changes of jobs
	maxKeyConns   = 2 // API keys
	maxLookups    = 2 // of the other eight: batches of revocations that are polled or waited for
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
