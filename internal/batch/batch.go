// Package batch gathers concurrent requests, so that one transaction or one statement serves many of them, and finds
// the item of a failed batch that is to blame.
package batch

import (
	"sync"
	"time"
)

// Options bound a Batcher. All must be set.
type Options struct {
	// MaxSize is the largest number of items in a batch.
	MaxSize int
	// MaxRunning is how many batches may run at once.
	MaxRunning int
	// MaxWait is how long an item waits for the batch before it to end, while fewer than MaxRunning run. Larger batches
	// cost less an item, but one batch that is stuck must not delay the others.
	MaxWait time.Duration
}

// Batcher gathers items. An item that comes while no batch is running is a batch of its own and runs at once. Items that
// come while a batch is running go together in the next one: as soon as that has ended, when MaxSize of them have come,
// or when the first of them has waited for MaxWait. So a Batcher adds no delay of its own, and the batches grow with
// the load. Make it with New. It is safe for concurrent use.
type Batcher[T any] struct {
	options Options
	run     func([]T)

	mu      sync.Mutex
	waiting []T
	running int
	late    *time.Timer // calls startLate when the first of waiting has waited for MaxWait; set while it is pending
	closed  bool
	idle    *sync.Cond // signals that running is 0
}

// New returns a Batcher. It calls run with 1 to MaxSize items in the order in which they were added, in a goroutine of its
// own. run must return, and may keep the slice.
func New[T any](options Options, run func([]T)) *Batcher[T] {
	b := &Batcher[T]{options: options, run: run}
	b.idle = sync.NewCond(&b.mu)
	return b
}

// Add adds an item and does not wait for it. It reports whether the item is in a batch: after Close it is not.
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

// Close refuses further items and returns when all batches have ended.
func (b *Batcher[T]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for b.running > 0 {
		b.idle.Wait()
	}
}

// start starts a goroutine for what waits. The caller must hold mu.
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

// runBatches runs one batch after the other until nothing waits.
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

// next takes the next batch out of what waits; it is empty if nothing does. The caller must hold mu.
func (b *Batcher[T]) next() []T {
	if b.late != nil {
		b.late.Stop()
		b.late = nil
	}
	n := min(len(b.waiting), b.options.MaxSize)
	items := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if len(b.waiting) == 0 {
		b.waiting = nil // the batch has the array
		return items
	}
	if b.running < b.options.MaxRunning {
		b.late = time.AfterFunc(b.options.MaxWait, b.startLate)
	}
	return items
}
