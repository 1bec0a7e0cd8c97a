// Package batch collects concurrent requests, so that one transaction or one statement serves many of them. It also finds
// the item that makes a batch fail.
package batch

import (
	"sync"
	"time"
)

// Options are the limits of a Batcher. All must be set.
type Options struct {
	// MaxSize is the largest number of items in a batch.
	MaxSize int
	// MaxRunning is how many batches may run at once.
	MaxRunning int
	// MaxWait is how long an item waits for a running batch to end, if fewer than MaxRunning run. Larger batches cost
	// less per item, but a slow batch must not delay the items after it.
	MaxWait time.Duration
}

// Batcher runs items in batches. An item that is added while no batch is running is a batch of its own and runs at once.
// Items that are added while a batch is running wait for the next one. It starts when a running batch has ended, when
// MaxSize items wait, or when the first of them has waited for MaxWait. So an idle Batcher delays no item, and the batches
// grow with the load. Use New to create one. A Batcher is safe for concurrent use.
type Batcher[T any] struct {
	options Options
	run     func([]T)

	mu      sync.Mutex
	waiting []T
	running int
	late    *time.Timer // calls startLate when the first of waiting has waited for MaxWait; nil if it is not pending
	closed  bool
	idle    *sync.Cond // is signalled when running becomes 0
}

// New returns a Batcher that calls run with 1 to MaxSize items, in the order in which they were added, in a goroutine of its
// own. run may keep the slice. Close waits until run has returned.
func New[T any](options Options, run func([]T)) *Batcher[T] {
	b := &Batcher[T]{options: options, run: run}
	b.idle = sync.NewCond(&b.mu)
	return b
}

// Add adds an item without waiting for its batch. It reports whether the item was added, and returns false after Close.
func (b *Batcher[T]) Add(item T) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.waiting = append(b.waiting, item)
	switch {
	case b.running == 0, len(b.waiting) >= b.options.MaxSize && b.running < b.options.MaxRunning:
		b.start()
	case b.late == nil && b.running < b.options.MaxRunning:
		b.late = time.AfterFunc(b.options.MaxWait, b.startLate)
	}
	return true
}

// Close makes Add refuse further items, and returns when all batches have ended.
func (b *Batcher[T]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for b.running > 0 {
		b.idle.Wait()
	}
}

// start starts a goroutine for the waiting items. The caller must hold mu.
func (b *Batcher[T]) start() {
	b.running++
	go b.runBatches(b.next())
}

func (b *Batcher[T]) startLate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = nil
	if len(b.waiting) > 0 && b.running < b.options.MaxRunning {
		b.start()
	}
}

// runBatches runs one batch after the other until no item waits.
func (b *Batcher[T]) runBatches(items []T) {
	for len(items) > 0 {
		b.run(items)
		b.mu.Lock()
		items = b.next()
		if len(items) == 0 {
			b.running--
			if b.running == 0 {
				b.idle.Broadcast()
			}
		}
		b.mu.Unlock()
	}
}

// next removes the next batch from the waiting items and returns it; it is empty if none waits. The caller must hold mu.
func (b *Batcher[T]) next() []T {
	if b.late != nil {
		b.late.Stop()
		b.late = nil
	}
	n := min(len(b.waiting), b.options.MaxSize)
	items := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if len(b.waiting) == 0 {
		b.waiting = nil // the batch owns the array
		return items
	}
	if b.running < b.options.MaxRunning {
		b.late = time.AfterFunc(b.options.MaxWait, b.startLate)
	}
	return items
}
