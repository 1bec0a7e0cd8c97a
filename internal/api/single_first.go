package api

import (
	"sync/atomic"
	"time"
)

// singleTime is about how long an idle system takes from a single submission to its outcome.
const singleTime = 5 * time.Millisecond

// singleFirst gives single submissions priority over large requests: uploads, lists and results. While a submission is
// carried out, large requests begin no statement of the database and no part of their own work.
type singleFirst struct {
	started time.Time
	last    atomic.Int64 // when a single submission last came: the nanoseconds since started
}

func newSingleFirst() *singleFirst {
	return &singleFirst{started: time.Now().Add(-singleTime)}
}

// noteSingle records that a single submission has come.
func (s *singleFirst) noteSingle() { s.last.Store(int64(time.Since(s.started))) }

// wait waits until singleTime has passed since the last single submission that came before the call. So it takes at most
// singleTime, also while submissions come all the time.
func (s *singleFirst) wait() {
	if since := time.Since(s.started) - time.Duration(s.last.Load()); since < singleTime {
		time.Sleep(singleTime - since)
	}
}
