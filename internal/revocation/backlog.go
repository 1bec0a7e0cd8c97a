package revocation

import (
	"time"
)

// Backlog is what waits at a moment, and what it waits for.
type Backlog struct {
	Waiting map[Class]Waiting
	// Held are the accounts whose upstream is not called, or only to look whether it can be, by the reason.
	Held map[Hold]int
}

// Waiting is what is not final of a class; of emails, what is not settled.
type Waiting struct {
	// Count is MaxBacklog+1 when there are more.
	Count int
	// Since is when the first of what was counted was submitted; zero without any.
	Since time.Time
}

// MaxBacklog bounds what is counted of a class, so that looking at a backlog does not become a burden of its own.
const MaxBacklog = 1_000_000

// Holds are the reasons of a hold.
var Holds = []Hold{HoldUnauthorized, HoldUnavailable, HoldSecret}

// Add counts what else waits in a class.
func (b *Backlog) Add(class Class, count int, first ID) {
	w := b.Waiting[class]
	w.Count = min(w.Count+count, MaxBacklog+1)
	if since := first.Time(); !first.IsZero() && (w.Since.IsZero() || since.Before(w.Since)) {
		w.Since = since
	}
	b.Waiting[class] = w
}
