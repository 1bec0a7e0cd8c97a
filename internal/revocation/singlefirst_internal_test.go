package revocation

import (
	"testing"
	"time"
)

func TestCourtesy(t *testing.T) {
	began := func(c *singleFirst) <-chan func() {
		second := make(chan func(), 1)
		go func() { second <- c.acquire() }()
		return second
	}
	t.Run("chunks go side by side while nobody else is there", func(*testing.T) {
		var c singleFirst
		long := time.Now().Add(-2 * quietPeriod)
		for _, last := range []*time.Time{nil, &long} {
			c.last.Store(last)
			end := c.acquire()
			(<-began(&c))()
			end()
		}
	})
	t.Run("while single submissions come, one goes after the other", func(t *testing.T) {
		var c singleFirst
		soon := time.Now().Add(time.Hour) // whatever the test takes
		c.last.Store(&soon)
		end := c.acquire()
		second := began(&c)
		select {
		case <-second:
			t.Fatal("the second did not wait")
		case <-time.After(20 * time.Millisecond):
		}
		end()
		(<-second)()
	})
	t.Run("a task of single submissions is noticed", func(t *testing.T) {
		var c singleFirst
		c.noteSingle()
		if last := c.last.Load(); last == nil || time.Since(*last) > time.Minute {
			t.Errorf("it was here at %v", last)
		}
	})
}

func TestService_gather(t *testing.T) {
	refs := func(n int) task { return task{refs: make([]Ref, n)} }
	s := &Service{tasks: make(chan task, 8)}
	t.Run("without a pause it takes what is there", func(t *testing.T) {
		s.tasks <- refs(2)
		s.tasks <- refs(3)
		b := refs(1)
		if s.gather(&b, 0); len(b.refs) != 6 {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("in a pause it waits for others, until it is full", func(t *testing.T) {
		go func() {
			s.tasks <- refs(2)
			s.tasks <- refs(maxFlush)
		}()
		b := refs(1)
		if s.gather(&b, time.Hour); len(b.refs) != 3+maxFlush {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("the pause ends", func(t *testing.T) {
		b := refs(1)
		if s.gather(&b, time.Millisecond); len(b.refs) != 1 {
			t.Errorf("%d", len(b.refs))
		}
	})
	t.Run("at the end it does not wait", func(t *testing.T) {
		close(s.tasks)
		b := refs(1)
		if s.gather(&b, time.Hour); len(b.refs) != 1 {
			t.Errorf("%d", len(b.refs))
		}
	})
}
