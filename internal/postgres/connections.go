package postgres

import "context"

// A process has maxConns connections. These limits bound how many of them some kinds of requests use at once, eight together.
// The other eight are for single submissions, look-ups of single revocations and the readiness check, which use no more: a
// service writes four batches of submissions and one of submissions that wait for a lock, and there are maxLookups look-ups
// and one check. A worker has no such requests and may use all connections.
const (
	maxReadConns  = 3 // pages, and jobs that callers poll or watch
	maxWriteConns = 3 // uploads, and changes of jobs
	maxKeyConns   = 2 // API keys
	maxLookups    = 2 // of the other eight: batches of single revocations that callers poll or wait for
)

// connLimit bounds how many transactions of a kind have a connection at once.
type connLimit chan struct{}

// acquire waits for a free place. The caller must call leave once.
func (l connLimit) acquire(ctx context.Context) (leave func(), err error) {
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
