package worker

import (
	"testing"
	"time"
)

func TestSingleFirst(t *testing.T) {
	acquire := func(s *singleFirst) <-chan func() {
		acquired := make(chan func(), 1)
		go func() { acquired <- s.acquire() }()
		return acquired
	}
	t.Run("without single submissions, chunks run in parallel", func(*testing.T) {
		var s singleFirst
		before := time.Now().Add(-2 * quietPeriod)
		for _, last := range []*time.Time{nil, &before} {
			s.last.Store(last)
			release := s.acquire()
			(<-acquire(&s))()
			release()
		}
	})
	t.Run("while single submissions come, chunks run one after the other", func(t *testing.T) {
		var s singleFirst
		future := time.Now().Add(time.Hour) // the quiet period must not begin during the test
		s.last.Store(&future)
		release := s.acquire()
		second := acquire(&s)
		select {
		case <-second:
			t.Fatal("the second did not wait")
		case <-time.After(20 * time.Millisecond):
		}
		release()
		(<-second)()
	})
	t.Run("noteSingle records the time", func(t *testing.T) {
		var s singleFirst
		s.noteSingle()
		if last := s.last.Load(); last == nil || time.Since(*last) > time.Minute {
			t.Errorf("recorded %v", last)
		}
	})
}
