// Package accountqueue has the operations of one account wait for each other, so that they do not keep other accounts waiting.
package accountqueue

import (
	"context"
	"sync"
)

// Queue lets at most a number of operations of each account run at once. The others wait in their order. It is safe for
// concurrent use.
type Queue struct {
	atOnce int

	mu       sync.Mutex
	accounts map[string]*account // those with operations that run or wait
}

type account struct {
	running    chan struct{} // has an element for each operation that runs
	operations int           // that run or wait
}

// New returns a Queue that runs at most atOnce operations of an account at once. atOnce must be at least 1.
func New(atOnce int) *Queue {
	return &Queue{atOnce: atOnce, accounts: make(map[string]*account)}
}

// Acquire waits until an operation of the account may run. The caller must call leave once when it has ended. If ctx ends
// first, leave is nil and Acquire returns the error of ctx.
func (q *Queue) Acquire(ctx context.Context, id string) (leave func(), err error) {
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

func (q *Queue) enter(id string) *account {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.accounts[id]
	if a == nil {
		a = &account{running: make(chan struct{}, q.atOnce)}
		q.accounts[id] = a
	}
	a.operations++
	return a
}

func (q *Queue) exit(id string, a *account) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if a.operations--; a.operations == 0 {
		delete(q.accounts, id)
	}
}
