package revocation

import (
	"time"
)

// Backlog is the work that is not done yet at one point in time.
type Backlog struct {
	Waiting map[Class]Waiting
	// Held counts, by the reason of the hold, the accounts whose upstream is on hold.
	Held map[Hold]int
}

// Waiting counts the revocations of a class that are not final, or the emails that are not settled.
type Waiting struct {
	// Count is at most MaxBacklog+1, which means that there are more than MaxBacklog.
	Count int
	// Since is when the oldest of what was counted was submitted; zero if Count is 0.
	Since time.Time
}

// MaxBacklog bounds what is counted of a class, so that counting a large backlog does not load the database.
const MaxBacklog = 1_000_000

// Holds lists every reason of a hold.
var Holds = []Hold{HoldUnauthorized, HoldUnavailable, HoldSecret}

// Add adds count to what waits in a class. first is the oldest id among what is added; it may be zero.
func (b *Backlog) Add(class Class, count int, first ID) {
	w := b.Waiting[class]
	w.Count = min(w.Count+count, MaxBacklog+1)
	if since := first.Time(); !first.IsZero() && (w.Since.IsZero() || since.Before(w.Since)) {
		w.Since = since
	}
	b.Waiting[class] = w
}
