package api

import (
	"context"
	"sync"
)

// accountQueue runs the operations of each account one after the other, in their order. It is safe for concurrent use.
type accountQueue struct {
	mu       sync.Mutex
	accounts map[string]*queuedAccount // those with operations that run or wait
}

type queuedAccount struct {
	running    chan struct{} // has an element while an operation runs
	operations int           // that run or wait
}

func newAccountQueue() *accountQueue {
	return &accountQueue{accounts: make(map[string]*queuedAccount)}
}

// acquire waits until an operation of the account may run. The caller must call leave once when it has ended. If ctx ends
// first, leave is nil and acquire returns the error of ctx.
func (q *accountQueue) acquire(ctx context.Context, id string) (leave func(), err error) {
	a := q.enter(id)
	select {
	case a.running <- struct{}{}:
		return func() {
			<-a.running
			q.exit(id, a)
		}, nil
	case <-ctx.Done():
		q.exit(id, a)
		return nil, ctx.Err()
	}
}

func (q *accountQueue) enter(id string) *queuedAccount {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.accounts[id]
	if a == nil {
		a = &queuedAccount{running: make(chan struct{}, 1)}
		q.accounts[id] = a
	}
	a.operations++
	return a
}

func (q *accountQueue) exit(id string, a *queuedAccount) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if a.operations--; a.operations == 0 {
		delete(q.accounts, id)
	}
}
